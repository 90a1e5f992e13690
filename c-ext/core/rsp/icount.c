/* SPDX-License-Identifier: MIT */
#include "rsp/icount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "rsp/quirks.h"

/* Of `info replay`, in a guest that is being recorded. */
static const char recording[] = "Recording execution";

struct cs_error *replay_instructions(struct stub *stub, uint64_t *ret)
{
	static const char label[] = "instruction count = ";
	FREE char *text = NULL;
	const char *at;
	char *end;

	CS_TRY(stub_monitor(stub, "info replay", &text));
	at = strstr(text, label);
	if (!at || strstr(text, recording))
		return cs_error_create(CS_ERROR_REFUSED, "%s: your guest is not a QEMU replay (it says \"%.60s\")",
				       stub->address, text);
	at += sizeof(label) - 1;
	errno = 0;
	*ret = strtoull(at, &end, 10);
	if (end == at || errno)
		return cs_error_create(CS_ERROR_PROTOCOL, "%s: QEMU's instruction count is no number (\"%.40s\")",
				       stub->address, at);
	return NULL;
}

struct cs_error *replay_recognise(struct stub *stub, bool *ret)
{
	FREE char *text = NULL;
	struct cs_error *error;

	*ret = quirks_have(stub, QUIRK_GOES_BACKWARDS);
	if (!*ret)
		return NULL;
	error = stub_monitor(stub, "info replay", &text);
	if (error && error->code != CS_ERROR_REFUSED)
		return error;
	cs_error_destroy(error);
	*ret = !text || (!strstr(text, recording) && !strstr(text, "not active"));
	return NULL;
}
