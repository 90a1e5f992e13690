/* SPDX-License-Identifier: MIT */
/* The timeline as Python objects; schemas/timeline.schema.json describes them. */
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

static PyObject *string(const char *text)
{
	return text ? string_to_object(text) : Py_NewRef(Py_None);
}

static PyObject *known(int64_t number)
{
	return number == RECORD_UNKNOWN ? Py_NewRef(Py_None) : PyLong_FromLongLong(number);
}

static PyObject *source(const char *file, int64_t line)
{
	FREE char *text = NULL;

	if (!*file || line <= 0)
		return string(file);
	if (asprintf(&text, "%s:%" PRId64, file, line) < 0)
		return PyErr_NoMemory();
	return string(text);
}

static PyObject *content(const struct record_value *value)
{
	if (!value)
		return Py_NewRef(Py_None);
	switch (value->kind) {
	case RECORD_VALUE_UNREADABLE: break;
	case RECORD_VALUE_SIGNED: return PyLong_FromLongLong((int64_t)value->number);
	case RECORD_VALUE_UNSIGNED: return PyLong_FromUnsignedLongLong(value->number);
	case RECORD_VALUE_TEXT: return text_to_object(value->text, value->length);
	}
	return Py_NewRef(Py_None);
}

/* One key of a dict; the value may be NULL after a failed conversion. */
struct item {
	const char *key;
	PyObject *value;
};

/* A dict of COUNT items, whose values it takes over. */
static PyObject *dict_of(struct item *items, size_t count)
{
	PyObject *dict = PyDict_New();
	int failed = !dict;

	for (size_t i = 0; i < count; i++) {
		if (failed)
			Py_XDECREF(items[i].value);
		else
			failed = dict_take(dict, items[i].key, items[i].value) < 0;
	}
	if (failed)
		Py_CLEAR(dict);
	return dict;
}

#define DICT(...) dict_of((struct item[]){__VA_ARGS__}, sizeof((struct item[]){__VA_ARGS__}) / sizeof(struct item))

