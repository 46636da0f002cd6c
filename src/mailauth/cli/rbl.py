"""``mailauth rbl``: ask block lists, test them, show the catalogue.

The words and tables of `mailauth rbl`. What a list says, and whether it is well, is decided in mailauth.rbl.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from mailauth.cli.common import (
    EXIT_OK,
    Paint,
    UsageError,
    add_dns_options,
    add_json_option,
    one_line,
    open_input,
    print_json,
    resolver_of,
    seconds,
)
from mailauth.plan import Plan, run_all
from mailauth.plan import run as run_plan
from mailauth.rbl import (
    DEFAULT_THRESHOLD,
    Action,
    Health,
    HealthResult,
    Kind,
    KnownList,
    Listing,
    Monitor,
    MonitorPolicy,
    RblPolicy,
    Reason,
    Result,
    Rule,
    RuleError,
    Verdict,
    catalogue,
    check_health,
    check_threshold,
    judge,
    parse_rules,
    query,
)
from mailauth.rbl.catalogue import Scope, State, Use
from mailauth.rbl.querying import ASKED, PLURAL, Subject

T = TypeVar("T")

EXIT_LISTED = 1
EXIT_NO_ANSWER = 3

_USAGE = """mailauth rbl ADDRESS|DOMAIN|E-MAIL [--list RULE ...] [--zone-list FILE] [--all] [options]
       mailauth rbl health [--list RULE ...] [--zone-list FILE] [--all] [--watch SECONDS] [options]
       mailauth rbl catalogue [--kind KIND | --dead] [--json]"""

_EPILOG = """\
A RULE is a list in Postfix's notation, with an optional action:
  zen.spamhaus.org=127.0.0.[2..11]*3            these answers count, three points
  multi.surbl.org=127.0.0.[&8]                  answers with this bit set count
  "zen.spamhaus.org reject"                     a listing rejects, whatever the score
  "list.dnswl.org=127.0.[0..255].[2..3] allow"  a listing ends the matter
FILE holds one RULE a line; # begins a comment. No list is asked that you do not name.

