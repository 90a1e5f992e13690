/* SPDX-License-Identifier: MIT */
#include "window_hints.h"

#include "base/util.h"

static int compare_addresses(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left;
	uint64_t b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* A sequence of addresses, sorted; -1 with an exception set. */
static int take(PyObject *sequence, uint64_t **ret, size_t *count_ret)
{
	Py_ssize_t count = sequence ? PySequence_Size(sequence) : 0;

	if (count < 0)
		return -1;
	*ret = calloc((size_t)count + 1, sizeof(**ret));
	if (!*ret) {
		PyErr_NoMemory();
		return -1;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *item = PySequence_GetItem(sequence, i);

		(*ret)[i] = item ? PyLong_AsUnsignedLongLong(item) : 0;
		Py_XDECREF(item);
		if (PyErr_Occurred())
			return -1;
	}
	*count_ret = (size_t)count;
	qsort(*ret, *count_ret, sizeof(**ret), compare_addresses);
	return 0;
}

int hints_take(struct hints *hints, const struct given_hints *given)
{
	if (take(given->references, &hints->references, &hints->known.reference_count) < 0 ||
	    take(given->measuring, &hints->measuring, &hints->known.measuring_count) < 0 ||
	    take(given->pointees, &hints->pointees, &hints->known.pointee_count) < 0 ||
	    take(given->noreturn, &hints->noreturn, &hints->known.noreturn_count) < 0)
		return -1;
	hints->known.references = hints->references;
	hints->known.measuring = hints->measuring;
	hints->known.pointees = hints->pointees;
	hints->known.noreturn = hints->noreturn;
	return 0;
}

void hints_release(struct hints *hints)
{
	free(TAKE_PTR(hints->references));
	free(TAKE_PTR(hints->measuring));
	free(TAKE_PTR(hints->pointees));
	free(TAKE_PTR(hints->noreturn));
}
