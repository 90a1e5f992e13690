/* SPDX-License-Identifier: MIT */
#include "relay/borrow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "relay/guest.h"
#include "relay/interrupt.h"
#include "relay/planting.h"
#include "relay/probes.h"

/* How long a borrowed instruction may take. Where the guest has then not even begun, the host is slow, and it is
 * given twice as long. Where it has, it runs on with borrowed registers: each millisecond is one too many. */
#define LIMIT_MS 100
#define TRIES_MAX 5

/* One borrowing. */
struct borrowing {
	struct borrower *by;
	struct guest *guest;
	struct planting *planting;
	const char *thread;
	const struct arch *arch;
	const struct arch_loan *loan;
	uint64_t address; /* of the instruction */
	uint64_t next;    /* the one behind it, where the guest is to stop */
	uint64_t home;    /* where the guest stood */
	char type;        /* of the breakpoint that it ran into, which is known to work */
	bool planted;     /* at `next`, for this alone */
	bool swapped;     /* `home` has lent its breakpoint's slot */
	bool given_up;    /* its time was over */
	bool ran_away;
	struct registers saved;
	struct registers now;
};

static void borrowing_clear(struct borrowing *borrowing)
{
	registers_clear(&borrowing->saved);
	registers_clear(&borrowing->now);
}

/* --- Never again --- */

/* Keeps the first reason why nothing is to be borrowed any more, and says it. */
static struct cs_error *never_again(struct borrower *borrower, struct cs_error *why)
{
	pthread_mutex_lock(&borrower->lock);
	if (!borrower->never)
		borrower->never = strdup(why->message);
	pthread_mutex_unlock(&borrower->lock);
	return why;
}

char *borrow_refusal(struct borrower *borrower)
{
	char *copy;

	pthread_mutex_lock(&borrower->lock);
	copy = strdup(borrower->never ? borrower->never : "");
	pthread_mutex_unlock(&borrower->lock);
	return copy;
}

void borrow_init(struct borrower *borrower)
{
	pthread_mutex_init(&borrower->lock, NULL);
}

void borrow_clear(struct borrower *borrower)
{
	pthread_mutex_destroy(&borrower->lock);
	free(borrower->never);
	borrower->never = NULL;
}

/* --- Where --- */

static struct cs_error *is_not_lent(const struct arch_loan *loans, const char *name)
{
	char known[64] = "";

	for (size_t i = 0; loans[i].name; i++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "", loans[i].name);
	return cs_error_create(CS_ERROR_ARGUMENT, "only %s are borrowed, not %s", known, name);
}

/* Keeps which instruction it is. */
static struct cs_error *find_loan(struct borrowing *borrowing, const char *name)
{
	const struct arch_loan *loans = borrowing->arch->loans;
	size_t i = 0;

	while (loans[i].name && strcmp(loans[i].name, name) != 0)
		i++;
	borrowing->loan = &loans[i];
	borrowing->next = borrowing->address + loans[i].length;
	return loans[i].name ? NULL : is_not_lent(loans, name);
}

static bool is_privileged(const struct guest *guest, const struct registers *registers)
{
	return !(registers_value(guest->map.privilege, registers) & guest->map.arch->privilege_bits);
}

/* A program may not execute the kernel's text; it would fault. Kernels under Xen are unprivileged too, but stand in the
 * upper half of the addresses. */
static struct cs_error *check_privilege(const struct borrowing *borrowing)
{
	const char *why = borrowing->loan->unprivileged;

	if (is_privileged(borrowing->guest, &borrowing->saved))
		return NULL;
	if (!(borrowing->saved.pc >> 63))
		return cs_error_create(CS_ERROR_REFUSED, "a program runs in the guest, not its kernel");
	return why ? cs_error_create(CS_ERROR_REFUSED, "the guest's kernel runs unprivileged: %s", why) : NULL;
}

/* A guest that has run into a breakpoint stands between two instructions. Where else it is stopped, an access to a
 * device may be half done (KVM completes it with the registers that it then finds), or the processor may be halted. */
