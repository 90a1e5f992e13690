# SPDX-License-Identifier: MIT
"""What recording costs: `make -f setup.mk bench`. It prints medians of paired runs, and asserts nothing."""
