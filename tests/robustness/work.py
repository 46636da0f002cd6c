"""How much work a call is: lines of mailauth that ran (exact), and processor time (for what one C function does)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

Work = Callable[[], object]

FLOOR = 100e-6
"""Seconds; what takes less is not measured well, and does no harm."""


def lines(work: Work) -> int:
    """The lines of mailauth that `work` runs: the same number every time."""
    count = 0

    def of_line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return of_line

    def of_call(frame: FrameType, event: str, argument: Any) -> Any:
        return of_line if "/mailauth/" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(of_call)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def seconds(work: Work) -> float:
    """The least processor time of a few runs: other programs on the machine do not count."""
    best = float("inf")
    for _ in range(3):
        start = time.thread_time()
        work()
        best = min(best, time.thread_time() - start)
    return max(best, FLOOR)
