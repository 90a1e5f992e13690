/* SPDX-License-Identifier: MIT */
#include "record/recorder_internal.h"

#include <stdlib.h>

/* --- Writing --- */

static struct cs_error *write_stops(struct recorder *recorder, struct pending_stop *stops)
{
	struct cs_error *error = NULL;

	while (stops) {
		struct pending_stop *next = stops->next;

		if (!error)
			error = store_row_stop(recorder->store, &stops->row);
		free(stops);
		stops = next;
	}
	return error;
}

static void destroy_path(struct path **path)
{
	path_destroy(*path);
}

/* An intervention had the function return at once: nothing of it ran. */
static struct cs_error *write_not_run(struct recorder *recorder, const struct row_invocation *row,
				      const struct cfg *cfg)
{
	const struct path nothing = {.complete = true, .consistent = true, .returned = true};

	return store_invocation(recorder->store, row, cfg, &nothing, NULL, NULL, 0);
}

static struct cs_error *write_invocation(struct recorder *recorder, const struct invocation *invocation)
{
	CLEANUP(destroy_path) struct path *path = NULL;
	const struct traced *traced = invocation->traced;
	struct row_invocation row = invocation->row;
	char caller[256] = "";

	if (recorder->options.name && row.caller)
		recorder->options.name(recorder->options.context, (struct link_address){row.caller}, caller,
				       sizeof(caller));
	row.caller_name = caller;
	if (invocation->not_run)
		return write_not_run(recorder, &row, traced->cfg);
	CS_TRY(path_create(traced->cfg, traced->windows, traced->plan, invocation->events, invocation->count, &path));
	return store_invocation(recorder->store, &row, traced->cfg, path, invocation->events, invocation->stops,
				invocation->count);
}

static struct cs_error *write_finished(struct recorder *recorder, struct invocation *finished)
{
	struct cs_error *error = NULL;

	while (finished) {
		struct invocation *next = finished->next;

		if (!error)
			error = write_invocation(recorder, finished);
		invocation_destroy(finished);
		finished = next;
	}
	return error;
}

struct cs_error *recorder_write(struct recorder *recorder)
{
	struct invocation *finished;
	struct pending_stop *stops;
	struct cs_error *error;

	pthread_mutex_lock(&recorder->lock);
	finished = TAKE_PTR(recorder->finished);
	recorder->finished_last = &recorder->finished;
	stops = TAKE_PTR(recorder->stops);
	recorder->stops_last = &recorder->stops;
	for (const struct invocation *at = finished; at; at = at->next)
		recorder->statistics.invocations++;
	pthread_mutex_unlock(&recorder->lock);
	error = write_stops(recorder, stops);
	if (!error)
		return write_finished(recorder, finished);
	cs_error_destroy(write_finished(recorder, finished)); /* fails at once, and releases */
	return error;
}

/* --- Life --- */

static void tick(void *context)
{
	cs_error_destroy(recorder_write(context)); /* the store keeps its error, and says it when it is closed */
}

struct cs_error *recorder_create(struct relay *relay, struct store *store, const struct recorder_options *options,
				 struct recorder **ret)
{
	const struct target *target = relay_stub(relay)->target;
	const struct arch *arch = relay_stub(relay)->arch;
	struct recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return &cs_error_no_memory;
	*recorder = (struct recorder){
		.relay = relay_hold(relay),
		.store = store_hold(store),
		.options = *options,
		.arch = arch,
		.flags = target_find(target, arch->flags_register),
		.cpu_base = target_find(target, arch->cpu_base),
	};
	for (unsigned i = 0; i < arch->general_count; i++)
		recorder->general[i] = target_find(target, arch->general[i]);
	recorder->finished_last = &recorder->finished;
	recorder->stops_last = &recorder->stops;
	recorder->tick = (struct relay_tick){.call = tick, .context = recorder};
	pthread_mutex_init(&recorder->lock, NULL);
	relay_add_tick(relay, &recorder->tick);
	*ret = recorder;
	return NULL;
}

