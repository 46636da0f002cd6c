"""Our SPF beside pyspf, our DKIM beside dkimpy and Mail::DKIM, on generated input.

The same input has the same result, unless the two differ in one of the named ways. Each was decided by the RFC,
and stands in docs/conformance.md ("Beside other implementations"). (DMARC beside a slow reference:
tests/dmarc/test_reference.py.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from mailauth import dkim
from mailauth.plan import IPAddress, run
from mailauth.resolvers import ZoneResolver
from mailauth.spf import SpfResult, check_host
from mailauth.testing import Zone, signing_key
from mailauth.testing import strategies as mail
from tests.robustness.peers import MailDkim, by_dkimpy, by_pyspf, mail_dkim

# --- SPF -------------------------------------------------------------------------------------------------------

SPF_WAYS: dict[str, Callable[[SpfResult, str, str], bool]] = {
    # RFC 7208 section 6: unrecognized modifiers are ignored "no matter where, or how often, they appear".
    "an unknown modifier twice": lambda ours, words, sender: (
        re.search(r"MUST appear at most once: (?!redirect=|exp=)", words) is not None
    ),
    # RFC 7208 section 4.6.4 limits terms; the client's PTR records are asked once, and are the client's choice.
    "the client has no name, and several terms ask for it": lambda ours, words, sender: "Void lookup limit" in words,
    # RFC 7208 names no such error: the limit of ten lookups ends the circle, where it is reached (section 4.6.4).
    "a record that includes itself": lambda ours, words, sender: "recursion" in words,
    # RFC 5321 section 4.1.2: what is quoted belongs to the local part; the domain is behind the last "@".
    "a quoted @ in the local part": lambda ours, words, sender: sender.count("@") > 1,
}
CLIENTS = ["192.0.2.1", "192.0.2.9", "198.51.100.7", "2001:db8::1", "2001:db9::1"]


@settings(max_examples=300)
@given(mail.spf_zones(), mail.spf_records(), st.sampled_from(CLIENTS).map(ip_address), mail.valid_mailboxes())
def test_spf_beside_pyspf(zone: Zone, record: str, ip: IPAddress, sender: str) -> None:
    """Any tree of records has pyspf's result, or differs in a named way."""
    zone.records["example.org", "TXT"] = [record]
    zone.failures.pop(("example.org", "TXT"), None)
    sender = sender.rpartition("@")[0] + "@example.org"
    theirs, words = by_pyspf(zone, ip, sender, "mx.example.org")
    ours = run(check_host(ip, mail_from=sender, helo="mx.example.org"), zone)
    if ours.result != theirs:
        way = next((name for name, holds in SPF_WAYS.items() if holds(ours, words, sender)), None)
        assert way is not None, (ours, theirs, words)
        event(way)
    else:
        event(str(ours.result))


# --- DKIM ------------------------------------------------------------------------------------------------------

KEY = signing_key("example.org", "rsa", "rsa")
RECORD = dkim.record_text(KEY.key).encode()
NOW = 1_790_000_000  # September 2026: dkimpy has its own clock, and refuses what is signed in the future

