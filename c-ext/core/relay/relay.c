/* SPDX-License-Identifier: MIT */
/* The calls into the relay, from other threads, and its life. What its thread does is in serve.c. */
#include "relay/relay.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "relay/serve.h"

struct relay {
	_Atomic unsigned references;
	pid_t process; /* that made it: a child by fork() has no thread, and must leave the guest alone */
	pthread_t thread;
	bool thread_running; /* guarded by stop_lock, which is held until the thread has ended */
	pthread_mutex_t stop_lock;
	struct life life;
	char *address;
	struct meeting meeting;
	bool started; /* the handshake has ended, well or not: guarded by the meeting */
	struct cs_error *start_error;
	struct serving serving;
};

/* Whether this process is another's child by fork(): locks may be held for ever here. */
static bool is_elsewhere(const struct relay *relay)
{
	return relay->process != getpid();
}

/* --- Calls --- */

static struct cs_error *call(struct relay *relay, struct queued_call *call)
{
	if (is_elsewhere(relay))
		return cs_error_create(CS_ERROR_CLOSED, "the connection belongs to the process that made it");
	return calls_make(&relay->serving.calls, call);
}

struct cs_error *relay_call(struct relay *relay, relay_function *function, void *context)
{
	return call(relay, &(struct queued_call){.function = function, .context = context});
}

struct probe_call {
	struct relay *relay;
	struct probe *probe;
};

static struct cs_error *do_add(struct stub *stub, void *context)
{
	struct probe_call *arguments = context;

	(void)stub;
	return probes_plant(&arguments->relay->serving.probes, arguments->probe);
}

struct cs_error *relay_add_probe(struct relay *relay, struct probe *probe)
{
	return relay_call(relay, do_add, &(struct probe_call){relay, probe});
}

static struct cs_error *do_remove(struct stub *stub, void *context)
{
	struct probe_call *arguments = context;

	(void)stub;
	return probes_remove(&arguments->relay->serving.probes, arguments->probe);
}

struct cs_error *relay_remove_probe(struct relay *relay, struct probe *probe)
{
	struct probe_call arguments = {relay, probe};

	return call(relay, &(struct queued_call){.function = do_remove, .context = &arguments, .once_ended = true});
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
		arguments->error = probes_remove(&arguments->relay->serving.probes, probe);
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
	struct queued_call asked = {.function = do_remove_all, .context = &arguments, .once_ended = true};
	struct cs_error *error = call(relay, &asked);

	if (!error || error->code == CS_ERROR_STATE)
		return error;
	cs_error_destroy(error); /* it has ended the connection */
	if (!is_elsewhere(relay) && calls_are_ending(&relay->serving.calls))
		relay_stop(relay); /* it may not have ended yet */
	return NULL;
}

struct cs_error *relay_defer(struct relay *relay, struct probe *probe, bool plant)
{
	return probes_defer(&relay->serving.probes, probe, plant);
}

struct cs_error *relay_read_registers(struct relay *relay, const char *thread, uint8_t **ret, size_t *ret_size)
{
	CLEANUP(registers_clear) struct registers registers = {0};
	struct guest *guest = &relay->serving.guest;

	CS_TRY(guest_read_registers(guest, thread[0] ? thread : guest->stop.thread, &registers));
	*ret = TAKE_PTR(registers.bytes);
	*ret_size = registers.size;
	return NULL;
}

struct resume_call {
	struct relay *relay;
	const char *payload;
};

static struct cs_error *do_resume(struct stub *stub, void *context)
{
	struct resume_call *arguments = context;

	(void)stub;
	return serve_resume(&arguments->relay->serving, arguments->payload);
}

struct cs_error *relay_resume(struct relay *relay, const char *payload)
{
	return relay_call(relay, do_resume, &(struct resume_call){relay, payload});
}

struct cs_error *relay_wait(struct relay *relay, unsigned timeout_ms, char **stop)
{
	*stop = headless_wait(&relay->serving.headless, util_now_ns() + (uint64_t)timeout_ms * 1000000u);
	return !*stop && relay_state(relay) == RELAY_CLOSED ? relay_closed(relay) : NULL;
}

