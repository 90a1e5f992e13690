/* SPDX-License-Identifier: MIT */
/* What stops at branch probes mean: the recorder is told of hits by the test, with stacks, flags and results of its
 * choice, and the trace says whose they were. */
#include "support/trace_support.h"

#include "record/pipeline.h"
#include "record/recorder_internal.h"
#include "relay/relay.h"
#include "rsp/handshake.h"
#include "support/elf_image.h"
#include "support/peer.h"

enum {
	TEXT = 0x2000,
	BRANCHY = 0x2002, /* 2000 test %edi,%edi; 2002 je 2005; nop; test %esi,%esi; 2007 je 200a; 2009 nop; 200a ret */
	LOOPING = 0x2010, /* mov %edi,%ecx; 2012 dec %ecx; 2014 jne 2012; 2016 ret */
	REENTERED = 0x2022, /* 2020 dec %ecx; 2022 jne 2020; 2024 ret */
	ALIGNED = 0x2030,   /* and $-16,%rsp; 2034 test %edi,%edi; 2036 je 2039; 2038 nop; 2039 ret */
	STACK = 0x7000,     /* what is called from there returns to CALLER */
	DEEPER = 0x6800,    /* … to OTHER_CALLER */
	CALLER = 0x1004,
	OTHER_CALLER = 0x1104,
	ZERO_FLAG = 0x40,
};

static const uint8_t text[0x40] = {
	[0x00] = 0x85, 0xff, 0x74, 0x01, 0x90, 0x85, 0xf6, 0x74, 0x01, 0x90, 0xc3, /* */
	[0x10] = 0x89, 0xf9, 0xff, 0xc9, 0x75, 0xfc, 0xc3,                         /* */
	[0x20] = 0xff, 0xc9, 0x75, 0xfc, 0xc3,                                     /* */
	[0x30] = 0x48, 0x83, 0xe4, 0xf0, 0x85, 0xff, 0x74, 0x01, 0x90, 0xc3,       /* */
};

static const struct peer_answer memory[] = {
	{"m2000,b", "85ff74019085f6740190c3"},
	{"m2002,2", "7401"},
	{"m2009,1", "90"},
	{"m200a,1", "c3"},
	{"m2010,7", "89f9ffc975fcc3"},
	{"m2010,2", "89f9"},
	{"m2014,2", "75fc"},
	{"m2016,1", "c3"},
	{"m2020,5", "ffc975fcc3"},
	{"m2022,2", "75fc"},
	{"m2024,1", "c3"},
	{"m2030,a", "4883e4f085ff740190c3"},
	{"m2030,4", "4883e4f0"},
	{"m2038,1", "90"},
	{"m2039,1", "c3"},
	{"m9040,8", "00a0000000000000"}, /* the running task, and its name */
	{"ma010,10", "6b746872656164640000000000000000"},
	{"mb040,8", "0000000000000000"}, /* before the first task */
	{"m40,8", "00a0000000000000"},
	{"m7", "0410000000000000"},
	{"m6", "0411000000000000"},
	{NULL, NULL},
};

struct recording {
	struct peer peer;
	struct peer memory; /* asked by the test's own thread, as the relay's thread asks the other */
	struct stub *stub;
	struct relay *relay;
	struct store *store;
	struct pipeline *pipeline;
	struct recorder *recorder;
	const char *trace;
	int64_t ids[4];
	uint64_t run_ns;
	char elf[32];
};

static void write_elf(char *path)
{
	struct image *image = malloc(sizeof(*image));
	uint16_t section;

	assert_non_null(image);
	image_start(image);
	section = image_section(image, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, TEXT, text, sizeof(text));
	image_symbol(image, "branchy", STT_FUNC, section, TEXT, 11);
	image_symbol(image, "looping", STT_FUNC, section, LOOPING, 7);
	image_symbol(image, "reentered", STT_FUNC, section, 0x2020, 5);
	image_symbol(image, "aligned", STT_FUNC, section, ALIGNED, 10);
	image_finish(image);
	assert_true(image_write(image, image->used, path));
	free(image);
}