SIGNATURES = {
    "": lambda field: field,
    "another version": lambda field: field.replace(b"v=1", b"v=2"),
    "no time": lambda field: re.sub(rb"\r\n t=\d+;", b"", field),
    "no canonicalization": lambda field: re.sub(rb" c=[a-z/]+;", b"", field),
    "capital domain": lambda field: field.replace(b"d=example.org", b"d=EXAMPLE.ORG"),
    "blanks in b=": lambda field: field.replace(b" b=", b" b= "),
    "a length": lambda field: field.replace(b"\r\n bh=", b" l=5; bh="),
    "copied fields": lambda field: field.replace(b"\r\n bh=", b" z=a|b; bh="),
    "a foreign identity": lambda field: field.replace(b"\r\n bh=", b" i=x@other.example; bh="),
    "an empty tag": lambda field: field.replace(b"\r\n bh=", b"; bh="),
    "a twice": lambda field: field.replace(b"\r\n bh=", b" a=rsa-sha256; bh="),
    "semicolon at the end": lambda field: field.replace(b"\r\n", b"\r\n").removesuffix(b"\r\n") + b";\r\n",
    "capital algorithm": lambda field: field.replace(b"rsa-sha256", b"RSA-SHA256"),
    "no padding": lambda field: re.sub(rb"=+\r\n\Z", b"\r\n", field),
    "blank before the colon": lambda field: field.replace(b"Signature:", b"Signature :", 1),
    "small letters": lambda field: field.replace(b"DKIM-Signature", b"dkim-signature"),
}
MESSAGES = {
    "": lambda message: message,
    "text at the end": lambda message: message + b"x\r\n",
    "empty lines at the end": lambda message: message + b"\r\n\r\n",
    "another author": lambda message: message.replace(b"Ann", b"Anna", 1),
    "a second From": lambda message: b"From: eve@other.example\r\n" + message,
    "blanks in the body": lambda message: b"\r\n\r\n".join(
        part.replace(b" ", b"  ") if number else part for number, part in enumerate(message.split(b"\r\n\r\n", 1))
    ),
    "blanks in From": lambda message: message.replace(b"From: ", b"From:   ", 1),
    "a fold": lambda message: message.replace(b"From: Ann", b"From:\r\n Ann", 1),
    "capitals": lambda message: message.replace(b"From:", b"FROM:", 1),
    "the first line ends in LF": lambda message: message.replace(b"\r\n", b"\n", 1),
}
RECORDS = {
    "": lambda record: record,
    "no version": lambda record: record.replace(b"v=DKIM1; ", b""),
    "another version": lambda record: record.replace(b"v=DKIM1", b"v=DKIM2"),
    "small version": lambda record: record.replace(b"v=DKIM1", b"v=dkim1"),
    "capital type": lambda record: record.replace(b"k=rsa", b"k=RSA"),
    "no type": lambda record: record.replace(b"k=rsa; ", b""),
    "another type": lambda record: record.replace(b"k=rsa", b"k=x"),
    "SHA-1 only": lambda record: record.replace(b"p=", b"h=sha1; p="),
    "both hashes": lambda record: record.replace(b"p=", b"h=sha256:sha1; p="),
    "test mode": lambda record: record.replace(b"p=", b"t=y; p="),
    "for mail": lambda record: record.replace(b"p=", b"s=email; p="),
    "for something else": lambda record: record.replace(b"p=", b"s=other; p="),
    "granularity": lambda record: record.replace(b"p=", b"g=ann; p="),
    "notes": lambda record: record.replace(b"p=", b"n=a b c; p="),
    "an empty tag": lambda record: record.replace(b"p=", b"; p="),
    "revoked": lambda record: re.sub(rb"p=.*", b"p=", record),
    "unknown tag": lambda record: record.replace(b"p=", b"x=y; p="),
}


@dataclass(frozen=True)
class Case:
    signature: str
    message: str
    record: str
    octets: bytes
    key: bytes
    ours: dkim.Signature | None

    @property
    def passes(self) -> bool:
        return self.ours is not None and self.ours.result == "pass"

    @property
    def reason(self) -> str:
        return "" if self.ours is None else str(self.ours.reason)


# For each: who differs ("dkimpy", "maildkim"), whether it is we who say pass, and when.
DKIM_WAYS: list[tuple[str, str, bool, Callable[[Case], bool]]] = [
    # RFC 6376 section 3.4.4, see there; SMTP delivers whole lines.
    ("a last line without CRLF", "dkimpy maildkim", True, lambda case: not case.octets.endswith(b"\r\n")),
    # RFC 5322 section 2.3: the line ends are not repaired, or all of them are.
    ("the first line ends in LF", "dkimpy maildkim", False, lambda case: b"LF" in case.message.encode()),
    ("the first line ends in LF", "dkimpy maildkim", True, lambda case: b"LF" in case.message.encode()),
    # RFC 5234 section 2.3: literals of ABNF have any case.
    ("a key type in capitals", "dkimpy maildkim", True, lambda case: case.record == "capital type"),
    ("an algorithm in capitals", "dkimpy maildkim", True, lambda case: case.signature == "capital algorithm"),
    # Many published records have them.
    ("a key record with an empty tag", "dkimpy", True, lambda case: case.record == "an empty tag"),
    # RFC 6376 section 3.6.1, h=: the hashes that may be used.
    ("a key for SHA-1 only", "dkimpy", False, lambda case: case.reason == "key-hash-not-allowed"),
    # RFC 6376 section 3.6.1, s=: "other" is not for mail.
    ("a key for something else", "dkimpy maildkim", False, lambda case: case.reason == "key-service-not-allowed"),
    # RFC 6376 section 3.6.1 has no g= any more.
    ("a granularity", "maildkim", True, lambda case: case.record == "granularity"),
    # RFC 6376 section 2.10: the ABNF of base64 lets padding be missing.
    ("base64 without padding", "dkimpy maildkim", True, lambda case: case.signature == "no padding"),
    # RFC 5322 section 4.5, RFC 6376 section 3.4.2: blanks before the colon.
    ("a blank before the colon", "dkimpy maildkim", True, lambda case: case.signature == "blank before the colon"),
    # RFC 5322 section 3.6: which of them is shown is not known.
    ("two From fields", "dkimpy maildkim", False, lambda case: case.reason == "several-from"),
    # RFC 6376 section 8.2: what is behind the signed length is not signed.
    ("text behind the signed length", "dkimpy maildkim", False, lambda case: case.reason == "unsigned-body"),
]


