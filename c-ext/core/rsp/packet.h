/* SPDX-License-Identifier: MIT */
/*
 * Framing of the GDB remote serial protocol, apart from any I/O: a parser that is fed bytes and
 * yields one item at a time, and functions that encode and decode payloads.
 *
 * Source: "Debugging with GDB", appendix E.1 (Overview: packets, escapes, run-length encoding,
 * acknowledgements) and E.10 (notifications).
 */
#ifndef CLOCKSCOPE_PACKET_H
#define CLOCKSCOPE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The longest payload that is accepted, in bytes as they are on the wire. Stubs offer up to
 * 128 KiB; a stub that sends more than this is broken or hostile. */
#define PACKET_MAX ((size_t)1 << 20)

enum packet_kind {
	PACKET_NONE,         /* all bytes used up, nothing complete yet */
	PACKET_DATA,         /* $payload#checksum, checksum right */
	PACKET_CORRUPT,      /* $payload#checksum, checksum wrong */
	PACKET_NOTIFICATION, /* %payload#checksum */
	PACKET_ACK,          /* + */
	PACKET_NAK,          /* - */
	PACKET_INTERRUPT,    /* 0x03 */
	PACKET_GARBAGE,      /* a byte that belongs to no packet */
};

struct packet_item {
	enum packet_kind kind;
	/* The payload between the introducer and '#', still escaped and run-length encoded, with a NUL
	 * behind it that does not count. It belongs to the parser and holds until the next feed. For
	 * PACKET_GARBAGE: that one byte. */
	const char *payload;
	size_t length;
};

struct packet_parser {
	char *buffer;
	size_t length;
	size_t capacity;
	uint8_t sum;
	uint8_t expected;
	bool notification;
	enum { PACKET_STATE_IDLE, PACKET_STATE_BODY, PACKET_STATE_SUM_HIGH, PACKET_STATE_SUM_LOW } state;
};

/* A zeroed parser is ready for use; this releases what it holds and zeroes it again. */
void packet_parser_clear(struct packet_parser *parser);

/* Feeds `n` bytes up to the end of the first complete item. *used receives the number of bytes
 * consumed; call again with the rest. CS_ERROR_PROTOCOL for a payload over PACKET_MAX. */
struct cs_error *packet_feed(struct packet_parser *parser, const void *bytes, size_t n, size_t *used,
			     struct packet_item *item);

/* The sum of the bytes modulo 256, as it stands behind '#'. */
uint8_t packet_checksum(const void *payload, size_t length);

/* Frames a payload that is already escaped: `$payload#xx`. *ret is malloc'd. */
struct cs_error *packet_frame(const void *payload, size_t length, char **ret, size_t *ret_length);

/* Undoes escapes (`}` and the byte xor 0x20) and run-length encoding (`*` and count+29). *ret is
 * malloc'd, with a NUL behind it that does not count. CS_ERROR_PROTOCOL for an escape or a repeat
 * that is cut short, a repeat of nothing, or a result over PACKET_MAX. */
struct cs_error *packet_decode(const char *payload, size_t length, char **ret, size_t *ret_length);

/* Escapes '#', '$', '}' and '*'. *ret is malloc'd, NUL-terminated. */
struct cs_error *packet_escape(const void *data, size_t length, char **ret, size_t *ret_length);

/* Hex digits. The value of one digit, or -1. */
int packet_hex_digit(char c);

/* Reads exactly 2*n hex digits into n bytes; false if there is anything else among them. */
bool packet_unhex(const char *text, size_t digits, uint8_t *bytes);

/* Writes 2*n lower-case hex digits and a NUL. */
void packet_hex(const void *bytes, size_t n, char *text);

/* Reads a big-endian hex number of 1 to 16 digits at *text, advances *text behind it. False if there
 * is no digit or the number does not fit. */
bool packet_hex_number(const char **text, uint64_t *value);

#endif
