/* SPDX-License-Identifier: MIT */
#include "rsp/reply.h"

#include <string.h>

#include "base/util.h"
#include "rsp/packet.h"

static bool name_is(const char *name, size_t length, const char *wanted)
{
	return strlen(wanted) == length && memcmp(name, wanted, length) == 0;
}

static void take_register(uint32_t number, const char *hex, size_t digits, struct stop_reply *stop)
{
	size_t bytes = digits / 2;

	if (stop->registers == REPLY_REGISTERS_MAX || !bytes)
		return;
	if (bytes > sizeof(stop->registers_sent[0].bytes))
		bytes = sizeof(stop->registers_sent[0].bytes);
	if (!packet_unhex(hex, 2 * bytes, stop->registers_sent[stop->registers].bytes))
		return;
	stop->registers_sent[stop->registers].number = number;
	stop->registers_sent[stop->registers].size = (uint8_t)bytes;
	stop->registers++;
}

/* The reasons for a stop that the manual names, by what they mean to a breakpoint's owner. */
static const struct {
	const char *name;
	enum stop_cause cause;
} causes[] = {
	{"swbreak", STOP_CAUSE_BREAKPOINT}, {"hwbreak", STOP_CAUSE_BREAKPOINT},  {"watch", STOP_CAUSE_WATCHPOINT},
	{"rwatch", STOP_CAUSE_WATCHPOINT},  {"awatch", STOP_CAUSE_WATCHPOINT},   {"library", STOP_CAUSE_OTHER},
	{"replaylog", STOP_CAUSE_OTHER},    {"fork", STOP_CAUSE_OTHER},          {"vfork", STOP_CAUSE_OTHER},
	{"vforkdone", STOP_CAUSE_OTHER},    {"exec", STOP_CAUSE_OTHER},          {"clone", STOP_CAUSE_OTHER},
	{"create", STOP_CAUSE_OTHER},       {"syscall_entry", STOP_CAUSE_OTHER}, {"syscall_return", STOP_CAUSE_OTHER},
};

/* One `name:value` of a T packet. What has no known name is to be ignored (the manual). */
static void take_pair(const char *name, size_t name_length, const char *value, size_t value_length,
		      struct stop_reply *stop)
{
	const char *at = name;
	uint64_t number;

	if (name_is(name, name_length, "thread")) {
		reply_copy_thread(value, value_length, stop->thread);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (name_is(name, name_length, causes[i].name)) {
			stop->cause = causes[i].cause;
			return;
		}
	if (packet_hex_number(&at, &number) && at == name + name_length && number <= UINT32_MAX)
		take_register((uint32_t)number, value, value_length, stop);
}

static void take_pairs(const char *at, const char *end, struct stop_reply *stop)
{
	while (at < end) {
		const char *semicolon = memchr(at, ';', (size_t)(end - at));
		const char *stop_at = semicolon ? semicolon : end;
		const char *colon = memchr(at, ':', (size_t)(stop_at - at));

		if (colon)
			take_pair(at, (size_t)(colon - at), colon + 1, (size_t)(stop_at - colon - 1), stop);
		at = stop_at + 1;
	}
}

/* The status behind W or X: two digits by the manual, but gdbserver 13 writes no leading zero. */
static bool take_status(const char *text, size_t length, uint8_t *status)
{
	size_t n = 0;
	unsigned value = 0;

	for (; n < length && packet_hex_digit(text[n]) >= 0; n++)
		value = value << 4 | (unsigned)packet_hex_digit(text[n]);
	*status = (uint8_t)value;
	return n > 0 && (n == length || text[n] == ';');
}

void reply_parse_stop(const char *payload, size_t length, struct stop_reply *stop)
{
	bool ends = length > 0 && (payload[0] == 'W' || payload[0] == 'X');

	*stop = (struct stop_reply){.kind = STOP_NONE};
	if (ends ? !take_status(payload + 1, length - 1, &stop->signal)
		 : length < 3 || !packet_unhex(payload + 1, 2, &stop->signal))
		return;
	switch (payload[0]) {
	case 'S': stop->kind = STOP_SIGNAL; break;
	case 'T':
		stop->kind = STOP_SIGNAL;
		take_pairs(payload + 3, payload + length, stop);
		break;
	case 'W': stop->kind = STOP_EXITED; break;
	case 'X': stop->kind = STOP_TERMINATED; break;
	default: break;
	}
}

bool reply_is_stop(const char *payload, size_t length)
{
	struct stop_reply stop;

	reply_parse_stop(payload, length, &stop);
	return stop.kind == STOP_SIGNAL;
}

bool reply_is_error(const char *payload, size_t length, int *number)
{
	uint8_t code = 0;

	if (length >= 2 && payload[0] == 'E' && payload[1] == '.') {
		*number = -1;
		return true;
	}
	if (length != 3 || payload[0] != 'E' || !packet_unhex(payload + 1, 2, &code))
		return false;
	*number = code;
	return true;
}

void reply_copy_thread(const char *id, size_t length, char to[REPLY_THREAD_MAX])
{
	bool in_number = false;
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		bool digit = packet_hex_digit(id[i]) >= 0;
		bool more = i + 1 < length && packet_hex_digit(id[i + 1]) >= 0;

		if ((!digit && !memchr("p.-", id[i], 3)) || n == REPLY_THREAD_MAX - 1) {
			n = 0;
			break;
		}
		if (id[i] == '0' && more && !in_number)
			continue; /* a leading zero */
		in_number = digit;
		to[n++] = (char)(digit ? id[i] | 0x20 : id[i]); /* '0' to '9' have that bit already */
	}
	to[n] = '\0';
}

unsigned reply_thread_cpu(const char *thread)
{
	const char *dot = strchr(thread, '.');
	const char *at = dot ? dot + 1 : thread;
	uint64_t number;

	if (!packet_hex_number(&at, &number) || !number || number > 4096)
		return 0;
	return (unsigned)number - 1;
}

bool reply_next_field(const char **at, const char *end, struct reply_field *field)
{
	const char *semicolon;
	const char *stop_at;
	const char *equals;

	if (*at >= end)
		return false;
	semicolon = memchr(*at, ';', (size_t)(end - *at));
	stop_at = semicolon ? semicolon : end;
	equals = memchr(*at, '=', (size_t)(stop_at - *at));
	*field = (struct reply_field){.name = *at, .name_length = (size_t)(stop_at - *at)};
	if (equals) {
		field->name_length = (size_t)(equals - *at);
		field->value = equals + 1;
		field->value_length = (size_t)(stop_at - equals - 1);
	} else if (field->name_length && memchr("+-?", stop_at[-1], 3)) {
		field->name_length--;
		field->value = stop_at - 1;
		field->value_length = 1;
	}
	*at = stop_at + 1;
	return true;
}