static void add_functions(struct recording *recording)
{
	static const char *const names[] = {"branchy", "looping", "reentered", "aligned"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct elf_symbol *symbol = NULL;
		struct pipeline_function added;

		succeed(pipeline_find(recording->pipeline, names[i], &symbol));
		assert_non_null(symbol);
		succeed(pipeline_add(recording->pipeline, symbol, &added));
		recording->ids[i] = added.id;
	}
}

/* A guest that stands, and all four functions watched. */
static void begin(struct recording *recording, void **state, const struct recorder_options *how, bool probe_returns)
{
	static const uint64_t walk[] = {0x1000, 0x3000, 0};
	struct pipeline_options options = {.recorder = *how, .plan = {.probe_returns = probe_returns}};

	*recording = (struct recording){
		.peer = {.walk = walk, .answers = memory},
		.memory = {.walk = walk, .answers = memory},
		.trace = ((struct directory *)*state)->trace,
	};
	write_elf(recording->elf);
	peer_start(&recording->peer);
	peer_start(&recording->memory);
	succeed(stub_connect(recording->memory.path, -1, 5000, 5000, &recording->stub));
	succeed(handshake(recording->stub));
	succeed(relay_create(recording->peer.path, 5000, 5000, NULL, &recording->relay));
	recording->store = start(recording->trace);
	succeed(pipeline_create(recording->relay, recording->store, recording->elf, &options, &recording->pipeline));
	recording->recorder = pipeline_recorder(recording->pipeline);
	add_functions(recording);
}

static void arm(struct recording *recording)
{
	succeed(recorder_arm(recording->recorder, NULL, NULL));
}

/* The trace is whole afterwards. */
static void end(struct recording *recording)
{
	succeed(recorder_stop(recording->recorder));
	succeed(store_close(recording->store, true, "the test ended"));
	pipeline_destroy(recording->pipeline);
	relay_stop(recording->relay);
	relay_destroy(recording->relay);
	store_destroy(recording->store);
	stub_destroy(recording->stub);
	peer_stop(&recording->memory);
	peer_stop(&recording->peer);
	remove(recording->elf);
}

static struct planted *site_at(const struct recording *recording, uint64_t address)
{
	for (struct traced *at = recording->recorder->traced; at; at = at->next)
		for (uint32_t i = 0; i < at->plan->count; i++)
			if (at->sites[i].probe.address.value == address)
				return &at->sites[i];
	return NULL;
}

static struct traced *traced_at(const struct recording *recording, uint64_t address)
{
	struct planted *site = site_at(recording, address);

	assert_non_null(site);
	return site->traced;
}

struct registers_told {
	uint64_t stack;
	uint64_t rax;
	uint64_t flags;
	const char *thread;
};

static void tell_probe(struct recording *recording, struct probe *probe, const struct registers_told *told)
{
	uint8_t g[PEER_G_SIZE] = {0};
	struct probe_hit hit = {
		.address = probe->address,
		.thread = told->thread ? told->thread : "1",
		.registers = g,
		.registers_size = sizeof(g),
		.run_ns = recording->run_ns += 1000,
		.stub = recording->stub,
	};

	memcpy(g + target_find(relay_stub(recording->relay)->target, "rax")->offset, &told->rax, 8);
	memcpy(g + target_find(relay_stub(recording->relay)->target, "rsp")->offset, &told->stack, 8);
	memcpy(g + target_find(relay_stub(recording->relay)->target, "eflags")->offset, &told->flags, 4);
	memcpy(g + target_find(relay_stub(recording->relay)->target, "rip")->offset, &probe->address, 8);
	probe->hit(probe, &hit);
}

/* HIT(&recording, address, .stack = …): the guest has come to a probe of the plans. */
#define HIT(RECORDING, ADDRESS, ...) hit_site(RECORDING, ADDRESS, (struct registers_told){__VA_ARGS__})

static void hit_site(struct recording *recording, uint64_t address, struct registers_told told)
{
	struct planted *site = site_at(recording, address);

	assert_non_null(site);
	tell_probe(recording, &site->probe, &told);
}

