"""Lists of e-mail addresses and of DKIM domains in a transaction.

What a signature says in favour of a client counts with the message, like any allow list; the sender, From and Reply-To
are asked by hash; no list is told a name or an address that it is not for.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from mailauth import restrictions as r
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import Restrictions
from tests.facade.world import BOB, GOOD, LISTED, NOW, PLAIN, Facade, records, sign

EBL, DWL = "ebl.msbl.org", "dwl.dnswl.org"
ANN = "ann@example.org"
MESSAGE = sign(PLAIN.replace(b"To: bob", b"Reply-To: <drop.box+7@gmail.com>, x@example.org\r\nTo: bob"))


def hashed(address: str) -> tuple[str, str]:
    return f"{hashlib.sha1(address.encode()).hexdigest()}.{EBL}", "A"


def world(**extra: Any) -> ZoneResolver:
    return ZoneResolver({**records(), **extra.get("entries", {})})  # type: ignore[arg-type]


LISTS_ANN = {hashed(ANN): ["127.0.0.2"]}
LISTS_DROPBOX = {hashed("dropbox@gmail.com"): ["127.0.0.2"]}
GOOD_SIGNER = {(f"example.org.{DWL}", "A"): ["127.0.3.2"]}


def check(facade: Facade, entries: Any, ip: str = GOOD, message: bytes = MESSAGE, **options: Any) -> Any:
    auth = facade.authenticator(resolver=world(entries=entries), **options)
    return facade.run(auth.check(message, ip=ip, helo="mx.example.org", mail_from=ANN, rcpt_to=BOB, now=NOW))


def said(report: Any, zone: str) -> dict[str, str]:
    return {one.subject: one.result.value for one in report.rbl if one.zone == zone}


def test_the_sender_and_the_addresses_in_the_header_are_reported(facade: Facade) -> None:
    report = check(facade, LISTS_DROPBOX, rbl=[EBL])
    assert said(report, EBL) == {
        ANN: "not-listed",
        "drop.box+7@gmail.com": "listed",
        "x@example.org": "not-listed",
    }
    assert report.verdict == "accept"  # only the sender decides


@pytest.mark.parametrize("options", [{"rbl": [EBL]}, {"restrictions": Restrictions(sender=[r.reject_ebl_sender(EBL)])}])
def test_a_listed_sender_is_rejected(facade: Facade, options: Any) -> None:
    report = check(facade, LISTS_ANN, **options)
    assert str(report.reply) == f"554 5.7.1 Service unavailable; Sender address [{ANN}] blocked using {EBL}"
    assert (report.decision.restriction, report.decision.reason) == ("reject_ebl_sender", "rbl-score")


def test_phase_by_phase(facade: Facade) -> None:
    lists = Restrictions(sender=[r.reject_ebl_sender(EBL)], data=[r.reject_ebl_sender(EBL)])
    auth = facade.authenticator(resolver=world(entries=LISTS_ANN), restrictions=lists, delay_reject=False)
    session = auth.session(GOOD)
    facade.run(session.helo("mx.example.org"))
    assert facade.run(session.mail(ANN)).reply.code == 554
    assert facade.run(session.mail("")).reply is None
    auth = facade.authenticator(resolver=world(entries=LISTS_DROPBOX), restrictions=lists)
    session = auth.session(GOOD)
    for step in (session.helo("mx.example.org"), session.mail(ANN), session.rcpt(BOB), session.data(MESSAGE)):
        assert facade.run(step).reply is None
    assert said(session.report(), EBL)["drop.box+7@gmail.com"] == "listed"


def test_a_header_of_a_thousand_addresses_costs_ten_questions(facade: Facade) -> None:
    many = b", ".join(b"a%d@example.org" % n for n in range(1000))
    report = check(facade, {}, message=b"From: " + many + b"\r\nReply-To: " + many + b"\r\n\r\nHi\r\n", rbl=[EBL])
    assert len(said(report, EBL)) == 11  # the sender, too


def test_no_other_list_is_told_addresses_or_domains(facade: Facade) -> None:
    report = check(facade, {}, rbl=["bl.example", EBL, DWL])
    assert said(report, "bl.example") == {GOOD: "not-listed"}
    assert GOOD not in said(report, EBL)
    assert said(report, DWL) == {"example.org": "not-listed"}


def test_a_good_signer_takes_points_off(facade: Facade) -> None:
    rules = ["bl.example*2", f"{DWL}=127.0.[0..255].[1..3]*-2"]
    assert check(facade, {}, LISTED, rbl=rules).verdict == "reject"
    assert check(facade, GOOD_SIGNER, LISTED, rbl=rules).verdict == "accept"
    assert check(facade, GOOD_SIGNER, LISTED, message=PLAIN, rbl=rules).verdict == "reject"


def test_a_good_signer_ends_the_matter(facade: Facade) -> None:
    rules = ["bl.example reject", f"{DWL} allow"]
    assert check(facade, GOOD_SIGNER, LISTED, rbl=rules).verdict == "accept"
    forged = MESSAGE.replace(b"Hello, Bob", b"Buy now")
    assert check(facade, GOOD_SIGNER, LISTED, message=forged, rbl=rules).verdict == "reject"


@pytest.mark.parametrize("code", ["127.255.255.255", "127.0.0.255"])
def test_an_error_lets_nobody_in(facade: Facade, code: str) -> None:
    report = check(facade, {(f"example.org.{DWL}", "A"): [code]}, LISTED, rbl=["bl.example", f"{DWL} allow"])
    assert report.verdict == "reject"
    assert said(report, DWL) == {"example.org": "refused"}


def test_each_rule_counts_once(facade: Facade) -> None:
    """However many domains signed."""
    twice = sign(sign(PLAIN))
    report = check(facade, GOOD_SIGNER, LISTED, message=twice, rbl=["bl.example*2", f"{DWL}*-1"])
    assert report.verdict == "reject"


def test_phase_by_phase_a_signer_counts_with_the_message(facade: Facade) -> None:
    for entries, code in ((GOOD_SIGNER, None), ({}, 554)):
        auth = facade.authenticator(resolver=world(entries=entries), rbl=["bl.example*2", f"{DWL}*-2"])
        session = auth.session(LISTED)
        for step in (session.helo("mx.example.org"), session.mail(ANN), session.rcpt(BOB)):
            assert facade.run(step).reply is None
        reply = facade.run(session.data(MESSAGE)).reply
        assert (None if reply is None else reply.code) == code


def test_who_authenticated_is_let_through(facade: Facade) -> None:
    auth = facade.authenticator(resolver=world(entries=LISTS_ANN), rbl=["bl.example", EBL, DWL])
    report = facade.run(auth.check(MESSAGE, ip=LISTED, mail_from=ANN, rcpt_to=BOB, authenticated="ann", now=NOW))
    assert report.verdict == "accept"


def test_wrong_lists_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"zen\.spamhaus\.org is no list of e-mail addresses"):
        r.reject_ebl_sender("zen.spamhaus.org")
    with pytest.raises(ValueError, match="lists domains that signed"):
        r.reject_rhsbl(DWL)
    with pytest.raises(ValueError, match="needs the message"):
        Restrictions(client=[r.reject_rbl("bl.example", DWL)])
    with pytest.raises(ValueError, match="threshold"):
        r.reject_ebl_sender(EBL, threshold=0)
