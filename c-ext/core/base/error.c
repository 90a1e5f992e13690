/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cs_error cs_error_no_memory = {
	.code = CS_ERROR_NO_MEMORY,
	.message = "out of memory",
};

static struct cs_error *wrap(enum cs_error_code code, char *message)
{
	struct cs_error *error = message ? malloc(sizeof(*error)) : NULL;

	if (!error) {
		free(message);
		return &cs_error_no_memory;
	}
	error->code = code;
	error->message = message;
	return error;
}

struct cs_error *cs_error_create(enum cs_error_code code, const char *format, ...)
{
	char *message = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	return wrap(code, message);
}

struct cs_error *cs_error_system(enum cs_error_code code, int errnum, const char *format, ...)
{
	char *prefix = NULL;
	char *message = NULL;
	char text[128];
	va_list args;

	va_start(args, format);
	if (vasprintf(&prefix, format, args) < 0)
		prefix = NULL;
	va_end(args);
	/* glibc's strerror_r: returns the text, which need not be in the buffer. */
	if (prefix && asprintf(&message, "%s: %s", prefix, strerror_r(errnum, text, sizeof(text))) < 0)
		message = NULL;
	free(prefix);
	return wrap(code, message);
}

void cs_error_destroy(struct cs_error *error)
{
	if (!error || error == &cs_error_no_memory)
		return;
	free(error->message);
	free(error);
}
