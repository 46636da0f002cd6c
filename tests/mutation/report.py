"""The figures of a run, and the mutants that nobody noticed."""

from __future__ import annotations

import json
import math
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant, squeezed

EXPLAINED = Path(__file__).with_name("explained.toml")
_CONFIDENCE = 1.96  # 95 %


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why no test can tell a mutant from the source: a line of a function, and what stands there instead."""

    where: str  # "spf/macros.py expand_text"; for the module's own lines only the file
    before: str
    after: tuple[str, ...]  # empty: whatever stands there
    why: str

    def covers(self, path: str, scope: str, before: str, after: str) -> bool:
        return (
            self.where == f"{path} {scope}".strip()
            and self.before == before
            and (not self.after or after in self.after)
        )


def explanations() -> list[Explanation]:
    if not EXPLAINED.exists():
        return []
    entries = tomllib.loads(EXPLAINED.read_text("utf-8"))["explained"]
    return [
        Explanation(
            entry["where"], squeezed(entry["before"]), tuple(map(squeezed, entry.get("after", ()))), entry["why"]
        )
        for entry in entries
    ]


@dataclass(frozen=True, slots=True)
class Tally:
    mutants: int
    killed: int
    explained: int
    survivors: int

    @property
    def share(self) -> float:
        """The killed ones among those that could be."""
        return self.killed / max(1, self.mutants - self.explained)

    def interval(self) -> tuple[float, float]:
        """Wilson's interval for the share, where the mutants are a sample."""
        count, share, square = max(1, self.mutants - self.explained), self.share, _CONFIDENCE**2
        middle = (share + square / (2 * count)) / (1 + square / count)
        half = _CONFIDENCE / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
        return middle - half, middle + half


def package_of(path: str) -> str:
    """The row that a file counts in."""
    folder = str(Path(path).parent)
    return folder.replace("/", ".")


class Results:
    """Outcomes, one JSON object a line, written as they come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcomes: dict[tuple[str, str, str, str], dict[str, object]] = {}
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                found = json.loads(line)
                self.outcomes[tuple(found["key"])] = found

    def add(self, mutant: Mutant, outcome: str, killer: str, seconds: float) -> None:
        found = {"key": mutant.key, "outcome": outcome, "kind": mutant.kind, "by": killer, "seconds": round(seconds, 2)}
        self.outcomes[mutant.key] = found
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")


def noticed(outcome: object) -> bool:
    return outcome in ("killed", "timed out")


def is_explained(mutant: Mutant, known: Iterable[Explanation]) -> bool:
    return any(one.covers(*mutant.key) for one in known)


def tallies(mutants: Iterable[Mutant], results: Results, by_kind: bool = False) -> dict[str, Tally]:
    known = explanations()
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for mutant in mutants:
        found = results.outcomes.get(mutant.key)
        if found is None:
            continue
        killed = noticed(found["outcome"])
        explained = not killed and is_explained(mutant, known)
        row = counts[mutant.kind if by_kind else package_of(mutant.path)]
        for column, counted in enumerate((True, killed, explained, not (killed or explained))):
            row[column] += counted
    return {name: Tally(*row) for name, row in counts.items()}


def table(rows: dict[str, Tally], totals: dict[str, int]) -> str:
    lines = [
        "| package | mutants | taken | killed | explained | survivors | killed of those that can be |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        low, high = row.interval()
        interval = f" ({100 * low:.0f} to {100 * high:.0f} %)" if row.mutants < totals.get(name, 0) else ""
        cells = (
            f"`{name}`", f"{totals.get(name, row.mutants):,}", f"{row.mutants:,}", f"{row.killed:,}", row.explained,
            row.survivors, f"{100 * row.share:.1f} %{interval}",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)
