/* SPDX-License-Identifier: MIT */
/* Who holds a relay, what its thread does for them, and how it ends. */
#include "relay/relay_internal.h"

#include <sys/eventfd.h>

#include "base/private_dir.h"

bool relay_is_elsewhere(const struct relay *relay)
{
	return relay->process != getpid();
}

/* --- Ticks --- */

void relay_run_ticks(struct relay *relay)
{
	pthread_mutex_lock(&relay->tick_lock);
	for (const struct relay_tick *tick = relay->ticks; tick; tick = tick->next)
		tick->call(tick->context);
	pthread_mutex_unlock(&relay->tick_lock);
}

void relay_add_tick(struct relay *relay, struct relay_tick *tick)
{
	pthread_mutex_lock(&relay->tick_lock);
	tick->next = relay->ticks;
	relay->ticks = tick;
	pthread_mutex_unlock(&relay->tick_lock);
}

void relay_remove_tick(struct relay *relay, struct relay_tick *tick)
{
	struct relay_tick **at = &relay->ticks;

	if (relay_is_elsewhere(relay))
		return;
	pthread_mutex_lock(&relay->tick_lock);
	while (*at && *at != tick)
		at = &(*at)->next;
	if (*at)
		*at = tick->next;
	pthread_mutex_unlock(&relay->tick_lock);
}

/* --- What probes belong to --- */

void relay_retire(struct relay *relay, bool planted, struct relay_retired *retired)
{
	bool waits = false;

	if (planted && !relay_is_elsewhere(relay)) {
		pthread_mutex_lock(&relay->lock);
		waits = !relay->ended;
		if (waits) {
			retired->next = relay->retired;
			relay->retired = retired;
		}
		pthread_mutex_unlock(&relay->lock);
	}
	if (!waits)
		retired->release(retired->context);
	relay_destroy(relay);
}

static void release_retired(struct relay *relay)
{
	struct relay_retired *retired;

	pthread_mutex_lock(&relay->lock);
	relay->ended = true;
	retired = TAKE_PTR(relay->retired);
	pthread_mutex_unlock(&relay->lock);
	while (retired) {
		struct relay_retired *next = retired->next;

		retired->release(retired->context);
		retired = next;
	}
}

/* --- The end --- */

/* For GDB there is nothing to connect to any more. */
static void remove_socket(struct relay *relay)
{
	util_close_fd(&relay->listen_fd);
	relay->listen_fd = -1;
	if (relay->directory[0]) {
		unlink(relay->socket_path);
		private_dir_unlock(relay->directory, relay->directory_lock);
		rmdir(relay->directory);
	}
	relay->directory[0] = '\0';
	relay->directory_lock = -1;
}

static void end_thread(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	relay->ending = true;
	pthread_mutex_unlock(&relay->lock);
	eventfd_write(relay->wake_fd, 1);
	pthread_join(relay->thread, NULL);
	relay->thread_running = false;
	remove_socket(relay);
}

void relay_stop(struct relay *relay)
{
	if (relay_is_elsewhere(relay))
		return;
	pthread_mutex_lock(&relay->stop_lock);
	if (relay->thread_running)
		end_thread(relay);
	pthread_mutex_unlock(&relay->stop_lock);
	release_retired(relay);
}

struct relay *relay_hold(struct relay *relay)
{
	relay->references++;
	return relay;
}

static void destroy_locks(struct relay *relay)
{
	if (relay_is_elsewhere(relay))
		return;
	pthread_cond_destroy(&relay->changed);
	pthread_mutex_destroy(&relay->lock);
	pthread_mutex_destroy(&relay->stop_lock);
	pthread_mutex_destroy(&relay->tick_lock);
}

static void free_left_behind(struct left_behind *at)
{
	while (at) {
		struct left_behind *next = at->next;

		free(at);
		at = next;
	}
}

void relay_destroy(struct relay *relay)
{
	if (!relay || --relay->references)
		return;
	relay_stop(relay);
	util_close_fd(&relay->listen_fd);
	util_close_fd(&relay->directory_lock);
	stub_destroy(relay->stub);
	packet_parser_clear(&relay->client.parser);
	util_close_fd(&relay->wake_fd);
	util_close_fd(&relay->cancel_fd);
	breakpoints_clear(&relay->breakpoints);
	watchpoints_clear(&relay->watchpoints);
	breakpoints_clear(&relay->lifted_since);
	registers_clear(&relay->step_registers);
	insn_decoder_destroy(relay->decoder);
	destroy_locks(relay);
	free_left_behind(relay->left_behind);
	free(relay->probes);
	free(relay->deferred);
	free(relay->resume);
	free(relay->headless_stop);
	free(relay->borrow_never);
	free(relay->reason);
	free(relay->address);
	free(relay);
}
