"""`Authenticator.check`: everything side by side.

A whole message takes the time of its slowest chain of questions, asks each once, and its report says of each check
what came of it, or why it was not made.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
import trio
import trio.testing

from mailauth import aio
from mailauth import restrictions as r
from mailauth.greylist import Action as GreylistAction
from mailauth.greylist import Decision as GreylistDecision
from mailauth.greylist import GreylistPolicy, Reason
from mailauth.plan import Answer, Call, Execution, Question
from mailauth.rbl import Monitor
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import Action, Restrictions, Transaction
from mailauth.transaction.message import authenticate, begin_message
from mailauth.transaction.policy import Policy
from tests.facade.world import BOB, EVE, GOOD, HOSTNAME, LISTED, NOW, PLAIN, STRANGER, Facade, records, signed, zone

EVERYTHING = Restrictions(
    client=[r.reject_rbl("bl.example"), r.reject_rhsbl("dbl.example", of="client"), r.reject_unknown_client_hostname()],
    helo=[r.reject_rhsbl("dbl.example", of="helo"), r.check_spf(identity="helo")],
    sender=[r.reject_unknown_sender_domain(), r.reject_rhsbl("dbl.example")],
    recipient=[r.check_spf(), r.greylist(prove_by=["dkim", "spf", "iprev"])],
    data=[r.check_dkim(require="author")],
)


def check(facade: Facade, ip: str = GOOD, message: Any = None, options: Any = None, **facts: Any) -> Any:
    facts = {"helo": "mx.example.org", "mail_from": "ann@example.org", "rcpt_to": BOB, "now": NOW, **facts}
    auth = facade.authenticator(**(options or {}))
    return facade.run(auth.check(signed() if message is None else message, ip=ip, **facts))


# --- results -----------------------------------------------------------------------------------------------


def test_a_good_message(facade: Facade) -> None:
    report = check(facade, options={"rbl": ["bl.example"]})
    assert (report.action, report.reply, report.verdict) == (Action.NONE, None, "accept")
    assert report.iprev.name == "mx.example.org"
    assert [listing.result for listing in report.rbl] == ["not-listed"]
    assert (report.spf.result, report.spf_helo.result) == ("pass", "pass")
    assert [signature.result for signature in report.dkim] == ["pass"]
    assert (report.author.domain, report.author.reason) == ("example.org", "one-address")
    assert report.not_evaluated == {"greylist": "no store is named"}
    field = report.authentication_results.decode()
    for part in ("iprev=pass", "spf=pass smtp.helo=mx.example.org", "spf=pass smtp.mailfrom=example.org", "dkim=pass"):
        assert part in " ".join(field.split())


def test_8601_2_5_one_authserv_id_for_all_servers_of_a_site(facade: Facade) -> None:
    """RFC 8601 section 2.5: it may be another name than the server's; what cannot be one is the caller's mistake."""
    report = check(facade, options={"authserv_id": "mailbox.test"})
    assert (report.hostname, report.authserv_id) == (HOSTNAME, "mailbox.test")
    assert report.authentication_results.startswith(b"Authentication-Results: mailbox.test;")
    assert report.to_dict()["authserv_id"] == "mailbox.test"
    assert check(facade).authentication_results.startswith(f"Authentication-Results: {HOSTNAME};".encode())
    # Names are absolute with and without a final dot; readers compare what is written.
    assert facade.authenticator(authserv_id="mailbox.test.").policy.authserv_id == "mailbox.test"
    assert check(facade, options={"authserv_id": "b\u00fccher.test."}).authentication_results.startswith(
        b"Authentication-Results: xn--bcher-kva.test;"
    )
    for wrong in ("a\r\nb", "x" * 300, "m\u00fc x"):
        with pytest.raises(ValueError, match="authserv-id"):
            facade.authenticator(authserv_id=wrong)


@pytest.mark.parametrize(
    ("ip", "mail_from", "reply", "restriction"),
    [
        (LISTED, "ann@example.org", "554 5.7.1", "reject_rbl"),
        (STRANGER, "ann@example.org", "550 5.7.23", "check_spf"),
        (GOOD, "ann@slow.example", "451 4.4.3", "check_spf"),
    ],
)
def test_a_message_that_is_refused(facade: Facade, ip: str, mail_from: str, reply: str, restriction: str) -> None:
    report = check(facade, ip, mail_from=mail_from, options={"rbl": ["bl.example"]})
    assert str(report.reply).startswith(reply)
    assert (report.decision.restriction, report.verdict) == (restriction, report.action.value)
    # The verdict does not keep the other checks from being reported.
    assert report.spf is not None
    assert report.dkim
    assert report.iprev is not None


def test_dkim_may_be_required(facade: Facade) -> None:
    for require, message, reason in (
        ("pass", PLAIN, "dkim-no-pass"),
        ("author", signed().replace(b"From: Ann <ann@example.org>", b"From: Ann <ann@other.example>"), "dkim-no-pass"),
        ("pass", signed(), ""),
        ("author", signed(), ""),
    ):
        report = check(
            facade, message=message, options={"restrictions": Restrictions(data=[r.check_dkim(require=require)])}
        )
        assert report.decision.reason == reason


def test_a_key_that_cannot_be_asked_for_defers(facade: Facade) -> None:
    down = ZoneResolver(records(), failures={("s1._domainkey.example.org", "TXT"): "servfail"})
    for require, reply in (("nothing", "None"), ("pass", "451 4.4.3 DKIM: a public key could not be looked up")):
        restrictions = Restrictions(data=[r.check_dkim(require=require)])  # type: ignore[arg-type]
        assert str(check(facade, options={"restrictions": restrictions, "resolver": down}).reply) == reply


@pytest.mark.parametrize("require", ["nothing", "pass", "author"])
def test_6376_6_1_a_broken_signature_is_no_signature(facade: Facade, require: Any) -> None:
    """RFC 6376 sections 4.2, 6.1 and 6.3: no better and no worse than none, and never deferred for it."""
    broken = [
        signed().replace(b"Hello, Bob.", b"Hello, Eve."),
        signed().replace(b"v=1;", b"v=2;"),
        signed().replace(b"s=s1;", b"s=none;"),
        b"DKIM-Signature: nonsense\r\n" + PLAIN,
    ]
    options = {"restrictions": Restrictions(data=[r.check_dkim(require=require)])}
    without = check(facade, message=PLAIN, options=options)
    assert (without.reply is None) == (require == "nothing")
    assert require == "nothing" or str(without.reply).startswith("550 5.7.20 ")
    for message in broken:
        report = check(facade, message=message, options=options)
        assert [signature.result for signature in report.dkim] in (["fail"], ["neutral"], ["permerror"])
        assert (report.decision, report.verdict) == (without.decision, without.verdict)


# --- what was not evaluated --------------------------------------------------------------------------------


def test_what_was_not_evaluated_says_why(facade: Facade) -> None:
    nothing = check(facade, message=PLAIN, helo=None, mail_from=None, rcpt_to=())
    assert nothing.not_evaluated == {
        "rbl": "no list is named",
        "spf_helo": "no HELO name is known",
        "spf": "MAIL FROM is not known",
        "greylist": "no store is named",
    }
    refused = check(facade, LISTED, options={"rbl": ["bl.example"], "greylist": facade.greylist()})
    assert refused.not_evaluated == {"greylist": "reject by reject_rbl before it"}
    unwanted = check(facade, options={"greylist": facade.greylist(), "restrictions": Restrictions()})
    assert unwanted.not_evaluated["greylist"] == "no restriction asks for it"
    nobody = check(facade, rcpt_to=(), options={"greylist": facade.greylist()})
    assert nobody.not_evaluated["greylist"] == "no recipient is known"
    no_sender = check(facade, mail_from=None, options={"greylist": facade.greylist()})
    assert no_sender.not_evaluated["greylist"] == "MAIL FROM is not known"


def test_a_session_says_what_it_has_not_evaluated_yet(facade: Facade) -> None:
    session = facade.authenticator(rbl=["bl.example"]).session(GOOD)
    assert session.report().not_evaluated == {
        "iprev": "no restriction asks for it",
        "rbl": "no restriction asks for it",
        "spf_helo": "no HELO name is known",
        "spf": "MAIL FROM is not known",
        "dkim": "there is no message",
        "arc": "there is no message",
        "dmarc": "there is no message",
        "greylist": "no store is named",
    }
    facade.run(session.helo("mx.example.org"))
    assert "rbl" not in session.report().not_evaluated


def test_the_lists_that_restrictions_name_are_reported(facade: Facade) -> None:
    named = Restrictions(
        client=[r.reject_rbl("bl.example", "other.example", threshold=9)],
        sender=[r.warn_if_reject(r.reject_rhsbl("dbl.example"))],
    )
    report = check(facade, LISTED, mail_from="ann@bad.example", options={"restrictions": named, "rbl": ["bl.example"]})
    assert [(listing.subject, listing.zone, listing.result.value) for listing in report.rbl] == [
        (LISTED, "bl.example", "listed"),
        (LISTED, "other.example", "not-listed"),
        ("bad.example", "dbl.example", "listed"),
    ]
    first = Restrictions(client=[lambda tx: r.refuse("own", "no", r.Reply(550, "5.7.1", "no"))], helo=named.client)
    session = facade.authenticator(restrictions=first).session(LISTED)
    facade.run(session.helo("x"))
    assert session.report().not_evaluated["rbl"] == "reject by own before it"


# --- recipients --------------------------------------------------------------------------------------------


def test_each_recipient_is_judged_and_one_refusal_refuses_the_message(facade: Facade) -> None:
    only_ours = Restrictions(recipient=[r.reject_unauth_destination("mailbox.test")])
    report = check(facade, rcpt_to=[BOB, "x@elsewhere.example", EVE], options={"restrictions": only_ours})
    assert {recipient: decision.action.value for recipient, decision in report.recipients.items()} == {
        BOB: "none",
        "x@elsewhere.example": "reject",
        EVE: "none",
    }
    assert report.reply.code == 554
    assert report.rcpt_to == (BOB, "x@elsewhere.example", EVE)


def test_a_rejection_weighs_more_than_a_deferral(facade: Facade) -> None:
    def judge(tx: Transaction) -> Any:
        codes = {BOB: 450, EVE: 550}
        code = codes.get(tx.recipient or "")
        return code and r.refuse("own", "no", r.Reply(code, f"{code // 100}.7.1", "no"))

    options = {"restrictions": Restrictions(recipient=[lambda tx: judge(tx) or None])}
    assert check(facade, rcpt_to=[BOB, EVE], options=options).reply.code == 550
    assert check(facade, rcpt_to=[BOB, "z@mailbox.test"], options=options).reply.code == 450


def test_greylisting_is_asked_for_each_recipient(facade: Facade) -> None:
    greylist = facade.greylist(policy=GreylistPolicy(delay=300))
    auth = facade.authenticator(greylist=greylist)

    def at(now: float, *recipients: str) -> Any:
        return facade.run(
            auth.check(PLAIN, ip=GOOD, helo="mx.example.org", mail_from="ann@example.org", rcpt_to=recipients, now=now)
        )

    first = at(NOW, BOB)
    assert (first.reply.code, [found.reason for found in first.greylist]) == (450, ["new"])
    second = at(NOW + 301, BOB, EVE)
    assert [found.reason for found in second.greylist] == ["retried", "new"]
    assert [decision.refused for decision in second.recipients.values()] == [False, True]
    assert second.reply.code == 450
    third = at(NOW + 700, BOB, EVE, BOB)
    assert [found.reason for found in third.greylist] == ["known", "retried"]
    assert third.reply is None


@pytest.mark.parametrize("prove_by", [["spf"], ["dkim"], ["iprev"]])
def test_a_pool_that_proves_its_domain_is_one_sender(facade: Facade, prove_by: Sequence[Any]) -> None:
    auth = facade.authenticator(
        greylist=facade.greylist(), restrictions=Restrictions(recipient=[r.greylist(prove_by=prove_by)])
    )

    def at(now: float, ip: str) -> Any:
        return facade.run(auth.check(signed(), ip=ip, helo="x", mail_from="ann@example.org", rcpt_to=BOB, now=now))

    assert at(NOW, GOOD).greylist[0].reason == "new"
    assert at(NOW + 1000, LISTED).greylist[0].reason == "retried"


def test_authenticated_clients_are_let_through(facade: Facade) -> None:
    report = check(facade, LISTED, authenticated="ann", options={"rbl": ["bl.example"], "greylist": facade.greylist()})
    assert (report.action, report.authenticated) == (Action.PERMIT, "ann")
    assert b"auth=pass" in report.authentication_results
    assert report.rbl[0].listed  # reported all the same


# --- time, and each question once --------------------------------------------------------------------------


class Rounds:
    """Runs plans in rounds: in each, all open questions are asked and answered at once."""

    def __init__(self) -> None:
        self.rounds = 0
        self.asked: Counter[Question] = Counter()

    def run(self, plan: Any) -> Any:
        execution = Execution(plan)
        requests = execution.start()
        while requests:
            questions = [request for request in requests if isinstance(request, Question)]
            self.rounds += bool(questions)
            self.asked.update(questions)
            answers = [
                (q, zone().lookup_now(q) if isinstance(q, Question) else q.function(*q.arguments)) for q in requests
            ]
            requests = [asked for request, answer in answers for asked in execution.answer(request, answer)]
        return execution.result

    @staticmethod
    def result_of(request: Question | Call) -> Any:
        return zone().lookup_now(request) if isinstance(request, Question) else request.function(*request.arguments)


def rounds_of(restrictions: Restrictions, ip: str = LISTED, **settings: Any) -> Rounds:
    rounds = Rounds()
    known = GreylistDecision(GreylistAction.ACCEPT, Reason.KNOWN)
    policy = Policy(HOSTNAME, greylist=lambda *attempt, **options: known, **settings)
    facts: dict[str, Any] = {"helo": "mx.example.org", "mail_from": "ann@bad.example", "rcpt_to": [BOB, EVE]}
    tx = begin_message(policy, signed(), ip, authenticated=None, now=NOW, id="", **facts)
    tx.begin_message().feed(signed())
    rounds.run(authenticate(tx, restrictions))
    return rounds


def test_the_whole_takes_as_many_rounds_as_its_longest_chain() -> None:
    alone = [
        rounds_of(Restrictions(**{phase: [restriction]})).rounds  # type: ignore[arg-type]
        for phase in ("client", "helo", "sender", "recipient", "data")
        for restriction in EVERYTHING.of(phase)  # type: ignore[arg-type]
    ]
    together = rounds_of(EVERYTHING).rounds
    assert together == max(alone)
    # The longest chain: PTR, A of the name, the list of domains. The report's own checks are in the same rounds.
    assert together == 3


def test_each_question_is_asked_once() -> None:
    rounds = rounds_of(EVERYTHING)
    assert len(rounds.asked) > 10
    assert set(rounds.asked.values()) == {1}


class Latent:
    """Answers after a time of its own for each question, on trio's virtual clock."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.spent = 0.0

    async def lookup_async(self, question: Question) -> Answer:
        wait = next((time for suffix, time in self.seconds.items() if question.name.endswith(suffix)), 1.0)
        self.spent += wait
        await trio.sleep(wait)
        return zone().lookup_now(question)


