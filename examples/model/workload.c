/* SPDX-License-Identifier: MIT */
#include "workload.h"

#include "machine/console.h"
#include "machine/cpu.h"
#include "machine/machine.h"

/* A function to trace: one copy, at its own symbol, called as written. */
#ifdef __clang__
#define TRACED __attribute__((noinline))
#else
#define TRACED __attribute__((noipa))
#endif

uint64_t work_loop(unsigned rows, unsigned columns);
unsigned work_switch(unsigned operation, unsigned value);
unsigned work_tail(unsigned value);
unsigned work_rare(unsigned value);
unsigned work_choice(unsigned value, unsigned limit);
unsigned work_patched(unsigned value);
uint64_t work_recurse(unsigned n);
unsigned work_reentered(bool from_interrupt);
unsigned work_sleeper(unsigned id, unsigned rounds);
uint64_t work_parallel(unsigned cpu, unsigned count);
unsigned work_migrant(unsigned rounds);

/* ---- loop: nested loops, a branch taken now and then, an early exit ---- */

TRACED uint64_t work_loop(unsigned rows, unsigned columns)
{
	uint64_t sum = 0;

	for (unsigned row = 0; row < rows; row++) {
		for (unsigned column = 0; column < columns; column++) {
			if ((row + column) % 3 == 0)
				sum += row * column;
			else if (column > row + 8)
				break;
		}
		if (sum > 100000)
			return sum;
	}
	return sum;
}

static void run_loop(void)
{
	printf("workload loop: 5x3 gives %lu, 20x50 gives %lu\n", work_loop(5, 3), work_loop(20, 50));
}

/* ---- switch: a jump table, a tail call, a cold part ---- */

TRACED unsigned work_switch(unsigned operation, unsigned value)
{
	switch (operation) {
	case 0: return value + 3;
	case 1: return value * 5;
	case 2: return value ^ 0x55;
	case 3: return value << 2;
	case 4: return value / 7;
	case 5: return value > 40 ? value - 40 : 40 - value;
	case 6: return ~value & 0xff;
	case 7: return value % 9;
	default: return 0;
	}
}

TRACED unsigned work_tail(unsigned value)
{
	if (value > 100)
		return value;
	return work_switch(value & 7, value);
}

static __attribute__((cold, noinline)) void report_rare(unsigned value)
{
	printf("workload switch: rare value %u\n", value);
}

TRACED unsigned work_rare(unsigned value)
{
	if (__builtin_expect(value % 16 == 13, 0)) {
		report_rare(value);
		return value / 2;
	}
	return value + 1;
}

static void run_switch(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < 10; i++)
		sum += work_switch(i, 50) + work_tail(i * 15) + work_rare(i);
	sum += work_rare(29);
	printf("workload switch: %u\n", sum);
}

/* ---- choice: a condition without a jump, before a jump on the same flags, and one whose flags are gone ---- */

TRACED unsigned work_choice(unsigned value, unsigned limit)
{
	unsigned least = limit, above = 0;
	bool below;

	asm("cmpl %3, %2\n\tcmovb %2, %0" : "+r"(least), "=@ccb"(below) : "r"(value), "r"(limit));
	if (below)
		return least;
	asm("cmpl %2, %1\n\tseta %b0\n\taddl $10, %0" : "+q"(above) : "r"(value), "r"(limit) : "cc");
	return above;
}

static void run_choice(void)
{
	unsigned least = work_choice(3, 7), same = work_choice(7, 7), above = work_choice(9, 7);

	printf("workload choice: %u, then %u, then %u\n", least, same, above);
}

/* ---- patch: a jump that the kernel writes into its own text while it runs, like Linux's static keys ---- */

struct patch_site {
	uint64_t address, target;
};
extern const struct patch_site patch_sites_begin[], patch_sites_end[]; /* model.ld */

TRACED unsigned work_patched(unsigned value)
{
	__asm__ goto("1: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n" /* a five-byte nop */
		     ".pushsection .patch_sites, \"a\"\n.quad 1b, %l0\n.popsection"
		     :
		     :
		     :
		     : enabled);
	return value + 1;
enabled:
	return value * 2;
}

/* Writes jumps, or nops again. cpuid serialises: this processor fetches the new text from here on. */
static void patch_sites(bool enable)
{
	static const uint8_t nop[5] = {0x0f, 0x1f, 0x44, 0x00, 0x00};

	for (const struct patch_site *site = patch_sites_begin; site < patch_sites_end; site++) {
		volatile uint8_t *text = (volatile uint8_t *)site->address;
		uint32_t distance = (uint32_t)(site->target - site->address - 5);
		bool enabled = interrupts_disable();

		for (unsigned i = 0; i < 5; i++)
			text[i] = !enable ? nop[i] : i == 0 ? 0xe9 : (uint8_t)(distance >> 8 * (i - 1));
		cpuid(0);
		interrupts_restore(enabled);
	}
}

static void run_patch(void)
{
	unsigned before = work_patched(21), during;

	patch_sites(true);
	during = work_patched(21);
	patch_sites(false);
	printf("workload patch: %u, then %u, then %u\n", before, during, work_patched(21));
}

/* ---- recurse ---- */

TRACED uint64_t work_recurse(unsigned n)
{
	if (n < 2)
		return n;
	return work_recurse(n - 1) + work_recurse(n - 2);
}

static void run_recurse(void)
{
	printf("workload recurse: %lu\n", work_recurse(7));
}

/* ---- reenter: the clock interrupt calls the function that it interrupts ---- */

#define REENTRIES 3

static volatile bool reenter_wanted;
static volatile unsigned reentries;

