/* SPDX-License-Identifier: MIT */
/* Sorted addresses, and whatever else begins with the address by which it is sorted. */
#ifndef CLOCKSCOPE_ADDRESSES_H
#define CLOCKSCOPE_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For qsort() and bsearch(): of two addresses, or two structs that begin with one. */
int address_compare(const void *left, const void *right);

/* Sorts, and drops those that are there twice; how many are left. The array may be NULL where there are none. */
size_t addresses_sort(uint64_t *addresses, size_t count);

bool addresses_hold(const uint64_t *addresses, size_t count, uint64_t address);

#endif
