/* SPDX-License-Identifier: MIT */
/* Interventions: what a probe changes in the guest before anybody else looks at a stop. */
#include "relay/relay_internal.h"

static void forget(struct relay *relay, const char *thread)
{
	for (size_t i = 0; i < relay->departure_count;) {
		if (same_thread(relay->departures[i].thread, thread))
			relay->departures[i] = relay->departures[--relay->departure_count];
		else
			i++;
	}
}

/* The function is left only when the thread goes on: GDB may want to look at its entry before. */
static void keep(struct relay *relay, const struct probe_change *change, struct probe_hit *hit)
{
	struct departure *departure = &relay->departures[relay->departure_count];

	if (relay->departure_count == COUNTED_MAX)
		return;
	relay->departure_count++;
	*departure = (struct departure){.address = hit->address, .ret = change->ret, .value = change->value};
	copy_thread(departure->thread, hit->thread);
	hit->returns = true;
	hit->value = change->value;
}

struct cs_error *change_apply(struct relay *relay, struct probe *probe, struct probe_hit *hit,
			      struct registers *registers)
{
	struct probe_change change = {0};
	struct cs_error *error = NULL;

	forget(relay, hit->thread);
	probe->change(probe, hit, &change);
	probe->change_refused = !step_known_registers(&relay->map, registers);
	if (probe->change_refused)
		return NULL;
	if (change.writes_flags)
		error = step_write_register(relay, hit->thread, relay->map.flags, change.flags, registers);
	else if (change.returns) /* whether it can be written: later there is no way back */
		error = step_write_register(relay, hit->thread, relay->map.pc, registers->pc, registers);
	if (!error && change.returns)
		keep(relay, &change, hit);
	probe->change_refused = error && error->code == CS_ERROR_REFUSED;
	if (!probe->change_refused)
		return error;
	cs_error_destroy(error);
	return NULL;
}

struct cs_error *change_depart(struct relay *relay, const char *thread, struct registers *registers, bool *done)
{
	struct departure departure;
	size_t i = 0;

	*done = false;
	while (i < relay->departure_count && !same_thread(relay->departures[i].thread, thread))
		i++;
	if (i == relay->departure_count)
		return NULL;
	departure = relay->departures[i];
	forget(relay, thread);
	if (departure.address != registers->pc || !step_known_registers(&relay->map, registers))
		return NULL;
	CS_TRY(step_write_register(relay, thread, relay->map.pc, departure.ret, registers));
	CS_TRY(step_write_register(relay, thread, relay->map.gpr[EMULATE_RAX], departure.value, registers));
	*done = true;
	return NULL;
}