TRACED unsigned work_reentered(bool from_interrupt)
{
	if (from_interrupt)
		return ++reentries;
	while (reentries < REENTRIES)
		cpu_relax();
	return reentries * 10;
}

void workload_tick(void)
{
	if (reenter_wanted && reentries < REENTRIES)
		work_reentered(true);
}

static void run_reenter(void)
{
	unsigned result;

	reentries = 0;
	reenter_wanted = true;
	result = work_reentered(false);
	reenter_wanted = false;
	printf("workload reenter: %u\n", result);
}

/* ---- threads: two, each with a stack of its own, that sleep inside the function ---- */

struct thread {
	uint64_t sp; /* while it does not run */
	unsigned id, result;
	bool finished;
	uint8_t stack[8192] __attribute__((aligned(16)));
};

static struct thread threads[2];
static uint64_t scheduler_sp;

static void thread_sleep(struct thread *thread)
{
	context_switch(&thread->sp, scheduler_sp);
}

TRACED unsigned work_sleeper(unsigned id, unsigned rounds)
{
	unsigned sum = 0;

	for (unsigned round = 0; round < rounds; round++) {
		if ((round & 1) == id)
			sum += 100 * round;
		thread_sleep(&threads[id]);
		sum++;
	}
	return sum;
}

static void thread_main(void *argument)
{
	struct thread *thread = argument;

	thread->result = work_sleeper(thread->id, 4);
	thread->finished = true;
	for (;;)
		thread_sleep(thread);
}

static void run_threads(void)
{
	for (unsigned i = 0; i < 2; i++) {
		threads[i].id = i;
		threads[i].finished = false;
		threads[i].sp = thread_prepare(threads[i].stack, sizeof(threads[i].stack), thread_main, &threads[i]);
	}
	while (!threads[0].finished || !threads[1].finished)
		for (unsigned i = 0; i < 2; i++)
			if (!threads[i].finished)
				context_switch(&scheduler_sp, threads[i].sp);
	printf("workload threads: %u and %u\n", threads[0].result, threads[1].result);
}

/* ---- what the other processors do ---- */

static struct {
	volatile unsigned full;
	void (*function)(unsigned cpu);
} mailboxes[MAX_CPUS];

void workload_serve(unsigned cpu)
{
	for (;;) {
		machine_sleep_until(&mailboxes[cpu].full, 1);
		mailboxes[cpu].function(cpu);
		mailboxes[cpu].full = 0;
	}
}

static void ask(unsigned cpu, void (*function)(unsigned cpu))
{
	mailboxes[cpu].function = function;
	mailboxes[cpu].full = 1;
	machine_wake_others();
}

static void wait_for(unsigned cpu)
{
	while (mailboxes[cpu].full)
		cpu_relax();
}

/* ---- smp: one function on all processors at once ---- */

static uint64_t parallel_results[MAX_CPUS];

TRACED uint64_t work_parallel(unsigned cpu, unsigned count)
{
	uint64_t value = cpu;

	for (unsigned i = 0; i < count; i++) {
		if (value & 1)
			value = value * 3 + 1;
		else
			value = value / 2 + cpu;
	}
	return value;
}

static void run_parallel_here(unsigned cpu)
{
	parallel_results[cpu] = work_parallel(cpu, 40);
}

static void run_smp(void)
{
	for (unsigned cpu = 1; cpu < machine_cpu_count(); cpu++)
		ask(cpu, run_parallel_here);
	run_parallel_here(0);
	for (unsigned cpu = 0; cpu < machine_cpu_count(); cpu++) {
		wait_for(cpu);
		printf("workload smp: cpu %u gives %lu\n", cpu, parallel_results[cpu]);
	}
}

/* ---- migrate: a thread that goes to sleep on one processor and wakes on the other ---- */

static struct thread migrant;
static uint64_t resumer_sp[2];

TRACED unsigned work_migrant(unsigned rounds)
{
	unsigned sum = 0;

	for (unsigned round = 0; round < rounds; round++) {
		if (round % 3 == 0)
			sum += 10;
		/* Back to whoever runs it now: processors 0 and 1 take turns. */
		context_switch(&migrant.sp, resumer_sp[round & 1]);
		sum += round;
	}
	return sum;
}

static void migrant_main(void *argument)
{
	(void)argument;
	migrant.result = work_migrant(6);
	migrant.finished = true;
	context_switch(&migrant.sp, resumer_sp[0]);
	panic("a finished thread was resumed");
}

static void resume_migrant(unsigned cpu)
{
	context_switch(&resumer_sp[cpu], migrant.sp);
}

static void run_migrate(void)
{
	if (machine_cpu_count() < 2) {
		printf("workload migrate: needs two processors\n");
		return;
	}
	migrant.sp = thread_prepare(migrant.stack, sizeof(migrant.stack), migrant_main, NULL);
	for (migrant.finished = false; !migrant.finished;) {
		resume_migrant(0);
		if (migrant.finished)
			break;
		ask(1, resume_migrant);
		wait_for(1);
	}
	printf("workload migrate: %u\n", migrant.result);
}

/* ---- the table ---- */

static const struct {
	const char *name;
	void (*run)(void);
} workloads[] = {
	{"loop", run_loop},       {"switch", run_switch},   {"choice", run_choice},
	{"patch", run_patch},     {"recurse", run_recurse}, {"reenter", run_reenter},
	{"threads", run_threads}, {"smp", run_smp},         {"migrate", run_migrate},
};

void workload_run(void)
{
	const char *list;

	if (!option_value("workload", &list))
		return;
	for (unsigned i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
		if (list_has(list, workloads[i].name) || list_has(list, "all"))
			workloads[i].run();
}
