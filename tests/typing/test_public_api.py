"""Read by mypy (see `files` in pyproject.toml): each `assert_type` is a promise.

The public API used as a user would, for mypy: what is inferred, and what is an error. Nothing here is run, and pytest
finds no test in it.
"""

from __future__ import annotations

from typing import BinaryIO, assert_type

from mailauth import aio, sync
from mailauth.arc import ArcResult
from mailauth.dkim import Explanation, HalfState, Signature, Verifier
from mailauth.dkim import Result as DkimResult
from mailauth.domain import DomainReport
from mailauth.greylist import Decision as GreylistDecision
from mailauth.iprev import IprevResult
from mailauth.mail.author import Author
from mailauth.plan import Answer, AsyncResolver, Call, Execution, Plan, Question, Resolver, run, run_async
from mailauth.rbl import Listing, Rule
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import (
    Action,
    Decision,
    Reply,
    Restriction,
    Restrictions,
    Transaction,
    check_dkim,
    check_spf,
    permit_mynetworks,
    refuse,
    reject_rbl,
    reject_rhsbl,
    warn_if_reject,
)
from mailauth.spf import (
    Finding,
    Flattened,
    LintReport,
    Record,
    SpfResult,
    TreeRecord,
    build_record,
    check_host,
    flatten,
    lint,
    whole_tree,
)
from mailauth.spf import Result as SpfResultWord
from mailauth.srs import Srs
from mailauth.stores import open_store
from mailauth.transaction.report import Report
from mailauth.trust import AuthorVerdict, TrustPolicy
from mailauth.trust.verdict import Alignment


def functions(zone: ZoneResolver, message: bytes, file: BinaryIO) -> None:
    spf = sync.check_spf("192.0.2.1", helo="mx.example.org", mail_from="ann@example.org", resolver=zone)
    assert_type(spf, SpfResult)
    assert_type(spf.result, SpfResultWord)
    assert_type(spf.explanation, str | None)
    assert_type(sync.verify_dkim(message, resolver=zone), list[Signature])
    assert_type(sync.verify_dkim(file)[0].result, DkimResult)
    assert_type(sync.explain_dkim(message, resolver=zone), list[Explanation])
    assert_type(sync.explain_dkim(file)[0].header.state, HalfState)
    assert_type(sync.query_rbl("192.0.2.1", ["bl.example", Rule.parse("x.example*2")]), list[Listing])
    assert_type(sync.check_domain("example.org", selectors=["s1"], clients=["192.0.2.1"]), DomainReport)
    assert_type(sync.check_iprev("192.0.2.1", time_limit=None), IprevResult)
    assert_type(sync.believe(message, {"mx.example.net"}), AuthorVerdict)
    assert_type(sync.verify_author(file, policy=TrustPolicy(hosts=("mx.example.net",))).aligned, Alignment | None)
    assert_type(sync.verify_arc(message, resolver=zone).chain, tuple[str, ...])
    assert_type(Srs("forwarder.example", ["a long secret"]).forward("ann@example.org", now=0.0).address, str | None)
    greylist = sync.Greylist(open_store("memory:"))
    assert_type(greylist.check("192.0.2.1", "", "bob@example.net"), GreylistDecision)


def advice_on_spf(zone: ZoneResolver) -> None:
    report = run(lint("example.org"), zone)
    assert_type(report, LintReport)
    assert_type(report.findings, tuple[Finding, ...])
    assert_type(report.tree, TreeRecord)
    assert_type(run(flatten("example.org"), zone), Flattened)
    assert_type(run(whole_tree("192.0.2.1", mail_from="ann@example.org"), zone), tuple[SpfResult, TreeRecord | None])
    assert_type(build_record(ip="192.0.2.1", include=["b.example"], all="softfail"), Record)


