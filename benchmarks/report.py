"""Renders docs/benchmarks.md from the results: for each subject its words, one plot and one table of ratios."""

from __future__ import annotations

import ast
import io
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyperf

from benchmarks import SCALING, SUBJECTS
from benchmarks.measure import FLOOR, OURS

HEAD = """# Benchmarks

<!-- Rendered by `make bench-report` from benchmarks/results. -->

`make bench` measures every hot path beside its peers, in turns, round by round. "mailauth" is the median of one time;
the others are multiples of it, the median of the rounds' ratios: **more than 1 took longer than mailauth, less took
less**. Behind ± is half the distance of the quartiles of those ratios, in per cent of their median; the bars of the
plots go from one quartile to the other. Bold is who beat us in three rounds of four.

Each peer is used through its public interface, for the work that its chapter tells, and its result is checked first.
Where one has no setting for the DNS that it asks, its resolver is replaced. Each case is the same work again and again,
so mailauth has what it keeps between calls; where it keeps something that counts, it stands beside itself without. The
peers in Python run in the same process; the others run in their own, which take their own times, their start left out.

[How the cost grows](scaling.md) with the work is on a page of its own.
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one contender in one case; no values where it could not run, and `why`."""

    values: tuple[float, ...]
    version: str = ""
    why: str = ""
    own: bool = False

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times ours a contender took: the median of the rounds, and their quartiles.

    Not the ratio of the medians: the machine may get slower from round to round, but both contenders were in each.
    """

    value: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles, as a share of the ratio."""
        return (self.high - self.low) / 2 / self.value

    @classmethod
    def of(cls, one: Measured, own: Measured) -> Ratio:
        rounds = [a / b for a, b in zip(one.values, own.values, strict=True)]
        if len(rounds) < 2:
            return cls(rounds[0], rounds[0], rounds[0])
        low, middle, high = statistics.quantiles(rounds, n=4, method="inclusive")
        return cls(middle, low, high)


@dataclass(frozen=True, slots=True)
class Row:
    """One case: its contenders by name, in the order in which they were given."""

    name: str
    unit: str
    contenders: dict[str, Measured]

    @property
    def own(self) -> Measured:
        return self.contenders[OURS]


def rows_of(benchmarks: Iterable[pyperf.Benchmark]) -> list[Row]:
    """The cases of a suite."""
    rows: dict[str, Row] = {}
    for benchmark in benchmarks:
        about = benchmark.get_metadata()
        row = rows.setdefault(about["case"], Row(about["case"], about["unit"], {}))
        why = about.get("why", "")
        values = () if why else benchmark.get_values()
        own = bool(about.get("own"))
        row.contenders[about["contender"]] = Measured(tuple(values), str(about.get("version", "")), why, own)
    return list(rows.values())


def load(results: Path, name: str) -> tuple[list[Row], dict[str, Any]]:
    """The rows of a subject, and what its file says of the machine."""
    suite = pyperf.BenchmarkSuite.load(str(results / f"{name}.json"))
    return rows_of(suite), suite.get_metadata()


# --- numbers --------------------------------------------------------------------------------------------------------


