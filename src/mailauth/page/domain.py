"""The page about a domain: what is wrong and what to do first, then what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mailauth import __version__
from mailauth.domain import USUAL_SELECTORS, Area, DomainReport, Finding, Severity, TextRecord, lists_to_ask
from mailauth.page.dmarc import visit_words, walk_picture
from mailauth.page.document import document
from mailauth.page.html import Child, Html, element, join
from mailauth.page.lists import lists_section
from mailauth.page.parts import (
    MAX_ITEMS,
    SIGNS,
    Tone,
    code,
    count,
    facts,
    fold,
    mark,
    moment,
    paragraph,
    section,
    sentence,
    table,
)
from mailauth.page.questions import masking, questions_section
from mailauth.page.spf import budget, domain_tree, spf_section
from mailauth.resolvers.recording import Asked

_TONES: dict[Severity | None, Tone] = {
    Severity.ERROR: "bad",
    Severity.UNKNOWN: "doubt",
    Severity.WARNING: "doubt",
    Severity.NOTE: "good",
    None: "good",
}
_NAMES = {
    Area.DOMAIN: "Domain",
    Area.MX: "MX",
    Area.REVERSE: "Reverse DNS",
    Area.LISTS: "Block lists",
    Area.SPF: "SPF",
    Area.DKIM: "DKIM",
    Area.DMARC: "DMARC",
    Area.TLS_RPT: "TLS-RPT",
    Area.MTA_STS: "MTA-STS",
    Area.BIMI: "BIMI",
    Area.SENDER: "Sender rules",
}
_NOUNS = {
    Severity.ERROR: "error",
    Severity.UNKNOWN: "unanswered question",
    Severity.WARNING: "warning",
    Severity.NOTE: "note",
}


def render_domain(report: DomainReport, *, asked: Sequence[Asked] = (), now: float | None = None) -> str:
    """The report about a domain as a whole HTML file, to be written as UTF-8.

    `asked` are the questions to the DNS (`mailauth.resolvers.RecordingResolver`), `now` is when it was checked, in
    seconds since the epoch. The page needs nothing else and runs nothing, whatever the DNS says.
    """
    tone = _TONES[report.worst]
    there = report.mail_hosts.exists is not False
    sections = [
        _findings(report),
        *(_sections(report) if there else []),
        questions_section(asked, masking(report.listings), _guessed(report)),
    ]
    when = f" at {moment(now)}" if now is not None else ""
    body = join(
        element("header", _verdict(report, tone), class_=f"verdict {tone}"),
        _summary(report) if there else None,
        element("main", *sections),
        element(
            "footer",
            paragraph(f"Checked{when} with mailauth {__version__}."),
            paragraph("This page loads nothing, sends nothing and runs no scripts."),
        ),
    )
    return document(f"{report.domain}: {_counted(report.findings)}", body)


def _guessed(report: DomainReport) -> Callable[[Asked], bool]:
    """Which questions looked for a key where nobody said that there is one, and found none."""
    named = {key.check.name for key in report.keys.keys}
    usual = {f"{selector}._domainkey.{report.domain}" for selector in USUAL_SELECTORS}
    return lambda asked: asked.answer.void and asked.question.name in usual - named


def _sections(report: DomainReport) -> list[Child]:
    """What there is, area by area; of a domain that does not exist there is nothing."""
    return [
        _mx(report),
        _reverse(report),
        lists_section(report.listings, "lists have terms of their own", _lists_to_ask()),
        _spf(report),
        *[spf_section(f"client-{index}", f"SPF from {each.ip}", each) for index, each in enumerate(report.clients)],
        _dkim(report),
        _dmarc(report),
        *[_text(report, area, found) for area, found in _texts(report)],
        _message(report),
    ]


def _lists_to_ask() -> Html:
    known = lists_to_ask()
    items = [element("li", code(each.zone), " ", element("span", each.name, class_="dim")) for each in known]
    return join(
        paragraph(code("--all-lists"), f" asks the {len(known)} that need no key, ", code("--list ZONE"), " one."),
        fold("Lists that could be asked", element("ul", *items, class_="inline")),
    )


def _texts(report: DomainReport) -> list[tuple[Area, TextRecord]]:
    return [(Area.TLS_RPT, report.tls_rpt), (Area.MTA_STS, report.mta_sts), (Area.BIMI, report.bimi)]


def _counted(findings: Iterable[Finding]) -> str:
    numbers = dict.fromkeys(Severity, 0)
    for finding in findings:
        numbers[finding.severity] += 1
    words = [count(number, _NOUNS[severity]) for severity, number in numbers.items() if number]
    return ", ".join(words) or "nothing to say against it"


def _verdict(report: DomainReport, tone: Tone) -> Html:
    sign = element("span", SIGNS[tone], class_="sign", aria_hidden="true")
    return join(element("h1", sign, report.domain), paragraph(_counted(report.findings), class_="lead"))


def _badge(findings: Sequence[Finding]) -> Html:
    rank = list(Severity)
    worst = min((finding.severity for finding in findings), key=rank.index, default=None)
    if worst is None or worst is Severity.NOTE:
        return mark("in order", "good")
    number = sum(finding.severity is worst for finding in findings)
    return mark(count(number, _NOUNS[worst]), _TONES[worst])


_PLACES = {Area.DOMAIN: "findings", Area.SENDER: "message"}


def _summary(report: DomainReport) -> Html:
    items = []
    for area in Area:
        findings = report.of(area)
        absent = {Area.DOMAIN: not findings, Area.SENDER: report.message is None, Area.REVERSE: not report.reverse}
        if absent.get(area, False):
            continue
        badge = _text_badge(report, area) if area in dict(_texts(report)) else _badge(findings)
        if area is Area.DKIM:
            badge = _dkim_badge(report)
        if area is Area.LISTS and not report.listings:
            badge = mark("not asked", "none")
        link = element(
            "a", element("span", _NAMES[area], class_="name"), badge, href=f"#{_PLACES.get(area, area.value)}"
        )
        items.append(element("li", link))
    return element("nav", element("ul", *items), class_="summary", aria_label="Results")


def _findings(report: DomainReport) -> Html:
    """Everything that is to be done, the worst first; notes fold."""
    rank = list(Severity)
    ordered = sorted(report.findings, key=lambda each: rank.index(each.severity))
    urgent = [each for each in ordered if each.severity is not Severity.NOTE]
    notes = [each for each in ordered if each.severity is Severity.NOTE]
    return section(
        "findings",
        "What to do",
        None,
        *map(_finding, urgent),
        None if urgent else paragraph("Nothing needs to be done."),
        fold(count(len(notes), "note"), *map(_finding, notes)) if notes else None,
    )


def _finding(finding: Finding) -> Html:
    tone: Tone = "none" if finding.severity is Severity.NOTE else _TONES[finding.severity]
    return element(
        "div",
        element("h3", mark(finding.severity.value, tone), " ", f"{_NAMES[finding.area]}: ", code(finding.subject)),
        paragraph(_sentence(finding.words), class_="lead"),
        paragraph("→ ", _sentence(finding.advice)),
        paragraph(code(finding.code), " · ", finding.source, class_="dim"),
        class_=f"card {tone}",
    )


def _sentence(words: str) -> str:
    words = sentence(words)
    return words if words.endswith((".", "!", "?", '"')) else f"{words}."


def _mx(report: DomainReport) -> Html:
    found = report.mail_hosts
    rows: list[list[Child]] = [
        [
            host.preference,
            join(code(host.name or "."), f" alias of {host.alias}" if host.alias else ""),
            element("ul", *[element("li", code(address)) for address in host.addresses[:20]], class_="plain")
            if host.addresses
            else mark("no address", "bad"),
        ]
        for host in found.hosts
    ]
    words = "The domain takes no mail." if found.null else None if rows else "No host was found."
    lead = "There is no MX record; the address of the domain stands in." if found.implicit else words
    return section(
        "mx",
        "Where its mail goes",
        _badge(report.of(Area.MX)),
        paragraph(lead) if lead else None,
        table("MX hosts", ("Preference", "Host", "Addresses"), rows) if rows else None,
    )


def _reverse(report: DomainReport) -> Html | None:
    if not report.reverse:
        return None
    rows: list[list[Child]] = [
        [code(each.ip), mark(each.result.value), join(*_listed(each.names[:10])), each.detail]
        for each in report.reverse
    ]
    heads = ("Address", "Result", "Names", "Why")
    return section("reverse", "Reverse DNS", _badge(report.of(Area.REVERSE)), table("Reverse names", heads, rows))


def _listed(names: Sequence[str]) -> list[Child]:
    return [join(", " if index else "", code(name)) for index, name in enumerate(names)]


def _spf(report: DomainReport) -> Html:
    found = report.spf
    may_send = f"{count(found.ip4_addresses, 'IPv4 address', 'es')}, {count(found.ip6_networks, 'IPv6 network')} of /64"
    rows: list[tuple[str, Child]] = [
        *_records(report.spf_texts, "there is none"),
        ("May send", "no address" if report.sends_nothing else may_send),
        ("Void lookups", f"{found.void_lookups_ip4} for IPv4 clients, {found.void_lookups_ip6} for IPv6 clients, of 2"),
    ]
    tree = None if found.record is None else domain_tree(found.tree)
    return section("spf", "SPF", _badge(report.of(Area.SPF)), facts(rows), budget(found.lookups), tree)


def _records(texts: Sequence[str], none: str) -> list[tuple[str, Child]]:
    """The record as it is published; all of them, where there are several."""
    name = "Record" if len(texts) < 2 else "Records"
    items = [element("li", code(each)) for each in texts[:MAX_ITEMS]]
    return [(name, element("ul", *items, class_="plain") if items else none)]


def _dkim_badge(report: DomainReport) -> Html:
    found = report.of(Area.DKIM)
    if not report.keys.keys and all(each.severity is Severity.NOTE for each in found):
        return mark("none found", "none")
    return _badge(found)


def _dkim(report: DomainReport) -> Html:
    found = report.keys
    verdicts: dict[str, Tone] = {"good": "good", "doubtful": "doubt", "bad": "bad"}
    rows: list[list[Child]] = [
        [
            join(code(key.selector), " guessed" if key.guessed else ""),
            mark(key.check.verdict.value, verdicts.get(key.check.verdict.value, "doubt")),
            f"{key.check.key_type}, {key.check.key_bits} bits" if key.check.key_bits else "–",
            fold("The record", code(key.check.record)) if key.check.record else "–",
        ]
        for key in found.keys
    ]
    words = (
        f"{found.guesses} usual selectors were tried. Nothing lists the selectors of a domain: others may be in use."
    )
    heads = ("Selector", "Verdict", "Key", "Record")
    return section(
        "dkim",
        "DKIM keys",
        _dkim_badge(report),
        table("DKIM keys", heads, rows) if rows else paragraph("No key was found."),
        paragraph(words, class_="dim") if found.guesses else None,
    )


def _dmarc(report: DomainReport) -> Html:
    found = report.dmarc
    visits = () if found.walk is None else found.walk.visits
    items = [element("li", code(f"_dmarc.{visit.name}"), ": ", visit_words(visit)) for visit in visits]
    return section(
        "dmarc",
        "DMARC",
        _badge(report.of(Area.DMARC)),
        facts(_records(report.dmarc_texts, "none of its own")),
        element("div", element("div", walk_picture(list(visits))), element("ol", *items), class_="pictures")
        if visits
        else None,
    )


def _text_badge(report: DomainReport, area: Area) -> Html:
    """That of one of the three records that nobody has to have."""
    found = report.of(area)
    absent = dict(_texts(report))[area].record is None and all(each.severity is Severity.NOTE for each in found)
    return mark("none", "none") if absent else _badge(found)


def _text(report: DomainReport, area: Area, found: TextRecord) -> Html:
    rows: list[tuple[str, Child]] = [
        ("Name", code(found.name)),
        ("Record", code(found.record) if found.record is not None else "there is none"),
    ]
    remark = "The policy itself is not fetched." if area is Area.MTA_STS and found.record is not None else None
    return section(
        area.value,
        _NAMES[area],
        _text_badge(report, area),
        facts(rows),
        paragraph(remark, class_="dim") if remark else None,
    )


def _message(report: DomainReport) -> Html | None:
    message = report.message
    if message is None:
        return None
    signatures = [join(code(each.domain or "?"), " ", mark(each.result.value), " ") for each in message.dkim[:20]]
    rows: list[tuple[str, Child]] = [
        (
            "SPF",
            "not checked" if message.spf is None else join(mark(message.spf.result.value), " ", message.spf.detail),
        ),
        ("DKIM", join(*signatures) if signatures else "no signature"),
        ("DMARC", "" if message.dmarc is None else join(mark(message.dmarc.result.value), " ", message.dmarc.detail)),
    ]
    lead = paragraph("What Gmail, Yahoo and Microsoft demand of senders, on the message that was given.")
    return section("message", "Sender rules", _badge(report.of(Area.SENDER)), lead, facts(rows))
