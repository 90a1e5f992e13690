/* SPDX-License-Identifier: MIT */
#include "rsp/resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsp/packet.h"

bool resume_applies_to(const char *payload, const char *thread)
{
	const char *at = strchr(payload, ';');

	for (; at; at = strchr(at + 1, ';')) {
		size_t length = strcspn(at + 1, ";");
		const char *colon = memchr(at + 1, ':', length);
		char named[REPLY_THREAD_MAX];

		if (!colon)
			return true;
		reply_copy_thread(colon + 1, (size_t)(at + 1 + length - colon - 1), named);
		if (strcmp(named, thread) == 0 || strstr(named, "-1"))
			return true;
	}
	return payload[0] != 'v';
}

bool resume_first_thread(const char *payload, char to[REPLY_THREAD_MAX])
{
	const char *colon = payload[0] == 'v' ? strchr(payload, ':') : NULL;

	to[0] = '\0';
	if (colon)
		reply_copy_thread(colon + 1, strcspn(colon + 1, ";"), to);
	return to[0] && !strchr(to, '-');
}

bool resume_steps(const char *payload, char thread[REPLY_THREAD_MAX])
{
	const char *at = payload[0] == 'v' ? strchr(payload, ';') : NULL;

	for (; at && at[1]; at = strchr(at + 1, ';')) {
		size_t length = strcspn(at + 1, ";");
		const char *colon = memchr(at + 1, ':', length);

		if (!memchr("sSr", at[1], 3))
			continue;
		if (colon)
			reply_copy_thread(colon + 1, (size_t)(at + 1 + length - colon - 1), thread);
		return true;
	}
	return false;
}

char *resume_repeatable(const char *payload)
{
	char *copy = malloc(strlen(payload) + 1);
	char *to = copy;

	if (!copy)
		return NULL;
	if (payload[0] != 'v') {
		snprintf(copy, 2, "%c", payload[0] | 0x20);
		return copy;
	}
	for (const char *at = payload; *at; at++) {
		*to++ = *at;
		if (at[0] == ';' && (at[1] == 'C' || at[1] == 'S')) {
			*to++ = (char)(at[1] | 0x20);
			at++;
			while (packet_hex_digit(at[1]) >= 0)
				at++;
		}
	}
	*to = '\0';
	return copy;
}

bool resume_carries_signal(const char *payload)
{
	return payload[0] == 'C' || payload[0] == 'S' || strstr(payload, ";C") || strstr(payload, ";S");
}

bool resume_next_range(const char **at, uint64_t *start, uint64_t *end)
{
	while ((*at = strchr(*at, ';'))) {
		const char *action = ++*at;

		if (*action++ == 'r' && packet_hex_number(&action, start) && *action++ == ',' &&
		    packet_hex_number(&action, end))
			return true;
	}
	return false;
}

char *resume_without_ranges(const char *payload)
{
	char *copy = malloc(strlen(payload) + 1);
	char *to = copy;

	if (!copy)
		return NULL;
	for (const char *at = payload; *at; at++) {
		*to++ = *at;
		if (at[0] != ';' || at[1] != 'r')
			continue;
		*to++ = 's';
		at++;
		at += strcspn(at, ":;") - 1;
	}
	*to = '\0';
	return copy;
}
