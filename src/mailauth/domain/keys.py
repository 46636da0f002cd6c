"""DKIM keys of a domain: those of the selectors that the caller names, and those that usual selectors lead to.

Nothing lists the selectors of a domain. The usual ones are guesses, and said to be: that none of them has a key does
not mean that there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mailauth import dkim
from mailauth.dkim import KeyCheck, KeyFinding
from mailauth.domain.finding import Area, Finding, Severity, note, unknown, warning
from mailauth.mail.text import printable
from mailauth.plan import Plan, Question, ask_all, run_all, unaskable

USUAL_SELECTORS = (
    # What mail servers and their guides propose.
    *("default", "dkim", "mail", "key1", "key2", "k1", "k2", "k3", "s1", "s2", "sig1", "smtp", "email", "mx", "server"),
    *("dkim1", "dkim2", "selector", "rsa", "ed25519", "test", "2024", "2025", "2026", "202601", "202606"),
    # What providers have their customers publish, mostly as an alias.
    *("selector1", "selector2"),  # Microsoft 365
    *("google", "20230601", "20251104"),  # Google Workspace
    *("fm1", "fm2", "fm3", "mesmtp"),  # Fastmail
    *("protonmail", "protonmail2", "protonmail3"),
    *("zoho", "zmail"),
    *(
        "mandrill",
        "mailjet",
        "brevo1",
        "brevo2",
        "pm",
        "mg",
        "pic",
        "krs",
        "scph0316",
        "sm",
        "cm",
        "kl",
        "kl2",
        "hse1",
        "hse2",
    ),
    *("mxvault", "mimecast", "everlytickey1", "everlytickey2", "ctct1", "ctct2", "turbo-smtp", "s1024", "yandex"),
)
"""Selectors that many domains have. Facts as of 2026-11."""

_PROBE = "no-such-selector-4f1c"


@dataclass(frozen=True, slots=True)
class Key:
    """One key record. `guessed`: nobody named the selector, it is one of the usual ones."""

    selector: str
    guessed: bool
    check: KeyCheck  # the record, and what is wrong with it

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"selector": self.selector, "guessed": self.guessed, **self.check.to_dict()}


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that were found, those of named selectors always; `guesses` is how many usual selectors were
    tried; none where a wildcard answers for all."""

    keys: tuple[Key, ...] = ()
    guesses: int = 0
    findings: tuple[Finding, ...] = ()  # of all keys, and of a domain without any

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"keys": [key.to_dict() for key in self.keys], "guesses": self.guesses}


def find_keys(domain: str, selectors: Sequence[str], guess: bool) -> Plan[Keys]:
    """A plan that tests the keys of the named selectors, and looks for those of usual ones."""
    named = list(dict.fromkeys(selectors))
    usual = [selector for selector in USUAL_SELECTORS if guess and selector not in named]
    wildcard, found = yield from _guess(domain, usual)
    checks = yield from run_all([dkim.check_key(domain, selector) for selector in (*named, *found)])
    keys = [Key(selector, selector in found, check) for selector, check in zip([*named, *found], checks, strict=True)]
    findings = [finding for key in keys for finding in _of_key(key)]
    if wildcard is not None:
        # Every name has an answer: the guesses say nothing.
        return Keys(tuple(keys), 0, (*findings, _wildcard(domain, wildcard)))
    if not keys:
        findings += yield from _none(domain, len(usual))
    return Keys(tuple(keys), len(usual), tuple(findings))


def _wildcard(domain: str, text: bytes) -> Finding:
    shown = printable(text.decode("utf-8", "replace"), 60)
    words = f"every selector has a TXT record, by a wildcard ({shown!r}): guesses say nothing"
    source = "RFC 6376 section 3.6.2.1, RFC 4592"
    return note("dkim.wildcard", f"*._domainkey.{domain}", words, source, "name yours with --selector, if it has any")


def _guess(domain: str, selectors: list[str]) -> Plan[tuple[bytes | None, list[str]]]:
    """The text of a wildcard that answers for every name, if there is one; else the selectors at which something
    stands."""
    if not selectors:
        return None, []
    questions = [Question(f"{selector}._domainkey.{domain}", "TXT") for selector in (_PROBE, *selectors)]
    if unaskable(max((question.name for question in questions), key=len)) is not None:
        return None, []
    probe, *answers = yield from ask_all(questions)
    if probe.found:
        return b"".join(probe.texts[:1]), []
    return None, [name for name, answer in zip(selectors, answers, strict=True) if answer.found]