def test_the_wall_time_is_that_of_the_slowest_chain() -> None:
    resolver = Latent({"_domainkey.example.org": 7.0, "bl.example": 5.0, "in-addr.arpa": 3.0, "example.org": 2.0})
    auth = aio.Authenticator(HOSTNAME, restrictions=EVERYTHING, rbl=["bl.example"], resolver=resolver, time_limit=100)

    async def main() -> float:
        await auth.check(signed(), ip=GOOD, helo="mx.example.org", mail_from="ann@example.org", rcpt_to=BOB, now=NOW)
        return float(trio.current_time())

    clock = trio.testing.MockClock(autojump_threshold=0)
    start = clock.current_time()
    elapsed = trio.run(main, clock=clock) - start
    # The key takes 7 s; PTR, address and list of domains together 3 + 2 + 1; SPF 2 + 2; the lists of addresses 5.
    assert elapsed == pytest.approx(7.0)
    assert resolver.spent > 20


def test_the_time_limit_holds_for_the_whole() -> None:
    resolver = Latent({"": 1000.0})
    auth = aio.Authenticator(HOSTNAME, restrictions=EVERYTHING, rbl=["bl.example"], resolver=resolver, time_limit=4.0)

    async def main() -> Any:
        start = trio.current_time()
        report = await auth.check(signed(), ip=GOOD, helo="mx.example.org", mail_from="ann@example.org", rcpt_to=BOB)
        return report, trio.current_time() - start

    report, elapsed = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert elapsed == pytest.approx(4.0, abs=0.1)  # the rest of the limit is reckoned by the real clock
    assert report.spf.result == report.iprev.result == report.dkim[0].result == report.rbl[0].result == "temperror"
    assert report.verdict == "defer"


