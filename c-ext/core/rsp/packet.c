/* SPDX-License-Identifier: MIT */
#include "rsp/packet.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "base/vector.h"

void packet_parser_clear(struct packet_parser *parser)
{
	free(parser->buffer);
	*parser = (struct packet_parser){0};
}

static struct cs_error *append(struct packet_parser *parser, char byte)
{
	if (parser->length >= PACKET_MAX)
		return cs_error_create(
			CS_ERROR_PROTOCOL,
			"a packet of more than %zu bytes arrived; the stub does not speak the remote protocol",
			PACKET_MAX);
	CS_TRY(VECTOR_ROOM(parser->buffer, parser->length + 2, parser->capacity)); /* and a terminator */
	parser->buffer[parser->length++] = byte;
	parser->sum += (uint8_t)byte;
	return NULL;
}

static void begin(struct packet_parser *parser, bool notification)
{
	parser->length = 0;
	parser->sum = 0;
	parser->notification = notification;
	parser->state = PACKET_STATE_BODY;
}

/* A byte outside any packet. */
static void idle_byte(struct packet_parser *parser, const char *byte, struct packet_item *item)
{
	switch (*byte) {
	case '$': begin(parser, false); break;
	case '%': begin(parser, true); break;
	case '+': item->kind = PACKET_ACK; break;
	case '-': item->kind = PACKET_NAK; break;
	case 0x03: item->kind = PACKET_INTERRUPT; break;
	default:
		item->kind = PACKET_GARBAGE;
		item->payload = byte;
		item->length = 1;
		break;
	}
}

static void finish(struct packet_parser *parser, int low, struct packet_item *item)
{
	bool right = parser->expected == parser->sum && low >= 0;

	parser->state = PACKET_STATE_IDLE;
	if (parser->buffer)
		parser->buffer[parser->length] = '\0'; /* append() leaves room for it */
	item->payload = parser->buffer ? parser->buffer : "";
	item->length = parser->length;
	item->kind = !right ? PACKET_CORRUPT : parser->notification ? PACKET_NOTIFICATION : PACKET_DATA;
}

static struct cs_error *one_byte(struct packet_parser *parser, const char *byte, struct packet_item *item)
{
	int digit = packet_hex_digit(*byte);

	switch (parser->state) {
	case PACKET_STATE_IDLE: idle_byte(parser, byte, item); break;
	case PACKET_STATE_BODY:
		if (*byte == '#')
			parser->state = PACKET_STATE_SUM_HIGH;
		else if (*byte == '$') /* the sender began anew: what came before was cut off */
			begin(parser, false);
		else
			return append(parser, *byte);
		break;
	case PACKET_STATE_SUM_HIGH:
		/* A digit that is none makes the sum differ for certain. */
		parser->expected = digit >= 0 ? (uint8_t)(digit << 4) : (uint8_t)(~parser->sum & 0xf0);
		parser->state = PACKET_STATE_SUM_LOW;
		break;
	case PACKET_STATE_SUM_LOW:
		parser->expected |= digit >= 0 ? (uint8_t)digit : 0;
		finish(parser, digit, item);
		break;
	}
	return NULL;
}

struct cs_error *packet_feed(struct packet_parser *parser, const void *bytes, size_t n, size_t *used,
			     struct packet_item *item)
{
	const char *at = bytes;

	*item = (struct packet_item){.kind = PACKET_NONE};
	*used = 0;
	while (*used < n && item->kind == PACKET_NONE)
		CS_TRY(one_byte(parser, &at[(*used)++], item));
	return NULL;
}

uint8_t packet_checksum(const void *payload, size_t length)
{
	const uint8_t *bytes = payload;
	uint8_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += bytes[i];
	return sum;
}

struct cs_error *packet_frame(const void *payload, size_t length, char **ret, size_t *ret_length)
{
	char *frame = malloc(length + 5);
	uint8_t sum = packet_checksum(payload, length);

	if (!frame)
		return &cs_error_no_memory;
	frame[0] = '$';
	if (length)
		memcpy(frame + 1, payload, length);
	frame[length + 1] = '#';
	packet_hex(&sum, 1, frame + length + 2);
	*ret = frame;
	*ret_length = length + 4;
	return NULL;
}

static struct cs_error *bad_encoding(const char *what)
{
	return cs_error_create(CS_ERROR_PROTOCOL, "the stub sent a packet with %s", what);
}

/* The length of the decoded payload, with all checks. */
static struct cs_error *decoded_length(const char *payload, size_t length, size_t *ret)
{
	size_t total = 0;

	for (size_t i = 0; i < length; i++) {
		if (payload[i] == '}') {
			if (++i == length)
				return bad_encoding("an escape that is cut short");
			total++;
		} else if (payload[i] == '*') {
			if (++i == length || payload[i] < ' ' || payload[i] > '~')
				return bad_encoding("a repeat count that is cut short or out of range");
			if (!total)
				return bad_encoding("a repeat of nothing");
			total += (size_t)(payload[i] - 29);
		} else {
			total++;
		}
		if (total > PACKET_MAX)
			return bad_encoding("more content than this reads");
	}
	*ret = total;
	return NULL;
}

struct cs_error *packet_decode(const char *payload, size_t length, char **ret, size_t *ret_length)
{
	size_t total = 0;
	char *out;
	char *at;

	CS_TRY(decoded_length(payload, length, &total));
	out = at = malloc(total + 1);
	if (!out)
		return &cs_error_no_memory;
	for (size_t i = 0; i < length; i++) {
		if (payload[i] == '}') {
			*at++ = (char)(payload[++i] ^ 0x20);
		} else if (payload[i] == '*') {
			size_t repeat = (size_t)(payload[++i] - 29);

			memset(at, at[-1], repeat);
			at += repeat;
		} else {
			*at++ = payload[i];
		}
	}
	*at = '\0';
	*ret = out;
	*ret_length = total;
	return NULL;
}

struct cs_error *packet_escape(const void *data, size_t length, char **ret, size_t *ret_length)
{
	const char *bytes = data;
	char *out = malloc(2 * length + 1);
	size_t n = 0;

	if (!out)
		return &cs_error_no_memory;
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '#' || bytes[i] == '$' || bytes[i] == '}' || bytes[i] == '*') {
			out[n++] = '}';
			out[n++] = (char)(bytes[i] ^ 0x20);
		} else {
			out[n++] = bytes[i];
		}
	}
	out[n] = '\0';
	*ret = out;
	*ret_length = n;
	return NULL;
}

int packet_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool packet_unhex(const char *text, size_t digits, uint8_t *bytes)
{
	if (digits % 2)
		return false;
	for (size_t i = 0; i < digits; i += 2) {
		int high = packet_hex_digit(text[i]);
		int low = packet_hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i / 2] = (uint8_t)(high << 4 | low);
	}
	return true;
}

void packet_hex(const void *bytes, size_t n, char *text)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *at = bytes;

	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[at[i] >> 4];
		text[2 * i + 1] = digits[at[i] & 15];
	}
	text[2 * n] = '\0';
}

bool packet_hex_number(const char **text, uint64_t *value)
{
	const char *at = *text;
	int digit;

	*value = 0;
	while ((digit = packet_hex_digit(*at)) >= 0) {
		if (*value >> 60)
			return false;
		*value = *value << 4 | (uint64_t)digit;
		at++;
	}
	if (at == *text)
		return false;
	*text = at;
	return true;
}