# What the page says of each way: "Beside other implementations" in docs/conformance.md.
DOCUMENTED = {
    "an unknown modifier twice": "An unknown modifier twice",
    "the client has no name, and several terms ask for it": "A client without a name",
    "a record that includes itself": "A record that includes itself",
    "a quoted @ in the local part": "A quoted `@`",
    "a last line without CRLF": "A last line without CRLF",
    "the first line ends in LF": "a first line that ends in a bare LF",
    "a key type in capitals": "Literals in capitals",
    "an algorithm in capitals": "Literals in capitals",
    "a key record with an empty tag": "a key record may have an empty tag",
    "a key for SHA-1 only": "a key for SHA-1 only",
    "a key for something else": "for a service other than mail",
    "a granularity": "g= of a key",
    "base64 without padding": "Padding of base64",
    "a blank before the colon": "A blank before the colon",
    "two From fields": "Two From fields",
    "text behind the signed length": "text behind the signed length",
}


def test_every_way_stands_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs/conformance.md").read_text()
    section = page.partition("## Beside other implementations")[2].partition("\n## ")[0]
    ways = {*SPF_WAYS, *(way[0] for way in DKIM_WAYS)}
    assert ways == DOCUMENTED.keys()
    assert [words for words in DOCUMENTED.values() if words not in section] == []


@pytest.fixture(scope="module")
def perl() -> Iterator[MailDkim]:
    with mail_dkim() as process:
        yield process


@pytest.mark.server
@settings(max_examples=250)
@given(
    mail.valid_messages(),
    st.sampled_from(["simple", "relaxed"]),
    st.sampled_from(["simple", "relaxed"]),
    st.sampled_from(["", "", *SIGNATURES]),
    st.sampled_from(["", "", *MESSAGES]),
    st.sampled_from(["", "", *RECORDS]),
)
def test_dkim_beside_dkimpy_and_mail_dkim(
    perl: MailDkim, message: bytes, header: str, body: str, signature: str, changed: str, record: str
) -> None:
    """Any signature, message and key record verify as with the others, or differ in a named way."""
    try:
        field = dkim.sign(message, KEY, header=header, body=body, now=NOW)
    except dkim.SigningError:
        assume(False)
        raise
    octets, key = SIGNATURES[signature](field) + MESSAGES[changed](message), RECORDS[record](RECORD)
    found = run(dkim.verify(octets, now=NOW), ZoneResolver({("rsa._domainkey.example.org", "TXT"): [key]}))
    case = Case(signature, changed, record, octets, key, found[0] if found else None)
    theirs: dict[str, Any] = {"dkimpy": by_dkimpy(octets, key), "maildkim": perl.verify(octets, key)}
    for peer, result in theirs.items():
        passes = result if isinstance(result, bool) else result.startswith("pass")
        if passes != case.passes:
            ways = [
                way for way, who, we_pass, holds in DKIM_WAYS if peer in who and we_pass is case.passes and holds(case)
            ]
            assert ways, (peer, result, case)
            event(f"{peer}: {ways[0]}")
    event(case.reason)
