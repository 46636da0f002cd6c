"""``mailauth spf check | explain | lint | flatten | build``.

`mailauth spf`: options in, text or JSON out. What is said is decided in mailauth.spf.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
import time
from itertools import groupby
from typing import TYPE_CHECKING

from mailauth.cli.common import (
    EXIT_OK,
    Paint,
    UsageError,
    add_dns_options,
    add_json_option,
    ip_of,
    number,
    one_line,
    print_json,
    resolver_of,
)  # fmt: skip

if TYPE_CHECKING:
    from mailauth.spf import Finding, Flattened, LintReport, SpfPolicy, SpfResult, TreeRecord

EXIT_NOT_PASS = 1
"""check and explain: any result but pass; lint: errors were found; flatten: there is no valid record."""

SHOWN_ALIKE = 5
"""Findings of one kind that are printed one after another; JSON has them all."""

WIDTH = 100
"""Columns of a printed line; only what is to be copied may be longer."""

_LIMITS = {
    "max_lookups": "terms that may ask the DNS",
    "max_void_lookups": "of them, those that may find nothing",
    "max_mx_hosts": "MX hosts of one mx",
    "max_ptr_names": "reverse names that are looked at",
    "max_explanation": "octets of an explanation",
}
"""The limits of `SpfPolicy` that are options."""

_STYLES = {"pass": "good", "fail": "bad", "permerror": "bad", "softfail": "doubt", "temperror": "doubt"}
_SEVERITIES = {"error": "bad", "warning": "doubt", "note": "dim"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    commands = parser.add_subparsers(dest="spf_command", metavar="COMMAND", required=True)
    check = _check_parser(commands, "check", "check a client against the SPF record of a domain")
    check.add_argument("--received-spf", action="store_true", help="print the Received-SPF header field, too")
    check.set_defaults(run=_check)
    explain = _check_parser(commands, "explain", "the same, with every step of the evaluation")
    explain.add_argument(
        "--all", action="store_true", help="go on past the match and past the limits: the whole tree, with what each"
        " term says of the client",
    )  # fmt: skip
    explain.set_defaults(run=_explain)
    _lint_parser(commands)
    _flatten_parser(commands)
    _build_parser(commands)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")


def _check_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    from mailauth.spf import SpfPolicy

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
    limits = parser.add_argument_group("limits (RFC 7208 section 4.6.4)")
    for name, words in _LIMITS.items():
        default = SpfPolicy.__dataclass_fields__[name].default
        limits.add_argument(
            f"--{name.replace('_', '-')}", type=number, metavar="N", help=f"{words} (default: {default})"
        )
    limits.add_argument("--no-explanation", action="store_true", help="do not ask for the explanation of a fail")
    add_dns_options(parser)
    add_json_option(parser)
    return parser


def _lint_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "lint", "find what is wrong or unwise in the record of a domain, or in a record's text")
    parser.epilog = "Exit status: 0 if there are no errors, 1 if there are, 2 for a mistake in the command."
    _what(parser)
    parser.set_defaults(run=_lint)


def _flatten_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "flatten", "propose a record in which the includes are resolved to networks")
    parser.epilog = "Exit status: 0, or 1 where there is no valid record, 2 for a mistake in the command."
    _what(parser)
    parser.set_defaults(run=_flatten)


def _what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="DOMAIN|RECORD", help="a domain, or the text of a record")
    parser.add_argument("--domain", metavar="NAME", help="where the text will stand")
    add_dns_options(parser)
    add_json_option(parser)


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


def _policy(options: argparse.Namespace) -> SpfPolicy:
    from mailauth.spf import SpfPolicy

    limits = {name: getattr(options, name) for name in _LIMITS if getattr(options, name) is not None}
    return SpfPolicy(prefetch=options.prefetch, explain=not options.no_explanation, **limits)


def _evaluate(options: argparse.Namespace, trace: bool) -> SpfResult:
    from mailauth.plan import run
    from mailauth.spf import check_helo, check_host

    ip, policy = ip_of(options.ip), _policy(options)
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
    _print_result(spf, options)
    if options.received_spf:
        print(received_spf(spf, receiver=options.receiver).replace("\r\n", "\n"), end="")
    return _status(spf)


def _explain(options: argparse.Namespace) -> int:
    if options.all:
        return _explain_all(options)
    spf = _evaluate(options, trace=True)
    if options.json:
        print_json(spf.to_dict())
        return _status(spf)
    for line in str(spf.trace).splitlines():
        for part in _wrapped(line, len(line) - len(line.lstrip()) + 4):
            print(_painted(part))
    print()
    _print_result(spf, options)
    return _status(spf)


def _explain_all(options: argparse.Namespace) -> int:
    from mailauth.plan import run
    from mailauth.spf import whole_tree

    policy = _policy(options)
    plan = whole_tree(
        ip_of(options.ip), helo=options.helo, mail_from=options.mail_from, identity=options.identity,
        policy=policy, receiver=options.receiver, now=time.time(),
    )  # fmt: skip
    spf, tree = run(plan, resolver_of(options), time_limit=options.time_limit)
    if options.json:
        print_json(spf.to_dict() | {"tree": None if tree is None else tree.to_dict()})
        return _status(spf)
    if tree is not None:
        _print_tree(tree, policy.max_lookups)
        print()
    _print_result(spf, options)
    return _status(spf)


def _painted(line: str) -> str:
    paint = Paint()
    if line.lstrip().startswith("? "):
        return paint(line, "dim")
    head, colon, end = line.rpartition(": ")
    word, blank, rest = end.partition(" (lookup")
    style = "good" if word == "match" else _STYLES.get(word)
    return f"{head}{colon}{paint(word, style)}{blank}{rest}" if style else line


def _print_result(spf: SpfResult, options: argparse.Namespace) -> None:
    paint = Paint()
    head = f"{spf.result.value}  "
    first, *more = _wrapped(head + one_line(spf.detail), len(head))
    print(paint(spf.result.value, _STYLES.get(spf.result.value, "strong")) + first[len(spf.result.value) :])
    for line in more:
        print(line)
    policy = _policy(options)
    lookups, void = policy.max_lookups, policy.max_void_lookups
    identity = "MAIL FROM" if spf.identity == "mailfrom" else "HELO"
    rows = [
        ("checked", f"{one_line(spf.sender)} ({identity}) from {spf.ip}"),
        ("explanation", f"{spf.domain} says: {spf.explanation}" if spf.explanation else ""),
        ("lookups", f"{spf.lookups} of {lookups}, {spf.void_lookups} of them void (of {void})"),
        ("SMTP reply", str(spf.reply or "")),
    ]
    for name, text in rows:
        if text:
            print("\n".join(_wrapped(f"  {name + ':':<13}{text}", 15)))
    if spf.reason in ("no-record", "several-records") and spf.domain:
        _print_discarded(spf.domain, options)
    elif spf.discarded:
        print()
        for each in spf.discarded:
            print("\n".join(_wrapped(f'  at {each.domain}: "{_visible(each.text)}"', 6)))
            if each.proposal:
                print(f"    its owner may write: {one_line(each.proposal)}")


def _print_discarded(domain: str, options: argparse.Namespace) -> None:
    """What stands at a domain in place of its one record, as lint has it."""
    from mailauth.plan import run
    from mailauth.spf import lint

    report = run(lint(domain), resolver_of(options), time_limit=options.time_limit)
    findings = [finding for finding in report.findings if finding.texts and not finding.path]
    if findings:
        print()
    for finding in findings:
        _print_finding(finding, report)


def _wrapped(line: str, indent: int) -> list[str]:
    """The line, broken at blanks where it is wider than `WIDTH`."""
    if len(line) <= WIDTH:
        return [line]
    start = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.strip(), WIDTH, initial_indent=start, subsequent_indent=" " * min(indent, WIDTH // 2),
        break_on_hyphens=False,
    )  # fmt: skip


def _print_tree(tree: TreeRecord, max_lookups: int) -> None:
    paint = Paint()
    for line in tree.lines(max_lookups=max_lookups):
        head, gap, words = line.partition("  ") if not line.strip() else _columns(line)
        print(f"{head}{gap}{paint(words, 'dim')}" if words else line)


def _columns(line: str) -> tuple[str, str, str]:
    """The term with its number, the gap, and the words about it."""
    match = re.match(r"(.{5} *\S+)(  +)(.*)", line)
    return (match[1], match[2], match[3]) if match else (line, "", "")


# --- lint -------------------------------------------------------------------------------------------------


def _lint(options: argparse.Namespace) -> int:
    from mailauth.plan import run
    from mailauth.spf import lint

    try:
        plan = lint(options.what, domain=options.domain or "")
    except ValueError as error:
        raise UsageError(str(error)) from None
    report = run(plan, resolver_of(options), time_limit=options.time_limit)
    if options.json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    return EXIT_NOT_PASS if report.errors else EXIT_OK


def _print_report(report: LintReport) -> None:
    paint = Paint()
    if report.record is not None:
        _print_tree(report.tree, 10)
        print()
    for _, group in groupby(report.findings, key=lambda finding: (finding.domain, finding.code)):
        alike = list(group)
        for finding in alike[:SHOWN_ALIKE]:
            _print_finding(finding, report)
        if len(alike) > SHOWN_ALIKE:
            print(f"    ... and {_many(len(alike) - SHOWN_ALIKE, 'more', '')} like this in the same record")
    if report.findings:
        print()
    if report.record is not None:
        void = f"{report.void_lookups_ip4} for IPv4 clients, {report.void_lookups_ip6} for IPv6 clients"
        print(f"lookups: {report.lookups} of 10; void, of 2: {void}")
        ip4, ip6 = report.ip4_addresses, report.ip6_networks
        print(f"authorised: {_many(ip4, 'IPv4 address', 'es')}, {_many(ip6, 'IPv6 network', 's')} of /64")
    doubtful = not report.errors or "temperror" in report.verdict
    style = "good" if report.ok else "doubt" if doubtful else "bad"
    warnings = sum(finding.severity == "warning" for finding in report.findings)
    print(
        paint(report.verdict, style)
        + (f", {_many(warnings, 'warning', 's')}" if warnings and not report.errors else "")
    )


def _many(number: int, noun: str, plural: str) -> str:
    from mailauth.spf.ranges import counted

    return f"{counted(number)} {noun}{'' if number == 1 else plural}"


def _print_finding(finding: Finding, report: LintReport) -> None:
    paint = Paint()
    severity = finding.severity.value
    first, *more = _wrapped(f"{severity}: {one_line(finding.words)}", 4)
    print(paint(severity, _SEVERITIES[severity]) + first[len(severity) :])
    for line in more:
        print(line)
    if finding.record and finding.length:
        excerpt, mark, length = _excerpt(finding)
        print(f"    {excerpt}")
        print(f"    {' ' * mark}{paint('^' * length, 'bad')}")
    for text in finding.texts:
        print("\n".join(_wrapped(f'    found: "{_visible(text)}"', 11)))
    if finding.path:
        print("\n".join(_wrapped(f"    in the record of {finding.domain}, {_by(finding)}", 8)))
    if finding.proposal:
        ours = not finding.path or finding.domain.endswith("." + report.domain)
        print(f"    {'write' if ours else 'its owner may write'}: {one_line(finding.proposal)}")


def _visible(text: str) -> str:
    """The text with what is not seen written out: a tab as ``\\t``, a byte-order mark as ``\\ufeff``."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _by(finding: Finding) -> str:
    """Who includes the record of a finding, and by which term."""
    return ", ".join(f"by {one_line(term)} of {domain or 'the text'}" for domain, term in reversed(finding.path))


