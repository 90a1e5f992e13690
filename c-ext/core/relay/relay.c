/* SPDX-License-Identifier: MIT */
/* The relay's thread and the calls into it. */
#include "relay/relay_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/private_dir.h"
#include "base/util.h"
#include "rsp/icount.h"

#define TICK_NS 100000000u /* between two ticks, and two looks at the idle limit */
#define WAIT_NS 50000000   /* between two looks at whether a wait was given up */
#define INTERRUPT_POLL_MS 5
#define DRAIN_MAX 64 /* packets of the stub's between two looks at the other peers */

/* --- State --- */

void relay_set_state(struct relay *relay, enum relay_state state)
{
	pthread_mutex_lock(&relay->lock);
	relay->state = state;
	/* Who sees the state may ask for the reason before the stub has closed the connection. */
	if (state == RELAY_EXITED && !relay->reason)
		relay->reason = strdup("the guest ended");
	pthread_cond_broadcast(&relay->changed);
	pthread_mutex_unlock(&relay->lock);
}

enum relay_state relay_state(struct relay *relay)
{
	enum relay_state state;

	if (relay_is_elsewhere(relay))
		return RELAY_CLOSED;
	pthread_mutex_lock(&relay->lock);
	state = relay->state;
	pthread_mutex_unlock(&relay->lock);
	return state;
}

void relay_close(struct relay *relay, enum relay_state state, struct cs_error *error, const char *reason)
{
	enum gdb_request_kind asked = relay->client.pending.kind;
	bool failed = error != NULL;
	bool gone = error && error->code == CS_ERROR_CLOSED;
	/* A stub that GDB asked for the guest's end need not live to tell of it. */
	bool killed = failed && (asked == GDB_KILL || asked == GDB_KILL_UNANSWERED);

	step_end_run(relay);
	relay_run_ticks(relay);
	if (relay->stub->fd >= 0)
		close(relay->stub->fd);
	relay->stub->fd = -1;
	pthread_mutex_lock(&relay->lock);
	if (killed)
		reason = "GDB killed the guest";
	else if (error) /* one that ended and then closed its connection has ended, not failed: that was said before */
		reason = error->message;
	relay->state = killed || relay->state == RELAY_EXITED ? RELAY_EXITED : state;
	if (!relay->reason)
		relay->reason = strdup(reason);
	relay->headless_awaited = false;
	pthread_cond_broadcast(&relay->changed);
	pthread_mutex_unlock(&relay->lock);
	cs_error_destroy(error);
	/* Last: who sees GDB's connection end finds the reason. */
	if (failed)
		client_lose_guest(relay, gone);
	else
		client_close(relay);
	relay->client.pending.kind = GDB_NOTHING;
}

struct cs_error *relay_deliver_stop(struct relay *relay, const char *raw, size_t raw_length, const char *text)
{
	char *copy;

	if (client_awaits_stop(&relay->client))
		return client_stop(relay, raw, raw_length, text);
	copy = strdup(text);
	if (!copy)
		return &cs_error_no_memory;
	pthread_mutex_lock(&relay->lock);
	free(relay->headless_stop);
	relay->headless_stop = copy;
	relay->headless_awaited = false;
	pthread_cond_broadcast(&relay->changed);
	pthread_mutex_unlock(&relay->lock);
	return NULL;
}

/* --- The thread --- */

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

static struct cs_error *copy_error(const struct cs_error *error)
{
	return cs_error_create(error->code, "%s", error->message);
}

static struct relay_call *next_call(struct relay *relay)
{
	struct relay_call *call;

	pthread_mutex_lock(&relay->lock);
	call = relay->calls;
	if (call)
		relay->calls = call->next;
	pthread_mutex_unlock(&relay->lock);
	return call;
}

static struct cs_error *run_call(struct relay *relay, const struct relay_call *call)
{
	switch (relay_state(relay)) {
	case RELAY_STOPPED: return call->function(relay->stub, call->context);
	case RELAY_RUNNING:
		if (call->while_running)
			return call->function(relay->stub, call->context);
		return cs_error_create(CS_ERROR_STATE, "your guest is running; interrupt it first");
	case RELAY_EXITED:
		if (call->once_ended)
			return call->function(relay->stub, call->context);
		return cs_error_create(CS_ERROR_STATE, "your guest has ended");
	case RELAY_CLOSED:
		return cs_error_create(CS_ERROR_CLOSED, "%s",
				       relay->reason ? relay->reason : "the connection is closed");
	}
	return NULL;
}