/* A list of what CONVERT makes of each element of an array. */
static PyObject *list_of(const void *array, size_t count, size_t size, PyObject *(*convert)(const void *element))
{
	PyObject *list = PyList_New((Py_ssize_t)count);

	for (size_t i = 0; list && i < count; i++) {
		PyObject *object = convert((const char *)array + i * size);

		if (!object || PyList_SetItem(list, (Py_ssize_t)i, object) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *values(const struct record_event *event)
{
	PyObject *dict = PyDict_New();

	for (size_t i = 0; dict && i < event->value_count; i++) {
		PyObject *name = string(event->values[i].name);
		PyObject *value = content(&event->values[i]);

		if (!name || !value || PyDict_SetItem(dict, name, value) < 0)
			Py_CLEAR(dict);
		Py_XDECREF(name);
		Py_XDECREF(value);
	}
	return dict;
}

static PyObject *column_of_row(const struct table_column *column, const void *field)
{
	switch (column->kind) {
	case COLUMN_NUMBER: return PyLong_FromLongLong(*(const int64_t *)field);
	case COLUMN_ADDRESS: return hexadecimal(*(const uint64_t *)field);
	case COLUMN_KNOWN: return known(*(const int64_t *)field);
	case COLUMN_FLAG: return PyBool_FromLong(*(const bool *)field);
	case COLUMN_TEXT:
	case COLUMN_WHOLE:
	case COLUMN_OPTIONAL: return string(*(const char *const *)field);
	case COLUMN_GIVEN:
	case COLUMN_CONTENT:
	case COLUMN_BLOB: break; /* no row that is shown so has these */
	}
	return Py_NewRef(Py_None);
}

/* A row as a dict of its columns, but for those that SKIPPED names (each between spaces); a file and its line become
 * "source". */
static PyObject *row_of(enum trace_table which, const void *row, const char *skipped)
{
	const struct table *table = &tables[which];
	PyObject *dict = PyDict_New();

	for (size_t i = 0; dict && i < table->count; i++) {
		const struct table_column *column = &table->columns[i];
		const void *field = (const char *)row + column->offset;
		bool is_place = !strcmp(column->name, "file");
		const char *name = is_place ? "source" : column->name;
		PyObject *value;
		char spaced[64];

		snprintf(spaced, sizeof(spaced), " %s ", column->name);
		if (strstr(skipped, spaced))
			continue;
		if (is_place) {
			const void *line = (const char *)row + table->columns[++i].offset;

			value = source(*(const char *const *)field, *(const int64_t *)line);
		} else {
			value = column_of_row(column, field);
		}
		if (dict_take(dict, name, value) < 0)
			Py_CLEAR(dict);
	}
	return dict;
}

static PyObject *frame_to_object(const void *element)
{
	return row_of(TRACE_FRAME, element, " event level ");
}

static PyObject *event_to_object(const void *element)
{
	const struct record_event *event = element;
	PyObject *dict = row_of(TRACE_EVENT, event, " host_ns ");

	if (dict &&
	    (dict_take(dict, "values", values(event)) < 0 ||
	     dict_take(dict, "backtrace",
		       list_of(event->frames, event->frame_count, sizeof(*event->frames), frame_to_object)) < 0))
		Py_CLEAR(dict);
	return dict;
}

/* Which event it was, and when; None for NULL. */
static PyObject *moment(const struct record_event *event)
{
	if (!event)
		return Py_NewRef(Py_None);
	return DICT({"seq", PyLong_FromLongLong(event->seq)}, {"run_ns", PyLong_FromLongLong(event->run_ns)},
		    {"guest_ns", known(event->guest_ns)}, {"cpu", PyLong_FromLongLong(event->cpu)});
}

static PyObject *selection_to_object(const void *element)
{
	return moment(*(const struct record_event *const *)element);
}

static PyObject *lost(const struct timeline_clock *clock)
{
	PyObject *object = moment(clock->lost);

	if (object && clock->lost && dict_take(object, "reason", string(clock->lost_reason)) < 0)
		Py_CLEAR(object);
	return object;
}

static PyObject *clock_to_object(const void *element)
{
	const struct timeline_clock *clock = element;

	return DICT({"name", string(clock->name)}, {"kind", string(clock->kind)}, {"rating", content(clock->rating)},
		    {"quality", content(clock->quality)},
		    {"frequency_hz",
		     clock->frequency_hz ? PyLong_FromUnsignedLongLong(clock->frequency_hz) : Py_NewRef(Py_None)},
		    {"mask", content(clock->mask)}, {"flags", content(clock->flags)},
		    {"registered", moment(clock->registered)},
		    {"selected", moment(clock->selection_count ? clock->selections[0] : NULL)},
		    {"selections", list_of(clock->selections, clock->selection_count, sizeof(*clock->selections),
					   selection_to_object)},
		    {"current", PyBool_FromLong(clock->current)}, {"lost", lost(clock)});
}

static PyObject *coverage_to_object(const void *element)
{
	const struct coverage *coverage = element;
	PyObject *dict = row_of(TRACE_EXPECTATION, &coverage->expectation, "");

	if (dict && dict_take(dict, "state", string(coverage->state)) < 0)
		Py_CLEAR(dict);
	return dict;
}

static PyObject *counter_to_object(const void *element)
{
	return row_of(TRACE_COUNTER, element, "");
}

static int put_string(PyObject *dict, const char *key, const char *text)
{
	PyObject *name = string(key);
	PyObject *value = string(text);
	int result = name && value ? PyDict_SetItem(dict, name, value) : -1;

	Py_XDECREF(name);
	Py_XDECREF(value);
	return result;
}

/* What the trace knows of the guest: the facts named "guest.…", of which three are always there. */
static PyObject *guest(const struct timeline *timeline)
{
	PyObject *dict = DICT({"os", string("")}, {"release", string("")}, {"banner", string("")});

	for (size_t i = 0; dict && i < timeline->fact_count; i++)
		if (!strncmp(timeline->facts[i].key, "guest.", 6) &&
		    put_string(dict, timeline->facts[i].key + 6, timeline->facts[i].value) < 0)
			Py_CLEAR(dict);
	return dict;
}

/* All other facts, but those that are keys of their own. */
static PyObject *provenance(const struct timeline *timeline)
{
	PyObject *dict = PyDict_New();

	for (size_t i = 0; dict && i < timeline->fact_count; i++) {
		const char *key = timeline->facts[i].key;

		if (strncmp(key, "guest.", 6) && strcmp(key, "complete") && strcmp(key, "end_reason") &&
		    put_string(dict, key, timeline->facts[i].value) < 0)
			Py_CLEAR(dict);
	}
	return dict;
}

PyObject *timeline_to_object(const struct timeline *timeline)
{
	return DICT({"guest", guest(timeline)}, {"complete", PyBool_FromLong(timeline->complete)},
		    {"end_reason", string(timeline_fact(timeline, "end_reason"))}, {"damage", string(timeline->damage)},
		    {"provenance", provenance(timeline)},
		    {"clocks",
		     list_of(timeline->clocks, timeline->clock_count, sizeof(*timeline->clocks), clock_to_object)},
		    {"events",
		     list_of(timeline->events, timeline->event_count, sizeof(*timeline->events), event_to_object)},
		    {"never_reached", list_of(timeline->never_reached, timeline->never_reached_count,
					      sizeof(*timeline->never_reached), coverage_to_object)},
		    {"coverage", list_of(timeline->coverage, timeline->coverage_count, sizeof(*timeline->coverage),
					 coverage_to_object)},
		    {"counters", list_of(timeline->counters, timeline->counter_count, sizeof(*timeline->counters),
					 counter_to_object)});
}
