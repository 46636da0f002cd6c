"""Aggregate reports (RFC 9990, RFC 9989 section 8): results by policy domain and day, the XML, and the mail with it.

`row_of` makes of one result what a report says of it; a `ReportStore` (`mailauth.stores.open_report_store`) counts
equal rows; `make_report` writes the mail. Nothing is sent, and nothing is read: reports of others are parsedmarc's job.
"""

# SECURITY: rows hold what peers sent (domains, selectors). They are bounded in length and number, and the XML has no
# control characters, whatever a peer sent. Addresses of recipients come from whoever owns the domain in From: what is
# no plain address is passed over, and the fields of the mail are written here, not parsed and folded by a library.

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256
from typing import Any, NamedTuple, Protocol
from xml.etree import ElementTree

from mailauth.dmarc.destinations import mailto_address, plain_address, verify_destinations
from mailauth.dmarc.record import Policy
from mailauth.dmarc.result import DmarcResult, Identifier, Override, OverrideType, Result
from mailauth.mail.names import is_hostname, to_ascii
from mailauth.mail.text import printable
from mailauth.plan import MAX_NAME_OCTETS, IPAddress, Plan

NAMESPACE = "urn:ietf:params:xml:ns:dmarc-2.0"
DAY = 86_400
FOLD = "\r\n "
MAX_SIGNATURES = 100
"""Signatures in one row (RFC 9990 section 3.1.3)."""

MAX_SIGNATURE_CHARACTERS = 2048
"""Of domains and selectors of the signatures in one row, which a peer chooses; a signature has some forty."""

MAX_ROWS = 10_000
"""Different rows of one policy domain and day: whoever sends mail chooses what is in them."""

MAX_DESTINATIONS = 5
"""Addresses that one report goes to (RFC 9990 section 3.5: "up to the Receiver's limits on supported URIs"; two
at least: RFC 9989 appendix C.7)."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a policy domain asks for, as `policy_published` has it, and where reports go."""

    domain: str
    p: str
    sp: str | None
    np: str | None
    adkim: str
    aspf: str
    fo: str
    testing: str
    rua: tuple[str, ...]
    errors: tuple[str, ...] = ()  # what is wrong with the record, in words (section 3.1.5)

    def to_json(self) -> str:
        """As one line."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=True)

    @staticmethod
    def from_json(text: str) -> Published:
        """What `to_json` wrote."""
        values = json.loads(text)
        return Published(**{**values, "rua": tuple(values["rua"]), "errors": tuple(values["errors"])})


@dataclass(frozen=True, slots=True)
class Row:
    """What a report says of messages that are alike."""

    source_ip: str
    disposition: str  # "none" | "pass" | "quarantine" | "reject"
    dkim: str  # "pass" | "fail": aligned or not
    spf: str
    header_from: str
    envelope_from: str | None = None
    reasons: tuple[tuple[str, str], ...] = ()  # type and comment
    dkim_results: tuple[tuple[str, str, str], ...] = ()  # domain, selector, result
    spf_result: tuple[str, str] | None = None  # domain, result

    def to_json(self) -> str:
        """As one line; equal rows have equal lines."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=True)

    @staticmethod
    def from_json(text: str) -> Row:
        """What `to_json` wrote."""
        values = json.loads(text)
        for name in ("reasons", "dkim_results"):
            values[name] = tuple(map(tuple, values[name]))
        values["spf_result"] = None if values["spf_result"] is None else tuple(values["spf_result"])
        return Row(**values)


class ReportStore(Protocol):
    """Counts rows by day (days since the epoch, UTC) and policy domain. Methods may raise what their driver does."""

    def add(self, day: int, published: Published, row: Row) -> None:
        """Count one message. A domain that has `MAX_ROWS` different rows for the day takes no further ones."""

    def domains(self, day: int) -> list[Published]:
        """The policy domains of a day, with what they published last."""

    def rows(self, day: int, domain: str) -> list[tuple[Row, int]]:
        """The rows of a domain, each with the number of messages."""

    def forget(self, before: int) -> None:
        """Drop all days before this one."""

    def close(self) -> None:
        """Let go of what is open."""


