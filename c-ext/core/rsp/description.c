/* SPDX-License-Identifier: MIT */
#include "rsp/description.h"

#include <expat.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "base/vector.h"

/* No description of a real stub comes near these. */
#define INCLUDES_MAX 64
#define REGISTERS_MAX 4096
#define BITS_MAX 4096

struct reader {
	struct target *target;
	size_t room; /* in its registers */
	target_fetch *fetch;
	void *context;
	XML_Parser parser; /* of the annex being read */
	size_t includes;
	uint32_t next_number;
	bool in_architecture;
	struct cs_error *error;
};

static struct cs_error *read_annex(struct reader *reader, const char *annex);

static const char *attribute(const char **attributes, const char *name)
{
	for (; attributes[0]; attributes += 2)
		if (strcmp(attributes[0], name) == 0)
			return attributes[1];
	return NULL;
}

/* Reads a decimal number, and nothing behind it, from `low` to `high`. */
static bool read_number(const char *text, uint32_t low, uint32_t high, uint32_t *ret)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long long value;

	if (!digits || text[digits] || digits > 10)
		return false;
	value = strtoull(text, NULL, 10);
	*ret = (uint32_t)value;
	return value >= low && value <= high;
}

static struct cs_error *read_register(const char **attributes, uint32_t next_number, struct target_register *reg)
{
	const char *name = attribute(attributes, "name");
	const char *bits = attribute(attributes, "bitsize");
	const char *number = attribute(attributes, "regnum");

	*reg = (struct target_register){.number = next_number};
	if (!name || !bits || !read_number(bits, 1, BITS_MAX, &reg->bits) ||
	    (number && !read_number(number, 0, UINT32_MAX, &reg->number)))
		return cs_error_create(CS_ERROR_PROTOCOL,
				       "the stub's target description has a register (\"%.40s\") that no machine has",
				       name ? name : "without a name");
	snprintf(reg->name, sizeof(reg->name), "%s", name);
	return NULL;
}

static struct cs_error *add_register(struct reader *reader, const char **attributes)
{
	struct target *target = reader->target;
	struct target_register *reg;

	if (target->count == REGISTERS_MAX)
		return cs_error_create(CS_ERROR_PROTOCOL, "the stub's target description has more than %d registers",
				       REGISTERS_MAX);
	CS_TRY(VECTOR_ROOM(target->registers, target->count + 1, reader->room));
	reg = &target->registers[target->count];
	CS_TRY(read_register(attributes, reader->next_number, reg));
	target->count++;
	reader->next_number = reg->number + 1;
	return NULL;
}

static struct cs_error *include(struct reader *reader, const char **attributes)
{
	const char *href = attribute(attributes, "href");

	if (!href)
		return NULL;
	if (++reader->includes > INCLUDES_MAX)
		return cs_error_create(CS_ERROR_PROTOCOL, "the stub's target description includes more than %d files",
				       INCLUDES_MAX);
	return read_annex(reader, href);
}

static void on_start(void *data, const char *element, const char **attributes)
{
	struct reader *reader = data;

	if (reader->error)
		return;
	reader->in_architecture = strcmp(element, "architecture") == 0;
	if (strcmp(element, "reg") == 0)
		reader->error = add_register(reader, attributes);
	else if (strcmp(element, "xi:include") == 0)
		reader->error = include(reader, attributes);
	if (reader->error)
		XML_StopParser(reader->parser, XML_FALSE);
}

static void on_end(void *data, const char *element)
{
	(void)element;
	((struct reader *)data)->in_architecture = false;
}

static void on_text(void *data, const char *text, int length)
{
	struct reader *reader = data;
	char *to = reader->target->architecture;
	size_t have = strlen(to);

	if (reader->in_architecture && have + (size_t)length < TARGET_NAME_MAX)
		memcpy(to + have, text, (size_t)length); /* the rest of the array is zero */
}

static void free_parser(XML_Parser *parser)
{
	if (*parser)
		XML_ParserFree(*parser);
}

