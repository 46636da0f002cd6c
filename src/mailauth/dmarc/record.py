"""DMARC records: `DmarcRecord.parse`, and the cached parser of the evaluation (RFC 9989 sections 4.7 and 4.8).

A record as a value; what was wrong with its text stands beside it. Nothing here asks the DNS.
"""

# RFC 9989 section 4.8:
#   dmarc-record  = dmarc-version *(dmarc-sep dmarc-tag) [dmarc-sep]
#   dmarc-version = "v" equals %s"DMARC1"                    dmarc-sep = *WSP ";" *WSP      equals = *WSP "=" *WSP
#   dmarc-tag     = 1*ALPHA equals 1*dmarc-value             dmarc-value = %x20-3A / %x3C-7E
#
# SECURITY: records are written by whoever owns the domain in From. Parsing is one pass, linear; lists are bounded.

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from mailauth import MailAuthError
from mailauth.mail.text import printable

MAX_RECORD_OCTETS = 16 * 1024
"""A longer text is no record; real ones have less than 500 octets."""

MAX_URIS = 50
"""Reporting URIs that are read of one tag."""


class Policy(StrEnum):
    """What a domain's owner asks receivers to do with mail that fails, in rising order (RFC 9989 section 4.7, p=)."""

    NONE = "none"  # nothing: the owner only watches, by the reports
    QUARANTINE = "quarantine"  # treat it as suspicious
    REJECT = "reject"  # refuse it during the SMTP transaction

    @property
    def one_level_less(self) -> Policy:
        """What t=y makes of it (RFC 9989 section 4.7, t=)."""
        return Policy.QUARANTINE if self is Policy.REJECT else Policy.NONE


class Alignment(StrEnum):
    """How an identifier has to match (RFC 9989 section 4.4)."""

    RELAXED = "r"  # the organizational domains are the same
    STRICT = "s"  # the domains themselves are the same


class Psd(StrEnum):
    """What a domain says of its place (RFC 9989 section 4.7, psd=)."""

    YES = "y"  # a public suffix
    NO = "n"  # an organizational domain
    UNKNOWN = "u"  # it does not say (the default)


class RecordProblem(NamedTuple):
    """One thing that is wrong with a record: a stable code, the tag, and words."""

    code: str
    tag: str  # "" for text without a tag name, and for the record as a whole
    words: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return self._asdict()


