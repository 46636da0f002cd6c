"""Greylisting of pools whose reverse names differ: `client_by_name="registered"`."""

from __future__ import annotations

from typing import Any

import pytest

from mailauth import restrictions as r
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import Restrictions
from tests.facade.world import BOB, FACADES, NOW, Facade

ONE, OTHER = "198.51.100.1", "203.0.113.9"
POOL: dict[Any, Any] = {
    ("1.100.51.198.in-addr.arpa", "PTR"): ["out-3.pool7.mail.example.net"],
    ("out-3.pool7.mail.example.net", "A"): [ONE],
    ("9.113.0.203.in-addr.arpa", "PTR"): ["out-9.pool2.mail.example.net"],
    ("out-9.pool2.mail.example.net", "A"): [OTHER],
}
RECORD: dict[Any, Any] = {("_dmarc.example.net", "TXT"): ["v=DMARC1; p=none"]}


def retried(facade: Facade, zone: dict[Any, Any], **options: Any) -> str:
    """What the second host of the pool hears, ten minutes after the first."""
    restrictions = Restrictions(recipient=[r.greylist(**options)])
    auth = facade.authenticator(resolver=ZoneResolver(zone), greylist=facade.greylist(), restrictions=restrictions)
    reply: Any = None
    for ip, now in ((ONE, NOW), (OTHER, NOW + 600)):
        session = auth.session(ip)
        facade.run(session.helo("mx.example.net", now=now))
        facade.run(session.mail("ann@sender.example", now=now))
        reply = facade.run(session.rcpt(BOB, now=now)).reply
    return str(reply)


@pytest.mark.parametrize("facade", FACADES, ids=lambda facade: facade.name)
def test_a_pool_is_one_sender_by_its_organizational_domain(facade: Facade) -> None:
    assert retried(facade, POOL | RECORD).startswith("450")
    assert retried(facade, POOL | RECORD, client_by_name="registered") == "None"
    # Without a record that names an organization, and without a confirmed name, it is as before.
    assert retried(facade, POOL, client_by_name="registered").startswith("450")
    assert retried(facade, RECORD, client_by_name="registered").startswith("450")


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="registered"):
        r.greylist(client_by_name="name")  # type: ignore[arg-type]
