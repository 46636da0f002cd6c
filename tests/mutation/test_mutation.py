"""What the figures of mutation testing rest on: that explained mutants are still those, and how shares are counted."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.mutation.mapping import SOURCE, Map, merge
from tests.mutation.report import EXPLAINED, Explanation, Tally, explanations, squeezed

ENTRIES = explanations()


def scope_text(path: str, scope: str) -> str:
    """The source of a function or class by its qualified name; of the whole file if that is empty."""
    text = (SOURCE / path).read_text("utf-8")
    found: list[ast.AST] = [ast.parse(text)]
    for name in scope.replace(".<locals>", "").split(".") if scope else ():
        found = [child for node in found for child in ast.walk(node) if getattr(child, "name", None) == name]
    return "\n".join(ast.get_source_segment(text, node) or text for node in found)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.where}: {entry.before[:40]}")
def test_an_explained_mutant_is_still_one_of_the_source(entry: Explanation) -> None:
    path, _, scope = entry.where.partition(" ")
    assert entry.before in squeezed(scope_text(path, scope)), f"{EXPLAINED.name} explains what is gone"
    assert len(entry.why.split()) > 3
    assert entry.before not in entry.after


def test_no_mutant_is_explained_twice() -> None:
    changes = [(entry.where, entry.before, after) for entry in ENTRIES for after in entry.after or ("",)]
    assert len(changes) == len(set(changes))


def test_an_explanation_covers_the_change_that_it_names() -> None:
    one = Explanation("spf/x.py f", "a < b", ("a <= b",), "they are never equal")
    assert one.covers("spf/x.py", "f", "a < b", "a <= b")
    assert not one.covers("spf/x.py", "f", "a < b", "a > b")
    assert not one.covers("spf/x.py", "g", "a < b", "a <= b")


def test_the_share_counts_what_can_be_killed() -> None:
    row = Tally(mutants=110, killed=90, explained=10, survivors=10)
    assert row.share == 0.9
    low, high = row.interval()
    assert (round(low, 3), round(high, 3)) == (0.826, 0.945)  # Wilson, 95 %
    assert Tally(300, 300, 0, 0).interval()[0] == pytest.approx(0.987, abs=0.001)


def test_the_quickest_tests_come_first_and_fit_the_time(tmp_path: Path) -> None:
    found = {
        "tests": ["tests/spf/a.py::slow", "tests/spf/a.py::quick", "tests/arc/b.py::other"],
        "seconds": [5.0, 0.1, 0.2],
        "lines": {"spf/x.py": {"3": [0, 1], "4": [2, -1]}},
    }
    path = tmp_path / "map.json"
    path.write_text(json.dumps(found), "utf-8")
    known = Map(path)
    assert known.of_lines("spf/x.py", [3]) == {0, 1}
    assert known.quickest({0, 1, 2}, "spf", seconds=1.0) == [1, 2]
    assert known.quickest({0, 1, 2}, "spf", seconds=9.0) == [1, 2, 0]
    assert known.at_import("spf/x.py", 4, 5)
    assert not known.at_import("spf/x.py", 3, 4)


def test_what_was_measured_again_replaces_what_was_known() -> None:
    old = {
        "tests": ["tests/a.py::one", "tests/b.py::two", "tests/a.py::three"],
        "seconds": [1.0, 2.0, 3.0],
        "lines": {"spf/x.py": {"1": [0, 1, -1], "2": [2]}, "spf/y.py": {"5": [1]}},
    }
    new = {"tests": ["tests/a.py::four"], "seconds": [0.5], "lines": {"spf/x.py": {"2": [0], "3": [0, -1]}}}
    found = merge(old, new, {"tests/a.py"})
    assert found["tests"] == ["tests/b.py::two", "tests/a.py::four"]
    assert found["seconds"] == [2.0, 0.5]
    assert found["lines"] == {"spf/x.py": {"1": [-1, 0], "2": [1], "3": [-1, 1]}, "spf/y.py": {"5": [0]}}
