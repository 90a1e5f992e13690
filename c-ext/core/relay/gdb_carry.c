/* SPDX-License-Identifier: MIT */
#include "relay/gdb_carry.h"

#include <string.h>

#include "base/util.h"
#include "relay/gdb_answer.h"

/* After `k`, and after `R`: a stub that has not answered by then has no answer. */
#define KILL_NS 2000000000u
#define RESTART_NS 300000000u

/* --- Breakpoints --- */

static struct cs_error *note_breakpoint(struct carrying *carrying, const struct gdb_request *request)
{
	return planting_note_of_gdb(carrying->planting, request->type, request->address, request->insert);
}

/* Z0 and Z1 at an address that the relay holds already need not go to the stub. */
static struct cs_error *shared_breakpoint(struct carrying *carrying, const struct gdb_request *request, bool *done)
{
	*done = request->kind == GDB_BREAKPOINT && planting_holds(carrying->planting, request->type, request->address);
	if (!*done)
		return NULL;
	CS_TRY(note_breakpoint(carrying, request));
	client_say(carrying->client, "OK");
	return NULL;
}

static struct cs_error *note_watchpoint(struct carrying *carrying, const struct gdb_request *request)
{
	const struct watchpoint of_gdb = {request->type, request->address, request->length};

	return planting_note_watchpoint(carrying->planting, &of_gdb, request->insert);
}

static void note_thread_choice(struct carrying *carrying, const struct gdb_request *request)
{
	struct thread_choice *choice = request->purpose == 'g'   ? &carrying->guest->general
				       : request->purpose == 'c' ? &carrying->guest->resumed
								 : NULL;

	if (!choice || !request->thread[0])
		return;
	copy_thread(choice->by_gdb, request->thread);
	copy_thread(choice->at_stub, request->thread);
}

/* What the stub has agreed to. */
static struct cs_error *note_accepted(struct carrying *carrying, const struct gdb_request *request)
{
	if (request->kind == GDB_BREAKPOINT)
		return note_breakpoint(carrying, request);
	if (request->kind == GDB_WATCHPOINT)
		return note_watchpoint(carrying, request);
	if (request->kind == GDB_CHOOSE_THREAD)
		note_thread_choice(carrying, request);
	return NULL;
}

/* --- Packets passed on --- */

static struct cs_error *pass_on(struct carrying *carrying, const struct gdb_request *request, const char *payload,
				size_t length)
{
	if (request->kind != GDB_CHOOSE_THREAD)
		CS_TRY(guest_restore_general(carrying->guest));
	client_note_pending(carrying->client, request);
	return stub_send(carrying->guest->stub, payload, length);
}

/* Whether the request is about the process that is the guest: others, of the machines that have several, may come and
 * go. */
static bool is_the_guest(const struct carrying *carrying, const struct gdb_request *request)
{
	return !request->process[0] || !carrying->guest->process[0] ||
	       same_thread(request->process, carrying->guest->process);
}

/* GDB lets go of the guest: what was planted in it must not stop it when nobody listens. */
static struct cs_error *let_go(struct carrying *carrying, const struct gdb_request *request, const char *payload,
			       size_t length)
{
	struct gdb_request question = {.kind = GDB_QUESTION};

	if (!is_the_guest(carrying, request))
		return pass_on(carrying, &question, payload, length);
	CS_TRY(planting_lift_all(carrying->planting));
	return pass_on(carrying, request, payload, length);
}

struct cs_error *carry_bury(struct carrying *carrying)
{
	carrying->client->left = false;
	return planting_bury(carrying->planting);
}

/* The guest begins anew, without what was planted in it: GDB plants its own again, and the relay at the next resume. */
static struct cs_error *restart(struct carrying *carrying, const struct gdb_request *request, const char *payload,
				size_t length)
{
	CS_TRY(planting_lift_all(carrying->planting));
	CS_TRY(carry_bury(carrying));
	guest_forget_threads(carrying->guest);
	return pass_on(carrying, request, payload, length);
}

static enum resume_kind resume_kind_of(const struct gdb_request *request)
{
	if (request->kind == GDB_REVERSE)
		return RESUME_REVERSE;
	return request->kind == GDB_START ? RESUME_OTHER : RESUME_CONTINUE;
}

static struct cs_error *resume(struct carrying *carrying, const struct gdb_request *request, const char *payload,
			       size_t length, struct verdict *verdict)
{
	const struct wish_to_go wish = {payload, length, resume_kind_of(request), .for_gdb = true};

	if (guest_state_get(carrying->guest->state) == RELAY_EXITED && request->kind != GDB_START)
		return answer_stop(carrying->client, carrying->guest);
	client_note_pending(carrying->client, request);
	return guest_side_resume(carrying->side, &wish, verdict);
}