def _none(domain: str, guesses: int) -> Plan[list[Finding]]:
    name = f"_domainkey.{domain}"
    (answer,) = yield from ask_all([Question(name, "TXT")])
    source = "RFC 6376 section 3.6.2.1"
    if answer.failed:
        return [unknown(Area.DKIM, name, answer.outcome, "whether there are keys")]
    if answer.name_exists is False:
        # RFC 8020: there is nothing below a name that does not exist.
        words = f"there is no DKIM key: {name} does not exist, and so nothing below it"
        advice = "sign the domain's mail: mailauth dkim keygen makes a key and its record"
        return [warning("dkim.none", name, words, f"{source}, RFC 8020", advice)]
    words = f"none of {guesses} usual selectors has a key; nothing lists the selectors of a domain"
    return [note("dkim.none-found", name, words, source, "name yours with --selector")]


_SOURCES = {
    KeyFinding.NO_KEY: "RFC 6376 section 6.1.2",
    KeyFinding.SEVERAL_RECORDS: "RFC 6376 section 3.6.2.2",
    KeyFinding.SMALL: "RFC 8301 section 3.2",
    KeyFinding.TOO_SMALL: "RFC 8301 section 3.2",
    KeyFinding.TOO_LARGE: "RFC 8301 section 3.2",
    KeyFinding.SHA256_NOT_ALLOWED: "RFC 8301 section 3.1",
}
_ADVICE = {
    KeyFinding.NO_KEY: "publish the key, or stop signing with this selector",
    KeyFinding.SEVERAL_RECORDS: "leave one record",
    KeyFinding.MALFORMED: "publish the record anew; mailauth dkim keygen prints one",
    KeyFinding.REVOKED: "sign with another key; this one stays revoked",
    KeyFinding.UNKNOWN_TYPE: "publish a key of type rsa or ed25519",
    KeyFinding.TOO_SMALL: "make a key of 2048 bits, under a new selector",
    KeyFinding.SMALL: "make a key of 2048 bits, under a new selector",
    KeyFinding.TOO_LARGE: "make a key of 2048 to 4096 bits, under a new selector",
    KeyFinding.SHA256_NOT_ALLOWED: "take h= out, or add sha256",
    KeyFinding.NOT_FOR_EMAIL: "take s= out",
    KeyFinding.TEST_MODE: "take t=y out when the test is over",
    KeyFinding.NO_VERSION: "begin the record with v=DKIM1;",
    KeyFinding.MISPLACED: "publish it where verifiers look",
    KeyFinding.CAPITALS: "write tags and types in lower case",
    KeyFinding.EMPTY_TAG: "leave one semicolon",
}
_SEVERE = frozenset(
    {
        KeyFinding.NO_KEY,
        KeyFinding.MALFORMED,
        KeyFinding.UNKNOWN_TYPE,
        KeyFinding.TOO_SMALL,
        KeyFinding.SHA256_NOT_ALLOWED,
        KeyFinding.NOT_FOR_EMAIL,
    }
)


def _of_key(key: Key) -> Iterator[Finding]:
    for code, words in key.check.findings:
        if code is KeyFinding.UNAVAILABLE:
            yield unknown(Area.DKIM, key.check.name, words.rpartition(": ")[2].replace("-", " "), "the key")
            continue
        severity = Severity.ERROR if code in _SEVERE else Severity.WARNING
        if key.guessed and code in (KeyFinding.NO_KEY, KeyFinding.REVOKED):
            # Nobody said that mail is signed with it: an old selector may well be revoked.
            severity = Severity.NOTE
        elif key.guessed and code is KeyFinding.MALFORMED:
            severity = Severity.WARNING
        elif code is KeyFinding.REVOKED:
            severity = Severity.ERROR
        elif code in (KeyFinding.NO_VERSION, KeyFinding.EMPTY_TAG):
            severity = Severity.NOTE
        source = _SOURCES.get(code, "RFC 6376 section 3.6.1")
        advice = _ADVICE.get(code, "correct the record")
        yield Finding(severity, f"dkim.{code}", key.check.name, words, source, advice)
