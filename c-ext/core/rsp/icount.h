/* SPDX-License-Identifier: MIT */
/* QEMU's record and replay: the exact time of a replayed guest. */
#ifndef CLOCKSCOPE_ICOUNT_H
#define CLOCKSCOPE_ICOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "rsp/stub.h"

/* Instructions executed so far, from `monitor info replay`. CS_ERROR_REFUSED where the guest is no
 * replay; one that is being recorded counts as well, but is none. Source: QEMU 7.2, replay/replay-debugging.c,
 * hmp_info_replay(). */
struct cs_error *replay_instructions(struct stub *stub, uint64_t *ret);

/* Whether the stub's guest is the replay of something recorded, which nothing may be changed in: it offers to go
 * backwards. QEMU's does so in a replay alone (7.2, gdbstub.c, handle_query_supported()), and is asked; of other stubs
 * that offer it (rr) it is taken for granted. A guest that is being recorded is none. */
struct cs_error *replay_recognise(struct stub *stub, bool *ret);

#endif
