"""`zone_text`: what was asked and answered in a run, as a master file from which a `ZoneResolver` answers the same.

A master file has no words for failures; here comments that begin with ``;!`` say them: ``;!timeout example.org TXT``.
"""

# SECURITY: the records are other people's. Each is one line, with everything that is not plain escaped.

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mailauth.plan import Answer, Exchange, Outcome, Question

if TYPE_CHECKING:
    from mailauth.resolvers.recording import Asked

Failure: TypeAlias = Literal["timeout", "servfail", "refused"]
"""The ways in which a question of a zone can fail."""

MAX_STRING = 255  # octets of a string of a TXT record, RFC 1035 section 3.3
_FAILURES: dict[Outcome, Failure] = {
    Outcome.TIMED_OUT: "timeout",
    Outcome.SERVER_FAILURE: "servfail",
    Outcome.REFUSED: "refused",
}
_MARK = re.compile(r"^;!(timeout|servfail|refused)[ ]+(\S{1,1100})[ ]+([A-Z]{1,5}|\*)[ ]*$", re.MULTILINE)
_EXISTS = r"TYPE65534 \# 0"  # of a private type (RFC 6895 section 3.1): the name exists, without what was asked


def zone_text(asked: Iterable[Asked | tuple[Question, Answer]]) -> str:
    """The master file, in the order of the questions; of a question that was asked twice the last answer counts.

    Aliases are left out: what they lead to stands at the name that was asked. Read it by `ZoneResolver.from_text`, or
    give it as ``--zone`` to any command.
    """
    answers = {each[0]: each[1] for each in asked}
    existing: set[str] = set()
    lines = ["$ORIGIN ."]
    for question, answer in answers.items():
        lines += _lines(question, answer, existing)
    return "\n".join(lines) + "\n"


def _lines(question: Question, answer: Answer, existing: set[str]) -> Iterator[str]:
    owner = _escaped(question.name)
    failure = _FAILURES.get(answer.outcome)
    if failure is not None:
        yield f";!{failure} {owner} {question.type}"
    elif answer.found:
        existing.add(owner)
        for record in answer.records:
            yield f"{owner} {answer.ttl} {question.type} {_data(record)}"
    elif answer.name_exists is not False and answer.outcome is Outcome.NO_DATA and owner not in existing:
        existing.add(owner)
        yield f"{owner} {answer.ttl} {_EXISTS}"


def _data(record: Any) -> str:
    if isinstance(record, bytes):
        strings = [record[start : start + MAX_STRING] for start in range(0, len(record), MAX_STRING)] or [b""]
        return " ".join(f'"{_quoted(string)}"' for string in strings)
    if isinstance(record, Exchange):
        return f"{record.preference} {_host(record.host)}"
    return _host(record) if isinstance(record, str) else str(ip_address(record))


def _quoted(octets: bytes) -> str:
    return re.sub(r"[^ !#-\[\]-~]", lambda found: f"\\{ord(found[0]):03}", octets.decode("latin-1"))


def _escaped(name: str) -> str:
    """A name as it is asked, where only dots are signs."""
    return re.sub(r"[^A-Za-z0-9_.*-]", lambda found: f"\\{ord(found[0]):03}", name)


def _host(name: str) -> str:
    """A name out of an answer, where odd octets stand escaped already."""
    return name if name.endswith(".") else f"{name}." if name else "."


def failures_in(text: str) -> dict[tuple[str, str], Failure]:
    """The failures that a master file names in comments, as `ZoneResolver` takes them."""
    unescape = re.compile(r"\\([0-9]{3})")
    return {
        (unescape.sub(lambda found: chr(int(found[1])), name), rtype): how for how, name, rtype in _MARK.findall(text)
    }
