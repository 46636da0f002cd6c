"""Each property test opens with its invariant: what holds for any input, in a sentence."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def property_tests() -> Iterator[tuple[Path, ast.FunctionDef]]:
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                if any(ast.unparse(each).startswith("given(") for each in node.decorator_list):
                    yield path, node


def test_each_property_test_says_what_holds() -> None:
    found = list(property_tests())
    assert len(found) > 100
    silent = [f"{path.relative_to(TESTS)}:{node.lineno}" for path, node in found if not ast.get_docstring(node)]
    assert not silent, silent
