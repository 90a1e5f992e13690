/* SPDX-License-Identifier: MIT */
/*
 * A clock's frequency by regression against the current timecounter. Name, messages and the rule (1 ppm, and no more
 * than one second as that timecounter counts it): FreeBSD's sys/kern/subr_clockcalib.c (c2705ceaeb09, 2022).
 * In whole numbers, where FreeBSD uses floating point: vector registers would keep the model from weak KVMs.
 */
#include "kernel.h"

typedef unsigned __int128 wide;

/* Sums over the samples, relative to the first: x is the reference, y the clock. */
struct regression {
	uint64_t n;
	wide x, y, xx, xy, yy;
};

/* By n squared: variances and covariance. */
struct variances {
	wide xx, xy, yy;
};

static void regression_add(struct regression *r, uint64_t x, uint64_t y)
{
	r->n++;
	r->x += x;
	r->y += y;
	r->xx += (wide)x * x;
	r->xy += (wide)x * y;
	r->yy += (wide)y * y;
}

static struct variances regression_variances(const struct regression *r)
{
	return (struct variances){
		.xx = r->n * r->xx - r->x * r->x,
		.xy = r->n * r->xy - r->x * r->y,
		.yy = r->n * r->yy - r->y * r->y,
	};
}

/* How many low bits to drop so that 60 remain. */
static unsigned excess_bits(wide value)
{
	uint64_t high = (uint64_t)(value >> 60);

	return high ? 64 - (unsigned)__builtin_clzll(high) : 0;
}

/*
 * Whether the slope's relative standard error is below 2^-20, about 1 ppm: (xx * yy - xy^2) / (xy^2 * (n - 2)) < 2^-40.
 * Both counters are whole numbers, hence the quantum; products need 120 bits, hence the shifts.
 */
static bool slope_is_certain(const struct variances *v, uint64_t n)
{
	wide quantum = (wide)n * n;
	unsigned drop_x = (excess_bits(v->xx + quantum) + 1) & ~1u;
	unsigned drop_y = (excess_bits(v->yy + quantum) + 1) & ~1u;
	wide xx = (v->xx + quantum) >> drop_x;
	wide yy = (v->yy + quantum) >> drop_y;
	wide xy = v->xy >> (drop_x + drop_y) / 2;

	return n > 2 && xx * yy - xy * xy < (xy * xy >> 40) * (n - 2);
}

/* a * b / c, whose result must fit in 64 bits. */
static uint64_t multiply_divide(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t low, high;

	__asm__("mulq %3; divq %4" : "=&a"(low), "=&d"(high) : "0"(a), "r"(b), "r"(c) : "cc");
	return low;
}

/* Hz of the clock: the slope times the reference's Hz. */
static uint64_t slope_frequency(const struct variances *v, uint64_t reference_hz)
{
	unsigned drop = excess_bits(v->xx > v->xy ? v->xx : v->xy);

	return multiply_divide(reference_hz, (uint64_t)(v->xy >> drop), (uint64_t)(v->xx >> drop));
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

/*
 * Takes samples until the slope is certain, for more than half of them, so that one lucky moment does not end it.
 * Returns false when a second has passed, as the reference counts it. *elapsed is what the clock counted meanwhile.
 */
POLLING static bool take_samples(uint64_t (*clk)(void), struct reference *reference, struct regression *regression,
				 uint64_t *elapsed)
{
	struct variances variances;
	uint64_t good = 0, start = clk();

	do {
		uint64_t y = clk() - start;
		uint64_t x = reference_read(reference);

		*elapsed = y;
		if (x > reference->tc->tc_frequency)
			return false;
		regression_add(regression, x, y);
		variances = regression_variances(regression);
		good = slope_is_certain(&variances, regression->n) ? good + 1 : 0;
		/* At uneven distances: the loop must not run in step with the reference. */
		for (uint64_t until = clk() + y / (regression->n * regression->n); clk() < until;)
			cpu_relax();
	} while (good * 2 <= regression->n);
	return true;
}

uint64_t clockcalib(uint64_t (*clk)(void), const char *clkname)
{
	struct reference reference = {.tc = timecounter};
	struct regression regression = {0};
	struct variances variances;
	uint64_t hertz = reference.tc->tc_frequency, elapsed;

	reference.last = reference.tc->tc_get_timecount(reference.tc) & reference.tc->tc_counter_mask;
	if (!take_samples(clk, &reference, &regression, &elapsed)) {
		printf("Statistical %s calibration failed!  Clocks might be ticking at variable rates.\n", clkname);
		printf("Falling back to slow %s calibration.\n", clkname);
		return multiply_divide(hertz, elapsed, reference.elapsed);
	}
	printf("Statistical %s calibration took %lu us and %lu data points\n", clkname,
	       multiply_divide(reference.elapsed, 1000000, hertz), regression.n);
	variances = regression_variances(&regression);
	return slope_frequency(&variances, hertz);
}
