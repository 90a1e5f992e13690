/* SPDX-License-Identifier: MIT */
#include "relay/going.h"

#include <stdlib.h>
#include <string.h>

#include "rsp/resume.h"

void going_clear(struct going *going)
{
	registers_clear(&going->step_registers);
	free(going->payload);
	going->payload = NULL;
}

struct cs_error *going_note(struct going *going, const char *payload, enum resume_kind kind)
{
	const char *chosen = going->guest->resumed.by_gdb;
	bool stepping = payload[0] == 's' || payload[0] == 'S';

	free(going->payload);
	going->payload = kind == RESUME_OTHER || kind == RESUME_REVERSE ? strdup(payload) : resume_repeatable(payload);
	if (!going->payload)
		return &cs_error_no_memory;
	going->kind = kind == RESUME_CONTINUE && stepping ? RESUME_STEP : kind;
	copy_thread(going->thread, going->guest->stop.thread);
	if (stepping && chosen[0] && chosen[0] != '0' && chosen[0] != '-')
		copy_thread(going->thread, chosen);
	if (kind == RESUME_CONTINUE && resume_steps(payload, going->thread))
		going->kind = RESUME_STEP;
	return NULL;
}

struct cs_error *going_again(struct going *going)
{
	CS_TRY(guest_restore_resumed(going->guest));
	return guest_go(going->guest, going->payload, strlen(going->payload));
}

struct cs_error *going_on_alone(const struct going *going)
{
	const char *plain = going->guest->stub->vcont[0] ? "vCont;c" : "c";
	const char *payload = going->payload && going->kind == RESUME_CONTINUE ? going->payload : plain;

	return stub_send(going->guest->stub, payload, strlen(payload));
}
