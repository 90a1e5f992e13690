/* SPDX-License-Identifier: MIT */
/* A stopped thread's registers, and getting it off the probe it stands at. */
#include "relay/relay_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define SIGNAL_INT 2 /* GDB's numbers, include/gdb/signals.def */
#define SIGNAL_TRAP 5
#define EFER_LMA 0x400u /* Intel SDM vol. 3, 2.2.1 */

/* How long a step may take before the guest is stopped by an interrupt; each further try has twice as long. */
#define STEP_LIMIT_MS 250
/* Steps that execute nothing: QEMU's do when the local APIC wants to be polled. */
#define IDLE_STEPS_MAX 8

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
	if (relay->stopped_at)
		relay->statistics.stood_ns += relay->resumed_at - relay->stopped_at;
	relay->stopped_at = 0;
	for (; relay->marks_passed < relay->marks_made; relay->marks_passed++)
		relay->marks[relay->marks_passed % RELAY_MARKS] = relay->statistics;
	relay->statistics.resumes++;
	pthread_mutex_unlock(&relay->lock);
}

void step_end_run(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	if (relay->resumed_at) {
		relay->stopped_at = util_now_ns();
		relay->statistics.run_ns += relay->stopped_at - relay->resumed_at;
	}
	relay->resumed_at = 0;
	pthread_mutex_unlock(&relay->lock);
}

uint64_t relay_mark(struct relay *relay)
{
	uint64_t mark;

	pthread_mutex_lock(&relay->lock);
	mark = relay->marks_made++;
	pthread_mutex_unlock(&relay->lock);
	return mark;
}

bool relay_marked(struct relay *relay, uint64_t mark, struct relay_statistics *ret)
{
	bool kept;

	pthread_mutex_lock(&relay->lock);
	kept = mark < relay->marks_passed && relay->marks_made - mark <= RELAY_MARKS;
	if (kept)
		*ret = relay->marks[mark % RELAY_MARKS];
	pthread_mutex_unlock(&relay->lock);
	return kept;
}

/* --- Letting it run for a moment --- */

struct cs_error *step_run(struct relay *relay, const char *payload)
{
	step_begin_run(relay);
	return stub_send(relay->stub, payload, strlen(payload));
}

/* The next packet that is no console output; *got is false once the time is over, however much is printed. */
static struct cs_error *await_stop(struct relay *relay, unsigned limit_ms, struct stub_reply *reply, bool *got)
{
	uint64_t deadline = util_now_ns() + (uint64_t)limit_ms * 1000000u;

	for (;;) {
		uint64_t now = util_now_ns();

		stub_reply_clear(reply);
		CS_TRY(stub_receive(relay->stub, now < deadline ? (int)((deadline - now + 999999) / 1000000u) : 0,
				    reply, got));
		if (!*got || reply->text[0] != 'O')
			return NULL;
		client_send(relay, reply->raw, reply->raw_length);
		if (now >= deadline) {
			*got = false;
			return NULL;
		}
	}
}

struct cs_error *step_await(struct relay *relay, unsigned limit_ms, struct stub_reply *reply, bool *given_up)
{
	bool got;

	*given_up = false;
	CS_TRY(await_stop(relay, limit_ms, reply, &got));
	if (!got) {
		*given_up = true;
		CS_TRY(stub_send_interrupt(relay->stub));
		CS_TRY(await_stop(relay, relay->stub->timeout_ms, reply, &got));
	}
	if (!got)
		return cs_error_create(
			CS_ERROR_TIMEOUT,
			"%s: the guest did not come back within %u ms, not when it was interrupted either",
			relay->stub->address, relay->stub->timeout_ms);
	step_end_run(relay);
	return NULL;
}

void step_note_crossing(struct relay *relay, const struct stop_reply *stop, bool given_up)
{
	/* Where an earlier one was owed already, an interrupt that is told now is that one. */
	bool answered = stop->signal == SIGNAL_INT && !relay->own_interrupt_owed;

	relay->own_interrupt_owed = given_up && stop->kind == STOP_SIGNAL && !answered;
}

