/* SPDX-License-Identifier: MIT */
/* The clock model: what the events, one after the other, say of each clock. */
#include "trace/timeline_clocks.h"

#include <string.h>

#include "base/util.h"

/* More than any kernel has: each event looks through all clocks, so a hostile file must not add many. */
#define CLOCKS_MAX 256

/* How an event's clock is meant. A frequency may be known long before anything is registered. */
enum subject {
	SUBJECT_CLOCK,
	SUBJECT_DEVICE,
	SUBJECT_EITHER,
};

enum step {
	STEP_NONE,
	STEP_REGISTERED,
	STEP_SELECTED,
	STEP_LOST,
};

static const struct effect {
	const char *what;
	enum subject subject;
	enum step step;
	bool creates; /* it is enough to know of a clock by */
	bool fills;   /* its values hold for the clock from then on */
} effects[] = {
	{"frequency.detected", SUBJECT_EITHER, STEP_NONE, true, true},
	{"clock.registered", SUBJECT_CLOCK, STEP_REGISTERED, true, true},
	{"clock.selected", SUBJECT_CLOCK, STEP_SELECTED, true, true},
	{"clock.unstable", SUBJECT_CLOCK, STEP_LOST, true, false},
	{"clock.unregistered", SUBJECT_CLOCK, STEP_LOST, true, false},
	{"calibration.finished", SUBJECT_EITHER, STEP_NONE, false, true},
	{"device.registered", SUBJECT_DEVICE, STEP_REGISTERED, true, true},
	{"device.selected", SUBJECT_DEVICE, STEP_SELECTED, true, true},
	{"quality.changed", SUBJECT_EITHER, STEP_NONE, false, true},
};

static const struct effect *effect_of(const struct record_event *event)
{
	for (size_t i = 0; i < ARRAY_SIZE(effects); i++)
		if (!strcmp(effects[i].what, event->what))
			return &effects[i];
	return NULL;
}

static const struct record_value *value_of(const struct record_event *event, const char *name)
{
	for (size_t i = 0; i < event->value_count; i++)
		if (!strcmp(event->values[i].name, name) && event->values[i].kind != RECORD_VALUE_UNREADABLE)
			return &event->values[i];
	return NULL;
}

static const char *text_of(const struct record_event *event, const char *name)
{
	const struct record_value *value = value_of(event, name);

	return value && value->kind == RECORD_VALUE_TEXT ? value->text : NULL;
}

static const char *clock_name(const struct record_event *event)
{
	const char *name = event->clock && *event->clock ? event->clock : text_of(event, "name");

	return name && *name ? name : NULL;
}

static const char device_kind[] = "event device";

static bool is_device(const struct timeline_clock *clock)
{
	return clock->kind == device_kind;
}

/* A clock known by its frequency alone has no kind yet, and is taken for the first that registers. */
static bool matches(const struct timeline_clock *clock, const char *name, enum subject subject)
{
	if (strcmp(clock->name, name) != 0)
		return false;
	if (!clock->kind || subject == SUBJECT_EITHER)
		return true;
	return is_device(clock) == (subject == SUBJECT_DEVICE);
}

static struct timeline_clock *find(struct timeline *timeline, const char *name, enum subject subject)
{
	for (size_t i = 0; i < timeline->clock_count; i++)
		if (matches(&timeline->clocks[i], name, subject))
			return &timeline->clocks[i];
	return NULL;
}

static struct timeline_clock *add(struct timeline *timeline, const char *name)
{
	struct timeline_clock *clock =
		arena_append(&timeline->arena, (void **)&timeline->clocks, &timeline->clock_count, sizeof(*clock));

	if (clock)
		clock->name = name;
	return clock;
}

/* The guest's own word for a clock that can be read. */
static const char *default_kind(const struct timeline *timeline)
{
	return strstr(timeline_fact(timeline, "guest.os"), "bsd") ? "timecounter" : "clocksource";
}

static void set_kind(const struct timeline *timeline, struct timeline_clock *clock, enum subject subject,
		     const struct record_event *event)
{
	const char *said = text_of(event, "kind");

	if (clock->kind || subject == SUBJECT_EITHER)
		return;
	if (subject == SUBJECT_DEVICE)
		clock->kind = device_kind;
	else
		clock->kind = said && strcmp(said, device_kind) != 0 ? said : default_kind(timeline);
}

/* No clock is that fast; larger numbers could overflow. */
#define HZ_MAX UINT64_C(10000000000)

