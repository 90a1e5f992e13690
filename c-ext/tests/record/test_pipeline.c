/* SPDX-License-Identifier: MIT */
/* A whole recording of a branch trace, from C alone: a program's file, a guest that runs it, a trace with its path. */
#include "support/trace_support.h"

#include "record/pipeline.h"
#include "support/elf_image.h"
#include "support/peer.h"

static const uint8_t code[] = {
	0x85, 0xff, /* 2000 test %edi,%edi */
	0x74, 0x01, /* 2002 je 2005 */
	0x90,       /* 2004 nop */
	0xc3,       /* 2005 ret */
};

/* Twice: flags are 0 in this guest, so the branch is not taken. */
static const uint64_t walk[] = {0x1000, 0x2000, 0x2002, 0x2004, 0x2005, 0x1004, 0x2000,
				0x2002, 0x2004, 0x2005, 0x1004, 0x3000, 0};

/* Its memory: what the recorder reads to see that the code is what was analysed. */
static const struct peer_answer answers[] = {
	{"m2000,6", "85ff740190c3"},
	{"m2002,2", "7401"},
	{"m2005,1", "c3"},
	{NULL, NULL},
};

/* The same program, moved as a whole: its addresses with it, and the constant that is one; its caller is elsewhere. */
static const struct placement moved_by = {.offset = 0x1a000000, .low = 0x2000, .last = 0x2fff};

static const uint8_t moving[] = {
	0xbf, 0x00, 0x20, 0x00, 0x00,       /* 2000 mov $0x2000,%edi */
	0x81, 0xff, 0x00, 0x20, 0x00, 0x00, /* 2005 cmp $0x2000,%edi */
	0x74, 0xf8,                         /* 200b je 2005 */
	0xc3,                               /* 200d ret */
	0x90, 0xc3,                         /* 200e caller */
};

static const uint64_t moved_walk[] = {0x1000,     0x1a002000, 0x1a002005, 0x1a00200b, 0x1a00200d, 0x1004,
				      0x1a002000, 0x1a002005, 0x1a00200b, 0x1a00200d, 0x1a00200f, 0};

static const struct peer_answer moved_answers[] = {
	{"m1a002000,e", "bf0020001a81ff0020001a74f8c3"},
	{"m1a002000,5", "bf0020001a"},
	{"m1a00200b,2", "74f8"},
	{"m1a00200d,1", "c3"},
	{"m0,", "0f20001a00000000"}, /* the stack: all return to 200f */
	{NULL, NULL},
};

struct recording {
	struct peer peer;
	struct relay *relay;
	struct store *store;
	struct pipeline *pipeline;
	unsigned released;
	char elf[32];
};

static void count_release(void *context)
{
	++*(unsigned *)context;
}

static void write_elf(char *path, const uint8_t *bytes, size_t size, size_t traced)
{
	struct image *image = malloc(sizeof(*image));
	uint16_t text;

	assert_non_null(image);
	image_start(image);
	text = image_section(image, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0x2000, bytes, size);
	image_symbol(image, "traced", STT_FUNC, text, 0x2000, traced);
	image_symbol(image, "caller", STT_FUNC, text, 0x2000 + traced, size - traced);
	image_finish(image);
	assert_true(image_write(image, image->used, path));
	free(image);
}

static void begin(struct recording *recording, const char *trace, const struct placement *placement)
{
	struct pipeline_options options = {
		.recorder = {.catch_returns = true, .placement = *placement},
		.plan = {.probe_returns = true},
		.release = count_release,
		.context = &recording->released,
	};

	if (placement->offset) {
		*recording = (struct recording){.peer = {.walk = moved_walk, .answers = moved_answers}};
		write_elf(recording->elf, moving, sizeof(moving), 14);
	} else {
		*recording = (struct recording){.peer = {.walk = walk, .answers = answers}};
		write_elf(recording->elf, code, sizeof(code), sizeof(code));
	}
	peer_start(&recording->peer);
	succeed(relay_create(recording->peer.path, 5000, 5000, NULL, &recording->relay));
	recording->store = start(trace);
	succeed(pipeline_create(recording->relay, recording->store, recording->elf, &options, &recording->pipeline));
}

