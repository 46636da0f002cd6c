"""The words behind a member of a class, which the reference shows (docs/tools/comments.py)."""

from __future__ import annotations

from pathlib import Path

import griffe
import pytest
from docs.tools.comments import Comments, comment


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('NONE = "none"  # the domain publishes none', "The domain publishes none."),
        ('    mark: str = "#"  # i=, decoded; "@" by default', 'i=, decoded; "@" by default.'),
        ("end: int  # RFC 6376 section 3.5", "RFC 6376 section 3.5."),
        ("kinds = (\n    1,  # the first\n    2,\n)  # what there is", "What there is."),
        ('mark: str = "# no comment"', ""),
        ("library = 1  # noqa: E501", ""),
        ("library = call()  # type: ignore[no-untyped-call]", ""),
        ("plain = 1", ""),
    ],
)
def test_the_comment_behind_a_statement_is_a_sentence(source: str, text: str) -> None:
    assert comment(source) == text


def test_a_docstring_goes_first(tmp_path: Path) -> None:
    code = 'class A:\n    x: int = 1  # first\n    y: int = 2  # second\n    """Its own."""\nz = 3  # of no class\n'
    (tmp_path / "some.py").write_text(code)
    module = griffe.load("some", search_paths=[tmp_path], extensions=griffe.load_extensions(Comments))
    found = {name: member.docstring and member.docstring.value for name, member in module["A"].members.items()}
    assert found == {"x": "First.", "y": "Its own."}
    assert module["z"].docstring is None