static struct recorder_statistics counted(const struct recording *recording)
{
	struct recorder_statistics counts;

	recorder_get_statistics(recording->recorder, &counts);
	return counts;
}

/* The one number that a query of the trace yields. */
static int64_t look_at(const struct recording *recording, const char *sql)
{
	return look(recording->trace, sql);
}

/* Whether the branch was taken by the invocation whose stack that is. */
static int64_t decided(const struct recording *recording, uint64_t stack, uint64_t address)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
		 "SELECT taken FROM decision JOIN invocation ON id = invocation WHERE stack = %llu AND address = %llu",
		 (unsigned long long)stack, (unsigned long long)address);
	return look_at(recording, sql);
}

static const struct recorder_options plain;

/* --- Whose a stop is --- */

static void calls_that_nest(void **state)
{
	struct recording recording;

	begin(&recording, state, &plain, true);
	arm(&recording);
	HIT(&recording, BRANCHY, .stack = STACK);
	HIT(&recording, BRANCHY, .stack = DEEPER, .flags = ZERO_FLAG); /* before the outer one has gone on */
	HIT(&recording, BRANCHY + 8, .stack = DEEPER, .rax = 7);
	HIT(&recording, BRANCHY + 7, .stack = STACK);
	HIT(&recording, BRANCHY + 8, .stack = STACK, .rax = 8);
	assert_int_equal(traced_at(&recording, BRANCHY)->active, 0);
	end(&recording);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation WHERE complete AND returned = 'yes'"), 2);
	assert_int_equal(look_at(&recording, "SELECT value FROM invocation WHERE stack = 0x6800"), 7);
	assert_int_equal(look_at(&recording, "SELECT value FROM invocation WHERE stack = 0x7000"), 8);
	assert_int_equal(look_at(&recording, "SELECT caller FROM invocation WHERE stack = 0x6800"), OTHER_CALLER);
	assert_int_equal(look_at(&recording, "SELECT caller FROM invocation WHERE stack = 0x7000"), CALLER);
	assert_int_equal(look_at(&recording, "SELECT end_seq - seq FROM invocation WHERE stack = 0x7000"), 4);
	assert_int_equal(look_at(&recording, "SELECT end_run_ns - run_ns FROM invocation WHERE stack = 0x6800"), 1000);
	assert_int_equal(decided(&recording, DEEPER, 0x2002), 1);
	assert_int_equal(decided(&recording, DEEPER, 0x2007), 1);
	assert_int_equal(decided(&recording, STACK, 0x2002), 0);
	assert_int_equal(decided(&recording, STACK, 0x2007), 0);
	assert_int_equal(look_at(&recording, "SELECT decision.stop - seq FROM decision JOIN invocation"
					     " ON id = invocation WHERE stack = 0x6800 AND address = 0x2002"),
			 0);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM decision WHERE stop IS NULL AND address = 0x2007"),
			 2);
}

static void a_call_whose_end_was_not_seen(void **state)
{
	struct recording recording;

	begin(&recording, state, &plain, true);
	arm(&recording);
	HIT(&recording, BRANCHY, .stack = STACK, .thread = "1");
	HIT(&recording, BRANCHY, .stack = STACK, .thread = "2"); /* nothing else can be there now */
	assert_int_equal(traced_at(&recording, BRANCHY)->active, 1);
	HIT(&recording, BRANCHY + 7, .stack = STACK);
	HIT(&recording, BRANCHY + 8, .stack = STACK);
	HIT(&recording, BRANCHY, .stack = DEEPER);
	end(&recording);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation"), 3);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation WHERE returned = 'not seen'"
					     " AND end_seq IS NULL AND end_run_ns IS NULL AND value IS NULL"
					     " AND NOT complete"),
			 2);
	assert_int_equal(look_at(&recording, "SELECT thread FROM invocation WHERE complete"), 2);
}

