"""``mailauth srs``: rewrite senders, turn recipients back, make a secret."""

from __future__ import annotations

import argparse
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mailauth.cli.common import EXIT_OK, UsageError, add_json_option, moment, one_line, print_json

if TYPE_CHECKING:
    from mailauth.srs import Srs, SrsResult

EXIT_REFUSED = 1
EPILOG = f"""\
exit status: {EXIT_OK} every address was rewritten or turned back, {EXIT_REFUSED} one was not,
2 the command was called wrongly or a file cannot be read"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary in (
        ("forward", "rewrite the envelope senders of mail that is passed on"),
        ("reverse", "turn the recipients of bounces back"),
    ):
        command = commands.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=EPILOG
        )
        command.add_argument("addresses", metavar="ADDRESS", nargs="+", help="an address; several may be given")
        command.add_argument("--config", metavar="FILE", help="a configuration file with a table [srs]")
        command.add_argument("--domain", metavar="DOMAIN", help="the domain of rewritten senders")
        command.add_argument("--secret-file", metavar="FILE", help="one secret on each line, the newest first")
        command.add_argument(
            "--hash-length", type=int, metavar="N", help="characters of the hash, 4 to 26 (default: 8)"
        )
        command.add_argument(
            "--classic", action="store_true", help="with the hash of Mail::SRS, libsrs2 and postsrsd, 4 characters"
        )
        command.add_argument(
            "--now", type=moment, metavar="TIME", help="the time to go by, ISO 8601 or seconds since 1970"
        )
        add_json_option(command)
        command.set_defaults(run=run)
    secret = commands.add_parser("secret", help="print a new secret, for the first line of a secret file")
    secret.set_defaults(run=_secret)


def run(options: argparse.Namespace) -> int:
    """Print what becomes of each address."""
    srs = _srs(options)
    act = srs.forward if options.action == "forward" else srs.reverse
    now = time.time() if options.now is None else options.now
    found = [(address, act(address, now=now)) for address in options.addresses]
    if options.json:
        print_json([{"given": address, **each.to_dict()} for address, each in found])
    else:
        for address, each in found:
            print(one_line(_words(address, each)))
    return EXIT_OK if all(each.address is not None for _, each in found) else EXIT_REFUSED


def _words(address: str, found: SrsResult) -> str:
    return found.address if found.address is not None else f"{address}: {found.detail} ({found.reason})"


def _srs(options: argparse.Namespace) -> Srs:
    from mailauth.srs import Srs, SrsPolicy, read_secrets

    if options.config is not None:
        if options.domain or options.secret_file or options.hash_length or options.classic:
            raise UsageError("--config replaces --domain, --secret-file, --hash-length and --classic")
        return _configured(options.config)
    if not options.domain or not options.secret_file:
        raise UsageError("give --config, or --domain and --secret-file")
    try:
        usual = 4 if options.classic else SrsPolicy().hash_length
        length = usual if options.hash_length is None else options.hash_length
        policy = SrsPolicy(hash_length=length, min_hash_length=min(length, usual), classic=options.classic)
        return Srs(options.domain, read_secrets(Path(options.secret_file).read_text("utf-8")), policy=policy)
    except OSError as error:
        raise UsageError(f"cannot read {options.secret_file}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None


def _configured(path: str) -> Srs:
    from mailauth import MailAuthError, config

    try:
        srs = config.srs_rewriter(config.load(path))
    except (MailAuthError, ValueError) as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if srs is None:
        raise UsageError(f"{path} has no table [srs]")
    return srs


def _secret(options: argparse.Namespace) -> int:
    print(secrets.token_urlsafe(24))
    return EXIT_OK
