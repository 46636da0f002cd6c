"""The manual page says what the command takes: `make man` writes it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from mailauth import __version__
from mailauth.cli import whole_parser

PAGE = (Path(__file__).parents[2] / "docs/man/mailauth.1").read_text().replace("\\-", "-")


def options(parser: argparse.ArgumentParser, words: str = "mailauth") -> Iterator[tuple[str, str]]:
    """Every sub-command with each of its options."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from options(inner, f"{words} {name}")
        else:
            yield from ((words, option) for option in action.option_strings)


def test_every_option_stands_in_the_section_of_its_command() -> None:
    sections = {part.split("'")[1]: part for part in PAGE.split(".SH COMMAND")[1:]}
    missing = [
        f"{command} {option}"
        for command, option in options(whole_parser())
        if command != "mailauth" and option not in ("-h", "--help") and option not in sections.get(command, "")
    ]
    assert not missing, "run make man"
    assert f"mailauth {__version__}" in PAGE