/* --- Stepping --- */

/* A step over `hlt` never comes back from QEMU, which holds interrupts off meanwhile; nor does one that runs away. The
 * guest is then stopped as Ctrl-C does it: the instruction has been executed, or can be stepped again. */
static struct cs_error *step_once(struct relay *relay, const char *thread, unsigned limit_ms, struct stub_reply *reply,
				  bool *given_up)
{
	char payload[REPLY_THREAD_MAX + 16] = "s";

	CS_TRY(step_select_resumed(relay, thread));
	if (relay->stub->vcont[0])
		snprintf(payload, sizeof(payload), thread[0] ? "vCont;s:%s" : "vCont;s", thread);
	CS_TRY(step_run(relay, payload));
	return step_await(relay, limit_ms, reply, given_up);
}

bool step_settles_interrupt(struct relay *relay, const struct stop_reply *stop)
{
	bool owed = relay->interrupt_owed || relay->own_interrupt_owed;

	if (stop->kind != STOP_SIGNAL)
		return false;
	relay->own_interrupt_owed = false; /* a stub that has kept it tells it first of all */
	if (!owed || relay->interrupt_sent || stop->signal != SIGNAL_INT)
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

/* --- What the registers are --- */

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
bool step_in_long_mode(const struct register_map *map, const struct registers *registers)
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

/* --- By a step --- */

/* One step, and the registers after it. *reply holds the stop where it was something else (*foreign). */
static struct cs_error *step_and_look(struct relay *relay, const char *thread, unsigned limit_ms,
				      struct registers *registers, struct stub_reply *reply, bool *given_up,
				      bool *foreign)
{
	struct stop_reply stop;

	do {
		CS_TRY(step_once(relay, thread, limit_ms, reply, given_up));
		reply_parse_stop(reply->text, reply->length, &stop);
	} while (!*given_up && step_settles_interrupt(relay, &stop));
	step_note_crossing(relay, &stop, *given_up);
	if (stop.kind == STOP_NONE)
		return cs_error_create(CS_ERROR_REFUSED, "%s: the stub answers a single step with \"%.40s\"",
				       relay->stub->address, reply->text);
	copy_thread(relay->stub_general, stop.thread);
	/* The interrupt is ours, whichever thread it is told of. */
	*foreign = !(*given_up && stop.kind == STOP_SIGNAL && stop.signal == SIGNAL_INT) && !stepped(&stop, thread);
	return *foreign ? NULL : step_read_registers(relay, thread, registers);
}

static bool is_prefix(uint8_t byte)
{
	return byte == 0x66 || byte == 0x67 || (byte & 0xf0) == 0x40 || (byte & 0xe7) == 0x26 || byte == 0x64 ||
	       byte == 0x65 || byte == 0xf2 || byte == 0xf3;
}

/* A repeated string instruction: it stays at its place until it is done, and its registers say how far it is. */
static bool repeats(const struct insn *insn)
{
	uint8_t opcode = insn->bytes[insn->length - 1];
	bool repeated = false;

	for (size_t i = 0; i + 1 < insn->length; i++) {
		if (!is_prefix(insn->bytes[i]))
			return false;
		repeated |= insn->bytes[i] == 0xf2 || insn->bytes[i] == 0xf3;
	}
	/* ins, outs, movs, cmps, stos, lods, scas */
	return repeated && ((opcode & 0xfc) == 0x6c || (opcode >= 0xa4 && opcode <= 0xaf && (opcode & 0xfe) != 0xa8));
}

/* Whether the instruction may end where it begins: a branch to itself, or `hlt`, at which a stub may have the guest
 * wait. Of the latter that is believed of a stub which is known to step off its breakpoints. */
static bool leads_back(const struct relay *relay, const struct probe *probe, const struct insn *insn,
		       const struct registers *registers)
{
	if (insn->kind == INSN_HALT)
		return relay->step_in_place[probe->type - '0'] == IN_PLACE_WORKS;
	if (insn->target != insn->address)
		return false;
	if (insn->kind == INSN_BRANCH)
		return emulate_condition(insn->condition, insn->narrow_count, value_of(relay->map.flags, registers),
					 value_of(relay->map.gpr[EMULATE_RCX], registers));
	return insn->kind == INSN_JUMP || insn->kind == INSN_CALL;
}

static bool same_general(const struct relay *relay, const struct registers *a, const struct registers *b)
{
	if (!step_known_registers(&relay->map, a) || !step_known_registers(&relay->map, b))
		return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
	for (size_t i = 0; i < EMULATE_REGISTERS; i++)
		if (value_of(relay->map.gpr[i], a) != value_of(relay->map.gpr[i], b))
			return false;
	return true;
}

struct cs_error *step_has_executed(struct relay *relay, const struct probe *probe, const struct registers *before,
				   const struct registers *after, bool *ret)
{
	struct insn insn;
	bool found;

	*ret = true;
	relay->step_unfinished = false;
	if (after->pc != before->pc)
		return NULL;
	CS_TRY(find_insn(relay, probe, before->pc, &insn, &found));
	relay->step_unfinished = found && repeats(&insn);
	*ret = !same_general(relay, before, after) || (found && leads_back(relay, probe, &insn, before));
	return NULL;
}

/* Steps until something has been executed; *moved is false where that does not come. */
static struct cs_error *step_until_moved(struct relay *relay, const char *thread, const struct probe *probe,
					 struct registers *registers, struct stub_reply *reply, bool *foreign,
					 bool *moved)
{
	CLEANUP(registers_clear) struct registers before = *registers;
	unsigned limit_ms = STEP_LIMIT_MS;

	*registers = (struct registers){.pc = before.pc};
	*moved = false;
	for (unsigned n = 0; n < IDLE_STEPS_MAX && !*moved; n++) {
		bool given_up;

		stub_reply_clear(reply);
		CS_TRY(step_and_look(relay, thread, limit_ms, registers, reply, &given_up, foreign));
		if (*foreign)
			return NULL;
		CS_TRY(step_has_executed(relay, probe, &before, registers, moved));
		if (given_up)
			limit_ms *= 2;
	}
	return NULL;
}

/* By a step: in place where the stub can (QEMU), else with the breakpoint taken out meanwhile. */
static struct cs_error *by_step(struct relay *relay, const char *thread, const struct probe *probe,
				struct registers *registers, struct stub_reply *reply, bool *foreign)
{
	size_t kind = (size_t)(probe->type - '0');
	uint64_t from = registers->pc;
	struct cs_error *error;
	struct cs_error *again;
	bool moved;

	if (relay->step_in_place[kind] != IN_PLACE_FAILS) {
		CS_TRY(step_until_moved(relay, thread, probe, registers, reply, foreign, &moved));
		if (*foreign) /* which says nothing of whether the step would have worked */
			return NULL;
		if (moved) {
			relay->step_in_place[kind] = IN_PLACE_WORKS;
			return NULL;
		}
		relay->step_in_place[kind] = IN_PLACE_FAILS;
	}
	CS_TRY(guest_take_out(relay, probe->type, from));
	error = step_until_moved(relay, thread, probe, registers, reply, foreign, &moved);
	if (!error && !*foreign && !moved)
		error = cs_error_create(CS_ERROR_REFUSED, "%s: a step executes nothing at 0x%llx", relay->stub->address,
					(unsigned long long)from);
	if (error && error->code != CS_ERROR_REFUSED)
		return error;
	again = guest_insert(relay, probe->type, from);
	if (!error)
		return again;
	cs_error_destroy(again);
	return error;
}

/* --- Working an instruction out --- */

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
	if (!step_known_registers(&relay->map, registers) || !step_in_long_mode(&relay->map, registers))
		return NULL;
	CS_TRY(find_insn(relay, probe, registers->pc, &insn, &found));
	need = found ? emulate_need(&insn) : EMULATE_IMPOSSIBLE;
	if (need == EMULATE_IMPOSSIBLE || (need != EMULATE_REGISTERS_ONLY && relay->watchpoints.count))
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
	return done ? NULL : by_step(relay, thread, probe, registers, reply, foreign);
}
