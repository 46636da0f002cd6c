"""The report for people.

The report of `mailauth check` as lines for people. A postmaster can paste them into a ticket: what was asked, what
came back, why the verdict.
"""

# SECURITY: the lines hold what peers sent (names, addresses, reasons). Each passes through `one_line` before it reaches
# the terminal.

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mailauth.cli.common import Paint, one_line, result_words

if TYPE_CHECKING:
    from mailauth.dkim import Signature
    from mailauth.dmarc import DmarcResult
    from mailauth.spf import SpfResult
    from mailauth.transaction.report import Report

_STYLES = {
    "pass": "good",
    "accept": "good",
    "permit": "good",
    "not-listed": "good",
    "fail": "bad",
    "reject": "bad",
    "listed": "bad",
    "none": "dim",
    "neutral": "dim",
    "-": "dim",
}
_INDENT = " " * 26


def print_report(report: Report, *, verbose: bool) -> None:
    """Print the report, in colour on a terminal."""
    paint = Paint()
    print(one_line(f"client        {report.ip}" + (f", says it is {report.helo}" if report.helo is not None else "")))
    sender = f"<{report.mail_from or ''}>"
    print(
        one_line(f"envelope      {sender} to {', '.join(f'<{address}>' for address in report.rcpt_to) or '(nobody)'}")
    )
    print()
    for name, result, words, details in _rows(report, verbose):
        print(f"{name:14}{paint(f'{result:11}', _STYLES.get(result, 'doubt'))} {one_line(words)}")
        for line in details:
            print(_INDENT + paint(one_line(line), "dim"))
    print()
    _print_verdict(report, paint)


def _print_verdict(report: Report, paint: Paint) -> None:
    by = f"{' ':6}by {report.decision.restriction} ({report.decision.reason})" if report.reply else ""
    print(f"{'verdict':14}" + paint(report.verdict, _STYLES.get(report.verdict, "doubt")) + one_line(by))
    for warning in report.decision.warnings:
        print(f"{'warning':14}" + one_line(f"{warning.restriction} would {warning.action}: {warning.detail}"))
    print()
    print(report.authentication_results.decode("utf-8").replace("\r\n", "\n").rstrip("\n"))
    print()
    print(f"SMTP reply: {report.reply if report.reply is not None else '250 2.0.0 Ok'}")


Row = tuple[str, str, str, list[str]]


def _rows(report: Report, verbose: bool) -> Iterator[Row]:
    if report.iprev is not None:
        yield "reverse DNS", report.iprev.result.value, report.iprev.detail, []
    for listing in report.rbl:
        about = "" if listing.subject == str(report.ip) else f" about {listing.subject}"
        words = f"{listing.zone}{about}: {'; '.join(listing.meanings) or listing.detail}"
        yield "block list", listing.result.value, words, [listing.text] if listing.text else []
    for name, found in (("SPF HELO", report.spf_helo), ("SPF MAIL FROM", report.spf)):
        if found is not None:
            yield name, found.result.value, found.detail, list(_spf_details(found, verbose))
    if "dkim" not in report.not_evaluated and not report.dkim:
        yield "DKIM", "none", "the message has no signature", []
    for signature in report.dkim:
        yield "DKIM", signature.result.value, _dkim_words(signature), list(_dkim_details(signature, verbose))
    if report.arc is not None and report.arc.sets:
        chain = " then ".join(report.arc.chain)
        yield (
            "ARC",
            report.arc.result.value,
            f"{report.arc.detail}, sealed by {chain}",
            list(_arc_details(report, verbose)),
        )
    elif report.arc is not None and report.arc.result != "none":
        yield "ARC", report.arc.result.value, report.arc.detail, []
    if report.dmarc is not None:
        yield "DMARC", report.dmarc.result.value, report.dmarc.detail, list(_dmarc_details(report.dmarc, verbose))
    for decision in report.greylist:
        yield "greylist", decision.action.value, decision.detail, []
    for name, why in report.not_evaluated.items():
        yield _NAMES.get(name, name), "-", f"not asked: {why}", []


_NAMES = {
    "iprev": "reverse DNS",
    "rbl": "block list",
    "spf": "SPF MAIL FROM",
    "spf_helo": "SPF HELO",
    "dkim": "DKIM",
    "arc": "ARC",
    "dmarc": "DMARC",
}


def _spf_details(found: SpfResult, verbose: bool) -> Iterator[str]:
    if found.explanation:
        yield f"{found.domain} explains: {found.explanation}"
    if verbose and found.trace is not None:
        yield from found.trace.lines()
        yield f"{found.lookups} of 10 lookups, {found.void_lookups} void"


def _dmarc_details(found: DmarcResult, verbose: bool) -> Iterator[str]:
    if found.policy is not None and found.result == "fail":
        yield f"{found.policy_domain} asks for {found.policy_tag}={found.policy}; disposition {found.disposition}"
    if verbose:
        for visit in found.trace:
            yield f"_dmarc.{visit.name}: {one_line(visit.words)}"


def _arc_details(report: Report, verbose: bool) -> Iterator[str]:
    for each in report.arc.sets if verbose and report.arc is not None else ():
        found = [] if each.results is None else [result_words(one) for one in each.results.results]
        yield one_line(f"set {each.instance} by {each.sealer}: {', '.join(found) or 'no results'}")


def _dkim_words(signature: Signature) -> str:
    who = f"d={signature.domain or '?'} s={signature.selector or '?'} {signature.algorithm or ''}".rstrip()
    size = f", {signature.key_bits} bits" if signature.key_bits else ""
    return f"{who}{size}" + (f": {signature.detail}" if signature.detail else "")


def _dkim_details(signature: Signature, verbose: bool) -> Iterator[str]:
    if not verbose:
        return
    yield f"reason        {signature.reason}"
    yield f"identity      {signature.identity or '-'}"
    yield f"signed        {': '.join(signature.signed_fields) or '-'}"
    yield f"canonical     {signature.header_canonicalization or '?'}/{signature.body_canonicalization or '?'}"
    yield f"author        {signature.author_match}"
    if signature.body_length is not None:
        yield f"body length   {signature.body_length} octets signed, {signature.unsigned_octets} behind them"
