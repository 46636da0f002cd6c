"""The package says what is tested, and only that."""

from __future__ import annotations

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())


def test_every_python_that_is_claimed_is_tested() -> None:
    prefix = "Programming Language :: Python :: 3."
    claimed = [
        f"3.{word.removeprefix(prefix)}" for word in PROJECT["project"]["classifiers"] if word.startswith(prefix)
    ]
    assert claimed == PROJECT["tool"]["tox"]["env_list"]
    assert PROJECT["project"]["requires-python"] == f">={claimed[0]}"
