"""`Listing`: what one list says about one subject, and how one answer is judged. No question is asked here."""

# SECURITY: A and TXT records come from whoever runs the list, or from whoever bought its domain when it lapsed. An
# answer counts only if it is one that a list gives; text is cut, and cleaned of all but printable ASCII, before
# anybody sees it, since it goes into SMTP replies, header fields, logs and terminals.

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from mailauth.plan import Answer, IPAddress, Outcome
from mailauth.rbl.catalogue import COMMON_ERRORS, Code, KnownList
from mailauth.rbl.rule import Rule

MAX_CODES = 32
"""Answers kept in the result; all of them are judged. No list gives more than a handful."""

MAX_TEXT_CHARACTERS = 400
"""Of the reason text: RFC 5321 section 4.5.3.1.5 allows 512 octets for a whole reply line."""


class Result(StrEnum):
    """What a list says."""

    LISTED = "listed"  # it has an entry with a code that counts
    NOT_LISTED = "not-listed"  # it has no entry that counts, or was not asked about such a subject
    REFUSED = "refused"  # it gave an error code, or is dead: it says nothing of the subject
    TEMPERROR = "temperror"  # the DNS gave no answer, or the monitor took the list out: nothing is known this time


class Reason(StrEnum):
    """Why the result is what it is: stable codes for programs."""

    LISTED = "listed"  # at least one code counts (`Rule` says which do)
    # not-listed
    NO_ENTRY = "no-entry"  # the list has no entry for the subject
    OTHER_CODE = "other-code"  # it has one, with a code that the rule does not ask for
    NOT_A_LIST = "not-a-list"  # the answer is outside 127.0.0.0/8: not a list's
    NOT_ASKED = "not-asked"  # the question was not sent, on purpose; `detail` says why
    # refused
    ERROR_CODE = "error-code"  # the list's own code for "I do not answer you"
    DEAD_LIST = "dead-list"  # the catalogue says that the list is gone; it was not asked
    # temperror
    TIMED_OUT = "timed-out"  # no answer to the A question within the time limit
    SERVER_FAILURE = "server-failure"  # SERVFAIL, an unusable answer, or no server that could be reached
    REFUSED_BY_SERVER = "refused-by-server"  # DNS response code REFUSED
    OUT_OF_SERVICE = "out-of-service"  # the monitor took the list out; it was not asked, or is not believed


