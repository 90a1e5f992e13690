/* SPDX-License-Identifier: MIT */
/* The nearest names to a misspelt one. */
#include "xref/nearest.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define LONGEST_NAME 64 /* longer names are neither misspelt nor offered */
#define SUGGESTIONS 3

struct suggestion {
	const char *name;
	size_t distance;
};

static size_t least(size_t a, size_t b, size_t c)
{
	size_t smaller = a < b ? a : b;

	return smaller < c ? smaller : c;
}

/* Levenshtein's distance, one row at a time. */
static size_t distance(const char *left, size_t left_length, const char *right, size_t right_length)
{
	size_t row[LONGEST_NAME + 1];

	for (size_t j = 0; j <= right_length; j++)
		row[j] = j;
	for (size_t i = 1; i <= left_length; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= right_length; j++) {
			size_t above = row[j];

			row[j] = least(above + 1, row[j - 1] + 1, diagonal + (left[i - 1] != right[j - 1]));
			diagonal = above;
		}
	}
	return row[right_length];
}

/* Keeps the best, nearest first, each name once. */
static void offer(struct suggestion *best, struct suggestion candidate)
{
	for (size_t i = 0; i < SUGGESTIONS; i++)
		if (best[i].name && strcmp(best[i].name, candidate.name) == 0)
			return;
	for (size_t i = 0; i < SUGGESTIONS; i++) {
		if (best[i].name && best[i].distance <= candidate.distance)
			continue;
		memmove(&best[i + 1], &best[i], (SUGGESTIONS - i - 1) * sizeof(*best));
		best[i] = candidate;
		return;
	}
}

static void collect(const char *wanted, const char *(*next)(const void *context, size_t i), const void *context,
		    size_t count, struct suggestion *best)
{
	size_t length = strlen(wanted);
	size_t limit = length / 3 + 1; /* further away it is another name, not a misspelt one */

	for (size_t i = 0; i < count; i++) {
		const char *name = next(context, i);
		size_t other = name ? strnlen(name, LONGEST_NAME + 1) : 0;
		size_t worst = best[SUGGESTIONS - 1].name ? best[SUGGESTIONS - 1].distance : limit + 1;
		size_t far;

		if (!other || other > LONGEST_NAME || (other > length ? other - length : length - other) >= worst)
			continue;
		far = distance(wanted, length, name, other);
		if (far < worst)
			offer(best, (struct suggestion){name, far});
	}
}

char *nearest_names(const char *wanted, const char *(*next)(const void *context, size_t i), const void *context,
		    size_t count)
{
	struct suggestion best[SUGGESTIONS] = {0};
	char *text = NULL;
	int written;

	if (strlen(wanted) <= LONGEST_NAME)
		collect(wanted, next, context, count, best);
	if (!best[0].name)
		return strdup("");
	written =
		asprintf(&text, " (did you mean %s%s%s%s%s?)", best[0].name, best[1].name ? ", " : "",
			 best[1].name ? best[1].name : "", best[2].name ? ", " : "", best[2].name ? best[2].name : "");
	return written < 0 ? NULL : text;
}
