"""`cases`: the numbered cases that come with the package, each with its RFC section, as requests and expected replies.

A file of ``mailauth/testing/cases`` holds the cases of one protocol. Those in TOML are groups: a request, what is
expected, and a table whose columns differ from row to row; a row is a case, and its number never changes. Those in
JSON (signed messages; a character is an octet) are lists of cases.
"""

from __future__ import annotations

import json
import re
import tomllib
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import dns.rdatatype
import dns.zonefile

from mailauth.resolvers.replay import failures_in

PROTOCOLS = ("spf", "dkim", "dmarc", "arc", "rbl", "greylist", "authres")
"""Their names, in the order in which the cases are run."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case: what an implementation is asked, and what is right."""

    protocol: str
    """One of `PROTOCOLS`."""
    id: str
    """Such as ``spf/4.6.4-void/02``; it stays the same from version to version."""
    section: str
    """The rule: ``RFC 7208 section 4.6.4``."""
    about: str
    """The rule in words."""
    request: Mapping[str, Any] = field(hash=False)
    """What the adapter is sent, without `id` and `protocol`."""
    expect: Mapping[str, Any] = field(hash=False)
    """The right values by name; ``{"any": [...]}`` are several that are right."""
    choice: str = ""
    """Why several results are right: where the RFC leaves it open."""


def cases(protocol: str | None = None) -> tuple[Case, ...]:
    """The cases of a protocol, or all. Raises `ValueError` for a protocol without cases."""
    if protocol is None:
        return tuple(case for each in PROTOCOLS for case in _cases_of(each))
    if protocol not in PROTOCOLS:
        raise ValueError(f"no cases for {protocol!r}; there are {', '.join(PROTOCOLS)}")
    return _cases_of(protocol)


@cache
def _cases_of(protocol: str) -> tuple[Case, ...]:
    place = files("mailauth.testing").joinpath("cases")
    written = place.joinpath(f"{protocol}.toml")
    if written.is_file():
        document = tomllib.loads(written.read_text("utf-8"))
        shared = document.get("request", {})
        return tuple(case for group in document["group"] for case in _rows(protocol, group, shared))
    made = json.loads(place.joinpath(f"{protocol}.json").read_text("utf-8"))
    return tuple(_case(protocol, each, each["id"], each["request"], each["expect"]) for each in made)


def _rows(protocol: str, group: Mapping[str, Any], shared: Mapping[str, Any]) -> Iterator[Case]:
    """The cases of a group. A column named ``request.x`` or ``expect.x`` is that value; any other column stands where
    the group has its name in angle brackets."""
    columns: Sequence[str] = group.get("columns", ())
    for number, row in enumerate(group.get("rows", [()]), start=1):
        values = dict(zip(columns, row, strict=True))
        texts = {name: value for name, value in values.items() if "." not in name}
        filled = {
            "request": _filled({**shared, **group.get("request", {})}, texts),
            "expect": _filled(group["expect"], texts),
        }
        for name, value in values.items():
            part, dot, key = name.partition(".")
            if dot:
                filled[part][key] = value
        if "zone" in group:
            filled["request"].update(zone_of(_filled(group["zone"], texts)))
        yield _case(protocol, group, f"{protocol}/{group['id']}/{number:02}", **filled)


def _case(protocol: str, words: Mapping[str, Any], name: str, request: Any, expect: Any) -> Case:
    if "octets" in request:
        message = b64encode(request["octets"].encode("latin-1")).decode("ascii")
        request = {"message": message, **{key: value for key, value in request.items() if key != "octets"}}
    return Case(protocol, name, words["section"], words["about"], request, expect, words.get("choice", ""))


def _filled(value: Any, texts: Mapping[str, str]) -> Any:
    """The value with each ``<name>`` of `texts` in it replaced; what was put in is not looked at again."""
    if not texts:
        return dict(value) if isinstance(value, dict) else value
    if isinstance(value, str):
        names = "|".join(map(re.escape, texts))
        return re.sub(f"<({names})>", lambda found: texts[found[1]], value)
    if isinstance(value, dict):
        return {key: _filled(each, texts) for key, each in value.items()}
    return [_filled(each, texts) for each in value] if isinstance(value, list) else value


def zone_of(text: str) -> dict[str, Any]:
    """``zone`` and ``failures`` of a request, from a master file (failures as ``;!timeout example.org TXT``).

    Each record is ``{"name", "type", "data"}``: of TXT the strings, a character an octet; of all other types the text
    of a master file. Raises `dns.exception.DNSException` for text that is not a master file.
    """
    records = []
    for rrset in dns.zonefile.read_rrsets(text, rdclass=None, default_ttl=300):
        rtype = dns.rdatatype.to_text(rrset.rdtype)
        for rdata in rrset:
            strings = [each.decode("latin-1") for each in rdata.strings] if rtype == "TXT" else None
            name = ".".join(label.decode("latin-1") for label in rrset.name.labels if label)
            records.append({"name": name, "type": rtype, "data": strings or rdata.to_text()})
    failures = [{"name": name, "type": rtype, "how": how} for (name, rtype), how in failures_in(text).items()]
    return {"zone": records, "failures": failures}