Exit status: 0 not listed (health: all are well); 1 listed (health: one is sick); 2 wrong call;
3 not listed, but some lists gave no answer, or none was asked.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.usage = _USAGE
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "subject",
        metavar="ADDRESS|DOMAIN|E-MAIL",
        help="what to ask about; or the word health: test the lists; or catalogue: show the known lists",
    )
    lists = parser.add_argument_group("lists")
    lists.add_argument("--list", nargs="+", action="extend", default=[], metavar="RULE", help="ask these lists")
    lists.add_argument("--zone-list", metavar="FILE", help="ask the lists of this file (- for standard input)")
    lists.add_argument("--all", action="store_true", help="ask every live list of the catalogue; mind their terms")
    parser.add_argument(
        "--private",
        action="store_true",
        help="ask about addresses and names that are not public, too: for lists of your own, and for 127.0.0.2",
    )
    parser.add_argument(
        "--threshold",
        type=_threshold,
        default=DEFAULT_THRESHOLD,
        metavar="N",
        help="reject from this score on (default: %(default)s)",
    )
    parser.add_argument(
        "--watch",
        type=seconds,
        metavar="SECONDS",
        help="health: test again and again, and print each list that goes out of service or comes back",
    )
    known = parser.add_argument_group("catalogue")
    shown = known.add_mutually_exclusive_group()
    shown.add_argument("--kind", choices=[kind.value for kind in Kind], help="only the live lists of this kind")
    shown.add_argument("--dead", action="store_true", help="only the dead lists")
    add_dns_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def _threshold(text: str) -> int:
    try:
        check_threshold(threshold := int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a whole number from 1 on: {text}") from None
    return threshold


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    if options.subject == "catalogue":
        return _catalogue(options)
    if options.subject == "health":
        return _health(options)
    return _query(options)


def _rules(options: argparse.Namespace, known: Iterable[KnownList]) -> list[Rule]:
    try:
        rules = [Rule.parse(text) for text in options.list]
        if options.zone_list is not None:
            rules += parse_rules(_read(options.zone_list))
    except RuleError as error:
        raise UsageError(f"bad rule {error}") from None
    if options.all:
        print(
            "mailauth: --all asks lists with terms of their own (registration, no public resolvers, small use only);"
            " see `mailauth rbl catalogue`",
            file=sys.stderr,
        )
        named = {rule.zone for rule in rules}
        rules += [Rule(entry.zone, weight=entry.weight) for entry in known if entry.zone not in named]
    if not rules:
        raise UsageError("name the lists to ask: --list RULE, --zone-list FILE, or --all for the whole catalogue")
    return rules


def _read(path: str) -> str:
    with open_input(path) as file:
        try:
            return file.read().decode()
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not UTF-8 text") from None


# --- ask ------------------------------------------------------------------------------------------------------------


def _query(options: argparse.Namespace) -> int:
    policy = RblPolicy(not_public=(), not_public_domains=()) if options.private else RblPolicy()
    subject = Subject.of(options.subject, policy)
    if not subject.labels:
        raise UsageError(f"neither an address nor a domain name: {options.subject[:100]}")
    left_out = {known: _why_left_out(known, subject) for known in catalogue.LISTS} if options.all else {}
    rules = _rules(options, (known for known, why in left_out.items() if not why))
    progress = Progress(len(rules))
    plan = run_all([progress.watch(query(options.subject, [rule], policy=policy)) for rule in rules])
    listings = [listing for (listing,) in run_plan(plan, resolver_of(options), time_limit=options.time_limit)]
    progress.clear()
    asked = {rule.zone for rule in rules}
    left = {known: why for known, why in left_out.items() if why and known.zone not in asked}
    verdict = judge(listings, threshold=options.threshold)
    if options.json:
        report = {"subject": subject.text, "listings": [listing.to_dict() for listing in listings]}
        if options.all:
            report["left_out"] = [{"zone": known.shown_zone, "why": why} for known, why in left.items()]
        print_json({**report, "verdict": verdict.to_dict()})
    else:
        if options.all:
            listings.sort(key=lambda listing: -listing.weight)
            _print_left_out(left, ASKED[subject.kind])
        _print_listings(subject.text, listings, verdict)
    return _status(listings)


class Progress:
    """How many lists have answered, in one line on a terminal that is cleared in the end."""

    def __init__(self, count: int) -> None:
        self._count, self._done = count, 0
        self._on = sys.stderr.isatty()

    def watch(self, plan: Plan[T]) -> Plan[T]:
        """The plan, which counts when it is done."""
        result = yield from plan
        self._done += 1
        if self._on:
            print(f"\r{self._done} of {_count(self._count, 'list')} answered", end="", file=sys.stderr, flush=True)
        return result

    def clear(self) -> None:
        if self._on:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _why_left_out(known: KnownList, subject: Subject) -> str:
    """Why ``--all`` does not ask the list; empty if it does."""
    why = catalogue.why_left_out(known)
    if known.state is State.LIVE and known.kind not in ASKED[subject.kind]:
        return f"a list of {PLURAL[known.kind]}"
    if subject.ip_version and known.ip_versions and subject.ip_version not in known.ip_versions:
        return why or f"has no IPv{subject.ip_version} addresses"
    return why


def _print_left_out(left: Mapping[KnownList, str], kinds: Collection[Kind | None]) -> None:
    """Each live list of the right kind by its reason, the others by their number."""
    by_reason: dict[str, list[str]] = {}
    for known, why in left.items():
        if known.state is State.LIVE and known.kind in kinds:
            by_reason.setdefault(why, []).append(known.shown_zone)
    others = len(left) - sum(map(len, by_reason.values()))
    print("left out:")
    for why, zones in by_reason.items():
        print(textwrap.fill(f"{why}: {', '.join(zones)}", 110, initial_indent="  ", subsequent_indent="    "))
    print(f"  dead, or of another kind: {_count(others, 'list')} (mailauth rbl catalogue)\n")


def _is_bad(listing: Listing) -> bool:
    return listing.listed and listing.weight >= 0 and listing.rule.action is not Action.ALLOW


def _unanswered(listing: Listing) -> bool:
    return listing.result in {Result.REFUSED, Result.TEMPERROR} or listing.reason is Reason.NOT_A_LIST


def _not_asked(listing: Listing) -> bool:
    return listing.reason is Reason.NOT_ASKED


def _status(listings: Sequence[Listing]) -> int:
    if any(map(_is_bad, listings)):
        return EXIT_LISTED
    # One file of rules may hold lists of both kinds: that an address was not asked of those of domains is fine.
    return EXIT_NO_ANSWER if any(map(_unanswered, listings)) or all(map(_not_asked, listings)) else EXIT_OK


def _label(listing: Listing) -> tuple[int, str, str]:
    """Place in the table, words, colour."""
    if _is_bad(listing):
        return 0, "LISTED", "bad"
    if listing.listed:
        return 1, "listed as good", "good"
    if _not_asked(listing):
        return 4, "not asked", "dim"
    if listing.reason is Reason.NOT_A_LIST:
        return 3, "no list", "doubt"
    words = {Result.NOT_LISTED: (2, "not listed", "good"), Result.REFUSED: (3, "refused", "doubt")}
    return words.get(listing.result, (3, "no answer", "doubt"))


def _print_listings(subject: str, listings: Sequence[Listing], verdict: Verdict) -> None:
    paint = Paint()
    bad = sum(map(_is_bad, listings))
    summary = f"listed by {bad} of {_count(len(listings), 'list')}"
    if silent := sum(map(_unanswered, listings)):
        summary += f"; no answer from {silent}"
    if unasked := sum(map(_not_asked, listings)):
        summary += f"; {unasked} not asked"
    print(f"{paint(subject, 'strong')}: {summary}\n")
    width = max(len(listing.zone) for listing in listings)
    for listing in sorted(listings, key=lambda one: _label(one)[0]):
        _, label, colour = _label(listing)
        print(f"  {paint(label.ljust(14), colour)}  {listing.zone.ljust(width)}  {_first_line(listing)}".rstrip())
        for line in _more_lines(listing):
            print(" " * (20 + width) + line)
    print(f"\nscore {verdict.score}, threshold {verdict.threshold}: {_advice(verdict)}")


def _first_line(listing: Listing) -> str:
    if listing.listed:
        points = f"{listing.score:+d}" if listing.rule.action is Action.SCORE else listing.rule.action.value
        return f"{points}  {', '.join(listing.matched)}"
    codes = f"{', '.join(listing.codes[:4])}: " if listing.codes else ""
    return "" if listing.reason is Reason.NO_ENTRY else codes + listing.detail


def _more_lines(listing: Listing) -> list[str]:
    if not (listing.listed or listing.reason is Reason.OTHER_CODE):
        return []
    lines = list(listing.meanings)
    if listing.listed and listing.known is not None and not listing.known.weight:
        lines.append(_SCOPES[listing.known.scope])
    if listing.text:
        lines.append(f'"{listing.text}"')
    if _is_bad(listing) and listing.removal_page:
        lines.append(f"removal: {listing.removal_page}")
    return lines


def _advice(verdict: Verdict) -> str:
    because = ", ".join(listing.zone for listing in verdict.because)
    return {
        "allow-list": f"allow, because of {because}",
        "reject-list": f"reject, because of {because}",
        "score": "reject",
        "below-threshold": "nothing against it",
    }[verdict.reason]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# --- health ---------------------------------------------------------------------------------------------------------


def _health(options: argparse.Namespace) -> int:
    rules = _rules(options, catalogue.live())
    unique = list({rule.zone: rule for rule in rules}.values())
    if options.watch is not None:
        return _watch(options, unique)
    plan = run_all([check_health(rule) for rule in unique])
    healths = run_plan(plan, resolver_of(options), time_limit=options.time_limit)
    if options.json:
        print_json([health.to_dict() for health in healths])
    else:
        _print_health(healths)
    if any(health.result in _SICK for health in healths):
        return EXIT_LISTED
    return EXIT_OK if all(health.healthy for health in healths) else EXIT_NO_ANSWER


def _watch(options: argparse.Namespace, rules: Sequence[Rule]) -> int:
    """Until it is interrupted: one line when a list goes out of service or comes back."""
    resolver, paint = resolver_of(options), Paint()
    every = options.watch
    monitor = Monitor(clock=time.monotonic, policy=MonitorPolicy(check_every=every, retry_after=every))
    known: dict[str, bool] = {}
    while True:
        run_plan(monitor.check(rules), resolver, time_limit=options.time_limit)
        for record in monitor.records():
            if known.get(record.shown_zone) != record.in_service:
                known[record.shown_zone] = record.in_service
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
                if options.json:
                    print_json({"time": stamp, **record.to_dict()})
                else:
                    state = paint("in service", "good") if record.in_service else paint("out of service", "bad")
                    print(f"{stamp}  {record.shown_zone}  {state}  {record.why}".rstrip())
        sys.stdout.flush()
        time.sleep(every)


_SICK = {HealthResult.SILENT, HealthResult.LISTS_ALL, HealthResult.REFUSED, HealthResult.DEAD}


def _print_health(healths: Sequence[Health]) -> None:
    paint = Paint()
    width = max(len(health.zone) for health in healths)
    for health in healths:
        colour = "good" if health.healthy else "bad" if health.result in _SICK else "doubt"
        well = [kind.value for kind, result in health.entries if result is HealthResult.HEALTHY]
        words = health.detail or f"entries: {', '.join(well)}"
        print(f"{paint(health.result.value.ljust(9), colour)}  {health.zone.ljust(width)}  {words}".rstrip())


# --- catalogue ------------------------------------------------------------------------------------------------------


def _catalogue(options: argparse.Namespace) -> int:
    lists = [
        known
        for known in catalogue.LISTS
        if (not options.dead or known.state is State.DEAD)
        and (options.kind is None or (known.state is State.LIVE and known.kind == options.kind))
    ]
    if options.json:
        print_json({"as_of": catalogue.AS_OF, "lists": [known.to_dict() for known in lists]})
        return EXIT_OK
    paint = Paint()
    print(f"Facts as of {catalogue.AS_OF}; read a list's own page before you rely on it.\n")
    for known in lists:
        if known.state is State.DEAD:
            print(f"{paint(known.zone, 'bad')}  {known.name}: dead, {known.note}")
            continue
        kind = f"IPv{known.ip_versions[0]} addresses" if len(known.ip_versions) == 1 else PLURAL[known.kind]
        print(f"{paint(known.shown_zone, 'strong')}  {known.name}: {_USES[known.use]} ({kind})")
        part = f"part of {known.part_of}: ask that" if known.part_of else ""
        for words in (part, _SCOPES[known.scope], known.note, known.terms, known.policy_page):
            if words:
                print(f"    {one_line(words)}")
    return EXIT_OK


_USES = {
    Use.REJECT: "may reject",
    Use.SCORE: "only for scores",
    Use.INFORM: "to learn where one is listed",
    Use.ALLOW: "lists good senders",
}
_SCOPES = {
    Scope.ANY: "",
    Scope.CLIENT: "for the connecting client only, never for Received hops",
    Scope.MX_CLIENT: "for clients of an MX, never for authenticated submission",
    Scope.NULL_SENDER: "for mail from the null sender only, never for all mail",
    Scope.LOGINS: "for hosts that log in, never for mail from other servers",
}
