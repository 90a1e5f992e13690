/* SPDX-License-Identifier: MIT */
/* The libraries that the core runs with, held against those that it was compiled for. */
#ifndef CLOCKSCOPE_LIBRARIES_H
#define CLOCKSCOPE_LIBRARIES_H

#include "base/error.h"

/* CS_ERROR_STATE where one is of another major version, or older: names of its constants may mean something else then,
 * and what is worked out with them is wrong without a word. */
struct cs_error *libraries_check(void);

/* A version is major * 1000 + minor. For tests: the same for one library. */
struct cs_error *libraries_compare(const char *name, unsigned compiled, unsigned running);

#endif