# --- JSON --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ip", "helo", "mail_from", "rcpt_to"),
    list(
        product(
            (GOOD, LISTED, "2001:db8::1"),
            (None, "mx.example.org", "[192.0.2.1]", "\x00;("),
            (None, "", "ann@example.org", "ann@slow.example", "no address"),
            ((), BOB, [BOB, EVE, "a@b@c"]),
        )
    ),
)
def test_every_report_is_json(ip: str, helo: str | None, mail_from: str | None, rcpt_to: Any) -> None:
    from tests.facade.world import SYNC

    options = {"rbl": ["bl.example"], "greylist": SYNC.greylist(), "trace": True}
    softened = [r.warn_if_reject(restriction) for restriction in EVERYTHING.recipient]
    for restrictions in (None, EVERYTHING, Restrictions(recipient=softened)):
        made = {**options, "restrictions": restrictions}
        report = check(SYNC, ip, helo=helo, mail_from=mail_from, rcpt_to=rcpt_to, options=made)
        read = json.loads(json.dumps(report.to_dict()))
        assert read["verdict"] in ("accept", "reject", "defer")
        assert set(read["not_evaluated"]) <= {"iprev", "rbl", "spf", "spf_helo", "dkim", "greylist"}
        assert (read["reply"] is None) == (report.reply is None)


