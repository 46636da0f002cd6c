"""Records beside authentication: TLS-RPT (RFC 8460), MTA-STS (RFC 8461) and BIMI, as they stand in the DNS.

The records alone: the policy file of MTA-STS, and the picture and certificate of BIMI, are not fetched.
"""

# RFC 8460 section 3:  tlsrpt-record = tlsrpt-version 1*(field-delim tlsrpt-field) [field-delim]
#                      tlsrpt-version = %s"v=TLSRPTv1";  field-delim = *WSP ";" *WSP;  rua = %s"rua=" URI *( "," URI )
# RFC 8461 section 3.1: sts-text-record = sts-version 1*(sts-field-delim sts-field) [sts-field-delim]
#                      sts-version = %s"v=STSv1";  sts-id = %s"id=" 1*32(ALPHA / DIGIT)
# BIMI (draft-brand-indicators-for-message-identification, section 4): v=BIMI1; l=URI; a=URI

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mailauth.domain.finding import Area, Finding, error, note, unknown, warning
from mailauth.mail.taglist import BadTagList
from mailauth.mail.taglist import parse as parse_tags
from mailauth.mail.text import printable
from mailauth.plan import Answer, Plan, Question, ask_all

MAX_RECORDS = 50
"""TXT records of one answer that are looked at."""

_BIMI_DRAFT = "draft-brand-indicators-for-message-identification section 4"


