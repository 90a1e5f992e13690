/* SPDX-License-Identifier: MIT */
#include "relay/step.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

/* How long a step may take before the guest is stopped by an interrupt; each further try has twice as long. */
#define STEP_LIMIT_MS 250
/* Steps that execute nothing: QEMU's do when the local APIC wants to be polled. */
#define IDLE_STEPS_MAX 8

/* --- Stepping --- */

/* A step over `hlt` never comes back from QEMU, which holds interrupts off meanwhile; nor does one that runs away. The
 * guest is then stopped as Ctrl-C does it: the instruction has been executed, or can be stepped again. */
static struct cs_error *step_once(struct stepping *stepping, const char *thread, unsigned limit_ms,
				  struct stub_reply *reply, bool *given_up)
{
	char payload[REPLY_THREAD_MAX + 16] = "s";

	CS_TRY(guest_select_resumed(stepping->guest, thread));
	if (stepping->guest->stub->vcont[0])
		snprintf(payload, sizeof(payload), thread[0] ? "vCont;s:%s" : "vCont;s", thread);
	CS_TRY(guest_run(stepping->guest, payload));
	return guest_await(stepping->guest, limit_ms, reply, given_up);
}

/* Whether the reply is what a completed step of that thread looks like. */
static bool stepped(const struct stop_reply *stop, const char *thread)
{
	return stop->kind == STOP_SIGNAL && stop->signal == SIGNAL_TRAP && stop->cause != STOP_CAUSE_WATCHPOINT &&
	       (!stop->thread[0] || !thread[0] || same_thread(stop->thread, thread));
}

static struct emulate_state load_state(const struct register_map *map, const struct registers *registers)
{
	struct emulate_state state = {
		.pc = registers->pc,
		.flags = registers_value(map->flags, registers),
	};

	for (size_t i = 0; i < map->arch->general_count; i++)
		state.general[i] = registers_value(map->general[i], registers);
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
static struct cs_error *find_insn(struct stepping *stepping, const struct probe *probe, uint64_t pc, struct insn *insn,
				  bool *found)
{
	uint8_t bytes[INSN_MAX_LENGTH];
	bool refused;

	*found = true;
	if (probe->insn) {
		*insn = *probe->insn;
		return NULL;
	}
	CS_TRY(unless_refused(stub_read(stepping->guest->stub, pc, bytes, sizeof(bytes)), &refused));
	*found = !refused && insn_decode(stepping->guest->decoder, bytes, sizeof(bytes), pc, insn);
	return NULL;
}

/* --- By a step --- */

/* One step, and the registers after it. *reply holds the stop where it was something else (*foreign). */
static struct cs_error *step_and_look(struct stepping *stepping, const char *thread, unsigned limit_ms,
				      struct registers *registers, struct stub_reply *reply, bool *given_up,
				      bool *foreign)
{
	struct stop_reply stop;

	do {
		CS_TRY(step_once(stepping, thread, limit_ms, reply, given_up));
		reply_parse_stop(reply->text, reply->length, &stop);
	} while (!*given_up && interrupt_settles(stepping->interrupts, &stop));
	interrupt_note_crossing(stepping->interrupts, &stop, *given_up);
	if (stop.kind == STOP_NONE)
		return cs_error_create(CS_ERROR_REFUSED, "%s: the stub answers a single step with \"%.40s\"",
				       stepping->guest->stub->address, reply->text);
	copy_thread(stepping->guest->general.at_stub, stop.thread);
	/* The interrupt is ours, whichever thread it is told of. */
	*foreign = !(*given_up && stop.kind == STOP_SIGNAL && stop.signal == SIGNAL_INT) && !stepped(&stop, thread);
	return *foreign ? NULL : guest_read_registers(stepping->guest, thread, registers);
}

/* Whether the instruction may end where it begins: a branch to itself, or a halt, at which a stub may have the guest
 * wait. Of the latter that is believed of a stub which is known to step off its breakpoints. */
static bool leads_back(const struct stepping *stepping, const struct probe *probe, const struct insn *insn,
		       const struct registers *registers)
{
	const struct register_map *map = &stepping->guest->map;

	if (insn->kind == INSN_HALT)
		return stepping->in_place[probe->type - '0'] == IN_PLACE_WORKS;
	if (insn->target != insn->address)
		return false;
	if (insn->kind == INSN_BRANCH)
		return emulate_condition(insn, registers_value(map->flags, registers),
					 insn->decides < 0 ? 0
							   : registers_value(map->general[insn->decides], registers));
	return insn->kind == INSN_JUMP || insn->kind == INSN_CALL;
}

struct cs_error *step_has_executed(struct stepping *stepping, const struct probe *probe, const struct registers *before,
				   const struct registers *after, bool *ret)
{
	struct insn insn;
	bool found;

	*ret = true;
	stepping->unfinished = false;
	if (after->pc != before->pc)
		return NULL;
	CS_TRY(find_insn(stepping, probe, before->pc, &insn, &found));
	stepping->unfinished = found && insn.repeats;
	*ret = !registers_same_general(&stepping->guest->map, before, after) ||
	       (found && leads_back(stepping, probe, &insn, before));
	return NULL;
}

/* Steps until something has been executed; *moved is false where that does not come. */
static struct cs_error *step_until_moved(struct stepping *stepping, const char *thread, const struct probe *probe,
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
		CS_TRY(step_and_look(stepping, thread, limit_ms, registers, reply, &given_up, foreign));
		if (*foreign)
			return NULL;
		CS_TRY(step_has_executed(stepping, probe, &before, registers, moved));
		if (given_up)
			limit_ms *= 2;
	}
	return NULL;
}