def published_of(result: DmarcResult) -> Published | None:
    """What is reported to; None where nobody asks for it (RFC 9989 section 4.7) or none may be sent (RFC 9990, 3.4)."""
    record = result.record
    if record is None or not record.rua or record.p is None or result.policy_domain is None:
        return None
    if result.result not in (Result.PASS, Result.FAIL):
        return None
    return Published(
        domain=result.policy_domain,
        p=record.p.value,
        sp=None if record.sp is None else record.sp.value,
        np=None if record.np is None else record.np.value,
        adkim=record.adkim.value,
        aspf=record.aspf.value,
        fo=":".join(record.fo),
        testing="y" if record.t else "n",
        rua=record.rua,
        errors=tuple(problem.words for problem in record.problems if problem.code in _ERRORS)[:MAX_ERRORS],
    )


_ERRORS = frozenset({"bad-value", "bad-uri", "bad-tag", "no-policy"})
MAX_ERRORS = 5
"""Errors of a record that are reported to its owner; section 3.1.5 wants no large text."""


def row_of(result: DmarcResult, ip: IPAddress, *, applied: Policy | None = None) -> Row:
    """What a report says of one message (RFC 9989 section 5.3.7).

    `applied` is what was done with a message that failed; None: what its `disposition` asks for. Where that is not what
    the policy says, and nothing else explains it, the reason is local policy (RFC 9990 section 3.1.6).
    """
    done, reasons = result.disposition if applied is None else applied, list(result.overrides)
    if result.result is Result.FAIL and done is not result.disposition:
        reasons.append(Override(OverrideType.LOCAL_POLICY))
    passed = result.result is Result.PASS
    disposition = "pass" if passed and result.policy is not Policy.NONE else "none" if passed else done.value
    spf = next((each for each in result.identifiers if each.method == "spf"), None)
    signatures = sorted((each for each in result.identifiers if each.method == "dkim"), key=_preference(result))
    return Row(
        source_ip=str(ip),
        disposition=disposition,
        dkim="pass" if result.dkim_aligned else "fail",
        spf="pass" if result.spf_aligned else "fail",
        header_from=result.author_domain or "",
        envelope_from=None if spf is None else spf.domain,
        reasons=tuple((each.type.value, printable(each.comment, 200)) for each in reasons),
        dkim_results=tuple(_dkim_results(signatures[:MAX_SIGNATURES])),
        spf_result=None if spf is None else (spf.domain, spf.result),
    )


def _dkim_results(signatures: Iterable[Identifier]) -> Iterator[tuple[str, str, str]]:
    room = MAX_SIGNATURE_CHARACTERS
    for each in signatures:
        # RFC 9990 has no signature without a selector; a longer one than the DNS has room for is no selector.
        selector = (each.selector or "unknown")[:MAX_NAME_OCTETS]
        room -= len(each.domain) + len(selector)
        if room < 0:
            return
        yield each.domain, selector, each.result


def _preference(result: DmarcResult) -> Any:
    """RFC 9990 section 3.1.3: aligned strictly, then relaxed, then what else passed, then the rest."""

    def rank(identifier: Identifier) -> tuple[bool, bool, bool, str, str]:
        return (
            not (identifier.aligned and identifier.domain == result.author_domain),
            not identifier.aligned,
            identifier.result != "pass",
            identifier.domain,
            identifier.selector or "",
        )

    return rank