def _excerpt(finding: Finding) -> tuple[str, int, int]:
    """The record around the marked part, cut to the width of a line; where the mark begins, and its length."""
    room = WIDTH - 8
    text, start = one_line(finding.record), finding.start
    length = max(1, min(finding.length, room))
    begin = max(0, min(start - (room - length) // 2, len(text) - room))
    head = "... " if begin else ""
    cut = text[begin + len(head) : begin + room]
    tail = "" if begin + room >= len(text) else " ..."
    return head + cut + tail, start - begin, min(length, begin + room - start)


# --- flatten ----------------------------------------------------------------------------------------------


def _flatten(options: argparse.Namespace) -> int:
    from mailauth.plan import run
    from mailauth.spf import flatten

    try:
        plan = flatten(options.what, domain=options.domain or "")
    except ValueError as error:
        raise UsageError(str(error)) from None
    found = run(plan, resolver_of(options), time_limit=options.time_limit)
    if options.json:
        print_json(found.to_dict())
    elif found.record is None:
        print(f"{found.domain}: {found.problem}")
    else:
        _print_flattened(found)
    return EXIT_NOT_PASS if found.record is None else EXIT_OK


def _print_flattened(found: Flattened) -> None:
    from mailauth.spf.advice import MAX_RECORD_OCTETS

    paint = Paint()
    record = str(found.record)
    strings = 0 if found.record is None else len(found.record.strings())
    print(record)
    print()
    print(f"lookups: {found.tree.lookups} before, {found.lookups} after")
    fits = "" if len(record) <= MAX_RECORD_OCTETS else f"; up to {MAX_RECORD_OCTETS} fit any UDP answer"
    print(f"size:    {len(record):,} octets in {_many(strings, 'string', 's')}{fits}")
    for term, why in found.kept:
        print("\n".join(_wrapped(f"kept:    {one_line(term)}: {one_line(why)}", 9)))
    if not found.ttls:
        return
    shown = ", ".join(f"{question} {ttl} s" for question, ttl in found.ttls[:3])
    more = f", and {len(found.ttls) - 3} more" if len(found.ttls) > 3 else ""
    print("\n".join(_wrapped(f"stale:   after {found.ttl} s, by the TTLs: {shown}{more}", 9)))
    words = (
        "warning: those whom you include change their servers and tell nobody; from then on their mail fails until "
        f"this record is made anew. Do so every {found.ttl} s by a program, or keep the includes while they cost no "
        "more than ten lookups."
    )
    first, *rest = _wrapped(words, 0)
    print(paint("warning", "doubt") + first[len("warning") :])
    for line in rest:
        print(line)


# --- build ------------------------------------------------------------------------------------------------


def _build(options: argparse.Namespace) -> int:
    from mailauth.spf import build_record, lint_text, zone_line

    try:
        line = None
        record = build_record(
            ip=options.ip, a=_hosts(options.a), mx=_hosts(options.mx), include=options.include, exists=options.exists,
            redirect=options.redirect, explanation=options.exp, all=options.all,
        )  # fmt: skip
        if options.domain is not None:
            line = zone_line(options.domain, record)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.json:
        print_json({"record": str(record), "strings": record.strings(), "zone_line": line})
    else:
        print(str(record) if line is None else line)
        for finding in lint_text(str(record)):
            if finding.severity == "warning":
                print(f"warning: {one_line(finding.words)}", file=sys.stderr)
    return EXIT_OK


def _hosts(given: list[str | bool]) -> list[str | None]:
    """The option without a value means the domain itself."""
    return [None if host is True else str(host) for host in given]
