"""``mailauth dkim``: verify, explain, sign, keygen, testkey.

The words and files of `mailauth dkim`; the work is done in mailauth.dkim.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from mailauth import dkim
from mailauth.cli.common import (
    EXIT_OK,
    Paint,
    UsageError,
    add_dns_options,
    add_json_option,
    moment,
    one_line,
    open_message,
    print_json,
    resolver_of,
    seconds,
)
from mailauth.mail.addresses import addresses
from mailauth.mail.header import split, split_stream
from mailauth.mail.lines import LineEnd, blocks
from mailauth.plan import Plan, run

if TYPE_CHECKING:
    from mailauth.dkim.crypto import PrivateKey

T = TypeVar("T")

EXIT_NO_PASS = 1
EXIT_TEMPERROR = 75  # EX_TEMPFAIL of sysexits.h, which MTAs understand as "try again"

_STATUS = "exit status: {}; 2 wrong usage, 75 the DNS did not answer"
_STYLES = {"pass": "good", "good": "good", "fail": "bad", "bad": "bad", "permerror": "bad", "policy": "bad"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the five sub-commands."""
    commands = parser.add_subparsers(dest="dkim_command", metavar="ACTION", required=True)
    _configure_verify(commands.add_parser(
        "verify", help="check the signatures of a message", description="Check every DKIM signature of a message.",
        epilog=_STATUS.format("0 at least one signature passes, 1 none does"),
    ))  # fmt: skip
    _configure_explain(commands.add_parser(
        "explain", help="say why signatures fail",
        description="Say why each signature fails: which half was altered, how, and what would make it pass.",
        epilog=_STATUS.format("0 at least one signature passes, 1 none does"),
    ))  # fmt: skip
    _configure_sign(commands.add_parser(
        "sign", help="sign a message",
        description="Sign a message and print it, the new DKIM-Signature fields on top.",
        epilog="exit status: 0 signed; 1 the message cannot be signed, or no key is listed for it; 2 wrong usage",
    ))  # fmt: skip
    _configure_keygen(commands.add_parser(
        "keygen", help="make a key pair", description="Make a private key file and print the DNS record for it.",
        epilog="exit status: 0 made; 2 wrong usage, or the file is there already (it is never overwritten)",
    ))  # fmt: skip
    _configure_testkey(commands.add_parser(
        "testkey", help="check a published key",
        description="Ask the DNS for a key record and say whether it is sound, strong, and fits the private key.",
        epilog=_STATUS.format("0 good or only doubtful, 1 signatures will not verify"),
    ))  # fmt: skip


# --- verify ------------------------------------------------------------------------------------------------


def _configure_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("message", metavar="MESSAGE", nargs="?", default="-", help="a file, or - for standard input")
    parser.add_argument(
        "--now", type=moment, metavar="TIME", help="judge t= and x= at this time, ISO 8601 or seconds since 1970"
    )
    parser.add_argument("--allow-unsigned-content", action="store_true", help="let text behind l= pass")
    parser.add_argument("--require", action="append", default=[], metavar="FIELD", help="a field that must be signed")
    add_json_option(parser)
    add_dns_options(parser)
    parser.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    policy = dkim.DkimPolicy(
        allow_unsigned_content=options.allow_unsigned_content, required_fields=tuple(options.require)
    )
    now = time.time() if options.now is None else options.now
    with _input(options.message) as stream:
        resolver = resolver_of(options)
        signatures = run(_read(dkim.verify(stream, now=now, policy=policy)), resolver, time_limit=options.time_limit)
    if options.json:
        print_json({"signatures": [signature.to_dict() for signature in signatures]})
    else:
        _print_signatures(signatures)
    return _status({signature.result for signature in signatures})


def _status(results: set[dkim.Result]) -> int:
    if dkim.Result.PASS in results:
        return EXIT_OK
    return EXIT_TEMPERROR if dkim.Result.TEMPERROR in results else EXIT_NO_PASS


def _print_signatures(signatures: list[dkim.Signature]) -> None:
    paint = Paint()
    if not signatures:
        print(paint("none", "doubt") + "  the message has no DKIM signature")
    for signature in signatures:
        result = paint(f"{signature.result:9}", _STYLES.get(signature.result, "doubt"))
        place = f"{signature.selector or '?'}._domainkey.{signature.domain or '?'}"
        print(f"{result} {paint(place, 'strong')}  {signature.reason}")
        for line in _facts(signature):
            print(paint(f"          {one_line(line)}", "dim"))