# --- the report -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: this receiver's domain, the name of the organization, and an address for questions.

    The address is the sender of the mails, too. U-labels are converted. Raises `ValueError` for what cannot stand in a
    report.
    """

    domain: str
    org_name: str
    email: str
    extra_contact_info: str = ""

    def __post_init__(self) -> None:
        domain = to_ascii(self.domain)
        if domain is None or not is_hostname(domain):
            raise ValueError(f"the reporter's domain is no host name: {self.domain!r}")
        for value in (self.org_name, self.extra_contact_info):
            if not value.isprintable():
                raise ValueError(f"not printable: {value!r}")
        if not self.org_name:
            raise ValueError("a reporter has a name")
        email = plain_address(self.email)
        if email is None:
            raise ValueError(f"a reporter has a plain mail address for questions, not {self.email!r}")
        object.__setattr__(self, "domain", domain)
        object.__setattr__(self, "email", email)


@dataclass(frozen=True, slots=True)
class AggregateReport:
    """One report: its file's name, the XML, the compressed file, and the mail for each destination."""

    report_id: str
    filename: str
    xml: bytes
    compressed: bytes
    published: Published
    recipients: tuple[str, ...] = ()
    message: bytes = field(default=b"", repr=False)


def make_report(
    reporter: Reporter,
    day: int,
    published: Published,
    rows: Iterable[tuple[Row, int]],
    *,
    recipients: Sequence[str] = (),
    errors: Sequence[str] = (),
) -> AggregateReport:
    """The report about one policy domain and day (RFC 9989 section 5.3.8); `recipients` are addresses: `recipients_of`.

    The same rows make the same file and mail: a report that is sent again is seen to be the same (RFC 9990
    sections 3.5.2 and 3.5.4). Raises `ValueError` without a row, which a report must have (section 3.1.1.2), and for a
    recipient that is no plain address.
    """
    rows = list(rows)
    if not rows:
        raise ValueError(f"nothing to report about {published.domain}: a report has one row at least")
    begin, end = day * DAY, (day + 1) * DAY - 1
    # RFC 9990 section 3.5.1
    report_id = f"{datetime.fromtimestamp(begin, UTC):%Y-%m-%d}_{published.domain}@{reporter.domain}"
    xml = _xml(reporter, report_id, begin, end, published, rows, errors)
    filename = f"{reporter.domain}!{published.domain}!{begin}!{end}.xml.gz"
    compressed = gzip.compress(xml, mtime=0)
    message = _mail(reporter, report_id, filename, compressed, published, recipients, end) if recipients else b""
    return AggregateReport(report_id, filename, xml, compressed, published, tuple(recipients), message)


def _xml(
    reporter: Reporter,
    report_id: str,
    begin: int,
    end: int,
    published: Published,
    rows: Iterable[tuple[Row, int]],
    errors: Sequence[str],
) -> bytes:
    from mailauth import __version__

    root = ElementTree.Element("feedback", {"xmlns": NAMESPACE})
    _add(root, "version", "1.0")
    metadata = _add(root, "report_metadata")
    _add(metadata, "org_name", reporter.org_name)
    _add(metadata, "email", reporter.email)
    if reporter.extra_contact_info:
        _add(metadata, "extra_contact_info", reporter.extra_contact_info)
    _add(metadata, "report_id", report_id)
    period = _add(metadata, "date_range")
    _add(period, "begin", str(begin))
    _add(period, "end", str(end))
    if published.errors or errors:
        _add(metadata, "error", "; ".join([*published.errors, *errors])[:1000])
    _add(metadata, "generator", f"mailauth {__version__}")
    policy = _add(root, "policy_published")
    _add(policy, "domain", published.domain)
    _add(policy, "discovery_method", "treewalk")
    for name in ("p", "sp", "np", "adkim", "aspf", "fo", "testing"):
        value = getattr(published, name)
        if value is not None:
            _add(policy, name, value)
    for row, count in rows:
        _add_record(root, row, count)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _add_record(root: ElementTree.Element, row: Row, count: int) -> None:
    record = _add(root, "record")
    element = _add(record, "row")
    _add(element, "source_ip", row.source_ip)
    _add(element, "count", str(count))
    evaluated = _add(element, "policy_evaluated")
    for name in ("disposition", "dkim", "spf"):
        _add(evaluated, name, getattr(row, name))
    for kind, comment in row.reasons:
        reason = _add(evaluated, "reason")
        _add(reason, "type", kind)
        if comment:
            _add(reason, "comment", comment)
    identifiers = _add(record, "identifiers")
    _add(identifiers, "header_from", row.header_from)
    if row.envelope_from is not None:
        _add(identifiers, "envelope_from", row.envelope_from)
    results = _add(record, "auth_results")
    for domain, selector, result in row.dkim_results:
        signature = _add(results, "dkim")
        for name, value in (("domain", domain), ("selector", selector), ("result", result)):
            _add(signature, name, value)
    if row.spf_result is not None:
        spf = _add(results, "spf")
        for name, value in (("domain", row.spf_result[0]), ("scope", "mfrom"), ("result", row.spf_result[1])):
            _add(spf, name, value)