/* The guest is lost. What is planted is planted in nothing; all else fails, and a resume shows GDB the end. */
static struct cs_error *handle_orphan(struct carrying *carrying, const struct gdb_request *request)
{
	bool resumes = gdb_request_resumes(request->kind);

	if (resumes && (carrying->guest->stop.kind == STOP_EXITED || carrying->guest->stop.kind == STOP_TERMINATED))
		return answer_stop(carrying->client, carrying->guest);
	if (resumes || request->kind == GDB_DETACH || request->kind == GDB_KILL || request->kind == GDB_KILL_UNANSWERED)
		client_close(carrying->client);
	else
		client_say(carrying->client,
			   request->kind == GDB_BREAKPOINT || request->kind == GDB_WATCHPOINT ? "OK" : "E01");
	return NULL;
}

static struct cs_error *carry_out(struct carrying *carrying, const struct gdb_request *request, const char *payload,
				  size_t length, struct verdict *verdict)
{
	switch (request->kind) {
	case GDB_DETACH:
	case GDB_KILL:
	case GDB_KILL_UNANSWERED: return let_go(carrying, request, payload, length);
	case GDB_RESTART: return restart(carrying, request, payload, length);
	case GDB_RESUME:
	case GDB_REVERSE:
	case GDB_START: return resume(carrying, request, payload, length, verdict);
	case GDB_FILE_ANSWER: return NULL; /* to a request that the guest, which stands, no longer waits for */
	case GDB_NOTHING:
	case GDB_FEATURES:
	case GDB_NO_ACK:
	case GDB_VCONT_ACTIONS:
	case GDB_WHY_STOPPED:
	case GDB_NOT_OFFERED:
	case GDB_QUESTION:
	case GDB_MONITOR:
	case GDB_CURRENT_THREAD:
	case GDB_THREADS:
	case GDB_CHOOSE_THREAD:
	case GDB_BREAKPOINT:
	case GDB_WATCHPOINT: return pass_on(carrying, request, payload, length);
	}
	return NULL;
}

/* Whether GDB is looking at a stop, of which it may tell nobody, is seen from what it lifts afterwards. */
static void note_judging(struct client *client, const struct gdb_request *request)
{
	if (request->kind != GDB_BREAKPOINT && request->kind != GDB_WATCHPOINT)
		return;
	if (request->insert) {
		client->planted++;
	} else {
		client->planted -= client->planted > 0;
		client->judging = false;
	}
}

static struct cs_error *handle(struct carrying *carrying, const char *payload, size_t length, struct verdict *verdict)
{
	FREE char *translated = NULL;
	struct gdb_request request;
	bool done;

	gdb_request_parse(payload, &request);
	note_judging(carrying->client, &request);
	carrying->client->answering = !gdb_request_resumes(request.kind);
	if (carrying->client->orphaned_at)
		return handle_orphan(carrying, &request);
	CS_TRY(answer_here(carrying->client, carrying->guest, &request, payload, &done));
	if (!done)
		CS_TRY(shared_breakpoint(carrying, &request, &done));
	if (done)
		return NULL;
	CS_TRY(gdb_dialect_request(&carrying->client->dialect, carrying->guest->stub->multiprocess,
				   carrying->guest->process, &request, payload, &translated));
	if (!translated)
		return carry_out(carrying, &request, payload, length, verdict);
	gdb_request_parse(translated, &request);
	return carry_out(carrying, &request, translated, strlen(translated), verdict);
}

/* A packet must be answered, and what the stub refuses on the way to it is an answer. */
static struct cs_error *take_request(struct carrying *carrying, const struct packet_item *item, struct verdict *verdict)
{
	struct cs_error *error;

	carrying->client->answering = false;
	carrying->client->stop_unread = false;
	error = handle(carrying, item->payload, item->length, verdict);
	if (!error || error->code != CS_ERROR_REFUSED)
		return error;
	cs_error_destroy(error);
	client_note_answered(carrying->client);
	client_say(carrying->client, "E01");
	return NULL;
}

/* --- What GDB says --- */

/* While the guest runs only GDB's answer to file I/O means something. */
static struct cs_error *take_packet(struct carrying *carrying, const struct packet_item *item, struct verdict *verdict)
{
	carrying->client->heard = true;
	if (guest_state_get(carrying->guest->state) != RELAY_RUNNING)
		return take_request(carrying, item, verdict);
	return item->payload[0] == 'F' ? stub_send(carrying->guest->stub, item->payload, item->length) : NULL;
}

/* Ctrl-C. One that comes while the guest stands is kept for the next resume: GDB sends it before its next packet where
 * it was pressed between two of GDB's steps. Before any packet it is part of how GDB connects
 * (`set remote interrupt-on-connect`): the guest is brought to a stand anyway. */
