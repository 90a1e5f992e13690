/* SPDX-License-Identifier: MIT */
/* A stopped thread's registers, and getting it off the probe it stands at. */
#include "relay_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define SIGNAL_INT 2 /* GDB's numbers, include/gdb/signals.def */
#define SIGNAL_TRAP 5
#define EFER_LMA 0x400u /* Intel SDM vol. 3, 2.2.1 */

/* --- Threads and registers --- */

static uint64_t value_of(const struct target_register *reg, const struct registers *registers)
{
	return reg ? target_value(reg, registers->bytes, registers->size) : 0;
}

struct cs_error *step_select_general(struct relay *relay, const char *thread)
{
	if (!thread[0] || same_thread(relay->stub_general, thread))
		return NULL;
	CS_TRY(stub_command(relay->stub, "Hg%s", thread));
	copy_thread(relay->stub_general, thread);
	return NULL;
}

struct cs_error *guest_restore_general(struct relay *relay)
{
	return step_select_general(relay, relay->client_general);
}

struct cs_error *step_select_resumed(struct relay *relay, const char *thread)
{
	if (!thread[0] || relay->stub->vcont[0] || same_thread(relay->stub_resume, thread))
		return NULL;
	CS_TRY(stub_command(relay->stub, "Hc%s", thread));
	copy_thread(relay->stub_resume, thread);
	return NULL;
}

struct cs_error *step_restore_resumed(struct relay *relay)
{
	if (!relay->stub_resume[0])
		return NULL;
	return step_select_resumed(relay, relay->client_resume[0] ? relay->client_resume : "-1");
}

struct cs_error *step_read_registers(struct relay *relay, const char *thread, struct registers *ret)
{
	registers_clear(ret);
	CS_TRY(step_select_general(relay, thread));
	CS_TRY(stub_read_registers(relay->stub, &ret->bytes, &ret->size));
	ret->pc = value_of(relay->map.pc, ret);
	return NULL;
}

struct cs_error *relay_read_registers(struct relay *relay, const char *thread, uint8_t **ret, size_t *ret_size)
{
	CLEANUP(registers_clear) struct registers registers = {0};

	CS_TRY(step_read_registers(relay, thread[0] ? thread : relay->stop.thread, &registers));
	*ret = TAKE_PTR(registers.bytes);
	*ret_size = registers.size;
	return NULL;
}

/* --- Run time --- */

void step_begin_run(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	relay->resumed_at = util_now_ns();
	pthread_mutex_unlock(&relay->lock);
}

void step_end_run(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	if (relay->resumed_at)
		relay->statistics.run_ns += util_now_ns() - relay->resumed_at;
	relay->resumed_at = 0;
	pthread_mutex_unlock(&relay->lock);
}

/* --- Stepping --- */

static struct cs_error *step_once(struct relay *relay, const char *thread, struct stub_reply *reply)
{
	char payload[REPLY_THREAD_MAX + 16] = "s";
	bool got = false;

	CS_TRY(step_select_resumed(relay, thread));
	if (relay->stub->vcont[0])
		snprintf(payload, sizeof(payload), thread[0] ? "vCont;s:%s" : "vCont;s", thread);
	step_begin_run(relay);
	CS_TRY(stub_send(relay->stub, payload, strlen(payload)));
	do {
		stub_reply_clear(reply);
		CS_TRY(stub_receive(relay->stub, -1, reply, &got));
		if (!got)
			return cs_error_create(CS_ERROR_TIMEOUT,
					       "%s: the guest did not come back from a single step within %u ms",
					       relay->stub->address, relay->stub->timeout_ms);
		if (reply->text[0] == 'O')
			client_send(relay, reply->raw, reply->raw_length);
	} while (reply->text[0] == 'O');
	step_end_run(relay);
	return NULL;
}

bool step_settles_interrupt(struct relay *relay, const struct stop_reply *stop)
{
	if (!relay->interrupt_owed || relay->interrupt_sent || stop->kind != STOP_SIGNAL || stop->signal != SIGNAL_INT)
		return false;
	relay->interrupt_owed = false;
	return true;
}

/* Whether the reply is what a completed step of that thread looks like. */
static bool stepped(const struct stop_reply *stop, const char *thread)
{
	return stop->kind == STOP_SIGNAL && stop->signal == SIGNAL_TRAP && stop->cause != STOP_CAUSE_WATCHPOINT &&
	       (!stop->thread[0] || !thread[0] || same_thread(stop->thread, thread));
}

