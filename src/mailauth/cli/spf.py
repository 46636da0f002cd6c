"""``mailauth spf check | explain | lint | build``.

`mailauth spf`: options in, text or JSON out. What is said is decided in mailauth.spf.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Literal

from mailauth.cli.common import (
    EXIT_OK,
    Paint,
    UsageError,
    add_dns_options,
    add_json_option,
    ip_of,
    one_line,
    print_json,
    resolver_of,
)  # fmt: skip

if TYPE_CHECKING:
    from mailauth.spf import Finding, LintReport, SpfResult

EXIT_NOT_PASS = 1
"""check and explain: any result but pass; lint: errors were found."""

_STYLES = {"pass": "good", "fail": "bad", "permerror": "bad", "softfail": "doubt", "temperror": "doubt"}
_SEVERITIES = {"error": "bad", "warning": "doubt", "note": "dim"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    commands = parser.add_subparsers(dest="spf_command", metavar="COMMAND", required=True)
    check = _check_parser(commands, "check", "check a client against the SPF record of a domain")
    check.add_argument("--received-spf", action="store_true", help="print the Received-SPF header field, too")
    check.set_defaults(run=_check)
    _check_parser(commands, "explain", "the same, with every step of the evaluation").set_defaults(run=_explain)
    _lint_parser(commands)
    _build_parser(commands)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")


def _check_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    parser = _command(commands, name, summary)
    parser.epilog = "Exit status: 0 for pass, 1 for every other result, 2 for a mistake in the command."
    parser.add_argument("ip", metavar="IP", help="address of the SMTP client")
    parser.add_argument(
        "mail_from", metavar="MAIL-FROM", nargs="?", default="", help="envelope sender (default: the null sender)"
    )
    parser.add_argument(
        "--helo", default="", metavar="NAME", help="the client's HELO name, which stands in for a null sender"
    )
    parser.add_argument(
        "--identity", choices=["mailfrom", "helo"], default="mailfrom", help="what to check (default: %(default)s)"
    )
    parser.add_argument("--receiver", metavar="HOST", help="our own host name, for %%{r} and Received-SPF")
    parser.add_argument("--prefetch", action="store_true", help="ask what a record may need side by side")
    add_dns_options(parser)
    add_json_option(parser)
    return parser


def _lint_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "lint", "find what is wrong or unwise in the record of a domain, or in a record's text")
    parser.epilog = "Exit status: 0 if there are no errors, 1 if there are, 2 for a mistake in the command."
    parser.add_argument("what", metavar="DOMAIN|RECORD", help="a domain, or the text of a record")
    add_dns_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=_lint)


def _build_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "build", "write a record")
    add = parser.add_argument
    add("--domain", metavar="NAME", help="print a line for this domain's zone file")
    add(
        "--ip",
        action="append",
        default=[],
        metavar="NETWORK",
        help="an address or network that may send; may be repeated",
    )
    add(
        "--a",
        action="append",
        nargs="?",
        default=[],
        const=True,
        metavar="HOST",
        help="the addresses of the domain, or of HOST",
    )
    add(
        "--mx",
        action="append",
        nargs="?",
        default=[],
        const=True,
        metavar="DOMAIN",
        help="the MX hosts of the domain, or of DOMAIN",
    )
    add("--include", action="append", default=[], metavar="DOMAIN", help="whoever may send for DOMAIN")
    add("--exists", action="append", default=[], metavar="NAME", help="clients for which NAME, with macros, exists")
    add("--redirect", metavar="DOMAIN", help="the record of DOMAIN decides about everybody else")
    add("--exp", metavar="NAME", help="where the explanation of a fail stands")
    add(
        "--all",
        choices=["fail", "softfail", "neutral", "pass"],
        default="fail",
        help="everybody else (default: %(default)s)",
    )
    add_json_option(parser)
    parser.set_defaults(run=_build)


# --- check and explain ------------------------------------------------------------------------------------


def _evaluate(options: argparse.Namespace, trace: bool) -> SpfResult:
    from mailauth.plan import run
    from mailauth.spf import SpfPolicy, check_helo, check_host

    ip, policy = ip_of(options.ip), SpfPolicy(prefetch=options.prefetch)
    resolver = resolver_of(options)
    if options.identity == "helo":
        plan = check_helo(ip, options.helo, policy=policy, receiver=options.receiver, now=time.time(), trace=trace)
    else:
        plan = check_host(
            ip, helo=options.helo, mail_from=options.mail_from, policy=policy, receiver=options.receiver,
            now=time.time(), trace=trace,
        )  # fmt: skip
    return run(plan, resolver, time_limit=options.time_limit)


def _status(spf: SpfResult) -> int:
    return EXIT_OK if spf.result == "pass" else EXIT_NOT_PASS


def _check(options: argparse.Namespace) -> int:
    from mailauth.spf import received_spf

    spf = _evaluate(options, trace=False)
    if options.json:
        document = spf.to_dict() | {"reply": None if spf.reply is None else str(spf.reply)}
        if options.received_spf:
            document["received_spf"] = received_spf(spf, receiver=options.receiver)
        print_json(document)
        return _status(spf)
    _print_result(spf)
    if options.received_spf:
        print(received_spf(spf, receiver=options.receiver).replace("\r\n", "\n"), end="")
    return _status(spf)


def _explain(options: argparse.Namespace) -> int:
    spf = _evaluate(options, trace=True)
    if options.json:
        print_json(spf.to_dict())
        return _status(spf)
    for line in str(spf.trace).splitlines():
        print(_painted(line))
    print()
    _print_result(spf)
    return _status(spf)


def _painted(line: str) -> str:
    paint = Paint()
    if line.lstrip().startswith("? "):
        return paint(line, "dim")
    head, colon, end = line.rpartition(": ")
    style = "good" if end == "match" else _STYLES.get(end)
    return f"{head}{colon}{paint(end, style)}" if style else line


def _print_result(spf: SpfResult) -> None:
    paint = Paint()
    print(f"{paint(spf.result.value, _STYLES.get(spf.result.value, 'strong'))}  {one_line(spf.detail)}")
    rows = [
        (
            "checked",
            f"{one_line(spf.sender)} ({'MAIL FROM' if spf.identity == 'mailfrom' else 'HELO'}) from {spf.ip}",
        ),
        ("explanation", f"{spf.domain} says: {spf.explanation}" if spf.explanation else ""),
        ("lookups", f"{spf.lookups} of 10, {spf.void_lookups} of them void"),
        ("SMTP reply", str(spf.reply or "")),
    ]
    for name, text in rows:
        if text:
            print(f"  {name + ':':<13}{text}")


# --- lint -------------------------------------------------------------------------------------------------


def _lint(options: argparse.Namespace) -> int:
    from mailauth.plan import run
    from mailauth.spf import lint

    try:
        plan = lint(options.what)
    except ValueError as error:
        raise UsageError(str(error)) from None
    report = run(plan, resolver_of(options), time_limit=options.time_limit)
    if options.json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    return EXIT_OK if report.ok else EXIT_NOT_PASS


def _print_report(report: LintReport) -> None:
    paint = Paint()
    if report.record is not None:
        print(f"{report.domain}  {one_line(report.record)}".strip())
    for finding in report.findings:
        print(f"{paint(finding.severity.value, _SEVERITIES[finding.severity.value])}: {_finding_text(finding, report)}")
        if report.record is not None and finding.length and finding.domain == report.domain:
            # The marked part alone: a record may be wider than the terminal.
            marked = report.record[finding.start : finding.start + finding.length]
            print(f"    {one_line(_context(report.record, finding))}")
            print(f"    {' ' * _offset(report.record, finding)}{paint('^' * len(marked), 'bad')}")
        if finding.proposal:
            print(f"    write: {finding.proposal}")
    void = f"{report.void_lookups_ip4} for IPv4 clients, {report.void_lookups_ip6} for IPv6 clients"
    print(f"lookups: {report.lookups} of 10; void, of 2: {void}")
    print(f"authorised: {report.ip4_addresses:,} IPv4 addresses, {report.ip6_networks:,} IPv6 networks of /64")
    codes = {finding.code for finding in report.findings if finding.domain == report.domain}
    if report.ok:
        print(paint("no errors", "good"))
    elif report.record is None and "no-record" in codes:
        print(paint("no record: receivers give none", "bad"))
    elif report.record is None and "dns-error" in codes:
        print(paint("the record was not found out: receivers give temperror", "doubt"))
    else:
        print(paint("errors: receivers give permerror", "bad"))


def _finding_text(finding: Finding, report: LintReport) -> str:
    where = f"{finding.domain}: " if finding.domain and finding.domain != report.domain else ""
    return one_line(where + finding.words)


def _context(record: str, finding: Finding) -> str:
    start = record.rfind(" ", 0, finding.start) + 1
    end = record.find(" ", finding.start + finding.length)
    return record[start : end if end >= 0 else len(record)]


def _offset(record: str, finding: Finding) -> int:
    return finding.start - (record.rfind(" ", 0, finding.start) + 1)


# --- build ------------------------------------------------------------------------------------------------

_SIGNS: dict[str, Literal["-", "~", "?", "+"]] = {"fail": "-", "softfail": "~", "neutral": "?", "pass": "+"}


def _build(options: argparse.Namespace) -> int:
    from mailauth.spf import build_record, zone_line

    try:
        record = build_record(
            ip=options.ip, a=_hosts(options.a), mx=_hosts(options.mx), include=options.include, exists=options.exists,
            redirect=options.redirect, explanation=options.exp, all=_SIGNS[options.all],
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.json:
        line = None if options.domain is None else zone_line(options.domain, record)
        print_json({"record": str(record), "strings": record.strings(), "zone_line": line})
    else:
        print(str(record) if options.domain is None else zone_line(options.domain, record))
    return EXIT_OK


def _hosts(given: list[str | bool]) -> list[str | None]:
    """The option without a value means the domain itself."""
    return [None if host is True else str(host) for host in given]
