"""Sessions: phases in and out of order, several transactions and recipients, early verdicts, callers' restrictions.

A session says what Postfix's smtpd would say at each command, in whatever order they come; what was found out in one
transaction is not known in the next.
"""

from __future__ import annotations

import asyncio
import logging
from ipaddress import ip_address
from typing import Any

import pytest

from mailauth import restrictions as r
from mailauth import sync
from mailauth.greylist import GreylistPolicy, Mode
from mailauth.mail.reply import Reply as SmtpReply
from mailauth.plan import Answer, Question
from mailauth.resolvers import RecordingResolver, ZoneResolver
from mailauth.restrictions import Action, Decision, Reply, Restrictions, Transaction, refuse
from mailauth.testing import Zone
from mailauth.transaction.session import PhaseError
from tests.facade.world import BOB, EVE, GOOD, LISTED, PLAIN, STRANGER, SYNC, Facade, signed, zone

OURS = r.reject_unauth_destination("mailbox.test")


def session_of(facade: Facade, ip: str = GOOD, authenticated: str | None = None, **options: Any) -> Any:
    return facade.authenticator(**options).session(ip, authenticated=authenticated)


def lists(**phases: Any) -> Restrictions:
    return Restrictions(**phases)


# --- the order of the phases ----------------------------------------------------------------------------------


def test_a_good_dialogue(facade: Facade) -> None:
    session = session_of(facade)
    for decision in (
        facade.run(session.connect()),
        facade.run(session.helo("mx.example.org")),
        facade.run(session.mail("<ann@example.org>")),
        facade.run(session.rcpt(f"<{BOB}>")),
        facade.run(session.data(signed())),
    ):
        assert decision.action is Action.NONE
        assert decision.reply is None
    report = session.report()
    assert (report.helo, report.mail_from, report.rcpt_to) == ("mx.example.org", "ann@example.org", (BOB,))
    assert report.spf.result == "pass"
    assert [signature.result for signature in report.dkim] == ["pass"]


@pytest.mark.parametrize(
    "phases",
    [
        [("rcpt", BOB)],
        [("helo", "x"), ("rcpt", BOB)],
        [("data", PLAIN)],
        [("mail", ""), ("data", PLAIN)],
        [("mail", ""), ("mail", "")],
        [("mail", ""), ("rcpt", BOB), ("mail", "")],
        [("mail", ""), ("rcpt", BOB), ("data", PLAIN), ("data", PLAIN)],
        [("mail", ""), ("rcpt", BOB), ("data", PLAIN), ("rcpt", BOB)],
        [("mail", ""), ("helo", "x"), ("rcpt", BOB)],
        [("mail", ""), ("reset", None), ("rcpt", BOB)],
        [("mail", ""), ("rcpt", BOB), ("reset", None), ("data", PLAIN)],
        [("mail", ""), ("rcpt", "x@elsewhere.example"), ("data", PLAIN)],  # no recipient was accepted
    ],
)
def test_out_of_order_is_the_callers_mistake(facade: Facade, phases: list[tuple[str, Any]]) -> None:
    session = session_of(facade, restrictions=lists(recipient=[OURS]))
    *before, (last, argument) = phases
    for name, value in before:
        if name == "reset":
            session.reset()
        else:
            facade.run(getattr(session, name)(value))
    with pytest.raises(PhaseError):
        facade.run(getattr(session, last)(argument))


@pytest.mark.parametrize("name", ["helo", "mail", "rcpt", "data"])
def test_what_is_no_text_and_no_message_is_a_type_error(facade: Facade, name: str) -> None:
    session = session_of(facade)
    if name in ("rcpt", "data"):
        facade.run(session.mail("ann@example.org"))
    if name == "data":
        facade.run(session.rcpt(BOB))
    for wrong in (None, 5) if name == "data" else (None, b"octets", 5):
        with pytest.raises(TypeError):
            facade.run(getattr(session, name)(wrong))


