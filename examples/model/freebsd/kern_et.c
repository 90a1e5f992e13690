/* Event timers: registration and choice. Names: FreeBSD's sys/kern/kern_et.c. */
#include "kernel.h"

static struct eventtimer *eventtimers;

int et_register(struct eventtimer *et)
{
	struct eventtimer **link = &eventtimers;

	while (*link && (*link)->et_quality >= et->et_quality)
		link = &(*link)->et_next;
	et->et_next = *link;
	*link = et;
	printf("Event timer \"%s\" frequency %lu Hz quality %d\n", et->et_name, et->et_frequency, et->et_quality);
	return 0;
}

struct eventtimer *et_find(void)
{
	struct eventtimer *et = eventtimers;

	while (et && et->et_frequency == 0)
		et = et->et_next;
	return et;
}
