/* SPDX-License-Identifier: MIT */
#include "rsp/handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/machines.h"
#include "base/util.h"
#include "base/vector.h"
#include "rsp/quirks.h"

/* What the relay can do itself, told to the stub. What GDB is offered is settled in gdb_answer.c. */
static const char supported[] = "qSupported:multiprocess+;swbreak+;hwbreak+;no-resumed+;vContSupported+;xmlRegisters=";

/* The manual's default where a stub says nothing (appendix E.4, PacketSize). */
#define PACKET_SIZE_DEFAULT 400

static struct cs_error *add_feature(struct stub *stub, const struct reply_field *field)
{
	struct stub_feature *feature;

	CS_TRY(VECTOR_ROOM(stub->features, stub->feature_count + 1, stub->feature_room));
	feature = &stub->features[stub->feature_count];
	feature->name = strndup(field->name, field->name_length);
	feature->value = strndup(field->value ? field->value : "", field->value ? field->value_length : 0);
	if (!feature->name || !feature->value) {
		free(feature->name);
		free(feature->value);
		return &cs_error_no_memory;
	}
	stub->feature_count++;
	return NULL;
}

static bool has(const struct stub *stub, const char *feature)
{
	const char *value = stub_feature(stub, feature);

	return value && value[0] == '+';
}

static struct cs_error *ask_features(struct stub *stub)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct reply_field field;
	const char *at;
	const char *size;
	char request[256];
	uint64_t number;
	int code, length;

	length = snprintf(request, sizeof(request), "%s%s", supported, arch_at(0)->xml_registers);
	for (size_t i = 1; arch_at(i); i++)
		length +=
			snprintf(request + length, sizeof(request) - (size_t)length, ",%s", arch_at(i)->xml_registers);
	CS_TRY(stub_request(stub, request, (size_t)length, &reply));
	at = reply.text;
	if (!reply_is_error(reply.text, reply.length, &code))
		while (stub->feature_count < 256 && reply_next_field(&at, reply.text + reply.length, &field))
			CS_TRY(add_feature(stub, &field));
	size = stub_feature(stub, "PacketSize");
	/* The value is in hexadecimal. What does not leave room for a `g` reply cannot be meant. */
	if (size && packet_hex_number(&size, &number) && number >= 64)
		stub->packet_size = number < PACKET_MAX ? (size_t)number : PACKET_MAX;
	stub->multiprocess = has(stub, "multiprocess");
	quirks_recognise(stub);
	return NULL;
}

static struct cs_error *leave_acknowledgements(struct stub *stub)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};

	if (!has(stub, "QStartNoAckMode"))
		return NULL;
	CS_TRY(stub_request(stub, "QStartNoAckMode", strlen("QStartNoAckMode"), &reply));
	/* The reply itself was still acknowledged, by stub_receive(). */
	stub->no_ack = strcmp(reply.text, "OK") == 0;
	return NULL;
}

/* Keeps the one-letter actions; `t` is not needed. */
static struct cs_error *ask_vcont(struct stub *stub)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct reply_field field;
	const char *at;
	size_t n = 0;

	CS_TRY(stub_request(stub, "vCont?", strlen("vCont?"), &reply));
	if (strncmp(reply.text, "vCont", 5) != 0) {
		quirks_note(stub, QUIRK_NO_VCONT);
		return NULL;
	}
	at = reply.text + 5;
	while (n < sizeof(stub->vcont) - 1 && reply_next_field(&at, reply.text + reply.length, &field))
		if (field.name_length == 1 && memchr("cCsSr", field.name[0], 5))
			stub->vcont[n++] = field.name[0];
	/* GDB uses vCont only where both c and s are there, with signals (remote.c). */
	for (const char *needed = "cCsS"; *needed; needed++)
		if (!memchr(stub->vcont, *needed, n))
			stub->vcont[0] = '\0';
	if (!stub->vcont[0])
		quirks_note(stub, QUIRK_NO_VCONT);
	return NULL;
}

/* Reads an annex of the target description piece by piece. */
static struct cs_error *fetch_annex(void *context, const char *annex, char **ret, size_t *ret_length)
{
	struct stub *stub = context;
	FREE char *text = NULL;
	size_t length = 0;
	size_t piece = stub->packet_size - 8 < 0x1000 ? stub->packet_size - 8 : 0x1000;

