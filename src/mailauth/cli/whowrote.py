"""``mailauth whowrote``: who wrote a message that lies in a mailbox, and whether that is proven.

With ``--authserv-id`` or ``--provider`` by the fields of one's own server, else by DKIM and DMARC of the message.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from mailauth.cli.common import (
    EXIT_OK,
    Paint,
    UsageError,
    add_dns_options,
    add_json_option,
    one_line,
    open_message,
    print_json,
    resolver_of,
)

if TYPE_CHECKING:
    from mailauth.trust import AuthorVerdict, TrustPolicy

EXIT_NOT_VERIFIED = 1
EXIT_DNS_ERROR = 75
"""EX_TEMPFAIL of sysexits.h."""

EPILOG = f"""\
With --authserv-id or --provider the Authentication-Results fields of your own mail server are believed, and the DNS is
not asked (except with --relaxed). Without them DKIM and DMARC of the message itself are verified.

exit status: {EXIT_OK} the author is verified, {EXIT_NOT_VERIFIED} not, {EXIT_DNS_ERROR} the DNS did not answer,
2 the command was called wrongly or a file cannot be read"""

_STYLES = {"verified": "good", "contradicted": "bad"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("message", metavar="MESSAGE", help="the message as a file, or - for standard input")
    mine = parser.add_argument_group("what is believed")
    mine.add_argument(
        "--authserv-id",
        action="append",
        default=[],
        metavar="ID",
        help="an id of your own mail server; may be repeated",
    )
    mine.add_argument("--provider", metavar="NAME", help="whose mail servers they are: gmail, microsoft365, yahoo")
    mine.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host of yours, or the domain of all; may be repeated",
    )
    mine.add_argument(
        "--network", action="append", default=[], metavar="NETWORK", help="addresses of your own hosts; may be repeated"
    )
    mine.add_argument(
        "--placement",
        default="above-received",
        choices=["above-received", "below-received", "top"],
        help="where your server puts its field (default: %(default)s)",
    )
    mine.add_argument(
        "--method",
        action="append",
        default=[],
        metavar="METHOD",
        help="dmarc, dkim, spf or auth (default: dmarc, dkim)",
    )
    mine.add_argument("--relaxed", action="store_true", help="let relaxed alignment count, which asks the DNS")
    mine.add_argument(
        "--allow-address-in-name",
        action="store_true",
        help="the name in From may show another address than the author's",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="add what was passed over")
    add_dns_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print who wrote the message; the exit status says whether that is proven."""
    from mailauth.sync import believe, verify_author

    policy = _policy(options)
    with open_message(options.message) as message:
        if options.authserv_id or options.provider:
            resolver = resolver_of(options) if options.relaxed else None
            try:
                verdict = believe(
                    message, options.authserv_id, policy=policy, resolver=resolver, time_limit=options.time_limit
                )
            except ValueError as error:
                raise UsageError(str(error)) from None
        else:
            if options.relaxed:
                raise UsageError("--relaxed belongs to --authserv-id; without one, DMARC decides")
            verdict = verify_author(
                message, policy=policy, now=time.time(), resolver=resolver_of(options), time_limit=options.time_limit
            )
    if options.json:
        print_json(verdict.to_dict())
    else:
        _print(verdict, verbose=options.verbose)
    if verdict.verdict == "verified":
        return EXIT_OK
    return EXIT_DNS_ERROR if verdict.reason == "dns-error" else EXIT_NOT_VERIFIED


def _policy(options: argparse.Namespace) -> TrustPolicy:
    from mailauth.trust import TrustPolicy

    try:
        policy = TrustPolicy(
            hosts=tuple(options.host),
            networks=tuple(options.network),
            placement=options.placement,
            provider=options.provider,
            allow_address_in_name=options.allow_address_in_name,
        )
        return policy if not options.method else policy.with_methods(options.method)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _print(verdict: AuthorVerdict, *, verbose: bool) -> None:
    paint = Paint()
    print(f"{'author':14}{one_line(verdict.address or verdict.domain or '-')}")
    print(f"{'verdict':14}" + paint(verdict.verdict, _STYLES.get(verdict.verdict, "doubt")) + f" ({verdict.reason})")
    print(f"{'because':14}{one_line(verdict.detail)}")
    if verdict.leniencies:
        print(f"{'leniencies':14}{', '.join(verdict.leniencies)}")
    if verdict.authserv_ids and verdict.verdict != "verified":
        print(f"{'ids seen':14}{one_line(', '.join(verdict.authserv_ids))}")
    for each in verdict.passed_over if verbose else ():
        number = "" if each.index is None else f" #{each.index + 1}"
        words = f"{each.why}{f': {each.detail}' if each.detail else ''}"
        print(f"{'passed over':14}" + paint(one_line(f"{each.what}{number}: {words}"), "dim"))
