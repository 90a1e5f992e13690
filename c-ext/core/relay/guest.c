/* SPDX-License-Identifier: MIT */
#include "relay/guest.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

bool same_thread(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

void copy_thread(char to[REPLY_THREAD_MAX], const char *from)
{
	snprintf(to, REPLY_THREAD_MAX, "%s", from);
}

/* --- What it is --- */

/* What a thread id tells of its process: p1.1. */
static void note_process(struct guest *guest, const char *thread)
{
	size_t digits = thread[0] == 'p' ? strcspn(thread + 1, ".") : 0;

	if (digits && thread[1] != '-')
		snprintf(guest->process, sizeof(guest->process), "%.*s", (int)digits, thread + 1);
}

void guest_note_stop(struct guest *guest, const struct stop_reply *stop)
{
	guest->stop = *stop;
	note_process(guest, stop->thread);
}

/* Which process the guest is, where the stub names processes and its first stop did not. */
static struct cs_error *ask_process(struct guest *guest)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	char thread[REPLY_THREAD_MAX];

	if (!guest->stub->multiprocess || guest->process[0] || guest->stop.kind != STOP_SIGNAL)
		return NULL;
	CS_TRY(stub_request(guest->stub, "qC", 2, &reply));
	if (strncmp(reply.text, "QC", 2) != 0)
		return NULL;
	reply_copy_thread(reply.text + 2, reply.length - 2, thread);
	note_process(guest, thread);
	return NULL;
}

struct cs_error *guest_begin(struct guest *guest)
{
	struct stop_reply stop;

	reply_parse_stop(guest->stub->first_stop.text, guest->stub->first_stop.length, &stop);
	guest_note_stop(guest, &stop);
	CS_TRY(ask_process(guest));
	copy_thread(guest->general.by_gdb, guest->stop.thread);
	registers_map(guest->stub->arch, guest->stub->target, &guest->map);
	return insn_decoder_create(guest->stub->arch, &guest->decoder);
}

/* --- Threads and registers --- */

void guest_forget_threads(struct guest *guest)
{
	guest->general = guest->resumed = (struct thread_choice){0};
}

struct cs_error *guest_select_general(struct guest *guest, const char *thread)
{
	if (!thread[0] || same_thread(guest->general.at_stub, thread))
		return NULL;
	CS_TRY(stub_command(guest->stub, "Hg%s", thread));
	copy_thread(guest->general.at_stub, thread);
	return NULL;
}

struct cs_error *guest_restore_general(struct guest *guest)
{
	return guest_select_general(guest, guest->general.by_gdb);
}

struct cs_error *guest_select_resumed(struct guest *guest, const char *thread)
{
	if (!thread[0] || guest->stub->vcont[0] || same_thread(guest->resumed.at_stub, thread))
		return NULL;
	CS_TRY(stub_command(guest->stub, "Hc%s", thread));
	copy_thread(guest->resumed.at_stub, thread);
	return NULL;
}

struct cs_error *guest_restore_resumed(struct guest *guest)
{
	if (!guest->resumed.at_stub[0])
		return NULL;
	return guest_select_resumed(guest, guest->resumed.by_gdb[0] ? guest->resumed.by_gdb : "-1");
}

struct cs_error *guest_read_registers(struct guest *guest, const char *thread, struct registers *ret)
{
	registers_clear(ret);
	CS_TRY(guest_select_general(guest, thread));
	CS_TRY(stub_read_registers(guest->stub, &ret->bytes, &ret->size));
	ret->pc = registers_value(guest->map.pc, ret);
	return NULL;
}

struct cs_error *guest_write_chosen(struct guest *guest, const struct target_register *reg, uint64_t value,
				    struct registers *registers)
{
	size_t bytes = reg->bits / 8;
	char hex[17];

	packet_hex(&value, bytes, hex); /* little-endian, as the target */
	CS_TRY(stub_command(guest->stub, "P%x=%s", reg->number, hex));
	memcpy(registers->bytes + reg->offset, &value, bytes);
	return NULL;
}

struct cs_error *guest_write_register(struct guest *guest, const char *thread, const struct target_register *reg,
				      uint64_t value, struct registers *registers)
{
	CS_TRY(guest_select_general(guest, thread));
	CS_TRY(guest_write_chosen(guest, reg, value, registers));
	registers->pc = registers_value(guest->map.pc, registers);
	return NULL;
}

/* --- Breakpoints --- */

struct cs_error *guest_insert(struct guest *guest, char type, uint64_t address)
{
	return stub_command(guest->stub, "Z%c,%llx,1", type, (unsigned long long)address);
}

struct cs_error *guest_take_out(struct guest *guest, char type, uint64_t address)
{
	return stub_command(guest->stub, "z%c,%llx,1", type, (unsigned long long)address);
}

/* --- Letting it run --- */

struct cs_error *guest_go(struct guest *guest, const char *payload, size_t length)
{
	guest_state_set(guest->state, RELAY_RUNNING);
	run_clock_begin(guest->clock);
	return stub_send(guest->stub, payload, length);
}

struct cs_error *guest_run(struct guest *guest, const char *payload)
{
	run_clock_begin(guest->clock);
	return stub_send(guest->stub, payload, strlen(payload));
}

/* The next packet that is no console output; *got is false once the time is over, however much is printed. */
static struct cs_error *await_stop(struct guest *guest, unsigned limit_ms, struct stub_reply *reply, bool *got)
{
	uint64_t deadline = util_now_ns() + (uint64_t)limit_ms * 1000000u;

	for (;;) {
		uint64_t now = util_now_ns();

		stub_reply_clear(reply);
		CS_TRY(stub_receive(guest->stub, now < deadline ? (int)((deadline - now + 999999) / 1000000u) : 0,
				    reply, got));
		if (!*got || reply->text[0] != 'O')
			return NULL;
		guest->printed(guest->printed_context, reply->raw, reply->raw_length);
		if (now >= deadline) {
			*got = false;
			return NULL;
		}
	}
}

struct cs_error *guest_await(struct guest *guest, unsigned limit_ms, struct stub_reply *reply, bool *given_up)
{
	bool got;

	*given_up = false;
	CS_TRY(await_stop(guest, limit_ms, reply, &got));
	if (!got) {
		*given_up = true;
		CS_TRY(stub_send_interrupt(guest->stub));
		CS_TRY(await_stop(guest, guest->stub->timeout_ms, reply, &got));
	}
	if (!got)
		return cs_error_create(
			CS_ERROR_TIMEOUT,
			"%s: the guest did not come back within %u ms, not when it was interrupted either",
			guest->stub->address, guest->stub->timeout_ms);
	run_clock_end(guest->clock);
	return NULL;
}