	for (;;) {
		CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
		char request[256];
		char *grown;
		int n = snprintf(request, sizeof(request), "qXfer:features:read:%s:%zx,%zx", annex, length, piece);

		/* A name must not end the packet and begin another one. */
		if (n < 0 || (size_t)n >= sizeof(request) || strpbrk(annex, "#$}*"))
			return cs_error_create(
				CS_ERROR_PROTOCOL,
				"the stub's target description includes \"%.40s\", which is no file's name", annex);
		CS_TRY(stub_request(stub, request, (size_t)n, &reply));
		if (!reply.length || (reply.text[0] != 'm' && reply.text[0] != 'l') ||
		    length + reply.length > PACKET_MAX || (reply.text[0] == 'm' && reply.length == 1))
			return cs_error_create(CS_ERROR_PROTOCOL, "%s: the stub does not deliver its \"%s\"",
					       stub->address, annex);
		grown = realloc(text, length + reply.length);
		if (!grown)
			return &cs_error_no_memory;
		text = grown;
		memcpy(text + length, reply.text + 1, reply.length - 1);
		length += reply.length - 1;
		text[length] = '\0';
		if (reply.text[0] == 'l')
			break;
	}
	*ret = TAKE_PTR(text);
	*ret_length = length;
	return NULL;
}

static struct cs_error *is_another_machine(const struct stub *stub, const char *what)
{
	return cs_error_create(CS_ERROR_REFUSED, "%s: the stub's guest is %s; only %s guests can be traced",
			       stub->address, what, arch_at(0)->name);
}

static struct cs_error *check_size(struct stub *stub)
{
	FREE uint8_t *g = NULL;
	struct cs_error *error;
	const char *machine;
	size_t size = 0;

	error = stub_read_registers(stub, &g, &size);
	if (error && error->code == CS_ERROR_REFUSED) {
		cs_error_destroy(error); /* no registers before the guest has run */
		return NULL;
	}
	CS_TRY(error);
	machine = machine_name_of_size(size);
	return machine ? is_another_machine(stub, machine) : NULL;
}

static bool has_program_counter(const struct stub *stub, const struct arch *arch)
{
	const struct target_register *pc = target_find(stub->target, arch->pc);

	return pc && pc->bits == 64;
}

static const char *machine_by_registers(const struct stub *stub)
{
	const struct machine_mark *mark = NULL;

	for (size_t i = 0; (mark = machine_mark_at(i)) && !target_find(stub->target, mark->reg); i++)
		;
	return mark ? mark->machine : "a machine that has no program counter of those";
}

/* All that is planted, borrowed and worked out is the architecture's: elsewhere it would do harm. */
static struct cs_error *find_machine(struct stub *stub)
{
	const char *said = stub->target->architecture;
	const struct arch *named = said[0] ? machine_of_target(said) : arch_at(0);

	if (!stub->target->count) {
		stub->arch = named;
		return named ? NULL : is_another_machine(stub, said);
	}
	for (size_t i = 0; arch_at(i) && !stub->arch; i++)
		if (has_program_counter(stub, arch_at(i)))
			stub->arch = arch_at(i);
	if (stub->arch)
		return NULL;
	return is_another_machine(stub, named ? machine_by_registers(stub) : said);
}

static struct cs_error *assume_registers(struct stub *stub, const struct arch *arch)
{
	stub->arch = arch;
	CS_TRY(target_create_assumed(arch, &stub->target));
	return check_size(stub);
}

static struct cs_error *ask_registers(struct stub *stub)
{
	if (!has(stub, "qXfer:features:read"))
		return assume_registers(stub, arch_at(0));
	CS_TRY(target_create(fetch_annex, stub, &stub->target));
	CS_TRY(find_machine(stub));
	if (stub->target->count)
		return NULL;
	/* A description may name an architecture alone: GDB then assumes its own layout. */
	target_destroy(stub->target);
	stub->target = NULL;
	return assume_registers(stub, stub->arch);
}

static struct cs_error *ask_stop(struct stub *stub)
{
	struct stop_reply stop;

	CS_TRY(stub_request(stub, "?", 1, &stub->first_stop));
	reply_parse_stop(stub->first_stop.text, stub->first_stop.length, &stop);
	if (stop.kind == STOP_NONE)
		return cs_error_create(CS_ERROR_PROTOCOL,
				       "%s: the stub does not say why the guest stands (it sent \"%.40s\")",
				       stub->address, stub->first_stop.text);
	if (stop.kind == STOP_EXITED || stop.kind == STOP_TERMINATED)
		return cs_error_create(CS_ERROR_PROTOCOL, "%s: nothing runs at the stub; start your guest there first",
				       stub->address);
	return NULL;
}

struct cs_error *handshake(struct stub *stub)
{
	stub->packet_size = PACKET_SIZE_DEFAULT;
	CS_TRY(ask_features(stub));
	CS_TRY(leave_acknowledgements(stub));
	CS_TRY(ask_vcont(stub));
	/* First the stop: gdbserver 13 crashes where it is asked for the description of a static program
	 * before it has been made to choose a thread. */
	CS_TRY(ask_stop(stub));
	return ask_registers(stub);
}
