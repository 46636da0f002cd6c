"""The page about one message: the verdict, its way, and every check with its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from email.errors import MessageError
from email.header import decode_header

from mailauth import __version__
from mailauth.dkim import Explanation
from mailauth.iprev import IprevResult
from mailauth.mail.header import Field, Header
from mailauth.mail.received import way
from mailauth.mail.text import in_charset
from mailauth.page.arc import arc_section
from mailauth.page.dkim import dkim_section, summary
from mailauth.page.dmarc import dmarc_section
from mailauth.page.document import document
from mailauth.page.html import Child, Html, element, join, lines, text
from mailauth.page.lists import lists_section
from mailauth.page.parts import (
    MAX_ITEMS,
    SIGNS,
    Tone,
    code,
    facts,
    fold,
    left_out,
    mark,
    moment,
    paragraph,
    section,
    table,
    tone_of,
)
from mailauth.page.questions import masking, questions_section
from mailauth.page.spf import spf_section
from mailauth.page.way import way_section
from mailauth.resolvers.recording import Asked
from mailauth.transaction.report import Report

_VERDICTS: dict[str, tuple[str, Tone]] = {
    "accept": ("Accepted", "good"),
    "reject": ("Rejected", "bad"),
    "defer": ("Deferred", "doubt"),
}
_SHOWN_FIELDS = ("From", "Subject", "Date", "Message-ID")
_MAX_SUBJECT = 500
_MAX_REPEATED = 5
_MAX_FIELD_OCTETS = 4096


def render_report(
    report: Report,
    *,
    header: Header | None = None,
    asked: Sequence[Asked] = (),
    explanations: Iterable[Explanation] = (),
    now: float | None = None,
) -> str:
    """The report of one message as a whole HTML file, to be written as UTF-8.

    `header` is that of the message: the way of the message and its subject are read from it. `asked` are the questions
    to the DNS (`mailauth.resolvers.RecordingResolver`). `explanations` say why signatures fail
    (`mailauth.dkim.explain`). `now` is when the message was checked, in seconds since the
    epoch. The page needs nothing else and runs nothing, whatever the message says.
    """
    word, tone = _VERDICTS.get(report.verdict, (report.verdict, "none"))
    if _ignored_policy(report) is not None:
        tone = "doubt"
    missing = report.not_evaluated
    sections = [
        None if header is None else way_section(way(header), len(header.all("received"))),
        None if report.iprev is None else _iprev(report.iprev),
        lists_section(report.rbl, missing.get("rbl", "")),
        None if report.spf_helo is None else spf_section("spf-helo", "SPF of HELO", report.spf_helo),
        None if report.spf is None else spf_section("spf", "SPF of MAIL FROM", report.spf),
        dkim_section(report.dkim, {each.signature.index: each for each in explanations}, missing.get("dkim", "")),
        arc_section(report.arc),
        dmarc_section(report.dmarc, missing.get("dmarc", "")),
        _recipients(report),
        questions_section(asked, masking(report.rbl)),
        _record(report, header),
    ]
    subject = _decoded(header.first("subject")) if header is not None else ""
    title = f"{word}: {subject or report.mail_from or 'a message'}"
    body = join(
        element("header", _verdict(report, word, tone), _about(report, header), class_=f"verdict {tone}"),
        _summary(report),
        element("main", *sections),
        _footer(report, now),
    )
    return document(title, body)


def _verdict(report: Report, word: str, tone: Tone) -> Html:
    decision = report.decision
    sign = element("span", SIGNS[tone], class_="sign", aria_hidden="true")
    if report.reply is None:
        why = join("No restriction refuses this message", f": {decision.detail}" if decision.detail else "", ".")
        reply = "250 2.0.0 Ok"
    else:
        why = join(
            f"{decision.detail} — decided by ", code(decision.restriction), ", reason ", code(decision.reason), "."
        )
        reply = str(report.reply)
    warnings = [
        paragraph(mark("warning"), f" {warning.restriction} would {warning.action}: {warning.detail}")
        for warning in decision.warnings[:MAX_ITEMS]
    ]
    if (ignored := _ignored_policy(report)) is not None:
        warnings.append(paragraph(mark("warning"), " ", ignored))
    return join(
        element("h1", sign, word), paragraph(why, class_="lead"), paragraph("SMTP reply: ", code(reply)), *warnings
    )


def _ignored_policy(report: Report) -> str | None:
    """What the author's domain asks for, where the message is accepted all the same."""
    found = report.dmarc
    if report.reply is not None or found is None or found.result != "fail" or found.disposition == "none":
        return None
    return (
        f"DMARC fails, and the policy of {found.policy_domain} asks to {found.disposition} such mail"
        "; the restrictions here do not act on it."
    )


def _about(report: Report, header: Header | None) -> Html:
    rows: list[tuple[str, Child]] = []
    if header is not None:
        rows += [(name, _values(header, name)) for name in _SHOWN_FIELDS]
        rows.append(("Who wrote it", _author(report)))
    recipients = join(
        *[join(", " if index else "", code(f"<{each}>")) for index, each in enumerate(report.rcpt_to[:20])]
    )
    more = len(report.rcpt_to) - 20
    rows += [
        ("Client", join(code(report.ip), f" ({report.iprev.name})" if report.iprev and report.iprev.name else "")),
        ("HELO", code(report.helo) if report.helo is not None else "not known"),
        ("MAIL FROM", code(f"<{report.mail_from}>") if report.mail_from is not None else "not known"),
        ("RCPT TO", join(recipients, f" and {more} more" if more > 0 else "") if report.rcpt_to else "nobody"),
        ("Authenticated as", code(report.authenticated) if report.authenticated is not None else ""),
    ]
    return facts(rows)


