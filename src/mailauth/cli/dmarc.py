"""``mailauth dmarc check | explain | lint | build | report``.

`mailauth dmarc`: options in, text or JSON out. What is said is decided in mailauth.dmarc.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from mailauth.cli.common import (
    EXIT_OK,
    Paint,
    UsageError,
    add_dns_options,
    add_json_option,
    counted,
    one_line,
    print_json,
    resolver_of,
)  # fmt: skip

if TYPE_CHECKING:
    from mailauth.dmarc import DmarcResult, LintReport, Visit
    from mailauth.dmarc.reports import Recipients

T = TypeVar("T")

EXIT_NOT_PASS = 1
"""check and explain: any result but pass; lint: errors were found."""

EXIT_LATER = 1
"""report: a DNS error hides whether an address may have its report."""

_STYLES = {"pass": "good", "fail": "bad", "none": "dim", "temperror": "doubt", "permerror": "bad"}
_SEVERITIES = {"error": "bad", "warning": "doubt", "note": "dim"}


class _Given(NamedTuple):
    """A result of SPF or DKIM that the user says was a pass."""

    domain: str
    result: str = "pass"
    identity: str = "mailfrom"
    selector: str | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    commands = parser.add_subparsers(dest="dmarc_command", metavar="COMMAND", required=True)
    for name, summary, run in (
        ("check", "what applies to a domain, and whether these identifiers are aligned with it", _check),
        ("explain", "the same, question by question", _explain),
    ):
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        command.epilog = "Exit status: 0 for pass, 1 for every other result, 2 for a mistake in the command."
        command.add_argument("domain", metavar="DOMAIN", help="the domain of the author in From")
        command.add_argument("--spf", metavar="DOMAIN", help="the domain of MAIL FROM, for which SPF passed")
        command.add_argument(
            "--dkim", metavar="DOMAIN", action="append", default=[], help="d= of a signature that passed; repeatable"
        )
        add_dns_options(command)
        add_json_option(command)
        command.set_defaults(run=run)
    _lint_parser(commands)
    _build_parser(commands)
    _report_parser(commands)


def _lint_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    summary = "find what is wrong or unwise in the record of a domain, or in a record's text"
    parser = commands.add_parser("lint", help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.epilog = "Exit status: 0 if there are no errors, 1 if there are, 2 for a mistake in the command."
    parser.add_argument("what", metavar="DOMAIN|RECORD", help="a domain, or the text of a record")
    add_dns_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=_lint)


def _build_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("build", help="write a record", description="Write a record.")
    policies = ["none", "quarantine", "reject"]
    add = parser.add_argument
    add("--domain", metavar="NAME", help="print a line for this domain's zone file")
    add("--p", choices=policies, default="none", help="what is asked for mail that fails (default: %(default)s)")
    add("--sp", choices=policies, help="the same for subdomains")
    add("--np", choices=policies, help="the same for subdomains that do not exist")
    add("--adkim", choices=["r", "s"], default="r", help="alignment of DKIM: relaxed or strict")
    add("--aspf", choices=["r", "s"], default="r", help="alignment of SPF")
    add("--psd", choices=["n", "y", "u"], default="u", help="n: this domain is an organization of its own")
    add("--test", action="store_true", help="t=y: ask for one level less")
    add("--rua", metavar="ADDRESS|URI", action="append", default=[], help="where aggregate reports go; repeatable")
    add("--ruf", metavar="ADDRESS|URI", action="append", default=[], help="where failure reports go; repeatable")
    add("--fo", default="0", help="which failure reports: 0, 1, d, s, with colons")
    add_json_option(parser)
    parser.set_defaults(run=_build)


def _report_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    summary = "write the aggregate reports of a day (RFC 9990); nothing is sent"
    parser = commands.add_parser("report", help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.epilog = (
        "For each policy domain: the compressed XML, and the mail that carries it (.eml) where addresses may have it."
        " Exit status: 0; 1 if a DNS error hides whether an address may have its report (run it again); 2 for a mistake"
        " in the command, or a store that fails."
    )
    add = parser.add_argument
    add("--store", metavar="URL", required=True, help="where results were added up: sqlite: or postgresql:")
    add("--day", metavar="YYYY-MM-DD", type=_day, help="the day, in UTC (default: yesterday)")
    add("--output", metavar="FOLDER", required=True, help="where the files go")
    add("--domain", metavar="NAME", required=True, help="this receiver's domain, which sends the reports")
    add("--org-name", metavar="TEXT", help="the organization (default: the domain)")
    add(
        "--email",
        metavar="ADDRESS",
        help="for questions, and the sender of the mails (default: postmaster@ the domain)",
    )
    add("--forget", metavar="DAYS", type=_days, help="afterwards drop what is older than so many days")
    add_dns_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=_report)


def _day(text: str) -> int:
    """Days since the epoch."""
    from datetime import date

    try:
        return (date.fromisoformat(text) - date(1970, 1, 1)).days
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a day: {text!r}") from None


def _days(text: str) -> int:
    """How many days."""
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise argparse.ArgumentTypeError(f"not a number of days: {text!r}")
    return int(text)


# --- check and explain ------------------------------------------------------------------------------------


def _evaluate(options: argparse.Namespace) -> DmarcResult:
    from mailauth.dmarc import check
    from mailauth.plan import run

    # In a message these would be the sender's mistake, which has a result; here it is a slip of whoever asks.
    for text in filter(None, (options.domain, options.spf, *options.dkim)):
        plain = text.rpartition("@")[2].removeprefix("_dmarc.")
        if plain != text:
            raise UsageError(f"a domain alone is asked for: {one_line(plain)}, not {one_line(text)}")
    spf = None if options.spf is None else _Given(options.spf)
    plan = check(options.domain, spf=spf, dkim=[_Given(domain) for domain in options.dkim])
    return run(plan, resolver_of(options), time_limit=options.time_limit)


def _check(options: argparse.Namespace) -> int:
    found = _evaluate(options)
    if options.json:
        print_json(found.to_dict())
    else:
        applied = next((visit for visit in found.trace if visit.name == found.policy_domain), None)
        _print_result(found, record=applied)
    return EXIT_OK if found.result == "pass" else EXIT_NOT_PASS


def _explain(options: argparse.Namespace) -> int:
    found = _evaluate(options)
    if options.json:
        print_json(found.to_dict())
        return EXIT_OK if found.result == "pass" else EXIT_NOT_PASS
    for line in _tree(found):
        print(line)
    print()
    _print_result(found)
    return EXIT_OK if found.result == "pass" else EXIT_NOT_PASS


def _tree(found: DmarcResult) -> Iterator[str]:
    """The author's walk, each name under the one before it; then what was asked for the identifiers besides."""
    from mailauth.dmarc import walk_names

    paint = Paint()
    names = [] if found.author_domain is None else walk_names(found.author_domain)
    ended = False
    for visit in found.trace:
        if visit.name not in names:
            continue
        style = "strong" if visit.name == found.policy_domain else "dim"
        notes = [
            note
            for note, name in (("policy", found.policy_domain), ("organizational domain", found.organizational_domain))
            if name == visit.name
        ]
        words = "not looked at: psd= ends the walk below" if ended else one_line(visit.words)
        end = f"   <- {', '.join(notes)}" if notes else ""
        yield f"{'  ' * names.index(visit.name)}{paint(f'_dmarc.{visit.name}', style)}  {words}{end}"
        ended = ended or visit.stops
    others = [visit for visit in found.trace if visit.name not in names]
    if others:
        yield ""
        yield "for the identifiers:"
        for visit in others:
            yield f"{paint(f'_dmarc.{visit.name}', 'dim')}  {one_line(visit.words)}"