def test_mail_may_follow_data_at_once(facade: Facade) -> None:
    session = session_of(facade)
    facade.run(session.helo("mx.example.org"))
    for sender, recipient in (("ann@example.org", BOB), ("", EVE)):
        facade.run(session.mail(sender))
        facade.run(session.rcpt(recipient))
        assert facade.run(session.data(PLAIN)).reply is None
        assert (session.report().mail_from, session.report().rcpt_to) == (sender, (recipient,))


def test_mail_may_follow_a_message_that_could_not_be_read(facade: Facade) -> None:
    class Broken:
        def read(self, size: int = -1) -> bytes:
            raise OSError("the disk is gone")

    session = session_of(facade)
    facade.run(session.mail("ann@example.org"))
    facade.run(session.rcpt(BOB))
    with pytest.raises(OSError, match="the disk is gone"):
        facade.run(session.data(Broken()))
    assert facade.run(session.mail("ann@example.org")).reply is None


def test_a_refused_sender_begins_no_transaction(facade: Facade) -> None:
    session = session_of(facade, restrictions=lists(sender=[r.reject_unknown_sender_domain()]), delay_reject=False)
    assert facade.run(session.mail("ann@null.example")).reply.enhanced == "5.7.27"
    with pytest.raises(PhaseError):
        facade.run(session.rcpt(BOB))
    assert facade.run(session.mail("ann@example.org")).reply is None
    assert facade.run(session.rcpt(BOB)).reply is None


def test_addresses_come_with_brackets_or_without(facade: Facade) -> None:
    session = session_of(facade)
    facade.run(session.mail(" <ann@example.org> "))
    facade.run(session.rcpt(BOB))
    assert (session.transaction.mail_from, session.transaction.recipients) == ("ann@example.org", [BOB])
    session.reset()
    facade.run(session.mail("<>"))
    assert session.transaction.mail_from == ""


# --- several recipients, several transactions --------------------------------------------------------------


def test_each_recipient_is_judged_and_a_refused_one_does_not_spoil_the_message(facade: Facade) -> None:
    session = session_of(facade, restrictions=lists(recipient=[OURS]))
    facade.run(session.mail("ann@example.org"))
    assert facade.run(session.rcpt(BOB)).reply is None
    assert facade.run(session.rcpt("x@elsewhere.example")).reply.code == 554
    assert facade.run(session.rcpt(EVE)).reply is None
    assert facade.run(session.rcpt("y@elsewhere.example")).reply.code == 554
    assert facade.run(session.data(PLAIN)).reply is None
    report = session.report()
    assert report.rcpt_to == (BOB, EVE)
    assert [decision.refused for decision in report.recipients.values()] == [False, True, False, True]


def test_no_helo_opens_no_relay(facade: Facade) -> None:
    """A restriction whose fact never came is passed over; the rest of its list is not."""
    session = session_of(facade, restrictions=lists(recipient=[r.reject_invalid_helo_hostname(), OURS]))
    facade.run(session.mail("ann@example.org"))
    assert facade.run(session.rcpt("x@elsewhere.example")).reply.code == 554


def test_a_list_that_judges_by_the_recipient_is_judged_for_each(facade: Facade) -> None:
    session = session_of(facade, restrictions=lists(client=[OURS], data=[OURS]))
    facade.run(session.mail("ann@example.org"))
    assert facade.run(session.rcpt(BOB)).reply is None
    assert facade.run(session.rcpt("x@elsewhere.example")).reply.code == 554
    assert facade.run(session.data(PLAIN)).reply is None


def test_data_judges_each_recipient_and_the_worst_verdict_speaks(facade: Facade) -> None:
    seen: list[str | None] = []

    def judge(tx: Transaction) -> Decision | None:
        seen.append(tx.recipient)
        return refuse("own", "no", Reply(450, "4.7.1", "no")) if tx.recipient == EVE else None

    by_recipient = r.Restriction("own", requires=frozenset({"recipient"}), judge=lambda e: judge(e) or NOTHING)
    session = session_of(facade, restrictions=lists(data=[by_recipient]))
    facade.run(session.mail(""))
    for recipient in (BOB, EVE, BOB):
        facade.run(session.rcpt(recipient))
    assert facade.run(session.data(PLAIN)).reply.code == 450
    assert seen == [BOB, EVE]
    assert [decision.refused for decision in session.report().recipients.values()] == [False, True]


