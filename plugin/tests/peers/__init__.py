# SPDX-License-Identifier: MIT
"""GDB's own testsuite, directly and through the relay: `make -f setup.mk peers`."""