def _add(parent: ElementTree.Element, name: str, text: str | None = None) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name)
    if text is not None:
        element.text = printable(text)  # XML 1.0 has no control characters, however they are written
    return element


def _mail(
    reporter: Reporter,
    report_id: str,
    filename: str,
    compressed: bytes,
    published: Published,
    recipients: Sequence[str],
    end: int,
) -> bytes:
    """RFC 9990 section 3.5.2. The site signs and sends it, so that it passes DMARC itself."""
    for address in recipients:
        if plain_address(address) != address:
            raise ValueError(f"no address that a report could go to: {address!r}")
    # Folded here: a library would encode a long name (RFC 2047), and the RFC's ABNF of the subject forbids that.
    fields = [
        f"From: {reporter.email}",
        f"To: {f',{FOLD}'.join(recipients)}",
        f"Subject: Report Domain: {published.domain}{FOLD}Submitter: {reporter.domain}{FOLD}Report-ID: <{report_id}>",
        f"Date: {format_datetime(datetime.fromtimestamp(end + 1, UTC))}",
        f"Message-ID: <{report_id}>",
        "Auto-Submitted: auto-generated",
    ]
    body = EmailMessage(policy=SMTP)
    body.set_content(
        f"This is a DMARC aggregate report of {reporter.org_name} about {published.domain},"
        f" for {datetime.fromtimestamp(end, UTC):%Y-%m-%d} (UTC).\n",
        cte="quoted-printable",
    )
    body.add_attachment(compressed, maintype="application", subtype="gzip", filename=filename)
    body.set_boundary(f"=_{sha256(compressed).hexdigest()[:32]}")  # neither in base64 nor in quoted-printable
    return "\r\n".join([*fields, ""]).encode("ascii") + body.as_bytes()


# --- where it goes ----------------------------------------------------------------------------------------


class Recipients(NamedTuple):
    """Where a report goes: the addresses, and the hosts that it does not go to, by why."""

    addresses: tuple[str, ...]
    refused: tuple[str, ...] = ()  # of other organizations, which did not agree to take it
    unknown: tuple[str, ...] = ()  # a DNS error hides whether they did: ask again


def recipients_of(published: Published) -> Plan[Recipients]:
    """A plan of the addresses that a report goes to: mailto URIs in their order, those of others only if they agree.

    RFC 9990 section 4: a destination of another organization has to publish its agreement, and may name another
    address of the same host. Passed over are URIs of other schemes than mailto (RFC 9989 section 4.7), and those that
    name no plain address (RFC 9990 section 3.5).
    """
    wanted = {}
    for uri in published.rua:
        address = mailto_address(uri)
        if address is not None:
            wanted[address] = address.rpartition("@")[2]
    destinations = yield from verify_destinations(published.domain, list(wanted.values()))
    found: list[str] = []
    for address, host in wanted.items():
        destination = destinations.get(host)
        if destination is not None and destination.agreed:
            found += [address] if destination.instead is None else destination.instead
    return Recipients(
        tuple(dict.fromkeys(found))[:MAX_DESTINATIONS],
        tuple(host for host, each in destinations.items() if each.agreed is False),
        tuple(host for host, each in destinations.items() if each.agreed is None),
    )
