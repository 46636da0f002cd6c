"""``mailauth domain``: all that an administrator asks about a domain, in one report.

Options in, text, JSON or a page out; what is said is decided in mailauth.domain.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mailauth.cli.common import (
    EXIT_OK,
    Paint,
    UsageError,
    add_dns_options,
    add_html_option,
    add_json_option,
    one_line,
    open_message,
    print_json,
    rbl_policy_of,
    resolver_of,
    write_page,
)

if TYPE_CHECKING:
    from mailauth.domain import Area, DomainReport, Finding
    from mailauth.plan import Answer, Question
    from mailauth.rbl import Rule

EXIT_ERRORS = 1
EXIT_WARNINGS = 3
EXIT_UNKNOWN = 75
"""EX_TEMPFAIL of sysexits.h: the DNS did not answer everything."""

EPILOG = f"""\
exit status: {EXIT_OK} nothing worse than notes, {EXIT_WARNINGS} warnings, {EXIT_ERRORS} errors,
{EXIT_UNKNOWN} no errors, but the DNS did not answer everything,
2 the command was called wrongly or a file cannot be read"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("domain", metavar="DOMAIN", help="the domain to check")
    parser.add_argument(
        "--selector", action="append", default=[], metavar="S", help="a selector of its DKIM keys; may be repeated"
    )
    parser.add_argument("--no-guess", action="store_true", help="do not try the usual DKIM selectors")
    parser.add_argument(
        "--ip", action="append", default=[], metavar="ADDRESS", help="an address that sends its mail; may be repeated"
    )
    parser.add_argument("--bimi-selector", default="default", metavar="S", help="default: %(default)s")
    lists = parser.add_argument_group(
        "block lists", "are asked about the domain, --ip, and the hosts that take its mail"
    )
    lists.add_argument("--list", action="append", default=[], metavar="RULE", help="a list to ask; may be repeated")
    lists.add_argument("--all-lists", action="store_true", help="every list of the catalogue that needs no key")
    message = parser.add_argument_group("a message", "is checked for what Gmail, Yahoo and Microsoft demand of senders")
    message.add_argument("--message", metavar="FILE", help="a message that the first --ip sent; - for standard input")
    message.add_argument("--helo", metavar="NAME", help="what that client said in HELO or EHLO")
    message.add_argument("--mail-from", metavar="SENDER", help="MAIL FROM (default: the message's Return-Path)")
    add_dns_options(parser)
    add_json_option(parser)
    add_html_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the domain and print the report; the exit status is the worst finding."""
    from mailauth.resolvers import RecordingResolver
    from mailauth.sync import check_domain

    progress = _Progress()
    recorder = RecordingResolver(resolver_of(options), note=progress.count)
    now = time.time()
    message = _message(options)
    try:
        report = check_domain(
            options.domain,
            selectors=options.selector,
            clients=options.ip,
            lists=_lists(options),
            guess=not options.no_guess,
            message=message,
            helo=options.helo,
            mail_from=options.mail_from if message is None else _sender(options, message),
            bimi_selector=options.bimi_selector,
            rbl_policy=rbl_policy_of(options),
            now=now,
            resolver=recorder,
            time_limit=options.time_limit,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    finally:
        progress.clear()
    if options.html is not None:
        from mailauth.page import render_domain

        write_page(options.html, render_domain(report, asked=recorder.asked, now=now))
    if options.json:
        print_json(report.to_dict())
    else:
        _Printer(report).print()
    statuses = {"error": EXIT_ERRORS, "unknown": EXIT_UNKNOWN, "warning": EXIT_WARNINGS}
    return statuses.get(report.worst or "", EXIT_OK)


class _Progress:
    """How many questions were answered, in one line on a terminal that is cleared in the end."""

    def __init__(self) -> None:
        self._done, self._on = 0, sys.stderr.isatty()

    def count(self, question: Question, answer: Answer) -> None:
        """One more."""
        self._done += 1
        if self._on:
            print(f"\r{self._done} questions answered", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave no trace."""
        if self._on:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _message(options: argparse.Namespace) -> bytes | None:
    if options.message is None:
        if options.helo is not None or options.mail_from is not None:
            raise UsageError("--helo and --mail-from belong to a --message")
        return None
    if not options.ip:
        raise UsageError("--message needs an --ip: the address of the client that sent it")
    with open_message(options.message) as message:
        return message.read()


def _sender(options: argparse.Namespace, message: bytes) -> str | None:
    """MAIL FROM as the last server wrote it down (RFC 5321 section 4.4), where it is not given."""
    from mailauth.mail.header import split

    if options.mail_from is not None:
        given: str = options.mail_from
        return given
    field = split(message).header.first("return-path")
    return None if field is None else field.unfolded.decode("utf-8", "replace")


def _lists(options: argparse.Namespace) -> list[Rule]:
    from mailauth.rbl import Rule, RuleError, catalogue

    try:
        rules = [Rule.parse(text) for text in options.list]
    except RuleError as error:
        raise UsageError(f"bad rule {error}") from None
    if options.all_lists:
        print(
            "mailauth: --all-lists asks lists with terms of their own (no public resolvers, small use only);"
            " see `mailauth rbl catalogue`",
            file=sys.stderr,
        )
        named = {rule.zone for rule in rules}
        rules += [Rule(known.zone, weight=known.weight) for known in catalogue.live() if known.zone not in named]
    return rules


# --- the report for people -------------------------------------------------------------------------------------------

