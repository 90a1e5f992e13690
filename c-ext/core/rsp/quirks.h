/* SPDX-License-Identifier: MIT */
/*
 * What real stubs do beside the manual: each once, with who does it, since when, and how it is recognised. The
 * handshake notes those that a stub tells of itself; the tests' scripted stubs play all of them (test_quirks.py);
 * STUBS.md is written from here (make -f setup.mk stubs).
 */
#ifndef CLOCKSCOPE_QUIRKS_H
#define CLOCKSCOPE_QUIRKS_H

#include <stdbool.h>
#include <stddef.h>

struct stub;

enum quirk_sign {
	QUIRK_ALWAYS, /* not at all: what is done about it harms no other stub */
	QUIRK_OFFERS, /* by what is in its qSupported */
	QUIRK_LACKS,  /* by what is not */
	QUIRK_SEEN,   /* by what it answers when it is asked, or does */
};

/* Those that are asked for by name. */
enum quirk_id {
	QUIRK_UNNAMED,
	QUIRK_GOES_BACKWARDS,
	QUIRK_NO_REASONS,
	QUIRK_NO_VCONT,
	QUIRK_COUNT,
};

struct quirk {
	enum quirk_id id;
	const char *name;
	const char *stub;  /* whose it is, with the version that it was seen in, or since when */
	const char *what;  /* it does, and what follows */
	const char *where; /* it is lived with: a file of the core */
	enum quirk_sign sign;
	const char *features[2]; /* of OFFERS and LACKS: each of them alone is a sign */
};

extern const struct quirk quirks[];
extern const size_t quirk_count;

/* "always", "offers", "lacks", "seen" */
const char *quirk_sign_name(enum quirk_sign sign);

/* Notes those whose sign is a feature, once the stub's features are known. */
void quirks_recognise(struct stub *stub);

/* Notes one that was seen. */
void quirks_note(struct stub *stub, enum quirk_id id);

bool quirks_have(const struct stub *stub, enum quirk_id id);

#endif
