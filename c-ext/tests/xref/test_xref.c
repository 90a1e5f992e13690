/* SPDX-License-Identifier: MIT */
/* Each form in which an instruction can name memory, from literal bytes; the assembly stands beside them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "arch/arch.h"
#include "base/util.h"
#include "support/elf_image.h"
#include "xref/call_paths.h"
#include "xref/code_search.h"
#include "xref/pointers.h"
#include "xref/scan.h"
#include "xref/symbol_name.h"

#define R SHAPE_READ
#define W SHAPE_WRITE
#define RW (SHAPE_READ | SHAPE_WRITE)
#define A SHAPE_ADDRESS

struct form {
	const char *assembly;
	uint8_t bytes[INSN_MAX_LENGTH + 1];
	uint8_t length;
	uint8_t memory; /* enum shape_memory */
	uint8_t access;
	uint16_t width;
};

static const struct form forms[] = {
	{"mov %eax,0x10(%rip)", {0x89, 0x05, 0x10, 0, 0, 0}, 6, SHAPE_RELATIVE, W, 4},
	{"mov 0x10(%rip),%rax", {0x48, 0x8b, 0x05, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, R, 8},
	{"movb $1,0x10(%rip)", {0xc6, 0x05, 0x10, 0, 0, 0, 1}, 7, SHAPE_RELATIVE, W, 1},
	{"movw $1,0x10(%rip)", {0x66, 0xc7, 0x05, 0x10, 0, 0, 0, 1, 0}, 9, SHAPE_RELATIVE, W, 2},
	{"movl $1,0x10(%rip)", {0xc7, 0x05, 0x10, 0, 0, 0, 1, 0, 0, 0}, 10, SHAPE_RELATIVE, W, 4},
	{"movq $1,0x10(%rip)", {0x48, 0xc7, 0x05, 0x10, 0, 0, 0, 1, 0, 0, 0}, 11, SHAPE_RELATIVE, W, 8},
	{"mov %eax,0xffffffff82000000", {0x89, 0x04, 0x25, 0, 0, 0, 0x82}, 7, SHAPE_ABSOLUTE, W, 4},
	{"mov 0xffffffff82000000(,%rax,8),%rax", {0x48, 0x8b, 0x04, 0xc5, 0, 0, 0, 0x82}, 8, SHAPE_REGISTER, R, 8},
	{"mov 0xffffffff82000000(,%r12,8),%rax", {0x4a, 0x8b, 0x04, 0xe5, 0, 0, 0, 0x82}, 8, SHAPE_REGISTER, R, 8},
	{"mov %al,0xffffffff82000000(%rdi)", {0x88, 0x87, 0, 0, 0, 0x82}, 6, SHAPE_REGISTER, W, 1},
	{"mov %gs:0x1f40,%eax", {0x65, 0x8b, 0x04, 0x25, 0x40, 0x1f, 0, 0}, 8, SHAPE_ABSOLUTE, R, 4},
	{"incl %gs:0x10(%rip)", {0x65, 0xff, 0x05, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, RW, 4},
	{"movabs %al,0xffffffff82000000", {0xa2, 0, 0, 0, 0x82, 0xff, 0xff, 0xff, 0xff}, 9, SHAPE_ABSOLUTE, W, 1},
	{"movabs 0xffffffff82000000,%rax",
	 {0x48, 0xa1, 0, 0, 0, 0x82, 0xff, 0xff, 0xff, 0xff},
	 10,
	 SHAPE_ABSOLUTE,
	 R,
	 8},
	{"lea 0x10(%rip),%rax", {0x48, 0x8d, 0x05, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, A, 8},
	{"mov $0xffffffff82000000,%rdi", {0x48, 0xc7, 0xc7, 0, 0, 0, 0x82}, 7, SHAPE_NO_MEMORY, 0, 0},
	{"add %eax,0x10(%rip)", {0x01, 0x05, 0x10, 0, 0, 0}, 6, SHAPE_RELATIVE, RW, 4},
	{"add 0x10(%rip),%eax", {0x03, 0x05, 0x10, 0, 0, 0}, 6, SHAPE_RELATIVE, R, 4},
	{"cmp %eax,0x10(%rip)", {0x39, 0x05, 0x10, 0, 0, 0}, 6, SHAPE_RELATIVE, R, 4},
	{"cmpl $1,0x10(%rip)", {0x83, 0x3d, 0x10, 0, 0, 0, 1}, 7, SHAPE_RELATIVE, R, 4},
	{"andl $1,0x10(%rip)", {0x83, 0x25, 0x10, 0, 0, 0, 1}, 7, SHAPE_RELATIVE, RW, 4},
	{"testb $1,0x10(%rip)", {0xf6, 0x05, 0x10, 0, 0, 0, 1}, 7, SHAPE_RELATIVE, R, 1},
	{"notq 0x10(%rip)", {0x48, 0xf7, 0x15, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, RW, 8},
	{"mulq 0x10(%rip)", {0x48, 0xf7, 0x25, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, R, 8},
	{"shll 0x10(%rip)", {0xd1, 0x25, 0x10, 0, 0, 0}, 6, SHAPE_RELATIVE, RW, 4},
	{"imul $2,0x10(%rip),%eax", {0x6b, 0x05, 0x10, 0, 0, 0, 2}, 7, SHAPE_RELATIVE, R, 4},
	{"movzbl 0x10(%rip),%eax", {0x0f, 0xb6, 0x05, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, R, 1},
	{"movslq 0x10(%rip),%rax", {0x48, 0x63, 0x05, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, R, 4},
	{"sete 0x10(%rip)", {0x0f, 0x94, 0x05, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, W, 1},
	{"cmove 0x10(%rip),%eax", {0x0f, 0x44, 0x05, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, R, 4},
	{"lock cmpxchg %ecx,0x10(%rip)",
	 {0xf0, 0x0f, 0xb1, 0x0d, 0x10, 0, 0, 0},
	 8,
	 SHAPE_RELATIVE,
	 RW | SHAPE_PERHAPS,
	 4},
	{"cmpxchg16b %gs:0x10(%rip)",
	 {0x65, 0x48, 0x0f, 0xc7, 0x0d, 0x10, 0, 0, 0},
	 9,
	 SHAPE_RELATIVE,
	 RW | SHAPE_PERHAPS,
	 16},
	{"xchg %rax,0x10(%rip)", {0x48, 0x87, 0x05, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, RW, 8},
	{"lock xadd %eax,0x10(%rip)", {0xf0, 0x0f, 0xc1, 0x05, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, RW, 4},
	{"lock bts $1,0x10(%rip)", {0xf0, 0x0f, 0xba, 0x2d, 0x10, 0, 0, 0, 1}, 9, SHAPE_RELATIVE, RW, 4},
	{"btl $1,0x10(%rip)", {0x0f, 0xba, 0x25, 0x10, 0, 0, 0, 1}, 8, SHAPE_RELATIVE, R, 4},
	{"bts %rax,0x10(%rip)", {0x48, 0x0f, 0xab, 0x05, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, RW, 8},
	{"push 0x10(%rip)", {0xff, 0x35, 0x10, 0, 0, 0}, 6, SHAPE_RELATIVE, R, 8},
	{"pop 0x10(%rip)", {0x8f, 0x05, 0x10, 0, 0, 0}, 6, SHAPE_RELATIVE, W, 8},
	{"call *0x10(%rip)", {0xff, 0x15, 0x10, 0, 0, 0}, 6, SHAPE_RELATIVE, R, 8},
	{"jmp *0xffffffff82000000(,%rax,8)", {0xff, 0x24, 0xc5, 0, 0, 0, 0x82}, 7, SHAPE_REGISTER, R, 8},
	{"movnti %rax,0x10(%rip)", {0x48, 0x0f, 0xc3, 0x05, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, W, 8},
	{"movups %xmm0,0x10(%rip)", {0x0f, 0x11, 0x05, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, W, 16},
	{"movups 0x10(%rip),%xmm0", {0x0f, 0x10, 0x05, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, R, 16},
	{"movss %xmm0,0x10(%rip)", {0xf3, 0x0f, 0x11, 0x05, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, W, 4},
	{"movq %xmm0,0x10(%rip)", {0x66, 0x0f, 0xd6, 0x05, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, W, 8},
	{"movq 0x10(%rip),%xmm0", {0xf3, 0x0f, 0x7e, 0x05, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, R, 8},
	{"vmovdqu %ymm0,0x10(%rip)", {0xc5, 0xfe, 0x7f, 0x05, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, W, 32},
	{"vmovdqu64 %zmm0,0x40(%rip)", {0x62, 0xf1, 0xfe, 0x48, 0x7f, 0x05, 0x40, 0, 0, 0}, 10, SHAPE_RELATIVE, W, 64},
	{"vextracti128 $1,%ymm0,0x10(%rip)",
	 {0xc4, 0xe3, 0x7d, 0x39, 0x05, 0x10, 0, 0, 0, 1},
	 10,
	 SHAPE_RELATIVE,
	 W,
	 16},
	{"movbe %eax,0x10(%rip)", {0x0f, 0x38, 0xf1, 0x05, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, W, 4},
	{"crc32l 0x10(%rip),%eax", {0xf2, 0x0f, 0x38, 0xf1, 0x05, 0x10, 0, 0, 0}, 9, SHAPE_RELATIVE, R, 4},
	{"fnstcw 0x10(%rip)", {0xd9, 0x3d, 0x10, 0, 0, 0}, 6, SHAPE_RELATIVE, W, 2},
	{"fldl 0x10(%rip)", {0xdd, 0x05, 0x10, 0, 0, 0}, 6, SHAPE_RELATIVE, R, 8},
	{"fxsave64 0x10(%rip)", {0x48, 0x0f, 0xae, 0x05, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, W, 512},
	{"xsave64 0x10(%rip)", {0x48, 0x0f, 0xae, 0x25, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, R | W, 576},
	{"xsavec64 0x10(%rip)", {0x48, 0x0f, 0xc7, 0x25, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, W, 576},
	{"xrstor64 0x10(%rip)", {0x48, 0x0f, 0xae, 0x2d, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, R, 576},
	{"sidt 0x10(%rip)", {0x0f, 0x01, 0x0d, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, W, 10},
	{"lidt 0x10(%rip)", {0x0f, 0x01, 0x1d, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, R, 10},
	{"clwb 0x10(%rip)", {0x66, 0x0f, 0xae, 0x35, 0x10, 0, 0, 0}, 8, SHAPE_RELATIVE, 0, 576},
	{"prefetcht0 0x10(%rip)", {0x0f, 0x18, 0x0d, 0x10, 0, 0, 0}, 7, SHAPE_RELATIVE, 0, 16},
	{"nopl 0x0(%rax,%rax,1)", {0x0f, 0x1f, 0x44, 0, 0}, 5, SHAPE_REGISTER, 0, 16},
	{"rdpkru", {0x0f, 0x01, 0xee}, 3, SHAPE_NO_MEMORY, 0, 0},
	{"mov %cr0,%rax", {0x0f, 0x20, 0x00}, 3, SHAPE_NO_MEMORY, 0, 0},
	{"movabs $0x1122334455667788,%rax", {0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11}, 10, 0, 0, 0},
	{"enter $16,$0", {0xc8, 0x10, 0, 0}, 4, SHAPE_NO_MEMORY, 0, 0},
};

static void test_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		const struct form *form = &forms[i];
		struct shape shape = {.length = 0};

		if (!arch_at(0)->shape(form->bytes, sizeof(form->bytes), &shape) || shape.length != form->length ||
		    shape.memory != form->memory || shape.access != form->access || shape.width != form->width)
			fail_msg("%s: length %d, memory %d, access %d, width %d", form->assembly, shape.length,
				 shape.memory, shape.access, shape.width);
		/* Cut anywhere, it is no instruction. */
		for (size_t size = 0; size < form->length; size++)
			assert_false(arch_at(0)->shape(form->bytes, size, &shape));
	}
}

static void test_invalid_and_overlong(void **state)
{
	static const uint8_t invalid[][2] = {{0x06}, {0x9a}, {0xd4}, {0xea}, {0x0f, 0x04}};
	uint8_t prefixes[INSN_MAX_LENGTH + 1];
	struct shape shape;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(invalid); i++)
		assert_false(arch_at(0)->shape(invalid[i], sizeof(invalid[i]), &shape));
	memset(prefixes, 0x66, sizeof(prefixes));
	prefixes[INSN_MAX_LENGTH] = 0x90;
	assert_false(arch_at(0)->shape(prefixes, sizeof(prefixes), &shape));
	assert_true(arch_at(0)->shape(prefixes + 1, sizeof(prefixes) - 1, &shape));
}

static void test_values(void **state)
{
	static const uint8_t store[] = {0x48, 0xc7, 0x05, 0xfe, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x82};
	static const uint8_t call[] = {0xe8, 0xfb, 0xff, 0xff, 0xff};
	static const uint8_t jump[] = {0x74, 0xfe};
	struct shape shape;

	(void)state;
	assert_true(arch_at(0)->shape(store, sizeof(store), &shape));
	assert_int_equal(shape_displacement(&shape, store), -2);
	assert_int_equal((uint64_t)shape_immediate(&shape, store), 0xffffffff82000000);
	assert_false(shape.branches);
	assert_true(arch_at(0)->shape(call, sizeof(call), &shape));
	assert_true(shape.branches && shape.calls);
	assert_int_equal(shape_immediate(&shape, call), -5);
	assert_true(arch_at(0)->shape(jump, sizeof(jump), &shape));
	assert_true(shape.branches && !shape.calls);
	assert_int_equal(shape_immediate(&shape, jump), -2);
}

struct offsets {
	size_t items[64];
	size_t count;
};

static struct cs_error *note_offset(void *context, size_t offset)
{
	struct offsets *offsets = context;

	assert_true(offsets->count < ARRAY_SIZE(offsets->items));
	offsets->items[offsets->count++] = offset;
	return NULL;
}

/* A value is found wherever it stands, whole blocks and the rest behind them alike. */
static void test_scan_finds_every_position(void **state)
{
	uint8_t bytes[101];

	(void)state;
	for (size_t at = 0; at + 4 <= sizeof(bytes); at++) {
		struct offsets offsets = {.count = 0};
		uint32_t value = 0x82000010;

		memset(bytes, 0x55, sizeof(bytes));
		memcpy(bytes + at, &value, sizeof(value));
		assert_null(scan_candidates(bytes, sizeof(bytes), 0xffffffff81000000, 0xffffffff82000010,
					    0xffffffff82000014, note_offset, &offsets));
		assert_int_equal(offsets.count, 1);
		assert_int_equal(offsets.items[0], at);
	}
}

static void test_scan_relative(void **state)
{
	uint8_t bytes[64] = {0};
	/* Relative to itself; to the end of its 4 bytes; to that with an immediate of 1, 2 and 4 bytes behind. */
	static const uint32_t distances[] = {0, 4, 5, 6, 8};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(distances); i++) {
		struct offsets offsets = {.count = 0};
		uint32_t value = (uint32_t)(0x82000000 - (0x81000000 + 20 + distances[i]));

		memset(bytes, 0x55, sizeof(bytes));
		memcpy(bytes + 20, &value, sizeof(value));
		assert_null(scan_candidates(bytes, sizeof(bytes), 0xffffffff81000000, 0xffffffff82000000,
					    0xffffffff82000001, note_offset, &offsets));
		assert_int_equal(offsets.count, 1);
		assert_int_equal(offsets.items[0], 20);
	}
}

static struct cs_error *refuse(void *context, size_t offset)
{
	(void)context;
	(void)offset;
	return &cs_error_no_memory;
}

static void test_scan_stops_at_an_error(void **state)
{
	uint8_t bytes[64] = {0};

	(void)state;
	assert_ptr_equal(scan_candidates(bytes, sizeof(bytes), 0, 0, UINT64_MAX, refuse, NULL), &cs_error_no_memory);
	/* Fewer bytes than a value has hold none. */
	assert_null(scan_candidates(bytes, 3, 0, 0, UINT64_MAX, refuse, NULL));
}

#define TEXT 0xffffffff81000000
#define DATA 0xffffffff82000000

/* Two functions and an object of two fields. The relative displacements count from the next instruction. */
static const uint8_t text[] = {
	/* first: */
	0x89, 0x05, 0xfa, 0xff, 0xff, 0x00, /* mov %eax,object(%rip)        at 0 */
	0x8b, 0x04, 0x25, 4, 0, 0, 0x82,    /* mov object+4,%eax            at 6 */
	0xe9, 0x00, 0x00, 0x00, 0x00,       /* jmp second                   at 13 */
	/* second: */
	0x48, 0xc7, 0xc0, 0, 0, 0, 0x82, /* mov $object,%rax             at 18 */
	0xc3,                            /* ret                          at 25 */
};

static const uint64_t data[] = {0, TEXT + 18};

struct world {
	char path[32];
	struct elf *elf;
	struct xref *xref;
};

static int set_up(void **state)
{
	static struct image image;
	struct world *world = calloc(1, sizeof(*world));
	uint16_t code, variables;

	image_start(&image);
	code = image_section(&image, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, TEXT, text, sizeof(text));
	variables = image_section(&image, ".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, DATA, data, sizeof(data));
	image_symbol(&image, "start_kernel", STT_FUNC, code, TEXT, 18);
	image_symbol(&image, "second", STT_FUNC, code, TEXT + 18, 8);
	image_symbol(&image, "object", STT_OBJECT, variables, DATA, 8);
	image_symbol(&image, "operations", STT_OBJECT, variables, DATA + 8, 8);
	image_finish(&image);
	assert_true(image_write(&image, image.used, world->path));
	assert_null(elf_create(world->path, &world->elf));
	assert_null(xref_create(world->elf, &world->xref));
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	xref_destroy(world->xref);
	elf_destroy(world->elf);
	unlink(world->path);
	free(world);
	return 0;
}

/* Asserts that exactly the given instructions touch what the expression names. */
static void expect_sites(struct world *world, const char *expression, const struct xref_site *expected, size_t count)
{
	struct xref_target target;
	struct xref_sites sites = {0};

	assert_null(xref_variable(world->xref, expression, &target));
	assert_null(xref_accesses(world->xref, &target, &sites));
	assert_int_equal(sites.count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(sites.items[i].address, expected[i].address);
		assert_int_equal(sites.items[i].target, expected[i].target);
		assert_int_equal(sites.items[i].access, expected[i].access);
	}
	xref_sites_clear(&sites);
}

static void test_accesses(void **state)
{
	static const struct xref_site whole[] = {
		{.address = TEXT, .target = DATA, .access = W},
		{.address = TEXT + 6, .target = DATA + 4, .access = R},
		{.address = TEXT + 18, .target = DATA, .access = A},
	};
	const struct xref_site second_field[] = {whole[1], whole[2]};

	expect_sites(*state, "object", whole, 3);
	expect_sites(*state, "object+4", second_field, 2);
	expect_sites(*state, "0xffffffff82000004", second_field, 2);
	expect_sites(*state, "operations", NULL, 0);
}

static void test_callers_and_pointers(void **state)
{
	struct world *world = *state;
	const struct elf_symbol *root, *function;
	struct xref_graph *graph;
	struct xref_sites calls = {0}, pointers = {0};
	struct xref_paths paths = {0};

	assert_null(xref_function(world->xref, "second", &function));
	assert_null(xref_function(world->xref, "start_kernel", &root));
	assert_null(xref_graph_create(world->xref, &graph));
	assert_null(xref_graph_callers(graph, function, &calls));
	assert_int_equal(calls.count, 1);
	assert_int_equal(calls.items[0].address, TEXT + 13);
	assert_int_equal(calls.items[0].kind, XREF_JUMP);
	assert_null(xref_graph_pointers(graph, function, &pointers));
	assert_int_equal(pointers.count, 1);
	assert_int_equal(pointers.items[0].address, DATA + 8);
	assert_int_equal(pointers.items[0].kind, XREF_POINTER);
	assert_null(xref_graph_paths(graph, &root, 1, function, &paths));
	assert_int_equal(paths.count, 1);
	assert_int_equal(paths.items[0].count, 2);
	assert_int_equal(paths.items[0].pointers, 0);
	assert_string_equal(paths.items[0].steps[0].symbol->name, "start_kernel");
	xref_paths_clear(&paths);
	xref_sites_clear(&calls);
	xref_sites_clear(&pointers);
	xref_graph_destroy(graph);
}

static void expect_error(struct cs_error *error, enum cs_error_code code, const char *part)
{
	assert_non_null(error);
	assert_int_equal(error->code, code);
	assert_non_null(strstr(error->message, part));
	cs_error_destroy(error);
}

static void test_mistakes(void **state)
{
	struct world *world = *state;
	struct xref_target target;
	const struct elf_symbol *function;

	expect_error(xref_variable(world->xref, "objekt", &target), CS_ERROR_NOT_FOUND, "did you mean object?");
	expect_error(xref_function(world->xref, "secon", &function), CS_ERROR_NOT_FOUND, "did you mean second?");
	expect_error(xref_variable(world->xref, "object+8", &target), CS_ERROR_ARGUMENT, "8 bytes");
	expect_error(xref_variable(world->xref, "object+x", &target), CS_ERROR_ARGUMENT, "no offset");
	expect_error(xref_variable(world->xref, "object.field", &target), CS_ERROR_NOT_FOUND, "DWARF");
	expect_error(xref_variable(world->xref, "file.c:", &target), CS_ERROR_ARGUMENT, "no name");
	expect_error(xref_function(world->xref, "0x10", &function), CS_ERROR_NOT_FOUND, "no function at 0x10");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_invalid_and_overlong),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_scan_finds_every_position),
		cmocka_unit_test(test_scan_relative),
		cmocka_unit_test(test_scan_stops_at_an_error),
		cmocka_unit_test_setup_teardown(test_accesses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_callers_and_pointers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mistakes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