static void run_calls(struct relay *relay)
{
	struct relay_call *call;

	/* A request of GDB's that is under way must get its own reply. */
	while (!client_awaits_reply(&relay->client) && (call = next_call(relay))) {
		struct cs_error *error = run_call(relay, call);

		if (error && fatal(error) && relay->stub->fd >= 0)
			relay_close(relay, RELAY_CLOSED, copy_error(error), NULL);
		pthread_mutex_lock(&relay->lock);
		call->error = error;
		call->done = true;
		pthread_cond_broadcast(&relay->changed);
		pthread_mutex_unlock(&relay->lock);
	}
}

static struct cs_error *stub_packet(struct relay *relay, const struct stub_reply *reply)
{
	if (client_awaits_reply(&relay->client)) /* a stop answers no request: it is said again (stub.c) */
		return reply_is_stop(reply->text, reply->length) ? NULL : client_reply(relay, reply);
	if (relay_state(relay) == RELAY_RUNNING)
		return guest_packet(relay, reply);
	return NULL; /* nobody asked: a late answer to an interrupt */
}

/* Some of what the stub has sent: one that never stops must not keep the relay from its other peers. */
static struct cs_error *drain_stub(struct relay *relay)
{
	bool got = true;

	for (unsigned n = 0; n < DRAIN_MAX && got && relay->stub->fd >= 0; n++) {
		CLEANUP(stub_reply_clear) struct stub_reply reply = {0};

		CS_TRY(stub_receive(relay->stub, 0, &reply, &got));
		if (got)
			CS_TRY(stub_packet(relay, &reply));
	}
	return NULL;
}

static struct cs_error *look_at_clock(struct relay *relay, uint64_t *last_tick)
{
	uint64_t now = util_now_ns();
	uint64_t limit, begin, ran;

	CS_TRY(client_look_at_clock(relay));
	if (relay_state(relay) != RELAY_RUNNING || now - *last_tick < TICK_NS)
		return NULL;
	*last_tick = now;
	relay_run_ticks(relay);
	ran = relay_run_ns(relay);
	pthread_mutex_lock(&relay->lock);
	limit = relay->idle_limit_ns;
	begin = relay->idle_from_ns;
	pthread_mutex_unlock(&relay->lock);
	if (!limit || relay->idle_interrupt || ran < begin + limit)
		return NULL;
	relay->idle_interrupt = true;
	return guest_interrupt(relay);
}

/* A call has to wait while the stub owes GDB an answer: until it is given up, and no longer than for an
 * answer of its own. */
static struct cs_error *look_at_calls(struct relay *relay, bool given_up)
{
	bool waiting;

	pthread_mutex_lock(&relay->lock);
	waiting = relay->calls != NULL;
	pthread_mutex_unlock(&relay->lock);
	if (!waiting || !client_awaits_reply(&relay->client))
		return NULL;
	if (!given_up && util_now_ns() - relay->client.asked_at < (uint64_t)relay->timeout_ms * 1000000u)
		return NULL;
	return cs_error_create(CS_ERROR_TIMEOUT, "%s: the stub does not answer GDB's last request", relay->address);
}

static int poll_limit(struct relay *relay)
{
	bool watch =
		client_awaits_reply(&relay->client) || relay->client.orphaned_at || relay_state(relay) == RELAY_RUNNING;

	if (relay->stub->fd >= 0 && stub_has_input(relay->stub))
		return 0; /* read ahead together with another packet */
	if (interrupt_waits(relay))
		return INTERRUPT_POLL_MS;
	return watch ? (int)(TICK_NS / 1000000u) : -1;
}

static struct cs_error *serve_once(struct relay *relay, uint64_t *last_tick)
{
	struct client *client = &relay->client;
	bool owed = client_awaits_reply(client);
	struct pollfd fds[] = {
		{.fd = relay->wake_fd, .events = POLLIN},
		{.fd = relay->stub->fd, .events = POLLIN},
		{.fd = owed && client->fd < 0 ? -1 : relay->listen_fd, .events = POLLIN},
		/* While a reply is under way GDB has nothing to say; its hanging up is seen all the same. A
		 * debugger that comes then waits until the one before it has got its reply, or would have. */
		{.fd = client->fd, .events = owed ? 0 : POLLIN},
		{.fd = owed ? relay->cancel_fd : -1, .events = POLLIN},
	};
	eventfd_t count;