static void add(struct recording *recording, struct pipeline_function *added)
{
	const struct elf_symbol *symbol = NULL;

	succeed(pipeline_find(recording->pipeline, "traced", &symbol));
	assert_non_null(symbol);
	succeed(pipeline_add(recording->pipeline, symbol, added));
	succeed(pipeline_find(recording->pipeline, "traced", &symbol));
	assert_null(symbol);
}

static void end(struct recording *recording)
{
	pipeline_destroy(recording->pipeline);
	relay_stop(recording->relay);
	relay_destroy(recording->relay);
	store_destroy(recording->store);
	assert_int_equal(recording->released, 1);
	peer_stop(&recording->peer);
	remove(recording->elf);
}

static const struct placement in_place;

/* The guest runs to its end; how many stops were not where memory had what was analysed. */
static void run(struct recording *recording)
{
	struct recorder_statistics counts;
	FREE char *stop = NULL;

	succeed(recorder_arm(pipeline_recorder(recording->pipeline), NULL, NULL));
	succeed(relay_resume(recording->relay, NULL));
	succeed(relay_wait(recording->relay, 5000, &stop));
	assert_string_equal(stop ? stop : "(none)", "W00");
	recorder_get_statistics(pipeline_recorder(recording->pipeline), &counts);
	assert_int_equal(counts.mismatches, 0);
	assert_int_equal(counts.orphans, 0);
	succeed(recorder_stop(pipeline_recorder(recording->pipeline)));
	succeed(store_close(recording->store, true, "the guest ended"));
	end(recording);
}

static void a_recording(void **state)
{
	const char *trace = ((struct directory *)*state)->trace;
	struct pipeline_function added;
	struct recording recording;

	begin(&recording, trace, &in_place);
	add(&recording, &added);
	assert_int_equal(added.analysis->cfg->block_count, 3);
	assert_string_equal(added.note, "");
	run(&recording);
	assert_int_equal(look(trace, "SELECT count(*) FROM invocation WHERE complete AND consistent"), 2);
	assert_int_equal(look(trace, "SELECT count(*) FROM decision WHERE address = 0x2002 AND NOT taken"), 2);
	assert_int_equal(look(trace, "SELECT count(*) FROM step"), 6);
}

/* The trace is that of the program in its place; what the guest does is worked out by the bytes that it has. */
static void of_a_program_that_was_moved(void **state)
{
	const char *trace = ((struct directory *)*state)->trace;
	struct pipeline_function added;
	struct recording recording;

	begin(&recording, trace, &moved_by);
	add(&recording, &added);
	assert_int_equal(added.different, UINT64_MAX);
	assert_string_equal(added.note, "");
	assert_int_equal(added.analysis->symbol.address, 0x2000);
	succeed(recorder_gate(pipeline_recorder(recording.pipeline), added.id, (struct link_address){0x200f}, false));
	run(&recording);
	assert_int_equal(look(trace, "SELECT count(*) FROM invocation WHERE complete AND consistent"), 2);
	assert_int_equal(look(trace, "SELECT count(*) FROM decision WHERE address = 0x200b AND NOT taken"), 2);
	assert_int_equal(look(trace, "SELECT count(*) FROM invocation WHERE caller = 0x200f"
				     " AND caller_name = 'caller+0x1'"),
			 2);
	assert_int_equal(look(trace, "SELECT count(*) FROM stop WHERE address BETWEEN 0x2000 AND 0x200d"), 6);
}

static void what_is_not_there(void **state)
{
	const char *trace = ((struct directory *)*state)->trace;
	const struct elf_symbol *symbol = NULL;
	struct pipeline *pipeline = NULL;
	struct pipeline_options options = {0};
	struct recording recording;

	begin(&recording, trace, &in_place);
	fails(pipeline_create(recording.relay, recording.store, "/nonexistent", &options, &pipeline), CS_ERROR_SYSTEM,
	      "/nonexistent");
	assert_null(pipeline);
	succeed(pipeline_find(recording.pipeline, "else", &symbol));
	assert_null(symbol);
	end(&recording);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRACE_TEST(a_recording),
		TRACE_TEST(of_a_program_that_was_moved),
		TRACE_TEST(what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
