/* SPDX-License-Identifier: MIT */
/* From stops to paths and back: every path of small random functions, and long walks through larger ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "flow/loop_bounds.h"
#include "support/random_code.h"

struct subject {
	struct cfg *cfg;
	struct windows *windows;
	struct plan *plan;
};

static void make_subject(const struct random_code *code, const struct plan_options *options, struct subject *ret)
{
	assert_null(random_cfg(code, &ret->cfg));
	assert_null(windows_create(decoder, ret->cfg, NULL, &ret->windows));
	assert_null(plan_create(ret->cfg, ret->windows, options, &ret->plan));
}

static void drop_subject(struct subject *subject)
{
	plan_destroy(subject->plan);
	windows_destroy(subject->windows);
	cfg_destroy(subject->cfg);
}

static bool holds(const uint32_t *blocks, uint32_t count, uint32_t block)
{
	for (uint32_t i = 0; i < count; i++)
		if (blocks[i] == block)
			return true;
	return false;
}

/* Whether what really ran lies within what the decoded steps say, from step `at` and block `from` on. */
static bool matches(const struct path *path, uint32_t at, const struct walk *walk, uint32_t from)
{
	const struct path_step *step = &path->steps[at];
	uint32_t end = from;

	if (at == path->count)
		return from == walk->count;
	if (step->kind == PATH_BLOCK)
		return from < walk->count && walk->blocks[from] == step->block && matches(path, at + 1, walk, from + 1);
	for (;;) {
		bool certain = true;

		for (uint32_t i = step->first; i < step->first + step->count; i++)
			certain &= !path->gap_certain[i] || holds(walk->blocks + from, end - from, path->gap_blocks[i]);
		if (certain && matches(path, at + 1, walk, end))
			return true;
		if (end == walk->count || !holds(path->gap_blocks + step->first, step->count, walk->blocks[end]))
			return false;
		end++;
	}
}

static void check_walk(const struct subject *subject, const struct walk *walk)
{
	struct path *path;

	assert_null(path_create(subject->cfg, subject->windows, subject->plan, walk->events, walk->event_count, &path));
	/* A function whose first block lies in a window has no place for its entry probe, and is not traced. */
	assert_int_equal(path->consistent, subject->plan->entry != PLAN_NO_ENTRY);
	assert_int_equal(path->returned, subject->plan->entry != PLAN_NO_ENTRY);
	assert_true(!path->consistent || matches(path, 0, walk, 0));
	if (subject->plan->determined)
		assert_true(path->complete);
	if (path->complete)
		assert_int_equal(path->count, walk->count);
	path_destroy(path);
}

/* Every walk of at most `limit` blocks, one after the other. */
struct enumeration {
	struct walk *walks;
	uint32_t count, room, limit;
};

static void enumerate(const struct subject *subject, const struct walk *so_far, uint32_t block, struct enumeration *all)
{
	uint32_t ways = walk_ways(subject->cfg, block);

	for (uint32_t way = 0; way < ways; way++) {
		struct walk walk = *so_far;

		walk_block(subject->cfg, subject->plan, &walk, block, way);
		if (walk.finished && all->count < all->room)
			all->walks[all->count++] = walk;
		if (!walk.finished && walk.count < all->limit && all->count < all->room)
			enumerate(subject, &walk, subject->cfg->edges[subject->cfg->blocks[block].next + way].to, all);
	}
}

static int compare_events(const void *left, const void *right)
{
	const struct walk *a = left, *b = right;

	if (a->event_count != b->event_count)
		return a->event_count < b->event_count ? -1 : 1;
	for (uint32_t i = 0; i < a->event_count; i++) {
		const struct path_event *x = &a->events[i], *y = &b->events[i];

		if (x->address.value != y->address.value)
			return x->address.value < y->address.value ? -1 : 1;
		if (x->taken != y->taken)
			return x->taken ? 1 : -1;
		if (x->kind != y->kind)
			return x->kind < y->kind ? -1 : 1;
	}
	return 0;
}

#define MOST_WALKS 600u

static bool check_all_walks(const struct subject *subject, struct walk *room)
{
	struct enumeration all = {.walks = room, .room = MOST_WALKS, .limit = 14};
	struct walk start = {.count = 0};
	bool equal = false;

	enumerate(subject, &start, CFG_ENTRY, &all);
	for (uint32_t i = 0; i < all.count; i++)
		check_walk(subject, &all.walks[i]);
	qsort(all.walks, all.count, sizeof(*all.walks), compare_events);
	for (uint32_t i = 1; i < all.count; i++)
		equal |= compare_events(&all.walks[i - 1], &all.walks[i]) == 0;
	/* Walks of the same stops: none where the plan says it determines them. */
	assert_false(equal && subject->plan->determined);
	return equal;
}

