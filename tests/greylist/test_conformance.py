"""RFC 6647, recommendation by recommendation: sections 2.7, 4.2 and 5."""

from __future__ import annotations

from pathlib import Path

from mailauth import restrictions as r
from mailauth import sync
from mailauth.config import read_greylist_settings
from mailauth.greylist import Greylist, GreylistPolicy
from mailauth.resolvers import ZoneResolver
from mailauth.stores import open_store
from mailauth.stores.memory import MemoryStore

IP, ANN, BOB = "192.0.2.1", "ann@example.org", "bob@example.net"
T = 1_800_000_000.0
MINUTE, DAY = 60.0, 86400.0
AS_THE_RFC_SAYS = GreylistPolicy(delay=MINUTE, retry_window=DAY, auto_allow=1, ipv4_prefix=32)


def test_several_mx_hosts_share_one_store(tmp_path: Path) -> None:
    """Section 4.2, and section 5 item 4: a retry at another host, and the clients that came back."""
    first, second = (Greylist(open_store(f"sqlite:{tmp_path}/greylist.db"), policy=AS_THE_RFC_SAYS) for _ in range(2))
    with first, second:
        assert first.check(IP, ANN, BOB, now=T).reason == "new"
        assert second.check(IP, ANN, BOB, now=T + 30).reason == "too-early"
        assert second.check(IP, ANN, BOB, now=T + MINUTE).reason == "retried"
        assert first.check(IP, "other@example.org", "cy@example.net", now=T + 2 * MINUTE).reason == "client-allowed"


def test_who_is_on_an_allow_list_is_not_greylisted() -> None:
    """Section 2.7: a list of known good hosts as a set of exceptions."""
    zone = ZoneResolver({("1.2.0.192.good.example", "A"): ["127.0.0.2"]})
    lists = r.Restrictions(recipient=[r.reject_rbl("good.example allow"), r.greylist()])
    greylist = sync.Greylist(MemoryStore())
    auth = sync.Authenticator("mx.mailbox.test", resolver=zone, greylist=greylist, restrictions=lists)
    replies = {}
    for ip in (IP, "192.0.2.2"):
        session = auth.session(ip)
        session.helo("mx.example.org")
        session.mail(ANN)
        replies[ip] = session.rcpt(BOB).reply
    assert replies[IP] is None
    assert replies["192.0.2.2"] is not None
    assert replies["192.0.2.2"].code == 450


def test_a_sender_that_changes_with_each_attempt_is_one() -> None:
    """Section 4.2: details of the message in the address of the sender."""
    greylist = Greylist(MemoryStore())
    for now, sender in ((T, "bounce-1234-0f3a9c77e1@example.org"), (T + 300, "bounce-1235-1b2c3d4e5f@example.org")):
        decision = greylist.check(IP, sender, BOB, now=now)
    assert decision.reason == "retried"


def test_our_other_mx_hosts_are_not_greylisted() -> None:
    """Section 4.2: the primary MX permits those that relay to it."""
    greylist = Greylist(MemoryStore(), settings=read_greylist_settings('[exempt]\nclients = ["198.51.100.0/28"]'))
    assert greylist.check("198.51.100.2", ANN, BOB, now=T).reason == "exempt-client"
    assert greylist.check("198.51.100.16", ANN, BOB, now=T).reason == "new"


def test_a_tuple_of_address_sender_and_recipient() -> None:
    """Section 5 item 1: each of the three tells attempts apart."""
    greylist = Greylist(MemoryStore(), policy=AS_THE_RFC_SAYS)
    assert greylist.check(IP, ANN, BOB, now=T).reason == "new"
    others = [("192.0.2.2", ANN, BOB), (IP, "eve@example.org", BOB), (IP, ANN, "cy@example.net")]
    assert [greylist.check(*other, now=T + MINUTE).reason for other in others] == ["new"] * 3
    assert greylist.check(IP, ANN, BOB, now=T + MINUTE).reason == "retried"


def test_after_a_successful_retry_all_traffic_of_the_address_passes() -> None:
    """Section 5 item 1, as `auto_allow=1` has it: regardless of envelope information."""
    greylist = Greylist(MemoryStore(), policy=AS_THE_RFC_SAYS)
    greylist.check(IP, ANN, BOB, now=T)
    greylist.check(IP, ANN, BOB, now=T + MINUTE)
    assert greylist.check(IP, "eve@other.example", "cy@example.net", now=T + MINUTE).reason == "client-allowed"
    assert greylist.check("192.0.2.2", "eve@other.example", "cy@example.net", now=T + MINUTE).reason == "new"


def test_the_range_of_retries_can_be_the_rfcs() -> None:
    """Section 5 item 2: one minute to 24 hours, and a later retry begins anew."""
    outcomes = {}
    for waited in (MINUTE - 1, MINUTE, DAY, DAY + 1):
        greylist = Greylist(MemoryStore(), policy=AS_THE_RFC_SAYS)
        greylist.check(IP, ANN, BOB, now=T)
        outcomes[waited] = greylist.check(IP, ANN, BOB, now=T + waited)
    assert [decision.reason for decision in outcomes.values()] == ["too-early", "retried", "retried", "too-late"]
    assert outcomes[DAY + 1].first_seen == T + DAY + 1


def test_records_without_recent_traffic_are_deleted() -> None:
    """Section 5 item 3: not before a week has passed."""
    policy = GreylistPolicy()
    assert policy.lifetime >= 7 * DAY
    greylist = Greylist(MemoryStore(), policy=policy)
    for now in (T, T + policy.delay):
        greylist.check(IP, ANN, BOB, now=now)
    assert greylist.expire(now=T + 7 * DAY) == 0
    assert greylist.check(IP, ANN, BOB, now=T + 7 * DAY).reason == "known"
    unused = T + 8 * DAY + policy.lifetime
    assert greylist.expire(now=unused) == 2
    assert not greylist.store.scan(prefix="192.0.2.0/24").entries
    assert greylist.check(IP, ANN, BOB, now=unused).reason == "new"


def test_networks_and_domains_may_stand_for_addresses() -> None:
    """Section 5 item 5: a CIDR block of a size of one's choosing, or the domain of the client."""
    greylist = Greylist(MemoryStore(), policy=GreylistPolicy(ipv4_prefix=24))
    greylist.check(IP, ANN, BOB, now=T)
    assert greylist.check("192.0.2.200", ANN, BOB, now=T + 300).reason == "retried"
    assert greylist.check("192.0.3.1", ANN, BOB, now=T + 300).reason == "new"
    greylist.check("198.51.100.1", ANN, BOB, now=T, proven_domain="example.org")
    assert greylist.check("203.0.113.9", ANN, BOB, now=T + 300, proven_domain="example.org").reason == "retried"


def test_known_senders_bypass_it() -> None:
    """Section 5 item 6: addresses, network blocks, and names that were confirmed."""
    exempt = '[exempt]\nclients = ["203.0.113.7", "2001:db8:7::/48", ".provider.example"]'
    greylist = Greylist(MemoryStore(), settings=read_greylist_settings(exempt))
    for ip, name in (("203.0.113.7", None), ("2001:db8:7::25", None), (IP, "out3.provider.example")):
        assert greylist.check(ip, ANN, BOB, now=T, client_name=name).reason == "exempt-client"
    assert not greylist.store.scan().entries


def test_who_authenticated_is_not_greylisted() -> None:
    """Section 5 item 7."""
    greylist = Greylist(MemoryStore())
    decision = greylist.check(IP, ANN, BOB, now=T, authenticated=True)
    assert (decision.action, decision.reason) == ("accept", "authenticated")
    assert not greylist.store.scan().entries
