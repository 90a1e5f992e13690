/* SPDX-License-Identifier: MIT */
/*
 * Interventions: branches that go as they are told, functions that return at once. Both are probes of the relay's that
 * change the guest at the stop, before anybody else looks at it (struct probe_change); so the recorder, GDB and the
 * processor all see the same.
 *
 * Each use becomes a row of the trace's table intervention_use, whose number lies before those of the stop itself.
 */
#ifndef CLOCKSCOPE_INTERVENTION_H
#define CLOCKSCOPE_INTERVENTION_H

#include "base/placement.h"
#include "relay/relay.h"
#include "trace/store.h"

struct interventions;

/* For `times`. */
#define INTERVENTION_ALWAYS UINT64_MAX

struct intervention_state {
	int64_t number;
	uint64_t uses;
	bool other_text; /* memory does not hold the instruction: it was left alone */
	bool refused;    /* the stub writes no registers */
};

/* It holds a reference to the relay and to the store. The store must know each intervention (table intervention) before
 * it is added here. `placement`: of what is changed. */
struct cs_error *interventions_create(struct relay *relay, struct store *store, const struct placement *placement,
				      struct interventions **ret);

/* Lifts the probes and releases it; while the guest runs, nothing is changed in it any more, and the probes are lifted
 * and released with the relay. */
void interventions_destroy(struct interventions *interventions);

/* Has a conditional branch, decoded where the file has it, go one way, the first so many times that the guest comes to
 * it. The guest must stand. CS_ERROR_ARGUMENT for what is no branch, or one that does not depend on flags;
 * CS_ERROR_REFUSED where the stub takes no breakpoint. */
struct cs_error *interventions_force(struct interventions *interventions, int64_t number, const struct insn *insn,
				     bool taken, uint64_t times);

/* Has a function return a value whenever it is called, instead of running. `ret` is the address of a near return. */
struct cs_error *interventions_return(struct interventions *interventions, int64_t number, struct link_address entry,
				      uint64_t value, struct link_address ret);

/* Lifts all probes. CS_ERROR_STATE while the guest runs. A second call does nothing; nor does one once the relay has
 * been stopped, which has lifted them. */
struct cs_error *interventions_stop(struct interventions *interventions);

/* Calls FUNCTION for each. */
void interventions_each(const struct interventions *interventions,
			void (*function)(const struct intervention_state *state, void *context), void *context);

#endif