static struct cs_error *check_stop(struct borrowing *borrowing)
{
	if (!borrowing->planting->stopped_at_breakpoint)
		return cs_error_create(
			CS_ERROR_REFUSED,
			"the guest did not run into a breakpoint, so it may stand within an instruction: "
			"let it run into one (tbreak FUNCTION, continue)");
	borrowing->type = planting_here(borrowing->planting, borrowing->home);
	if (!borrowing->type)
		return cs_error_create(CS_ERROR_REFUSED,
				       "the guest stands at no breakpoint (0x%llx): let it run "
				       "into one (tbreak FUNCTION, continue)",
				       (unsigned long long)borrowing->home);
	return NULL;
}

/* The instruction before may hold interrupts off for the next one, which would then be the borrowed one. */
static struct cs_error *check_surroundings(struct borrowing *borrowing)
{
	struct guest *guest = borrowing->guest;
	uint8_t bytes[1 + INSN_MAX_LENGTH] = {0};
	struct cs_error *error = stub_read(guest->stub, borrowing->home - 1, bytes, sizeof(bytes));
	struct insn insn;

	if (error && error->code != CS_ERROR_REFUSED)
		return error;
	cs_error_destroy(error);
	if (!insn_decode(guest->decoder, bytes + 1, INSN_MAX_LENGTH, borrowing->home, &insn))
		insn.kind = INSN_OTHER;
	if (borrowing->arch->may_defer(bytes[0]) || insn.kind == INSN_PORT_READ || insn.kind == INSN_PORT_WRITE)
		return cs_error_create(
			CS_ERROR_REFUSED,
			"the guest stands at an instruction that waits for, or drives, a device (0x%llx)",
			(unsigned long long)borrowing->home);
	return NULL;
}

static struct cs_error *check_text(struct borrowing *borrowing)
{
	const struct arch_loan *loan = borrowing->loan;
	uint8_t bytes[sizeof(loan->bytes)];

	CS_TRY(stub_read(borrowing->guest->stub, borrowing->address, bytes, loan->length));
	if (memcmp(bytes, loan->bytes, loan->length) != 0)
		return cs_error_create(CS_ERROR_REFUSED,
				       "the guest's memory at 0x%llx does not hold the instruction to borrow",
				       (unsigned long long)borrowing->address);
	if (breakpoints_has(&borrowing->planting->breakpoints, borrowing->address, 0, ~0u))
		return cs_error_create(CS_ERROR_REFUSED, "there is a breakpoint at the instruction to borrow (0x%llx)",
				       (unsigned long long)borrowing->address);
	return NULL;
}

/* A stub that cannot let one thread run alone lets all of them, whose stops nobody expects. */
static struct cs_error *check_threads(struct guest *guest)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};

	if (guest->stub->vcont[0])
		return NULL;
	CS_TRY(stub_request(guest->stub, "qfThreadInfo", strlen("qfThreadInfo"), &reply));
	if (reply.text[0] == 'm' && strchr(reply.text, ','))
		return cs_error_create(CS_ERROR_REFUSED, "%s: the stub cannot let one processor run alone",
				       guest->stub->address);
	return NULL;
}

static uint64_t flags_of(const struct guest *guest, const struct registers *registers)
{
	return target_value(guest->map.flags, registers->bytes, registers->size);
}

static struct cs_error *check_replay(struct guest *guest)
{
	if (!guest->replay)
		return NULL;
	return cs_error_create(CS_ERROR_STATE, "in a replay nothing can be executed beside what was recorded");
}

/* Reads the registers, and refuses where the guest is not in a state to lend. Nothing is written before that. */
static struct cs_error *check(struct borrowing *borrowing)
{
	struct guest *guest = borrowing->guest;

	if (borrowing->by->never)
		return cs_error_create(CS_ERROR_REFUSED, "%s", borrowing->by->never);
	CS_TRY(check_replay(guest));
	CS_TRY(guest_read_registers(guest, borrowing->thread, &borrowing->saved));
	borrowing->home = borrowing->saved.pc;
	if (!registers_known(&guest->map, &borrowing->saved) || !registers_in_mode(&guest->map, &borrowing->saved))
		return cs_error_create(CS_ERROR_REFUSED, "%s: the stub's registers are not those of %s",
				       guest->stub->address, borrowing->arch->name);
	CS_TRY(check_privilege(borrowing));
	CS_TRY(check_stop(borrowing));
	if (flags_of(guest, &borrowing->saved) & borrowing->arch->stepping_flag)
		return cs_error_create(CS_ERROR_REFUSED, "the guest single-steps itself");
	CS_TRY(check_text(borrowing));
	CS_TRY(check_surroundings(borrowing));
	return check_threads(guest);
}

