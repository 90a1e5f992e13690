/* SPDX-License-Identifier: MIT */
/* What a stop at a branch probe means: whose invocation it belongs to, and which probes are in place next. */
#include "record/recorder_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/moved.h"
#include "base/vector.h"
#include "rsp/icount.h"

/* Frames of a kernel's stack lie within this of each other (Linux's THREAD_SIZE is 16 KiB; a
 * program's stack may be larger, but not one function's frame). */
#define STACK_SPAN 65536u

static struct link_address link_of(const struct recorder *recorder, struct run_address run)
{
	return placement_link(&recorder->options.placement, run);
}

static uint64_t value_of(const struct target_register *reg, const struct probe_hit *hit)
{
	return reg ? target_value(reg, hit->registers, hit->registers_size) : 0;
}

/* --- Invocations --- */

void invocation_destroy(struct invocation *invocation)
{
	free(invocation->events);
	free(invocation->stops);
	free(invocation->hits);
	free(invocation);
}

static struct invocation *invocation_create(struct traced *traced, const struct probe_hit *hit, uint64_t stack,
					    int64_t seq)
{
	struct invocation *invocation = calloc(1, sizeof(*invocation));

	if (!invocation)
		return NULL;
	invocation->hits = calloc(traced->plan->count, sizeof(invocation->hits[0]));
	if (!invocation->hits) {
		invocation_destroy(invocation);
		return NULL;
	}
	snprintf(invocation->thread, sizeof(invocation->thread), "%s", hit->thread);
	invocation->traced = traced;
	invocation->row = (struct row_invocation){
		.function = traced->id,
		.seq = seq,
		.end_seq = RECORD_UNKNOWN,
		.run_ns = (int64_t)hit->run_ns,
		.end_run_ns = RECORD_UNKNOWN,
		.cpu = hit->cpu,
		.thread = invocation->thread,
		.task = invocation->task,
		.stack = stack,
		.caller_name = "",
		.returned = "not seen",
	};
	return invocation;
}

static struct path_event event_at(const struct plan_probe *planned, enum path_event_kind kind, bool taken)
{
	return (struct path_event){{planned->address}, kind, taken};
}

static bool add_event(struct recorder *recorder, struct invocation *invocation, struct path_event event, int64_t stop)
{
	if (VECTOR_ROOM(invocation->events, invocation->count + 1, invocation->event_room) ||
	    VECTOR_ROOM(invocation->stops, invocation->count + 1, invocation->stop_room)) {
		recorder->exhausted = true;
		return false;
	}
	invocation->events[invocation->count] = event;
	invocation->stops[invocation->count++] = stop;
	return true;
}

/* The invocation that a stop with this stack belongs to. Where the plan does not know how deep the
 * probe's stack is: the innermost whose frame can hold it. */
static struct invocation *find_active(const struct recorder *recorder, const struct traced *traced, bool exact,
				      uint64_t stack)
{
	struct invocation *best = NULL;

	for (struct invocation *at = recorder->active; at; at = at->next) {
		if (at->traced != traced)
			continue;
		if (exact ? at->row.stack == stack
			  : at->row.stack - stack < STACK_SPAN && (!best || at->row.stack < best->row.stack))
			best = at;
	}
	return best;
}

static void release_return_site(struct invocation *invocation)
{
	struct return_site *site = invocation->return_site;

	if (site && --site->users == 0 && !site->recorder->stopped)
		relay_defer(site->recorder->relay, &site->probe, false);
	invocation->return_site = NULL;
}

/* Whether the function can be called now, as far as is known. */
static bool callable(const struct traced *traced)
{
	const struct relation *parent = traced->parents;

	while (parent && !parent->other->active)
		parent = parent->next;
	return !traced->gates && (parent || !traced->parents);
}

/* Whether a stop in the function would, for all that is known, fall into another's timing window. */
static bool shielded(const struct traced *traced)
{
	const struct relation *caller = traced->window_callers;

	while (caller && !caller->other->active)
		caller = caller->next;
	return caller != NULL;
}

/* Only entries are watched before a function is under way, and those only while it can be called. QEMU looks through
 * all breakpoints at each jump that it cannot foresee, and goes instruction by instruction through a page that
 * has one; and a processor has but four. */
bool recorder_wants(const struct planted *site)
{
	const struct traced *traced = site->traced;

	return !site->lifters && (traced->recorder->options.intrusive || !shielded(traced)) &&
	       (traced->active || ((site->planned->roles & PLAN_ENTRY) && callable(traced)));
}

static void place(struct planted *site)
{
	if (recorder_wants(site) == site->in_place || site->traced->recorder->stopped)
		return;
	site->in_place = !site->in_place;
	relay_defer(site->traced->recorder->relay, &site->probe, site->in_place);
}