/* One step, and the registers after it. *reply holds the stop where it was something else (*foreign). */
struct cs_error *step_and_look(struct relay *relay, const char *thread, struct registers *registers,
			       struct stub_reply *reply, bool *foreign)
{
	struct stop_reply stop;

	do {
		CS_TRY(step_once(relay, thread, reply));
		reply_parse_stop(reply->text, reply->length, &stop);
	} while (step_settles_interrupt(relay, &stop));
	if (stop.kind == STOP_NONE)
		return cs_error_create(CS_ERROR_REFUSED, "%s: the stub answers a single step with \"%.40s\"",
				       relay->stub->address, reply->text);
	copy_thread(relay->stub_general, stop.thread);
	*foreign = !stepped(&stop, thread);
	return *foreign ? NULL : step_read_registers(relay, thread, registers);
}

/* By a step: in place where the stub can (QEMU), else with the breakpoint taken out meanwhile. */
static struct cs_error *by_step(struct relay *relay, const char *thread, char type, struct registers *registers,
				struct stub_reply *reply, bool *foreign)
{
	uint64_t from = registers->pc;
	struct cs_error *error;
	struct cs_error *again;

	if (relay->step_in_place[type - '0'] != IN_PLACE_FAILS) {
		CS_TRY(step_and_look(relay, thread, registers, reply, foreign));
		if (*foreign) /* which says nothing of whether the step would have worked */
			return NULL;
		if (registers->pc != from) {
			relay->step_in_place[type - '0'] = IN_PLACE_WORKS;
			return NULL;
		}
		if (relay->step_in_place[type - '0'] == IN_PLACE_WORKS)
			return NULL; /* an instruction that repeats itself */
		relay->step_in_place[type - '0'] = IN_PLACE_FAILS;
	}
	CS_TRY(guest_take_out(relay, type, from));
	error = step_and_look(relay, thread, registers, reply, foreign);
	if (error && error->code != CS_ERROR_REFUSED)
		return error;
	again = guest_insert(relay, type, from);
	if (!error)
		return again;
	cs_error_destroy(again);
	return error;
}

/* --- Working an instruction out --- */

void step_map_registers(struct relay *relay)
{
	static const char *const names[EMULATE_REGISTERS] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
	};
	const struct target *target = relay->stub->target;

	relay->map.pc = target_find(target, "rip");
	relay->map.flags = target_find(target, "eflags");
	relay->map.efer = target_find(target, "efer");
	relay->map.cs = target_find(target, "cs");
	for (size_t i = 0; i < EMULATE_REGISTERS; i++)
		relay->map.gpr[i] = target_find(target, names[i]);
}

static bool is_there(const struct target_register *reg, const struct registers *registers, uint32_t bits)
{
	return reg && reg->bits == bits && reg->offset + bits / 8 <= registers->size;
}

/* Whether the registers are those of a 64-bit x86, as far as emulation needs them. */
bool step_known_registers(const struct register_map *map, const struct registers *registers)
{
	if (!is_there(map->pc, registers, 64) ||
	    (!is_there(map->flags, registers, 32) && !is_there(map->flags, registers, 64)))
		return false;
	for (size_t i = 0; i < EMULATE_REGISTERS; i++)
		if (!is_there(map->gpr[i], registers, 64))
			return false;
	return true;
}

/* Before long mode the same bytes are other instructions. A stub that does not tell EFER (Firecracker,
 * gdbserver) has a guest or a program that begins in it. */
static bool in_long_mode(const struct register_map *map, const struct registers *registers)
{
	return !map->efer || value_of(map->efer, registers) & EFER_LMA;
}

static struct emulate_state load_state(const struct register_map *map, const struct registers *registers)
{
	struct emulate_state state = {
		.rip = registers->pc,
		.rflags = value_of(map->flags, registers),
	};

	for (size_t i = 0; i < EMULATE_REGISTERS; i++)
		state.gpr[i] = value_of(map->gpr[i], registers);
	return state;
}

/* What the stub refuses here is no failure: the instruction is stepped instead. */
static struct cs_error *unless_refused(struct cs_error *error, bool *refused)
{
	*refused = error && error->code == CS_ERROR_REFUSED;
	if (!*refused)
		return error;
	cs_error_destroy(error);
	return NULL;
}

/* The instruction at the PC; *found is false where memory holds none. */
static struct cs_error *find_insn(struct relay *relay, const struct probe *probe, uint64_t pc, struct insn *insn,
				  bool *found)
{
	uint8_t bytes[INSN_MAX_LENGTH];
	bool refused;

	*found = true;
	if (probe->insn) {
		*insn = *probe->insn;
		return NULL;
	}
	CS_TRY(unless_refused(stub_read(relay->stub, pc, bytes, sizeof(bytes)), &refused));
	*found = !refused && insn_decode(relay->decoder, bytes, sizeof(bytes), pc, insn);
	return NULL;
}

