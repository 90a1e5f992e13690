/* SPDX-License-Identifier: MIT */
#include "record/intervention.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/moved.h"
#include "base/util.h"

struct intervention {
	struct probe probe; /* first: the hit gets its address */
	struct interventions *owner;
	int64_t number;
	struct insn insn; /* of a forced branch, where the file has it; length 0: a function that returns at once */
	bool taken;
	uint64_t value;
	struct link_address ret;
	uint64_t times;
	bool verified; /* memory holds the branch */
	_Atomic bool other_text;
	_Atomic bool refused;
	_Atomic uint64_t uses;
	int64_t seq; /* of the use that is under way; 0: none */
	bool was;    /* what it would have done */
	struct intervention *next;
};

struct interventions {
	struct relay *relay;
	struct store *store;
	struct placement placement;
	const struct target_register *flags;
	struct intervention *first;
	bool stopped;
	struct relay_retired retired;
	pthread_mutex_t lock; /* guards what follows */
	bool abandoned;       /* nothing is changed any more */
};

/* --- Stops --- */

/* Whether memory holds the branch that was analysed; looked at once. */
static bool verify(struct intervention *intervention, const struct probe_hit *hit)
{
	uint8_t bytes[INSN_MAX_LENGTH];
	struct cs_error *error;

	if (!intervention->insn.length || intervention->verified)
		return true;
	error = stub_read(hit->stub, hit->address.value, bytes, intervention->insn.length);
	intervention->verified = !error && moved_holds(&intervention->owner->placement, &intervention->insn, bytes);
	cs_error_destroy(error);
	intervention->other_text = !intervention->verified;
	return intervention->verified;
}

/* 0 once it was abandoned. */
static int64_t next_seq(struct interventions *interventions)
{
	int64_t seq;

	pthread_mutex_lock(&interventions->lock);
	seq = interventions->abandoned ? 0 : store_next_seq(interventions->store);
	pthread_mutex_unlock(&interventions->lock);
	return seq;
}

static void change(struct probe *probe, const struct probe_hit *hit, struct probe_change *ret)
{
	struct intervention *intervention = (struct intervention *)probe;
	const struct target_register *flags = intervention->owner->flags;
	uint64_t now = flags ? target_value(flags, hit->registers, hit->registers_size) : 0;

	intervention->seq = 0;
	if (intervention->uses >= intervention->times || intervention->other_text || !verify(intervention, hit))
		return;
	/* Taken here: the rows of all who look at this stop come later. */
	intervention->seq = next_seq(intervention->owner);
	if (!intervention->seq)
		return;
	if (intervention->insn.length) {
		intervention->was = emulate_condition(&intervention->insn, now, 0);
		ret->writes_flags = intervention->was != intervention->taken;
		emulate_flags(&intervention->insn, intervention->taken, now, &ret->flags);
	} else {
		ret->returns = true;
		ret->value = intervention->value;
		ret->ret = placement_run(&intervention->owner->placement, intervention->ret);
	}
}

static void describe(const struct intervention *intervention, struct row_intervention_use *row, char became[32])
{
	if (intervention->insn.length) {
		row->was = intervention->was ? "taken" : "not taken";
		row->became = intervention->taken ? "taken" : "not taken";
	} else {
		snprintf(became, 32, "returned 0x%llx", (unsigned long long)intervention->value);
		row->was = "called";
		row->became = became;
	}
}

static void on_hit(struct probe *probe, const struct probe_hit *hit)
{
	struct intervention *intervention = (struct intervention *)probe;
	struct row_intervention_use row = {
		.seq = intervention->seq,
		.intervention = intervention->number,
		.run_ns = (int64_t)hit->run_ns,
		.cpu = hit->cpu,
	};
	char became[32];

	if (!intervention->seq)
		return;
	if (probe->change_refused) {
		intervention->refused = true;
		return;
	}
	describe(intervention, &row, became);
	/* The store keeps its failure, and the recording's end tells it. */
	cs_error_destroy(store_row_intervention_use(intervention->owner->store, &row));
	if (++intervention->uses >= intervention->times)
		relay_defer(intervention->owner->relay, probe, false);
}