static void place_all(struct traced *traced)
{
	for (uint32_t i = 0; i < traced->plan->count; i++)
		place(&traced->sites[i]);
}

/* The function has begun to be under way, or has ceased. */
static void place_family(struct traced *traced)
{
	place_all(traced);
	for (const struct relation *child = traced->children; child; child = child->next)
		place_all(child->other);
	for (const struct relation *callee = traced->window_callees; callee; callee = callee->next)
		place_all(callee->other);
}

static void append(struct recorder *recorder, struct invocation *finished)
{
	*recorder->finished_last = finished;
	recorder->finished_last = &finished->next;
}

void recorder_finish(struct recorder *recorder, struct invocation *invocation)
{
	struct invocation **at;

	for (at = &recorder->active; *at != invocation;)
		at = &(*at)->next;
	*at = invocation->next;
	invocation->next = NULL;
	release_return_site(invocation);
	for (uint32_t i = 0; i < invocation->traced->plan->count; i++)
		invocation->traced->sites[i].lifters -= invocation->hits[i] == LIFTED;
	if (--invocation->traced->active == 0)
		place_family(invocation->traced);
	else
		place_all(invocation->traced);
	append(recorder, invocation);
}

static void end(struct recorder *recorder, struct invocation *invocation, const struct probe_hit *hit, int64_t seq,
		const char *returned)
{
	bool has_value = strcmp(returned, "yes") == 0 && !invocation->traced->returns_nothing;

	invocation->row.end_seq = seq;
	invocation->row.end_run_ns = (int64_t)hit->run_ns;
	invocation->row.returned = returned;
	invocation->value = (int64_t)value_of(recorder->general[recorder->arch->result], hit);
	invocation->row.value = has_value ? &invocation->value : NULL;
	recorder_finish(recorder, invocation);
}

/* --- Stops --- */

/* Keeps the stop's row for later; its seq. */
static int64_t note_stop(struct recorder *recorder, const struct probe_hit *hit, bool in_window)
{
	struct pending_stop *stop = malloc(sizeof(*stop) + hit->registers_size);
	int64_t seq = store_next_seq(recorder->store);
	uint64_t instructions;

	recorder->statistics.stops++;
	if (!stop) {
		recorder->exhausted = true;
		return seq;
	}
	memcpy(stop->registers, hit->registers, hit->registers_size);
	stop->next = NULL;
	stop->row = (struct row_stop){
		.seq = seq,
		.cpu = hit->cpu,
		.address = link_of(recorder, hit->address).value,
		.run_ns = (int64_t)hit->run_ns,
		.host_ns = store_host_ns(recorder->store),
		.icount = RECORD_UNKNOWN,
		.in_window = in_window,
		.registers = {stop->registers, hit->registers_size},
	};
	if (recorder->options.replay) {
		struct cs_error *error = replay_instructions(hit->stub, &instructions);

		stop->row.icount = error ? RECORD_UNKNOWN : (int64_t)instructions;
		cs_error_destroy(error);
	}
	*recorder->stops_last = stop;
	recorder->stops_last = &stop->next;
	return seq;
}

/* Whether memory holds the instruction that was analysed; looked at once. Text that the kernel patches
 * is never relied on. */
static bool verify(struct planted *site, const struct probe_hit *hit)
{
	const struct placement *placement = &site->traced->recorder->options.placement;
	const struct insn *insn = &site->planned->insn;
	uint8_t bytes[INSN_MAX_LENGTH];
	struct cs_error *error;

	if (site->verified || site->planned->patched)
		return true;
	error = stub_read(hit->stub, hit->address.value, bytes, insn->length);
	cs_error_destroy(error);
	if (error || !moved_holds(placement, insn, bytes)) {
		site->traced->broken = true;
		site->traced->recorder->statistics.mismatches++;
		return false;
	}
	site->verified = true;
	site->here = moved_insn(placement, insn, bytes);
	site->probe.insn = &site->here;
	return true;
}

static uint64_t read_word(const struct probe_hit *hit, uint64_t address)
{
	uint64_t word = 0;
	struct cs_error *error = stub_read(hit->stub, address, &word, sizeof(word));

	cs_error_destroy(error);
	return error ? 0 : word;
}

/* At a function's entry. */
static struct run_address return_address(const struct recorder *recorder, const struct probe_hit *hit, uint64_t stack)
{
	int link = recorder->arch->link;

	return (struct run_address){link < 0 ? read_word(hit, stack) : value_of(recorder->general[link], hit)};
}

static void read_task(const struct recorder *recorder, const struct probe_hit *hit, char *name)
{
	uint64_t base = value_of(recorder->cpu_base, hit);
	uint64_t task;

	if (!base || !recorder->options.task_pointer || !recorder->options.task_name)
		return;
	task = read_word(hit, base + recorder->options.task_pointer);
	/* Before the first task is set up, there is none to name. */
	if (task)
		cs_error_destroy(stub_read(hit->stub, task + recorder->options.task_name, name, TASK_NAME_MAX));
}

