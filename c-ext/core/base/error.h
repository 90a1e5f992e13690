/* SPDX-License-Identifier: MIT */
/*
 * The one error type of the core.
 *
 * A function that can fail returns `struct cs_error *`: NULL for success, otherwise an error that
 * the caller owns and either returns to its own caller or releases with cs_error_destroy(). The
 * message is one line that says what happened, where, and what to do; it may quote bytes that came
 * from a guest, so whoever prints it escapes it.
 */
#ifndef CLOCKSCOPE_ERROR_H
#define CLOCKSCOPE_ERROR_H

#include <stdarg.h>

enum cs_error_code {
	CS_ERROR_NO_MEMORY,
	CS_ERROR_ARGUMENT, /* the caller asked for something that makes no sense */
	CS_ERROR_SYSTEM,   /* a system call failed; errno's text is in the message */
	CS_ERROR_CONNECT,  /* no connection to a stub could be made */
	CS_ERROR_CLOSED,   /* the stub closed the connection */
	CS_ERROR_TIMEOUT,  /* the stub did not answer in time */
	CS_ERROR_PROTOCOL, /* the stub sent what the remote protocol does not allow */
	CS_ERROR_REFUSED,  /* the stub answered with an error, or cannot do this */
	CS_ERROR_STATE,    /* not possible now: the guest runs, or has exited */
	CS_ERROR_FORMAT,   /* a file (trace, ELF) is not what it should be */
	CS_ERROR_EXISTS,   /* an output file exists already */
	CS_ERROR_NOT_FOUND,
};

struct cs_error {
	enum cs_error_code code;
	char *message; /* UTF-8 or bytes of a guest; never NULL */
};

/* Returns a new error with a printf-formatted message; the static out-of-memory error if there is
 * no memory for it. Never NULL. */
struct cs_error *cs_error_create(enum cs_error_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull, warn_unused_result));

/* As cs_error_create(), with ": " and the text of errnum (an errno value) appended. */
struct cs_error *cs_error_system(enum cs_error_code code, int errnum, const char *format, ...)
	__attribute__((format(printf, 3, 4), returns_nonnull, warn_unused_result));

/* Releases an error; NULL and the static error are legal. */
void cs_error_destroy(struct cs_error *error);

/* The static error for memory exhaustion. It need not be destroyed. */
extern struct cs_error cs_error_no_memory;

/* Returns from the calling function when EXPR yields an error. */
#define CS_TRY(EXPR)                                                                                                   \
	do {                                                                                                           \
		struct cs_error *try_error_ = (EXPR);                                                                  \
		if (try_error_)                                                                                        \
			return try_error_;                                                                             \
	} while (0)

#endif