static void stops_of_nobody(void **state)
{
	struct recording recording;

	begin(&recording, state, &plain, true);
	arm(&recording);
	HIT(&recording, BRANCHY + 7, .stack = STACK);
	HIT(&recording, BRANCHY, .stack = STACK);
	HIT(&recording, BRANCHY + 7, .stack = DEEPER); /* another stack */
	HIT(&recording, LOOPING + 4, .stack = STACK);  /* another function */
	HIT(&recording, BRANCHY + 8, .stack = STACK + 8);
	assert_int_equal(counted(&recording).orphans, 4);
	assert_int_equal(counted(&recording).stops, 5);
	assert_int_equal(counted(&recording).seen, 5);
	assert_int_equal(traced_at(&recording, BRANCHY)->active, 1);
	end(&recording);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation"), 1);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM stop"), 5);
}

static void a_stack_of_unknown_depth(void **state)
{
	struct recording recording;
	struct planted *inner;

	begin(&recording, state, &plain, true);
	arm(&recording);
	inner = site_at(&recording, ALIGNED + 8);
	assert_non_null(inner);
	assert_int_equal(inner->planned->stack_offset, PLAN_UNKNOWN_STACK);
	HIT(&recording, ALIGNED, .stack = STACK);
	HIT(&recording, ALIGNED, .stack = DEEPER);
	/* The innermost whose frame can hold it; above all, or far below all, it is nobody's. */
	HIT(&recording, ALIGNED + 8, .stack = DEEPER - 0x20);
	HIT(&recording, ALIGNED + 8, .stack = STACK + 8);
	HIT(&recording, ALIGNED + 8, .stack = DEEPER - 0x10000);
	assert_int_equal(counted(&recording).orphans, 2);
	HIT(&recording, ALIGNED + 9, .stack = DEEPER);
	HIT(&recording, ALIGNED + 9, .stack = STACK);
	HIT(&recording, ALIGNED, .stack = STACK);
	HIT(&recording, ALIGNED, .stack = DEEPER);
	HIT(&recording, ALIGNED + 8, .stack = STACK - 0x20); /* below the outer one's entry, above the inner one's */
	HIT(&recording, ALIGNED + 9, .stack = DEEPER);
	HIT(&recording, ALIGNED + 9, .stack = STACK);
	end(&recording);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation WHERE complete"), 4);
	assert_int_equal(look_at(&recording,
				 "SELECT group_concat(stack, '') = '2662428672' FROM (SELECT stack FROM"
				 " decision JOIN invocation ON id = invocation WHERE NOT taken ORDER BY id)"),
			 1);
}

static void an_entry_in_a_loop(void **state)
{
	struct recording recording;

	begin(&recording, state, &plain, true);
	arm(&recording);
	assert_true(traced_at(&recording, REENTERED)->plan->entry_reenters);
	for (unsigned round = 0; round < 3; round++)
		HIT(&recording, REENTERED, .stack = STACK, .flags = round == 2 ? ZERO_FLAG : 0);
	HIT(&recording, REENTERED, .stack = DEEPER); /* that one is new */
	assert_int_equal(traced_at(&recording, REENTERED)->active, 2);
	HIT(&recording, REENTERED + 2, .stack = STACK);
	assert_int_equal(traced_at(&recording, REENTERED)->active, 1);
	end(&recording);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation"), 2);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM decision JOIN invocation ON id = invocation"
					     " WHERE complete AND stack = 0x7000"),
			 3);
}

/* --- What is in memory --- */

static void text_that_is_another(void **state)
{
	static const uint8_t other[] = {0x75, 0x01};
	struct recording recording;
	struct planted *branch;
	struct plan_probe planned;

	begin(&recording, state, &plain, true);
	arm(&recording);
	branch = site_at(&recording, BRANCHY + 7);
	planned = *branch->planned;
	memcpy(planned.insn.bytes, other, sizeof(other));
	branch->planned = &planned;
	HIT(&recording, BRANCHY, .stack = STACK);
	HIT(&recording, BRANCHY + 7, .stack = STACK);
	assert_true(branch->traced->broken);
	assert_false(branch->verified);
	HIT(&recording, BRANCHY + 8, .stack = STACK); /* nothing that it says is used */
	HIT(&recording, LOOPING, .stack = STACK);     /* others are sound */
	assert_true(site_at(&recording, LOOPING)->verified);
	assert_int_equal(counted(&recording).mismatches, 1);
	assert_int_equal(counted(&recording).stops, 2);
	assert_int_equal(counted(&recording).seen, 4);
	/* What the kernel patches may be anything. */
	branch->traced->broken = false;
	planned.patched = true;
	HIT(&recording, BRANCHY + 7, .stack = STACK);
	assert_int_equal(counted(&recording).mismatches, 1);
	assert_int_equal(counted(&recording).stops, 3);
	end(&recording);
}