def _facts(signature: dkim.Signature) -> Iterator[str]:
    """What there is to say beside the result."""
    if signature.detail:
        yield signature.detail
    if signature.algorithm:
        bits = f", {signature.key_bits} bits" if signature.key_bits else ""
        how = f", {signature.header_canonicalization}/{signature.body_canonicalization}"
        yield f"{signature.algorithm}{bits}{how if signature.header_canonicalization else ''}"
    if signature.identity and signature.identity != f"@{signature.domain}":
        yield f"on behalf of {signature.identity}"
    if signature.signed_fields:
        yield "signs " + ", ".join(dict.fromkeys(signature.signed_fields))
    times = (("made", signature.signed_at), ("expires", signature.expires_at))
    if any(when is not None for _, when in times):
        yield ", ".join(f"{word} {_date(when)}" for word, when in times if when is not None)
    if signature.line_end is LineEnd.LF:
        yield "the message has LF line ends; it was hashed with CRLF"
    if signature.testing:
        yield "the key is in test mode"


def _date(when: int) -> str:
    try:
        return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"at {when}"


def _read(plan: Plan[list[T]]) -> Plan[list[T]]:
    """The same plan; what goes wrong while it reads the file is the user's to know."""
    try:
        return (yield from plan)
    except OSError as error:
        raise UsageError(f"cannot read the message: {error.strerror}") from None


def _input(path: str) -> BinaryIO:
    if path == "-" and sys.stdin.isatty():
        print("reading the message from the terminal; end it with Ctrl-D", file=sys.stderr)
    return open_message(path)


# --- explain -----------------------------------------------------------------------------------------------