/* --- The breakpoint behind it --- */

static struct cs_error *put_home_back(struct borrowing *borrowing)
{
	struct cs_error *error = guest_insert(borrowing->guest, borrowing->type, borrowing->home);
	struct cs_error *said;

	borrowing->swapped = false;
	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	said = cs_error_create(CS_ERROR_REFUSED, "the breakpoint at 0x%llx, lent for a moment, is lost: %s",
			       (unsigned long long)borrowing->home, error->message);
	cs_error_destroy(error);
	return never_again(borrowing->by, said);
}

/* Of the processor's few breakpoints, the one that the guest stands at has done its work for the moment. */
static struct cs_error *swap(struct borrowing *borrowing, struct cs_error *refusal)
{
	struct guest *guest = borrowing->guest;
	struct cs_error *error;

	if (!breakpoints_has(&borrowing->planting->breakpoints, borrowing->home, borrowing->type, ~0u))
		return refusal;
	error = guest_take_out(guest, borrowing->type, borrowing->home);
	if (error) {
		cs_error_destroy(refusal);
		return error;
	}
	borrowing->swapped = true;
	error = guest_insert(guest, borrowing->type, borrowing->next);
	if (!error) {
		cs_error_destroy(refusal);
		return NULL;
	}
	cs_error_destroy(error);
	error = put_home_back(borrowing);
	if (!error)
		return refusal;
	cs_error_destroy(refusal);
	return error;
}

static struct cs_error *plant(struct borrowing *borrowing)
{
	struct guest *guest = borrowing->guest;
	struct cs_error *error;
	bool first;

	CS_TRY(breakpoints_add(&borrowing->planting->breakpoints, borrowing->next, borrowing->type, BREAKPOINT_BORROWED,
			       &first));
	borrowing->planted = true;
	error = first ? guest_insert(guest, borrowing->type, borrowing->next) : NULL;
	if (error && error->code == CS_ERROR_REFUSED)
		error = swap(borrowing, error);
	if (!error)
		return NULL;
	borrowing->planted = false;
	breakpoints_remove(&borrowing->planting->breakpoints, borrowing->next, borrowing->type, BREAKPOINT_BORROWED);
	return error;
}

/* Where it cannot be lifted it stays, and its stops are the relay's to ignore. */
static struct cs_error *lift(struct borrowing *borrowing)
{
	struct guest *guest = borrowing->guest;
	struct cs_error *error = NULL;

	if (!borrowing->planted)
		return NULL;
	borrowing->planted = false;
	if (breakpoints_remove(&borrowing->planting->breakpoints, borrowing->next, borrowing->type,
			       BREAKPOINT_BORROWED))
		error = guest_take_out(guest, borrowing->type, borrowing->next);
	if (error && error->code == CS_ERROR_REFUSED)
		CS_TRY(probes_leave_behind(borrowing->by->probes, borrowing->type, borrowing->next));
	if (borrowing->swapped && !error)
		return put_home_back(borrowing);
	return error;
}

/* --- Registers --- */

static void put(struct registers *registers, const struct target_register *reg, uint64_t value)
{
	memcpy(registers->bytes + reg->offset, &value, reg->bits / 8);
}

static struct cs_error *copy_registers(const struct registers *from, struct registers *to)
{
	*to = *from;
	to->bytes = malloc(from->size);
	if (!to->bytes)
		return &cs_error_no_memory;
	memcpy(to->bytes, from->bytes, from->size);
	return NULL;
}

/* Writes one register, unless the guest holds that value already. */
static struct cs_error *write_one(struct borrowing *borrowing, const struct target_register *reg,
				  struct registers *wanted)
{
	uint64_t value = target_value(reg, wanted->bytes, wanted->size);

	if (value == target_value(reg, borrowing->now.bytes, borrowing->now.size))
		return NULL;
	return guest_write_register(borrowing->guest, borrowing->thread, reg, value, wanted);
}

/* One by one: the PC comes first, so that a stub which refuses to write it is left untouched. */
static struct cs_error *write_some(struct borrowing *borrowing, struct registers *wanted)
{
	const struct register_map *map = &borrowing->guest->map;

	CS_TRY(write_one(borrowing, map->pc, wanted));
	for (size_t i = 0; i < map->arch->general_count; i++)
		CS_TRY(write_one(borrowing, map->general[i], wanted));
	return write_one(borrowing, map->flags, wanted);
}

