"""Options and output that every sub-command has in common.

What the sub-commands share: options, input, output, exit statuses. No protocol logic.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TextIO

from mailauth.mail import names
from mailauth.plan import DEFAULT_TIME_LIMIT

if TYPE_CHECKING:
    from mailauth.authres import MethodResult
    from mailauth.plan import IPAddress, Resolver
    from mailauth.rbl import RblPolicy

EXIT_OK = 0
EXIT_USAGE = 2


class UsageError(Exception):
    """The command was called wrongly, or a file that it names cannot be used: one line, status 2."""


class Configure(Protocol):
    """What each sub-command module offers as ``configure``: it adds options and sets ``run`` as a default."""

    def __call__(self, parser: argparse.ArgumentParser) -> None: ...


def one_line(text: str) -> str:
    """The text with everything that could move the cursor or start a line replaced, for stderr and reports."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def result_words(result: MethodResult) -> str:
    """``dmarc=pass for example.org``: a result of Authentication-Results, and what it is about."""
    properties = (("header", "from"), ("header", "d"), ("header", "i"), ("smtp", "mailfrom"))
    subject = next(filter(None, (result.value(*each) for each in properties)), None)
    return f"{result.method}={result.result}" + (f" for {subject}" if subject else "")


def counted(number: int, what: str) -> str:
    """``1 message``, ``2 messages``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def add_dns_options(parser: argparse.ArgumentParser) -> None:
    """``--zone`` and ``--time-limit``, the same for every sub-command that asks the DNS."""
    group = parser.add_argument_group("DNS")
    group.add_argument(
        "--zone", metavar="FILE", help="answer DNS from this RFC 1035 master file instead of the system's DNS"
    )
    group.add_argument(
        "--time-limit",
        type=seconds,
        default=DEFAULT_TIME_LIMIT,
        metavar="SECONDS",
        help="time for the whole evaluation (default: %(default)g)",
    )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """``--json``, the same for every sub-command that reports."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_html_option(parser: argparse.ArgumentParser) -> None:
    """``--html``, the same for every sub-command that writes a page."""
    parser.add_argument("--html", metavar="FILE", help="write the whole report as one page that needs nothing else")


def write_page(path: str, page: str) -> None:
    """Write a page to a file; it stands there whole, or not at all."""
    target = Path(path)
    new = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists() and not target.is_file():
            # A device or a pipe: there is nothing to replace.
            target.write_text(page, encoding="utf-8")
            return
        with new.open("x", encoding="utf-8") as file:  # never through a link that somebody has put there
            try:
                file.write(page)
                file.flush()
                new.replace(target)
            except OSError:
                new.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def seconds(text: str) -> float:
    """A number of seconds, finite and not negative; for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return value


def number(text: str) -> int:
    """A whole number, zero or more; for argparse."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"not a number, zero or more: {text!r}")
    return int(text)


def moment(text: str) -> float:
    """A time as seconds since the epoch; for argparse. Without an offset, ISO 8601 is UTC."""
    try:
        value = float(text)
    except ValueError:
        value = _iso_8601(text)
    if not abs(value) < float("inf"):
        raise argparse.ArgumentTypeError(f"neither ISO 8601 nor seconds since 1970: {text!r}")
    return value


def _iso_8601(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return float("nan")
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def os_words(error: OSError) -> str:
    """What the system says, in one line, without its number."""
    words = error.strerror or str(error)
    return one_line(f"{error.filename}: {words}" if error.filename is not None else words)


def resolver_of(options: argparse.Namespace) -> Resolver:
    """The resolver that the options ask for: a zone file, or the system's DNS."""
    if options.zone is None:
        from mailauth.resolvers import DnspythonResolver

        resolver: Resolver = DnspythonResolver()
        return resolver
    from mailauth.resolvers import ZoneError, ZoneResolver

    try:
        return ZoneResolver.from_file(options.zone)
    except ZoneError as error:
        raise UsageError(f"bad zone file: {error}") from None
    except OSError as error:
        raise UsageError(f"cannot read the zone file {options.zone}: {error.strerror}") from None


def rbl_policy_of(options: argparse.Namespace) -> RblPolicy:
    """Which subjects lists are asked about."""
    from mailauth.rbl import RblPolicy

    # A zone file is the whole world: there is no list to show our private addresses to.
    return RblPolicy(not_public=(), not_public_domains=()) if options.zone else RblPolicy()


def ip_of(text: str) -> IPAddress:
    """A client address from the command line."""
    try:
        return names.parse_ip(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def open_input(path: str) -> BinaryIO:
    """The file at `path`, or standard input for ``-``, as octets."""
    if path == "-":
        if sys.stdin is None:
            raise UsageError("cannot read standard input: it is closed")
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def open_message(path: str) -> BinaryIO:
    """The same for a message; an empty file is not a message: a program that failed may have written it."""
    message = open_input(path)
    if isinstance(message, io.BufferedReader) and not message.peek(1):
        if path != "-":
            message.close()
        raise UsageError(f"{path} is empty: there is no message in it")
    return message


def print_json(value: Any) -> None:
    """Print a JSON document for programs; the keys keep their order."""
    print(json.dumps(value, indent=2, ensure_ascii=True))


class Paint:
    """Colour for people: only on a terminal, and never where NO_COLOR is set."""

    CODES = {"good": "32", "bad": "31", "doubt": "33", "dim": "2", "strong": "1"}

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = sys.stdout if stream is None else stream
        self.on = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def __call__(self, text: str, style: str) -> str:
        return f"\x1b[{self.CODES[style]}m{text}\x1b[0m" if self.on else text
