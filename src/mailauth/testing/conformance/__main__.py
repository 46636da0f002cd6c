"""``python -m mailauth.testing.conformance``."""

from __future__ import annotations

import os
import sys

from mailauth.testing.conformance.command import main

try:
    status = main()
    sys.stdout.flush()
except BrokenPipeError:
    # The reader has gone (``| head``). Python would try once more at its end, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    status = 141  # what a shell says of a program that SIGPIPE ended
sys.exit(status)
