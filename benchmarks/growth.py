"""Renders docs/scaling.md: how the cost of each kind of work grows, as small plots and one table (bench_scaling.py)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import SCALING, report
from benchmarks.measure import OURS
from benchmarks.report import COLOURS, INK, MARKS, Row, about, amount, load, words_of

HEAD = """# How the cost grows

<!-- Rendered by `make bench-report` from benchmarks/results. -->

Both axes of each plot go up by factors: what grows in step with the work becomes a straight line as steep as the dotted
one, what does not grow is level, and no line should climb faster than the dotted one. A line that starts level and then
climbs has a fixed cost. In the table and above each plot, n^1 is in step and n^0 does not grow: the slope over the
three largest sizes. What a site of a given size needs is on the page [Scale](scale.md).
"""
LARGEST = 3
"""The slope is that of so many of the largest sizes."""


@dataclass
class Series:
    """The sizes of one kind of work, and what each contender took for them: pairs of a size and its shortest time."""

    title: str
    unit: str
    times: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    calls: list[tuple[int, float]] = field(default_factory=list)

    @property
    def own(self) -> list[tuple[int, float]]:
        return self.times[OURS]


def series_of(rows: Sequence[Row]) -> list[Series]:
    """The rows of a run, whose names are "TITLE (UNIT): SIZE", with "calls, " before what was counted."""
    found: dict[str, Series] = {}
    for row in rows:
        name, _, size = row.name.removeprefix("calls, ").rpartition(": ")
        title, _, unit = name.removesuffix(")").rpartition(" (")
        series = found.setdefault(name, Series(title, unit))
        if row.name.startswith("calls, "):
            series.calls.append((int(size), min(row.own.values)))
            continue
        for contender, one in row.contenders.items():
            if one.values:
                series.times.setdefault(contender, []).append((int(size), min(one.values)))
    return list(found.values())


def exponent(points: Sequence[tuple[int, float]]) -> float:
    """The x of the n^x that fits the largest sizes best: the slope of the logarithms, by least squares."""
    sizes, values = zip(*points[-LARGEST:], strict=True)
    return statistics.linear_regression(list(map(math.log, sizes)), list(map(math.log, values))).slope


def power(points: Sequence[tuple[int, float]]) -> str:
    """As "n^0.98"; empty where there is one size only."""
    return f"n^{max(0.0, exponent(points)):.2f}" if len(points) > 1 else ""


def size_of(number: float) -> str:
    """`1,024`, `128 k`, `2.05 M`."""
    if number < 10_000:
        return f"{number:,.0f}"
    return f"{number / 1e3:.3g} k" if number < 1e6 else f"{number / 1e6:.3g} M"


def table(every: Sequence[Series]) -> str:
    """Ours at the smallest and the largest size, and how it and the others grow."""
    head = ["", "from", "to", "time from", "to", "it grows as", "calls from", "to", "they grow as", "the others' time"]
    lines = [head, ["---", *["---:"] * (len(head) - 2), "---"]]
    for series in every:
        (first, time), (last, longest) = series.own[0], series.own[-1]
        calls = ["", "", ""]
        if series.calls:
            calls = [f"{series.calls[0][1]:,.0f}", f"{series.calls[-1][1]:,.0f}", power(series.calls)]
        others = ", ".join(
            f"{name} {power(points)}" for name, points in series.times.items() if name != OURS and len(points) > 1
        )
        times = [amount(time, "second"), amount(longest, "second"), power(series.own)]
        lines.append([f"{series.title}: {series.unit}", size_of(first), size_of(last), *times, *calls, others])
    return "".join("| " + " | ".join(each) + " |\n" for each in lines)


def page(results: Path) -> str:
    """docs/scaling.md."""
    rows, data = load(results, SCALING)
    _, text = words_of(SCALING)
    picture = f"![Time by the size of the work](img/bench-{SCALING}.svg){{ loading=lazy }}"
    return "\n".join([HEAD, f"{text}\n", f"{picture}\n", table(series_of(rows)), about([(rows, data)])])


def plot(rows: Sequence[Row]) -> str:
    """One small plot for each series; SVG."""
    every = series_of(rows)
    names = list(dict.fromkeys(name for series in every for name in series.times if name != OURS))
    # More names than colours: the second time round the marks are hollow.
    looks = {name: (COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)], i < len(COLOURS)) for i, name in enumerate(names)}

    def draw(pyplot: Any) -> Any:
        lines = math.ceil(len(every) / 3)
        figure, grid = pyplot.subplots(lines, 3, figsize=(8.6, 0.6 + 2.3 * lines), layout="constrained", squeeze=False)
        for axes in grid.flat[len(every) :]:
            axes.set_visible(False)
        for axes, series in zip(grid.flat, every, strict=False):
            _panel(axes, series, looks)
        shown = {
            label: line for axes in grid.flat for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(shown.values(), shown.keys(), loc="outside upper right", ncols=5, frameon=False)
        return figure

    return report.svg(draw)


def _panel(axes: Any, series: Series, looks: dict[str, tuple[str, str, bool]]) -> None:
    """One series: a line for each contender, and through our last point the line that is in step with the work."""
    for name, points in series.times.items():
        colour, mark, full = looks.get(name, (INK, "o", True))
        width, fill = 1.6 if name == OURS else 1.0, colour if full else "none"
        axes.plot(
            *zip(*points, strict=True),
            mark,
            linestyle="-",
            color=colour,
            linewidth=width,
            markersize=4,
            markerfacecolor=fill,
            label=name,
        )
    sizes = [size for size, _ in series.own]
    last, time = series.own[-1]
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.plot(sizes, [time * size / last for size in sizes], ":", color=INK, linewidth=1.0, alpha=0.7)
    # A level line stays level: no axis shows less than two powers of ten.
    middle = math.sqrt(low * high)
    axes.set_ylim(min(low, middle / 10), max(high, middle * 10))
    axes.set_xticks(sizes[:: max(1, len(sizes) // 3)], minor=False)
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(lambda value, _: size_of(value))
    axes.yaxis.set_major_formatter(lambda value, _: amount(value, "second"))
    axes.tick_params(labelsize=7)
    axes.grid(color=INK, alpha=0.15, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    grown = f"time {power(series.own)}" + (f", calls {power(series.calls)}" if series.calls else "")
    axes.set_title(f"{series.title}\n{grown}", fontsize=8)
    axes.set_xlabel(series.unit, fontsize=8)
