/* SPDX-License-Identifier: MIT */
/*
 * The probe plan: where to stop so that the sequence of stops tells the path, at the least expected cost.
 *
 * Each block has at most one candidate: its conditional jump (one stop tells both ways), else an
 * instruction in it (one stop tells that the block ran). A set of probes determines the path exactly when
 * between two consecutive stops no two different walks are possible that meet no probe: then there is
 * neither a cycle nor a "diamond" without a witness (Ball and Larus, "Optimally Profiling and Tracing Programs",
 * TOPLAS 16(4), 1994, section 4). Where windows, patched text or a budget forbid probes, what remains
 * ambiguous is exactly what no allowed probe could tell; see `determined`.
 */
#ifndef CLOCKSCOPE_PROBE_PLAN_H
#define CLOCKSCOPE_PROBE_PLAN_H

#include "flow/plan.h"

struct cs_error *plan_create(const struct cfg *cfg, const struct windows *windows, const struct plan_options *options,
			     struct plan **ret);
void plan_destroy(struct plan *plan);

/* The probe at an address, or NULL. */
const struct plan_probe *plan_probe_at(const struct plan *plan, uint64_t address);

#endif
