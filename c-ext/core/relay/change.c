/* SPDX-License-Identifier: MIT */
#include "relay/change.h"

#include "base/util.h"

static void forget(struct changes *changes, const char *thread)
{
	for (size_t i = 0; i < changes->count;) {
		if (same_thread(changes->departures[i].thread, thread))
			changes->departures[i] = changes->departures[--changes->count];
		else
			i++;
	}
}

/* The function is left only when the thread goes on: GDB may want to look at its entry before. */
static void keep(struct changes *changes, const struct probe_change *change, struct probe_hit *hit)
{
	struct departure *departure = &changes->departures[changes->count];

	if (changes->count == ARRAY_SIZE(changes->departures))
		return;
	changes->count++;
	*departure =
		(struct departure){.address = hit->address.value, .ret = change->ret.value, .value = change->value};
	copy_thread(departure->thread, hit->thread);
	hit->returns = true;
	hit->value = change->value;
}

struct cs_error *change_apply(struct changes *changes, struct probe *probe, struct probe_hit *hit,
			      struct registers *registers)
{
	struct probe_change change = {0};
	struct cs_error *error = NULL;

	forget(changes, hit->thread);
	probe->change(probe, hit, &change);
	probe->change_refused = !registers_known(&changes->guest->map, registers);
	if (probe->change_refused)
		return NULL;
	if (change.writes_flags)
		error = guest_write_register(changes->guest, hit->thread, changes->guest->map.flags, change.flags,
					     registers);
	else if (change.returns) /* whether it can be written: later there is no way back */
		error = guest_write_register(changes->guest, hit->thread, changes->guest->map.pc, registers->pc,
					     registers);
	if (!error && change.returns)
		keep(changes, &change, hit);
	probe->change_refused = error && error->code == CS_ERROR_REFUSED;
	if (!probe->change_refused)
		return error;
	cs_error_destroy(error);
	return NULL;
}

struct cs_error *change_depart(struct changes *changes, const char *thread, struct registers *registers, bool *done)
{
	const struct register_map *map = &changes->guest->map;
	struct departure departure;
	size_t i = 0;

	*done = false;
	while (i < changes->count && !same_thread(changes->departures[i].thread, thread))
		i++;
	if (i == changes->count)
		return NULL;
	departure = changes->departures[i];
	forget(changes, thread);
	if (departure.address != registers->pc || !registers_known(map, registers))
		return NULL;
	CS_TRY(guest_write_register(changes->guest, thread, map->pc, departure.ret, registers));
	CS_TRY(guest_write_register(changes->guest, thread, map->general[map->arch->result], departure.value,
				    registers));
	*done = true;
	return NULL;
}
