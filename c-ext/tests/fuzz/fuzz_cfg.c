/* SPDX-License-Identifier: MIT */
/* Whatever bytes a function consists of: its graph, windows and plan are built, and any events are decoded. The first
 * half of the input is code, the second says what a recorder saw. */
#include <string.h>

#include "arch/arch.h"
#include "base/util.h"
#include "flow/loop_bounds.h"
#include "flow/reconstruct.h"

#define BASE 0x1000u
#define MOST_EVENTS 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_data(void *context, uint64_t address, void *buffer, size_t size)
{
	const struct cfg_code *code = context;

	if (address < code->address || address - code->address > code->size ||
	    size > code->size - (address - code->address))
		return false;
	memcpy(buffer, code->bytes + (address - code->address), size);
	return true;
}

/* Events at the plan's own probes, or nearby. */
static size_t make_events(const struct plan *plan, const uint8_t *data, size_t size, struct path_event *events)
{
	size_t count = size < MOST_EVENTS ? size : MOST_EVENTS;

	for (size_t i = 0; i < count; i++) {
		uint32_t probe = plan->count ? (data[i] >> 3) % plan->count : 0;

		events[i].address.value = plan->count && data[i] != 0xff ? plan->probes[probe].address : BASE + data[i];
		events[i].taken = data[i] & 1;
		events[i].kind = (data[i] & 6) == 6 ? PATH_LIFTED : (data[i] & 6) == 4 ? PATH_RETURN : PATH_HIT;
	}
	return count;
}

static struct cs_error *follow(struct insn_decoder *decoder, const struct cfg_code *code, const uint8_t *data,
			       size_t size)
{
	struct cfg_input input = {
		.entry = BASE, .code = code, .code_count = 1, .read = read_data, .context = (void *)code};
	struct plan_options options = {.intrusive = size & 1, .probe_returns = size & 2, .budget = size % 5};
	struct path_event events[MOST_EVENTS];
	struct windows *windows = NULL;
	struct cfg *cfg = NULL;
	struct plan *plan = NULL;
	struct path *path = NULL;
	struct cs_error *error = cfg_create(decoder, &input, &cfg);

	if (!error) {
		bounds_find(decoder, cfg);
		error = windows_create(decoder, cfg, NULL, &windows);
	}
	if (!error)
		error = plan_create(cfg, windows, &options, &plan);
	if (!error)
		error = path_create(cfg, windows, plan, events, make_events(plan, data, size, events), &path);
	path_destroy(path);
	plan_destroy(plan);
	windows_destroy(windows);
	cfg_destroy(cfg);
	return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cfg_code code = {.address = BASE, .bytes = data, .size = size / 2};
	struct insn_decoder *decoder = NULL;

	if (size < 4 || size > 4096 || insn_decoder_create(arch_at(0), &decoder))
		return 0;
	cs_error_destroy(follow(decoder, &code, data + size / 2, size - size / 2));
	insn_decoder_destroy(decoder);
	return 0;
}