static struct cs_error *do_interrupt(struct stub *stub, void *context)
{
	struct relay *relay = context;

	(void)stub;
	return relay_state(relay) == RELAY_RUNNING ? interrupt_want(&relay->serving.interrupts) : NULL;
}

struct cs_error *relay_interrupt(struct relay *relay)
{
	return call(relay, &(struct queued_call){.function = do_interrupt, .context = relay, .while_running = true});
}

static struct cs_error *do_listen(struct stub *stub, void *context)
{
	struct relay *relay = context;

	(void)stub;
	return serve_listen(&relay->serving);
}

void relay_settle(struct relay *relay)
{
	/* The first hears what has been said, the second is called when it is answered. What fails is told by the
	 * state. */
	for (unsigned i = 0; i < 2; i++)
		cs_error_destroy(call(relay, &(struct queued_call){
						     .function = do_listen,
						     .context = relay,
						     .while_running = true,
						     .once_ended = true,
					     }));
}

static struct cs_error *do_detach(struct stub *stub, void *context)
{
	struct relay *relay = context;
	const char *process = relay->serving.guest.process;

	CS_TRY(planting_lift_all(&relay->serving.planting));
	if (process[0])
		CS_TRY(stub_command(stub, "D;%s", process));
	else
		CS_TRY(stub_command(stub, "D"));
	serve_close(&relay->serving, RELAY_CLOSED, "detached; the guest runs on");
	return NULL;
}

struct cs_error *relay_detach(struct relay *relay)
{
	return relay_call(relay, do_detach, relay);
}

/* --- Borrowing --- */

struct cs_error *relay_borrow(struct relay *relay, const char *name, uint64_t address,
			      const uint32_t given[ARCH_LOAN_GIVEN], uint32_t ret[ARCH_LOAN_RESULTS])
{
	return borrow_instruction(&relay->serving.borrower, name, address, given, ret);
}

char *relay_borrow_refusal(struct relay *relay)
{
	return borrow_refusal(&relay->serving.borrower);
}

struct cs_error *relay_measure_clock(struct relay *relay, uint64_t address, unsigned wait_ms, uint64_t *ticks,
				     uint64_t *elapsed_ns)
{
	return borrow_measure_clock(&relay->serving.borrower, address, wait_ms, ticks, elapsed_ns);
}

/* --- What is known --- */

const char *relay_socket_path(const struct relay *relay)
{
	return relay->serving.door.socket_path;
}

const struct stub *relay_stub(const struct relay *relay)
{
	return relay->serving.guest.stub;
}

enum relay_state relay_state(struct relay *relay)
{
	return is_elsewhere(relay) ? RELAY_CLOSED : guest_state_get(&relay->serving.state);
}

char *relay_reason(struct relay *relay)
{
	return guest_state_reason(&relay->serving.state);
}

struct cs_error *relay_closed(struct relay *relay)
{
	FREE char *reason = relay_reason(relay);

	return cs_error_create(CS_ERROR_CLOSED, "%s", reason && *reason ? reason : "the connection is closed");
}

void relay_get_statistics(struct relay *relay, struct relay_statistics *ret)
{
	run_clock_statistics(&relay->serving.clock, ret);
	ret->packets_to_stub = relay->serving.guest.stub->packets_sent;
	ret->packets_to_gdb = relay->serving.packets_to_gdb;
	ret->probes = relay->serving.probes.count;
}

uint64_t relay_mark(struct relay *relay)
{
	return run_clock_mark(&relay->serving.clock);
}

bool relay_marked(struct relay *relay, uint64_t mark, struct relay_statistics *ret)
{
	return run_clock_marked(&relay->serving.clock, mark, ret);
}

uint64_t relay_run_ns(struct relay *relay)
{
	return run_clock_ns(&relay->serving.clock);
}

void relay_restart_time(struct relay *relay)
{
	run_clock_restart(&relay->serving.clock);
}