	if (poll(fds, ARRAY_SIZE(fds), poll_limit(relay)) < 0 && errno != EINTR)
		return cs_error_system(CS_ERROR_SYSTEM, errno, "poll");
	if (fds[0].revents)
		eventfd_read(relay->wake_fd, &count);
	if (relay->stub->fd >= 0 && (fds[1].revents || stub_has_input(relay->stub)))
		CS_TRY(drain_stub(relay));
	if (fds[2].revents)
		CS_TRY(client_accept(relay));
	if (fds[3].revents && client->fd == fds[3].fd)
		CS_TRY(client_read(relay));
	CS_TRY(client_process(relay));
	if (client->left && !client_awaits_reply(client) && relay_state(relay) == RELAY_STOPPED)
		CS_TRY(client_bury(relay));
	CS_TRY(interrupt_pursue(relay));
	CS_TRY(look_at_calls(relay, fds[4].revents));
	return look_at_clock(relay, last_tick);
}

static bool ending(struct relay *relay)
{
	bool is;

	pthread_mutex_lock(&relay->lock);
	is = relay->ending;
	pthread_mutex_unlock(&relay->lock);
	return is;
}

static void serve(struct relay *relay)
{
	uint64_t last_tick = util_now_ns();

	while (!ending(relay)) {
		struct cs_error *error;

		run_calls(relay);
		error = serve_once(relay, &last_tick);
		if (error && fatal(error))
			relay_close(relay, RELAY_CLOSED, error, NULL);
		else
			cs_error_destroy(error);
	}
	if (relay->stub->fd >= 0) {
		cs_error_destroy(guest_leave(relay));
		relay_close(relay, RELAY_CLOSED, NULL, "the connection was closed");
	}
	client_close(relay);
	run_calls(relay);
}

/* A socket in a directory that only this user can enter. */
static struct cs_error *open_socket(struct relay *relay)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (!base || strlen(base) > 40 || access(base, W_OK) < 0)
		base = "/tmp";
	snprintf(relay->directory, sizeof(relay->directory), "%s/clockscope-XXXXXX", base);
	if (!mkdtemp(relay->directory)) /* makes it with mode 0700 */
		return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot make a directory in %s", base);
	relay->directory_lock = private_dir_lock(relay->directory);
	snprintf(relay->socket_path, sizeof(relay->socket_path), "%s/gdb", relay->directory);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", relay->socket_path);
	relay->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (relay->listen_fd < 0 || bind(relay->listen_fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(relay->listen_fd, 1) < 0)
		return cs_error_system(CS_ERROR_SYSTEM, errno, "cannot listen on %s", relay->socket_path);
	return NULL;
}

static void keep_client_waiting(void *context)
{
	client_keep_waiting(context);
}

static struct cs_error *start(struct relay *relay)
{
	struct stop_reply stop;

	CS_TRY(stub_create(relay->address, relay->cancel_fd, relay->connect_timeout_ms, relay->timeout_ms,
			   &relay->stub));
	relay->stub->waiting = keep_client_waiting;
	relay->stub->waiting_context = relay;
	reply_parse_stop(relay->stub->first_stop.text, relay->stub->first_stop.length, &stop);
	guest_note_stop(relay, &stop);
	CS_TRY(guest_ask_process(relay));
	snprintf(relay->client_general, REPLY_THREAD_MAX, "%s", relay->stop.thread);
	step_map_registers(relay);
	CS_TRY(replay_recognise(relay->stub, &relay->replay));
	relay->state = relay->stop.kind == STOP_SIGNAL ? RELAY_STOPPED : RELAY_EXITED;
	return open_socket(relay);
}

static void *thread_main(void *context)
{
	struct relay *relay = context;
	struct cs_error *error = start(relay);

	pthread_mutex_lock(&relay->lock);
	relay->start_error = error;
	relay->started = true;
	pthread_cond_broadcast(&relay->changed);
	pthread_mutex_unlock(&relay->lock);
	if (!error)
		serve(relay);
	return NULL;
}

