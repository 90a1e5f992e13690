/* SPDX-License-Identifier: MIT */
/* Small things that every stage of the core needs: scope guards, transfer of ownership, clocks. */
#ifndef CLOCKSCOPE_UTIL_H
#define CLOCKSCOPE_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Releases a variable by FUNC(&variable) when it goes out of scope. */
#define CLEANUP(FUNC) __attribute__((cleanup(FUNC)))

/* Frees a malloc'd pointer at the end of the scope: `FREE char *text = NULL;` */
#define FREE CLEANUP(util_free_pointer)

static inline void util_free_pointer(void *pointer)
{
	free(*(void **)pointer);
}

/* Closes a descriptor at the end of the scope if it is one: `CLOSE int fd = -1;` */
#define CLOSE CLEANUP(util_close_fd)

static inline void util_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Hands a pointer over and clears the variable, so that its scope guard has nothing to release. */
#define TAKE_PTR(POINTER)                                                                                              \
	__extension__({                                                                                                \
		__auto_type taken_ = (POINTER);                                                                        \
		(POINTER) = NULL;                                                                                      \
		taken_;                                                                                                \
	})

#define ARRAY_SIZE(ARRAY) (sizeof(ARRAY) / sizeof((ARRAY)[0]))

/* The host's monotonic clock in nanoseconds. */
static inline uint64_t util_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
