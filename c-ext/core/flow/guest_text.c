/* SPDX-License-Identifier: MIT */
#include "flow/guest_text.h"

#include <string.h>

#include "arch/arch.h"
#include "arch/moved.h"
#include "base/util.h"

/* The patched place that an address is in, or NULL. */
static const struct site *site_around(const struct sites *sites, uint64_t address)
{
	size_t count;
	const struct site *items = sites_between(sites, address, address + 1, &count);

	for (size_t i = 0; i < count; i++)
		if (site_is_patched(items[i].kind) && address - items[i].address < items[i].length)
			return &items[i];
	return NULL;
}

/* A patched place that begins with a breakpoint is half-written: all of it is taken from the ELF. Behind a return that
 * was patched in, breakpoints are what the kernel fills up with. */
static void restore_site(const struct site *site, uint8_t breakpoint, const uint8_t *original, uint64_t address,
			 uint8_t *bytes, size_t size)
{
	uint64_t at = site->address - address;

	if (at < size && site->length <= size - at && bytes[at] == breakpoint && original[at] != breakpoint)
		memcpy(bytes + at, original + at, site->length);
}

static void restore_breakpoints(const struct analyser *analyser, const uint8_t *original, uint64_t address,
				uint8_t *bytes, size_t size)
{
	uint8_t breakpoint = insn_decoder_arch(analyser_decoder(analyser))->breakpoint;

	for (size_t i = 0; i < size; i++) {
		const struct site *site;

		if (bytes[i] != breakpoint || original[i] == breakpoint)
			continue;
		site = site_around(analyser_sites(analyser), address + i);
		if (site)
			restore_site(site, breakpoint, original, address, bytes, size);
		else
			bytes[i] = original[i];
	}
}

struct source {
	const struct placement *placement;
	guest_text_reader *reader;
	void *context;
};

static struct cs_error *read_part(struct analyser *analyser, const struct analysis_range *range,
				  const struct source *source, struct guest_text *text)
{
	struct run_address there = placement_run(source->placement, (struct link_address){range->start});
	size_t size = range->end - range->start;
	const uint8_t *original = elf_bytes(analyser_elf(analyser), range->start, size);
	struct analysis_text *part = &text->parts[text->count];
	FREE uint8_t *bytes = original && size ? malloc(size) : NULL;
	uint64_t different = UINT64_MAX;
	struct cs_error *error;

	if (!bytes)
		return original && size ? &cs_error_no_memory : NULL;
	error = source->reader(source->context, there, bytes, size);
	if (error && error->code == CS_ERROR_REFUSED) {
		cs_error_destroy(error);
		return NULL;
	}
	if (error)
		return error;
	moved_back(insn_decoder_arch(analyser_decoder(analyser)), source->placement, original, bytes, size);
	restore_breakpoints(analyser, original, range->start, bytes, size);
	*part = (struct analysis_text){range->start, bytes, size};
	CS_TRY(analysis_compare(analyser, part, &different));
	if (text->different == UINT64_MAX)
		text->different = different;
	part->bytes = TAKE_PTR(bytes);
	text->count++;
	return NULL;
}

struct cs_error *guest_text_read(struct analyser *analyser, const struct elf_symbol *symbol,
				 const struct placement *placement, guest_text_reader *reader, void *context,
				 struct guest_text *ret)
{
	const struct source source = {placement, reader, context};
	struct analysis_range ranges[ANALYSIS_MAX_RANGES];
	size_t count;

	*ret = (struct guest_text){.different = UINT64_MAX};
	CS_TRY(analysis_ranges(analyser, symbol, ranges, ANALYSIS_MAX_RANGES, &count));
	for (size_t i = 0; i < count; i++) {
		struct cs_error *error = read_part(analyser, &ranges[i], &source, ret);

		if (error) {
			guest_text_release(ret);
			return error;
		}
	}
	return NULL;
}

void guest_text_release(struct guest_text *text)
{
	for (size_t i = 0; i < text->count; i++)
		free((void *)text->parts[i].bytes);
	text->count = 0;
}

struct cs_error *guest_text_analyse(struct analyser *analyser, const struct elf_symbol *symbol,
				    const struct guest_text *text, const struct analysis_options *options,
				    struct analysis **ret)
{
	struct analysis_options with_text = *options;
	struct cs_error *error;

	with_text.text = text->parts;
	with_text.text_count = text->count;
	error = analysis_create(analyser, symbol, &with_text, ret);
	if (!error || !text->count || (error->code != CS_ERROR_FORMAT && error->code != CS_ERROR_REFUSED))
		return error;
	cs_error_destroy(error);
	return analysis_create(analyser, symbol, options, ret);
}