static void each_path_of_small_functions(void **state)
{
	struct walk *room = calloc(MOST_WALKS, sizeof(*room));
	uint32_t determined = 0, ambiguous = 0;

	(void)state;
	assert_non_null(room);
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		uint64_t random = seed * 0x9e3779b97f4a7c15u;
		struct plan_options options = {
			.probe_returns = seed % 3 == 0, .budget = seed % 5 == 0 ? 3 : 0, .intrusive = seed % 7 == 0};
		struct random_code code;
		struct subject subject;

		random_function(&code, 3 + next_random(&random) % 6, &random, seed % 2 ? 0 : 30);
		make_subject(&code, &options, &subject);
		ambiguous += check_all_walks(&subject, room);
		determined += subject.plan->determined;
		if (!options.budget && (seed % 2 || options.intrusive))
			assert_true(subject.plan->determined);
		drop_subject(&subject);
	}
	free(room);
	/* Both sides of the property have been met often enough to mean something. */
	assert_in_range(determined, 1000, 1490);
	assert_in_range(ambiguous, 50, 500);
}

/* A random walk that finishes, or not within its room. */
static bool random_walk(const struct subject *subject, uint64_t *seed, struct walk *walk)
{
	uint32_t block = CFG_ENTRY;

	memset(walk, 0, sizeof(*walk));
	while (walk->count < WALK_BLOCKS) {
		uint32_t ways = walk_ways(subject->cfg, block);
		uint32_t way;

		if (!ways)
			return false;
		way = next_random(seed) % ways;
		walk_block(subject->cfg, subject->plan, walk, block, way);
		if (walk->finished)
			return true;
		block = subject->cfg->edges[subject->cfg->blocks[block].next + way].to;
	}
	return false;
}

static void long_walks_through_larger_functions(void **state)
{
	uint32_t walked = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		uint64_t random = seed * 0xd1342543de82ef95u;
		struct plan_options options = {.probe_returns = seed % 2};
		struct random_code code;
		struct subject subject;
		struct walk walk;

		random_function(&code, CODE_BLOCKS, &random, seed % 3 ? 0 : 15);
		make_subject(&code, &options, &subject);
		for (int i = 0; i < 20; i++) {
			if (!random_walk(&subject, &random, &walk))
				continue;
			check_walk(&subject, &walk);
			walked++;
		}
		drop_subject(&subject);
	}
	assert_in_range(walked, 2000, 6000);
}

/* arch/x86/kernel/tsc.c, tsc_read_refs() of Debian's 6.1, but for its loads: up to five tries of rdtsc, reference,
 * rdtsc. */
static const uint8_t read_refs[] = {
	0x41, 0x56,                   /* 00 push %r14 */
	0x41, 0xbe, 5,    0,    0, 0, /* 02 mov $5,%r14d */
	0x0f, 0x31,                   /* 08 rdtsc */
	0x85, 0xed,                   /* 0a test %ebp,%ebp */
	0x74, 0x16,                   /* 0c je 24 */
	0x89, 0xc0,                   /* 0e mov %eax,%eax */
	0x0f, 0x31,                   /* 10 rdtsc */
	0x48, 0x39, 0xda,             /* 12 cmp %rbx,%rdx */
	0x72, 0x0a,                   /* 15 jb 21 */
	0x41, 0x83, 0xee, 0x01,       /* 17 sub $1,%r14d */
	0x75, 0xeb,                   /* 1b jne 08 */
	0x31, 0xc0,                   /* 1d xor %eax,%eax: all tries rejected */
	0xeb, 0x00,                   /* 1f jmp 21 */
	0x41, 0x5e,                   /* 21 pop %r14 */
	0xc3,                         /* 23 ret */
	0x31, 0xc0,                   /* 24 xor %eax,%eax */
	0xeb, 0xe6,                   /* 26 jmp 0e */
};

static void make_literal(const uint8_t *bytes, size_t size, const struct plan_options *options, struct subject *ret)
{
	struct cfg_code part = {.address = 0, .bytes = bytes, .size = size};
	struct cfg_input input = {.entry = 0, .code = &part, .code_count = 1};

	assert_null(cfg_create(decoder, &input, &ret->cfg));
	bounds_find(decoder, ret->cfg);
	assert_null(windows_create(decoder, ret->cfg, NULL, &ret->windows));
	assert_null(plan_create(ret->cfg, ret->windows, options, &ret->plan));
}

static void tries_in_a_window(void **state)
{
	struct plan_options options = {.probe_returns = true};
	struct path_event accepted[] = {{.address = {0x00}}, {.address = {0x23}}};
	struct path_event rejected[] = {{.address = {0x00}}, {.address = {0x1d}}, {.address = {0x23}}};
	struct subject subject;
	struct path *path;

	(void)state;
	make_literal(read_refs, sizeof(read_refs), &options, &subject);
	assert_false(subject.plan->determined);
	assert_int_equal(subject.plan->count, 3);
	assert_null(path_create(subject.cfg, subject.windows, subject.plan, accepted, 2, &path));
	assert_true(path->consistent && path->returned);
	assert_false(path->complete);
	assert_int_equal(path->window_count, 1);
	assert_int_equal(path->windows[0].tries_min, 1);
	assert_int_equal(path->windows[0].tries_max, 5);
	assert_int_equal(path->windows[0].stops_inside, 0);
	path_destroy(path);
	/* Left by its count, the loop went round five times. */
	assert_null(path_create(subject.cfg, subject.windows, subject.plan, rejected, 3, &path));
	assert_int_equal(path->windows[0].tries_min, 5);
	assert_int_equal(path->windows[0].tries_max, 5);
	path_destroy(path);
	drop_subject(&subject);
}

