/* SPDX-License-Identifier: MIT */
#include "relay/serving.h"

#include "base/util.h"
#include "rsp/handshake.h"
#include "rsp/icount.h"

static void print(void *context, const char *raw, size_t length)
{
	client_send(context, raw, length);
}

static void keep_client_waiting(void *context)
{
	client_keep_waiting(context);
}

static void forget_interrupts(void *context)
{
	struct serving *serving = context;

	if (guest_state_get(&serving->state) != RELAY_RUNNING)
		interrupt_forget(&serving->interrupts);
}

static void assemble(struct serving *serving)
{
	struct guest *guest = &serving->guest;
	struct planting *planting = &serving->planting;
	struct changes *changes = &serving->changes;
	struct probes *probes = &serving->probes;
	struct interrupts *interrupts = &serving->interrupts;
	struct stepping *stepping = &serving->stepping;
	struct guest_side *side = &serving->side;
	struct client *client = &serving->client;

	guest->state = &serving->state;
	guest->clock = &serving->clock;
	guest->printed = print;
	guest->printed_context = client;
	client->gone = forget_interrupts;
	client->gone_context = serving;
	client->sent = &serving->packets_to_gdb;
	*planting = (struct planting){.guest = guest};
	*changes = (struct changes){.guest = guest};
	*probes = (struct probes){.guest = guest, .planting = planting, .changes = changes};
	*interrupts = (struct interrupts){.guest = guest, .planting = planting};
	*stepping = (struct stepping){.guest = guest, .planting = planting, .interrupts = interrupts};
	*side = (struct guest_side){guest, planting, changes, probes, interrupts, stepping, .going = {.guest = guest}};
	side->passing = (struct passing){guest, planting, changes, probes, interrupts, stepping, .going = &side->going};
	serving->carrying = (struct carrying){client, guest, planting, interrupts, side};
	serving->borrower = (struct borrower){guest, planting, probes, interrupts, .never = NULL};
}

struct cs_error *serving_init(struct serving *serving, struct meeting *meeting)
{
	guest_state_init(&serving->state);
	run_clock_init(&serving->clock);
	ticks_init(&serving->ticks);
	door_init(&serving->door);
	client_init(&serving->client, serving->timeout_ms);
	assemble(serving);
	borrow_init(&serving->borrower);
	serving->headless.meeting = meeting;
	return calls_init(&serving->calls, meeting);
}

void serving_clear(struct serving *serving)
{
	door_forget(&serving->door);
	stub_destroy(serving->guest.stub);
	insn_decoder_destroy(serving->guest.decoder);
	client_clear(&serving->client);
	calls_clear(&serving->calls);
	probes_clear(&serving->probes);
	planting_clear(&serving->planting);
	going_clear(&serving->side.going);
	headless_clear(&serving->headless);
	borrow_clear(&serving->borrower);
	ticks_clear(&serving->ticks);
	run_clock_clear(&serving->clock);
	guest_state_clear(&serving->state);
}

struct cs_error *serving_begin(struct serving *serving)
{
	struct guest *guest = &serving->guest;
	bool replay;

	CS_TRY(stub_connect(serving->address, serving->calls.cancel_fd, serving->connect_timeout_ms,
			    serving->timeout_ms, &guest->stub));
	CS_TRY(handshake(guest->stub));
	guest->stub->waiting = keep_client_waiting;
	guest->stub->waiting_context = &serving->client;
	CS_TRY(guest_begin(guest));
	CS_TRY(replay_recognise(guest->stub, &replay));
	guest->replay = replay;
	guest_state_set(&serving->state, guest->stop.kind == STOP_SIGNAL ? RELAY_STOPPED : RELAY_EXITED);
	return door_open(&serving->door);
}