NOTHING = Decision(Action.NONE)


def test_nothing_leaks_into_the_next_transaction(facade: Facade) -> None:
    greylist = facade.greylist()
    auth = facade.authenticator(greylist=greylist)
    session = auth.session(GOOD)
    facade.run(session.helo("mx.example.org"))
    facade.run(session.mail("ann@example.org", now=1000.0))
    assert facade.run(session.rcpt(BOB, now=1000.0)).reason == "greylist-new"
    session.reset()
    blank = session.report()
    assert (blank.mail_from, blank.rcpt_to, blank.spf, blank.dkim, blank.greylist) == (None, (), None, (), ())
    assert blank.recipients == {}
    assert blank.reply is None
    # The same recipient, another sender and another time: asked anew, not answered from before.
    facade.run(session.mail("", now=5000.0))
    assert facade.run(session.rcpt(BOB, now=5000.0)).reason == "greylist-new"
    session.reset()
    facade.run(session.mail("ann@example.org", now=5001.0))
    assert facade.run(session.rcpt(BOB, now=5001.0)).reply is None
    assert session.report().greylist[0].reason == "retried"


def test_results_do_not_pile_up() -> None:
    """A client that says MAIL and RSET in turn, each time with another name, does not fill the memory."""
    session = session_of(
        SYNC,
        restrictions=lists(sender=[r.reject_unknown_sender_domain(), r.reject_rhsbl("dbl.example"), r.check_spf()]),
    )
    sizes = set()
    for number in range(50):
        session.helo(f"mx{number}.example.org")
        session.mail(f"ann@example{number}.org")
        sizes.add(len(session.transaction._results))
        session.reset()
    assert len(sizes) == 1


def test_helo_again_begins_anew(facade: Facade) -> None:
    session = session_of(facade, restrictions=lists(helo=[r.reject_non_fqdn_helo_hostname()]))
    facade.run(session.helo("short"))
    facade.run(session.mail(""))
    assert facade.run(session.rcpt(BOB)).reply.code == 504
    facade.run(session.helo("mx.example.org"))
    facade.run(session.mail(""))
    assert facade.run(session.rcpt(BOB)).reply is None


def test_checks_on_the_client_are_made_once_in_a_session(facade: Facade) -> None:
    resolver = RecordingResolver(zone())
    session = session_of(facade, rbl=["bl.example"], resolver=resolver)
    for helo in ("mx.example.org", "mx.example.org"):
        facade.run(session.helo(helo))
        for _ in range(2):
            facade.run(session.mail("ann@example.org"))
            facade.run(session.rcpt(BOB))
            facade.run(session.rcpt(EVE))
            facade.run(session.data(signed()))
    asked = [str(question) for question in resolver.questions]
    assert asked.count("1.2.0.192.bl.example A") == 1
    # SPF and DKIM belong to the transaction: one time each, whatever the number of recipients.
    assert asked.count("example.org TXT") == 4
    assert asked.count("s1._domainkey.example.org TXT") == 4


# --- what changes during a session -------------------------------------------------------------------------


def test_authentication_after_helo_counts(facade: Facade) -> None:
    """The client is on a block list, which is known after HELO; then it proves who it is."""
    session = session_of(facade, LISTED, rbl=["bl.example"])
    facade.run(session.helo("listed.example.org"))
    session.authenticate("ann")
    facade.run(session.mail("ann@example.org"))
    assert facade.run(session.rcpt("x@elsewhere.example")).reply is None
    assert facade.run(session.data(PLAIN)).reply is None
    assert b"auth=pass smtp.auth=ann" in session.report().authentication_results


def test_authenticated_from_the_start(facade: Facade) -> None:
    session = session_of(facade, LISTED, authenticated="ann", rbl=["bl.example"])
    facade.run(session.mail("ann@example.org"))
    assert facade.run(session.rcpt(BOB)).action is Action.PERMIT


