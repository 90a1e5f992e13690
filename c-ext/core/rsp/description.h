/* SPDX-License-Identifier: MIT */
/*
 * Target descriptions: which registers a stub has, and where each lies in the reply to `g`.
 *
 * Source: "Debugging with GDB", appendix G (Target Descriptions). XML is read with expat.
 */
#ifndef CLOCKSCOPE_DESCRIPTION_H
#define CLOCKSCOPE_DESCRIPTION_H

#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/error.h"

#define TARGET_NAME_MAX 32

struct target_register {
	char name[TARGET_NAME_MAX];
	uint32_t number;
	uint32_t bits;
	size_t offset; /* in the reply to `g`, in bytes */
};

struct target {
	char architecture[TARGET_NAME_MAX]; /* "i386:x86-64"; empty where not said */
	struct target_register *registers;  /* by number */
	size_t count;
	size_t g_size; /* bytes in a full reply to `g` */
};

/* Reads one annex's text, malloc'd, NUL-terminated, into *ret. `context` is the caller's. */
typedef struct cs_error *target_fetch(void *context, const char *annex, char **ret, size_t *ret_length);

/* Reads target.xml and what it includes through `fetch`. *ret is released by target_destroy().
 * CS_ERROR_PROTOCOL for what is no target description, or one that includes itself. */
struct cs_error *target_create(target_fetch *fetch, void *context, struct target **ret);

/* The layout that GDB assumes for an architecture where a stub has no description. */
struct cs_error *target_create_assumed(const struct arch *arch, struct target **ret);

void target_destroy(struct target *target);

/* The register of that name, or NULL. It belongs to the target. */
const struct target_register *target_find(const struct target *target, const char *name);

/* The little-endian value, up to 8 bytes, of a register in a `g` reply of g_length bytes; 0 where the
 * reply is too short for it. */
uint64_t target_value(const struct target_register *reg, const uint8_t *g, size_t g_length);

#endif