def _print_result(found: DmarcResult, record: Visit | None = None) -> None:
    paint = Paint()
    print(f"{paint(found.result.value, _STYLES[found.result.value])}  {one_line(found.detail)}")
    rows = []
    if found.author_domain:
        rows.append(("author", found.author_domain))
    if record is not None:
        rows.append(("record", one_line(record.words)))
    if found.policy is not None:
        rows.append(("policy", f"{found.policy_tag}={found.policy}, from _dmarc.{found.policy_domain}"))
        rows.append(("asked for", f"{found.disposition}{_overrides(found)}"))
    if found.organizational_domain:
        rows.append(("organization", found.organizational_domain))
    if found.exists is not None:
        rows.append(("exists", "yes" if found.exists else "no"))
    for identifier in found.identifiers:
        words = {True: "aligned", False: "not aligned", None: "not known"}[identifier.aligned]
        rows.append((identifier.method, one_line(f"{identifier.domain}: {words} ({identifier.detail})")))
    rows.append(("questions", str(found.queries)))
    for name, text in rows:
        print(f"  {name + ':':<14}{text}")
    if found.policy is not None and not found.identifiers:
        print(paint("  (--spf and --dkim say what passed; here nothing did)", "dim"))


def _overrides(found: DmarcResult) -> str:
    return "".join(f" ({each.type}: {one_line(each.comment)})" for each in found.overrides)


# --- lint and build ---------------------------------------------------------------------------------------