static struct cs_error *take_interrupt(struct carrying *carrying)
{
	return carrying->client->heard ? interrupt_want(carrying->interrupts) : NULL;
}

struct cs_error *carry_next(struct carrying *carrying, bool *got, struct verdict *verdict)
{
	struct packet_item item;

	*got = client_next(carrying->client, guest_state_get(carrying->guest->state) == RELAY_RUNNING, &item);
	if (!*got)
		return NULL;
	return item.kind == PACKET_INTERRUPT ? take_interrupt(carrying) : take_packet(carrying, &item, verdict);
}

/* --- Replies --- */

/* The guest has ended while it stood: no answer to a question, and GDB learns it when it resumes. */
static void end_meanwhile(struct carrying *carrying, const struct stub_reply *reply)
{
	struct stop_reply stop;

	reply_parse_stop(reply->text, reply->length, &stop);
	guest_note_stop(carrying->guest, &stop);
	guest_state_set(carrying->guest->state, RELAY_EXITED);
	client_say(carrying->client, "E01");
}

/* GDB has no hold on the guest any more, or says nothing of what it has done to it. */
static void judge_hold(struct carrying *carrying, const struct gdb_request *request, enum gdb_outcome outcome,
		       struct verdict *verdict)
{
	if (outcome == GDB_DETACHED || (outcome == GDB_KILLED && request->kind == GDB_KILL))
		client_say_farewell(carrying->client);
	if (outcome == GDB_DETACHED)
		verdict_end(verdict, RELAY_CLOSED, "GDB detached; the guest runs on");
	else if (outcome == GDB_KILLED)
		verdict_end(verdict, RELAY_EXITED, "GDB killed the guest");
	else
		verdict_end(verdict, RELAY_CLOSED,
			    "the stub knows no way to end the guest (k): it was let go, and may run on");
}

/* The last of what the stub says to a request. */
static struct cs_error *settle(struct carrying *carrying, const struct gdb_request *request,
			       const struct stub_reply *reply, bool late, struct verdict *verdict)
{
	enum gdb_outcome outcome = gdb_request_judge(request->kind, reply->text, reply->length);

	if (strcmp(reply->text, "OK") == 0)
		CS_TRY(note_accepted(carrying, request));
	if (outcome == GDB_HOLDS)
		return late ? NULL : answer_in_dialect(carrying->client, request->kind, reply);
	if (outcome == GDB_ENDED)
		end_meanwhile(carrying, reply);
	else
		judge_hold(carrying, request, outcome, verdict);
	return NULL;
}

struct cs_error *carry_reply(struct carrying *carrying, const struct stub_reply *reply, struct verdict *verdict)
{
	struct client *client = carrying->client;
	struct gdb_request request = client->pending.request;
	bool late;

	if (request.kind == GDB_RESTART) { /* some stubs answer what needs no answer (VirtualBox) */
		client_note_answered(client);
		return NULL;
	}
	if (reply->text[0] == 'O' && strcmp(reply->text, "OK") != 0) { /* output; the end is still to come */
		client_send(client, reply->raw, reply->raw_length);
		return NULL;
	}
	late = request.kind != GDB_MONITOR && client_gave_up(client);
	client_note_answered(client);
	return settle(carrying, &request, reply, late, verdict);
}

struct cs_error *carry_stop(struct carrying *carrying, const struct stub_reply *words)
{
	struct client *client = carrying->client;
	enum gdb_request_kind kind = client->pending.request.kind;

	client_note_answered(client);
	client->stop_unread = true;
	client->judging = client->planted > 0;
	return answer_in_dialect(client, kind, words);
}

/* --- What is not answered --- */

struct cs_error *carry_look_at_clock(struct carrying *carrying, struct verdict *verdict)
{
	struct client *client = carrying->client;
	enum gdb_request_kind kind = client->pending.request.kind;

	client_look_at_clock(client);
	if (!client_awaits_reply(client))
		return NULL;
	if (kind == GDB_RESTART && client_has_waited(client, RESTART_NS)) {
		client_note_answered(client);
	} else if (kind == GDB_KILL_UNANSWERED && client_has_waited(client, KILL_NS)) {
		client_note_answered(client);
		verdict_end(verdict, RELAY_CLOSED,
			    "GDB asked for the guest's end (k), of which the stub says nothing: it may run on");
	} else if (kind != GDB_MONITOR && client_has_waited(client, (uint64_t)client->timeout_ms * 1000000u)) {
		return cs_error_create(CS_ERROR_TIMEOUT, "%s: the stub does not answer GDB's last request",
				       carrying->guest->stub->address);
	}
	return NULL;
}
