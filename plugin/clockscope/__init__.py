# SPDX-License-Identifier: MIT
"""clockscope: how a guest kernel brings up its clocks."""

__version__ = "0.2.0"