def test_pipelining_is_held_against_the_client_until_it_leaves(facade: Facade) -> None:
    session = session_of(facade, restrictions=lists(client=[r.reject_unauth_pipelining()]))
    facade.run(session.helo("mx.example.org"))
    facade.run(session.mail(""))
    assert facade.run(session.rcpt(BOB)).reply is None
    session.note_pipelining()
    assert facade.run(session.rcpt(BOB)).reply == SmtpReply(503, "5.5.0", "Improper use of SMTP command pipelining")
    session.reset()
    facade.run(session.helo("mx.example.org"))
    facade.run(session.mail(""))
    assert facade.run(session.rcpt(BOB)).reply.code == 503
    assert session_of(facade).transaction.pipelined is False


# --- when verdicts are spoken ------------------------------------------------------------------------------


def test_early_verdicts_are_kept_and_spoken_at_rcpt(facade: Facade) -> None:
    resolver = RecordingResolver(zone())
    session = session_of(facade, LISTED, rbl=["bl.example"], resolver=resolver)
    assert facade.run(session.helo("listed.example.org")).reply is None
    assert session.report().decision.reply.code == 554  # found, though not spoken
    asked = len(resolver.questions)
    assert asked
    assert facade.run(session.mail("ann@example.org")).reply is None
    assert facade.run(session.rcpt(BOB)).restriction == "reject_rbl"
    assert facade.run(session.rcpt(EVE)).restriction == "reject_rbl"
    assert len(resolver.questions) == asked, "the verdict was there: nothing else needed to be asked"


def test_without_delay_each_phase_speaks(facade: Facade) -> None:
    session = session_of(facade, LISTED, rbl=["bl.example"], delay_reject=False)
    assert facade.run(session.connect()).reply.code == 554
    assert facade.run(session.helo("listed.example.org")).reply.code == 554


def test_a_refused_helo_stays_refused_until_it_is_said_anew(facade: Facade) -> None:
    session = session_of(facade, restrictions=lists(helo=[r.reject_invalid_helo_hostname()]), delay_reject=False)
    assert facade.run(session.helo("-")).reply.code == 501
    assert facade.run(session.mail("")).reply.code == 501
    assert facade.run(session.helo("mx")).reply is None
    assert facade.run(session.mail("")).reply is None


def test_warnings_are_reported_with_each_verdict(facade: Facade, caplog: pytest.LogCaptureFixture) -> None:
    session = session_of(
        facade,
        restrictions=lists(
            helo=[r.warn_if_reject(r.reject_invalid_helo_hostname())], recipient=[r.warn_if_reject(OURS)]
        ),
    )
    with caplog.at_level(logging.WARNING, "mailauth.transaction"):
        assert [warning.reason for warning in facade.run(session.helo("-\r\nforged")).warnings] == ["helo-invalid"]
        facade.run(session.mail(""))
        decision = facade.run(session.rcpt("x@elsewhere.example"))
        assert (decision.reply, [warning.reason for warning in decision.warnings]) == (
            None,
            ["helo-invalid", "relay-denied"],
        )
        decision = facade.run(session.data(PLAIN))
    assert [warning.reason for warning in decision.warnings] == ["helo-invalid", "relay-denied"]
    assert [warning["reason"] for warning in session.report().to_dict()["decision"]["warnings"]]
    assert [record.getMessage() for record in caplog.records] == [
        "would reject reject_invalid_helo_hostname (helo-invalid): client=192.0.2.1 helo=<-??forged> from=-",
        "would reject reject_unauth_destination (relay-denied): "
        "client=192.0.2.1 helo=<-??forged> from=<> to=<x@elsewhere.example>",
    ]


