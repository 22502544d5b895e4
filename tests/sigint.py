"""Start a program that SIGINT reaches."""

HEEDING_SIGINT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""For ``python -c``, before the program: in the background of a script, it is inherited that SIGINT is ignored."""
