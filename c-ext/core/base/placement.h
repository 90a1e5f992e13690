/* SPDX-License-Identifier: MIT */
/*
 * Where code lies by its ELF file (link addresses), and where it runs in the guest (run addresses): a kernel may be
 * moved as a whole while it boots (KASLR). Two types, so that the compiler keeps them apart; what turns one into the
 * other stands here.
 */
#ifndef CLOCKSCOPE_PLACEMENT_H
#define CLOCKSCOPE_PLACEMENT_H

#include <stdint.h>

struct link_address {
	uint64_t value;
};

struct run_address {
	uint64_t value;
};

struct placement {
	uint64_t offset; /* of run addresses from link addresses, modulo 2^64 */
};

static inline struct run_address placement_run(const struct placement *placement, struct link_address address)
{
	return (struct run_address){address.value + placement->offset};
}

static inline struct link_address placement_link(const struct placement *placement, struct run_address address)
{
	return (struct link_address){address.value - placement->offset};
}

#endif
