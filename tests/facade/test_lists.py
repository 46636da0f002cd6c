"""Lists of mail addresses by hash (EBL) and of DKIM domains in the whole: restrictions and reports that use them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from mailauth import restrictions as r
from mailauth.plan import run
from mailauth.rbl import Kind, Rule, judge, query
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import Restrictions
from mailauth.transaction.decision import Action
from tests.facade.world import BOB, FACADES, GOOD, NOW, PLAIN, Facade, records, signed

EBL = "ebl.msbl.org"


def entry(address: str, *codes: str) -> dict[tuple[str, str], list[str]]:
    """The list's records for an address in its canonical form."""
    return {(f"{hashlib.sha1(address.encode()).hexdigest()}.{EBL}", "A"): list(codes)}


def test_an_error_code_of_an_allow_list_lets_nobody_in() -> None:
    """Validity's lists answer 127.255.255.255 to everybody who has asked too much."""
    name = "1.2.0.192.sa-trusted.bondedsender.org"
    zone = ZoneResolver({(name, "A"): ["127.255.255.255"]})
    rule = "sa-trusted.bondedsender.org allow"
    assert judge(run(query("192.0.2.1", [rule]), zone)).action == "none"


# --- in the whole -----------------------------------------------------------------------------------------


def check(facade: Facade, message: bytes, more: dict[Any, Any], **options: Any) -> Any:
    auth = facade.authenticator(resolver=ZoneResolver({**records(), **more}), **options)  # type: ignore[dict-item]
    facts = {"ip": GOOD, "helo": "mx.example.org", "mail_from": "ann+x@example.org", "rcpt_to": [BOB], "now": NOW}
    return facade.run(auth.check(message, **facts))


@pytest.mark.parametrize("facade", FACADES, ids=lambda facade: facade.name)
def test_reject_ebl_sender(facade: Facade) -> None:
    restrictions = Restrictions(sender=[r.reject_ebl_sender(EBL)])
    report = check(facade, PLAIN, entry("ann@example.org", "127.0.0.2"), restrictions=restrictions)
    assert str(report.reply).startswith("554 5.7.1 Service unavailable; Sender address blocked using ebl.msbl.org")
    assert check(facade, PLAIN, {}, restrictions=restrictions).reply is None


def test_reject_ebl_sender_takes_lists_of_addresses_only() -> None:
    for zones in ([], ["zen.spamhaus.org"], ["bl.example"]):
        with pytest.raises(ValueError, match="addresses"):
            r.reject_ebl_sender(*zones)
    r.reject_ebl_sender(Rule("hashes.example", kind=Kind.EMAIL))


@pytest.mark.parametrize("facade", FACADES, ids=lambda facade: facade.name)
def test_from_and_reply_to_are_in_the_report(facade: Facade) -> None:
    message = PLAIN.replace(b"Subject:", b"Reply-To: Eve <eve@drop.example>\r\nSubject:", 1)
    report = check(facade, message, entry("eve@drop.example", "127.0.0.2"), rbl=[EBL])
    found = {listing.subject: str(listing.result) for listing in report.rbl if "@" in listing.subject}
    assert found == {"ann@example.org": "not-listed", "eve@drop.example": "listed"}
    assert report.reply is None


@pytest.mark.parametrize("facade", FACADES, ids=lambda facade: facade.name)
def test_the_domains_of_signatures_on_an_allow_list(facade: Facade) -> None:
    rule = "dwl.dnswl.org=127.0.[0..255].[2..3] allow"
    restrictions = Restrictions(data=[r.reject_rhsbl(rule, of="dkim")])
    trusted: dict[Any, Any] = {("example.org.dwl.dnswl.org", "A"): ["127.0.5.3"]}
    assert check(facade, signed(), trusted, restrictions=restrictions).action is Action.PERMIT
    assert check(facade, PLAIN, trusted, restrictions=restrictions).action is Action.NONE
    assert check(facade, signed(), {}, restrictions=restrictions).action is Action.NONE


@pytest.mark.parametrize("of", ["sender", "helo", "client", "reverse_client"])
def test_a_name_that_nobody_signed_is_not_on_an_allow_list_of_signers(of: Any) -> None:
    """MAIL FROM and HELO are what the client says: a forged one must not let it in."""
    with pytest.raises(ValueError, match=r"dwl\.dnswl\.org lists domains that signed"):
        r.reject_rhsbl("dwl.dnswl.org allow", of=of)