def test_a_dry_run_of_greylisting_warns_of_what_it_would_defer(
    facade: Facade, caplog: pytest.LogCaptureFixture
) -> None:
    greylist = facade.greylist(policy=GreylistPolicy(mode=Mode.DRY_RUN))
    session = session_of(facade, greylist=greylist, restrictions=lists(recipient=[r.greylist()]))
    facade.run(session.mail("ann@example.org"))
    with caplog.at_level(logging.WARNING, "mailauth.transaction"):
        decision = facade.run(session.rcpt(BOB, now=1000.0))
    [warning] = decision.warnings
    assert (decision.reply, warning.restriction, warning.reason) == (None, "greylist", "greylist-new")
    assert str(warning.reply) == "450 4.7.1 Greylisted; please try again in 5 minutes or later"
    facade.run(session.data(PLAIN))
    [recorded] = session.report().greylist
    assert (recorded.action, recorded.dry_run) == ("accept", True)
    [record] = caplog.records
    assert record.getMessage().startswith("would defer greylist (greylist-new): client=192.0.2.1 ")


def test_every_decision_is_one_log_line_that_says_whom_it_is_about(
    facade: Facade, caplog: pytest.LogCaptureFixture
) -> None:
    auth = facade.authenticator(restrictions=lists(recipient=[OURS, r.check_spf()], data=[r.check_dkim()]))
    session = auth.session(STRANGER, id="4F2a")
    with caplog.at_level(logging.INFO, "mailauth.transaction"):
        facade.run(session.helo("mx\r\n.example.org"))
        facade.run(session.mail("ann@example.org"))
        facade.run(session.rcpt(BOB))
    who = f"client={STRANGER} helo=<mx??.example.org> from=<ann@example.org> to=<{BOB}>"
    [record] = caplog.records
    assert record.getMessage() == f"4F2a: reject check_spf (spf-fail): {who}"
    assert (record.client, record.helo, record.sender) == (STRANGER, "mx??.example.org", "ann@example.org")  # type: ignore[attr-defined]
    assert (record.recipient, record.transaction_id) == (BOB, "4F2a")  # type: ignore[attr-defined]
    assert (record.action, record.restriction, record.reason) == ("reject", "check_spf", "spf-fail")  # type: ignore[attr-defined]


def test_the_check_of_a_whole_message_logs_a_line_for_each_recipient(
    facade: Facade, caplog: pytest.LogCaptureFixture
) -> None:
    auth = facade.authenticator(restrictions=lists(recipient=[OURS]))
    with caplog.at_level(logging.INFO, "mailauth.transaction"):
        facade.run(auth.check(PLAIN, ip=STRANGER, rcpt_to=[BOB, "x@elsewhere.example"], id="q1"))
    assert [record.getMessage() for record in caplog.records] == [
        f"q1: no objection: client={STRANGER} helo=- from=- to=<{BOB}>",
        f"q1: reject reject_unauth_destination (relay-denied): "
        f"client={STRANGER} helo=- from=- to=<x@elsewhere.example>",
    ]


# --- a caller's own restrictions ---------------------------------------------------------------------------


def test_a_callable_judges_by_the_evidence(facade: Facade) -> None:
    def no_mail_for_eve(tx: Transaction) -> Decision | None:
        return refuse("", "eve", Reply(550, "5.7.1", "Eve is away")) if tx.recipient == EVE else None

    session = session_of(facade, restrictions=lists(recipient=[no_mail_for_eve]))
    facade.run(session.mail("ann@example.org"))
    assert facade.run(session.rcpt(BOB)).action is Action.NONE
    decision = facade.run(session.rcpt(EVE))
    assert (str(decision.reply), decision.restriction) == ("550 5.7.1 Eve is away", "no_mail_for_eve")


def test_a_callable_sees_the_results_of_the_checks_before_it(facade: Facade) -> None:
    seen = []

    def look(tx: Transaction) -> None:
        assert tx.spf is not None
        seen.append(tx.spf.result.value)

    session = session_of(facade, STRANGER, restrictions=lists(recipient=[r.check_spf(fail="pass"), look]))
    facade.run(session.mail("ann@example.org"))
    facade.run(session.rcpt(BOB))
    assert seen == ["fail"]