/* --- Life --- */

struct cs_error *interventions_create(struct relay *relay, struct store *store, const struct placement *placement,
				      struct interventions **ret)
{
	struct interventions *interventions = calloc(1, sizeof(*interventions));

	if (!interventions)
		return &cs_error_no_memory;
	*interventions = (struct interventions){
		.relay = relay_hold(relay),
		.store = store_hold(store),
		.placement = *placement,
		.flags = target_find(relay_stub(relay)->target, relay_stub(relay)->arch->flags_register),
	};
	pthread_mutex_init(&interventions->lock, NULL);
	*ret = interventions;
	return NULL;
}

static void release(void *context)
{
	struct interventions *interventions = context;

	while (interventions->first) {
		struct intervention *next = interventions->first->next;

		free(interventions->first);
		interventions->first = next;
	}
	store_destroy(interventions->store);
	pthread_mutex_destroy(&interventions->lock);
	free(interventions);
}

void interventions_destroy(struct interventions *interventions)
{
	struct cs_error *error;

	if (!interventions)
		return;
	pthread_mutex_lock(&interventions->lock);
	interventions->abandoned = true;
	pthread_mutex_unlock(&interventions->lock);
	error = interventions_stop(interventions);
	interventions->retired = (struct relay_retired){.release = release, .context = interventions};
	relay_retire(interventions->relay, error != NULL, &interventions->retired);
	cs_error_destroy(error);
}

static struct cs_error *add(struct interventions *interventions, const struct intervention *wanted,
			    struct link_address address)
{
	struct intervention *intervention = malloc(sizeof(*intervention));
	struct cs_error *error;

	if (!intervention)
		return &cs_error_no_memory;
	if (interventions->stopped) {
		free(intervention);
		return cs_error_create(CS_ERROR_STATE, "these interventions were stopped");
	}
	*intervention = *wanted;
	intervention->owner = interventions;
	intervention->probe = (struct probe){
		.address = placement_run(&interventions->placement, address),
		.hit = on_hit,
		.change = change,
	};
	error = relay_add_probe(interventions->relay, &intervention->probe);
	if (error) {
		free(intervention);
		return error;
	}
	intervention->next = interventions->first;
	interventions->first = intervention;
	return NULL;
}

struct cs_error *interventions_force(struct interventions *interventions, int64_t number, const struct insn *insn,
				     bool taken, uint64_t times)
{
	struct intervention wanted = {.number = number, .insn = *insn, .taken = taken, .times = times};

	if (insn->kind != INSN_BRANCH)
		return cs_error_create(CS_ERROR_ARGUMENT, "0x%llx holds no conditional branch",
				       (unsigned long long)insn->address);
	if (!insn_by_flags(insn->condition))
		return cs_error_create(CS_ERROR_ARGUMENT,
				       "the branch at 0x%llx decides by a register, not by flags: it cannot be forced",
				       (unsigned long long)insn->address);
	return add(interventions, &wanted, (struct link_address){insn->address});
}

struct cs_error *interventions_return(struct interventions *interventions, int64_t number, struct link_address entry,
				      uint64_t value, struct link_address ret)
{
	struct intervention wanted = {.number = number, .value = value, .ret = ret, .times = INTERVENTION_ALWAYS};

	return add(interventions, &wanted, entry);
}

static void each_probe(void *context, probe_visitor *visit, void *argument)
{
	const struct interventions *interventions = context;

	for (struct intervention *at = interventions->first; at; at = at->next)
		visit(argument, &at->probe);
}

struct cs_error *interventions_stop(struct interventions *interventions)
{
	if (interventions->stopped)
		return NULL;
	CS_TRY(relay_remove_probes(interventions->relay, each_probe, interventions));
	interventions->stopped = true;
	return NULL;
}

void interventions_each(const struct interventions *interventions,
			void (*function)(const struct intervention_state *state, void *context), void *context)
{
	for (const struct intervention *at = interventions->first; at; at = at->next) {
		struct intervention_state state = {at->number, at->uses, at->other_text, at->refused};

		function(&state, context);
	}
}
