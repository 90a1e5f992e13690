/* SPDX-License-Identifier: MIT */
#include "relay/gdb_request.h"

#include <string.h>

#include "base/util.h"
#include "rsp/packet.h"

/* Packets by how they begin, or by all of their text. What stands first counts. */
static const struct {
	const char *text;
	bool whole;
	enum gdb_request_kind kind;
} packets[] = {
	{"qSupported", false, GDB_FEATURES},
	{"QStartNoAckMode", true, GDB_NO_ACK},
	{"vCont?", true, GDB_VCONT_ACTIONS},
	{"?", true, GDB_WHY_STOPPED},
	{"QNonStop", false, GDB_NOT_OFFERED},
	{"vMustReplyEmpty", true, GDB_NOT_OFFERED},
	{"qRcmd,", false, GDB_MONITOR},
	{"qC", true, GDB_CURRENT_THREAD},
	{"qfThreadInfo", true, GDB_THREADS},
	{"qsThreadInfo", true, GDB_THREADS},
	{"H", false, GDB_CHOOSE_THREAD},
	{"D", true, GDB_DETACH},
	{"D;", false, GDB_DETACH},
	{"vKill;", false, GDB_KILL},
	{"vKill", true, GDB_KILL},
	{"k", true, GDB_KILL_UNANSWERED},
	{"R", false, GDB_RESTART},
	{"F", false, GDB_FILE_ANSWER},
	{"vCont;", false, GDB_RESUME},
	{"c", false, GDB_RESUME},
	{"C", false, GDB_RESUME},
	{"s", false, GDB_RESUME},
	{"S", false, GDB_RESUME},
	{"bc", true, GDB_REVERSE},
	{"bs", true, GDB_REVERSE},
	{"vRun", false, GDB_START},
	{"vAttach", false, GDB_START},
};

static enum gdb_request_kind kind_of(const char *payload)
{
	for (size_t i = 0; i < ARRAY_SIZE(packets); i++)
		if (packets[i].whole ? strcmp(payload, packets[i].text) == 0
				     : strncmp(payload, packets[i].text, strlen(packets[i].text)) == 0)
			return packets[i].kind;
	return GDB_QUESTION;
}

/* Zt,address,kind…: false where it is none. */
static bool parse_breakpoint(const char *payload, struct gdb_request *ret)
{
	const char *at = payload + 3;

	if ((payload[0] != 'Z' && payload[0] != 'z') || payload[1] < '0' || payload[1] > '4' || payload[2] != ',' ||
	    !packet_hex_number(&at, &ret->address))
		return false;
	if (*at++ == ',' && !packet_hex_number(&at, &ret->length))
		return false;
	ret->insert = payload[0] == 'Z';
	ret->type = payload[1];
	ret->kind = ret->type < '2' ? GDB_BREAKPOINT : GDB_WATCHPOINT;
	return true;
}

void gdb_request_parse(const char *payload, struct gdb_request *ret)
{
	const char *semicolon = strchr(payload, ';');

	*ret = (struct gdb_request){.kind = GDB_QUESTION};
	if (parse_breakpoint(payload, ret))
		return;
	ret->kind = kind_of(payload);
	if (ret->kind == GDB_CHOOSE_THREAD && payload[1]) {
		ret->purpose = payload[1];
		reply_copy_thread(payload + 2, strlen(payload + 2), ret->thread);
	}
	if ((ret->kind == GDB_DETACH || ret->kind == GDB_KILL) && semicolon)
		reply_copy_thread(semicolon + 1, strlen(semicolon + 1), ret->process);
}

bool gdb_request_resumes(enum gdb_request_kind kind)
{
	return kind == GDB_RESUME || kind == GDB_REVERSE || kind == GDB_START;
}

bool gdb_request_asks(enum gdb_request_kind kind)
{
	return kind != GDB_NOTHING && !gdb_request_resumes(kind);
}

/* `k` has no reply by the manual. Stubs that do not know it say so (bhyve), and others tell the end that it made
 * (QEMU). */
static enum gdb_outcome judge_unanswered(const char *reply, size_t length, bool ended)
{
	int number;

	if (ended || strcmp(reply, "OK") == 0)
		return GDB_KILLED;
	return length == 0 || reply_is_error(reply, length, &number) ? GDB_UNSETTLED : GDB_HOLDS;
}

enum gdb_outcome gdb_request_judge(enum gdb_request_kind kind, const char *reply, size_t length)
{
	struct stop_reply stop;
	bool ended;

	reply_parse_stop(reply, length, &stop);
	ended = stop.kind == STOP_EXITED || stop.kind == STOP_TERMINATED;
	if (kind == GDB_KILL_UNANSWERED)
		return judge_unanswered(reply, length, ended);
	if (kind == GDB_KILL && (ended || strcmp(reply, "OK") == 0))
		return GDB_KILLED;
	if (kind == GDB_DETACH && strcmp(reply, "OK") == 0)
		return GDB_DETACHED;
	return ended && gdb_request_asks(kind) ? GDB_ENDED : GDB_HOLDS;
}
