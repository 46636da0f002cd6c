"""The ``mailauth`` command.

Each sub-command is a module of its own in this package and is imported only when it is
named, so that `mailauth spf` does not pay for dkim's libraries.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from mailauth import __version__
from mailauth.cli.common import EXIT_USAGE, UsageError, one_line, os_words

EXIT_BROKEN_PIPE = 141
"""What a shell says of a program that SIGPIPE ended."""

_COMMANDS = {
    "check": "authenticate a message: reverse DNS, RBL, SPF, DKIM, DMARC, greylisting",
    "spf": "evaluate, explain, check and write SPF records",
    "dkim": "verify and sign messages, make and test keys",
    "dmarc": "evaluate, explain, check and write DMARC records",
    "arc": "verify the chain of ARC seals of a message",
    "srs": "rewrite senders of forwarded mail, and turn bounces back",
    "whowrote": "say who wrote a message, and whether that is proven",
    "domain": "check a domain: MX, reverse DNS, lists, SPF, DKIM keys, DMARC, TLS-RPT, MTA-STS, BIMI",
    "rbl": "ask block lists about an address or a domain",
    "greylist": "look into a greylist store and change it",
    "policyd": "serve Postfix's check_policy_service: SPF, block lists, greylisting",
    "milter": "serve Postfix's smtpd_milters: verify, add Authentication-Results, sign",
    "serve": "the policy service and the milter in one process",
    "config": "check a configuration file, or make one from OpenDKIM's",
}


class _Parser(argparse.ArgumentParser):
    """Each subcommand reports its own unknown arguments, with its own usage; argparse leaves that to the outermost."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but nothing may be left over."""
        found, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return found, left


def _parser(named: str | None, *, everything: bool = False) -> argparse.ArgumentParser:
    parser = _Parser(prog="mailauth", description="Mail authentication from the command line.")
    parser.add_argument("--version", action="version", version=f"mailauth {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if everything or name == named:
            import_module(f"mailauth.cli.{name}").configure(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 2 for every mistake in how it was called."""
    _open_standard_files()
    _complete()
    words = list(sys.argv[1:] if arguments is None else arguments)
    named = next((word for word in words if not word.startswith("-")), None)
    parser = _parser(named)
    _print_anything()
    try:
        options = parser.parse_args(words)
        status: int = options.run(options)
        # Here, where a full disk or a closed pipe can still be distinguished from success.
        sys.stdout.flush()
    except UsageError as error:
        print(f"mailauth: {one_line(str(error))}", file=sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:
        # The reader went away (`mailauth … | head`): nobody is left to tell. Not 1, which is a verdict.
        _drop_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        # A file that could be opened and cannot be read, or an output that cannot be written.
        _drop_output()
        print(f"mailauth: {os_words(error)}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return 130
    return status


def _open_standard_files() -> None:
    """Open those that are closed: a socket or a database must not become standard output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - until the end of the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def whole_parser() -> argparse.ArgumentParser:
    """The parser with the options of every sub-command, for completion in the shell and for the manual page."""
    return _parser(None, everything=True)


def _complete() -> None:
    """Answer the shell that asks for completions: ``eval "$(register-python-argcomplete mailauth)"`` (extra `cli`)."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(whole_parser())


def _print_anything() -> None:
    """A terminal that has no sign for a character shows "?"; it is no reason to fail."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _drop_output() -> None:
    """Where the output cannot be written, forget it, or Python would try once more, and complain, as it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
