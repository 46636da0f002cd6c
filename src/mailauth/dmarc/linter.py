"""Advice on DMARC records: `lint` for a domain, its DNS and the destinations of its reports, or for a record's text.

What receivers do stands in evaluate.py; here is what an author most likely meant. The work is bounded: one walk, and
one question for each destination.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from mailauth.dmarc.destinations import host_of, plain_address, verify_destinations
from mailauth.dmarc.record import Alignment, DmarcRecord, DmarcRecordError, Policy, Psd, parse_record
from mailauth.dmarc.walk import MAX_RECORDS, Visit, Walk, question_at, visit, walk_from, walk_names
from mailauth.mail.names import is_fqdn, to_ascii
from mailauth.mail.text import printable
from mailauth.plan import Plan, Question, ask_all


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"  # receivers ignore the record, or send no reports
    WARNING = "warning"  # it works, but most likely not as it was meant
    NOTE = "note"  # nothing goes wrong; it may be done better, or is good to know


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a record: how bad it is, a stable code, words, and what to write in its place."""

    severity: Severity
    code: str
    words: str
    proposal: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "severity": self.severity.value,
            "code": self.code,
            "words": self.words,
            "proposal": self.proposal,
        }


@dataclass(frozen=True, slots=True)
class LintReport:
    """What was found about a domain, or about the text of a record (`domain` is None).

    `record` is the record that stands at the domain, `walk` how it was looked for.
    """

    domain: str | None
    record: DmarcRecord | None
    findings: tuple[Finding, ...]  # the worst first
    walk: Walk | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "domain": self.domain,
            "record": None if self.record is None else str(self.record),
            "findings": [finding.to_dict() for finding in self.findings],
            "ok": self.ok,
            "walk": [] if self.walk is None else [visit.to_dict() for visit in self.walk.visits],
        }


def lint(what: str) -> Plan[LintReport]:
    """A plan that looks for what is wrong or unwise; `what` is a domain, or the text of a record.

    Raises `ValueError` for what is neither.
    """
    if "=" in what or ";" in what:
        return _lint_text(what)
    domain = to_ascii(what.removeprefix("_dmarc."))
    if domain is None or not is_fqdn(domain):
        raise ValueError(f"neither a domain nor a record: {printable(what, 80)!r}")
    return _lint_domain(domain)


def _lint_text(text: str) -> Plan[LintReport]:
    yield from ()
    try:
        record = DmarcRecord.parse(text)
    except DmarcRecordError as error:
        return LintReport(None, None, (Finding(Severity.ERROR, "no-record", str(error)),))
    return LintReport(None, record, tuple(_of_record(record)))


def _lint_domain(domain: str) -> Plan[LintReport]:
    # In one round: the walk, and the places where records end up that were meant for _dmarc.
    elsewhere = [Question(domain, "TXT"), Question(f"_dmarc.{domain}.{domain}", "TXT")]
    names = walk_names(domain)
    answers = yield from ask_all([*map(question_at, names), *elsewhere])
    visits = {name: visit(name, answer) for name, answer in zip(names, answers, strict=False)}
    found = walk_from(domain, visits)
    findings = list(_of_place(found))
    record = found.own_record
    for question, answer in zip(elsewhere, answers[len(names) :], strict=True):
        if answer.found and any(parse_record(text) is not None for text in answer.texts):
            severity = Severity.ERROR if record is None else Severity.WARNING
            words = f"a DMARC record stands at {question.name}, where nobody looks for it"
            findings.append(Finding(severity, "misplaced", words, f"publish it at _dmarc.{domain}"))
    if record is not None:
        findings += _of_record(record)
        findings += _of_inheritance(record, found)
        findings += yield from _destinations(record, found)
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    return LintReport(domain, record, tuple(findings), found)


def _of_place(found: Walk) -> Iterator[Finding]:
    """What the walk says of the domain."""
    first, at = found.visits[0], question_at(found.start).name
    for each in found.visits if first.record is None else ():
        if each.why not in ("", "no-record"):
            name = question_at(each.name).name
            words = f"{name} {each.words}" if each.why == "dns-error" else f"{name} has {each.words}"
            if each.why in ("duplicate-tag", "too-long"):
                words = f"{name} is ignored: {each.words}"
            yield Finding(Severity.ERROR, each.why, words, "leave one" if each.why == "several-records" else "")
    if first.why == "no-record" and first.answer.found:
        yield _other_text(at, first)
    if first.record is None and found.failed is None:
        yield _inherited(found)
    # RFC 9989 sections 5.2 and 11.8
    top = found.organizational_domain
    if top is not None and "." not in top and found.start != top:
        words = (
            f"the record at the top-level domain {top} has no psd=y, and makes it one organization with all below it"
        )
        yield Finding(Severity.WARNING, "top-level-record", words)