/* All registers by one `G`, as `g` gave them, where the stub takes so long a packet, and `G`. */
static struct cs_error *write_registers(struct borrowing *borrowing, struct registers *wanted)
{
	struct guest *guest = borrowing->guest;
	FREE char *hex = malloc(2 * wanted->size + 1);
	struct cs_error *error;

	if (!hex)
		return &cs_error_no_memory;
	CS_TRY(guest_select_general(guest, borrowing->thread));
	if (2 * wanted->size + 1 > guest->stub->packet_size)
		return write_some(borrowing, wanted);
	packet_hex(wanted->bytes, wanted->size, hex);
	error = stub_command(guest->stub, "G%s", hex);
	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	cs_error_destroy(error);
	return write_some(borrowing, wanted);
}

/* Whether the guest has these registers, as far as a borrowed instruction could have changed them. */
static bool same_registers(const struct guest *guest, const struct registers *a, const struct registers *b)
{
	const struct arch *arch = guest->map.arch;
	const uint64_t flags = arch->interrupts_flag | arch->stepping_flag;

	if (a->size != b->size || a->pc != b->pc || (flags_of(guest, a) & flags) != (flags_of(guest, b) & flags))
		return false;
	for (size_t i = 0; i < arch->general_count; i++)
		if (target_value(guest->map.general[i], a->bytes, a->size) !=
		    target_value(guest->map.general[i], b->bytes, b->size))
			return false;
	return true;
}

/* Reads the registers, which may come in another size than before. */
static struct cs_error *look(struct borrowing *borrowing)
{
	struct guest *guest = borrowing->guest;

	CS_TRY(guest_read_registers(guest, borrowing->thread, &borrowing->now));
	if (registers_known(&guest->map, &borrowing->now))
		return NULL;
	return cs_error_create(CS_ERROR_REFUSED, "%s: the stub tells other registers than before",
			       guest->stub->address);
}

static struct cs_error *write_and_check(struct borrowing *borrowing, struct registers *wanted)
{
	struct guest *guest = borrowing->guest;

	CS_TRY(write_registers(borrowing, wanted));
	CS_TRY(look(borrowing));
	if (same_registers(guest, &borrowing->now, wanted))
		return NULL;
	return cs_error_create(CS_ERROR_REFUSED, "%s: the stub does not write the registers that it is told to",
			       guest->stub->address);
}

/* --- Running it --- */

static struct cs_error *resume(struct borrowing *borrowing)
{
	struct guest *guest = borrowing->guest;
	char payload[REPLY_THREAD_MAX + 16] = "c";

	CS_TRY(guest_select_resumed(guest, borrowing->thread));
	if (guest->stub->vcont[0])
		snprintf(payload, sizeof(payload), borrowing->thread[0] ? "vCont;c:%s" : "vCont;c", borrowing->thread);
	return guest_run(guest, payload);
}

static bool is_result(const struct arch *arch, size_t reg)
{
	for (size_t i = 0; i < ARCH_LOAN_RESULTS; i++)
		if (arch->loan_results[i] == reg)
			return true;
	return false;
}

/* A completed instruction leaves all registers alone but those of its results. */
static bool left_alone(const struct borrowing *borrowing)
{
	const struct register_map *map = &borrowing->guest->map;

	for (size_t i = 0; i < map->arch->general_count; i++)
		if (!is_result(map->arch, i) && registers_value(map->general[i], &borrowing->now) !=
							registers_value(map->general[i], &borrowing->saved))
			return false;
	return true;
}

static struct cs_error *ran_away(struct borrowing *borrowing, const struct stop_reply *stop)
{
	borrowing->ran_away = true;
	return cs_error_create(CS_ERROR_REFUSED,
			       "an instruction borrowed at 0x%llx did not end there: the guest was stopped at 0x%llx "
			       "(signal %u%s), having run with registers that were not its own",
			       (unsigned long long)borrowing->address, (unsigned long long)borrowing->now.pc,
			       stop->signal, borrowing->given_up ? ", its time was over" : "");
}

