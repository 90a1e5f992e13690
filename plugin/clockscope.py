# SPDX-License-Identifier: MIT
"""Clockscope for GDB: `source plugin/clockscope.py`, then `clock`. Sourcing it again changes nothing."""


def _load():
    """All is in here: run by exec() in a function, this file's names are nowhere that other functions would find them."""
    import os
    import sys

    import gdb

    needed = (3, 11)  # the limited API that the extension is built for

    def named():
        """What may be this file's path. Run by a script of another, `__file__` is that other's; run by exec(), there is
        none: then whoever did it has the path at hand."""
        yield named.__code__.co_filename
        frame = sys._getframe()
        while frame is not None:
            yield from frame.f_code.co_consts
            yield from list(frame.f_locals.values())
            yield from list(frame.f_globals.values())
            frame = frame.f_back
        for folder in (*sys.path, os.getcwd(), os.path.join(os.getcwd(), "plugin")):
            yield os.path.join(folder, "clockscope.py")

    def folder():
        for name in named():
            if isinstance(name, (str, os.PathLike)) and os.fspath(name)[-13:] == "clockscope.py":
                found = os.path.dirname(os.path.realpath(os.path.expanduser(name)))
                if os.path.isdir(os.path.join(found, "clockscope", "front")):
                    return found
        raise gdb.GdbError("where it lies is not known here; run: source PATH/plugin/clockscope.py")

    def load():
        if sys.version_info < needed:
            found = ".".join(str(part) for part in sys.version_info[:2])
            raise gdb.GdbError("this GDB has Python %s; 3.11 or newer is needed" % found)
        path = folder()
        if path not in sys.path:
            sys.path.insert(0, path)
        try:
            from clockscope.front import frontend

            frontend.register()
        except ImportError as error:
            from clockscope.base.extension import explain

            raise gdb.GdbError(explain(error))

    try:
        load()
    except gdb.GdbError as problem:
        # Raised from a sourced file, it would come with a traceback.
        gdb.write("clockscope: %s\n" % problem, gdb.STDERR)


_load()
