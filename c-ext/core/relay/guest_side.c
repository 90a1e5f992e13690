/* SPDX-License-Identifier: MIT */
/* The guest's side of the relay: setting it going, taking its stops, stepping it off probes. */
#include "relay/relay_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define SIGNAL_INT 2 /* GDB's numbers, include/gdb/signals.def */
#define SIGNAL_TRAP 5

/* Probes passed, one after the other, before the guest is resumed. */
#define PASSED_MAX 64

static struct cs_error *send_resume(struct relay *relay)
{
	relay_set_state(relay, RELAY_RUNNING);
	step_begin_run(relay);
	return stub_send(relay->stub, relay->resume, strlen(relay->resume));
}

/* --- Probes --- */

/* The first probe that is not below the address. */
static size_t probe_position(const struct relay *relay, uint64_t address)
{
	size_t low = 0;
	size_t high = relay->probe_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (relay->probes[middle]->address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool probe_at(const struct relay *relay, uint64_t address)
{
	size_t i = probe_position(relay, address);

	return i < relay->probe_count && relay->probes[i]->address == address;
}

/* One of the probes at an address that has some: they share the breakpoint, and the instruction. */
static const struct probe *probe_found(const struct relay *relay, uint64_t address)
{
	return relay->probes[probe_position(relay, address)];
}

static void set_counted(struct relay *relay, const char *thread, uint64_t address)
{
	/* A machine with more vCPUs standing at probes at once would count some hits twice. */
	if (relay->counted_count == COUNTED_MAX)
		return;
	copy_thread(relay->counted[relay->counted_count].thread, thread);
	relay->counted[relay->counted_count++].address = address;
}

/* Whether the thread's hit at the address was recorded already. Forgets what is known of the thread. */
static bool take_counted(struct relay *relay, const char *thread, uint64_t address)
{
	bool found = false;

	for (size_t i = 0; i < relay->counted_count;) {
		if (!same_thread(relay->counted[i].thread, thread)) {
			i++;
			continue;
		}
		found |= relay->counted[i].address == address;
		relay->counted[i] = relay->counted[--relay->counted_count];
	}
	return found;
}

/* The interventions there come first: the others see what they leave. */
static struct cs_error *intervene(struct relay *relay, struct registers *registers, struct probe_hit *hit)
{
	for (size_t i = probe_position(relay, hit->address);
	     i < relay->probe_count && relay->probes[i]->address == hit->address; i++)
		if (relay->probes[i]->change)
			CS_TRY(change_apply(relay, relay->probes[i], hit, registers));
	return NULL;
}

/* Tells each probe at the PC of its hit, unless that was done at an earlier stop of the thread here. */
static struct cs_error *record(struct relay *relay, const char *thread, struct registers *registers)
{
	struct probe_hit hit = {
		.address = registers->pc,
		.thread = thread,
		.cpu = reply_thread_cpu(thread),
		.registers = registers->bytes,
		.registers_size = registers->size,
		.run_ns = relay_run_ns(relay),
		.stub = relay->stub,
	};

	if (take_counted(relay, thread, registers->pc))
		return NULL;
	CS_TRY(intervene(relay, registers, &hit));
	for (size_t i = probe_position(relay, hit.address);
	     i < relay->probe_count && relay->probes[i]->address == hit.address; i++)
		relay->probes[i]->hit(relay->probes[i], &hit);
	return NULL;
}

struct cs_error *guest_insert(struct relay *relay, char type, uint64_t address)
{
	return stub_command(relay->stub, "Z%c,%llx,1", type, (unsigned long long)address);
}

struct cs_error *guest_take_out(struct relay *relay, char type, uint64_t address)
{
	return stub_command(relay->stub, "z%c,%llx,1", type, (unsigned long long)address);
}

char guest_breakpoint_here(const struct relay *relay, uint64_t address)
{
	const struct breakpoints *tables[] = {&relay->breakpoints, &relay->lifted_since};

	/* Where both are there, hardware: a software one may be a byte in memory, which not every guest survives. */
	for (const char *type = "10"; *type; type++)
		for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
			if (breakpoints_has(tables[i], address, *type, ~0u))
				return *type;
	return 0;
}

void guest_note_lifted(struct relay *relay, char type, uint64_t address)
{
	bool first;

	/* Without memory for it, no instruction is borrowed at this stop. */
	if (relay->stopped_at_breakpoint)
		cs_error_destroy(breakpoints_add(&relay->lifted_since, address, type, BREAKPOINT_BORROWED, &first));
}

/* Software breakpoints first: a processor's few debug registers are the user's. */
static struct cs_error *plant_any(struct relay *relay, struct probe *probe)
{
	struct cs_error *error = NULL;

	for (const char *type = "01"; *type; type++) {
		bool first;

		cs_error_destroy(error);
		CS_TRY(breakpoints_add(&relay->breakpoints, probe->address, *type, BREAKPOINT_OF_RELAY, &first));
		error = first && !relay->all_lifted ? guest_insert(relay, *type, probe->address) : NULL;
		if (!error) {
			probe->type = *type;
			return NULL;
		}
		breakpoints_remove(&relay->breakpoints, probe->address, *type, BREAKPOINT_OF_RELAY);
		if (error->code != CS_ERROR_REFUSED)
			return error;
	}
	return error;
}

static void insert_probe(struct relay *relay, size_t at, struct probe *probe)
{
	memmove(&relay->probes[at + 1], &relay->probes[at], (relay->probe_count - at) * sizeof(struct probe *));
	relay->probes[at] = probe;
	relay->probe_count++;
}

static void remove_probe(struct relay *relay, size_t at)
{
	relay->probe_count--;
	memmove(&relay->probes[at], &relay->probes[at + 1], (relay->probe_count - at) * sizeof(struct probe *));
}

static struct cs_error *make_room(struct relay *relay)
{
	size_t capacity = relay->probe_capacity ? 2 * relay->probe_capacity : 64;
	struct probe **grown;

	if (relay->probe_count < relay->probe_capacity)
		return NULL;
	grown = reallocarray(relay->probes, capacity, sizeof(struct probe *));
	if (!grown)
		return &cs_error_no_memory;
	relay->probes = grown;
	relay->probe_capacity = capacity;
	return NULL;
}

struct cs_error *guest_plant(struct relay *relay, struct probe *probe)
{
	size_t at = probe_position(relay, probe->address);

	/* It is lifted once, so it must stand here once. */
	for (size_t i = at; i < relay->probe_count && relay->probes[i]->address == probe->address; i++)
		if (relay->probes[i] == probe)
			return NULL;
	CS_TRY(make_room(relay));
	if (probe_at(relay, probe->address))
		probe->type = probe_found(relay, probe->address)->type;
	else
		CS_TRY(plant_any(relay, probe));
	insert_probe(relay, at, probe);
	return NULL;
}

/* Whether another probe stands at the same address. */
static bool shared(const struct relay *relay, size_t at)
{
	uint64_t address = relay->probes[at]->address;

	return (at && relay->probes[at - 1]->address == address) ||
	       (at + 1 < relay->probe_count && relay->probes[at + 1]->address == address);
}

static void ignore(struct probe *probe, const struct probe_hit *hit)
{
	(void)probe;
	(void)hit;
}

/* Where the stub does not lift it, a breakpoint stays, and its stops must not become GDB's; its probe's owner is
 * free to go. Lifting is tried again: what is refused may be refused for the moment alone (text that is not mapped). */
static struct cs_error *left_behind_create(struct relay *relay, char type, uint64_t address, struct left_behind **ret)
{
	struct left_behind *stays = malloc(sizeof(*stays));

	if (!stays)
		return &cs_error_no_memory;
	*stays = (struct left_behind){
		.probe = {.address = address, .hit = ignore, .type = type},
		.next = relay->left_behind,
		.wait = 1,
		.pause = 1,
	};
	relay->left_behind = stays;
	*ret = stays;
	return NULL;
}

struct cs_error *guest_leave_breakpoint(struct relay *relay, char type, uint64_t address)
{
	struct left_behind *stays;
	bool first;

	CS_TRY(make_room(relay));
	CS_TRY(breakpoints_add(&relay->breakpoints, address, type, BREAKPOINT_OF_RELAY, &first));
	CS_TRY(left_behind_create(relay, type, address, &stays));
	insert_probe(relay, probe_position(relay, address), &stays->probe);
	return NULL;
}

static struct cs_error *lift(struct relay *relay, const struct probe *probe, bool *refused)
{
	struct cs_error *error = NULL;

	/* A guest that has ended has no breakpoints. */
	if (!relay->all_lifted && relay_state(relay) != RELAY_EXITED &&
	    !breakpoints_has(&relay->breakpoints, probe->address, probe->type, BREAKPOINT_OF_GDB))
		error = guest_take_out(relay, probe->type, probe->address);
	*refused = error && error->code == CS_ERROR_REFUSED;
	if (error && !*refused)
		return error;
	cs_error_destroy(error);
	return NULL;
}

/* Lifts a probe, unless that is refused. *at is its place: probe_count where it has none. */
static struct cs_error *withdraw(struct relay *relay, struct probe *probe, size_t *at, bool *refused)
{
	*refused = false;
	*at = probe_position(relay, probe->address);
	while (*at < relay->probe_count && relay->probes[*at] != probe)
		++*at;
	if (*at == relay->probe_count)
		return NULL;
	if (!shared(relay, *at)) {
		CS_TRY(lift(relay, probe, refused));
		if (*refused)
			return NULL;
		guest_note_lifted(relay, probe->type, probe->address);
		breakpoints_remove(&relay->breakpoints, probe->address, probe->type, BREAKPOINT_OF_RELAY);
	}
	remove_probe(relay, *at);
	return NULL;
}

struct cs_error *guest_unplant(struct relay *relay, struct probe *probe)
{
	struct left_behind *stays;
	bool refused;
	size_t at;

	CS_TRY(withdraw(relay, probe, &at, &refused));
	if (refused) {
		CS_TRY(left_behind_create(relay, probe->type, probe->address, &stays));
		relay->probes[at] = &stays->probe;
	}
	probe->type = 0;
	return NULL;
}

/* The waits double: a stub that never lifts a breakpoint is not asked at each stop. */
static struct cs_error *lift_left_behind(struct relay *relay)
{
	for (struct left_behind **link = &relay->left_behind; *link;) {
		struct left_behind *at = *link;
		bool refused = true;
		size_t place;

		if (--at->wait == 0) {
			CS_TRY(withdraw(relay, &at->probe, &place, &refused));
			at->wait = at->pause *= 2;
		}
		if (refused) {
			link = &at->next;
		} else {
			*link = at->next;
			free(at);
		}
	}
	return NULL;
}

struct cs_error *relay_defer(struct relay *relay, struct probe *probe, bool plant)
{
	if (relay->deferred_count == relay->deferred_capacity) {
		size_t capacity = relay->deferred_capacity ? 2 * relay->deferred_capacity : 64;
		struct deferred *grown = reallocarray(relay->deferred, capacity, sizeof(*grown));

		if (!grown)
			return &cs_error_no_memory;
		relay->deferred = grown;
		relay->deferred_capacity = capacity;
	}
	relay->deferred[relay->deferred_count++] = (struct deferred){probe, plant};
	return NULL;
}

/* Does what the probes asked for, in order. */
static struct cs_error *apply_deferred(struct relay *relay)
{
	CS_TRY(lift_left_behind(relay));
	for (size_t i = 0; i < relay->deferred_count; i++) {
		struct probe *probe = relay->deferred[i].probe;
		struct cs_error *error =
			relay->deferred[i].plant ? guest_plant(relay, probe) : guest_unplant(relay, probe);

		probe->refused = relay->deferred[i].plant && error && error->code == CS_ERROR_REFUSED;
		if (error && error->code != CS_ERROR_REFUSED)
			return error;
		cs_error_destroy(error);
	}
	relay->deferred_count = 0;
	return NULL;
}

/* Applies FUNCTION to each breakpoint that is the relay's alone. Some stubs cannot lift any: that keeps
 * nobody from leaving. */
static struct cs_error *for_own(struct relay *relay, struct cs_error *(*function)(struct relay *, char, uint64_t))
{
	for (size_t i = 0; i < relay->breakpoints.count; i++) {
		const struct breakpoint *at = &relay->breakpoints.items[i];
		struct cs_error *error = NULL;

		if (at->owners == BREAKPOINT_OF_RELAY)
			error = function(relay, at->type, at->address);
		if (error && error->code != CS_ERROR_REFUSED)
			return error;
		cs_error_destroy(error);
	}
	return NULL;
}

struct cs_error *guest_lift_all(struct relay *relay)
{
	if (relay->all_lifted)
		return NULL;
	relay->all_lifted = true;
	return for_own(relay, guest_take_out);
}

static struct cs_error *replant(struct relay *relay)
{
	if (relay->lifted) {
		relay->lifted = false;
		if (probe_at(relay, relay->lifted_address))
			CS_TRY(guest_insert(relay, probe_found(relay, relay->lifted_address)->type,
					    relay->lifted_address));
	}
	if (relay->all_lifted) {
		relay->all_lifted = false;
		CS_TRY(for_own(relay, guest_insert));
	}
	return NULL;
}

/* --- Stops --- */

/* Whether the stop may be that of a breakpoint, and nobody asked the guest to stop where it was. */
static bool ran_into_breakpoint(const struct relay *relay, const struct stop_reply *stop)
{
	return stop->kind == STOP_SIGNAL && stop->signal == SIGNAL_TRAP && !relay->interrupt_sent &&
	       (stop->cause == STOP_CAUSE_UNSAID || stop->cause == STOP_CAUSE_BREAKPOINT) &&
	       (relay->resume_kind == RESUME_CONTINUE || relay->resume_kind == RESUME_STEP) && relay->resume;
}

static struct cs_error *deliver(struct relay *relay, const struct stub_reply *reply)
{
	struct stop_reply stop;

	reply_parse_stop(reply->text, reply->length, &stop);
	relay->stopped_at_breakpoint = ran_into_breakpoint(relay, &stop);
	CS_TRY(interrupt_settle(relay, &stop));
	if (stop.kind == STOP_SIGNAL) {
		CS_TRY(apply_deferred(relay));
		copy_thread(relay->client_general, stop.thread);
		pthread_mutex_lock(&relay->lock);
		relay->idle_reached = relay->idle_interrupt;
		relay->statistics.gdb_stops++;
		pthread_mutex_unlock(&relay->lock);
	}
	relay->stop = stop;
	relay->idle_interrupt = false;
	relay_set_state(relay, stop.kind == STOP_SIGNAL ? RELAY_STOPPED : RELAY_EXITED);
	return relay_deliver_stop(relay, reply->raw, reply->raw_length, reply->text);
}

/* A stop in the relay's own words. */
static struct cs_error *deliver_made(struct relay *relay, unsigned signal, const char *thread)
{
	char text[REPLY_THREAD_MAX + 16];
	struct stub_reply reply = {.raw = text, .text = text};
	int n = snprintf(text, sizeof(text), thread[0] ? "T%02xthread:%s;" : "S%02x", signal, thread);

	reply.raw_length = reply.length = (size_t)n;
	return deliver(relay, &reply);
}

/* Sets the guest going again as it was, unless the thread that GDB was stepping has arrived meanwhile. */
static struct cs_error *resume_again(struct relay *relay)
{
	CLEANUP(registers_clear) struct registers registers = {0};

	CS_TRY(apply_deferred(relay));
	if (relay->resume_kind == RESUME_STEP) {
		CS_TRY(step_read_registers(relay, relay->step_thread, &registers));
		if (registers.pc != relay->step_from)
			return deliver_made(relay, SIGNAL_TRAP, relay->step_thread);
	}
	CS_TRY(step_restore_resumed(relay));
	return send_resume(relay);
}

/* The thread stays at the probe, whose hit is recorded, and GDB is told: by the stub's own words if there are any. */
static struct cs_error *stay(struct relay *relay, const char *thread, uint64_t pc, unsigned signal,
			     const struct stub_reply *reply)
{
	set_counted(relay, thread, pc);
	return reply ? deliver(relay, reply) : deliver_made(relay, signal, thread);
}

/* Whether a stop may be a probe's. A step that ends on a probe has not run into it yet. */
static bool may_be_own(const struct relay *relay, const struct stop_reply *stop)
{
	if (!relay->probe_count || stop->kind != STOP_SIGNAL || stop->signal != SIGNAL_TRAP ||
	    stop->cause == STOP_CAUSE_WATCHPOINT || stop->cause == STOP_CAUSE_OTHER)
		return false;
	switch (relay->resume_kind) {
	case RESUME_CONTINUE: return true;
	case RESUME_STEP: return stop->thread[0] && !same_thread(stop->thread, relay->step_thread);
	case RESUME_REVERSE:
	case RESUME_OTHER: return false;
	}
	return false;
}

/* A thread on its way off the probe that it stands at, and over those that follow. */
struct passing {
	char thread[REPLY_THREAD_MAX];
	struct registers *registers;
	/* The stop that GDB is given where it has a breakpoint here too; NULL where it knows of none, or of this one.
	 */
	const struct stub_reply *reply;
	bool known_to_gdb; /* it has just resumed from here */
	struct stub_reply stop;
};

static void passing_clear(struct passing *passing)
{
	stub_reply_clear(&passing->stop);
}

/* Another thread has run into a probe while this one was to step, where a stub sets all of them going: that stop is the
 * relay's own as well. */
static struct cs_error *pass_on_to(struct relay *relay, struct passing *passing, struct stub_reply *reply, bool *stays)
{
	struct stop_reply stop;

	reply_parse_stop(reply->text, reply->length, &stop);
	*stays = true;
	if (same_thread(stop.thread, passing->thread) || !may_be_own(relay, &stop))
		return deliver(relay, reply);
	CS_TRY(step_read_registers(relay, stop.thread, passing->registers));
	if (!probe_at(relay, passing->registers->pc))
		return deliver(relay, reply);
	copy_thread(passing->thread, stop.thread);
	stub_reply_clear(&passing->stop);
	passing->stop = *reply;
	*reply = (struct stub_reply){0};
	passing->reply = &passing->stop;
	passing->known_to_gdb = false;
	*stays = false;
	return NULL;
}

/* Something else stopped the step off a probe, perhaps before the instruction ran: then its hit must not be
 * recorded once more. */
static struct cs_error *interrupted_step(struct relay *relay, struct passing *passing, uint64_t from,
					 struct stub_reply *reply, bool *stays)
{
	CLEANUP(registers_clear) struct registers registers = {0};
	struct cs_error *error = step_read_registers(relay, passing->thread, &registers);

	if (error && error->code != CS_ERROR_REFUSED) /* what has exited has no registers */
		return error;
	if (!error && registers.pc == from)
		set_counted(relay, passing->thread, from);
	cs_error_destroy(error);
	return pass_on_to(relay, passing, reply, stays);
}

/* GDB gets a stop here although the relay has one of its own: it has a breakpoint, or wants the guest to stand. */
static struct cs_error *tell_gdb(struct relay *relay, const struct passing *passing, bool *told)
{
	uint64_t pc = passing->registers->pc;
	bool sent = relay->interrupt_sent;

	*told = true;
	if (!passing->known_to_gdb && breakpoints_has(&relay->breakpoints, pc, 0, BREAKPOINT_OF_GDB))
		return stay(relay, passing->thread, pc, SIGNAL_TRAP, passing->reply);
	*told = relay->interrupt_wanted;
	if (!*told)
		return NULL;
	CS_TRY(stay(relay, passing->thread, pc, SIGNAL_INT, NULL));
	relay->interrupt_owed = sent;
	return NULL;
}

/* Records the hit of the probe that the thread stands at and gets it off. *stays: somebody has been told to
 * look instead. */
static struct cs_error *pass_probe(struct relay *relay, struct passing *passing, bool *stays)
{
	CLEANUP(stub_reply_clear) struct stub_reply step = {0};
	uint64_t from = passing->registers->pc;
	struct cs_error *error;
	bool foreign = false;
	bool departed;

	CS_TRY(record(relay, passing->thread, passing->registers));
	CS_TRY(tell_gdb(relay, passing, stays));
	passing->known_to_gdb = false;
	if (*stays)
		return NULL;
	CS_TRY(change_depart(relay, passing->thread, passing->registers, &departed));
	if (departed) {
		passing->reply = NULL;
		return NULL;
	}
	*stays = true;
	error = step_off(relay, passing->thread, probe_found(relay, from), passing->registers, &step, &foreign);
	/* A guest that cannot be got off the probe stands there, and somebody must know. */
	if (error && error->code == CS_ERROR_REFUSED) {
		cs_error_destroy(error);
		return stay(relay, passing->thread, from, SIGNAL_TRAP, passing->reply);
	}
	if (error)
		return error;
	if (foreign)
		return interrupted_step(relay, passing, from, &step, stays);
	if (passing->registers->pc == from && relay->step_unfinished)
		set_counted(relay, passing->thread, from);
	*stays = false;
	passing->reply = NULL;
	return NULL;
}

/* The thread stands at a probe: on over it, and over those that follow. `reply` is the stop that GDB is
 * given where it has a breakpoint here too; NULL where GDB just resumed from here, and so knows. */
static struct cs_error *pass_probes(struct relay *relay, const char *thread, struct registers *registers,
				    const struct stub_reply *reply)
{
	CLEANUP(passing_clear)
	struct passing passing = {.registers = registers, .reply = reply, .known_to_gdb = reply == NULL};

	copy_thread(passing.thread, thread);
	/* A loop of nothing but probes must not keep the relay from what else there is to do. */
	for (unsigned n = 0; n < PASSED_MAX && probe_at(relay, registers->pc); n++) {
		bool stays;

		CS_TRY(pass_probe(relay, &passing, &stays));
		if (stays)
			return NULL;
	}
	return resume_again(relay);
}

static struct cs_error *own_stop(struct relay *relay, const char *thread, struct registers *registers,
				 const struct stub_reply *reply)
{
	uint64_t began = util_now_ns();
	struct cs_error *error;

	relay->last_progress = began;
	error = pass_probes(relay, thread, registers, reply);
	pthread_mutex_lock(&relay->lock);
	relay->statistics.own_stops++;
	relay->statistics.own_stop_ns += util_now_ns() - began;
	pthread_mutex_unlock(&relay->lock);
	return error;
}

static struct cs_error *judge_stop(struct relay *relay, const struct stub_reply *reply, const struct stop_reply *stop)
{
	CLEANUP(registers_clear) struct registers registers = {0};

	if (stop->kind == STOP_SIGNAL)
		CS_TRY(replant(relay));
	if (step_settles_interrupt(relay, stop))
		return resume_again(relay);
	if (!may_be_own(relay, stop))
		return deliver(relay, reply);
	CS_TRY(step_read_registers(relay, stop->thread, &registers));
	if (!probe_at(relay, registers.pc))
		return deliver(relay, reply);
	return own_stop(relay, stop->thread, &registers, reply);
}

static struct cs_error *on_stop(struct relay *relay, const struct stub_reply *reply, const struct stop_reply *stop)
{
	struct cs_error *error;

	step_end_run(relay);
	copy_thread(relay->stub_general, stop->thread);
	error = judge_stop(relay, reply, stop);
	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	/* The guest stands all the same, and where the stub refuses what it takes to judge why, GDB must know. */
	cs_error_destroy(error);
	return deliver(relay, reply);
}

struct cs_error *guest_packet(struct relay *relay, const struct stub_reply *reply)
{
	struct stop_reply stop;

	reply_parse_stop(reply->text, reply->length, &stop);
	if (stop.kind != STOP_NONE)
		return on_stop(relay, reply, &stop);
	if (reply->text[0] == 'O' || reply->text[0] == 'F') { /* console output; a request for GDB's file I/O */
		client_send(relay, reply->raw, reply->raw_length);
		return NULL;
	}
	/* The stub did not resume: an error, or an empty reply to what it does not know. */
	step_end_run(relay);
	relay_set_state(relay, RELAY_STOPPED);
	return relay_deliver_stop(relay, reply->raw, reply->raw_length, reply->text);
}

/* --- Resuming --- */

static struct cs_error *classify(struct relay *relay, const char *payload, enum resume_kind kind)
{
	bool stepping = payload[0] == 's' || payload[0] == 'S';

	free(relay->resume);
	relay->resume = kind == RESUME_OTHER || kind == RESUME_REVERSE ? strdup(payload) : resume_repeatable(payload);
	if (!relay->resume)
		return &cs_error_no_memory;
	relay->resume_kind = kind == RESUME_CONTINUE && stepping ? RESUME_STEP : kind;
	copy_thread(relay->step_thread, relay->stop.thread);
	if (stepping && relay->client_resume[0] && relay->client_resume[0] != '0' && relay->client_resume[0] != '-')
		copy_thread(relay->step_thread, relay->client_resume);
	if (kind == RESUME_CONTINUE && resume_steps(payload, relay->step_thread))
		relay->resume_kind = RESUME_STEP;
	return NULL;
}

/* GDB steps a thread off a probe: the hit counts now, and the breakpoint must not hold the step up. */
static struct cs_error *begin_step(struct relay *relay, struct registers *registers)
{
	struct cs_error *error;
	bool departed;
	char type;

	relay->step_from = registers->pc;
	if (!probe_at(relay, registers->pc)) {
		take_counted(relay, relay->step_thread, registers->pc);
		return NULL;
	}
	CS_TRY(record(relay, relay->step_thread, registers));
	CS_TRY(change_depart(relay, relay->step_thread, registers, &departed));
	if (!probe_at(relay, registers->pc))
		return NULL;
	type = probe_found(relay, registers->pc)->type;
	if (relay->step_in_place[type - '0'] == IN_PLACE_WORKS)
		return NULL;
	error = guest_take_out(relay, type, registers->pc);
	relay->lifted = !error;
	relay->lifted_address = registers->pc;
	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	cs_error_destroy(error); /* it cannot be lifted: the step is tried in place */
	return NULL;
}

/* GDB resumes a guest that it has interrupted while it stood: the guest need not run to be stopped, and no stub loses
 * such an interrupt. (A resume with a signal for the guest must be carried out, and is interrupted.) */
static struct cs_error *stay_interrupted(struct relay *relay, const char *payload)
{
	char thread[REPLY_THREAD_MAX];
	bool owed = relay->interrupt_owed;

	/* GDB takes no stop of a thread that it has not resumed. */
	if (resume_applies_to(payload, relay->step_thread) || !resume_first_thread(payload, thread))
		copy_thread(thread, relay->step_thread);
	CS_TRY(deliver_made(relay, SIGNAL_INT, thread));
	relay->interrupt_owed = owed;
	return NULL;
}

static struct cs_error *resume_guest(struct relay *relay, const char *payload, size_t length, enum resume_kind kind)
{
	CLEANUP(registers_clear) struct registers registers = {0};
	bool probed;

	relay->last_progress = util_now_ns();
	relay->stopped_at_breakpoint = false;
	breakpoints_clear(&relay->lifted_since);
	pthread_mutex_lock(&relay->lock);
	relay->idle_reached = false;
	pthread_mutex_unlock(&relay->lock);
	CS_TRY(classify(relay, payload, kind));
	if (relay->interrupt_wanted && kind != RESUME_OTHER && !resume_carries_signal(payload))
		return stay_interrupted(relay, payload);
	if (kind == RESUME_REVERSE)
		CS_TRY(guest_lift_all(relay));
	else
		CS_TRY(replant(relay)); /* a `D` that was refused has lifted them */
	probed = relay->probe_count && kind == RESUME_CONTINUE && !resume_carries_signal(payload) &&
		 resume_applies_to(payload, relay->step_thread);
	if (probed) {
		CS_TRY(step_read_registers(relay, relay->step_thread, &registers));
		if (relay->resume_kind == RESUME_STEP)
			CS_TRY(begin_step(relay, &registers));
		else if (probe_at(relay, registers.pc))
			return own_stop(relay, relay->step_thread, &registers, NULL);
		else
			take_counted(relay, relay->step_thread, registers.pc);
	}
	CS_TRY(step_restore_resumed(relay));
	relay_set_state(relay, RELAY_RUNNING);
	step_begin_run(relay);
	return stub_send(relay->stub, payload, length);
}

static bool probe_within(const struct relay *relay, uint64_t start, uint64_t end)
{
	size_t i = probe_position(relay, start);

	return i < relay->probe_count && relay->probes[i]->address < end;
}

/* GDB steps over a range of addresses at once, unless a probe stands in it: one that is lifted for the first step would
 * be passed unseen later on. GDB goes on by itself where its step ends within the range. */
struct cs_error *guest_resume(struct relay *relay, const char *payload, size_t length, enum resume_kind kind)
{
	FREE char *steps = NULL;
	const char *at = payload;
	bool probed = false;
	uint64_t start;
	uint64_t end;

	while (kind == RESUME_CONTINUE && !probed && resume_next_range(&at, &start, &end))
		probed = probe_within(relay, start, end);
	if (!probed)
		return resume_guest(relay, payload, length, kind);
	steps = resume_without_ranges(payload);
	if (!steps)
		return &cs_error_no_memory;
	return resume_guest(relay, steps, strlen(steps), kind);
}