/* It has run, but of a stub that tells what it is not (QEMU on kvm_pvm does) another stop may be missed. */
static struct cs_error *misnamed(const struct borrowing *borrowing)
{
	return cs_error_create(CS_ERROR_REFUSED,
			       "an instruction borrowed at 0x%llx ended at the breakpoint behind it (0x%llx), which "
			       "the stub calls a watchpoint: what it tells of stops is not to be relied on",
			       (unsigned long long)borrowing->address, (unsigned long long)borrowing->now.pc);
}

/* Sets it going and judges where it stops. *done once the instruction has run; false where nothing has. */
static struct cs_error *run_once(struct borrowing *borrowing, const struct registers *working, unsigned limit_ms,
				 bool *done)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	struct guest *guest = borrowing->guest;
	struct stop_reply stop;

	CS_TRY(resume(borrowing));
	CS_TRY(guest_await(guest, limit_ms, &reply, &borrowing->given_up));
	reply_parse_stop(reply.text, reply.length, &stop);
	if (stop.kind == STOP_NONE)
		return cs_error_create(CS_ERROR_REFUSED, "%s: the stub answers a resume with \"%.40s\"",
				       guest->stub->address, reply.text);
	if (stop.kind != STOP_SIGNAL)
		return cs_error_create(CS_ERROR_CLOSED, "%s: the guest ended", guest->stub->address);
	copy_thread(guest->general.at_stub, stop.thread);
	if (!borrowing->given_up)
		interrupt_settles(borrowing->by->interrupts, &stop);
	interrupt_note_crossing(borrowing->by->interrupts, &stop, borrowing->given_up);
	CS_TRY(look(borrowing));
	*done = borrowing->now.pc == borrowing->next && left_alone(borrowing) &&
		(borrowing->given_up || (stop.signal == SIGNAL_TRAP && stop.cause != STOP_CAUSE_WATCHPOINT &&
					 (!stop.thread[0] || same_thread(stop.thread, borrowing->thread))));
	if (*done || same_registers(guest, &borrowing->now, working))
		return NULL;
	if (borrowing->now.pc == borrowing->next && left_alone(borrowing) && stop.cause == STOP_CAUSE_WATCHPOINT)
		return misnamed(borrowing);
	return ran_away(borrowing, &stop);
}

static struct cs_error *run(struct borrowing *borrowing, const struct registers *working)
{
	unsigned limit_ms = LIMIT_MS;
	bool done = false;

	for (unsigned n = 0; n < TRIES_MAX && !done; n++, limit_ms *= 2)
		CS_TRY(run_once(borrowing, working, limit_ms, &done));
	if (done)
		return NULL;
	return cs_error_create(CS_ERROR_REFUSED,
			       "an instruction borrowed at 0x%llx was not executed: the guest stayed "
			       "where it was",
			       (unsigned long long)borrowing->address);
}

/* --- The whole of it --- */

/* The connection is lost with the guest's registers in a borrower's hands. */
static struct cs_error *lost(const struct borrowing *borrowing, struct cs_error *error)
{
	struct cs_error *said = cs_error_create(
		error->code,
		"%s. An instruction was being borrowed: a guest that still lives has registers that are "
		"not its own (PC 0x%llx instead of 0x%llx), and is to be started again",
		error->message, (unsigned long long)borrowing->address, (unsigned long long)borrowing->home);

	cs_error_destroy(error);
	return said;
}

/* Adds what state the guest is in to an error after which nothing more is borrowed. */
static struct cs_error *and_state(const struct borrowing *borrowing, struct cs_error *error, struct cs_error *restored)
{
	const char *state =
		borrowing->ran_away
			? "Its registers have been put back; what it wrote to memory cannot be undone: do not "
			  "trust it any further"
			: "The guest is as it was";
	struct cs_error *said;

	if (restored)
		said = cs_error_create(CS_ERROR_REFUSED,
				       "%s. The guest's registers could not be put back (%s): it stands at 0x%llx "
				       "instead of 0x%llx and is to be started again",
				       error->message, restored->message, (unsigned long long)borrowing->now.pc,
				       (unsigned long long)borrowing->home);
	else
		said = cs_error_create(CS_ERROR_REFUSED, "%s. %s. Nothing more is borrowed from this stub",
				       error->message, state);
	cs_error_destroy(error);
	return said;
}

static bool refused(const struct cs_error *error)
{
	return error && error->code == CS_ERROR_REFUSED;
}

