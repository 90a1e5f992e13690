# SPDX-License-Identifier: MIT
"""The processor whose guests are known: the one of arch_at(0) in c-ext/core/arch/arch.c."""

from clockscope.arch.amd64 import AMD64
from clockscope.arch.processor import Processor

PROCESSOR: Processor = AMD64
