"""The cases of cases/cases.toml as values.

Reading the table of cases, and what both sides say in the same form. No case and no verdict.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mailauth.resolvers import ZoneResolver

FOLDER = Path(__file__).parent / "cases"
LISTS = ("client", "helo", "sender", "recipient", "data")


class Spoken(NamedTuple):
    """One reply; `phase` is the command that it answers."""

    phase: str
    code: int
    enhanced: str
    text: str

    @property
    def refused(self) -> bool:
        return self.code >= 400

    @property
    def short(self) -> str:
        """As the table writes it: ``RCPT 554 5.7.1``, or ``accept``."""
        return f"{self.phase} {self.code} {self.enhanced}".rstrip() if self.refused else "accept"


@dataclass(frozen=True)
class Case:
    """One row. `expect` is what both sides say; where Postfix says something else, `postfix` has its words and
    `differs` why (as docs/conformance.md says it).

    `restrictions` are Postfix's own words for each of the five lists. `pipelined` names the command that was sent
    together with the next one.
    """

    name: str
    expect: str
    client: str = "192.0.2.1"
    helo: str | None = "mx.example.org"
    sender: str = "ann@example.org"
    recipient: str = "bob@mailbox.test"
    restrictions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    delay_reject: bool = True
    pipelined: str = ""
    postfix: str = ""
    differs: str = ""


def read_cases() -> list[Case]:
    """Every case, in the order of the file."""
    return [_case(row) for row in _document()["case"]]


def read_zone() -> ZoneResolver:
    """The DNS of all cases: the master file, and the failures that the table adds."""
    failures = {tuple(key.split(" ")): failure for key, failure in _document()["failures"].items()}
    return ZoneResolver.from_file(FOLDER / "zone", failures=failures)  # type: ignore[arg-type]


def _document() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "cases.toml").read_text(encoding="utf-8"))


def _case(row: dict[str, Any]) -> Case:
    lists = {phase: tuple(row.pop(f"{phase}_list")) for phase in LISTS if f"{phase}_list" in row}
    envelope = {"from": "sender", "to": "recipient"}
    values = {envelope.get(key, key): value for key, value in row.items()}
    if values.get("helo") is False:
        values["helo"] = None  # TOML has no null: the client says no HELO
    return Case(restrictions=lists, **values)
