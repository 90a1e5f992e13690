/*
 * A clock's frequency by regression against the current timecounter. Name, messages and the rule (1 ppm, and no more
 * than one second as that timecounter counts it): FreeBSD's sys/kern/subr_clockcalib.c (c2705ceaeb09, 2022).
 * The one file that uses vector registers: its callers enable them.
 */
#include "kernel.h"

#define UNCERTAINTY 1e-6

/* Sums over the samples, relative to the first: x is the reference, y the clock. */
struct regression {
	double n, x, y, xx, xy, yy;
};

static void regression_add(struct regression *r, double x, double y)
{
	r->n += 1;
	r->x += x;
	r->y += y;
	r->xx += x * x;
	r->xy += x * y;
	r->yy += y * y;
}

/* Sets *slope to y for each x. Returns whether its relative standard error is below UNCERTAINTY. */
static bool regression_slope(const struct regression *r, double *slope)
{
	double vxx = r->xx - r->x * r->x / r->n;
	double vxy = r->xy - r->x * r->y / r->n;
	double vyy = r->yy - r->y * r->y / r->n;
	/* Both counters are whole numbers: a variance of a twelfth each, taken generously. */
	double quantum = r->n;

	if (vxx <= 0)
		return false;
	*slope = vxy / vxx;
	return UNCERTAINTY * UNCERTAINTY * (r->n - 2) * vxy * vxy > (vxx + quantum) * (vyy + quantum) - vxy * vxy;
}

/* The reference's count since its start, though it wraps. */
struct reference {
	struct timecounter *tc;
	u_int last;
	uint64_t elapsed;
};

static uint64_t reference_read(struct reference *r)
{
	u_int now = r->tc->tc_get_timecount(r->tc) & r->tc->tc_counter_mask;

	r->elapsed += (now - r->last) & r->tc->tc_counter_mask;
	r->last = now;
	return r->elapsed;
}

static uint64_t give_up(const char *clkname, const struct timecounter *tc, uint64_t clk, uint64_t t)
{
	printf("Statistical %s calibration failed!  Clocks might be ticking at variable rates.\n", clkname);
	printf("Falling back to slow %s calibration.\n", clkname);
	return (uint64_t)((double)tc->tc_frequency * (double)clk / (double)t);
}

uint64_t clockcalib(uint64_t (*clk)(void), const char *clkname)
{
	struct reference reference = {.tc = timecounter};
	struct regression regression = {0};
	uint64_t n, good = 0, start = clk();
	double slope = 0;

	reference.last = reference.tc->tc_get_timecount(reference.tc) & reference.tc->tc_counter_mask;
	for (n = 1; good * 2 <= n || n < 10; n++) {
		uint64_t y = clk() - start;
		uint64_t x = reference_read(&reference);

		if (x > reference.tc->tc_frequency)
			return give_up(clkname, reference.tc, y, x);
		regression_add(&regression, (double)x, (double)y);
		good = regression_slope(&regression, &slope) ? good + 1 : 0;
		/* Samples at uneven distances: the loop must not run in step with the reference. */
		for (uint64_t until = clk() + y / (n * n); clk() < until;)
			cpu_relax();
	}
	printf("Statistical %s calibration took %lu us and %lu data points\n", clkname,
	       reference.elapsed * 1000000 / reference.tc->tc_frequency, n);
	return (uint64_t)((double)reference.tc->tc_frequency * slope);
}
