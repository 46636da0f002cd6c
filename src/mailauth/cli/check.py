"""``mailauth check``: authenticate one message and say what came of it, and why.

`mailauth check`: options to an Authenticator, its report to lines for people or JSON for programs.
"""

from __future__ import annotations

import argparse
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO

from mailauth import MailAuthError
from mailauth.cli.common import (
    EXIT_OK,
    UsageError,
    add_dns_options,
    add_html_option,
    add_json_option,
    ip_of,
    moment,
    open_message,
    print_json,
    rbl_policy_of,
    resolver_of,
    write_page,
)
from mailauth.mail.names import is_hostname

if TYPE_CHECKING:
    from mailauth.mail.lines import MessageSource
    from mailauth.plan import IPAddress
    from mailauth.resolvers import RecordingResolver
    from mailauth.sync import Authenticator, Greylist
    from mailauth.transaction.report import Report

EXIT_REJECT = 1
EXIT_DEFER = 75
"""EX_TEMPFAIL of sysexits.h, which mail software takes for "try again later"."""

EPILOG = f"""\
exit status: {EXIT_OK} accept, {EXIT_REJECT} reject, {EXIT_DEFER} defer,
2 the command was called wrongly or a file cannot be read"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("message", metavar="MESSAGE", help="the message as a file, or - for standard input")
    client = parser.add_argument_group("the SMTP session")
    client.add_argument("--ip", required=True, metavar="ADDRESS", help="the client's address")
    client.add_argument("--helo", metavar="NAME", help="what the client said in HELO or EHLO")
    client.add_argument("--mail-from", default="", metavar="SENDER", help="MAIL FROM (default: the null sender)")
    client.add_argument("--rcpt-to", action="append", default=[], metavar="RECIPIENT", help="RCPT TO; may be repeated")
    client.add_argument("--authenticated", metavar="IDENTITY", help="the identity that the client proved by SMTP AUTH")
    local = parser.add_argument_group("this server")
    local.add_argument("--config", metavar="FILE", help="a configuration file, which replaces the next three")
    local.add_argument("--hostname", metavar="NAME", help="the name of this server (default: the machine's)")
    local.add_argument(
        "--rbl", action="append", default=[], metavar="ZONE", help="a block list to ask; may be repeated"
    )
    local.add_argument("--greylist", metavar="URL", help="the greylist store, such as sqlite:greylist.db")
    local.add_argument("--now", type=moment, metavar="TIME", help="the time to go by, ISO 8601 or seconds since 1970")
    local.add_argument("-v", "--verbose", action="store_true", help="add the SPF tree and the details of DKIM")
    add_dns_options(parser)
    add_json_option(parser)
    add_html_option(parser)
    parser.add_argument(
        "--record", metavar="FILE", help="write what the DNS said as a master file, for --zone to answer the same later"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the message and print the report; the exit status is the verdict."""
    from mailauth.resolvers import RecordingResolver, zone_text

    ip = ip_of(options.ip)
    if options.now is None:
        options.now = time.time()
    with ExitStack() as stack:
        message = stack.enter_context(open_message(options.message))
        authenticator = _configured(options, stack) if options.config else _authenticator(options, stack)
        recorder = authenticator.resolver = RecordingResolver(authenticator.resolver)
        if options.html is None:
            report = _check(options, authenticator, message, ip)
        else:
            report = _check_for_page(options, authenticator, message, ip, recorder)
    if options.record is not None:
        try:
            with open(options.record, "w", encoding="ascii") as file:
                file.write(zone_text(recorder.asked))
        except OSError as error:
            raise UsageError(f"cannot write {options.record}: {error.strerror}") from None
    if options.json:
        print_json(report.to_dict())
    else:
        from mailauth.cli.report import print_report

        print_report(report, verbose=options.verbose)
    return {"reject": EXIT_REJECT, "defer": EXIT_DEFER}.get(report.verdict, EXIT_OK)


def _check(options: argparse.Namespace, authenticator: Authenticator, message: MessageSource, ip: IPAddress) -> Report:
    return authenticator.check(
        message,
        ip=ip,
        helo=options.helo,
        mail_from=options.mail_from,
        rcpt_to=options.rcpt_to,
        authenticated=options.authenticated,
        now=options.now,
    )


def _check_for_page(
    options: argparse.Namespace,
    authenticator: Authenticator,
    message: BinaryIO,
    ip: IPAddress,
    recorder: RecordingResolver,
) -> Report:
    """Check the message, write its page, and return the report."""
    from mailauth.mail.header import split
    from mailauth.page import render_report

    octets = message.read()
    report = _check(options, authenticator, octets, ip)
    asked, explanations = recorder.asked, []
    if any(signature.result != "pass" for signature in report.dkim):
        from mailauth.sync import explain_dkim

        explanations = explain_dkim(
            octets,
            policy=authenticator.policy.dkim_policy,
            now=options.now,
            resolver=recorder,
            time_limit=options.time_limit,
        )
    header = split(octets).header
    page = render_report(report, header=header, asked=asked, explanations=explanations, now=options.now)
    write_page(options.html, page)
    return report


def _authenticator(options: argparse.Namespace, stack: ExitStack) -> Authenticator:
    """What the options describe."""
    from mailauth.sync import Authenticator

    try:
        return Authenticator(
            options.hostname or _hostname(),
            rbl=options.rbl,
            greylist=_greylist(options.greylist, stack),
            resolver=resolver_of(options),
            time_limit=options.time_limit,
            trace=_traced(options),
            rbl_policy=rbl_policy_of(options),
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


def _configured(options: argparse.Namespace, stack: ExitStack) -> Authenticator:
    """What the configuration file describes; ``--zone`` replaces its resolver."""
    from mailauth import config

    if options.rbl or options.greylist or options.hostname:
        raise UsageError("--config replaces --hostname, --rbl and --greylist: give one or the other")
    try:
        authenticator = config.authenticator(
            config.load(options.config),
            resolver=resolver_of(options) if options.zone else None,
            trace=_traced(options),
        )
    except (MailAuthError, ValueError) as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"cannot read {options.config}: {error.strerror}") from None
    if authenticator.greylist is not None:
        stack.callback(authenticator.greylist.close)
    return authenticator


def _traced(options: argparse.Namespace) -> bool:
    """Whether the whole SPF evaluation is to be shown."""
    return options.verbose or options.json or options.html is not None


def _hostname() -> str:
    name = socket.getfqdn()
    return name if is_hostname(name) else "localhost"


def _greylist(url: str | None, stack: ExitStack) -> Greylist | None:
    if url is None:
        return None
    from mailauth.sync import Greylist

    try:
        greylist = Greylist(url)
    except (ValueError, MailAuthError) as error:
        raise UsageError(str(error)) from None
    stack.callback(greylist.close)
    return greylist