/* expat 2.9 has the same by another name, and deprecates the old one. */
static uint64_t line_of(XML_Parser parser)
{
#if XML_MAJOR_VERSION > 2 || (XML_MAJOR_VERSION == 2 && XML_MINOR_VERSION >= 9)
	return XML_GetCurrentLineNumber64(parser);
#else
	return XML_GetCurrentLineNumber(parser);
#endif
}

static struct cs_error *read_annex(struct reader *reader, const char *annex)
{
	CLEANUP(free_parser) XML_Parser parser = XML_ParserCreate(NULL);
	XML_Parser outer = reader->parser;
	FREE char *text = NULL;
	size_t length = 0;
	enum XML_Status status;

	if (!parser)
		return &cs_error_no_memory;
	CS_TRY(reader->fetch(reader->context, annex, &text, &length));
	XML_SetUserData(parser, reader);
	XML_SetElementHandler(parser, on_start, on_end);
	XML_SetCharacterDataHandler(parser, on_text);
	reader->parser = parser;
	status = XML_Parse(parser, text, (int)length, 1);
	reader->parser = outer;
	if (status == XML_STATUS_ERROR && !reader->error)
		return cs_error_create(CS_ERROR_PROTOCOL,
				       "the stub's target description \"%s\" is no XML: %s, line %lu", annex,
				       XML_ErrorString(XML_GetErrorCode(parser)), (unsigned long)line_of(parser));
	return TAKE_PTR(reader->error);
}

static int by_number(const void *left, const void *right)
{
	const struct target_register *a = left;
	const struct target_register *b = right;

	return (a->number > b->number) - (a->number < b->number);
}

static void lay_out(struct target *target)
{
	if (target->count)
		qsort(target->registers, target->count, sizeof(target->registers[0]), by_number);
	for (size_t i = 0; i < target->count; i++) {
		target->registers[i].offset = target->g_size;
		target->g_size += (target->registers[i].bits + 7) / 8;
	}
}

static void destroy_pointer(struct target **target)
{
	target_destroy(*target);
}

struct cs_error *target_create(target_fetch *fetch, void *context, struct target **ret)
{
	CLEANUP(destroy_pointer) struct target *target = calloc(1, sizeof(*target));
	struct reader reader = {.target = target, .fetch = fetch, .context = context};

	if (!target)
		return &cs_error_no_memory;
	CS_TRY(read_annex(&reader, "target.xml"));
	lay_out(target);
	*ret = TAKE_PTR(target);
	return NULL;
}

struct cs_error *target_create_assumed(const struct arch *arch, struct target **ret)
{
	CLEANUP(destroy_pointer) struct target *target = calloc(1, sizeof(*target));
	size_t count = 0;

	if (!target)
		return &cs_error_no_memory;
	while (arch->assumed[count].name)
		count++;
	target->registers = calloc(count, sizeof(target->registers[0]));
	if (!target->registers)
		return &cs_error_no_memory;
	target->count = count;
	for (uint32_t i = 0; i < count; i++) {
		target->registers[i].number = i;
		target->registers[i].bits = arch->assumed[i].bits;
		snprintf(target->registers[i].name, TARGET_NAME_MAX, "%s", arch->assumed[i].name);
	}
	lay_out(target);
	*ret = TAKE_PTR(target);
	return NULL;
}

void target_destroy(struct target *target)
{
	if (!target)
		return;
	free(target->registers);
	free(target);
}

const struct target_register *target_find(const struct target *target, const char *name)
{
	for (size_t i = 0; i < target->count; i++)
		if (strcmp(target->registers[i].name, name) == 0)
			return &target->registers[i];
	return NULL;
}

uint64_t target_value(const struct target_register *reg, const uint8_t *g, size_t g_length)
{
	size_t bytes = (reg->bits + 7) / 8;
	uint64_t value = 0;

	if (bytes > sizeof(value))
		bytes = sizeof(value);
	if (reg->offset > g_length || bytes > g_length - reg->offset)
		return 0;
	memcpy(&value, g + reg->offset, bytes);
	return value;
}
