"""``mailauth config check`` and ``mailauth config import-opendkim``.

`mailauth config check`: a file's mistakes, or what the file sets up, as lines for people or JSON.
`mailauth config import-opendkim`: OpenDKIM's configuration as ours, and what could not be taken over.
"""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Iterator
from typing import Any

from mailauth.cli.common import EXIT_OK, Paint, UsageError, add_json_option, one_line, print_json
from mailauth.config import Config, ConfigError, import_opendkim, lists_of, load
from mailauth.service.application import addresses
from mailauth.stores.urls import redact

EXIT_MISTAKES = 1

EPILOG = f"""\
exit status: {EXIT_OK} the file can be used, {EXIT_MISTAKES} it has mistakes, or names block lists that do nothing
or too much, 2 the command was called wrongly or the file cannot be read"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = commands.add_parser(
        "check",
        help="find every mistake, or say what the file sets up",
        description="Read a configuration file and the files that it names. Prints every mistake with its line, or "
        "what the file sets up.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("file", metavar="FILE", help="the configuration file (TOML)")
    check.add_argument("--no-lint", action="store_true", help="find only what keeps a service from starting")
    add_json_option(check)
    check.set_defaults(run=run)
    importing = commands.add_parser(
        "import-opendkim",
        help="print OpenDKIM's configuration as ours",
        description="Read opendkim.conf with its KeyTable, SigningTable and InternalHosts (or dkim-filter.conf with "
        "its KeyList), and print a configuration that does the same. What could not be taken over is said on standard "
        "error and in comments.",
        epilog=f"exit status: {EXIT_OK} the configuration was printed, 2 the file cannot be read",
    )
    importing.add_argument("file", metavar="FILE", help="opendkim.conf or dkim-filter.conf")
    importing.add_argument("--hostname", metavar="NAME", help="this server's name (default: the host's own)")
    add_json_option(importing)
    importing.set_defaults(run=_import)


def run(options: argparse.Namespace) -> int:
    """Check the file; the exit status says whether it can be used."""
    try:
        config = load(options.file, lint=not options.no_lint)
    except OSError as error:
        raise UsageError(f"cannot read {options.file}: {error.strerror}") from None
    except ConfigError as error:
        return _tell_mistakes(options, error)
    if options.json:
        print_json({"ok": True, "mistakes": [], "summary": dict(_summary(config))})
        return EXIT_OK
    print(f"{one_line(options.file)}: {Paint()('ok', 'good')}")
    for name, words in _summary(config):
        _print(name, words)
    return EXIT_OK


def _import(options: argparse.Namespace) -> int:
    try:
        imported = import_opendkim(options.file, hostname=options.hostname or socket.getfqdn())
    except OSError as error:
        raise UsageError(f"cannot read {options.file}: {error.strerror}") from None
    except ConfigError as error:
        raise UsageError(str(error)) from None
    if options.json:
        print_json(imported.to_dict())
        return EXIT_OK
    print(imported.toml, end="")
    for note in imported.notes:
        print(one_line(str(note)), file=sys.stderr)
    return EXIT_OK


def _tell_mistakes(options: argparse.Namespace, error: ConfigError) -> int:
    if options.json:
        print_json({"ok": False, "mistakes": [mistake.to_dict() for mistake in error.mistakes]})
        return EXIT_MISTAKES
    paint = Paint()
    for mistake in error.mistakes:
        where, _, words = str(mistake).partition(": ")
        print(f"{paint(one_line(where), 'strong')}: {one_line(words)}")
    number = len(error.mistakes)
    print(paint(f"{number} mistake{'s' if number > 1 else ''}", "bad"))
    return EXIT_MISTAKES


def _print(name: str, words: str | list[str]) -> None:
    """A line, or for a list one for each item under the first."""
    lines = [words] if isinstance(words, str) else words
    for index, line in enumerate(lines or ["none"]):
        print(f"  {name if index == 0 else '':<14}{one_line(line)}")


def _summary(config: Config) -> Iterator[tuple[str, Any]]:
    """What the file sets up; keys and passwords are masked."""
    yield "hostname", config.hostname
    if config.authserv_id is not None:
        yield "authserv-id", config.authserv_id
    yield "networks", [str(network) for network in config.networks]
    yield "domains", list(config.domains)
    yield "resolver", _resolver(config)
    yield "block lists", [str(rule) for rule in config.rbl.lists]
    yield "greylist", _greylist(config)
    lists = lists_of(config)
    for phase in ("client", "helo", "sender", "recipient", "data"):
        yield phase, list(getattr(lists, phase))
    yield "signing", _signing(config)
    deadlines = config.deadlines
    yield (
        "deadlines",
        f"evaluation {deadlines.evaluation:g} s, idle {deadlines.idle:g} s, data {deadlines.data:g} s, "
        f"delivery {deadlines.delivery:g} s",
    )
    if config.listen is not None:
        yield "listen", _listen(config)
    for name, sockets in addresses(config, ("policyd", "milter")).items():
        yield name, list(sockets)


def _resolver(config: Config) -> str:
    resolver = config.resolver
    if resolver.zone is not None:
        return f"the zone file {resolver.zone}"
    servers = ", ".join(resolver.nameservers) + f" port {resolver.port}" if resolver.nameservers else "the system's"
    return f"{servers}, {resolver.cache or 'no'} answers kept"


def _signing(config: Config) -> list[str]:
    if config.signing_table is not None:
        return [f"by {config.signing_table}"]
    return [f"{', '.join(entry.senders)}: selector {entry.selector}, {entry.key}" for entry in config.signing]


def _greylist(config: Config) -> str:
    greylist = config.greylist
    if greylist.store is None:
        return "none"
    settings = f", settings {greylist.settings}" if greylist.settings else ""
    return f"{redact(greylist.store)}, delay {greylist.policy.delay:g} s{settings}"


def _listen(config: Config) -> str:
    listen = config.listen
    assert listen is not None
    tls = ", STARTTLS" if listen.tls_certificate else ""
    to = redact(listen.deliver_to) if listen.deliver_to else "the program that reads this file"
    return f"{listen.host} port {listen.port}{tls}; messages go to {to}"