def test_a_list_that_is_out_of_service_says_nothing(facade: Facade) -> None:
    """A monitor's first test finds a list that lists the world; from then on it rejects nobody."""

    world = {("2.0.0.127.wild.example", "A"): ["127.0.0.2"], ("*.wild.example", "A"): ["127.0.0.2"]}
    auth = facade.module.Authenticator(
        HOSTNAME, rbl=["wild.example"], rbl_monitor=Monitor(clock=lambda: 0.0), resolver=ZoneResolver(world)
    )
    report = facade.run(auth.check(signed(), ip=STRANGER, helo="mx.example.org", mail_from="ann@example.org"))
    assert [(listing.result, listing.reason) for listing in report.rbl] == [("temperror", "out-of-service")]
    assert report.decision.reason != "rbl-score"


@pytest.mark.parametrize("sick", [True, False])
def test_a_monitor_leaves_sick_lists_out(facade: Facade, sick: bool) -> None:
    """A list that lists the whole Internet is out of service: it rejects nobody, and the report says so."""
    entries: dict[tuple[str, str], list[str]] = {
        ("2.0.0.127.bl.example", "A"): ["127.0.0.2"],  # RFC 5782 section 5: is listed
        ("10.2.0.192.bl.example", "A"): ["127.0.0.2"],
    }
    if sick:
        entries["1.0.0.127.bl.example", "A"] = ["127.0.0.2"]  # must not be listed
    auth = facade.module.Authenticator(
        HOSTNAME,
        resolver=ZoneResolver(entries),
        rbl=["bl.example"],
        rbl_monitor=Monitor(clock=lambda: 0.0),
        restrictions=Restrictions(client=[r.reject_rbl()]),
        clock=lambda: NOW,
    )
    report = facade.run(auth.check(PLAIN, ip=LISTED))
    session = auth.session(LISTED)
    facade.run(session.helo("mx.example.org"))
    facade.run(session.mail("ann@example.org"))
    decision = facade.run(session.rcpt(BOB))
    for found in (report, session.report()):
        assert found.verdict == ("accept" if sick else "reject")
        assert [listing.reason for listing in found.rbl] == ["out-of-service" if sick else "listed"]
        assert ("rbl bl.example" in found.not_evaluated) is sick
    assert decision.refused is not sick
    if sick:
        assert report.not_evaluated["rbl bl.example"].startswith("out of service: ")


def test_a_monitor_is_a_monitor(facade: Facade) -> None:
    with pytest.raises(TypeError, match=r"rbl_monitor is a mailauth\.rbl\.Monitor, not bool"):
        facade.module.Authenticator(HOSTNAME, rbl_monitor=True)