def test_a_callable_object_has_the_name_of_its_class(facade: Facade) -> None:
    class Never:
        def __call__(self, tx: Transaction) -> Decision:
            return refuse("", "never", Reply(554, "5.7.1", "never"))

    session = session_of(facade, restrictions=lists(client=[Never()]))
    facade.run(session.mail(""))
    assert facade.run(session.rcpt(BOB)).restriction == "Never"


def test_an_async_callable_is_awaited_in_aio_and_refused_in_sync(facade: Facade) -> None:
    async def slow(tx: Transaction) -> Decision:
        return refuse("", "slow", Reply(450, "4.7.1", "come back"))

    session = session_of(facade, restrictions=lists(recipient=[r.warn_if_reject(slow), slow]))
    facade.run(session.mail(""))
    if facade is SYNC:
        with pytest.raises(TypeError, match=r"asynchronous: use mailauth\.aio"):
            facade.run(session.rcpt(BOB))
    else:
        assert facade.run(session.rcpt(BOB)).restriction == "slow"


@pytest.mark.parametrize("rubbish", [True, "reject", 550, Reply(550, "5.7.1", "no"), Action.REJECT])
def test_a_callable_that_returns_rubbish_is_a_clear_mistake(facade: Facade, rubbish: object) -> None:
    session = session_of(facade, restrictions=lists(recipient=[lambda tx: rubbish]))
    facade.run(session.mail(""))
    with pytest.raises(TypeError, match="not a Decision or None"):
        facade.run(session.rcpt(BOB))


def test_what_a_callable_raises_is_the_callers(facade: Facade) -> None:
    def broken(tx: Transaction) -> None:
        raise LookupError("my own bug")

    session = session_of(facade, restrictions=lists(recipient=[broken]))
    facade.run(session.mail(""))
    with pytest.raises(LookupError, match="my own bug"):
        facade.run(session.rcpt(BOB))
    assert session.transaction.recipients == []


@pytest.mark.parametrize("action", [Action.REJECT, Action.DEFER])
def test_a_refusal_has_a_reply_that_fits(action: Action) -> None:
    with pytest.raises(ValueError, match="reply of class"):
        Decision(action)
    with pytest.raises(ValueError, match="reply of class"):
        Decision(action, Reply(250, "2.0.0", "ok"))
    with pytest.raises(ValueError, match="no reply"):
        Decision(Action.PERMIT, Reply(250, "2.0.0", "ok"))


# --- mistakes in the lists ---------------------------------------------------------------------------------


def test_a_restriction_on_the_message_belongs_into_data() -> None:
    for phase in ("client", "helo", "sender", "recipient"):
        with pytest.raises(ValueError, match="belongs into the list data"):
            Restrictions(**{phase: [r.check_dkim(require="pass")]})  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["reject_rbl", 5, None])
def test_what_is_no_restriction_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a restriction is"):
        Restrictions(client=[wrong])
    with pytest.raises(TypeError, match="a list of restrictions"):
        Restrictions(client=OURS)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="restrictions is a Restrictions"):
        sync.Authenticator("mx.mailbox.test", restrictions=[OURS])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: r.permit_mynetworks("192.0.2.1/24"),
        lambda: r.reject_unauth_destination("a..b"),
        lambda: r.reject_rbl("no zone"),
        lambda: r.reject_rhsbl(),
        lambda: r.reject_rhsbl("dbl.example", of="nobody"),  # type: ignore[arg-type]
        lambda: r.reject_unknown_client_hostname(code=250),
        lambda: r.reject_unknown_reverse_client_hostname(code=250),
        lambda: r.reject_unknown_sender_domain(code=250),
        lambda: r.check_spf(fail="maybe"),  # type: ignore[arg-type]
        lambda: r.check_spf(identity="from"),  # type: ignore[arg-type]
        lambda: r.check_dkim(require="all"),  # type: ignore[arg-type]
        lambda: r.check_dkim(temperror="later"),  # type: ignore[arg-type]
        lambda: r.greylist(prove_by=["oath"]),  # type: ignore[list-item]
        lambda: r.greylist(prove_by="spf"),
    ],
)
def test_arguments_that_make_no_sense_are_value_errors(make: Any) -> None:
    with pytest.raises(ValueError):
        make()