def _configure_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("message", metavar="MESSAGE", nargs="?", default="-", help="a file, or - for standard input")
    parser.add_argument(
        "--now", type=moment, metavar="TIME", help="judge t= and x= at this time, ISO 8601 or seconds since 1970"
    )
    parser.add_argument(
        "--canonical", action="store_true", help="print the octets that are hashed, blanks made visible"
    )
    parser.add_argument("--search-time", type=seconds, metavar="SECONDS", default=10.0,
        help="how long to look for what was altered (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="say what was tried without success, always")
    add_json_option(parser)
    add_dns_options(parser)
    parser.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    from mailauth.cli.explain import print_canonical, print_explanations

    with _input(options.message) as stream:
        if options.canonical:
            forms = dkim.canonical_forms(stream)
            if options.json:
                print_json({"signatures": [form.to_dict() for form in forms]})
            else:
                print_canonical(forms)
            return EXIT_OK if forms else EXIT_NO_PASS
        plan = dkim.explain(
            stream,
            now=time.time() if options.now is None else options.now,
            limits=dkim.ExplainLimits(seconds=options.search_time),
            clock=time.monotonic,
        )
        explanations = run(_read(plan), resolver_of(options), time_limit=options.time_limit)
    if options.json:
        print_json({"signatures": [explanation.to_dict() for explanation in explanations]})
    else:
        print_explanations(explanations, verbose=options.verbose)
    return _status({explanation.signature.result for explanation in explanations})


# --- sign --------------------------------------------------------------------------------------------------


def _configure_sign(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("message", metavar="MESSAGE", nargs="?", default="-", help="a file, or - for standard input")
    keys = parser.add_argument_group("keys", "either one domain with its keys, or a signing table")
    keys.add_argument("--domain", metavar="D", help="the signing domain (d=)")
    keys.add_argument("--key", action="append", default=[], metavar="FILE", help="a private key; may be repeated")
    _add_password_option(keys)
    keys.add_argument("--selector", action="append", default=[], metavar="S", help="one for each --key (s=)")
    keys.add_argument("--table", metavar="FILE", help="a signing table: TOML, or a key list of two columns")
    keys.add_argument("--sender", metavar="ADDRESS", help="whose keys the table is asked for (default: From)")
    how = parser.add_argument_group("how to sign")
    how.add_argument("--canonicalization", default="relaxed/relaxed", metavar="H/B", help="default: %(default)s")
    how.add_argument("--identity", metavar="ADDRESS", help="on behalf of whom (i=)")
    how.add_argument("--timestamp", action="store_true", help="say when it was signed (t=)")
    how.add_argument("--expire-after", type=seconds, metavar="SECONDS", help="say until when it counts (x= and t=)")
    how.add_argument("--body-length", action="store_true", help="sign the length (l=): anybody may append then")
    how.add_argument("--allow-bare-line-ends", action="store_true", help="sign bare CR and LF as they are")
    how.add_argument("--sign", metavar="NAMES", help="the fields to sign where present, separated by commas")
    how.add_argument("--oversign", metavar="NAMES", help="the fields to protect against additions")
    parser.add_argument("--header-only", action="store_true", help="print the new fields without the message")
    add_json_option(parser)
    parser.set_defaults(run=_sign)


def _sign(options: argparse.Namespace) -> int:
    if options.json and options.header_only:
        raise UsageError("--json prints the new fields alone; --header-only does not go with it")
    settings = _signing_options(options)
    with _input(options.message) as stream, _rewindable(stream) as message:
        keys = _keys_to_sign_with(options, message)
        if not keys:
            return _not_signed(options, "no key is listed for this sender")
        try:
            header = dkim.sign(message, keys, options=settings)
        except dkim.SigningError as error:
            return _not_signed(options, f"not signed: {one_line(str(error))}")
        except ValueError as error:
            raise UsageError(str(error)) from None
        if options.json:
            print_json({"detail": "signed", "signatures": _signatures(header, keys)})
            return EXIT_OK
        message.seek(0)
        sys.stdout.buffer.write(header)
        for block in blocks(message) if not options.header_only else ():
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
    return EXIT_OK


def _not_signed(options: argparse.Namespace, why: str) -> int:
    if options.json:
        print_json({"detail": why, "signatures": []})
    else:
        print(f"mailauth: {why}", file=sys.stderr)
    return EXIT_NO_PASS


def _signatures(header: bytes, keys: list[dkim.SigningKey]) -> list[dict[str, str]]:
    """What was made, for programs; the message itself is no part of it."""
    return [
        {
            "domain": key.domain,
            "selector": key.selector,
            "algorithm": key.key.algorithm,
            "field": field.raw.decode("ascii"),
        }
        for key, field in zip(keys, split(header).header.fields, strict=True)
    ]


def _rewindable(stream: BinaryIO) -> BinaryIO:
    """The message is read twice, to sign it and to print it: a pipe goes through a file first."""
    if stream.seekable():
        return stream
    import tempfile

    copy = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    for block in blocks(stream):
        copy.write(block)
    copy.seek(0)
    return copy


def _signing_options(options: argparse.Namespace) -> dkim.SigningOptions:
    header, _, body = options.canonicalization.partition("/")
    timed = options.timestamp or options.expire_after is not None
    names: dict[str, Any] = {}
    if options.sign is not None:
        names["signed_fields"] = _names(options.sign)
    if options.oversign is not None:
        names |= {"oversigned_fields": _names(options.oversign), "oversigned_if_present": ()}
    try:
        return dkim.SigningOptions(
            header=header,
            body=body or "simple",
            now=time.time() if timed else None,
            expires_after=options.expire_after,
            identity=options.identity,
            body_length=options.body_length,
            allow_bare_line_ends=options.allow_bare_line_ends,
            **names,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _keys_to_sign_with(options: argparse.Namespace, message: BinaryIO) -> list[dkim.SigningKey]:
    try:
        if options.table is not None:
            if options.key or options.selector or options.domain:
                raise UsageError("--table names the keys; --domain, --key and --selector do not go with it")
            from mailauth.config import load_signing_table

            return list(load_signing_table(options.table).keys_for(options.sender or _author(message)))
        if options.domain is None or not options.key or len(options.key) != len(options.selector):
            raise UsageError("give --domain and a --selector for each --key, or --table")
        pairs, password = zip(options.selector, options.key, strict=True), _password(options)
        return [dkim.SigningKey(options.domain, selector, _private_key(path, password)) for selector, path in pairs]
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None


def _author(message: BinaryIO) -> str:
    """The first address of From, for the table."""
    header, _ = split_stream(message)
    message.seek(0)
    field = header.first("from")
    authors = addresses(field.value) if field is not None else None
    if not authors:
        raise UsageError("the message has no readable From; name the sender with --sender")
    return str(authors[0])


def _password(options: argparse.Namespace) -> bytes | None:
    """The first line of the password file."""
    if options.password_file is None:
        return None
    try:
        return Path(options.password_file).read_bytes().partition(b"\n")[0].rstrip(b"\r")
    except OSError as error:
        raise UsageError(f"cannot read the password file {options.password_file}: {error.strerror}") from None


def _add_password_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    parser.add_argument("--password-file", metavar="FILE", help="the password of an encrypted key, on its first line")


def _private_key(path: str, password: bytes | None) -> PrivateKey:
    from mailauth.dkim import crypto

    try:
        octets = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror}") from None
    try:
        return crypto.private_key(octets, password)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


# --- keygen ------------------------------------------------------------------------------------------------


def _configure_keygen(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--domain", required=True, metavar="D", help="the signing domain")
    parser.add_argument(
        "--selector", default="%Y%m-{type}", metavar="TEMPLATE",
        help="%%Y, %%m, %%d and {type} are filled in (default: %(default)s)".replace("%(default)s", "%%Y%%m-{type}"),
    )  # fmt: skip
    parser.add_argument("--type", choices=("rsa", "ed25519"), default="rsa", help="default: %(default)s")
    parser.add_argument("--bits", type=int, default=2048, metavar="N", help="RSA: 2048, 3072 or 4096 (%(default)s)")
    parser.add_argument("--output", metavar="FILE", help="the private key (default: SELECTOR.DOMAIN.pem)")
    parser.add_argument("--flags", default="", metavar="F", help="t= of the record: y (testing), s (no subdomains)")
    parser.add_argument("--ttl", type=_ttl, metavar="SECONDS", help="of the zone line")
    add_json_option(parser)
    parser.set_defaults(run=_keygen)


def _ttl(text: str) -> int:
    # RFC 2181 section 8
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"not a number of seconds, 0 to 2147483647: {text!r}")
    return int(text)


def _keygen(options: argparse.Namespace) -> int:
    try:
        selector = dkim.selector_from(options.selector, datetime.now(UTC).date(), options.type)
        name = dkim.record_name(options.domain, selector)
        key = dkim.generate_key(options.type, options.bits)
        text = dkim.record_text(key.public(), flags=options.flags)
    except ValueError as error:
        raise UsageError(str(error)) from None
    path = options.output or f"{selector}.{name.partition('._domainkey.')[2]}.pem"
    _write_private_key(path, key.pem())
    line = dkim.zone_line(name, text, options.ttl)
    if options.json:
        print_json({"private_key": path, "name": name, "selector": selector, "record": text, "zone_line": line})
    else:
        paint = Paint()
        print(f"{paint('private key', 'strong')}  {path} (mode 0600)\n")
        print(f"{paint('zone line', 'strong')}\n{line}\n")
        print(f"{paint('the same as one string', 'strong')}, for DNS providers' forms\n{name}\n{text}")
    return EXIT_OK


def _write_private_key(path: str, pem: bytes) -> None:
    """Write a new file that only its owner can read; never over one that is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already; a private key is never overwritten") from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


# --- testkey -----------------------------------------------------------------------------------------------


def _configure_testkey(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--domain", required=True, metavar="D", help="the signing domain")
    parser.add_argument("--selector", required=True, metavar="S", help="the selector")
    parser.add_argument("--key", metavar="FILE", help="the private key that the record must fit")
    _add_password_option(parser)
    add_json_option(parser)
    add_dns_options(parser)
    parser.set_defaults(run=_testkey)


def _testkey(options: argparse.Namespace) -> int:
    key = _private_key(options.key, _password(options)) if options.key else None
    try:
        plan = dkim.check_key(options.domain, options.selector, key)
    except ValueError as error:
        raise UsageError(str(error)) from None
    check = run(plan, resolver_of(options), time_limit=options.time_limit)
    if options.json:
        print_json(check.to_dict())
    else:
        _print_check(check)
    if check.verdict is dkim.KeyVerdict.TEMPERROR:
        return EXIT_TEMPERROR
    return EXIT_NO_PASS if check.verdict is dkim.KeyVerdict.BAD else EXIT_OK


def _print_check(check: dkim.KeyCheck) -> None:
    paint = Paint()
    kind = f"  {check.key_type}, {check.key_bits} bits" if check.key_bits else ""
    print(f"{paint(check.verdict, _STYLES.get(check.verdict, 'doubt'))}  {paint(check.name, 'strong')}{kind}")
    for code, words in check.findings:
        print(f"  {code}: {one_line(words)}")
    if check.matches:
        print("  the record fits the private key")
