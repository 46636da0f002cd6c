"""`assert_authenticated`: a message has the results that a test expects, or the failure explains what it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mailauth.plan import IPAddress
from mailauth.rbl import Rule
from mailauth.sync import Authenticator
from mailauth.testing.clock import START
from mailauth.transaction.report import Report

METHODS = ("spf", "spf_helo", "dkim", "dmarc", "iprev")
"""What may be expected: a word of RFC 8601, such as "pass"."""


def assert_authenticated(
    message: bytes | Report,
    *,
    ip: str | IPAddress | None = None,
    helo: str | None = None,
    mail_from: str | None = None,
    rcpt_to: str | Sequence[str] = (),
    resolver: Any = None,
    rbl: Iterable[str | Rule] = (),
    hostname: str = "mx.example.net",
    now: float = START,
    **expected: str | None,
) -> Report:
    """Authenticate a message (or take its `Report`), and compare: ``spf="pass", dkim="pass", dmarc="pass"``.

    For ``dkim`` it is enough that one signature has the result; "none" is a message without any. None stands for a
    check that was not made; ``action`` is the decision ("permit", "reject", "defer", "none"). `mail_from` is From's
    address where it is not given. Returns the report. Raises `AssertionError` that says what differs, what was found in
    its place, and why; `TypeError` for a method that there is not.
    """
    unknown = expected.keys() - {*METHODS, "action"}
    if unknown:
        raise TypeError(f"expected: {', '.join((*METHODS, 'action'))}; not {', '.join(sorted(unknown))}")
    if isinstance(message, Report):
        report = message
    else:
        if ip is None:
            raise TypeError("ip: the client's address")
        sender = _author(message) if mail_from is None else mail_from
        authenticator = Authenticator(hostname, rbl=rbl, resolver=resolver)
        report = authenticator.check(message, ip=ip, helo=helo, mail_from=sender, rcpt_to=rcpt_to, now=now)
    differences = list(_differences(report, expected))
    if differences:
        raise AssertionError(
            "\n".join(["the message is not authenticated as expected:", *differences, *_found(report)])
        )
    return report


def _author(message: bytes) -> str:
    from mailauth.mail.author import author_address
    from mailauth.mail.header import split

    return author_address(split(message).header) or ""


def _differences(report: Report, expected: dict[str, str | None]) -> Iterator[str]:
    for method, wanted in expected.items():
        found = _results(report, method)
        if wanted not in found:
            has = " and ".join(str(result) for result in found)
            yield f"  {method}: expected {wanted}, found {has}"


def _results(report: Report, method: str) -> list[str | None]:
    if method == "dkim":
        if "dkim" in report.not_evaluated:
            return [None]
        return [str(signature.result.value) for signature in report.dkim] or ["none"]
    result = getattr(report, method)
    if method == "action":
        return [str(result)]
    return [None if result is None else str(result.result.value)]


def _found(report: Report) -> Iterator[str]:
    """Everything that was found, with its reason."""
    yield f"  for ip={report.ip} helo={report.helo} mail_from={report.mail_from}:"
    for method in METHODS:
        for result in report.dkim if method == "dkim" else [getattr(report, method)]:
            if result is not None:
                name = f"dkim {result.domain} {result.selector}" if method == "dkim" else method
                yield f"    {name}: {result.result.value} ({result.reason}) {result.detail}".rstrip()
        if method in report.not_evaluated:
            yield f"    {method}: not evaluated: {report.not_evaluated[method]}"
    yield f"    decision: {report.decision.action} {report.decision.restriction} {report.decision.reason}".rstrip()