static void free_relations(struct relation *at)
{
	while (at) {
		struct relation *next = at->next;

		free(at);
		at = next;
	}
}

static void free_traced(struct traced *at)
{
	while (at) {
		struct traced *next = at->next;

		free_relations(at->parents);
		free_relations(at->children);
		free_relations(at->window_callers);
		free_relations(at->window_callees);
		free(at->sites);
		free(at);
		at = next;
	}
}

static void free_places(struct recorder *recorder)
{
	while (recorder->return_sites) {
		struct return_site *next = recorder->return_sites->next;

		free(recorder->return_sites);
		recorder->return_sites = next;
	}
	while (recorder->gates) {
		struct gate *next = recorder->gates->next;

		free(recorder->gates);
		recorder->gates = next;
	}
}

static void free_stops(struct pending_stop *at)
{
	while (at) {
		struct pending_stop *next = at->next;

		free(at);
		at = next;
	}
}

static void free_invocations(struct invocation *at)
{
	while (at) {
		struct invocation *next = at->next;

		invocation_destroy(at);
		at = next;
	}
}

/* Where the relay finds what an analysis speaks of. */
static struct run_address run_of(const struct recorder *recorder, uint64_t linked)
{
	return placement_run(&recorder->options.placement, (struct link_address){linked});
}

static struct cs_error *traced_create(struct recorder *recorder, int64_t id, const struct cfg *cfg,
				      const struct windows *windows, const struct plan *plan, struct traced **ret)
{
	struct traced *traced = calloc(1, sizeof(*traced));

	if (!traced || !(traced->sites = calloc(plan->count + 1, sizeof(traced->sites[0])))) {
		free(traced);
		return &cs_error_no_memory;
	}
	traced->recorder = recorder;
	traced->id = id;
	traced->cfg = cfg;
	traced->windows = windows;
	traced->plan = plan;
	for (uint32_t i = 0; i < plan->count; i++) {
		traced->sites[i].traced = traced;
		traced->sites[i].planned = &plan->probes[i];
		traced->sites[i].probe.address = run_of(recorder, plan->probes[i].address);
		traced->sites[i].probe.hit = recorder_on_hit;
	}
	*ret = traced;
	return NULL;
}

struct cs_error *recorder_add(struct recorder *recorder, int64_t id, const struct cfg *cfg,
			      const struct windows *windows, const struct plan *plan)
{
	struct traced *traced;

	CS_TRY(traced_create(recorder, id, cfg, windows, plan, &traced));
	pthread_mutex_lock(&recorder->lock);
	traced->next = recorder->traced;
	recorder->traced = traced;
	pthread_mutex_unlock(&recorder->lock);
	return NULL;
}

static struct cs_error *find(const struct recorder *recorder, int64_t id, struct traced **ret)
{
	for (*ret = recorder->traced; *ret; *ret = (*ret)->next)
		if ((*ret)->id == id)
			return NULL;
	return cs_error_create(CS_ERROR_NOT_FOUND, "no traced function has the number %lld", (long long)id);
}

static struct cs_error *relate(struct relation **list, struct traced *other)
{
	struct relation *relation = malloc(sizeof(*relation));

	if (!relation)
		return &cs_error_no_memory;
	*relation = (struct relation){other, *list};
	*list = relation;
	return NULL;
}

static struct cs_error *put_within(struct recorder *recorder, int64_t child, int64_t parent)
{
	struct traced *inner;
	struct traced *outer;

	CS_TRY(find(recorder, child, &inner));
	CS_TRY(find(recorder, parent, &outer));
	CS_TRY(relate(&inner->parents, outer));
	return relate(&outer->children, inner);
}

struct cs_error *recorder_within(struct recorder *recorder, int64_t child, int64_t parent)
{
	struct cs_error *error;

	pthread_mutex_lock(&recorder->lock);
	error = put_within(recorder, child, parent);
	pthread_mutex_unlock(&recorder->lock);
	return error;
}