def _lint(options: argparse.Namespace) -> int:
    from mailauth.dmarc import lint
    from mailauth.plan import run

    try:
        plan = lint(options.what)
    except ValueError as error:
        raise UsageError(str(error)) from None
    report = run(plan, resolver_of(options), time_limit=options.time_limit)
    if options.json:
        print_json(report.to_dict())
        return EXIT_OK if report.ok else EXIT_NOT_PASS
    paint = Paint()
    if report.walk is not None and report.record is not None:
        print(f"{report.domain}  {one_line(report.walk.visits[0].text)}")
    for finding in report.findings:
        print(f"{paint(finding.severity.value, _SEVERITIES[finding.severity.value])}: {one_line(finding.words)}")
        if finding.proposal:
            print(f"    write: {finding.proposal}")
    print(_summary(report, paint))
    return EXIT_OK if report.ok else EXIT_NOT_PASS


def _summary(report: LintReport, paint: Paint) -> str:
    """``2 errors, 1 warning``."""
    numbers = Counter(finding.severity.value for finding in report.findings)
    counts = ", ".join(counted(number, severity) for severity, number in numbers.items())
    return paint(counts or "nothing to repair", "good" if report.ok else "bad")


def _build(options: argparse.Namespace) -> int:
    from mailauth.dmarc import build_record, zone_line

    try:
        record = build_record(
            p=options.p, sp=options.sp, np=options.np, adkim=options.adkim, aspf=options.aspf, psd=options.psd,
            t=options.test, rua=options.rua, ruf=options.ruf, fo=options.fo,
        )  # fmt: skip
        line = None if options.domain is None else zone_line(options.domain, record)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.json:
        print_json({"record": str(record), "zone_line": line})
    else:
        print(str(record) if line is None else line)
    return EXIT_OK


# --- reports ----------------------------------------------------------------------------------------------


def _report(options: argparse.Namespace) -> int:
    import time
    from pathlib import Path

    from mailauth import MailAuthError
    from mailauth.dmarc.reports import DAY, Reporter, make_report, recipients_of
    from mailauth.plan import run
    from mailauth.stores import open_report_store

    try:
        domain = options.domain
        reporter = Reporter(domain, options.org_name or domain, options.email or f"postmaster@{domain}")
        store = open_report_store(options.store)
    except (ValueError, MailAuthError) as error:
        raise UsageError(str(error)) from None
    day = _day_to_report(options, int(time.time() // DAY))
    folder, resolver = Path(options.output), resolver_of(options)
    written: list[_Written] = []
    try:
        for published in _of_store(store.domains, day):
            rows = _of_store(store.rows, day, published.domain)
            if not rows:
                continue
            recipients = run(recipients_of(published), resolver, time_limit=options.time_limit)
            report = make_report(reporter, day, published, rows, recipients=recipients.addresses)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / report.filename).write_bytes(report.compressed)
            mail = report.filename.replace(".xml.gz", ".eml") if report.message else None
            if mail is not None:
                (folder / mail).write_bytes(report.message)
            written.append(_Written(report.filename, mail, sum(count for _, count in rows), recipients))
        if options.forget is not None:
            _of_store(store.forget, day - options.forget)
    finally:
        store.close()
    if options.json:
        print_json([each.to_dict() for each in written])
    else:
        for each in written:
            print(one_line(f"{each.file}: {each.words}"))
        if not written:
            print("no results for that day")
    return EXIT_LATER if any(each.recipients.unknown for each in written) else EXIT_OK


def _day_to_report(options: argparse.Namespace, today: int) -> int:
    """The day that the reports are about; yesterday where none is given."""
    day: int = today - 1 if options.day is None else options.day
    if day == today:
        # RFC 9990 section 3.5.1
        words = "the day is not over: send none of these, for those of the whole day will have the same names and ids"
        print(f"mailauth: {words}", file=sys.stderr)
    return day


def _of_store(ask: Callable[..., T], *values: Any) -> T:
    """What the store says, its errors in one line."""
    try:
        return ask(*values)
    except Exception as error:  # noqa: BLE001 - each driver has errors of its own
        raise UsageError(one_line(f"the store failed: {str(error) or type(error).__name__}")) from None


class _Written(NamedTuple):
    """One report that was written."""

    file: str
    mail: str | None
    messages: int
    recipients: Recipients

    @property
    def words(self) -> str:
        addresses, refused, unknown = self.recipients
        words = [f"{counted(self.messages, 'message')}, for {', '.join(addresses) or 'nobody'}"]
        if refused:
            words.append(f"not agreed to take it: {', '.join(refused)}")
        if unknown:
            words.append(f"could not be looked up, run this again: {', '.join(unknown)}")
        if not (addresses or refused or unknown):
            words.append("rua= names no address that mail could go to")
        return "; ".join(words)

    def to_dict(self) -> dict[str, Any]:
        addresses, refused, unknown = map(list, self.recipients)
        return {
            "file": self.file,
            "mail": self.mail,
            "messages": self.messages,
            "recipients": addresses,
            "refused": refused,
            "unknown": unknown,
        }
