/* SPDX-License-Identifier: MIT */
#include "relay/serve.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/util.h"

#define TICK_NS 100000000u /* between two ticks, and two looks at the idle limit */
#define INTERRUPT_POLL_MS 5
#define DRAIN_MAX 64 /* packets of the stub's between two looks at the other peers */

/* --- Verdicts --- */

static void close_stub(struct serving *serving)
{
	struct stub *stub = serving->guest.stub;

	run_clock_end(&serving->clock);
	ticks_run(&serving->ticks);
	if (stub->fd >= 0)
		close(stub->fd);
	stub->fd = -1;
}

void serve_close(struct serving *serving, enum relay_state end, const char *reason)
{
	close_stub(serving);
	guest_state_end(&serving->state, end, reason);
	headless_end(&serving->headless);
	/* Last: who sees GDB's connection end finds the reason. */
	client_close(&serving->client);
	client_note_answered(&serving->client);
}

/* The connection has failed. */
static void lose(struct serving *serving, struct cs_error *error)
{
	enum gdb_request_kind asked = serving->client.pending.request.kind;
	/* A stub that GDB asked for the guest's end need not live to tell of it. */
	bool killed = asked == GDB_KILL || asked == GDB_KILL_UNANSWERED;

	close_stub(serving);
	guest_state_end(&serving->state, killed ? RELAY_EXITED : RELAY_CLOSED,
			killed ? "GDB killed the guest" : error->message);
	headless_end(&serving->headless);
	client_lose_guest(&serving->client, error->code == CS_ERROR_CLOSED);
	client_note_answered(&serving->client);
	cs_error_destroy(error);
}

/* Does what has been found right, for whoever is there. */
static struct cs_error *apply(struct serving *serving, const struct verdict *verdict)
{
	switch (verdict->kind) {
	case VERDICT_NOTHING: return NULL;
	case VERDICT_ENDED: serve_close(serving, verdict->end, verdict->reason); return NULL;
	case VERDICT_TOLD:
		return client_awaits_stop(&serving->client) ? carry_stop(&serving->carrying, &verdict->words)
							    : headless_tell(&serving->headless, verdict->words.text);
	}
	return NULL;
}

/* Errors that leave the conversation with the stub in an unknown state. */
static bool fatal(const struct cs_error *error)
{
	switch (error->code) {
	case CS_ERROR_CLOSED:
	case CS_ERROR_TIMEOUT:
	case CS_ERROR_PROTOCOL:
	case CS_ERROR_SYSTEM:
	case CS_ERROR_NO_MEMORY: return true;
	case CS_ERROR_ARGUMENT:
	case CS_ERROR_CONNECT:
	case CS_ERROR_REFUSED:
	case CS_ERROR_STATE:
	case CS_ERROR_FORMAT:
	case CS_ERROR_EXISTS:
	case CS_ERROR_NOT_FOUND: return false;
	}
	return true;
}

/* --- Other threads --- */

static struct cs_error *run_call(struct serving *serving, const struct queued_call *call)
{
	FREE char *reason = NULL;

	switch (guest_state_get(&serving->state)) {
	case RELAY_STOPPED: return call->function(serving->guest.stub, call->context);
	case RELAY_RUNNING:
		if (call->while_running)
			return call->function(serving->guest.stub, call->context);
		return cs_error_create(CS_ERROR_STATE, "your guest is running; interrupt it first");
	case RELAY_EXITED:
		if (call->once_ended)
			return call->function(serving->guest.stub, call->context);
		return cs_error_create(CS_ERROR_STATE, "your guest has ended");
	case RELAY_CLOSED:
		reason = guest_state_reason(&serving->state);
		return cs_error_create(CS_ERROR_CLOSED, "%s", reason && *reason ? reason : "the connection is closed");
	}
	return NULL;
}

static void run_calls(struct serving *serving)
{
	struct queued_call *call;

	/* A request of GDB's that is under way must get its own reply. */
	while (!client_awaits_reply(&serving->client) && (call = calls_next(&serving->calls))) {
		struct cs_error *error = run_call(serving, call);

		if (error && fatal(error) && serving->guest.stub->fd >= 0)
			lose(serving, cs_error_create(error->code, "%s", error->message));
		calls_finish(&serving->calls, call, error);
	}
}