/* --- Calls from other threads --- */

static void wake(struct relay *relay)
{
	eventfd_write(relay->wake_fd, 1);
}

/* Waits a while, with the lock held, for something to change; until the deadline (ns) at the longest. */
static void wait_a_while(struct relay *relay, uint64_t deadline)
{
	uint64_t until = util_now_ns() + WAIT_NS;
	struct timespec when;

	if (deadline < until)
		until = deadline;
	when = (struct timespec){.tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u)};
	pthread_cond_timedwait(&relay->changed, &relay->lock, &when);
}

static bool cancelled(struct relay *relay)
{
	bool is;

	pthread_mutex_unlock(&relay->lock);
	is = relay->cancelled && relay->cancelled();
	pthread_mutex_lock(&relay->lock);
	return is;
}

/* Waits, with the lock held, for what the thread was asked to do; tells it when the wait is given up. */
static void wait_for(struct relay *relay, const bool *done)
{
	while (!*done) {
		wait_a_while(relay, UINT64_MAX);
		if (!*done && cancelled(relay))
			eventfd_write(relay->cancel_fd, 1);
	}
}

static struct cs_error *call(struct relay *relay, struct relay_call *call)
{
	struct relay_call **last;
	eventfd_t count;

	if (relay_is_elsewhere(relay))
		return cs_error_create(CS_ERROR_CLOSED, "the connection belongs to the process that made it");
	pthread_mutex_lock(&relay->lock);
	if (relay->ending) { /* the thread may have looked for calls for the last time */
		pthread_mutex_unlock(&relay->lock);
		return cs_error_create(CS_ERROR_CLOSED, "the connection was closed");
	}
	for (last = &relay->calls; *last;)
		last = &(*last)->next;
	*last = call;
	wake(relay);
	wait_for(relay, &call->done);
	pthread_mutex_unlock(&relay->lock);
	eventfd_read(relay->cancel_fd, &count); /* a cancel that came too late must not hit the next call */
	return call->error;
}

struct cs_error *relay_call(struct relay *relay, relay_function *function, void *context)
{
	return call(relay, &(struct relay_call){.function = function, .context = context});
}

struct probe_call {
	struct relay *relay;
	struct probe *probe;
};

static struct cs_error *do_add(struct stub *stub, void *context)
{
	struct probe_call *arguments = context;

	(void)stub;
	return guest_plant(arguments->relay, arguments->probe);
}

struct cs_error *relay_add_probe(struct relay *relay, struct probe *probe)
{
	return relay_call(relay, do_add, &(struct probe_call){relay, probe});
}

/* Its owner may release it then: what it asked for is not done any more. */
static struct cs_error *remove_probe(struct relay *relay, struct probe *probe)
{
	size_t kept = 0;

	for (size_t i = 0; i < relay->deferred_count; i++)
		if (relay->deferred[i].probe != probe)
			relay->deferred[kept++] = relay->deferred[i];
	relay->deferred_count = kept;
	return guest_unplant(relay, probe);
}

static struct cs_error *do_remove(struct stub *stub, void *context)
{
	struct probe_call *arguments = context;

	(void)stub;
	return remove_probe(arguments->relay, arguments->probe);
}

struct cs_error *relay_remove_probe(struct relay *relay, struct probe *probe)
{
	struct probe_call arguments = {relay, probe};

	return call(relay, &(struct relay_call){.function = do_remove, .context = &arguments, .once_ended = true});
}

struct probes_call {
	struct relay *relay;
	void (*each)(void *context, probe_visitor *visit, void *argument);
	void *context;
	struct cs_error *error;
};

static void remove_one(void *argument, struct probe *probe)
{
	struct probes_call *arguments = argument;

	if (!arguments->error)
		arguments->error = remove_probe(arguments->relay, probe);
}

static struct cs_error *do_remove_all(struct stub *stub, void *context)
{
	struct probes_call *arguments = context;

	(void)stub;
	arguments->each(arguments->context, remove_one, arguments);
	return arguments->error;
}

