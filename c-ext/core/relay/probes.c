/* SPDX-License-Identifier: MIT */
/* Probes and breakpoints: planting and lifting them, and telling each probe of its hit. */
#include "relay/relay_internal.h"

#include <stdlib.h>

#include "base/vector.h"

/* The first probe that is not below the address. */
size_t probes_position(const struct relay *relay, uint64_t address)
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

bool probes_at(const struct relay *relay, uint64_t address)
{
	size_t i = probes_position(relay, address);

	return i < relay->probe_count && relay->probes[i]->address == address;
}

/* One of the probes at an address that has some: they share the breakpoint, and the instruction. */
const struct probe *probes_found(const struct relay *relay, uint64_t address)
{
	return relay->probes[probes_position(relay, address)];
}

void probes_set_counted(struct relay *relay, const char *thread, uint64_t address)
{
	/* A machine with more vCPUs standing at probes at once would count some hits twice. */
	if (relay->counted_count == COUNTED_MAX)
		return;
	copy_thread(relay->counted[relay->counted_count].thread, thread);
	relay->counted[relay->counted_count++].address = address;
}

/* Whether the thread's hit at the address was recorded already. Forgets what is known of the thread. */
bool probes_take_counted(struct relay *relay, const char *thread, uint64_t address)
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
	for (size_t i = probes_position(relay, hit->address);
	     i < relay->probe_count && relay->probes[i]->address == hit->address; i++)
		if (relay->probes[i]->change)
			CS_TRY(change_apply(relay, relay->probes[i], hit, registers));
	return NULL;
}

/* Tells each probe at the PC of its hit, unless that was done at an earlier stop of the thread here. */
struct cs_error *probes_record(struct relay *relay, const char *thread, struct registers *registers)
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

	if (probes_take_counted(relay, thread, registers->pc))
		return NULL;
	CS_TRY(intervene(relay, registers, &hit));
	for (size_t i = probes_position(relay, hit.address);
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

struct cs_error *guest_plant(struct relay *relay, struct probe *probe)
{
	size_t at = probes_position(relay, probe->address);

	/* It is lifted once, so it must stand here once. */
	for (size_t i = at; i < relay->probe_count && relay->probes[i]->address == probe->address; i++)
		if (relay->probes[i] == probe)
			return NULL;
	CS_TRY(VECTOR_ROOM(relay->probes, relay->probe_count + 1, relay->probe_capacity));
	if (probes_at(relay, probe->address))
		probe->type = probes_found(relay, probe->address)->type;
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

	CS_TRY(VECTOR_ROOM(relay->probes, relay->probe_count + 1, relay->probe_capacity));
	CS_TRY(breakpoints_add(&relay->breakpoints, address, type, BREAKPOINT_OF_RELAY, &first));
	CS_TRY(left_behind_create(relay, type, address, &stays));
	insert_probe(relay, probes_position(relay, address), &stays->probe);
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
	*at = probes_position(relay, probe->address);
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
	CS_TRY(VECTOR_ROOM(relay->deferred, relay->deferred_count + 1, relay->deferred_capacity));
	relay->deferred[relay->deferred_count++] = (struct deferred){probe, plant};
	return NULL;
}

/* Does what the probes asked for, in order. */
struct cs_error *probes_apply_deferred(struct relay *relay)
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

struct cs_error *probes_replant(struct relay *relay)
{
	if (relay->lifted) {
		relay->lifted = false;
		if (probes_at(relay, relay->lifted_address))
			CS_TRY(guest_insert(relay, probes_found(relay, relay->lifted_address)->type,
					    relay->lifted_address));
	}
	if (relay->all_lifted) {
		relay->all_lifted = false;
		CS_TRY(for_own(relay, guest_insert));
	}
	return NULL;
}