def _author(report: Report) -> Child:
    """Whether it is proven who wrote the message (`mailauth.trust`)."""
    found = report.author_verdict
    if found is None:
        return ""
    tone: dict[str, Tone] = {"verified": "good", "contradicted": "bad", "unreadable": "bad"}
    word = mark(found.verdict.value, tone.get(found.verdict.value, "doubt"))
    return join(code(found.address) if found.address else "", " ", word, " ", found.detail)


def _values(header: Header, name: str) -> Child:
    """The value of a field that stands once (RFC 5322 section 3.6); of several all are shown, since readers differ in
    which one they take."""
    fields = header.all(name)
    if len(fields) < 2:
        return text(_decoded(header.first(name)), _MAX_SUBJECT)
    items = [element("li", text(_decoded(field), _MAX_SUBJECT)) for field in fields[:_MAX_REPEATED]]
    more = element("li", f"and {len(fields) - _MAX_REPEATED} more") if len(fields) > _MAX_REPEATED else None
    return join(element("ul", *items, more, class_="plain"), mark(f"{len(fields)} fields; one is allowed", "bad"))


def _decoded(field: Field | None) -> str:
    """The value for people: encoded words (RFC 2047) decoded where that can be done."""
    if field is None:
        return ""
    value = field.unfolded.decode("utf-8", "surrogateescape")
    if "=?" not in value or len(value) > _MAX_SUBJECT:
        return value
    try:
        return "".join(
            piece if isinstance(piece, str) else in_charset(piece, charset or "ascii")
            for piece, charset in decode_header(value)
        )
    except (ValueError, LookupError, MessageError):
        return value


def _summary(report: Report) -> Html:
    """Every check with its result in a word, each a link to its section."""
    rows: list[tuple[str, str, str, Tone]] = []
    if report.iprev is not None:
        rows.append(("Reverse DNS", "iprev", report.iprev.result.value, tone_of(report.iprev.result)))
    if report.rbl:
        bad = sum(listing.listed and listing.weight >= 0 for listing in report.rbl)
        rows.append(("Block lists", "lists", f"{bad} of {len(report.rbl)}", "bad" if bad else "good"))
    if report.spf_helo is not None:
        rows.append(("SPF HELO", "spf-helo", report.spf_helo.result.value, tone_of(report.spf_helo.result)))
    if report.spf is not None:
        rows.append(("SPF", "spf", report.spf.result.value, tone_of(report.spf.result)))
    if "dkim" not in report.not_evaluated:
        rows.append(("DKIM", "dkim", *summary(report.dkim)))
    if report.dmarc is not None:
        rows.append(("DMARC", "dmarc", report.dmarc.result.value, tone_of(report.dmarc.result)))
    if report.greylist:
        action = max((each.action.value for each in report.greylist), key=lambda word: word == "defer")
        rows.append(("Greylist", "recipients", action, tone_of(action)))
    items = [
        element("li", element("a", element("span", name, class_="name"), mark(word, tone), href=f"#{id}"))
        for name, id, word, tone in rows
    ]
    return element("nav", element("ul", *items), class_="summary", aria_label="Results")


def _iprev(found: IprevResult) -> Html:
    rows: list[tuple[str, Child]] = [
        ("Address", code(found.ip)),
        ("Names", join(*[join(", " if index else "", code(name)) for index, name in enumerate(found.names[:20])])),
        ("Lead back", join(*[join(", " if index else "", code(name)) for index, name in enumerate(found.confirmed)])),
        ("Reason", code(found.reason)),
    ]
    lead = paragraph(f"{found.detail}.", class_="lead")
    return section("iprev", "Reverse DNS", mark(found.result.value), lead, facts(rows))


def _recipients(report: Report) -> Html | None:
    """What was decided for each recipient, and what the greylist said."""
    if not report.greylist and len(report.recipients) < 2:
        return None
    greylisted = dict(zip(report.recipients, report.greylist, strict=False)) if report.greylist else {}
    rows: list[list[Child]] = []
    for recipient, decision in list(report.recipients.items())[:MAX_ITEMS]:
        grey = greylisted.get(recipient) if len(report.greylist) == len(report.recipients) else None
        said = join(mark(grey.action.value), " ", grey.detail) if grey is not None else "–"
        action = decision.action.value if decision.refused else "accept"
        rows.append(
            [code(recipient), mark(action), said, str(decision.reply) if decision.reply is not None else "250 Ok"]
        )
    heads = ("Recipient", "Decision", "Greylist", "SMTP reply")
    return section(
        "recipients",
        "Recipients",
        None,
        table("Recipients", heads, rows, "recipients-table"),
        left_out(len(report.recipients)),
    )


def _record(report: Report, header: Header | None) -> Html:
    """What goes into a header or a ticket as it stands."""
    field = report.authentication_results.decode("utf-8").rstrip()
    return section(
        "record",
        "For the record",
        None,
        element("h3", "Authentication-Results field"),
        element("pre", lines(field)),
        None if header is None else fold("The header as it came", _header(header)),
    )


def _header(header: Header) -> Html:
    shown = b"".join(field.raw[:_MAX_FIELD_OCTETS] for field in header.fields[:MAX_ITEMS])
    return join(element("pre", lines(shown.decode("utf-8", "surrogateescape").rstrip())), left_out(len(header.fields)))


def _footer(report: Report, now: float | None) -> Html:
    when = f" at {moment(now)}" if now is not None else ""
    words = f"Checked{when} by {report.hostname} with mailauth {__version__}."
    return element("footer", paragraph(words), paragraph("This page loads nothing, sends nothing and runs no scripts."))
