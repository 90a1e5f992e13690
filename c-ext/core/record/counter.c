/* SPDX-License-Identifier: MIT */
#include "record/counter.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "base/vector.h"
#include "rsp/icount.h"

struct item {
	struct probe probe; /* first: the hit gets its address */
	struct counters *owner;
	struct counter counter;
	bool known; /* it has been planted: others may see it */
	char *name;
	bool changed; /* since it was last written */
};

struct counters {
	struct relay *relay;
	struct relay_tick tick;
	struct relay_retired retired;
	pthread_mutex_t lock; /* guards all below; the relay's thread counts under it */
	struct item **items;  /* by number */
	size_t count;
	size_t room;
	int last_number;
	bool replay;
	struct store *store;
};

static void on_hit(struct probe *probe, const struct probe_hit *hit)
{
	struct item *item = (struct item *)probe;
	struct counter *counter = &item->counter;

	pthread_mutex_lock(&item->owner->lock);
	item->changed = true;
	if (counter->hits++ == 0) {
		uint64_t instructions;
		struct cs_error *error = NULL;

		counter->first_run_ns = (int64_t)hit->run_ns;
		counter->first_cpu = hit->cpu;
		if (item->owner->replay && !(error = replay_instructions(hit->stub, &instructions)))
			counter->first_icount = (int64_t)instructions;
		cs_error_destroy(error); /* the count is worth having without the time */
	}
	pthread_mutex_unlock(&item->owner->lock);
}

static void item_destroy(struct item *item)
{
	if (!item)
		return;
	free(item->name);
	free(item);
}

static void tick(void *context)
{
	cs_error_destroy(counters_write(context)); /* the store keeps its error, and says it when it is closed */
}

struct cs_error *counters_create(struct relay *relay, struct counters **ret)
{
	struct counters *counters = calloc(1, sizeof(*counters));

	if (!counters)
		return &cs_error_no_memory;
	counters->relay = relay_hold(relay);
	counters->tick = (struct relay_tick){.call = tick, .context = counters};
	pthread_mutex_init(&counters->lock, NULL);
	relay_add_tick(relay, &counters->tick);
	*ret = counters;
	return NULL;
}

static void release(void *context)
{
	struct counters *counters = context;

	for (size_t i = 0; i < counters->count; i++)
		item_destroy(counters->items[i]);
	free(counters->items);
	store_destroy(counters->store);
	pthread_mutex_destroy(&counters->lock);
	free(counters);
}

static void each_probe(void *context, probe_visitor *visit, void *argument)
{
	const struct counters *counters = context;

	for (size_t i = 0; i < counters->count; i++)
		visit(argument, &counters->items[i]->probe);
}

void counters_destroy(struct counters *counters)
{
	struct cs_error *planted;

	if (!counters)
		return;
	relay_remove_tick(counters->relay, &counters->tick);
	planted = counters->count ? relay_remove_probes(counters->relay, each_probe, counters) : NULL;
	cs_error_destroy(counters_set_store(counters, NULL));
	counters->retired = (struct relay_retired){.release = release, .context = counters};
	relay_retire(counters->relay, planted != NULL, &counters->retired);
	cs_error_destroy(planted);
}

static struct cs_error *item_create(struct counters *counters, struct link_address address,
				    const struct placement *placement, const char *name, struct item **ret)
{
	struct item *item = calloc(1, sizeof(*item));

	if (!item || !(item->name = strdup(name))) {
		item_destroy(item);
		return &cs_error_no_memory;
	}
	item->owner = counters;
	item->probe.address = placement_run(placement, address);
	item->probe.hit = on_hit;
	item->counter = (struct counter){
		.address = address.value,
		.name = item->name,
		.planted = true,
		.first_run_ns = RECORD_UNKNOWN,
		.first_cpu = RECORD_UNKNOWN,
		.first_icount = RECORD_UNKNOWN,
	};
	*ret = item;
	return NULL;
}

static struct cs_error *list(struct counters *counters, struct item *item)
{
	struct cs_error *error;

	pthread_mutex_lock(&counters->lock);
	error = VECTOR_ROOM(counters->items, counters->count + 1, counters->room);
	if (!error) {
		counters->items[counters->count++] = item;
		item->counter.number = ++counters->last_number;
	}
	pthread_mutex_unlock(&counters->lock);
	return error;
}

