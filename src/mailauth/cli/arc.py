"""``mailauth arc``: verify the chain of ARC seals of a message, and show what each sealer said."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mailauth.cli.common import (
    EXIT_OK,
    Paint,
    add_dns_options,
    add_json_option,
    one_line,
    open_message,
    print_json,
    resolver_of,
    result_words,
)

if TYPE_CHECKING:
    from mailauth.arc import ArcResult

EXIT_FAIL = 1
EPILOG = (
    f"exit status: {EXIT_OK} the chain passes, or there is none; {EXIT_FAIL} it fails; 2 wrong call or unreadable file"
)
_STYLES = {"pass": "good", "fail": "bad", "none": "dim"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EPILOG
    parser.add_argument("message", metavar="MESSAGE", help="the message as a file, or - for standard input")
    add_dns_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Verify the chain and print it."""
    from mailauth.sync import verify_arc

    with open_message(options.message) as message:
        found = verify_arc(message, resolver=resolver_of(options), time_limit=options.time_limit)
    if options.json:
        print_json(found.to_dict())
    else:
        _print(found)
    return EXIT_FAIL if found.result == "fail" else EXIT_OK


def _print(found: ArcResult) -> None:
    paint = Paint()
    print(
        f"{'chain':14}{paint(found.result, _STYLES[found.result])} ({found.reason}) {one_line(found.detail)}".rstrip()
    )
    says = "says" if found.result == "pass" else "says, unproven:"
    for each in found.sets:
        results = [] if each.results is None else [result_words(one) for one in each.results.results]
        by = "" if each.results is None or not each.results.authserv_id else f" ({each.results.authserv_id})"
        print(f"{f'set {each.instance}':14}" + one_line(f"{each.sealer}{by} {says} {', '.join(results) or 'nothing'}"))
    if found.oldest_pass is not None:
        since = "the first set" if found.oldest_pass == 0 else f"set {found.oldest_pass}"
        print(f"{'unchanged':14}since {since} (oldest-pass={found.oldest_pass})")
