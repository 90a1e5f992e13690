/* SPDX-License-Identifier: MIT */
/* Finding out what a stub can do, before anything else is asked of it. */
#ifndef CLOCKSCOPE_HANDSHAKE_H
#define CLOCKSCOPE_HANDSHAKE_H

#include "rsp/stub.h"

/* Fills in the stub's features, vCont actions, registers and first stop, and leaves acknowledgements
 * if the stub lets one. Sends nothing that the stub did not advertise, but for the queries that
 * every stub must answer, if only with an empty packet. CS_ERROR_TIMEOUT where nothing answers, CS_ERROR_PROTOCOL for
 * what is no stub. */
struct cs_error *handshake(struct stub *stub);

#endif