_AROUND = "\\\"';:,. \t"
_NEARLY = re.compile(rb"[\s\"']*v\s*=\s*DMARC1(?![0-9A-Za-z])", re.IGNORECASE)


def _other_text(at: str, first: Visit) -> Finding:
    """TXT records, but none that a receiver takes for one of DMARC; perhaps one that was meant to be."""
    for octets in first.answer.texts[:MAX_RECORDS]:
        nearly = _NEARLY.match(octets)
        if nearly is not None:
            shown = printable(octets.decode("utf-8", "replace"), 80)
            words = f'{at} is ignored: it does not begin with "v=DMARC1;", to the letter: {shown!r}'
            rest = octets[nearly.end() :].decode("utf-8", "replace").replace("\\;", ";")
            repaired = f"v=DMARC1; {rest.strip(_AROUND)}"
            # RFC 9989 section 4.8: a value is of printable ASCII.
            writable = repaired.isascii() and repaired.isprintable()
            sound = writable and isinstance(parse_record(repaired.encode()), DmarcRecord)
            return Finding(Severity.ERROR, "nearly", words, f"{at}. TXT {_strings(repaired)}" if sound else "")
    return Finding(Severity.WARNING, "other-text", f"{at} has TXT records, but none that begins with v=DMARC1")


def _inherited(found: Walk) -> Finding:
    """What applies to a domain without a record that counts."""
    organizational, suffix = found.organizational_domain, found.public_suffix
    inherited = None if organizational is None else found.record_at(organizational)
    if inherited is not None:
        words = f"no record of its own: that of {organizational} applies ({_policy_words(inherited)})"
        return Finding(Severity.NOTE, "inherited", words)
    if suffix is not None and suffix.record is not None:
        words = f"no record of its own: that of public suffix {suffix.name} applies ({_policy_words(suffix.record)})"
        return Finding(Severity.WARNING, "inherited-from-suffix", words)
    proposal = "" if found.visits[0].why != "no-record" else f'_dmarc.{found.start}. TXT "v=DMARC1; p=none"'
    return Finding(Severity.ERROR, "no-record", f"no DMARC record applies to {found.start}", proposal)


def _policy_words(record: DmarcRecord) -> str:
    tag, policy = record.policy_for_subdomains(exists=True)
    return "no usable policy" if policy is None else f"{tag}={policy}"


_PROBLEMS = {
    "bad-value": (Severity.ERROR, ""),
    "no-policy": (Severity.ERROR, "p=none"),
    "bad-uri": (Severity.ERROR, ""),
    "bad-tag": (Severity.WARNING, ""),
    "unknown-tag": (Severity.WARNING, ""),
    "capitals": (Severity.WARNING, ""),
    "removed-tag": (Severity.NOTE, "leave it out"),
    "useless-tag": (Severity.NOTE, "leave it out"),
    "obsolete-size": (Severity.NOTE, "leave the size out"),
    "empty-tag": (Severity.NOTE, ""),
}


def _of_record(record: DmarcRecord) -> Iterator[Finding]:
    """What the text says."""
    for problem in record.problems:
        severity, proposal = _PROBLEMS[problem.code]
        yield Finding(severity, problem.code, problem.words, proposal)
    ranks = list(Policy)
    p = record.p
    if p is None:
        yield Finding(Severity.ERROR, "no-dmarc", "receivers act as if there was no record (RFC 9989 section 4.10.1)")
        return
    for tag, other in (("sp", record.sp), ("np", record.np)):
        if other is not None and ranks.index(other) < ranks.index(p):
            words = f"{tag}={other} protects subdomains less than p={p} does the domain"
            yield Finding(Severity.WARNING, "weaker-subdomains", words)
    if p is Policy.NONE and record.sp not in (None, Policy.NONE):
        words = f"p=none leaves the domain itself open, while sp={record.sp} protects its subdomains"
        yield Finding(Severity.WARNING, "weaker-domain", words)
    if not record.rua:
        words = "no rua=: nobody sends reports, so it cannot be seen what fails"
        yield Finding(Severity.WARNING if p is Policy.NONE else Severity.NOTE, "no-reports", words)
    if record.t:
        level = p.one_level_less
        words = (
            f"t=y: receivers are asked to act as for {level}" if level is not p else "t=y does nothing beside p=none"
        )
        yield Finding(Severity.NOTE, "test-mode", words)
    if record.psd is Psd.YES:
        words = "psd=y says that this is a public suffix: only registries publish it"
        yield Finding(Severity.WARNING, "public-suffix", words)
        if record.ruf:
            # RFC 9989 section 10.2: a MUST NOT where many organizations stand below it.
            words = "ruf= beside psd=y: failure reports would show the mail of other organizations"
            yield Finding(Severity.WARNING, "suffix-failure-reports", words, "leave ruf= out")
    for tag, mode, what in (("adkim", record.adkim, "d="), ("aspf", record.aspf, "MAIL FROM")):
        if mode is Alignment.STRICT:
            words = f"{tag}=s: mail whose {what} is a subdomain, as many bulk senders have it, is not aligned"
            yield Finding(Severity.NOTE, "strict", words)