/* Writes one register, on the wire and in the copy. */
static struct cs_error *write_register(struct relay *relay, const struct target_register *reg, uint64_t value,
				       struct registers *registers)
{
	size_t bytes = reg->bits / 8;
	char hex[17];

	packet_hex(&value, bytes, hex); /* little-endian, as the target */
	CS_TRY(stub_command(relay->stub, "P%x=%s", reg->number, hex));
	memcpy(registers->bytes + reg->offset, &value, bytes);
	return NULL;
}

struct cs_error *step_write_register(struct relay *relay, const char *thread, const struct target_register *reg,
				     uint64_t value, struct registers *registers)
{
	CS_TRY(step_select_general(relay, thread));
	CS_TRY(write_register(relay, reg, value, registers));
	registers->pc = value_of(relay->map.pc, registers);
	return NULL;
}

/* RIP comes first: a stub that refuses to write it is then left untouched. */
static struct cs_error *write_state(struct relay *relay, const struct emulate_state *state,
				    const struct emulate_effect *effect, struct registers *registers)
{
	CS_TRY(write_register(relay, relay->map.pc, state->rip, registers));
	registers->pc = state->rip;
	for (unsigned i = 0; i < EMULATE_REGISTERS; i++)
		if (effect->written >> i & 1)
			CS_TRY(write_register(relay, relay->map.gpr[i], state->gpr[i], registers));
	if (effect->flags_written)
		CS_TRY(write_register(relay, relay->map.flags, state->rflags, registers));
	return NULL;
}

/* Writes what the instruction changes. *done is false where the stub refuses some of it: what it took
 * before that is undone. */
static struct cs_error *write_effect(struct relay *relay, const struct emulate_state *before,
				     const struct emulate_state *after, const struct emulate_effect *effect, bool store,
				     struct registers *registers, bool *done)
{
	bool refused = false;
	bool again;

	/* Memory comes first: below the stack pointer nothing has changed yet. */
	if (store)
		CS_TRY(unless_refused(stub_write(relay->stub, after->gpr[EMULATE_RSP], &effect->store_value,
						 sizeof(effect->store_value)),
				      &refused));
	if (!refused)
		CS_TRY(unless_refused(write_state(relay, after, effect, registers), &refused));
	*done = !refused;
	relay->step_only |= refused;
	/* In the same order, so that it ends at the same register. */
	return refused ? unless_refused(write_state(relay, before, effect, registers), &again) : NULL;
}

/* Works out what the instruction does, and writes it. *done is false where it must be stepped. */
static struct cs_error *by_emulation(struct relay *relay, const char *thread, const struct probe *probe,
				     struct registers *registers, bool *done)
{
	struct emulate_effect effect;
	struct emulate_state before;
	struct emulate_state after;
	enum emulate_need need;
	bool refused = false;
	uint64_t loaded = 0;
	struct insn insn;
	bool found;

	*done = false;
	if (!step_known_registers(&relay->map, registers) || !in_long_mode(&relay->map, registers))
		return NULL;
	CS_TRY(find_insn(relay, probe, registers->pc, &insn, &found));
	need = found ? emulate_need(&insn) : EMULATE_IMPOSSIBLE;
	if (need == EMULATE_IMPOSSIBLE || (need != EMULATE_REGISTERS_ONLY && relay->watchpoints_used))
		return NULL;
	before = after = load_state(&relay->map, registers);
	if (need == EMULATE_LOAD)
		CS_TRY(unless_refused(stub_read(relay->stub, before.gpr[EMULATE_RSP], &loaded, sizeof(loaded)),
				      &refused));
	if (refused)
		return NULL;
	emulate_run(&insn, &after, loaded, &effect);
	CS_TRY(step_select_general(relay, thread));
	return write_effect(relay, &before, &after, &effect, need == EMULATE_STORE, registers, done);
}

struct cs_error *step_off(struct relay *relay, const char *thread, const struct probe *probe,
			  struct registers *registers, struct stub_reply *reply, bool *foreign)
{
	bool done = false;

	/* A replay counts instructions: each one must really be executed. */
	if (!relay->replay && !relay->step_only)
		CS_TRY(by_emulation(relay, thread, probe, registers, &done));
	return done ? NULL : by_step(relay, thread, probe->type, registers, reply, foreign);
}