static struct cs_error *put_gate(struct recorder *recorder, int64_t id, struct link_address address, bool opens)
{
	struct traced *traced;
	struct gate *gate;

	CS_TRY(find(recorder, id, &traced));
	gate = calloc(1, sizeof(*gate));
	if (!gate)
		return &cs_error_no_memory;
	*gate = (struct gate){
		{.address = run_of(recorder, address.value), .hit = recorder_on_gate},
		traced,
		opens,
		recorder->gates,
	};
	recorder->gates = gate;
	traced->gates += opens;
	return NULL;
}

struct cs_error *recorder_gate(struct recorder *recorder, int64_t id, struct link_address address, bool opens)
{
	struct cs_error *error;

	pthread_mutex_lock(&recorder->lock);
	error = put_gate(recorder, id, address, opens);
	pthread_mutex_unlock(&recorder->lock);
	return error;
}

struct cs_error *recorder_returns_nothing(struct recorder *recorder, int64_t id)
{
	struct traced *traced;
	struct cs_error *error;

	pthread_mutex_lock(&recorder->lock);
	error = find(recorder, id, &traced);
	if (!error)
		traced->returns_nothing = true;
	pthread_mutex_unlock(&recorder->lock);
	return error;
}

/* Once: its probe may be planted. */
static struct cs_error *put_replaced(struct recorder *recorder, int64_t id)
{
	struct traced *traced;

	CS_TRY(find(recorder, id, &traced));
	if (!traced->replaced.wanted)
		traced->replaced = (struct replaced){
			{.address = run_of(recorder, traced->cfg->entry), .hit = recorder_on_replaced},
			traced,
			true,
		};
	return NULL;
}

struct cs_error *recorder_replaced(struct recorder *recorder, int64_t id)
{
	struct cs_error *error;

	pthread_mutex_lock(&recorder->lock);
	error = put_replaced(recorder, id);
	pthread_mutex_unlock(&recorder->lock);
	return error;
}

/* Plants one probe; *refused where the stub does not take it. */
static struct cs_error *plant(struct recorder *recorder, struct probe *probe, bool *refused)
{
	struct cs_error *error = relay_add_probe(recorder->relay, probe);

	*refused = error && error->code == CS_ERROR_REFUSED;
	if (!*refused)
		return error;
	cs_error_destroy(error);
	return NULL;
}

static struct cs_error *arm_function(struct recorder *recorder, struct traced *traced, bool *refused)
{
	if (traced->replaced.wanted)
		CS_TRY(plant(recorder, &traced->replaced.probe, refused));
	for (uint32_t i = 0; i < traced->plan->count; i++) {
		struct planted *site = &traced->sites[i];
		bool no = false;

		if (!recorder_wants(site))
			continue;
		CS_TRY(plant(recorder, &site->probe, &no));
		site->in_place = !no;
		*refused |= no;
	}
	return NULL;
}

static bool calls_in_window(const struct traced *caller, const struct traced *callee)
{
	for (uint32_t i = 0; i < caller->windows->callee_count; i++)
		if (caller->windows->callees[i] == callee->cfg->entry)
			return true;
	return false;
}

/* Finds which function calls which within a timing window, and notes it with the callee: its invocations from there
 * will be missing, unless windows are to be probed. */
static struct cs_error *shield(struct recorder *recorder)
{
	for (struct traced *caller = recorder->traced; caller; caller = caller->next)
		for (struct traced *callee = recorder->traced; callee; callee = callee->next) {
			if (caller == callee || !calls_in_window(caller, callee))
				continue;
			CS_TRY(relate(&callee->window_callers, caller));
			CS_TRY(relate(&caller->window_callees, callee));
			if (!recorder->options.intrusive)
				CS_TRY(store_shielded(recorder->store, callee->id, caller->id));
		}
	return NULL;
}