struct cs_error *relay_remove_probes(struct relay *relay,
				     void (*each)(void *context, probe_visitor *visit, void *argument), void *context)
{
	struct probes_call arguments = {.relay = relay, .each = each, .context = context};
	struct relay_call asked = {.function = do_remove_all, .context = &arguments, .once_ended = true};
	struct cs_error *error = call(relay, &asked);

	if (!error || error->code == CS_ERROR_STATE)
		return error;
	cs_error_destroy(error); /* it has ended the connection */
	if (!relay_is_elsewhere(relay) && ending(relay))
		relay_stop(relay); /* it may not have ended yet */
	return NULL;
}

struct resume_call {
	struct relay *relay;
	const char *payload;
};

static void await_headless(struct relay *relay, bool awaited)
{
	pthread_mutex_lock(&relay->lock);
	free(relay->headless_stop);
	relay->headless_stop = NULL;
	relay->headless_awaited = awaited;
	pthread_mutex_unlock(&relay->lock);
}

static struct cs_error *do_resume(struct stub *stub, void *context)
{
	struct resume_call *arguments = context;
	struct relay *relay = arguments->relay;
	const char *payload = arguments->payload;
	struct cs_error *error;

	if (relay->client.fd >= 0)
		return cs_error_create(CS_ERROR_STATE, "GDB drives this guest; continue it there");
	if (!payload)
		payload = stub->vcont[0] ? "vCont;c" : "c";
	await_headless(relay, true);
	error = guest_resume(relay, payload, strlen(payload), RESUME_CONTINUE);
	if (error)
		await_headless(relay, false);
	return error;
}

struct cs_error *relay_resume(struct relay *relay, const char *payload)
{
	return relay_call(relay, do_resume, &(struct resume_call){relay, payload});
}

struct cs_error *relay_wait(struct relay *relay, unsigned timeout_ms, char **stop)
{
	uint64_t deadline = util_now_ns() + (uint64_t)timeout_ms * 1000000u;
	struct cs_error *error = NULL;

	pthread_mutex_lock(&relay->lock);
	while (relay->headless_awaited && util_now_ns() < deadline && !cancelled(relay))
		wait_a_while(relay, deadline);
	*stop = TAKE_PTR(relay->headless_stop);
	if (!*stop && relay->state == RELAY_CLOSED)
		error = cs_error_create(CS_ERROR_CLOSED, "%s",
					relay->reason ? relay->reason : "the connection is closed");
	pthread_mutex_unlock(&relay->lock);
	return error;
}

static struct cs_error *do_interrupt(struct stub *stub, void *context)
{
	struct relay *relay = context;

	(void)stub;
	return relay_state(relay) == RELAY_RUNNING ? guest_interrupt(relay) : NULL;
}

struct cs_error *relay_interrupt(struct relay *relay)
{
	return call(relay, &(struct relay_call){.function = do_interrupt, .context = relay, .while_running = true});
}

static struct cs_error *do_listen(struct stub *stub, void *context)
{
	struct relay *relay = context;

	(void)stub;
	if (relay->client.fd < 0)
		return NULL;
	CS_TRY(client_read(relay));
	return client_process(relay);
}

void relay_settle(struct relay *relay)
{
	/* The first hears what has been said, the second is called when it is answered. What fails is told by the
	 * state. */
	for (unsigned i = 0; i < 2; i++)
		cs_error_destroy(call(relay, &(struct relay_call){
						     .function = do_listen,
						     .context = relay,
						     .while_running = true,
						     .once_ended = true,
					     }));
}

static struct cs_error *do_detach(struct stub *stub, void *context)
{
	struct relay *relay = context;

	CS_TRY(guest_lift_all(relay));
	if (relay->guest_process[0])
		CS_TRY(stub_command(stub, "D;%s", relay->guest_process));
	else
		CS_TRY(stub_command(stub, "D"));
	relay_close(relay, RELAY_CLOSED, NULL, "detached; the guest runs on");
	return NULL;
}

struct cs_error *relay_detach(struct relay *relay)
{
	return relay_call(relay, do_detach, relay);
}

/* --- Small accessors --- */

const char *relay_socket_path(const struct relay *relay)
{
	return relay->socket_path;
}

const struct stub *relay_stub(const struct relay *relay)
{
	return relay->stub;
}

char *relay_reason(struct relay *relay)
{
	char *copy;

	pthread_mutex_lock(&relay->lock);
	copy = strdup(relay->reason ? relay->reason : "");
	pthread_mutex_unlock(&relay->lock);
	return copy;
}

struct cs_error *relay_closed(struct relay *relay)
{
	FREE char *reason = relay_reason(relay);