@dataclass(frozen=True, slots=True)
class TextRecord:
    """What stands at one name: the record, if there is exactly one, its tags, and what is wrong with it."""

    name: str  # where its readers look for it
    record: str | None = None  # None where there is none, where there are several, and where the DNS did not answer
    tags: dict[str, str] = field(default_factory=dict)  # empty where the record cannot be read
    findings: tuple[Finding, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether there is a record that its readers take."""
        return self.record is not None and not any(each.severity == "error" for each in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"name": self.name, "record": self.record, "tags": dict(self.tags), "valid": self.valid}


class _Kind(NamedTuple):
    """One of the three protocols."""

    area: Area
    version: str  # what a record begins with
    source: str
    absent: str  # what it is good for, where there is none
    example: str
    several: str  # what its readers do with more than one record
    judge: Callable[[str, dict[str, str]], Iterator[Finding]]


def tls_rpt(domain: str) -> Plan[TextRecord]:
    """A plan of the TLS-RPT record of a domain (RFC 8460 section 3)."""
    return _look(domain, f"_smtp._tls.{domain}", _TLS_RPT)


def mta_sts(domain: str) -> Plan[TextRecord]:
    """A plan of the MTA-STS record of a domain (RFC 8461 section 3.1), and whether the host of the policy has an
    address; the policy itself is not fetched."""
    found = yield from _look(domain, f"_mta-sts.{domain}", _MTA_STS)
    if found.record is None:
        return found
    host = f"mta-sts.{domain}"
    answers = yield from ask_all([Question(host, "A"), Question(host, "AAAA")])
    if any(answer.found for answer in answers):
        return found
    failed = next((answer for answer in answers if answer.failed), None)
    if failed is not None:
        more = unknown(Area.MTA_STS, host, failed.outcome, "the host of the policy")
    else:
        words = f"the host {host} has no address: senders cannot fetch the policy"
        advice = f"serve https://{host}/.well-known/mta-sts.txt"
        more = error("mta-sts.no-host", host, words, "RFC 8461 section 3.3", advice)
    return TextRecord(found.name, found.record, found.tags, (*found.findings, more))


def bimi(domain: str, selector: str = "default") -> Plan[TextRecord]:
    """A plan of the BIMI record of a domain. Whether its DMARC policy is strict enough is said by the caller."""
    return _look(domain, f"{selector}._bimi.{domain}", _BIMI)


def _look(domain: str, name: str, kind: _Kind) -> Plan[TextRecord]:
    answer, at_domain = yield from ask_all([Question(name, "TXT"), Question(domain, "TXT")])
    if answer.failed:
        return TextRecord(name, findings=(unknown(kind.area, name, answer.outcome, "the record"),))
    found = list(_foreign(name, answer, kind))
    own = [text for text in _texts(answer) if _begins(text, kind.version)]
    if any(_begins(text, kind.version) for text in _texts(at_domain)):
        words = f"a {kind.version} record stands at {domain}, where nobody looks for it"
        severe = warning if own else error
        found.append(severe(f"{kind.area}.misplaced", domain, words, kind.source, f"publish it at {name}"))
    if len(own) > 1:
        words = f"there are {len(own)} records: {kind.several}"
        found.append(error(f"{kind.area}.several-records", name, words, kind.source, "leave one"))
    if len(own) != 1:
        if not own:
            found.append(note(f"{kind.area}.none", name, kind.absent, kind.source, f"publish {kind.example}"))
        return TextRecord(name, findings=tuple(found))
    text = own[0]
    if _lacks_semicolon(text, kind):
        # What is missing is the semicolon, not the tag that nobody finds for want of it.
        return TextRecord(name, text, findings=tuple(found))
    tags = parse_tags(text.encode("utf-8", "replace"), allow_empty=True)
    if isinstance(tags, BadTagList):
        words = f"the record cannot be read: {tags.detail}"
        found.append(error(f"{kind.area}.syntax-error", name, words, kind.source, f"write it like {kind.example}"))
        return TextRecord(name, text, findings=tuple(found))
    values = {key.decode("ascii"): value.decode("utf-8", "replace") for key, value in tags.items()}
    return TextRecord(name, text, values, (*found, *kind.judge(name, values)))


def _texts(answer: Answer) -> list[str]:
    return [octets.decode("utf-8", "replace") for octets in answer.texts[:MAX_RECORDS]] if answer.found else []


def _begins(text: str, version: str) -> bool:
    """Whether a text is meant as such a record, in whatever case and with whatever blanks."""
    return re.match(rf"\s*{re.escape(version)}(?![0-9A-Za-z])", text, re.IGNORECASE) is not None


def _lacks_semicolon(text: str, kind: _Kind) -> bool:
    """Whether something stands between the version and the first semicolon: the tag behind it is lost."""
    rest = text.lstrip()[len(kind.version) :].strip()
    return rest != "" and not rest.startswith(";")


def _foreign(name: str, answer: Answer, kind: _Kind) -> Iterator[Finding]:
    for text in _texts(answer):
        shown = printable(text, 60)
        if not _begins(text, kind.version):
            words = f"another TXT record stands at {name}: {shown!r}"
            advice = "take it out; where it is a wildcard's, give this name a record of its own"
            yield warning(f"{kind.area}.other-text", name, words, kind.source, advice)
        elif not text.startswith(kind.version) or _lacks_semicolon(text, kind):
            words = f'the record does not begin with "{kind.version};", to the letter: {shown!r}'
            yield error(f"{kind.area}.bad-version", name, words, kind.source, f"write it like {kind.example}")


# --- TLS-RPT ------------------------------------------------------------------------------------------------------

_URI = re.compile(r"(?:mailto:[^@\s,!]+@[^@\s,!]+|https://[^\s,!/][^\s,!]*)\Z", re.IGNORECASE)


def _judge_tls_rpt(name: str, tags: dict[str, str]) -> Iterator[Finding]:
    source = "RFC 8460 section 3"
    if "rua" not in tags:
        advice = "add rua=mailto:ADDRESS"
        yield error("tls-rpt.no-destination", name, "rua= is missing: reports have nowhere to go", source, advice)
        return
    for uri in tags["rua"].split(",")[:MAX_RECORDS]:
        uri = uri.strip(" \t")
        if not _URI.match(uri):
            words = f"rua= has {printable(uri, 60)!r}, which is no mailto: or https: URI"
            advice = (
                f"write mailto:{printable(uri, 60)}"
                if "@" in uri and ":" not in uri
                else "write a mailto: or https: URI"
            )
            yield error("tls-rpt.bad-uri", name, words, source, advice)
    yield from _unknown_tags(name, tags, {"v", "rua"}, Area.TLS_RPT, source)


def _unknown_tags(name: str, tags: dict[str, str], known: set[str], area: Area, source: str) -> Iterator[Finding]:
    for tag in list(tags)[:MAX_RECORDS]:
        if tag not in known:
            words = f"{printable(tag, 20)}= is not known and does nothing"
            yield note(f"{area}.unknown-tag", name, words, source, "leave it out")


_TLS_RPT = _Kind(
    Area.TLS_RPT,
    "v=TLSRPTv1",
    "RFC 8460 section 3",
    "no TLS-RPT record: nobody reports connections whose TLS fails",
    '"v=TLSRPTv1; rua=mailto:ADDRESS"',
    "senders act as if there was none",
    _judge_tls_rpt,
)


# --- MTA-STS ------------------------------------------------------------------------------------------------------


def _judge_mta_sts(name: str, tags: dict[str, str]) -> Iterator[Finding]:
    source = "RFC 8461 section 3.1"
    advice = "add id= with up to 32 letters and digits, such as the date, and change it with each change of the policy"
    if "id" not in tags:
        yield error("mta-sts.no-id", name, "id= is missing: senders ignore the record", source, advice)
    elif not re.fullmatch(r"[A-Za-z0-9]{1,32}", tags["id"]):
        words = f"id={printable(tags['id'], 40)} is not 1 to 32 letters and digits"
        yield error("mta-sts.bad-id", name, words, source, advice)
    yield from _unknown_tags(name, tags, {"v", "id"}, Area.MTA_STS, source)


_MTA_STS = _Kind(
    Area.MTA_STS,
    "v=STSv1",
    "RFC 8461 section 3.1",
    "no MTA-STS record: senders may deliver without TLS, or to a false host",
    '"v=STSv1; id=20261129"',
    "senders act as if there was none",
    _judge_mta_sts,
)


# --- BIMI ---------------------------------------------------------------------------------------------------------


def _judge_bimi(name: str, tags: dict[str, str]) -> Iterator[Finding]:
    picture = tags.get("l")
    if picture is None:
        words = "l= is missing: there is no picture to show"
        yield error("bimi.no-picture", name, words, _BIMI_DRAFT, "add l=https://.../logo.svg")
    elif picture and not picture.lower().startswith("https://"):
        words = f"l={printable(picture, 60)} is no https: URI"
        yield error("bimi.bad-uri", name, words, _BIMI_DRAFT, "serve the picture by https:")
    elif picture and not re.search(r"\.svgz?\Z", picture.partition("?")[0], re.IGNORECASE):
        words = f"l={printable(picture, 60)} does not end in .svg: pictures are SVG Tiny PS"
        yield warning("bimi.not-svg", name, words, _BIMI_DRAFT, "serve an SVG of the profile Tiny PS")
    elif not picture:
        words = "l= is empty: the domain declines to have a picture shown"
        yield note("bimi.declined", name, words, _BIMI_DRAFT)
    evidence = tags.get("a", "")
    if evidence and evidence.lower() != "self" and not evidence.lower().startswith("https://"):
        words = f"a={printable(evidence, 60)} is no https: URI"
        yield error("bimi.bad-evidence", name, words, _BIMI_DRAFT, "serve the certificate by https:")
    elif picture and not evidence:
        words = "a= is missing: Gmail and Apple show a picture only with a certificate (VMC or CMC)"
        yield note("bimi.no-certificate", name, words, _BIMI_DRAFT, "add a=https://.../certificate.pem")
    yield from _unknown_tags(name, tags, {"v", "l", "a", "s", "avp", "lps"}, Area.BIMI, _BIMI_DRAFT)


_BIMI = _Kind(
    Area.BIMI,
    "v=BIMI1",
    _BIMI_DRAFT,
    "no BIMI record: no picture is shown beside the domain's mail",
    '"v=BIMI1; l=https://.../logo.svg; a=https://.../certificate.pem", if you want one',
    "receivers show nothing",
    _judge_bimi,
)