/* --- What is watched --- */

static void what_is_in_place(void **state)
{
	struct recording recording;
	struct planted *entry, *branch;

	begin(&recording, state, &plain, true);
	arm(&recording);
	entry = site_at(&recording, BRANCHY);
	branch = site_at(&recording, BRANCHY + 7);
	assert_true(entry->in_place && !branch->in_place);
	HIT(&recording, BRANCHY, .stack = STACK);
	assert_true(entry->in_place && branch->in_place);
	HIT(&recording, BRANCHY, .stack = DEEPER);
	HIT(&recording, BRANCHY + 8, .stack = DEEPER);
	assert_true(branch->in_place);
	HIT(&recording, BRANCHY + 8, .stack = STACK);
	assert_true(entry->in_place && !branch->in_place);
	assert_false(site_at(&recording, LOOPING + 4)->in_place);
	end(&recording);
}

static void a_function_within_others(void **state)
{
	struct recording recording;
	struct planted *child, *grandchild;

	begin(&recording, state, &plain, true);
	succeed(recorder_within(recording.recorder, recording.ids[1], recording.ids[0]));
	succeed(recorder_within(recording.recorder, recording.ids[1], recording.ids[3]));
	succeed(recorder_within(recording.recorder, recording.ids[2], recording.ids[1]));
	arm(&recording);
	child = site_at(&recording, LOOPING);
	grandchild = site_at(&recording, REENTERED);
	assert_false(child->in_place || grandchild->in_place);
	HIT(&recording, BRANCHY, .stack = STACK);
	assert_true(child->in_place && !grandchild->in_place);
	HIT(&recording, ALIGNED, .stack = DEEPER);
	HIT(&recording, BRANCHY + 8, .stack = STACK);
	assert_true(child->in_place); /* the other parent is under way */
	HIT(&recording, LOOPING, .stack = DEEPER - 8);
	assert_true(grandchild->in_place);
	end(&recording);
}

static void gates(void **state)
{
	struct recording recording;
	struct planted *entry;
	struct gate *opens, *closes;

	begin(&recording, state, &plain, true);
	succeed(recorder_gate(recording.recorder, recording.ids[0], (struct link_address){0x1100}, true));
	succeed(recorder_gate(recording.recorder, recording.ids[0], (struct link_address){0x1200}, false));
	arm(&recording);
	entry = site_at(&recording, BRANCHY);
	opens = recording.recorder->gates->opens ? recording.recorder->gates : recording.recorder->gates->next;
	closes = opens == recording.recorder->gates ? opens->next : recording.recorder->gates;
	assert_true(opens->opens && !closes->opens);
	assert_false(entry->in_place);
	tell_probe(&recording, &opens->probe, &(struct registers_told){0});
	assert_true(entry->in_place);
	tell_probe(&recording, &closes->probe, &(struct registers_told){0});
	assert_false(entry->in_place);
	assert_int_equal(counted(&recording).seen, 2);
	assert_int_equal(counted(&recording).stops, 0);
	end(&recording);
}

