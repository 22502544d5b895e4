"""No picture of this process's memory on a disk: it holds keys, and images and names of patients."""

import ctypes
import os
import resource
import sys

_PR_SET_DUMPABLE = 4
"""Of ``linux/prctl.h``."""


def forbid_core_dumps() -> None:
    """Let the system write no core dump of this process, nor another of the same account look into it.

    A limit of 0 holds for files; what pipes core dumps to a program, as systemd-coredump does, does not ask for it
    (core(5)), so on Linux the process is made undumpable as well (PR_SET_DUMPABLE of prctl(2)). Its children inherit
    the limit; a program that it starts is dumpable again.

    Raises
    ------
    OSError
        If the system refuses, which no system is known to do.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