class DmarcRecordError(MailAuthError, ValueError):
    """The text is no DMARC record: it does not begin with ``v=DMARC1``, is too long, or has a tag twice."""


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """A DMARC policy record. Immutable; ``DmarcRecord.parse(str(record)) == record``.

    Values that cannot be read stand at their defaults (RFC 9989 section 4.8). `p` is None where section 4.10.1 says
    that no DMARC processing applies: p= is missing or bad, or sp= or np= is bad, and no reporting URI is usable. With
    one, such a record stands for ``p=none``. `problems` says what was wrong with the text, removed tags included.
    """

    p: Policy | None = None
    sp: Policy | None = None  # for subdomains that have no record; None: `p` is for them, too
    np: Policy | None = None  # for subdomains that do not exist; None: `sp`, or else `p`, is for them
    adkim: Alignment = Alignment.RELAXED  # how d= of a signature has to match the author's domain
    aspf: Alignment = Alignment.RELAXED  # how the domain of MAIL FROM has to match it
    psd: Psd = Psd.UNKNOWN
    t: bool = False  # test mode: the owner asks for one level less than the policy
    rua: tuple[str, ...] = ()  # URIs for aggregate reports: the valid ones, 50 at most, without size limits
    ruf: tuple[str, ...] = ()  # the same for failure reports
    fo: tuple[str, ...] = ("0",)  # when failure reports are wanted: "0" or "1", "d", "s" (RFC 9989 section 4.7, fo=)
    problems: tuple[RecordProblem, ...] = field(default=(), compare=False)

    @staticmethod
    def parse(text: str | bytes) -> DmarcRecord:
        """The record that `text` is. Raises `DmarcRecordError` for what a receiver discards."""
        octets = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        record = _parse(octets)
        if record is None:
            raise DmarcRecordError('a record begins with "v=DMARC1", followed by ";" or nothing')
        if isinstance(record, RecordProblem):
            raise DmarcRecordError(record.words)
        return record

    def policy_for_subdomains(self, exists: bool) -> tuple[str, Policy | None]:
        """The tag that applies to a subdomain, and its policy (RFC 9989 section 4.10.1)."""
        if not exists and self.np is not None:
            return "np", self.np
        return ("sp", self.sp) if self.sp is not None else ("p", self.p)

    def __str__(self) -> str:
        tags: list[tuple[str, str | None]] = [("p", self.p), ("sp", self.sp), ("np", self.np)]
        if self.adkim is not Alignment.RELAXED:
            tags.append(("adkim", self.adkim))
        if self.aspf is not Alignment.RELAXED:
            tags.append(("aspf", self.aspf))
        if self.psd is not Psd.UNKNOWN:
            tags.append(("psd", self.psd))
        values = [f"{name}={value}" for name, value in tags if value is not None]
        if self.t:
            values.append("t=y")
        values += [f"{name}={','.join(uris)}" for name, uris in (("rua", self.rua), ("ruf", self.ruf)) if uris]
        if self.fo != ("0",):
            values.append(f"fo={':'.join(self.fo)}")
        return "; ".join(["v=DMARC1", *values])

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values, by tag."""
        return {
            "p": self.p and self.p.value,
            "sp": self.sp and self.sp.value,
            "np": self.np and self.np.value,
            "adkim": self.adkim.value,
            "aspf": self.aspf.value,
            "psd": self.psd.value,
            "t": "y" if self.t else "n",
            "rua": list(self.rua),
            "ruf": list(self.ruf),
            "fo": ":".join(self.fo),
            "problems": [problem.to_dict() for problem in self.problems],
        }


# RFC 9989 section 4.7: a record whose first tag is not v=DMARC1, to the letter, is ignored as a whole.
_VERSION = re.compile(rb"[vV][ \t]*+=[ \t]*+DMARC1[ \t]*+(?:;|\Z)")
_ALPHA = re.compile(r"[A-Za-z]+\Z")
_SIZE = re.compile(r"![0-9]+[kmgt]?\Z", re.IGNORECASE)
# RFC 3986, as far as it takes: a scheme, and characters of a URI without the "," and "!" that RFC 9989 wants encoded.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:(?:[A-Za-z0-9._~:/?#\[\]@$&'()*+;=-]|%[0-9A-Fa-f]{2})++\Z")
_MAILTO = re.compile(r"mailto:[^@?]+@[^@?]+(?:\?.*)?\Z", re.IGNORECASE)
_KNOWN = frozenset({"v", "p", "sp", "np", "adkim", "aspf", "psd", "t", "rua", "ruf", "fo"})
_REMOVED = frozenset({"pct", "rf", "ri"})  # RFC 9989 section 9.3: historic
_FO = frozenset({"0", "1", "d", "s"})


def _parse(octets: bytes) -> DmarcRecord | RecordProblem | None:
    if len(octets) > MAX_RECORD_OCTETS:
        words = f"the record has more than {MAX_RECORD_OCTETS} octets"
        return RecordProblem("too-long", "", words) if _VERSION.match(octets) else None
    version = _VERSION.match(octets)
    if version is None:
        return None
    tags = _Tags()
    for word in octets[version.end() :].decode("latin-1").split(";"):
        problem = tags.take(word.strip(" \t"))
        if problem is not None:
            return problem
    return tags.record()


class _Tags:
    """The tags of one record on their way to a `DmarcRecord`."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.problems: list[RecordProblem] = []
        self.empty = False

    def complain(self, code: str, tag: str, words: str) -> None:
        self.problems.append(RecordProblem(code, tag, words))

    def take(self, word: str) -> RecordProblem | None:
        """Read one tag; a problem that makes the whole record unusable is returned."""
        if not word:
            if self.empty:
                self.complain("empty-tag", "", 'nothing stands between two ";"')
            self.empty = True
            return None
        if self.empty:
            self.complain("empty-tag", "", 'nothing stands between two ";"')
            self.empty = False
        written, equals, value = word.partition("=")
        written, value = written.rstrip(" \t"), value.lstrip(" \t")
        name = written.lower()
        if not equals or not _ALPHA.match(written):
            self.complain("bad-tag", "", f"{printable(word, 40)!r} is no tag")
            return None
        if name not in _KNOWN:
            if name in _REMOVED:
                self.complain("removed-tag", name, f"{name}= was removed by RFC 9989 and does nothing")
            else:
                self.complain("unknown-tag", name[:20], f"{printable(written, 20)}= is not known and does nothing")
            return None
        if name in self.values or name == "v":
            # RFC 6376 section 3.2, to which RFC 9989 section 4.7 points: the entire tag-list is invalid.
            return RecordProblem("duplicate-tag", name, f"{name}= stands twice: the whole record is invalid")
        if written != name:
            self.complain("capitals", name, f"tags are written in lower case: {name}=")
        self.values[name] = value
        return None

    def choice(self, name: str, choices: dict[str, Any], default: Any) -> Any:
        value = self.values.get(name)
        if value is None:
            return default
        if value.lower() in choices:
            return choices[value.lower()]
        self.complain("bad-value", name, f"{name}={printable(value, 40)} is not one of {', '.join(choices)}")
        return default

    def record(self) -> DmarcRecord:
        p, sp, np = (self.choice(name, _POLICIES, None) for name in ("p", "sp", "np"))
        rua, ruf = self.uris("rua"), self.uris("ruf")
        if p is None or any(problem.code == "bad-value" for problem in self.problems):
            # RFC 9989 section 4.10.1
            if "p" not in self.values:
                self.complain("no-policy", "p", "p= is missing")
            p, sp, np = (Policy.NONE if rua else None), None, None
        fo = self.failure_options()
        if not ruf:
            # RFC 9989 section 4.7: the content of fo= is ignored without ruf=.
            fo = ("0",)
            if "fo" in self.values and "ruf" not in self.values:
                self.complain("useless-tag", "fo", "fo= does nothing without ruf=")
        return DmarcRecord(
            p=p,
            sp=sp,
            np=np,
            adkim=self.choice("adkim", _ALIGNMENTS, Alignment.RELAXED),
            aspf=self.choice("aspf", _ALIGNMENTS, Alignment.RELAXED),
            psd=self.choice("psd", _PSDS, Psd.UNKNOWN),
            t=self.choice("t", {"y": True, "n": False}, False),
            rua=rua,
            ruf=ruf,
            fo=fo,
            problems=tuple(self.problems),
        )

    def uris(self, name: str) -> tuple[str, ...]:
        value = self.values.get(name)
        if value is None:
            return ()
        found = []
        for part in value.split(",", MAX_URIS)[:MAX_URIS]:
            uri = part.strip(" \t")
            if _SIZE.search(uri):
                self.complain("obsolete-size", name, f"{printable(uri, 60)}: the size limit is ignored since RFC 9989")
                uri = _SIZE.sub("", uri)
            if _URI.match(uri) and (not uri.lower().startswith("mailto:") or _MAILTO.match(uri)):
                found.append(uri)
            else:
                hint = "; an address is written mailto:..." if "@" in uri and ":" not in uri else ""
                self.complain("bad-uri", name, f"{name}= has {printable(uri, 60)!r}, which is no reporting URI{hint}")
        return tuple(dict.fromkeys(found))

    def failure_options(self) -> tuple[str, ...]:
        value = self.values.get("fo")
        if value is None:
            return ("0",)
        options = tuple(option.strip(" \t") for option in value.lower().split(":", 4))
        if set(options) <= _FO and len(set(options)) == len(options) and not {"0", "1"} <= set(options):
            return options
        self.complain("bad-value", "fo", f"fo={printable(value, 40)} is no list of 0, 1, d and s")
        return ("0",)


_POLICIES = {policy.value: policy for policy in Policy}
_ALIGNMENTS = {alignment.value: alignment for alignment in Alignment}
_PSDS = {psd.value: psd for psd in Psd}
_known_record = lru_cache(maxsize=1024)(_parse)  # a busy sender's record is asked again and again
_MAX_CACHED_OCTETS = 1024


def parse_record(octets: bytes) -> DmarcRecord | RecordProblem | None:
    """One TXT record, its strings joined (RFC 9989 section 4.5): a DMARC record, why it is unusable, or None.

    None: a record of something else, which is discarded (section 4.10 step 2).
    """
    return _known_record(octets) if len(octets) <= _MAX_CACHED_OCTETS else _parse(octets)