static void a_place_that_is_come_to_too_often(void **state)
{
	const struct recorder_options often = {.hit_limit = 3};
	struct recording recording;
	struct planted *branch;

	begin(&recording, state, &often, true);
	arm(&recording);
	branch = site_at(&recording, LOOPING + 4);
	HIT(&recording, LOOPING, .stack = STACK);
	HIT(&recording, LOOPING, .stack = DEEPER);
	for (unsigned round = 0; round < 2; round++)
		HIT(&recording, LOOPING + 4, .stack = STACK);
	assert_true(branch->in_place);
	assert_int_equal(counted(&recording).lifted, 0);
	HIT(&recording, LOOPING + 4, .stack = STACK);
	assert_false(branch->in_place);
	assert_int_equal(branch->lifters, 2); /* whoever is under way lacks it */
	assert_int_equal(counted(&recording).lifted, 1);
	HIT(&recording, LOOPING + 4, .stack = STACK); /* one that was under way when it was lifted */
	HIT(&recording, LOOPING, .stack = DEEPER - 0x100);
	assert_int_equal(branch->lifters, 3); /* and who comes meanwhile */
	HIT(&recording, LOOPING + 6, .stack = DEEPER - 0x100);
	HIT(&recording, LOOPING + 6, .stack = DEEPER);
	HIT(&recording, LOOPING + 6, .stack = STACK);
	assert_int_equal(branch->lifters, 0);
	HIT(&recording, LOOPING, .stack = STACK);
	assert_true(branch->in_place);
	HIT(&recording, LOOPING + 4, .stack = STACK, .flags = ZERO_FLAG);
	HIT(&recording, LOOPING + 6, .stack = STACK);
	assert_int_equal(counted(&recording).orphans, 0);
	end(&recording);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation WHERE returned = 'yes'"), 4);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation WHERE complete"), 1);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation WHERE NOT consistent"), 0);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM decision"), 4);
}

static void rounds_that_may_be_a_window(void **state)
{
	struct recording recording;

	begin(&recording, state, &plain, true);
	arm(&recording);
	HIT(&recording, LOOPING, .stack = STACK);
	for (unsigned round = 0; round < RECORDER_OFTEN; round++)
		HIT(&recording, LOOPING + 4, .stack = STACK);
	assert_int_equal(counted(&recording).repeated, 0);
	HIT(&recording, LOOPING + 4, .stack = STACK);
	HIT(&recording, LOOPING + 4, .stack = STACK);
	assert_int_equal(counted(&recording).repeated, 2);
	assert_int_equal(counted(&recording).inside, 0);
	assert_int_equal(counted(&recording).lifted, 0);
	end(&recording);
}

/* --- Returns --- */

static struct return_site *return_to(const struct recording *recording, uint64_t address)
{
	struct return_site *site = recording->recorder->return_sites;

	while (site && site->probe.address.value != address)
		site = site->next;
	return site;
}

static void returns_are_caught_behind_the_call(void **state)
{
	const struct recorder_options catching = {.catch_returns = true};
	struct recording recording;
	struct return_site *site;

	begin(&recording, state, &catching, false);
	arm(&recording);
	HIT(&recording, BRANCHY, .stack = STACK);
	HIT(&recording, LOOPING, .stack = STACK + 0x40);
	HIT(&recording, BRANCHY, .stack = DEEPER);
	site = return_to(&recording, CALLER);
	assert_non_null(site);
	assert_int_equal(site->users, 2);
	assert_int_equal(return_to(&recording, OTHER_CALLER)->users, 1);
	/* Others return there too: theirs is another stack. */
	tell_probe(&recording, &site->probe, &(struct registers_told){.stack = STACK + 0x108});
	tell_probe(&recording, &site->probe, &(struct registers_told){.stack = STACK});
	tell_probe(&recording, &site->probe, &(struct registers_told){.stack = DEEPER + 8});
	assert_int_equal(counted(&recording).stops, 3);
	tell_probe(&recording, &site->probe, &(struct registers_told){.stack = STACK + 0x40 + 8, .rax = 3});
	assert_int_equal(site->users, 1);
	tell_probe(&recording, &site->probe, &(struct registers_told){.stack = STACK + 8, .rax = 5});
	assert_int_equal(site->users, 0);
	assert_int_equal(counted(&recording).stops, 5);
	assert_int_equal(counted(&recording).seen, 8);
	HIT(&recording, BRANCHY, .stack = STACK);
	assert_ptr_equal(return_to(&recording, CALLER), site); /* once for all time */
	assert_int_equal(site->users, 1);
	end(&recording);
	assert_int_equal(look_at(&recording, "SELECT value FROM invocation WHERE stack = 0x7000 AND returned = 'yes'"),
			 5);
	assert_int_equal(look_at(&recording, "SELECT value FROM invocation WHERE stack = 0x7040 AND returned = 'yes'"),
			 3);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation WHERE returned = 'not seen'"), 2);
}

