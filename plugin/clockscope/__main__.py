# SPDX-License-Identifier: MIT
"""`python3 -m clockscope`, which build/clockscope runs."""

import sys

from clockscope.front.cli import main

sys.exit(main())
