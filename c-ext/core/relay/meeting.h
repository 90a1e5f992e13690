/* SPDX-License-Identifier: MIT */
/* Where other threads wait for what the relay's thread does. */
#ifndef CLOCKSCOPE_MEETING_H
#define CLOCKSCOPE_MEETING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct meeting {
	pthread_mutex_t lock; /* guards what is waited for */
	pthread_cond_t changed;
	bool (*cancelled)(void); /* asked in the waiting thread: true gives the wait up; NULL: never */
};

void meeting_init(struct meeting *meeting, bool (*cancelled)(void));
void meeting_clear(struct meeting *meeting);

void meeting_begin(struct meeting *meeting);
void meeting_end(struct meeting *meeting);
/* … and wakes those who wait. */
void meeting_end_telling(struct meeting *meeting);

/* Between begin and end: waits a while, until the deadline (ns) at the longest. */
void meeting_wait(struct meeting *meeting, uint64_t deadline);
/* The same, and asks whether to give up. The lock is given up meanwhile. */
bool meeting_is_cancelled(struct meeting *meeting);

#endif
