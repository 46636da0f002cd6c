"""Measuring side by side.

How the benchmarks measure and print. Contenders run in turns within one run, so that a noisy machine disturbs all of
them alike; what is reported are ratios.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version


def seconds_per_call(
    contenders: Mapping[str, Callable[[], object]], *, rounds: int = 25, seconds: float = 0.04
) -> dict[str, float]:
    """The best time of one call of each contender: `rounds` rounds of about `seconds` each, taken in turns."""
    counts = {name: _calls_in(function, seconds) for name, function in contenders.items()}
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, function in contenders.items():
            best[name] = min(best[name], _time(function, counts[name]))
    return best


def _calls_in(function: Callable[[], object], seconds: float) -> int:
    function()  # the first call loads modules and parses keys
    count = 1
    while True:
        taken = _time(function, count) * count
        if taken >= seconds / 4:
            return max(1, int(count * seconds / taken))
        count *= 4


def _time(function: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - start) / count


def package(name: str) -> str:
    """The name and version of a peer, for the table."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} (not installed)"


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table, the first column left-aligned."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    print(f"\n{title}\n")
    for row in cells:
        print(
            "  "
            + "  ".join(
                cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
        )
