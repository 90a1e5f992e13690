/* SPDX-License-Identifier: MIT */
/* QEMU's record and replay: the exact time of a replayed guest. */
#ifndef CLOCKSCOPE_REPLAY_H
#define CLOCKSCOPE_REPLAY_H

#include <stdint.h>

#include "stub.h"

/* Instructions executed so far, from `monitor info replay`. CS_ERROR_REFUSED where the guest is no
 * replay. Source: QEMU 7.2, replay/replay-debugging.c, hmp_info_replay(). */
struct cs_error *replay_instructions(struct stub *stub, uint64_t *ret);

#endif
