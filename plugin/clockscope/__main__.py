# SPDX-License-Identifier: MIT
"""`python3 -m clockscope`, which the program clockscope runs as a file: that starts sooner."""

import sys

from clockscope import __version__

if sys.argv[1:] == ["--version"]:
    from clockscope.base import places

    print(places.version(__version__))
    sys.exit(0)

from clockscope.front.cli import main

sys.exit(main())
