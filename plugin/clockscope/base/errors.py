# SPDX-License-Identifier: MIT
"""Errors that a user can mend, beside the core's own (`clockscope._core.Error`)."""


class UserError(Exception):
    """One line: what happened, where, and what to do. Printed without a traceback; exit status 2."""