/* Places that close what is not open yet are not looked for: each breakpoint costs. */
static struct cs_error *arm_gates(struct recorder *recorder)
{
	for (int opens = 1; opens >= 0; opens--)
		for (struct gate *gate = recorder->gates; gate; gate = gate->next) {
			bool no = false;

			if (gate->opens != opens || (!opens && gate->traced->gates))
				continue;
			CS_TRY(plant(recorder, &gate->probe, &no));
			gate->traced->gates -= no && gate->opens; /* a gate that cannot be watched stands open */
		}
	return NULL;
}

struct cs_error *recorder_arm(struct recorder *recorder, void (*refused)(void *context, int64_t id), void *context)
{
	CS_TRY(shield(recorder));
	CS_TRY(arm_gates(recorder));
	for (struct traced *traced = recorder->traced; traced; traced = traced->next) {
		bool no = false;

		CS_TRY(arm_function(recorder, traced, &no));
		if (no)
			refused(context, traced->id);
	}
	return NULL;
}

static void each_probe(void *context, probe_visitor *visit, void *argument)
{
	struct recorder *recorder = context;

	for (struct traced *traced = recorder->traced; traced; traced = traced->next) {
		for (uint32_t i = 0; i < traced->plan->count; i++)
			visit(argument, &traced->sites[i].probe);
		if (traced->replaced.wanted)
			visit(argument, &traced->replaced.probe);
	}
	for (struct return_site *site = recorder->return_sites; site; site = site->next)
		visit(argument, &site->probe);
	for (struct gate *gate = recorder->gates; gate; gate = gate->next)
		visit(argument, &gate->probe);
}

/* Once the probes are lifted. */
static struct cs_error *finish(struct recorder *recorder)
{
	pthread_mutex_lock(&recorder->lock);
	recorder->stopped = true;
	while (recorder->active)
		recorder_finish(recorder, recorder->active);
	pthread_mutex_unlock(&recorder->lock);
	return recorder_write(recorder);
}

struct cs_error *recorder_stop(struct recorder *recorder)
{
	if (recorder->stopped)
		return NULL;
	CS_TRY(relay_remove_probes(recorder->relay, each_probe, recorder));
	return finish(recorder);
}

bool recorder_is_stopped(const struct recorder *recorder)
{
	return recorder->stopped;
}

static void release(void *context)
{
	struct recorder *recorder = context;

	if (!recorder->stopped) /* its probes have gone with the relay */
		cs_error_destroy(finish(recorder));
	free_invocations(recorder->active);
	free_invocations(recorder->finished);
	free_stops(recorder->stops);
	free_traced(recorder->traced);
	free_places(recorder);
	if (recorder->options.release)
		recorder->options.release(recorder->options.context);
	store_destroy(recorder->store);
	pthread_mutex_destroy(&recorder->lock);
	free(recorder);
}

/* Whether probes stay behind in a guest that runs. What they find is not recorded any more. */
static bool abandon(struct recorder *recorder)
{
	struct cs_error *error = recorder->stopped ? NULL : relay_remove_probes(recorder->relay, each_probe, recorder);
	bool planted = error != NULL;

	cs_error_destroy(error);
	pthread_mutex_lock(&recorder->lock);
	recorder->exhausted = true;
	pthread_mutex_unlock(&recorder->lock);
	if (!recorder->stopped && !planted)
		cs_error_destroy(finish(recorder));
	return planted;
}

void recorder_destroy(struct recorder *recorder)
{
	bool planted;

	if (!recorder)
		return;
	planted = abandon(recorder);
	relay_remove_tick(recorder->relay, &recorder->tick);
	recorder->retired = (struct relay_retired){.release = release, .context = recorder};
	relay_retire(recorder->relay, planted, &recorder->retired);
}

void recorder_get_statistics(struct recorder *recorder, struct recorder_statistics *ret)
{
	pthread_mutex_lock(&recorder->lock);
	*ret = recorder->statistics;
	pthread_mutex_unlock(&recorder->lock);
}
