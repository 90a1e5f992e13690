/* SPDX-License-Identifier: MIT */
#include "relay/probes.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "base/vector.h"

void probes_clear(struct probes *probes)
{
	while (probes->left_behind) {
		struct left_behind *next = probes->left_behind->next;

		free(probes->left_behind);
		probes->left_behind = next;
	}
	free(probes->items);
	free(probes->deferred);
}

/* The first probe that is not below the address. */
static size_t position(const struct probes *probes, uint64_t address)
{
	size_t low = 0;
	size_t high = probes->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (probes->items[middle]->address.value < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool probes_at(const struct probes *probes, uint64_t address)
{
	size_t i = position(probes, address);

	return i < probes->count && probes->items[i]->address.value == address;
}

bool probes_within(const struct probes *probes, uint64_t start, uint64_t end)
{
	size_t i = position(probes, start);

	return i < probes->count && probes->items[i]->address.value < end;
}

const struct probe *probes_found(const struct probes *probes, uint64_t address)
{
	return probes->items[position(probes, address)];
}

void probes_set_counted(struct probes *probes, const char *thread, uint64_t address)
{
	/* A machine with more vCPUs standing at probes at once would count some hits twice. */
	if (probes->counted_count == COUNTED_MAX)
		return;
	copy_thread(probes->counted[probes->counted_count].thread, thread);
	probes->counted[probes->counted_count++].address = address;
}

bool probes_take_counted(struct probes *probes, const char *thread, uint64_t address)
{
	bool found = false;

	for (size_t i = 0; i < probes->counted_count;) {
		if (!same_thread(probes->counted[i].thread, thread)) {
			i++;
			continue;
		}
		found |= probes->counted[i].address == address;
		probes->counted[i] = probes->counted[--probes->counted_count];
	}
	return found;
}

/* The interventions there come first: the others see what they leave. */
static struct cs_error *intervene(struct probes *probes, struct registers *registers, struct probe_hit *hit)
{
	for (size_t i = position(probes, hit->address.value);
	     i < probes->count && probes->items[i]->address.value == hit->address.value; i++)
		if (probes->items[i]->change)
			CS_TRY(change_apply(probes->changes, probes->items[i], hit, registers));
	return NULL;
}

struct cs_error *probes_record(struct probes *probes, const char *thread, struct registers *registers)
{
	struct probe_hit hit = {
		.address = {registers->pc},
		.thread = thread,
		.cpu = reply_thread_cpu(thread),
		.registers = registers->bytes,
		.registers_size = registers->size,
		.run_ns = run_clock_ns(probes->guest->clock),
		.stub = probes->guest->stub,
	};

	if (probes_take_counted(probes, thread, registers->pc))
		return NULL;
	CS_TRY(intervene(probes, registers, &hit));
	for (size_t i = position(probes, hit.address.value);
	     i < probes->count && probes->items[i]->address.value == hit.address.value; i++)
		probes->items[i]->hit(probes->items[i], &hit);
	return NULL;
}

/* Software breakpoints first: a processor's few debug registers are the user's. */
static struct cs_error *plant_any(struct probes *probes, struct probe *probe)
{
	struct cs_error *error = NULL;

	for (const char *type = "01"; *type; type++) {
		cs_error_destroy(error);
		error = planting_add_own(probes->planting, *type, probe->address.value);
		if (!error)
			probe->type = *type;
		if (!error || error->code != CS_ERROR_REFUSED)
			return error;
	}
	return error;
}

static void insert_probe(struct probes *probes, size_t at, struct probe *probe)
{
	memmove(&probes->items[at + 1], &probes->items[at], (probes->count - at) * sizeof(struct probe *));
	probes->items[at] = probe;
	probes->count++;
}

static void remove_probe(struct probes *probes, size_t at)
{
	probes->count--;
	memmove(&probes->items[at], &probes->items[at + 1], (probes->count - at) * sizeof(struct probe *));
}

struct cs_error *probes_plant(struct probes *probes, struct probe *probe)
{
	size_t at = position(probes, probe->address.value);

	/* It is lifted once, so it must stand here once. */
	for (size_t i = at; i < probes->count && probes->items[i]->address.value == probe->address.value; i++)
		if (probes->items[i] == probe)
			return NULL;
	CS_TRY(VECTOR_ROOM(probes->items, probes->count + 1, probes->capacity));
	if (probes_at(probes, probe->address.value))
		probe->type = probes_found(probes, probe->address.value)->type;
	else
		CS_TRY(plant_any(probes, probe));
	insert_probe(probes, at, probe);
	return NULL;
}

/* Whether another probe stands at the same address. */
static bool shared(const struct probes *probes, size_t at)
{
	uint64_t address = probes->items[at]->address.value;

	return (at && probes->items[at - 1]->address.value == address) ||
	       (at + 1 < probes->count && probes->items[at + 1]->address.value == address);
}

static void ignore(struct probe *probe, const struct probe_hit *hit)
{
	(void)probe;
	(void)hit;
}

/* Where the stub does not lift it, a breakpoint stays, and its stops must not become GDB's; its probe's owner is
 * free to go. Lifting is tried again: what is refused may be refused for the moment alone (text that is not mapped). */
static struct cs_error *left_behind_create(struct probes *probes, char type, uint64_t address, struct left_behind **ret)
{
	struct left_behind *stays = malloc(sizeof(*stays));

	if (!stays)
		return &cs_error_no_memory;
	*stays = (struct left_behind){
		.probe = {.address = {address}, .hit = ignore, .type = type},
		.next = probes->left_behind,
		.wait = 1,
		.pause = 1,
	};
	probes->left_behind = stays;
	*ret = stays;
	return NULL;
}

struct cs_error *probes_leave_behind(struct probes *probes, char type, uint64_t address)
{
	struct left_behind *stays;

	CS_TRY(VECTOR_ROOM(probes->items, probes->count + 1, probes->capacity));
	CS_TRY(planting_note_own(probes->planting, type, address));
	CS_TRY(left_behind_create(probes, type, address, &stays));
	insert_probe(probes, position(probes, address), &stays->probe);
	return NULL;
}

/* Lifts a probe, unless that is refused. *at is its place: probe_count where it has none. */
static struct cs_error *withdraw(struct probes *probes, struct probe *probe, size_t *at, bool *refused)
{
	*refused = false;
	*at = position(probes, probe->address.value);
	while (*at < probes->count && probes->items[*at] != probe)
		++*at;
	if (*at == probes->count)
		return NULL;
	if (!shared(probes, *at)) {
		CS_TRY(planting_lift_own(probes->planting, probe->type, probe->address.value, refused));
		if (*refused)
			return NULL;
		planting_drop_own(probes->planting, probe->type, probe->address.value);
	}
	remove_probe(probes, *at);
	return NULL;
}

static struct cs_error *unplant(struct probes *probes, struct probe *probe)
{
	struct left_behind *stays;
	bool refused;
	size_t at;

	CS_TRY(withdraw(probes, probe, &at, &refused));
	if (refused) {
		CS_TRY(left_behind_create(probes, probe->type, probe->address.value, &stays));
		probes->items[at] = &stays->probe;
	}
	probe->type = 0;
	return NULL;
}

struct cs_error *probes_remove(struct probes *probes, struct probe *probe)
{
	size_t kept = 0;

	for (size_t i = 0; i < probes->deferred_count; i++)
		if (probes->deferred[i].probe != probe)
			probes->deferred[kept++] = probes->deferred[i];
	probes->deferred_count = kept;
	return unplant(probes, probe);
}

/* The waits double: a stub that never lifts a breakpoint is not asked at each stop. */
static struct cs_error *lift_left_behind(struct probes *probes)
{
	for (struct left_behind **link = &probes->left_behind; *link;) {
		struct left_behind *at = *link;
		bool refused = true;
		size_t place;

		if (--at->wait == 0) {
			CS_TRY(withdraw(probes, &at->probe, &place, &refused));
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

struct cs_error *probes_defer(struct probes *probes, struct probe *probe, bool plant)
{
	CS_TRY(VECTOR_ROOM(probes->deferred, probes->deferred_count + 1, probes->deferred_capacity));
	probes->deferred[probes->deferred_count++] = (struct deferred){probe, plant};
	return NULL;
}

struct cs_error *probes_apply_deferred(struct probes *probes)
{
	CS_TRY(lift_left_behind(probes));
	for (size_t i = 0; i < probes->deferred_count; i++) {
		struct probe *probe = probes->deferred[i].probe;
		struct cs_error *error =
			probes->deferred[i].plant ? probes_plant(probes, probe) : unplant(probes, probe);

		probe->refused = probes->deferred[i].plant && error && error->code == CS_ERROR_REFUSED;
		if (error && error->code != CS_ERROR_REFUSED)
			return error;
		cs_error_destroy(error);
	}
	probes->deferred_count = 0;
	return NULL;
}