	return cs_error_create(CS_ERROR_CLOSED, "%s", reason && *reason ? reason : "the connection is closed");
}

uint64_t relay_run_ns(struct relay *relay)
{
	uint64_t ns;

	pthread_mutex_lock(&relay->lock);
	ns = relay->statistics.run_ns;
	if (relay->resumed_at)
		ns += util_now_ns() - relay->resumed_at;
	pthread_mutex_unlock(&relay->lock);
	return ns;
}

void relay_restart_time(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	relay->statistics.run_ns = 0;
	relay->idle_from_ns = 0;
	if (relay->resumed_at)
		relay->resumed_at = util_now_ns();
	pthread_mutex_unlock(&relay->lock);
}

void relay_get_statistics(struct relay *relay, struct relay_statistics *ret)
{
	uint64_t run_ns = relay_run_ns(relay);

	pthread_mutex_lock(&relay->lock);
	*ret = relay->statistics;
	pthread_mutex_unlock(&relay->lock);
	ret->run_ns = run_ns;
	ret->packets_to_stub = relay->stub->packets_sent;
	ret->probes = relay->probe_count;
}

void relay_set_replay(struct relay *relay, bool replay)
{
	pthread_mutex_lock(&relay->lock);
	relay->replay = replay;
	pthread_mutex_unlock(&relay->lock);
}

bool relay_is_replay(struct relay *relay)
{
	bool is;

	pthread_mutex_lock(&relay->lock);
	is = relay->replay;
	pthread_mutex_unlock(&relay->lock);
	return is;
}

void relay_set_idle_limit(struct relay *relay, uint64_t nanoseconds)
{
	uint64_t ran = relay_run_ns(relay);

	pthread_mutex_lock(&relay->lock);
	relay->idle_from_ns = ran;
	relay->idle_limit_ns = nanoseconds;
	pthread_mutex_unlock(&relay->lock);
}

bool relay_idle_reached(struct relay *relay)
{
	bool reached;

	pthread_mutex_lock(&relay->lock);
	reached = relay->idle_reached;
	pthread_mutex_unlock(&relay->lock);
	return reached;
}

/* --- Lifecycle --- */

/* The thread must never run a handler of the host program's: it starts with all signals blocked. */
static struct cs_error *start_thread(struct relay *relay)
{
	sigset_t all;
	sigset_t before;
	int problem;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	problem = pthread_create(&relay->thread, NULL, thread_main, relay);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (problem)
		return cs_error_system(CS_ERROR_SYSTEM, problem, "cannot start the thread that serves your guest");
	relay->thread_running = true;
	return NULL;
}

static void destroy_pointer(struct relay **relay)
{
	relay_destroy(*relay);
}

static void init(struct relay *relay)
{
	pthread_condattr_t attributes;

	relay->references = 1;
	relay->process = getpid();
	pthread_mutex_init(&relay->lock, NULL);
	pthread_mutex_init(&relay->stop_lock, NULL);
	pthread_mutex_init(&relay->tick_lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&relay->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	relay->listen_fd = relay->client.fd = relay->directory_lock = -1;
	relay->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	relay->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

struct cs_error *relay_create(const char *address, unsigned connect_timeout_ms, unsigned timeout_ms,
			      relay_cancelled *give_up, struct relay **ret)
{
	CLEANUP(destroy_pointer) struct relay *relay = calloc(1, sizeof(*relay));
	struct cs_error *error;

	if (!relay)
		return &cs_error_no_memory;
	init(relay);
	relay->address = strdup(address);
	relay->connect_timeout_ms = connect_timeout_ms;
	relay->timeout_ms = timeout_ms;
	relay->cancelled = give_up;
	if (!relay->address || relay->wake_fd < 0 || relay->cancel_fd < 0)
		return cs_error_create(CS_ERROR_SYSTEM, "too many open files: your guest cannot be attached");
	CS_TRY(insn_decoder_create(&relay->decoder));
	CS_TRY(start_thread(relay));
	pthread_mutex_lock(&relay->lock);
	wait_for(relay, &relay->started);
	error = TAKE_PTR(relay->start_error);
	pthread_mutex_unlock(&relay->lock);
	if (error)
		return error;
	*ret = TAKE_PTR(relay);
	return NULL;
}
