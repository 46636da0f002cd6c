"""Cases that are made by code: a signed message cannot be written by hand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Made:
    """One case; its number is its place among those of its group."""

    group: str
    section: str
    about: str
    request: dict[str, Any]
    expect: dict[str, Any]
    choice: str = ""


def txt(name: str, record: str | bytes) -> dict[str, Any]:
    """A TXT record, in strings of 255 octets."""
    octets = record.encode() if isinstance(record, str) else record
    strings = [octets[start : start + 255].decode("latin-1") for start in range(0, len(octets) or 1, 255)]
    return {"name": name, "type": "TXT", "data": strings}


def document(made: Iterable[Made]) -> str:
    """The file: a list of cases, as JSON, one of them a few lines."""
    numbers: Counter[str] = Counter()
    objects = []
    for each in made:
        numbers[each.group] += 1
        case: dict[str, Any] = {"id": f"{each.group}/{numbers[each.group]:02}", "section": each.section}
        case |= {"about": each.about, **({"choice": each.choice} if each.choice else {})}
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in case.items()]
        lines += [f' "request": {json.dumps(each.request)}', f' "expect": {json.dumps(each.expect)}']
        objects.append("{\n" + ",\n".join(lines) + "\n}")
    return "[\n" + ",\n".join(objects) + "\n]\n"