struct cs_error *serve_resume(struct serving *serving, const char *payload)
{
	CLEANUP(verdict_clear) struct verdict verdict = {0};
	const char *plain = serving->guest.stub->vcont[0] ? "vCont;c" : "c";
	struct wish_to_go wish = {.payload = payload ? payload : plain, .kind = RESUME_CONTINUE};
	struct cs_error *error;

	if (serving->client.fd >= 0)
		return cs_error_create(CS_ERROR_STATE, "GDB drives this guest; continue it there");
	wish.length = strlen(wish.payload);
	headless_expect(&serving->headless, true);
	error = guest_side_resume(&serving->side, &wish, &verdict);
	if (!error)
		error = apply(serving, &verdict);
	if (error)
		headless_expect(&serving->headless, false);
	return error;
}

/* A call has to wait while the stub owes GDB an answer: until it is given up, and no longer than for an
 * answer of its own. */
static struct cs_error *look_at_calls(struct serving *serving, bool given_up)
{
	const struct client *client = &serving->client;

	if (!client_awaits_reply(client) || !calls_are_waiting(&serving->calls) ||
	    (!given_up && !client_has_waited(client, (uint64_t)serving->timeout_ms * 1000000u)))
		return NULL;
	return cs_error_create(CS_ERROR_TIMEOUT, "%s: the stub does not answer GDB's last request", serving->address);
}

/* --- GDB --- */

static void accept_client(struct serving *serving)
{
	int fd;

	if (!client_may_come(&serving->client))
		return;
	fd = door_accept(&serving->door);
	if (fd < 0)
		return; /* gone again before it was accepted */
	if (serving->client.fd >= 0 || serving->guest.stub->fd < 0)
		close(fd); /* one at a time, and none without a stub */
	else
		client_begin(&serving->client, fd);
}

/* A debugger that connects expects the guest to stand. */
static struct cs_error *let_client_in(struct serving *serving)
{
	bool alone = serving->client.fd < 0;

	accept_client(serving);
	return alone && serving->client.fd >= 0 && guest_state_get(&serving->state) == RELAY_RUNNING
		       ? interrupt_want(&serving->interrupts)
		       : NULL;
}

/* Handles what has been read, as far as the state allows. */
static struct cs_error *process(struct serving *serving)
{
	bool got = true;

	while (got) {
		CLEANUP(verdict_clear) struct verdict verdict = {0};

		CS_TRY(carry_next(&serving->carrying, &got, &verdict));
		CS_TRY(apply(serving, &verdict));
	}
	return NULL;
}

struct cs_error *serve_listen(struct serving *serving)
{
	if (serving->client.fd < 0)
		return NULL;
	client_read(&serving->client);
	return process(serving);
}

/* --- The stub --- */

/* What the stub sends while the guest runs. */
static struct cs_error *guest_packet(struct serving *serving, const struct stub_reply *reply, struct verdict *verdict)
{
	struct stop_reply stop;

	reply_parse_stop(reply->text, reply->length, &stop);
	if (stop.kind != STOP_NONE)
		return guest_side_stop(&serving->side, reply, client_awaits_stop(&serving->client), verdict);
	if (reply->text[0] != 'O' && reply->text[0] != 'F')
		return guest_side_did_not_run(&serving->side, reply, verdict);
	client_send(&serving->client, reply->raw, reply->raw_length); /* output; a request for GDB's file I/O */
	return NULL;
}

static struct cs_error *stub_packet(struct serving *serving, const struct stub_reply *reply)
{
	CLEANUP(verdict_clear) struct verdict verdict = {0};

	if (!client_awaits_reply(&serving->client)) {
		if (guest_state_get(&serving->state) == RELAY_RUNNING) /* else nobody asked: a late answer */
			CS_TRY(guest_packet(serving, reply, &verdict));
	} else if (!reply_is_stop(reply->text,
				  reply->length)) { /* a stop answers no request: it is said again (stub.c) */
		CS_TRY(carry_reply(&serving->carrying, reply, &verdict));
	}
	return apply(serving, &verdict);
}