# --- a deadline for the whole phase ------------------------------------------------------------------------


def test_the_time_limit_holds_for_all_lists_of_a_phase_together() -> None:
    """Three lists ask one after the other; each plan gets what the others have left."""

    class Slow:
        def __init__(self) -> None:
            self.limits: list[float | None] = []

        def lookup(self, question: Question, time_limit: float | None) -> Answer:
            self.limits.append(time_limit)
            return zone().lookup_now(question)

    resolver = Slow()
    auth = sync.Authenticator(
        "mx.mailbox.test",
        restrictions=lists(client=[r.reject_rbl("bl.example")], helo=[r.check_spf(identity="helo")]),
        resolver=resolver,
        time_limit=7.0,
    )
    auth.session(GOOD).helo("mx.example.org")
    limits = [limit for limit in resolver.limits if limit is not None]
    assert len(limits) == len(resolver.limits) >= 2
    assert limits == sorted(limits, reverse=True)
    assert all(0 < limit <= 7.0 for limit in limits)


def test_no_time_left_is_a_dns_error_and_not_a_hang(facade: Facade) -> None:
    session = session_of(
        facade, restrictions=lists(sender=[r.reject_unknown_sender_domain()]), resolver=Zone(), time_limit=0
    )
    facade.run(session.mail("ann@example.org"))
    decision = facade.run(session.rcpt(BOB))
    assert (decision.reason, decision.reply.code) == ("dns-error", 450)


def test_a_dns_error_defers_or_passes(facade: Facade) -> None:
    for on_dns_error, code in (("defer", 450), ("pass", None)):
        session = session_of(
            facade, restrictions=lists(sender=[r.reject_unknown_sender_domain(on_dns_error=on_dns_error)])
        )
        facade.run(session.mail("ann@slow.example"))
        decision = facade.run(session.rcpt(BOB))
        assert (decision.reply and decision.reply.code) == code


def test_a_session_serves_a_running_loop() -> None:
    """The synchronous facade inside a running event loop: it blocks, and works."""

    async def main() -> Any:
        session = SYNC.authenticator().session(GOOD)
        session.mail("ann@example.org")
        return session.rcpt(BOB)

    assert asyncio.run(main()).reply is None


# --- allow lists and relaying ---------------------------------------------------------------------------------


def allowing() -> ZoneResolver:
    """An allow list that has the stranger and every name that is said here."""
    keys = (ip_address(STRANGER).reverse_pointer.removesuffix(".in-addr.arpa"), "mx.example.org", "example.org")
    return ZoneResolver({(f"{key}.wl.test", "A"): ["127.0.0.2"] for key in keys})


_ALLOWED = [
    r.reject_rbl("wl.test allow"),
    r.reject_rhsbl("wl.test allow", of="helo"),
    r.reject_rhsbl("wl.test allow", of="sender"),
    r.warn_if_reject(r.reject_rbl("wl.test allow")),
]


@pytest.mark.parametrize("phase", ["client", "recipient"])
@pytest.mark.parametrize("allow", _ALLOWED, ids=str)
def test_an_allow_list_opens_no_relay(phase: str, allow: r.Restriction) -> None:
    """As Postfix's permit_dnswl_client, which is ignored where it would override reject_unauth_destination."""
    refusing = refuse("mine", "mine", Reply(550, "5.7.1", "no"))
    session = sync.Authenticator(
        "mx.mailbox.test", resolver=allowing(), restrictions=lists(**{phase: [allow, OURS, lambda tx: refusing]})
    ).session(STRANGER)
    session.helo("mx.example.org")
    session.mail("ann@example.org")
    assert session.rcpt("x@elsewhere.example").restriction == "reject_unauth_destination"
    assert session.rcpt(BOB).action is Action.PERMIT


