/* SPDX-License-Identifier: MIT */
/* The choice of witnesses against brute force: sufficient always, and as cheap as can be nearly always. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/util.h"
#include "flow/witness.h"

#define NODES 11u

struct sample {
	uint32_t first[NODES + 1], to[NODES * NODES], group[NODES];
	double weight[NODES];
	bool fixed[NODES];
	struct witness_graph graph;
};

static uint32_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)(*seed >> 32);
}

/* Node 0 starts, node 1 ends; each other node can be reached, and leads to one to three others. */
static void make_sample(struct sample *sample, uint64_t seed)
{
	bool linked[NODES][NODES] = {{false}};
	uint32_t edges = 0;

	memset(sample, 0, sizeof(*sample));
	for (uint32_t node = 2; node < NODES; node++) {
		uint32_t from = next_random(&seed) % (node - 1);

		linked[from ? from + 1 : 0][node] = true;
	}
	for (uint32_t node = 0; node < NODES; node++) {
		sample->first[node] = edges;
		sample->group[node] = node;
		sample->weight[node] = 1 + next_random(&seed) % 20;
		for (uint32_t i = 0; node != 1 && i < 1 + next_random(&seed) % 2; i++)
			linked[node][1 + next_random(&seed) % (NODES - 1)] = true;
		for (uint32_t to = 1; to < NODES && node != 1; to++)
			if (linked[node][to])
				sample->to[edges++] = to;
	}
	sample->first[NODES] = edges;
	sample->fixed[0] = sample->fixed[1] = true;
	sample->graph = (struct witness_graph){
		.node_count = NODES,
		.first = sample->first,
		.to = sample->to,
		.group_count = NODES,
		.group = sample->group,
		.weight = sample->weight,
		.fixed = sample->fixed,
	};
}

static double cost_of(const struct sample *sample, const bool *watched)
{
	double cost = 0;

	for (uint32_t i = 2; i < NODES; i++)
		cost += watched[i] ? sample->weight[i] : 0;
	return cost;
}

static double cheapest(const struct sample *sample)
{
	double best = 1e9;

	for (uint32_t set = 0; set < 1u << (NODES - 2); set++) {
		bool watched[NODES] = {true, true};
		bool enough;

		for (uint32_t i = 2; i < NODES; i++)
			watched[i] = set >> (i - 2) & 1;
		assert_null(witness_suffices(&sample->graph, watched, &enough));
		if (enough && cost_of(sample, watched) < best)
			best = cost_of(sample, watched);
	}
	return best;
}

static void against_brute_force(void **state)
{
	uint32_t optimal = 0;
	double ours = 0, best = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct sample sample;
		bool watched[NODES];
		double found, least;
		bool enough;

		make_sample(&sample, seed * 0x9e3779b97f4a7c15u);
		assert_null(witness_choose(&sample.graph, watched));
		assert_null(witness_suffices(&sample.graph, watched, &enough));
		assert_true(enough);
		found = cost_of(&sample, watched);
		least = cheapest(&sample);
		assert_true(found >= least - 1e-9);
		optimal += found < least + 1e-9;
		ours += found;
		best += least;
		/* None of the chosen is superfluous. */
		for (uint32_t i = 2; i < NODES; i++) {
			if (!watched[i])
				continue;
			watched[i] = false;
			assert_null(witness_suffices(&sample.graph, watched, &enough));
			assert_false(enough);
			watched[i] = true;
		}
	}
	assert_true(optimal >= 180);
	assert_true(ours <= 1.02 * best);
}

static void a_line_needs_no_witness(void **state)
{
	const uint32_t first[] = {0, 1, 1, 2}, to[] = {2, 1}, group[] = {0, 1, 2};
	const double weight[] = {0, 0, 1};
	const bool fixed[] = {true, true, false};
	const struct witness_graph graph = {3, first, to, 3, group, weight, fixed};
	bool watched[3];

	(void)state;
	assert_null(witness_choose(&graph, watched));
	assert_true(watched[0] && watched[1]);
	assert_false(watched[2]);
}

static void a_loop_needs_one_even_if_dear(void **state)
{
	/* 0 → 2, 2 → 3, 3 → 2 or 1 */
	const uint32_t first[] = {0, 1, 1, 2, 4}, to[] = {2, 3, 2, 1}, group[] = {0, 1, 2, 3};
	const double weight[] = {0, 0, 1000, 999};
	const bool fixed[] = {true, true, false, false};
	const struct witness_graph graph = {4, first, to, 4, group, weight, fixed};
	bool watched[4];

	(void)state;
	assert_null(witness_choose(&graph, watched));
	assert_false(watched[2]);
	assert_true(watched[3]);
}

static void the_seldom_arm_of_a_diamond(void **state)
{
	/* 0 → 2 or 3, both → 1 */
	const uint32_t first[] = {0, 2, 2, 3, 4}, to[] = {2, 3, 1, 1}, group[] = {0, 1, 2, 3};
	const double weight[] = {0, 0, 0.9, 0.2};
	const bool fixed[] = {true, true, false, false};
	const struct witness_graph graph = {4, first, to, 4, group, weight, fixed};
	bool watched[4];

	(void)state;
	assert_null(witness_choose(&graph, watched));
	assert_false(watched[2]);
	assert_true(watched[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_brute_force),
		cmocka_unit_test(a_line_needs_no_witness),
		cmocka_unit_test(a_loop_needs_one_even_if_dear),
		cmocka_unit_test(the_seldom_arm_of_a_diamond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