_STYLES = {"error": "bad", "unknown": "doubt", "warning": "doubt", "note": "dim"}
_INDENT = " " * 12


class _Printer:
    """Prints one report: each area with what is there, then what is wrong with it."""

    def __init__(self, report: DomainReport) -> None:
        self.report = report
        self.paint = Paint()

    def print(self) -> None:
        """Print it all."""
        from mailauth.domain import Area

        report = self.report
        print(f"{self.paint(report.domain, 'strong')}: {summary(report)}")
        self._area("", Area.DOMAIN, [])
        if report.mail_hosts.exists is False:
            return
        self._area("MX", Area.MX, self._mx())
        self._area("reverse", Area.REVERSE, [f"{each.ip}  {each.result}  {each.detail}" for each in report.reverse])
        self._area("lists", Area.LISTS, [_listings(report)])
        self._area("SPF", Area.SPF, self._spf())
        self._area("DKIM", Area.DKIM, self._dkim())
        self._area("DMARC", Area.DMARC, self._dmarc())
        for name, area, found in (
            ("TLS-RPT", Area.TLS_RPT, report.tls_rpt),
            ("MTA-STS", Area.MTA_STS, report.mta_sts),
            ("BIMI", Area.BIMI, report.bimi),
        ):
            self._area(name, area, [found.record] if found.record is not None else [])
        if report.message is not None:
            self._area("message", Area.SENDER, self._message())

    def _area(self, name: str, area: Area, lines: Iterable[str]) -> None:
        findings = self.report.of(area)
        lines = list(lines)
        if not findings and not lines:
            return
        print()
        for index, line in enumerate(lines or [""] * bool(name)):
            label = self.paint(f"{'' if index else name:10}", "strong")
            print(f"{label}  {one_line(line)}".rstrip())
        for finding in findings:
            self._finding(finding)

    def _finding(self, finding: Finding) -> None:
        word = self.paint(f"{finding.severity:8}", _STYLES[finding.severity])
        words = _wrapped(finding.words) or [""]
        print(f"  {word}  {words[0]}")
        for line in words[1:]:
            print(_INDENT + line)
        why = f"{finding.code}; {finding.source}"
        print(_INDENT + self.paint(one_line(why), "dim"))
        for line in _wrapped(f"→ {finding.advice}", indent="  "):
            print(_INDENT + line)

    def _mx(self) -> Iterator[str]:
        found = self.report.mail_hosts
        for host in found.hosts:
            addresses = ", ".join(map(str, host.addresses)) or "no address"
            yield f"{host.preference:>2} {host.name or '.'}  {addresses}"

    def _spf(self) -> Iterator[str]:
        found = self.report.spf
        yield from self.report.spf_texts
        if self.report.sends_nothing:
            yield "no address may send"
        elif found.record is not None:
            yield (
                f"{found.lookups} of 10 lookups; "
                f"{_count(found.ip4_addresses, 'IPv4 address', 'es')} and "
                f"{_count(found.ip6_networks, 'IPv6 network')} of /64 may send"
            )
        for each in self.report.clients:
            yield f"{each.ip}  {each.result}  {each.detail}"

    def _dkim(self) -> Iterator[str]:
        found = self.report.keys
        for key in found.keys:
            size = f"  {key.check.key_type}, {key.check.key_bits} bits" if key.check.key_bits else ""
            yield f"{key.check.verdict:9} {key.selector}{size}{'  (guessed)' if key.guessed else ''}"
        if found.guesses:
            yield f"{found.guesses} usual selectors were tried; others cannot be found this way"

    def _dmarc(self) -> Iterator[str]:
        found = self.report.dmarc
        yield from self.report.dmarc_texts
        if found.record is None and found.walk is not None:
            for visit in found.walk.visits:
                yield f"_dmarc.{visit.name}: {visit.words}"

    def _message(self) -> Iterator[str]:
        message = self.report.message
        assert message is not None
        spf = "not checked" if message.spf is None else message.spf.result.value
        dkim = ", ".join(f"{each.domain or '?'} {each.result}" for each in message.dkim) or "none"
        dmarc = "not checked" if message.dmarc is None else message.dmarc.result.value
        yield f"SPF {spf}; DKIM {dkim}; DMARC {dmarc}"


def _wrapped(text: str, indent: str = "") -> list[str]:
    """Lines of words: what is to be copied, such as a name, a record or a page's address, is not broken within."""
    return textwrap.wrap(
        one_line(text),
        108 - len(_INDENT),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number:,} {noun}{plural if number != 1 else ''}"


def _listings(report: DomainReport) -> str:
    if not report.listings:
        from mailauth.domain import lists_to_ask

        known = lists_to_ask()
        names = ", ".join(each.zone for each in known[:2])
        how = "by --all-lists, one by --list ZONE; see mailauth rbl catalogue"
        return f"none asked; {len(known)} can be ({names}, …) {how}"
    asked = [each for each in report.listings if each.reason != "not-asked"]
    subjects = len({each.subject for each in asked})
    lists = len({each.zone for each in asked})
    listings = sum(each.listed for each in asked)
    return f"{_count(subjects, 'subject')} on {_count(lists, 'list')}: {_count(listings, 'listing')}"


def summary(report: DomainReport) -> str:
    """How many findings there are, in words."""
    counts = report.counts()
    nouns = {"error": "error", "unknown": "unanswered question", "warning": "warning", "note": "note"}
    words = [_count(counts[each], noun) for each, noun in nouns.items() if counts[each]]
    return ", ".join(words) or "nothing to say against it"