def amount(value: float, unit: str) -> str:
    """`0.0000123` s as `12.3 us`, bytes as KB or MB, what is counted as it is."""
    scales = {
        "byte": [(1e6, "MB"), (1e3, "KB"), (1, "B")],
        "second": [(1, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")],
    }
    if unit == "integer":
        return f"{value:,.0f}"
    size, name = next((scale for scale in scales[unit] if value >= scale[0]), scales[unit][-1])
    return f"{digits(value / size)} {name}"


def digits(value: float) -> str:
    """Three digits, two of what is small."""
    if value >= 100:
        return f"{value:,.0f}"
    if value < 0.1:
        return f"{value:#.2g}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def line(benchmarks: Iterable[pyperf.Benchmark]) -> str:
    """One case in one line, as it is printed while the others are measured."""
    (row,) = rows_of(benchmarks)
    words = [f"{row.name}: {amount(row.own.median, row.unit)}"]
    for name, one in row.contenders.items():
        if name != OURS:
            words.append(f"{name} {one.why or digits(Ratio.of(one, row.own).value) + 'x'}")
    return ", ".join(words)


# --- the page -------------------------------------------------------------------------------------------------------


def beats(one: Measured, own: Measured, name: str) -> bool:
    """Whether it is a peer that was faster, or smaller, in three rounds of four."""
    if one.own or one.why or name == FLOOR:
        return False
    ratio = Ratio.of(one, own)
    return ratio.high < 1


def cell(one: Measured | None, own: Measured, name: str) -> str:
    """A contender's ratio in Markdown; bold if it beats us."""
    if one is None:
        return ""
    if one.why:
        return one.why
    ratio = Ratio.of(one, own)
    text = f"{digits(ratio.value)}\N{NO-BREAK SPACE}±{ratio.spread:.0%}"
    return f"**{text}**" if beats(one, own, name) else text


def columns(rows: Sequence[Row]) -> list[str]:
    """All contenders but ours, in the order in which they appear; the floor first."""
    names = dict.fromkeys(name for row in rows for name in row.contenders if name != OURS)
    return sorted(names, key=lambda name: name != FLOOR)


def shared(rows: Sequence[Row]) -> list[list[str]]:
    """The columns of the table: contenders that never meet in a row share one, so that few cells are empty."""
    groups: list[list[str]] = []
    for name in columns(rows):
        rivals = {other for row in rows if name in row.contenders for other in row.contenders}
        group = next((each for each in groups if FLOOR not in each and not rivals & set(each)), None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    return groups


def table(rows: Sequence[Row]) -> str:
    """The table of a subject."""
    groups = shared(rows)
    names = [group[0] if len(group) == 1 else "peer" for group in groups]
    lines = [["", OURS, *names], ["---", *["---:"] * (len(names) + 1)]]
    for row in rows:
        cells = []
        for group in groups:
            name = next((name for name in group if name in row.contenders), group[0])
            text = cell(row.contenders.get(name), row.own, name)
            cells.append(f"{name} {text}" if text and len(group) > 1 else text)
        lines.append([row.name, amount(row.own.median, row.unit), *cells])
    return "".join("| " + " | ".join(each) + " |\n" for each in lines)


def words_of(name: str) -> tuple[str, str]:
    """Title and text of a subject, read from its module without loading the peers."""
    module = ast.parse((Path(__file__).parent / f"bench_{name}.py").read_text(encoding="utf-8"))
    titles = [
        ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "TITLE" for t in node.targets)
    ]
    return titles[0], dedent(ast.get_docstring(module) or "")


def about(found: Sequence[tuple[list[Row], dict[str, Any]]]) -> str:
    """The machine, the dates and everybody's version."""

    def each(key: str) -> str:
        return ", ".join(sorted({str(data[key]) for _, data in found if key in data}))

    dates = sorted(str(data["date"])[:10] for _, data in found)
    versions = {
        f"{name} {one.version}" if one.version[0].isdigit() else one.version
        for rows, _ in found
        for row in rows
        for name, one in row.contenders.items()
        if one.version
    }
    peers = ", ".join(sorted(versions, key=str.lower))
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    machine = f"{each('cpu_model_name')}, {each('cpu_count')} cores, {each('platform')}"
    lines = {"date": when, "machine": machine, "Python": each("python_version"), "versions": peers}
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {text} |\n" for name, text in lines.items())


def winners(found: Mapping[str, tuple[list[Row], dict[str, Any]]]) -> str:
    """Who is bold, and in how many cases of each subject."""
    where: dict[str, list[str]] = {}
    for subject, (rows, _) in found.items():
        for name in columns(rows):
            met = [(row.contenders[name], row.own) for row in rows if name in row.contenders]
            if won := sum(beats(one, own, name) for one, own in met):
                where.setdefault(name, []).append(f"{words_of(subject)[0]}, {won} of {len(met)}")
    if not where:
        return ""
    lines = "".join(f"| {name} | {'; '.join(cases)} |\n" for name, cases in where.items())
    return f"| who beat us | where, in how many cases |\n|---|---|\n{lines}"


def page(results: Path) -> str:
    """docs/benchmarks.md."""
    found = {name: load(results, name) for name in SUBJECTS}
    parts = [HEAD, about(list(found.values())), winners(found)]
    for name, (rows, _) in found.items():
        title, text = words_of(name)
        picture = f"![{title}: multiples of mailauth's](img/bench-{name}.svg){{ loading=lazy }}"
        parts.append(f"## {title}\n\n{text}\n\n{picture}\n\n{table(rows)}")
    return "\n".join(parts)


def write(results: Path, docs: Path) -> None:
    """Render the pages and their plots."""
    from benchmarks import growth

    (docs / "scaling.md").write_text(growth.page(results), encoding="utf-8")
    (docs / "img" / f"bench-{SCALING}.svg").write_text(growth.plot(load(results, SCALING)[0]), encoding="utf-8")
    (docs / "benchmarks.md").write_text(page(results), encoding="utf-8")
    for name in SUBJECTS:
        rows, _ = load(results, name)
        (docs / "img" / f"bench-{name}.svg").write_text(plot(rows), encoding="utf-8")


# --- the plots ------------------------------------------------------------------------------------------------------

INK = "#123456"
"""What is drawn in it is drawn in the colour of the reader's text."""
COLOURS = ("#e08020", "#3a8fd0", "#c04fa0", "#3aa060", "#c05050", "#8f7fd8", "#a08a20", "#20a0a8")
MARKS = "osD^vPX*"
STYLE = (
    "<style>svg{color:#333;font-family:Helvetica,Arial,sans-serif}"
    "@media(prefers-color-scheme:dark){svg{color:#ccc}}</style>"
)


def svg(draw: Callable[[Any], Any]) -> str:
    """What `draw` draws with pyplot, as SVG that is readable in light and dark; it returns its figure."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    settings = {
        "svg.fonttype": "none", "svg.hashsalt": "mailauth", "font.size": 9, "text.color": INK, "axes.edgecolor": INK,
        "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "font.family": "sans-serif",
    }  # fmt: skip
    with mpl.rc_context(settings):
        figure = draw(pyplot)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    text = drawn.getvalue().replace(INK, "currentColor")
    text = text[text.index("<svg") :]  # without the document type, which names another site
    start = text.index(">") + 1
    return "\n".join(each.rstrip() for each in (text[:start] + STYLE + text[start:]).splitlines()) + "\n"


def plot(rows: Sequence[Row]) -> str:
    """One line for each case, one mark for each contender at its multiple of ours, a bar over the quartiles; SVG."""

    def draw(pyplot: Any) -> Any:
        from matplotlib.ticker import LogLocator, NullLocator

        figure, axes = pyplot.subplots(figsize=(8.6, 1.1 + 0.26 * len(rows)), layout="constrained")
        axes.axvline(1, color=INK, linewidth=1.4, label=OURS, zorder=1)
        for number, name in enumerate(columns(rows)):
            _marks(axes, rows, name, COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)])
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0.7), max(high, 1.5))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(color=INK, alpha=0.15, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        kind = "memory" if {row.unit for row in rows} == {"byte"} else "time"
        axes.set_xlabel(f"{kind}, multiples of mailauth's (right of the line: more than mailauth)")
        figure.legend(loc="outside upper right", ncols=6, frameon=False)
        return figure

    return svg(draw)


def _marks(axes: Any, rows: Sequence[Row], name: str, colour: str, mark: str) -> None:
    """All marks of one contender."""
    found = [
        (number, Ratio.of(row.contenders[name], row.own))
        for number, row in enumerate(rows)
        if name in row.contenders and row.contenders[name].values
    ]
    if not found:
        return
    lines, ratios = zip(*found, strict=True)
    hollow = "none" if name == FLOOR else colour
    axes.plot(
        [ratio.value for ratio in ratios], lines, mark, color=colour, markerfacecolor=hollow, markersize=5.5,
        linestyle="none", label=name, zorder=3,
    )  # fmt: skip
    axes.hlines(lines, [r.low for r in ratios], [r.high for r in ratios], colors=colour, linewidth=2, alpha=0.7)
