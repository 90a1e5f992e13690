/* SPDX-License-Identifier: MIT */
/*
 * Where code lies by its ELF file (link addresses), and where it runs in the guest (run addresses): a kernel may be
 * moved as a whole while it boots (KASLR). Two types, so that the compiler keeps them apart; what turns one into the
 * other stands here. The trace has link addresses, and the offset once.
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

/* What is outside of the image (modules, another program) lies where it lies. All zero: nothing was moved. */
struct placement {
	uint64_t offset;    /* of run addresses from link addresses, modulo 2^64 */
	uint64_t low, last; /* the image's first link address, and its last */
};

static inline struct run_address placement_run(const struct placement *placement, struct link_address address)
{
	if (address.value - placement->low > placement->last - placement->low)
		return (struct run_address){address.value};
	return (struct run_address){address.value + placement->offset};
}

static inline struct link_address placement_link(const struct placement *placement, struct run_address address)
{
	uint64_t found = address.value - placement->offset;

	if (found - placement->low > placement->last - placement->low)
		return (struct link_address){address.value};
	return (struct link_address){found};
}

#endif