/* The index of a counter, with the lock held; the count where there is none of that number. */
static size_t find(const struct counters *counters, int number)
{
	size_t i = 0;

	while (i < counters->count && (!counters->items[i]->known || counters->items[i]->counter.number != number))
		i++;
	return i;
}

static void unlist(struct counters *counters, const struct item *item)
{
	size_t i = 0;

	pthread_mutex_lock(&counters->lock);
	while (i < counters->count && counters->items[i] != item)
		i++;
	if (i < counters->count) {
		counters->count--;
		memmove(&counters->items[i], &counters->items[i + 1], (counters->count - i) * sizeof(struct item *));
	}
	pthread_mutex_unlock(&counters->lock);
}

struct cs_error *counters_add(struct counters *counters, struct link_address address, const struct placement *placement,
			      const char *name, int *number)
{
	struct cs_error *error;
	struct item *item;

	CS_TRY(item_create(counters, address, placement, name, &item));
	error = list(counters, item);
	if (!error) {
		*number = item->counter.number;
		error = relay_add_probe(counters->relay, &item->probe);
		if (error) /* what was never planted must not be recorded as never reached */
			unlist(counters, item);
	}
	if (error) {
		item_destroy(item);
		return error;
	}
	pthread_mutex_lock(&counters->lock);
	item->known = true;
	item->changed = true; /* a counter that stays at zero is a result too */
	pthread_mutex_unlock(&counters->lock);
	return NULL;
}

struct cs_error *counters_remove(struct counters *counters, int number)
{
	struct item *item = NULL;
	size_t i;

	pthread_mutex_lock(&counters->lock);
	i = find(counters, number);
	if (i < counters->count)
		item = counters->items[i];
	pthread_mutex_unlock(&counters->lock);
	if (!item)
		return cs_error_create(CS_ERROR_NOT_FOUND, "there is no counter %d", number);
	CS_TRY(relay_remove_probe(counters->relay, &item->probe));
	pthread_mutex_lock(&counters->lock);
	item->counter.planted = false;
	pthread_mutex_unlock(&counters->lock);
	return NULL;
}

void counters_set_replay(struct counters *counters, bool replay)
{
	pthread_mutex_lock(&counters->lock);
	counters->replay = replay;
	pthread_mutex_unlock(&counters->lock);
}

int counters_each(struct counters *counters, int (*function)(const struct counter *counter, void *context),
		  void *context)
{
	int result = 0;

	for (size_t i = 0; result == 0; i++) {
		struct counter snapshot = {0};

		bool known = false;

		pthread_mutex_lock(&counters->lock);
		if (i < counters->count) {
			snapshot = counters->items[i]->counter;
			known = counters->items[i]->known;
		}
		pthread_mutex_unlock(&counters->lock);
		if (!snapshot.number)
			break;
		if (known)
			result = function(&snapshot, context);
	}
	return result;
}

static struct cs_error *write_item(struct store *store, struct item *item)
{
	struct row_counter row = {
		.address = item->counter.address,
		.function = item->name,
		.hits = (int64_t)item->counter.hits,
		.first_run_ns = item->counter.first_run_ns,
		.first_cpu = item->counter.first_cpu,
		.first_icount = item->counter.first_icount,
	};

	item->changed = false;
	return store_row_counter(store, &row);
}

static struct cs_error *write_changed(struct counters *counters)
{
	if (!counters->store)
		return NULL;
	for (size_t i = 0; i < counters->count; i++)
		if (counters->items[i]->changed)
			CS_TRY(write_item(counters->store, counters->items[i]));
	return store_flush_if_due(counters->store);
}

struct cs_error *counters_write(struct counters *counters)
{
	struct cs_error *error;

	pthread_mutex_lock(&counters->lock);
	error = write_changed(counters);
	pthread_mutex_unlock(&counters->lock);
	return error;
}

struct cs_error *counters_set_store(struct counters *counters, struct store *store)
{
	struct cs_error *error;
	struct store *before;

	pthread_mutex_lock(&counters->lock);
	error = write_changed(counters);
	before = counters->store;
	counters->store = store ? store_hold(store) : NULL;
	for (size_t i = 0; store && i < counters->count; i++)
		counters->items[i]->changed = true;
	pthread_mutex_unlock(&counters->lock);
	store_destroy(before);
	return error;
}