/* Whether a stop there would fall into a window of a function that is traced. */
static bool in_any_window(const struct recorder *recorder, struct link_address address)
{
	for (const struct traced *at = recorder->traced; at; at = at->next) {
		uint32_t insn = cfg_insn_at(at->cfg, address.value);

		if (insn != CFG_NONE && at->windows->inside[insn])
			return true;
	}
	return false;
}

static void on_return(struct probe *probe, const struct probe_hit *hit);

static void catch_return(struct recorder *recorder, struct invocation *invocation, struct run_address address)
{
	struct return_site *site;

	if (!address.value || !recorder->options.catch_returns || invocation->traced->plan->returns_witnessed ||
	    in_any_window(recorder, link_of(recorder, address)))
		return;
	for (site = recorder->return_sites; site && site->probe.address.value != address.value;)
		site = site->next;
	if (!site) {
		site = calloc(1, sizeof(*site));
		if (!site)
			return;
		site->recorder = recorder;
		site->probe.address = address;
		site->probe.hit = on_return;
		site->next = recorder->return_sites;
		recorder->return_sites = site;
	}
	if (site->users++ == 0)
		relay_defer(recorder->relay, &site->probe, true);
	invocation->return_site = site;
}

static void begin(struct recorder *recorder, struct traced *traced, const struct probe_hit *hit, uint64_t stack,
		  int64_t seq)
{
	struct invocation *stale = find_active(recorder, traced, true, stack);
	struct invocation *invocation;
	struct run_address caller;

	if (stale) /* its end was not seen; nothing else can be at this place of the stack now */
		recorder_finish(recorder, stale);
	invocation = invocation_create(traced, hit, stack, seq);
	if (!invocation) {
		recorder->exhausted = true;
		return;
	}
	caller = return_address(recorder, hit, stack);
	invocation->row.caller = link_of(recorder, caller).value;
	read_task(recorder, hit, invocation->task);
	invocation->next = recorder->active;
	recorder->active = invocation;
	catch_return(recorder, invocation, caller);
	for (uint32_t i = 0; i < traced->plan->count; i++) {
		if (!traced->sites[i].lifters)
			continue;
		traced->sites[i].lifters++;
		invocation->hits[i] = LIFTED;
	}
	if (traced->active++ == 0)
		place_family(traced);
}

/* The events that tell of probes which were lifted when the invocation began. */
static void add_lifted(struct recorder *recorder, struct invocation *invocation)
{
	for (uint32_t i = 0; i < invocation->traced->plan->count; i++)
		if (invocation->hits[i] == LIFTED)
			add_event(recorder, invocation,
				  event_at(&invocation->traced->plan->probes[i], PATH_LIFTED, false), RECORD_UNKNOWN);
}

/* Takes the probe out until every invocation that is under way has ended. */
static void lift(struct recorder *recorder, struct planted *site)
{
	uint32_t index = (uint32_t)(site - site->traced->sites);

	recorder->statistics.lifted++;
	for (struct invocation *at = recorder->active; at; at = at->next) {
		if (at->traced != site->traced || at->hits[index] == LIFTED)
			continue;
		at->hits[index] = LIFTED;
		site->lifters++;
		add_event(recorder, at, event_at(site->planned, PATH_LIFTED, false), RECORD_UNKNOWN);
	}
	place(site);
}

static bool is_taken(const struct recorder *recorder, const struct insn *insn, const struct probe_hit *hit)
{
	return emulate_condition(insn, value_of(recorder->flags, hit),
				 insn->decides < 0 ? 0 : value_of(recorder->general[insn->decides], hit));
}

/* How often one invocation came to a place: too often, and it is watched no more. */
static void count_hit(struct recorder *recorder, struct invocation *invocation, struct planted *site, bool inside)
{
	uint32_t *hits = &invocation->hits[site - site->traced->sites];

	*hits += *hits < LIFTED - 1;
	recorder->statistics.repeated += !inside && *hits > RECORDER_OFTEN;
	if (recorder->options.hit_limit && *hits >= recorder->options.hit_limit)
		lift(recorder, site);
}

