"""`check_host` and `check_helo`: the plans that evaluate SPF for one identity (RFC 7208 sections 2.2 to 2.4).

There is none for other identities: section 2.2 advises against checking them.
"""

from __future__ import annotations

from mailauth.plan.dns import IPAddress
from mailauth.plan.execution import Plan
from mailauth.spf.evaluate import Evaluation
from mailauth.spf.identity import client_of
from mailauth.spf.policy import DEFAULT_POLICY, SpfPolicy
from mailauth.spf.result import SpfResult


def check_host(
    ip: str | IPAddress,
    *,
    helo: str | None = None,
    mail_from: str | None = None,
    policy: SpfPolicy = DEFAULT_POLICY,
    receiver: str | None = None,
    now: float | None = None,
    trace: bool = False,
) -> Plan[SpfResult]:
    """Check the MAIL FROM identity (RFC 7208 section 2.4); a null reverse-path is postmaster at the HELO name.

    `ip` is the client's address, `helo` and `mail_from` are as the client gave them, U-labels and UTF-8 included.
    `receiver` (our own host name) and `now` (seconds since the epoch) are what ``%{r}`` and ``%{t}`` in an
    explanation stand for; without `now`, an explanation that uses it is not given. `trace` records the evaluation.

    Returns a plan whose result is an `SpfResult`, whatever the client and the DNS say. Raises `ValueError` or
    `TypeError`, at once, for an invalid client address.
    """
    if type(mail_from) is not str or type(helo) is not str:
        mail_from, helo = _text(mail_from, "mail_from"), _text(helo, "helo")
    evaluation = Evaluation(client_of(ip), "mailfrom", mail_from, helo, policy, receiver, now)
    return _watched(evaluation, trace)


def check_helo(
    ip: str | IPAddress,
    helo: str | None,
    *,
    policy: SpfPolicy = DEFAULT_POLICY,
    receiver: str | None = None,
    now: float | None = None,
    trace: bool = False,
) -> Plan[SpfResult]:
    """Check the HELO identity (RFC 7208 section 2.3): as `check_host` does, for postmaster at the HELO name.

    A name that is an address literal or has one label gives none, without a question.
    """
    evaluation = Evaluation(client_of(ip), "helo", "", _text(helo, "helo"), policy, receiver, now)
    return _watched(evaluation, trace)


def _text(value: str | None, name: str) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} is a string, not {type(value).__name__}")
    return value or ""


def _watched(evaluation: Evaluation, trace: bool) -> Plan[SpfResult]:
    plan = evaluation.result()
    if trace:
        from mailauth.spf.tracer import traced

        plan = traced(evaluation, plan)
    if evaluation.policy.prefetch:
        from mailauth.spf.prefetch import prefetched

        plan = prefetched(evaluation, plan)
    return plan
