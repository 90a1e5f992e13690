/* SPDX-License-Identifier: MIT */
/*
 * Framing: any bytes, cut anywhere, give the same items; what is escaped and framed comes back as it
 * was. The first byte says how large the pieces are in which the rest is fed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "rsp/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
	if (!truth)
		abort();
}

static void decode(const char *payload, size_t length)
{
	FREE char *text = NULL;
	size_t n = 0;
	struct cs_error *error = packet_decode(payload, length, &text, &n);

	must(error || (text[n] == '\0' && n <= PACKET_MAX));
	cs_error_destroy(error);
}

/* Feeds everything in pieces; a sum over all items, so that two ways to cut can be compared. */
static uint64_t feed(const uint8_t *data, size_t size, size_t piece)
{
	CLEANUP(packet_parser_clear) struct packet_parser parser = {0};
	uint64_t sum = 0;

	for (size_t at = 0; at < size;) {
		struct packet_item item;
		size_t n = size - at < piece ? size - at : piece;
		size_t used = 0;
		struct cs_error *error = packet_feed(&parser, data + at, n, &used, &item);

		if (error) {
			cs_error_destroy(error);
			return sum;
		}
		must(used <= n && used > 0);
		at += used;
		if (item.kind == PACKET_NONE)
			continue;
		sum = sum * 31 + item.kind + packet_checksum(item.payload, item.length) + item.length;
		if (item.kind == PACKET_DATA || item.kind == PACKET_NOTIFICATION)
			decode(item.payload, item.length);
	}
	return sum;
}

static void round_trip(const uint8_t *data, size_t size)
{
	CLEANUP(packet_parser_clear) struct packet_parser parser = {0};
	FREE char *escaped = NULL;
	FREE char *framed = NULL;
	FREE char *decoded = NULL;
	struct packet_item item;
	size_t escaped_length;
	size_t length;
	size_t used;

	must(!packet_escape(data, size, &escaped, &escaped_length));
	must(!packet_frame(escaped, escaped_length, &framed, &length));
	must(!packet_feed(&parser, framed, length, &used, &item));
	must(used == length && item.kind == PACKET_DATA);
	must(!packet_decode(item.payload, item.length, &decoded, &length));
	must(length == size && (!size || memcmp(decoded, data, size) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	must(feed(data + 1, size - 1, size) == feed(data + 1, size - 1, data[0] % 16 + 1u));
	round_trip(data + 1, size - 1);
	decode((const char *)data + 1, size - 1);
	return 0;
}