static void take_hit(struct recorder *recorder, struct planted *site, const struct probe_hit *hit)
{
	const struct plan_probe *planned = site->planned;
	struct traced *traced = site->traced;
	uint32_t index = (uint32_t)(site - traced->sites);
	bool exact = planned->stack_offset != PLAN_UNKNOWN_STACK;
	uint64_t stack = value_of(recorder->general[recorder->arch->stack_pointer], hit) +
			 (exact ? (uint64_t)(int64_t)planned->stack_offset : 0);
	bool branch = planned->roles & PLAN_BRANCH;
	int64_t seq = note_stop(recorder, hit, planned->in_window);
	struct invocation *invocation;
	bool begins = planned->roles & PLAN_ENTRY;
	bool inside = planned->in_window || shielded(traced);

	recorder->statistics.inside += inside;
	if (begins && traced->plan->entry_reenters && find_active(recorder, traced, exact, stack))
		begins = false;
	if (begins)
		begin(recorder, traced, hit, stack, seq);
	invocation = find_active(recorder, traced, exact, stack);
	if (!invocation || invocation->hits[index] == LIFTED) {
		recorder->statistics.orphans += !invocation;
		return;
	}
	add_event(recorder, invocation, event_at(planned, PATH_HIT, branch && is_taken(recorder, &planned->insn, hit)),
		  branch ? seq : RECORD_UNKNOWN);
	if (begins)
		add_lifted(recorder, invocation);
	if (planned->roles & (PLAN_RETURN | PLAN_TAIL))
		end(recorder, invocation, hit, seq, planned->roles & PLAN_RETURN ? "yes" : "tail call");
	else
		count_hit(recorder, invocation, site, inside);
}

void recorder_on_hit(struct probe *probe, const struct probe_hit *hit)
{
	struct planted *site = (struct planted *)probe;
	struct recorder *recorder = site->traced->recorder;

	pthread_mutex_lock(&recorder->lock);
	recorder->statistics.seen++;
	if (!recorder->exhausted && !hit->returns && !site->traced->broken && verify(site, hit))
		take_hit(recorder, site, hit);
	pthread_mutex_unlock(&recorder->lock);
}

/* Behind a call: a return may have taken the return address off the stack. */
static struct invocation *returning(const struct recorder *recorder, const struct return_site *site, uint64_t stack)
{
	struct invocation *at = recorder->active;

	while (at && (at->return_site != site || at->row.stack + recorder->arch->return_pops != stack))
		at = at->next;
	return at;
}

static void on_return(struct probe *probe, const struct probe_hit *hit)
{
	struct return_site *site = (struct return_site *)probe;
	struct recorder *recorder = site->recorder;
	struct invocation *invocation;

	pthread_mutex_lock(&recorder->lock);
	recorder->statistics.seen++;
	invocation = returning(recorder, site, value_of(recorder->general[recorder->arch->stack_pointer], hit));
	if (invocation && !recorder->exhausted) {
		int64_t seq = note_stop(recorder, hit, false);

		recorder->statistics.inside += shielded(invocation->traced);
		add_event(recorder, invocation, (struct path_event){.kind = PATH_RETURN}, RECORD_UNKNOWN);
		end(recorder, invocation, hit, seq, "yes");
	}
	pthread_mutex_unlock(&recorder->lock);
}

/* An intervention has the function return: its call is worth a row. */
static void add_not_run(struct recorder *recorder, struct traced *traced, const struct probe_hit *hit)
{
	int64_t seq = note_stop(recorder, hit, false);
	uint64_t stack = value_of(recorder->general[recorder->arch->stack_pointer], hit);
	struct invocation *invocation = invocation_create(traced, hit, stack, seq);

	if (!invocation) {
		recorder->exhausted = true;
		return;
	}
	read_task(recorder, hit, invocation->task);
	invocation->not_run = true;
	invocation->row.caller = link_of(recorder, return_address(recorder, hit, stack)).value;
	invocation->row.end_seq = seq;
	invocation->row.end_run_ns = invocation->row.run_ns;
	invocation->row.returned = "yes";
	invocation->value = (int64_t)hit->value;
	invocation->row.value = &invocation->value;
	append(recorder, invocation);
}

void recorder_on_replaced(struct probe *probe, const struct probe_hit *hit)
{
	struct traced *traced = ((struct replaced *)probe)->traced;
	struct recorder *recorder = traced->recorder;

	pthread_mutex_lock(&recorder->lock);
	if (hit->returns && !recorder->exhausted)
		add_not_run(recorder, traced, hit);
	pthread_mutex_unlock(&recorder->lock);
}

void recorder_on_gate(struct probe *probe, const struct probe_hit *hit)
{
	struct gate *gate = (struct gate *)probe;
	struct recorder *recorder = gate->traced->recorder;

	(void)hit;
	pthread_mutex_lock(&recorder->lock);
	recorder->statistics.seen++;
	gate->traced->gates += gate->opens ? -1u : 1u;
	place_all(gate->traced);
	relay_defer(recorder->relay, probe, false);
	/* What closes it is looked for from now on. */
	for (struct gate *other = recorder->gates; other && !gate->traced->gates; other = other->next)
		if (other->traced == gate->traced && !other->opens)
			relay_defer(recorder->relay, &other->probe, true);
	pthread_mutex_unlock(&recorder->lock);
}