def _of_inheritance(record: DmarcRecord, found: Walk) -> Iterator[Finding]:
    """Tags that nobody inherits."""
    top = found.organizational_domain
    if top not in (None, found.start) and (record.sp is not None or record.np is not None):
        words = f"sp= and np= do nothing here: subdomains inherit from {top}, the organizational domain"
        yield Finding(Severity.WARNING, "not-inherited", words)


def _destinations(record: DmarcRecord, found: Walk) -> Plan[list[Finding]]:
    """RFC 9990 section 4: receivers send no reports to another organization that did not agree."""
    hosts = {uri: host_of(uri) for uri in (*record.rua, *record.ruf)}
    findings = [
        Finding(Severity.ERROR, "no-host", f"{printable(uri, 80)} names no host that reports could go to")
        for uri, host in hosts.items()
        if host is None
    ]
    others = [host for host in hosts.values() if host not in (None, found.start)]
    if not others:
        return findings
    verified = yield from verify_destinations(found.start, others, found)
    for host, destination in verified.items():
        name = f"{found.start}._report._dmarc.{host}"
        if destination.agreed is None:
            words = f"a DNS error hides whether {host} takes reports about {found.start} ({name})"
            findings.append(Finding(Severity.WARNING, "dns-error", words))
        elif not destination.agreed:
            words = f"{host} has not agreed to take reports about {found.start}: receivers send none there"
            findings.append(Finding(Severity.ERROR, "not-authorised", words, f'{name}. TXT "v=DMARC1"'))
    return findings


def build_record(
    *,
    p: str = "none",
    sp: str | None = None,
    np: str | None = None,
    adkim: str = "r",
    aspf: str = "r",
    psd: str = "u",
    t: bool = False,
    rua: list[str] | tuple[str, ...] = (),
    ruf: list[str] | tuple[str, ...] = (),
    fo: str = "0",
) -> DmarcRecord:
    """A valid record from its parts (RFC 9989 section 4.7); an address in `rua` or `ruf` becomes a mailto URI.

    Raises `ValueError`.
    """
    tags = {"p": p, "sp": sp, "np": np, "adkim": adkim, "aspf": aspf, "psd": psd, "t": "y" if t else "n"}
    for name, uris in (("rua", rua), ("ruf", ruf)):
        tags[name] = ",".join(uri if ":" in uri else _mailto(uri) for uri in uris) or None
    if ruf:
        tags["fo"] = fo
    elif fo != "0":
        raise ValueError("fo= does nothing without ruf=")
    for name, value in tags.items():
        if value is not None and ";" in value:
            raise ValueError(f"{name}= cannot hold ';': {printable(value, 80)!r}")
    record = DmarcRecord.parse("; ".join(["v=DMARC1", *[f"{name}={value}" for name, value in tags.items() if value]]))
    if record.problems:
        raise ValueError("; ".join(problem.words for problem in record.problems))
    return record


def _mailto(text: str) -> str:
    """The URI of an address; what would end it in a record is written as %XX (RFC 9989 section 4.8, RFC 6068)."""
    address = plain_address(text)
    if address is None:
        raise ValueError(f"neither an address nor a URI: {printable(text, 80)!r}")
    return f"mailto:{quote(address, safe='@+')}"


def zone_line(domain: str, record: DmarcRecord, ttl: int = 3600) -> str:
    """A line for a zone file. Raises `ValueError` for anything that is not a domain."""
    name = to_ascii(domain)
    if name is None or not is_fqdn(name):
        raise ValueError(f"not a domain: {printable(domain, 80)!r}")
    return f"_dmarc.{name}. {ttl} IN TXT {_strings(str(record))}"


def _strings(text: str) -> str:
    """A text as the strings of a TXT record in a zone file, each of at most 255 octets (RFC 1035 section 5.1)."""
    parts = (text[start : start + 255] for start in range(0, len(text), 255))
    return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
