"""Measuring side by side: the contenders of a case run in turns, round by round, so that a round's noise hits all.

Values are kept as `pyperf` benchmarks. What counts is the median of the rounds' ratios of two contenders; how sure it
is say their quartiles.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import Any

import pyperf

OURS = "mailauth"
FLOOR = "floor"
"""What no implementation can do without; the subject's words say what it is."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One that does the work of a case: `time(loops)` does it so many times and returns the seconds, as in pyperf.

    Where the unit of the case is another one, it returns the bytes, or the number, of one time instead. One that cannot
    run has a `why`. A `version` that begins with its software ("cryptography 50.0") stands for itself. `own` is this
    library in another way.
    """

    name: str
    time: Callable[[int], float] | None
    version: str = ""
    why: str = ""
    own: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """The same work for all contenders, one of which is named "mailauth".

    `unit` is "second", "byte" or "integer" (what is counted). `rounds`, `loops` and `seconds` (of one value) are chosen
    where they are None.
    """

    name: str
    contenders: Sequence[Contender]
    unit: str = "second"
    rounds: int | None = None
    loops: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: the rounds at most and at least, the seconds of one value, and those of a whole case."""

    rounds: int
    least_rounds: int
    seconds: float
    budget: float


FULL = Effort(rounds=21, least_rounds=5, seconds=0.025, budget=5.0)
QUICK = Effort(rounds=2, least_rounds=1, seconds=0.001, budget=0.1)
LONGEST_TRIAL = 20
"""What takes so many times as long as one value should is not tried again."""


def call(name: str, function: Callable[[], object], version: str = "") -> Contender:
    """A contender that is a function."""

    def timed(loops: int) -> float:
        turns = range(loops)
        start = time.perf_counter()
        for _ in turns:
            function()
        return time.perf_counter() - start

    return Contender(name, timed, version)


def cannot(name: str, why: str) -> Contender:
    """A contender that is here, but does not do this work: why, in two or three words."""
    return Contender(name, None, why=why)


def missing(name: str) -> Contender:
    """A contender that is not installed. In CI all are: there it is an error."""
    if os.environ.get("CI"):
        raise RuntimeError(f"{name} is not installed, and CI must leave no contender out")
    return cannot(name, "not installed")


def package(name: str) -> str:
    """The version of a Python package; an empty string if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def software(name: str) -> str:
    """Name and version of a Python package that a contender of another name stands for."""
    return f"{name} {package(name)}"


def ours(function: Callable[[], object]) -> Contender:
    """This library's function."""
    return call(OURS, function, package("mailauth"))


def variant(name: str, function: Callable[[], object]) -> Contender:
    """This library in another way, beside its usual one."""
    return replace(call(name, function), own=True)


def calls(function: Callable[[], object]) -> int:
    """How many functions it calls, of Python and of C: the same number each time, however busy the machine is."""
    count = 0

    def on_event(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    function()  # what is loaded and parsed once does not count
    before = sys.getprofile()
    sys.setprofile(on_event)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count - 1  # that of setprofile itself


def forgetful(function: Callable[[], object], *packages: str) -> Callable[[], object]:
    """The function with nothing kept from the call before: the caches of those packages of ours are emptied each time.

    Emptying them is part of the time.
    """
    function()  # loads what is loaded late
    kept = [
        value
        for name, module in list(sys.modules.items())
        if f"{name}.".startswith(tuple(f"{package}." for package in packages))
        for value in vars(module).values()
        if hasattr(value, "cache_clear")
    ]
    forget = [each.cache_clear for each in dict.fromkeys(kept)]
    assert forget, packages

    def cold() -> object:
        for each in forget:
            each()
        return function()

    return cold


def counted_calls(function: Callable[[], object]) -> Contender:
    """Our calls: for a case whose unit is "integer"."""
    return Contender(OURS, lambda _: float(calls(function)))


def measure(case: Case, effort: Effort) -> Iterator[pyperf.Benchmark]:
    """One benchmark for each contender; the n-th values of all were measured in the same round."""
    assert any(contender.name == OURS for contender in case.contenders), case.name
    gc.collect()
    runners = [contender for contender in case.contenders if contender.time is not None]
    seconds = effort.seconds if effort is QUICK else case.seconds or effort.seconds
    loops = {one.name: case.loops or _loops(one, seconds) for one in runners}
    values: dict[str, list[float]] = {one.name: [] for one in runners}
    start, rounds = time.perf_counter(), min(case.rounds or effort.rounds, effort.rounds)
    for number in range(rounds):
        # There and back: nobody runs always behind the same neighbour.
        for one in runners if number % 2 else reversed(runners):
            values[one.name].append(_value(one, loops[one.name], case.unit))
        if number + 1 >= effort.least_rounds and time.perf_counter() - start > effort.budget:
            break
    for one in case.contenders:
        labels = {"name": f"{case.name} | {one.name}", "case": case.name, "contender": one.name, "unit": case.unit}
        if one.time is None:
            # A benchmark must have values or warm-ups.
            yield _benchmark([], labels | {"why": one.why})
        else:
            extra: dict[str, Any] = {"version": one.version} if one.version else {}
            extra |= {"own": 1} if one.own else {}
            yield _benchmark(values[one.name], labels | extra | {"loops": loops[one.name]})


def _benchmark(values: Sequence[float], labels: dict[str, Any]) -> pyperf.Benchmark:
    warmups = None if values else [(1, 0.0)]
    return pyperf.Benchmark([pyperf.Run(values, warmups=warmups, metadata=labels, collect_metadata=False)])


def _loops(contender: Contender, seconds: float) -> int:
    """So many loops take about so many seconds.

    The first time loads modules and parses keys, and any time may be disturbed: what counts is the shorter of two.
    """
    loops = 1
    if _time(contender, 1) > LONGEST_TRIAL * seconds:
        return 1
    while (taken := min(_time(contender, loops), _time(contender, loops))) < seconds / 4:
        loops *= 4
    return max(1, round(loops * seconds / taken))


def _time(contender: Contender, loops: int) -> float:
    assert contender.time is not None
    return contender.time(loops)


def _value(contender: Contender, loops: int, unit: str) -> float:
    total = _time(contender, loops)
    # Five digits are more than any of them is sure of, and keep the files small.
    return float(f"{total / loops if unit == 'second' else total:.5g}")


def machine() -> dict[str, Any]:
    """What pyperf knows of the machine, without its name."""
    keys = (
        "cpu_model_name",
        "cpu_count",
        "platform",
        "python_implementation",
        "python_version",
        "date",
        "load_avg_1min",
    )
    known = pyperf.Benchmark([pyperf.Run([1.0], metadata={"name": "machine"})]).get_metadata()
    return {key: known[key] for key in keys if key in known}