/* After a failure the guest may have its own registers still, of which a stub may take none. */
static struct cs_error *restore(struct borrowing *borrowing, bool failed)
{
	if (failed)
		CS_TRY(look(borrowing));
	if (failed && same_registers(borrowing->guest, &borrowing->now, &borrowing->saved))
		return NULL;
	return write_and_check(borrowing, &borrowing->saved);
}

/* The guest's own registers go back, whatever has happened; the breakpoint goes. */
static struct cs_error *give_back(struct borrowing *borrowing, struct cs_error *error)
{
	struct cs_error *restored = restore(borrowing, error != NULL);
	struct cs_error *lifted;

	if (restored && !refused(restored)) {
		cs_error_destroy(error);
		return lost(borrowing, restored);
	}
	lifted = lift(borrowing);
	if (lifted && !refused(lifted)) { /* the connection is gone, the guest as it was */
		cs_error_destroy(error);
		cs_error_destroy(restored);
		return lifted;
	}
	if (!error && restored)
		error = cs_error_create(CS_ERROR_REFUSED, "an instruction was borrowed at 0x%llx",
					(unsigned long long)borrowing->address);
	if (error)
		error = never_again(borrowing->by, and_state(borrowing, error, restored));
	else if (lifted) /* the instruction has run, and its breakpoint stays: one is enough */
		never_again(borrowing->by, lifted);
	cs_error_destroy(restored);
	cs_error_destroy(lifted);
	return error;
}

static struct cs_error *borrow(struct borrowing *borrowing, const uint32_t *given, uint32_t *ret)
{
	CLEANUP(registers_clear) struct registers working = {0};
	struct guest *guest = borrowing->guest;
	struct cs_error *error;

	CS_TRY(copy_registers(&borrowing->saved, &working));
	CS_TRY(copy_registers(&borrowing->saved, &borrowing->now));
	for (size_t i = 0; i < ARCH_LOAN_GIVEN; i++)
		put(&working, guest->map.general[borrowing->arch->loan_given[i]], given[i]);
	put(&working, guest->map.pc, borrowing->address);
	/* An interrupt would run its handler, perhaps another task, on top of the borrowed state. It comes right after.
	 */
	put(&working, guest->map.flags, flags_of(guest, &borrowing->saved) & ~borrowing->arch->interrupts_flag);
	working.pc = borrowing->address;
	CS_TRY(plant(borrowing));
	error = write_and_check(borrowing, &working);
	if (!error)
		error = run(borrowing, &working);
	for (size_t i = 0; i < ARCH_LOAN_RESULTS; i++)
		ret[i] = (uint32_t)registers_value(guest->map.general[borrowing->arch->loan_results[i]],
						   &borrowing->now);
	return error && !refused(error) ? lost(borrowing, error) : give_back(borrowing, error);
}

struct cs_error *borrow_instruction(struct borrower *borrower, const char *name, uint64_t address,
				    const uint32_t given[ARCH_LOAN_GIVEN], uint32_t ret[ARCH_LOAN_RESULTS])
{
	CLEANUP(borrowing_clear)
	struct borrowing borrowing = {
		.by = borrower,
		.guest = borrower->guest,
		.planting = borrower->planting,
		.thread = borrower->guest->stop.thread,
		.arch = borrower->guest->map.arch,
		.address = address,
	};

	CS_TRY(find_loan(&borrowing, name));
	CS_TRY(check(&borrowing));
	return borrow(&borrowing, given, ret);
}

struct cs_error *borrow_measure_clock(struct borrower *borrower, uint64_t address, unsigned wait_ms, uint64_t *ticks,
				      uint64_t *elapsed_ns)
{
	struct timespec pause = {.tv_sec = wait_ms / 1000, .tv_nsec = (long)(wait_ms % 1000) * 1000000};
	const struct arch *arch = borrower->guest->map.arch;
	const uint32_t given[ARCH_LOAN_GIVEN] = {0};
	uint32_t first[ARCH_LOAN_RESULTS];
	uint32_t second[ARCH_LOAN_RESULTS];
	uint64_t began = util_now_ns();

	CS_TRY(borrow_instruction(borrower, arch->clock_loan, address, given, first));
	nanosleep(&pause, NULL);
	CS_TRY(borrow_instruction(borrower, arch->clock_loan, address, given, second));
	*elapsed_ns = util_now_ns() - began;
	*ticks = arch->ticks_of(second) - arch->ticks_of(first);
	return NULL;
}
