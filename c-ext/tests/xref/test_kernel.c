/* SPDX-License-Identifier: MIT */
/* Every function of a kernel's text: graph, windows and plan are built, and hold together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "flow/analysis.h"

#define KERNEL "build/guests/linux-6.1/vmlinux"

struct tally {
	uint32_t functions, blocks, incomplete, undetermined;
	uint64_t insns;
};

static void check_block(const struct cfg *cfg, uint32_t index)
{
	const struct cfg_block *block = &cfg->blocks[index];
	uint64_t address = block->start;

	assert_true(block->insn_count > 0);
	for (uint32_t i = 0; i < block->insn_count; i++) {
		assert_int_equal(cfg->insns[block->insn + i].insn.address, address);
		address = insn_next(&cfg->insns[block->insn + i].insn);
	}
	assert_int_equal(address, block->end);
	for (uint32_t i = block->next; i < block->next + block->next_count; i++) {
		assert_int_equal(cfg->edges[i].from, index);
		assert_true(cfg->edges[i].to < cfg->block_count);
	}
	assert_true(block->next_count || block->exits);
	assert_true(index == CFG_ENTRY || block->dominator < index);
}

static void check_analysis(const struct analysis *analysis, struct tally *tally)
{
	const struct cfg *cfg = analysis->cfg;

	assert_int_equal(cfg->blocks[CFG_ENTRY].start, analysis->symbol.address);
	for (uint32_t i = 0; i < cfg->block_count; i++)
		check_block(cfg, i);
	for (uint32_t i = 0; i < analysis->plan->count; i++) {
		const struct plan_probe *probe = &analysis->plan->probes[i];
		uint32_t insn = cfg_insn_at(cfg, probe->address);

		assert_false(probe->in_window || probe->patched);
		assert_false(analysis->windows->inside[insn]);
		assert_false(cfg->insns[insn].flags & CFG_PATCHED);
	}
	tally->functions++;
	tally->blocks += cfg->block_count;
	tally->insns += cfg->insn_count;
	tally->incomplete += !cfg->complete;
	tally->undetermined += !analysis->plan->determined;
}

static void analyse_all(struct analyser *analyser, struct tally *tally)
{
	const struct analysis_options options = {.plan = {.probe_returns = true}};
	const struct elf_symbol *symbols;
	uint64_t last = 0;
	size_t count;

	assert_null(elf_symbols(analyser_elf(analyser), &symbols, &count));
	for (size_t i = 0; i < count; i++) {
		struct analysis *analysis;

		if (!symbols[i].function || symbols[i].address == last || elf_is_cold_part(symbols[i].name))
			continue;
		last = symbols[i].address;
		assert_null(analysis_create(analyser, &symbols[i], &options, &analysis));
		check_analysis(analysis, tally);
		analysis_destroy(analysis);
	}
}

static void every_function(void **state)
{
	struct tally tally = {0};
	struct analyser *analyser;
	struct elf *elf;
	struct cs_error *error = elf_create(KERNEL, &elf);
	uint64_t began = util_now_ns();

	(void)state;
	if (error)
		fail_msg("%s; run `make -f setup.mk test-guests`", error->message);
	assert_null(analyser_create(elf, &analyser));
	analyse_all(analyser, &tally);
	analyser_destroy(analyser);
	elf_destroy(elf);
	print_message("%u functions, %u blocks, %llu instructions in %.1f s (with sanitizers); %u not complete, "
		      "%u not determined\n",
		      tally.functions, tally.blocks, (unsigned long long)tally.insns,
		      (double)(util_now_ns() - began) / 1e9, tally.incomplete, tally.undetermined);
	assert_true(tally.functions > 40000);
	assert_true(tally.incomplete < tally.functions / 1000);
	assert_true(tally.undetermined < tally.functions / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_function),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
