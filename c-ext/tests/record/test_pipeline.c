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

static void write_elf(char *path)
{
	struct image *image = malloc(sizeof(*image));
	uint16_t text;

	assert_non_null(image);
	image_start(image);
	text = image_section(image, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0x2000, code, sizeof(code));
	image_symbol(image, "traced", STT_FUNC, text, 0x2000, sizeof(code));
	image_finish(image);
	assert_true(image_write(image, image->used, path));
	free(image);
}

static void begin(struct recording *recording, const char *trace)
{
	struct pipeline_options options = {
		.recorder = {.catch_returns = true},
		.plan = {.probe_returns = true},
		.release = count_release,
		.context = &recording->released,
	};

	*recording = (struct recording){.peer = {.walk = walk, .answers = answers}};
	write_elf(recording->elf);
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

static void a_recording(void **state)
{
	const char *trace = ((struct directory *)*state)->trace;
	struct pipeline_function added;
	struct recording recording;
	FREE char *stop = NULL;

	begin(&recording, trace);
	add(&recording, &added);
	assert_int_equal(added.analysis->cfg->block_count, 3);
	assert_string_equal(added.note, "");
	succeed(recorder_arm(pipeline_recorder(recording.pipeline), NULL, NULL));
	succeed(relay_resume(recording.relay, NULL));
	succeed(relay_wait(recording.relay, 5000, &stop));
	assert_string_equal(stop ? stop : "(none)", "W00");
	succeed(recorder_stop(pipeline_recorder(recording.pipeline)));
	succeed(store_close(recording.store, true, "the guest ended"));
	end(&recording);
	assert_int_equal(look(trace, "SELECT count(*) FROM invocation WHERE complete AND consistent"), 2);
	assert_int_equal(look(trace, "SELECT count(*) FROM decision WHERE address = 0x2002 AND NOT taken"), 2);
	assert_int_equal(look(trace, "SELECT count(*) FROM step"), 6);
}

static void what_is_not_there(void **state)
{
	const char *trace = ((struct directory *)*state)->trace;
	const struct elf_symbol *symbol = NULL;
	struct pipeline *pipeline = NULL;
	struct pipeline_options options = {0};
	struct recording recording;

	begin(&recording, trace);
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
		TRACE_TEST(what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
