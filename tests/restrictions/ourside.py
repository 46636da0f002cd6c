"""Runs the cases of the table through `Authenticator.session`.

A case's dialogue with our own session, sync and async, and Postfix's words for restrictions as ours. No expectation
about verdicts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mailauth import aio, restrictions, sync
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import Decision, Reply, Restriction, Restrictions, Transaction, refuse, warn_if_reject
from mailauth.transaction.decision import NOTHING, permit
from tests.restrictions.table import LISTS, Case, Spoken

# The settings of the table's Postfix (postfixside.py) in our words.
NETWORKS = ("192.0.2.64/28", "2001:db8:0:1::/64")
DOMAINS = ("mailbox.test", "mx.mailbox.test", "relayed.test", ".below.test", "[127.0.0.1]")

MESSAGE = b"From: ann@example.org\r\n\r\nHello\r\n"


def reject(tx: Transaction) -> Decision:
    """Postfix's ``reject``, as a caller's own restriction."""
    return refuse("reject", "policy", Reply(554, "5.7.1", "Access denied"))


def always(tx: Transaction) -> Decision:
    """Postfix's ``permit``."""
    return permit("permit", "policy")


def read(words: Sequence[str]) -> Iterator[Restriction | Callable[[Transaction], Decision]]:
    """Postfix's items as our restrictions."""
    for item in words:
        first, _, rest = item.partition(" ")
        yield warn_if_reject(_read(rest)) if first == "warn_if_reject" else _read(item)


def _read(item: str) -> Restriction | Callable[[Transaction], Decision]:
    name, _, argument = item.partition(" ")
    match name:
        case "reject":
            return reject
        case "permit":
            return always
        case "permit_mynetworks":
            return restrictions.permit_mynetworks(*NETWORKS)
        case "reject_unauth_destination":
            return restrictions.reject_unauth_destination(*DOMAINS)
        case "reject_rbl_client":
            return restrictions.reject_rbl(argument)
        case "permit_dnswl_client":
            return restrictions.reject_rbl(f"{argument} allow")
        case _ if name.startswith("reject_rhsbl_"):
            return restrictions.reject_rhsbl(argument, of=name.removeprefix("reject_rhsbl_"))  # type: ignore[arg-type]
    make: Callable[[], Restriction] = getattr(restrictions, name)
    return make()


def lists_of(case: Case) -> Restrictions:
    """The five lists of the case."""
    return Restrictions(**{phase: list(read(case.restrictions.get(phase, ()))) for phase in LISTS})


def run_sync(case: Case, zone: ZoneResolver) -> list[Spoken]:
    """Every reply of the dialogue, up to the first refusal."""
    auth = sync.Authenticator(
        "mx.mailbox.test", restrictions=lists_of(case), delay_reject=case.delay_reject, resolver=zone
    )
    session = auth.session(case.client)
    spoken: list[Spoken] = []
    for phase, tell in _phases(case, session):
        spoken.append(_spoken(phase, tell()))
        if spoken[-1].refused:
            break
        if phase == case.pipelined:
            session.note_pipelining()
    return spoken


def run_aio(case: Case, zone: ZoneResolver) -> list[Spoken]:
    """The same, asynchronously."""
    return asyncio.run(_run_aio(case, zone))


async def _run_aio(case: Case, zone: ZoneResolver) -> list[Spoken]:
    auth = aio.Authenticator(
        "mx.mailbox.test", restrictions=lists_of(case), delay_reject=case.delay_reject, resolver=zone
    )
    session = auth.session(case.client)
    spoken: list[Spoken] = []
    for phase, tell in _phases(case, session):
        spoken.append(_spoken(phase, await tell()))
        if spoken[-1].refused:
            break
        if phase == case.pipelined:
            session.note_pipelining()
    return spoken


def _phases(case: Case, session: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "CONNECT", session.connect
    helo = case.helo
    if helo is not None:
        yield "HELO", lambda: session.helo(helo)
    yield "MAIL", lambda: session.mail(f"<{case.sender}>")
    yield "RCPT", lambda: session.rcpt(f"<{case.recipient}>")
    if case.restrictions.get("data"):
        yield "DATA", lambda: session.data(MESSAGE)


def _spoken(phase: str, decision: Decision) -> Spoken:
    assert isinstance(decision, Decision)
    reply = decision.reply
    if reply is None:
        assert decision.action in (NOTHING.action, always(None).action)  # type: ignore[arg-type]
        return Spoken(phase, 250, "", "")
    assert decision.action.value == ("defer" if reply.code < 500 else "reject")
    return Spoken(phase, reply.code, reply.enhanced, reply.text)