/* By a step: in place where the stub can (QEMU), else with the breakpoint taken out meanwhile. */
static struct cs_error *by_step(struct stepping *stepping, const char *thread, const struct probe *probe,
				struct registers *registers, struct stub_reply *reply, bool *foreign)
{
	size_t kind = (size_t)(probe->type - '0');
	uint64_t from = registers->pc;
	struct cs_error *error;
	struct cs_error *again;
	bool moved;

	if (stepping->in_place[kind] != IN_PLACE_FAILS) {
		CS_TRY(step_until_moved(stepping, thread, probe, registers, reply, foreign, &moved));
		if (*foreign) /* which says nothing of whether the step would have worked */
			return NULL;
		if (moved) {
			stepping->in_place[kind] = IN_PLACE_WORKS;
			return NULL;
		}
		stepping->in_place[kind] = IN_PLACE_FAILS;
	}
	CS_TRY(guest_take_out(stepping->guest, probe->type, from));
	error = step_until_moved(stepping, thread, probe, registers, reply, foreign, &moved);
	if (!error && !*foreign && !moved)
		error = cs_error_create(CS_ERROR_REFUSED, "%s: a step executes nothing at 0x%llx",
					stepping->guest->stub->address, (unsigned long long)from);
	if (error && error->code != CS_ERROR_REFUSED)
		return error;
	again = guest_insert(stepping->guest, probe->type, from);
	if (!error)
		return again;
	cs_error_destroy(again);
	return error;
}

/* --- Working an instruction out --- */

static uint64_t stack_of(const struct stepping *stepping, const struct emulate_state *state)
{
	return state->general[stepping->guest->map.arch->stack_pointer];
}

/* The PC comes first: a stub that refuses to write it is then left untouched. */
static struct cs_error *write_state(struct stepping *stepping, const struct emulate_state *state,
				    const struct emulate_effect *effect, struct registers *registers)
{
	CS_TRY(guest_write_chosen(stepping->guest, stepping->guest->map.pc, state->pc, registers));
	registers->pc = state->pc;
	for (unsigned i = 0; i < stepping->guest->map.arch->general_count; i++)
		if (effect->written >> i & 1)
			CS_TRY(guest_write_chosen(stepping->guest, stepping->guest->map.general[i], state->general[i],
						  registers));
	if (effect->flags_written)
		CS_TRY(guest_write_chosen(stepping->guest, stepping->guest->map.flags, state->flags, registers));
	return NULL;
}

/* Writes what the instruction changes. *done is false where the stub refuses some of it: what it took
 * before that is undone. */
static struct cs_error *write_effect(struct stepping *stepping, const struct emulate_state *before,
				     const struct emulate_state *after, const struct emulate_effect *effect, bool store,
				     struct registers *registers, bool *done)
{
	bool refused = false;
	bool again;

	/* Memory comes first: below the stack pointer nothing has changed yet. */
	if (store)
		CS_TRY(unless_refused(stub_write(stepping->guest->stub, stack_of(stepping, after), &effect->store_value,
						 sizeof(effect->store_value)),
				      &refused));
	if (!refused)
		CS_TRY(unless_refused(write_state(stepping, after, effect, registers), &refused));
	*done = !refused;
	stepping->only |= refused;
	/* In the same order, so that it ends at the same register. */
	return refused ? unless_refused(write_state(stepping, before, effect, registers), &again) : NULL;
}

/* Works out what the instruction does, and writes it. *done is false where it must be stepped. */
static struct cs_error *by_emulation(struct stepping *stepping, const char *thread, const struct probe *probe,
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
	if (!registers_known(&stepping->guest->map, registers) || !registers_in_mode(&stepping->guest->map, registers))
		return NULL;
	CS_TRY(find_insn(stepping, probe, registers->pc, &insn, &found));
	need = found ? emulate_need(&insn) : EMULATE_IMPOSSIBLE;
	if (need == EMULATE_IMPOSSIBLE || (need != EMULATE_REGISTERS_ONLY && stepping->planting->watchpoints.count))
		return NULL;
	before = after = load_state(&stepping->guest->map, registers);
	if (need == EMULATE_LOAD)
		CS_TRY(unless_refused(
			stub_read(stepping->guest->stub, stack_of(stepping, &before), &loaded, sizeof(loaded)),
			&refused));
	if (refused)
		return NULL;
	emulate_run(&insn, &after, loaded, &effect);
	CS_TRY(guest_select_general(stepping->guest, thread));
	return write_effect(stepping, &before, &after, &effect, need == EMULATE_STORE, registers, done);
}

struct cs_error *step_off(struct stepping *stepping, const char *thread, const struct probe *probe,
			  struct registers *registers, struct stub_reply *reply, bool *foreign)
{
	bool done = false;

	/* A replay counts instructions: each one must really be executed. */
	if (!stepping->guest->replay && !stepping->only)
		CS_TRY(by_emulation(stepping, thread, probe, registers, &done));
	return done ? NULL : by_step(stepping, thread, probe, registers, reply, foreign);
}

bool step_works_in_place(const struct stepping *stepping, char type)
{
	return stepping->in_place[type - '0'] == IN_PLACE_WORKS;
}
