"""What became of a case: the reply beside what is expected."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailauth.authres import AuthenticationResults, parse_field
from mailauth.testing.conformance.cases import Case

_SHOWN = 300


class Status(StrEnum):
    """How a case ended."""

    PASS = "pass"
    """The reply says what the RFC says."""
    FAIL = "fail"
    """The reply says something else than the RFC."""
    UNSUPPORTED = "unsupported"
    """The adapter declined the case."""
    ERROR = "error"
    """There was no usable reply: the adapter died, was silent for too long, or printed something else."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one case."""

    case: Case
    status: Status
    detail: str = ""
    """What differs, why it was declined, or what failed; "" if it passed."""

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        case = self.case
        return {
            "id": case.id,
            "section": case.section,
            "about": case.about,
            "status": str(self.status),
            "detail": self.detail,
        }


def judged(case: Case, reply: Mapping[str, Any], *, strict: bool = False) -> Outcome:
    """The reply of an adapter, judged. What the reply does not say is not compared, but something must be.

    `strict`: everything that is expected must be there.
    """
    if reply.get("unsupported"):
        return Outcome(
            case, Status.UNSUPPORTED, _shown(reply["unsupported"]) if reply["unsupported"] is not True else ""
        )
    if reply.get("error"):
        return Outcome(case, Status.ERROR, f"the adapter says: {_shown(reply['error'])}")
    first = next(iter(case.expect))
    if first not in reply:
        return Outcome(case, Status.ERROR, f"the reply has no {first!r}: {_shown(dict(reply))}")
    differences = list(_differences(case, reply, strict))
    return Outcome(case, Status.FAIL if differences else Status.PASS, "; ".join(differences))


def _differences(case: Case, reply: Mapping[str, Any], strict: bool) -> Iterator[str]:
    for name, expected in case.expect.items():
        if name not in reply:
            if strict:
                yield f"{name} is missing"
            continue
        found = reply[name]
        right = expected["any"] if isinstance(expected, dict) and "any" in expected else [expected]
        if name == "field":
            yield from _unlike_field(found, expected)
        elif found not in right and (found is not None or "" not in right):
            yield f"{name} is {_shown(found)}, expected {' or '.join(map(_shown, right))}"


# RFC 5322 section 2.2.3: a line end in a field is followed by a blank.
_ONE_FIELD = re.compile(r"Authentication-Results[ \t]*:(?:[^\r\n]|\r\n[ \t])+(?:\r\n)?", re.IGNORECASE)


def _unlike_field(found: Any, expected: Mapping[str, Any]) -> Iterator[str]:
    """Writers fold and quote as they like: the field is right if it is one field of ASCII and reads as is expected."""
    if not isinstance(found, str) or not _ONE_FIELD.fullmatch(found):
        yield f"this is not one Authentication-Results field: {_shown(found)}"
        return
    if not found.isascii():
        yield f"not ASCII: {_shown(found)}"
    read = parse_field(found)
    if not isinstance(read, AuthenticationResults):
        yield f"the field cannot be read ({read.reason}): {_shown(found)}"
    elif field_values(read) != expected:
        yield f"the field reads as {_shown(field_values(read))}, expected {_shown(dict(expected))}: {_shown(found)}"


def field_values(field: AuthenticationResults) -> dict[str, Any]:
    """A field of RFC 8601 as the cases write it."""
    return {
        "authserv_id": field.authserv_id,
        "results": [
            {
                "method": each.method,
                "result": each.result,
                "reason": each.reason or "",
                "properties": [[prop.type, prop.name, prop.value] for prop in each.properties],
            }
            for each in field.results
        ],
    }


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value.isprintable() and value else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}[...]"