/* By the pointer that lies so far from where each processor has its own; here in a register that the test can set. */
static void the_task_that_runs(void **state)
{
	const struct recorder_options naming = {.task_pointer = 0x40, .task_name = 0x10};
	struct recording recording;

	begin(&recording, state, &naming, true);
	recording.recorder->cpu_base = target_find(relay_stub(recording.relay)->target, "rax");
	arm(&recording);
	HIT(&recording, BRANCHY, .stack = STACK, .rax = 0x9000);
	HIT(&recording, BRANCHY, .stack = DEEPER, .rax = 0xb000);
	HIT(&recording, BRANCHY, .stack = DEEPER - 0x100, .rax = 0);
	end(&recording);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation WHERE trim(task, char(0)) = 'kthreadd'"),
			 1);
	assert_int_equal(look_at(&recording, "SELECT stack FROM invocation WHERE task LIKE 'k%'"), STACK);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation WHERE task = ''"), 2);
}

static void returns_are_not_caught_where_none_asks(void **state)
{
	struct recording recording;

	begin(&recording, state, &plain, false);
	arm(&recording);
	HIT(&recording, BRANCHY, .stack = STACK);
	assert_null(recording.recorder->return_sites);
	end(&recording);
}

static void a_function_that_is_made_to_return(void **state)
{
	struct recording recording;
	struct probe_hit hit = {.address = {BRANCHY}, .thread = "1", .run_ns = 5};
	struct probe *replaced;

	begin(&recording, state, &plain, true);
	succeed(recorder_replaced(recording.recorder, recording.ids[0]));
	arm(&recording);
	replaced = &traced_at(&recording, BRANCHY)->replaced.probe;
	hit.registers = (const uint8_t[PEER_G_SIZE]){0};
	hit.registers_size = PEER_G_SIZE;
	hit.stub = recording.stub;
	recorder_on_replaced(replaced, &hit); /* the intervention did nothing this time */
	assert_int_equal(counted(&recording).stops, 0);
	hit.returns = true;
	hit.value = 9;
	recorder_on_replaced(replaced, &hit);
	recorder_on_hit(&site_at(&recording, BRANCHY)->probe, &hit); /* and its entry is none */
	assert_int_equal(counted(&recording).stops, 1);
	assert_int_equal(traced_at(&recording, BRANCHY)->active, 0);
	end(&recording);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM invocation"), 1);
	assert_int_equal(look_at(&recording, "SELECT value FROM invocation WHERE returned = 'yes' AND end_seq = seq"
					     " AND end_run_ns = run_ns"),
			 9);
	assert_int_equal(look_at(&recording, "SELECT count(*) FROM step"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRACE_TEST(calls_that_nest),
		TRACE_TEST(a_call_whose_end_was_not_seen),
		TRACE_TEST(stops_of_nobody),
		TRACE_TEST(a_stack_of_unknown_depth),
		TRACE_TEST(an_entry_in_a_loop),
		TRACE_TEST(text_that_is_another),
		TRACE_TEST(what_is_in_place),
		TRACE_TEST(a_function_within_others),
		TRACE_TEST(gates),
		TRACE_TEST(a_place_that_is_come_to_too_often),
		TRACE_TEST(rounds_that_may_be_a_window),
		TRACE_TEST(returns_are_caught_behind_the_call),
		TRACE_TEST(the_task_that_runs),
		TRACE_TEST(returns_are_not_caught_where_none_asks),
		TRACE_TEST(a_function_that_is_made_to_return),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