static void tries_that_were_watched(void **state)
{
	struct plan_options options = {.intrusive = true, .probe_returns = true};
	struct subject subject;
	struct path *path;
	struct walk walk = {.count = 0};
	static const uint64_t way[] = {0x00, 0x08, 0x0e, 0x17, 0x08, 0x24, 0x0e, 0x21};

	(void)state;
	make_literal(read_refs, sizeof(read_refs), &options, &subject);
	assert_true(subject.plan->determined);
	for (size_t i = 0; i < ARRAY_SIZE(way); i++) {
		uint32_t block = cfg_block_at(subject.cfg, way[i]);
		uint32_t next = i + 1 < ARRAY_SIZE(way) ? cfg_block_at(subject.cfg, way[i + 1]) : CFG_NONE;
		uint32_t number = 0;

		while (number < subject.cfg->blocks[block].next_count &&
		       subject.cfg->edges[subject.cfg->blocks[block].next + number].to != next)
			number++;
		walk_block(subject.cfg, subject.plan, &walk, block, number);
	}
	check_walk(&subject, &walk);
	assert_null(path_create(subject.cfg, subject.windows, subject.plan, walk.events, walk.event_count, &path));
	assert_int_equal(path->window_count, 1);
	assert_int_equal(path->windows[0].tries_min, 2);
	assert_int_equal(path->windows[0].tries_max, 2);
	assert_true(path->windows[0].stops_inside >= 2);
	path_destroy(path);
	drop_subject(&subject);
}

static void a_lifted_probe_leaves_a_gap(void **state)
{
	static const uint8_t polling[] = {
		0x90,       /* 0 nop */
		0x85, 0xc0, /* 1 test %eax,%eax */
		0x75, 0xfc, /* 3 jne 1 */
		0xc3,       /* 5 ret */
	};
	struct plan_options options = {.probe_returns = false};
	struct path_event events[] = {{.address = {0}},
				      {.address = {3}, .taken = true},
				      {.address = {3}, .taken = true},
				      {.address = {3}, .kind = PATH_LIFTED},
				      {.kind = PATH_RETURN}};
	struct subject subject;
	struct path *path;

	(void)state;
	make_literal(polling, sizeof(polling), &options, &subject);
	assert_null(path_create(subject.cfg, subject.windows, subject.plan, events, ARRAY_SIZE(events), &path));
	assert_true(path->consistent && path->returned);
	assert_false(path->complete);
	assert_int_equal(path->steps[0].kind, PATH_BLOCK);
	assert_int_equal(path->steps[path->count - 1].kind, PATH_GAP);
	path_destroy(path);
	/* Cut short: nothing is said to be complete. */
	assert_null(path_create(subject.cfg, subject.windows, subject.plan, events, 3, &path));
	assert_true(path->consistent);
	assert_false(path->returned || path->complete);
	path_destroy(path);
	drop_subject(&subject);
}

static void events_that_cannot_be(void **state)
{
	struct plan_options options = {.probe_returns = true};
	struct path_event foreign[] = {{.address = {0x00}}, {.address = {0x777}}};
	struct path_event twice[] = {{.address = {0x00}}, {.address = {0x23}}, {.address = {0x23}}};
	struct path_event late[] = {{.address = {0x23}}};
	struct subject subject;
	struct path *path;

	(void)state;
	make_literal(read_refs, sizeof(read_refs), &options, &subject);
	assert_null(path_create(subject.cfg, subject.windows, subject.plan, foreign, 2, &path));
	assert_false(path->consistent || path->complete);
	path_destroy(path);
	assert_null(path_create(subject.cfg, subject.windows, subject.plan, twice, 3, &path));
	assert_false(path->consistent || path->complete);
	path_destroy(path);
	assert_null(path_create(subject.cfg, subject.windows, subject.plan, late, 1, &path));
	assert_false(path->consistent || path->complete);
	path_destroy(path);
	assert_null(path_create(subject.cfg, subject.windows, subject.plan, NULL, 0, &path));
	assert_false(path->consistent || path->complete);
	path_destroy(path);
	path_destroy(NULL);
	drop_subject(&subject);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_path_of_small_functions),
		cmocka_unit_test(long_walks_through_larger_functions),
		cmocka_unit_test(tries_in_a_window),
		cmocka_unit_test(tries_that_were_watched),
		cmocka_unit_test(a_lifted_probe_leaves_a_gap),
		cmocka_unit_test(events_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, decoder_set_up, decoder_tear_down);
}
