/* SPDX-License-Identifier: MIT */
/* Event timers: registration and choice. Names: FreeBSD's sys/kern/kern_et.c. */
#include "kernel.h"

static struct eventtimer *eventtimers;

int et_register(struct eventtimer *et)
{
	struct eventtimer **link = &eventtimers;

	while (*link && (*link)->et_quality >= et->et_quality)
		link = &(*link)->et_all;
	et->et_all = *link;
	*link = et;
	printf("Event timer \"%s\" frequency %lu Hz quality %d\n", et->et_name, et->et_frequency, et->et_quality);
	return 0;
}

struct eventtimer *et_find(void)
{
	struct eventtimer *et = eventtimers;

	while (et && et->et_frequency == 0)
		et = et->et_all;
	return et;
}

int et_init(struct eventtimer *et, et_event_cb_t *event)
{
	et->et_active = 1;
	et->et_event_cb = event;
	printf("model: event timer is \"%s\"\n", et->et_name);
	return 0;
}

int et_start(struct eventtimer *et, uint64_t first_ns, uint64_t period_ns)
{
	return et->et_active ? et->et_start(et, first_ns, period_ns) : -1;
}