@dataclass(frozen=True, slots=True)
class Listing:
    """What one list says about one subject. Everything in it may be shown: keys are masked, text is made safe.

    `codes` are the answers as text, sorted; `matched` are those that made the listing; `meanings` say what they
    mean by the catalogue's table (of all codes if none matched). `text` is the list's own reason, printable ASCII;
    it is empty if the list gave none or gave it too late. `detail` is the reason in words. The real name of the
    zone, with its key, is `rule.zone`.
    """

    rule: Rule
    subject: str  # the address, domain or e-mail address, in printable ASCII
    result: Result
    reason: Reason
    detail: str = ""
    codes: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    meanings: tuple[str, ...] = ()
    text: str = ""

    @property
    def zone(self) -> str:
        """The zone, keys masked."""
        return self.rule.shown_zone

    @property
    def listed(self) -> bool:
        """Whether the list lists the subject."""
        return self.result is Result.LISTED

    @property
    def weight(self) -> int:
        """What a listing by this rule is worth."""
        return self.rule.points

    @property
    def score(self) -> int:
        """What this listing adds to the score: the weight if listed, otherwise nothing."""
        return self.rule.points if self.listed else 0

    @property
    def known(self) -> KnownList | None:
        """The list's entry in the catalogue: its name, policy page, removal page."""
        return self.rule.known

    @property
    def removal_page(self) -> str:
        """Where one asks to be taken off the list; empty if that is not known."""
        return self.known.removal_page if self.known is not None else ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON; keys are masked here, too."""
        return {
            "zone": self.zone,
            "rule": str(self.rule),
            "subject": self.subject,
            "result": self.result.value,
            "reason": self.reason.value,
            "detail": self.detail,
            "codes": list(self.codes),
            "matched": list(self.matched),
            "meanings": list(self.meanings),
            "text": self.text,
            "weight": self.weight,
            "score": self.score,
            "action": self.rule.action.value,
            "removal_page": self.removal_page,
        }

    def __str__(self) -> str:
        words = f"{self.zone}: {self.result.value}"
        if self.detail:
            words += f" ({self.detail})"
        return words + (f": {self.text}" if self.text else "")


class Judgment(NamedTuple):
    """What one answer says, before the reason is asked: the middle fields of a `Listing`."""

    result: Result
    reason: Reason
    detail: str = ""
    codes: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    meanings: tuple[str, ...] = ()


_NO_ENTRY = Judgment(Result.NOT_LISTED, Reason.NO_ENTRY, "no entry")
# The resolver's own words may hold the name that was asked, and so a key: they are not repeated.
_DNS_ERRORS = {
    Outcome.TIMED_OUT: Judgment(Result.TEMPERROR, Reason.TIMED_OUT, "no answer in time"),
    Outcome.SERVER_FAILURE: Judgment(Result.TEMPERROR, Reason.SERVER_FAILURE, "the list's servers fail"),
    Outcome.REFUSED: Judgment(Result.TEMPERROR, Reason.REFUSED_BY_SERVER, "the DNS refuses the question"),
}
_FOREIGN = "the answer is outside 127.0.0.0/8: this is no list, or no longer one"
_OTHER = "an entry, with a code that does not count here"
_UNNAMED = "a code whose meaning is not known: it counts where the rule names it"


def judge_answer(rule: Rule, answer: Answer) -> Judgment:
    """What the answer to the A question says, by the rule and by the list's table.

    RFC 5782 section 2.1: no record is no entry, and what a record holds is a code, never used as an address.
    """
    if not answer.records:
        return _DNS_ERRORS.get(answer.outcome, _NO_ENTRY)
    if len(answer.records) > _MAX_CACHED:
        return _judge.__wrapped__(rule, answer.addresses)
    return _judge(rule, answer.addresses)


_MAX_CACHED = 8


# Lists give the same few answers all day: ten listings take 115 us, without the cache 230 to 460.
@lru_cache(maxsize=1024)
def _judge(rule: Rule, answers: tuple[IPAddress, ...]) -> Judgment:
    addresses = sorted(answers)
    shown = _texts(addresses)
    ours = codes_of(addresses)
    errors = errors_of(rule, ours)
    if errors:
        # An answer that holds an error is believed in nothing: neither for nor against the subject.
        return Judgment(Result.REFUSED, Reason.ERROR_CODE, "; ".join(errors), shown, (), errors)
    if not ours:
        return Judgment(Result.NOT_LISTED, Reason.NOT_A_LIST, _FOREIGN, shown)
    matched = [code for code in ours if counts(rule, code)]
    meanings = meanings_of(rule, matched or ours)
    if not matched:
        detail = _OTHER if rule.filter is not None or _table(rule) else _UNNAMED
        return Judgment(Result.NOT_LISTED, Reason.OTHER_CODE, detail, shown, (), meanings)
    texts = _texts(matched)
    return Judgment(Result.LISTED, Reason.LISTED, "; ".join(meanings or texts), shown, texts, meanings)


def _texts(addresses: Sequence[IPAddress]) -> tuple[str, ...]:
    return tuple(map(str, addresses[:MAX_CODES]))


def codes_of(addresses: Iterable[IPAddress]) -> list[IPv4Address]:
    """The answers in 127.0.0.0/8 (RFC 5782 section 2.3), where all answers of lists are."""
    return [one for one in addresses if isinstance(one, IPv4Address) and int(one) >> 24 == 127]


def counts(rule: Rule, code: IPv4Address) -> bool:
    """Whether an answer (no error) makes a listing: by the rule's filter, else by the list's own table.

    Of a list without a table every answer does but 127.0.0.1, which filtering resolvers give for any name, and those
    in 127.0.4.0/24, where lists put a score: it may as well say something good. RFC 5782 section 6 says "any returned
    A record", section 2.3 leaves the meaning of values to each list.
    """
    if rule.filter is not None:
        return rule.filter.matches(code)
    if table := _table(rule):
        return any(entry.sense is rule.sense and entry.pattern.matches(code) for entry in table)
    return code != _LOCALHOST and int(code) >> 8 != _SCORES


_LOCALHOST = IPv4Address("127.0.0.1")
_SCORES = 0x7F0004  # 127.0.4.0/24


def errors_of(rule: Rule, codes: Iterable[IPv4Address]) -> tuple[str, ...]:
    """What those answers mean that are errors, by what all lists share and by the list's own table; each once."""
    found: dict[str, None] = {}
    for code in codes:
        # All of 127.255.255.0/24 is in the common table.
        table = COMMON_ERRORS if int(code) >> 8 == 0x7FFFFF else _table(rule)
        errors = [entry.meaning for entry in table if entry.is_error and entry.pattern.matches(code)]
        found |= dict.fromkeys(errors[:1])
    return tuple(found)


def meanings_of(rule: Rule, codes: Iterable[IPv4Address]) -> tuple[str, ...]:
    """What the answers mean by the list's table; each meaning once."""
    table = _table(rule)
    return tuple(dict.fromkeys(entry.meaning for code in codes for entry in table if entry.pattern.matches(code)))


def _table(rule: Rule) -> tuple[Code, ...]:
    return rule.known.codes if rule.known is not None else ()


_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


def safe_text(rule: Rule, texts: Iterable[bytes]) -> str:
    """The TXT records as one line of printable ASCII, at most `MAX_TEXT_CHARACTERS` long, keys masked."""
    # Cut first: whoever runs the list decides how much there is.
    parts: list[str] = []
    room = MAX_TEXT_CHARACTERS
    for octets in texts:
        if room <= 0:
            break
        text = re.sub(r"[\t\r\n]+", " ", octets[: 4 * MAX_TEXT_CHARACTERS].decode("utf-8", "replace"))
        part = rule.hide(" ".join(_UNPRINTABLE.sub("?", text).split()))[:room]
        if part:
            parts.append(part)
            room -= len(part) + len(_SEPARATOR)
    return _SEPARATOR.join(parts)


_SEPARATOR = " / "  # as Postfix joins them