def test_who_may_relay_may_be_on_an_allow_list_too() -> None:
    allow = r.reject_rbl("wl.test allow")
    for more in (r.permit_mynetworks(STRANGER), r.warn_if_reject(OURS)):
        session = sync.Authenticator(
            "mx.mailbox.test", resolver=allowing(), restrictions=lists(recipient=[allow, more, r.permit_mynetworks()])
        ).session(STRANGER)
        session.mail("ann@example.org")
        assert session.rcpt("x@elsewhere.example").action is Action.PERMIT
    session = sync.Authenticator(
        "mx.mailbox.test",
        resolver=allowing(),
        restrictions=lists(recipient=[allow, r.permit_mynetworks(STRANGER), OURS]),
    ).session(STRANGER)
    session.mail("ann@example.org")
    assert session.rcpt("x@elsewhere.example").restriction == "permit_mynetworks"


def test_spf_and_the_restrictions_read_a_sender_alike(facade: Facade) -> None:
    """A control character in the local part changes nothing about whose mail it claims to be."""
    session = session_of(
        facade,
        STRANGER,
        restrictions=lists(sender=[r.reject_unknown_sender_domain()], recipient=[r.check_spf(fail="pass")]),
    )
    facade.run(session.helo("mx.example.org"))
    facade.run(session.mail("ann\x01@example.org"))
    facade.run(session.rcpt(BOB))
    assert session.transaction.spf is not None
    assert session.transaction.spf.domain == session.transaction.sender_domain == "example.org"


# --- all at once, when RCPT comes -----------------------------------------------------------------------------


@pytest.mark.parametrize("helo", ["mx.example.org", "no name", None])
@pytest.mark.parametrize("sender", ["ann@example.org", "", "ann@slow.example", "x"])
@pytest.mark.parametrize("ip", [GOOD, LISTED, STRANGER])
def test_begun_at_rcpt_the_decision_is_the_same(facade: Facade, ip: str, sender: str, helo: str | None) -> None:
    restrictions = lists(
        client=[r.reject_rbl("bl.example")],
        helo=[r.reject_invalid_helo_hostname()],
        sender=[r.reject_non_fqdn_sender()],
        recipient=[OURS, r.check_spf()],
    )
    phases, begun = (session_of(facade, ip, restrictions=restrictions) for _ in range(2))
    facade.run(phases.connect())
    if helo is not None:
        facade.run(phases.helo(helo))
    facade.run(phases.mail(sender))
    begun.begin(helo, sender)
    for recipient in (BOB, "x@elsewhere.example", EVE):
        assert facade.run(begun.rcpt(recipient)) == facade.run(phases.rcpt(recipient))
    assert begun.report().to_dict() | {"time": 0} == phases.report().to_dict() | {"time": 0}


def test_begun_again_it_is_another_transaction(facade: Facade) -> None:
    session = session_of(facade)
    session.begin("mx.example.org", "ann@example.org")
    assert not facade.run(session.rcpt(BOB)).refused
    session.begin("mx.example.org", "ann@slow.example")
    assert facade.run(session.rcpt(EVE)).reply.code == 451
    assert session.report().mail_from == "ann@slow.example"
    with pytest.raises(TypeError):
        session.begin("mx.example.org", b"ann@example.org")


@pytest.mark.parametrize("phase", ["sender", "recipient"])
def test_recipients_may_take_what_spf_would_refuse(facade: Facade, phase: str) -> None:
    """By address, local part and domain; each recipient of a mail for himself, in whichever list it stands."""
    exempt = ["Eve@mailbox.test", "help@", ".open.example"]
    session = session_of(facade, STRANGER, restrictions=lists(**{phase: [r.check_spf(unless_to=exempt)]}))
    facade.run(session.helo("mx.example.org"))
    assert not facade.run(session.mail("ann@example.org")).refused
    taken = [EVE, "help@anywhere.example", "x@sub.open.example"]
    decisions = {each: facade.run(session.rcpt(each)) for each in (BOB, *taken, "eve@other.test")}
    assert [each for each, decision in decisions.items() if not decision.refused] == taken
    assert decisions[BOB].reason == "spf-fail"
    with pytest.raises(ValueError, match="neither a network, a domain nor an address"):
        r.check_spf(unless_to=["a..b"])