/* "2903.998", as a kernel prints it, in Hz: exact to its last digit. 0: it is no such number. */
static uint64_t parse_mhz(const char *text)
{
	uint64_t hz = 0;
	int decimals = -1;

	for (; *text && decimals < 6; text++) {
		if (*text == '.' && decimals < 0)
			decimals = 0;
		else if (*text < '0' || *text > '9' || hz > HZ_MAX)
			return 0;
		else {
			hz = 10 * hz + (uint64_t)(*text - '0');
			decimals += decimals >= 0;
		}
	}
	for (decimals = decimals < 0 ? 0 : decimals; decimals < 6; decimals++)
		hz *= 10;
	return hz;
}

/* The whole number of units of HZ each that an event tells under a name, in Hz; 0: none. */
static uint64_t scaled(const struct record_event *event, const char *name, uint64_t hz)
{
	const struct record_value *value = value_of(event, name);

	if (!value || value->kind != RECORD_VALUE_SIGNED || value->number > INT64_MAX / hz)
		return 0;
	return value->number * hz;
}

/* The frequency that an event tells, in whichever unit; 0: none. */
static uint64_t frequency_of(const struct record_event *event)
{
	const char *mhz = text_of(event, "mhz");
	const uint64_t told[] = {
		scaled(event, "frequency_hz", 1),
		scaled(event, "frequency_khz", 1000),
		scaled(event, "mhz", 1000000),
		mhz ? parse_mhz(mhz) : 0,
	};

	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		if (told[i])
			return told[i];
	return 0;
}

/* Keeps what is a number. */
static void fill(const struct record_value **field, const struct record_value *value)
{
	if (value && (value->kind == RECORD_VALUE_SIGNED || value->kind == RECORD_VALUE_UNSIGNED))
		*field = value;
}

static void fill_values(struct timeline_clock *clock, const struct record_event *event)
{
	uint64_t frequency = frequency_of(event);

	fill(&clock->rating, value_of(event, "rating"));
	fill(&clock->quality, value_of(event, "quality"));
	fill(&clock->mask, value_of(event, "mask"));
	fill(&clock->flags, value_of(event, "flags"));
	if (frequency)
		clock->frequency_hz = frequency;
}

static void lose(struct timeline_clock *clock, const struct record_event *event)
{
	const char *reason = text_of(event, "reason");

	clock->lost = event;
	clock->lost_reason = reason ? reason : strchr(event->what, '.') + 1;
	clock->current = false;
}

static int64_t last_cpu(const struct timeline_clock *clock)
{
	return clock->selection_count ? clock->selections[clock->selection_count - 1]->cpu : RECORD_UNKNOWN;
}

/* One clock is in use at a time, but one event device on each CPU. */
static void select_clock(struct timeline *timeline, struct timeline_clock *clock, const struct record_event *event)
{
	const struct record_event **selection;

	for (size_t i = 0; i < timeline->clock_count; i++) {
		struct timeline_clock *other = &timeline->clocks[i];

		if (is_device(other) == is_device(clock) && (!is_device(clock) || last_cpu(other) == event->cpu))
			other->current = false;
	}
	selection = arena_append(&timeline->arena, (void **)&clock->selections, &clock->selection_count,
				 sizeof(const struct record_event *));
	if (!selection)
		return;
	*selection = event;
	clock->current = true;
}

static void take_step(struct timeline *timeline, struct timeline_clock *clock, enum step step,
		      const struct record_event *event)
{
	switch (step) {
	case STEP_NONE: break;
	case STEP_REGISTERED:
		if (!clock->registered || clock->lost)
			clock->registered = event;
		clock->lost = NULL;
		clock->lost_reason = NULL;
		break;
	case STEP_SELECTED: select_clock(timeline, clock, event); break;
	case STEP_LOST: lose(clock, event); break;
	}
}

static void apply(struct timeline *timeline, const struct record_event *event)
{
	const struct effect *effect = effect_of(event);
	const char *name = clock_name(event);
	struct timeline_clock *clock;

	if (!effect || !name)
		return;
	clock = find(timeline, name, effect->subject);
	if (!clock && effect->creates)
		clock = add(timeline, name);
	if (!clock)
		return;
	set_kind(timeline, clock, effect->subject, event);
	if (effect->fills)
		fill_values(clock, event);
	take_step(timeline, clock, effect->step, event);
}

struct cs_error *timeline_find_clocks(struct timeline *timeline)
{
	struct cs_error *error = NULL;

	for (size_t i = 0; i < timeline->event_count && !error; i++) {
		apply(timeline, &timeline->events[i]);
		if (timeline->clock_count > CLOCKS_MAX)
			error = cs_error_create(CS_ERROR_FORMAT, "the events tell of more than %d clocks", CLOCKS_MAX);
	}
	for (size_t i = 0; i < timeline->clock_count; i++)
		if (!timeline->clocks[i].kind)
			timeline->clocks[i].kind = default_kind(timeline);
	return error;
}
