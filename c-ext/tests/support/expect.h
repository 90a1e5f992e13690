/* SPDX-License-Identifier: MIT */
/* What a function that can fail is expected to return. Include after cmocka.h. */
#ifndef CLOCKSCOPE_TESTS_EXPECT_H
#define CLOCKSCOPE_TESTS_EXPECT_H

#include <string.h>

#include "base/error.h"

static inline void succeeds(struct cs_error *error)
{
	if (error)
		fail_msg("%s", error->message);
}

/* With that code, in words that contain SAYS. */
static inline void fails(struct cs_error *error, enum cs_error_code code, const char *says)
{
	assert_non_null(error);
	if (error->code != code || !strstr(error->message, says))
		fail_msg("code %d: \"%s\" does not say \"%s\"", error->code, error->message, says);
	cs_error_destroy(error);
}

#endif