void relay_set_replay(struct relay *relay, bool replay)
{
	relay->serving.guest.replay = replay;
}

bool relay_is_replay(struct relay *relay)
{
	return relay->serving.guest.replay;
}

void relay_set_idle_limit(struct relay *relay, uint64_t nanoseconds)
{
	run_clock_set_limit(&relay->serving.clock, nanoseconds);
}

bool relay_idle_reached(struct relay *relay)
{
	return relay->serving.interrupts.idle_reached;
}

/* --- Ticks --- */

void relay_add_tick(struct relay *relay, struct relay_tick *tick)
{
	ticks_add(&relay->serving.ticks, tick);
}

void relay_remove_tick(struct relay *relay, struct relay_tick *tick)
{
	if (!is_elsewhere(relay))
		ticks_remove(&relay->serving.ticks, tick);
}

/* --- Its life --- */

struct relay *relay_hold(struct relay *relay)
{
	relay->references++;
	return relay;
}

void relay_retire(struct relay *relay, bool planted, struct relay_retired *retired)
{
	if (!planted || is_elsewhere(relay) || !life_wait_for_end(&relay->life, retired))
		retired->release(retired->context);
	relay_destroy(relay);
}

static void end_thread(struct relay *relay)
{
	calls_announce_end(&relay->serving.calls);
	pthread_join(relay->thread, NULL);
	relay->thread_running = false;
	door_close(&relay->serving.door);
}

void relay_stop(struct relay *relay)
{
	if (is_elsewhere(relay))
		return;
	pthread_mutex_lock(&relay->stop_lock);
	if (relay->thread_running)
		end_thread(relay);
	pthread_mutex_unlock(&relay->stop_lock);
	life_end(&relay->life);
}

static void destroy_locks(struct relay *relay)
{
	if (is_elsewhere(relay))
		return;
	meeting_clear(&relay->meeting);
	life_clear(&relay->life);
	pthread_mutex_destroy(&relay->stop_lock);
}

void relay_destroy(struct relay *relay)
{
	if (!relay || --relay->references)
		return;
	relay_stop(relay);
	serving_clear(&relay->serving);
	destroy_locks(relay);
	free(relay->address);
	free(relay);
}

static void *thread_main(void *context)
{
	struct relay *relay = context;
	struct cs_error *error = serving_begin(&relay->serving);
	bool failed = error != NULL;

	meeting_begin(&relay->meeting);
	relay->start_error = error;
	relay->started = true;
	meeting_end_telling(&relay->meeting);
	if (!failed)
		serve(&relay->serving);
	return NULL;
}

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

static struct cs_error *init(struct relay *relay, relay_cancelled *give_up)
{
	relay->references = 1;
	relay->process = getpid();
	pthread_mutex_init(&relay->stop_lock, NULL);
	life_init(&relay->life);
	meeting_init(&relay->meeting, give_up);
	relay->serving.address = relay->address;
	return serving_init(&relay->serving, &relay->meeting);
}

struct cs_error *relay_create(const char *address, unsigned connect_timeout_ms, unsigned timeout_ms,
			      relay_cancelled *give_up, struct relay **ret)
{
	CLEANUP(destroy_pointer) struct relay *relay = NULL;
	struct relay *made = calloc(1, sizeof(*made));
	struct cs_error *error;

	if (made)
		made->address = strdup(address);
	if (!made || !made->address) {
		free(made);
		return &cs_error_no_memory;
	}
	relay = made;
	relay->serving.connect_timeout_ms = connect_timeout_ms;
	relay->serving.timeout_ms = timeout_ms;
	CS_TRY(init(relay, give_up));
	CS_TRY(start_thread(relay));
	meeting_begin(&relay->meeting);
	calls_wait_for(&relay->serving.calls, &relay->started);
	error = TAKE_PTR(relay->start_error);
	meeting_end(&relay->meeting);
	if (error)
		return error;
	*ret = TAKE_PTR(relay);
	return NULL;
}