/* Some of what the stub has sent: one that never stops must not keep the relay from its other peers. */
static struct cs_error *drain_stub(struct serving *serving)
{
	struct stub *stub = serving->guest.stub;
	bool got = true;

	for (unsigned n = 0; n < DRAIN_MAX && got && stub->fd >= 0; n++) {
		CLEANUP(stub_reply_clear) struct stub_reply reply = {0};

		CS_TRY(stub_receive(stub, 0, &reply, &got));
		if (got)
			CS_TRY(stub_packet(serving, &reply));
	}
	return NULL;
}

/* --- The thread --- */

static struct cs_error *look_at_clock(struct serving *serving)
{
	CLEANUP(verdict_clear) struct verdict verdict = {0};
	uint64_t now = util_now_ns();

	CS_TRY(carry_look_at_clock(&serving->carrying, &verdict));
	CS_TRY(apply(serving, &verdict));
	CS_TRY(process(serving)); /* what waited for an answer that does not come */
	if (guest_state_get(&serving->state) != RELAY_RUNNING || now - serving->last_tick < TICK_NS)
		return NULL;
	serving->last_tick = now;
	ticks_run(&serving->ticks);
	return interrupt_if_idle(&serving->interrupts);
}

static int poll_limit(struct serving *serving)
{
	const struct client *client = &serving->client;
	bool watch =
		client_awaits_reply(client) || client->orphaned_at || guest_state_get(&serving->state) == RELAY_RUNNING;

	if (serving->guest.stub->fd >= 0 && stub_has_input(serving->guest.stub))
		return 0; /* read ahead together with another packet */
	if (interrupt_waits(&serving->interrupts))
		return INTERRUPT_POLL_MS;
	return watch ? (int)(TICK_NS / 1000000u) : -1;
}

static struct cs_error *serve_once(struct serving *serving)
{
	struct client *client = &serving->client;
	struct stub *stub = serving->guest.stub;
	bool owed = client_awaits_reply(client);
	struct pollfd fds[] = {
		{.fd = serving->calls.wake_fd, .events = POLLIN},
		{.fd = stub->fd, .events = POLLIN},
		{.fd = owed && client->fd < 0 ? -1 : serving->door.listen_fd, .events = POLLIN},
		/* While a reply is under way GDB has nothing to say; its hanging up is seen all the same. A
		 * debugger that comes then waits until the one before it has got its reply, or would have. */
		{.fd = client->fd, .events = owed ? 0 : POLLIN},
		{.fd = owed ? serving->calls.cancel_fd : -1, .events = POLLIN},
	};
	eventfd_t count;

	if (poll(fds, ARRAY_SIZE(fds), poll_limit(serving)) < 0 && errno != EINTR)
		return cs_error_system(CS_ERROR_SYSTEM, errno, "poll");
	if (fds[0].revents)
		eventfd_read(serving->calls.wake_fd, &count);
	if (stub->fd >= 0 && (fds[1].revents || stub_has_input(stub)))
		CS_TRY(drain_stub(serving));
	if (fds[2].revents)
		CS_TRY(let_client_in(serving));
	if (fds[3].revents && client->fd == fds[3].fd)
		client_read(client);
	CS_TRY(process(serving));
	if (client->left && !client_awaits_reply(client) && guest_state_get(&serving->state) == RELAY_STOPPED)
		CS_TRY(carry_bury(&serving->carrying));
	CS_TRY(interrupt_pursue(&serving->interrupts));
	CS_TRY(look_at_calls(serving, fds[4].revents));
	return look_at_clock(serving);
}

void serve(struct serving *serving)
{
	serving->last_tick = util_now_ns();
	while (!calls_are_ending(&serving->calls)) {
		struct cs_error *error;

		run_calls(serving);
		error = serve_once(serving);
		if (error && fatal(error))
			lose(serving, error);
		else
			cs_error_destroy(error);
	}
	if (serving->guest.stub->fd >= 0) {
		cs_error_destroy(guest_side_leave(&serving->side, serving->client.stop_unread));
		serve_close(serving, RELAY_CLOSED, "the connection was closed");
	}
	client_close(&serving->client);
	run_calls(serving);
}