async def awaited(zone: ZoneResolver, message: bytes, file: BinaryIO) -> None:
    assert_type(await aio.check_spf("192.0.2.1", mail_from="", resolver=zone), SpfResult)
    assert_type(await aio.verify_dkim(file, resolver=zone), list[Signature])
    assert_type(await aio.explain_dkim(file, resolver=zone), list[Explanation])
    assert_type(await aio.query_rbl("example.org", ["dbl.example"]), list[Listing])
    assert_type(await aio.check_domain("example.org", lists=["zen.example"], guess=False), DomainReport)
    assert_type(await aio.check_iprev("192.0.2.1"), IprevResult)
    assert_type(await aio.verify_author(message), AuthorVerdict)
    assert_type(await aio.verify_arc(message), ArcResult)
    assert_type(await aio.Greylist("memory:").check("192.0.2.1", "", "bob@example.net"), GreylistDecision)
    auth = aio.Authenticator("mx.example.net", greylist=aio.Greylist("memory:"), resolver=zone)
    assert_type(await auth.check(message, ip="192.0.2.1"), Report)
    session = auth.session("192.0.2.1")
    assert_type(session, aio.Session)
    for decision in (
        await session.connect(),
        await session.helo("mx"),
        await session.mail(""),
        await session.rcpt("bob@example.net"),
        await session.data(file),
    ):
        assert_type(decision, Decision)
    session.data(message)  # type: ignore[unused-coroutine]
    aio.Authenticator("mx.example.net", greylist=sync.Greylist("memory:"))  # type: ignore[arg-type]


def authenticator(zone: ZoneResolver, message: bytes) -> None:
    auth = sync.Authenticator(
        "mx.example.net",
        rbl=["bl.example*2"],
        greylist=sync.Greylist("sqlite:greylist.db"),
        restrictions=Restrictions(
            client=[permit_mynetworks("192.0.2.0/24"), reject_rbl("bl.example", threshold=2), own],
            sender=[reject_rhsbl("dbl.example", of="sender"), warn_if_reject(own)],
            recipient=(check_spf(temperror="pass"), later),
            data=[check_dkim(require="author")],
        ),
        resolver=zone,
        time_limit=5,
    )
    report = auth.check(message, ip="192.0.2.1", helo=None, mail_from=None, rcpt_to="bob@example.net")
    assert_type(report.spf, SpfResult | None)
    assert_type(report.dkim, tuple[Signature, ...])
    assert_type(report.author, Author | None)
    assert_type(report.reply, Reply | None)
    assert_type(report.action, Action)
    assert_type(report.authentication_results, bytes)
    assert_type(auth.session("192.0.2.1", authenticated="ann").rcpt("bob@example.net"), Decision)
    assert_type(auth.session("192.0.2.1").report(), Report)
    reject_rhsbl("dbl.example", of="nobody")  # type: ignore[arg-type]
    check_spf(fail="maybe")  # type: ignore[arg-type]
    check_dkim(require="all")  # type: ignore[arg-type]
    Restrictions(client=["reject_rbl"])  # type: ignore[list-item]


def own(tx: Transaction) -> Decision | None:
    if tx.recipient is None:
        return None
    return refuse("own", "no", Reply(550, "5.7.1", f"not for {tx.recipient}"))


async def later(tx: Transaction) -> Decision | None:
    return own(tx)


assert_type(warn_if_reject(own), Restriction)


async def plans(zone: ZoneResolver, resolver: Resolver, asynchronous: AsyncResolver, message: bytes) -> None:
    plan = check_host("192.0.2.1", mail_from="ann@example.org", now=0.0)
    assert_type(plan, Plan[SpfResult])
    assert_type(run(plan, zone), SpfResult)
    assert_type(await run_async(check_host("192.0.2.1", helo="mx", now=0.0), asynchronous), SpfResult)
    verifier = Verifier(now=0.0)
    verifier.feed(message)
    assert_type(run(verifier.finish(), resolver), list[Signature])
    execution = Execution(plan)
    assert_type(execution.start(), list[Question | Call])
    assert_type(execution.result, SpfResult)
    assert_type(zone.lookup_now(Question("example.org", "MX")), Answer)
    run(plan, asynchronous)  # type: ignore[arg-type]
