# Invariant: whatever a message holds, it is answered, and a message that goes on has a field that says what was found.
"""The filter over the protocol, with a mail server written down packet by packet."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.aio import Authenticator
from mailauth.dkim import SigningRule, SigningTable
from mailauth.dmarc import DmarcPolicy
from mailauth.milter.filter import MailFilter, _LongLines
from mailauth.milter.settings import MilterSettings
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import Restrictions, check_dmarc
from mailauth.stores import open_report_store
from tests.dkim.makers import ed_key
from tests.milter.peer import MailServer, connected, in_loop
from tests.milter.runner import CLIENT, HOSTNAME, OURS, ZONE, mail_filter

Replies = list[tuple[bytes, bytes]]


async def message(
    peer: MailServer,
    fields: Sequence[tuple[bytes, bytes]] = ((b"From", b" ann@example.org"),),
    body: bytes = b"body\r\n",
    *,
    client: str = CLIENT,
    sender: str = "ann@example.org",
    macros: bytes = b"",
) -> Replies:
    peer.send(b"C", f"mx.example.org\x004\x30\x39{client}\0".encode())
    peer.send(b"H", b"mx.example.org\0")
    peer.send(b"D", b"Mi\0QUEUEID\0" + macros)
    peer.send(b"M", f"<{sender}>\0".encode())
    peer.send(b"R", b"<bob@example.net>\0")
    for name, value in fields:
        peer.send(b"L", name + b"\0" + value + b"\0")
    peer.send(b"B", body)
    replies = await peer.ask(b"E")
    peer.send(b"K")
    await peer.negotiate()
    return replies


def inserted(replies: Replies) -> list[bytes]:
    """The names of the fields put on top, the topmost last."""
    return [data[4:].partition(b"\0")[0] for command, data in replies if command == b"i"]


@in_loop
async def test_modes() -> None:
    for mode, outside, ours in (
        ("both", [b"Authentication-Results"], [b"DKIM-Signature"] * 2),
        ("verify", [b"Authentication-Results"], []),
        ("sign", [], [b"DKIM-Signature"] * 2),
    ):
        async with connected(mail_filter(mode).server) as peer:  # type: ignore[arg-type]
            assert inserted(await message(peer)) == outside
            assert inserted(await message(peer, client=OURS)) == ours


@in_loop
async def test_8601_4_2_what_is_rejected_gets_no_field() -> None:
    """RFC 8601 section 4.2: it is rejected within SMTP, so that nobody is sent a bounce."""
    restrictions = Restrictions(data=[check_dmarc(reject=True)])
    zone = ZoneResolver({**ZONE, ("_dmarc.example.org", "TXT"): ["v=DMARC1; p=reject"]})  # type: ignore[arg-type]
    own = MailFilter(Authenticator(HOSTNAME, restrictions=restrictions, resolver=zone))
    async with connected(own.server) as peer:
        (only,) = await message(peer, client="203.0.113.1", sender="ann@other.example")
    assert only == (b"y", b"550 5.7.1 Email rejected per DMARC policy for example.org\0")


@in_loop
async def test_8601_5_the_authserv_id_is_ours_and_nobody_elses() -> None:
    """RFC 8601 sections 2.5 and 5: the id of the site is written; forged fields with it or the host's name go."""
    own = mail_filter()
    authenticator = Authenticator(HOSTNAME, authserv_id="mailbox.test", resolver=ZoneResolver(ZONE))
    forged = [
        (b"Authentication-Results", b" mailbox.test; dkim=pass"),
        (b"Authentication-Results", b" other.test; none"),
        (b"Authentication-Results", f" {HOSTNAME}; dkim=pass".encode()),
    ]
    async with connected(MailFilter(authenticator, settings=own.settings).server) as peer:
        changes = await message(peer, [*forged, (b"From", b" ann@example.org")])
    # The last one first.
    assert [data[:4] for command, data in changes if command == b"m"] == [n.to_bytes(4, "big") for n in (3, 1)]
    (field,) = [data for command, data in changes if command == b"i"]
    assert field[4:].startswith(b"Authentication-Results\0 mailbox.test;")


@in_loop
async def test_6376_5_6_a_signature_goes_on_top_and_no_other_is_touched() -> None:
    """RFC 6376 sections 3.5, 4.2 and 5.6: above those that are there, which stay; t= says when it was made."""
    there = [(b"DKIM-Signature", b" v=1; d=broken.example"), (b"From", b" ann@example.org")]
    async with connected(mail_filter().server) as peer:
        *changes, last = await message(peer, there, client=OURS)
    assert last[0] == b"a"
    assert [command for command, _ in changes] == [b"i", b"i"]
    for _, data in changes:
        place, (name, value, _) = int.from_bytes(data[:4], "big"), data[4:].split(b"\0")
        assert (place, name) == (0, b"DKIM-Signature")
        assert re.search(rb"\st=[0-9]{10};", value)


@in_loop
async def test_the_log_says_which_line_of_main_cf_to_change(caplog: pytest.LogCaptureFixture) -> None:
    """A server that cannot be asked for macros sends those that main.cf names."""
    caplog.set_level(logging.INFO, "mailauth.milter")
    async with connected(mail_filter().server, actions=0x3F) as peer:
        assert inserted(await message(peer)) == [b"Authentication-Results"]
        assert "milter_mail_macros in main.cf must name {auth_authen}" in caplog.text
    caplog.clear()
    async with connected(mail_filter().server) as peer:
        await message(peer)
        assert "not signed" in caplog.text
        assert "main.cf" not in caplog.text


@in_loop
async def test_the_log_has_the_results_of_each_message(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailauth.milter")
    async with connected(mail_filter().server) as peer:
        await message(peer, [(b"DKIM-Signature", b" v=2"), (b"From", b" ann@example.org")])
    (record,) = [each for each in caplog.records if "verified" in each.getMessage()]
    assert record.getMessage() == "QUEUEID: verified: iprev=pass spf=pass dkim=neutral (-) dmarc=pass"
    assert record.__dict__["transaction_id"] == "QUEUEID"


@pytest.mark.parametrize(
    ("milter", "dmarc", "reject", "held", "reported"),
    [
        (False, False, False, False, ("none", (("local_policy", ""),))),
        (True, False, False, True, ("quarantine", ())),
        (False, True, False, True, ("quarantine", ())),
        (True, False, True, True, ("quarantine", (("local_policy", ""),))),
    ],
)
def test_what_dmarc_has_put_aside_is_reported_so(
    tmp_path: Path, milter: bool, dmarc: bool, reject: bool, held: bool, reported: tuple[str, object]
) -> None:
    """milter.quarantine and dmarc.quarantine agree, and so do the message and its report (RFC 9990 section 3.1.6)."""
    policy = "reject" if reject else "quarantine"
    records = {**ZONE, ("_dmarc.example.org", "TXT"): [f"v=DMARC1; p={policy}; rua=mailto:agg@example.org"]}
    store = open_report_store(f"sqlite:{tmp_path}/results.db")
    authenticator = Authenticator(
        HOSTNAME,
        resolver=ZoneResolver(records),  # type: ignore[arg-type]
        restrictions=Restrictions(data=[check_dmarc(reject=reject)]),
        dmarc_policy=DmarcPolicy(quarantine=dmarc),
        dmarc_reports=store,
        clock=lambda: 86_400.0,
    )
    own = MailFilter(authenticator, settings=MilterSettings(quarantine=milter))

    @in_loop
    async def run() -> None:
        async with connected(own.server) as peer:
            replies = await message(peer, client="203.0.113.1", sender="ann@other.example")
            assert (b"q" in [command for command, _ in replies]) is held

    run()
    ((row, count),) = store.rows(1, "example.org")
    assert (row.disposition, row.reasons, count) == (*reported, 1)
    store.close()


@pytest.mark.parametrize(
    ("record", "held"), [("p=reject", True), ("p=quarantine", True), ("p=reject; t=y", True), ("p=none", False)]
)
def test_9989_7_4_what_fails_under_reject_is_put_aside(record: str, held: bool) -> None:
    """RFC 9989 section 7.4: without other knowledge, reject is treated as quarantine; section 5.4: none is not."""
    records = {**ZONE, ("_dmarc.example.org", "TXT"): [f"v=DMARC1; {record}"]}
    authenticator = Authenticator(
        HOSTNAME,
        resolver=ZoneResolver(records),  # type: ignore[arg-type]
        restrictions=Restrictions(data=[check_dmarc()]),
        dmarc_policy=DmarcPolicy(quarantine=True),
    )

    @in_loop
    async def run() -> None:
        async with connected(MailFilter(authenticator).server) as peer:
            replies = await message(peer, client="203.0.113.1", sender="ann@other.example")
            assert (b"q" in [command for command, _ in replies]) is held
            assert replies[-1][0] == b"a"

    run()


@in_loop
async def test_signing_failures_are_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailauth.milter")
    author = (b"From", b" ann@example.org")
    async with connected(mail_filter().server) as peer:
        for fields, body, why in (
            ([author, author], b"", "From does not name one author"),
            ([(b"From", b" eve@other.example")], b"", "no key for eve@other.example"),
            ([author], b"a\rb\r\n", "bare CR"),
            ([author, (b"Subject", b" a\rb")], b"", "bare CR"),
        ):
            caplog.clear()
            assert inserted(await message(peer, fields, body, client=OURS)) == []
            assert why in caplog.text
            assert "QUEUEID: not signed" in caplog.text


@pytest.mark.parametrize(("on_failure", "last"), [("accept", b"a"), ("tempfail", b"t")])
@in_loop
async def test_a_check_that_raises(on_failure: str, last: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Accepted or not, as configured; what is accepted has a field all the same, and no forged one."""
    caplog.set_level(logging.CRITICAL)
    own = mail_filter(settings=MilterSettings(on_failure=on_failure))  # type: ignore[arg-type]

    class Broken:
        async def lookup_async(self, question: object) -> None:
            raise RuntimeError("no luck")

    own.authenticator.resolver = Broken()  # type: ignore[assignment]
    forged = (b"Authentication-Results", f" {HOSTNAME}; dkim=pass".encode())
    async with connected(own.server) as peer:
        replies = await message(peer, [(b"From", b" ann@example.org"), forged])
    assert replies[-1][0] == last
    if on_failure == "accept":
        assert replies[0] == (b"m", b"\0\0\0\1Authentication-Results\0\0")
        assert b"dkim=temperror" in replies[1][1]


@in_loop
async def test_a_dns_error_is_a_result() -> None:
    own = mail_filter(example_org="timeout")
    async with connected(own.server) as peer:
        replies = await message(peer)
    assert replies[-1] == (b"a", b"")
    assert b"spf=temperror" in replies[0][1]


@in_loop
async def test_a_field_hidden_within_another() -> None:
    """Readers that take a bare CR for a line end would see a field of ours."""
    hidden = f" one\rAuthentication-Results: {HOSTNAME}; dkim=pass".encode()
    async with connected(mail_filter().server) as peer:
        replies = await message(peer, [(b"From", b" ann@example.org"), (b"X-A", b" 1"), (b"x-a", hidden)])
    assert replies[0] == (b"m", b"\0\0\0\2x-a\0 one\0")


@in_loop
async def test_a_header_without_end() -> None:
    async with connected(mail_filter().server) as peer:
        replies = await message(peer, [(b"X", b" " + b"x" * 500_000)] * 10)
        assert replies[0][0] == b"y"
        assert replies[0][1].startswith(b"552 5.3.4 ")
        # And the next message is another one.
        assert inserted(await message(peer)) == [b"Authentication-Results"]


@in_loop
async def test_recipients_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailauth.milter.filter.MAX_RECIPIENTS", 10)
    async with connected(mail_filter().server) as peer:
        peer.send(b"M", b"<ann@example.org>\0")
        for _ in range(10_000):
            peer.send(b"R", b"<bob@example.net>\0")
        assert await peer.ask(b"E") == [(b"y", b"452 4.5.3 Too many recipients\0")]
        assert (await message(peer))[-1] == (b"a", b"")


@settings(max_examples=60)
@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from([b"From", b"DKIM-Signature", b"Authentication-Results", b"X"]),
            st.binary(max_size=60).map(lambda value: value.replace(b"\0", b"")),
        ),
        max_size=6,
    ),
    body=st.binary(max_size=80),
    client=st.sampled_from([CLIENT, OURS, "nonsense", "::1"]),
)
def test_any_message_is_answered(fields: list[tuple[bytes, bytes]], body: bytes, client: str) -> None:
    """Any message is answered, and each header we add is one field."""

    async def play() -> None:
        async with connected(mail_filter().server) as peer:
            replies = await message(peer, fields, body, client=client)
            assert replies[-1][0] in b"ay"
            if client != OURS:
                assert inserted(replies) == [b"Authentication-Results"]

    asyncio.run(play())


@given(st.lists(st.sampled_from([b"x" * 998, b"x" * 999, b"\r\n", b"x", b"x" * 500]), max_size=12), st.data())
def test_long_lines(parts: list[bytes], data: st.DataObject) -> None:
    """The first line of more than 998 octets, however the body is cut."""
    body = b"".join(parts) + b"\r\n"
    expected = next((n for n, line in enumerate(body.split(b"\r\n"), 1) if len(line) > 998), None)
    lines, cut = _LongLines(), data.draw(st.integers(0, len(body)))
    lines.feed(body[:cut])
    lines.feed(body[cut:])
    assert lines.found == expected


def test_whom_the_table_allows() -> None:
    table = SigningTable(
        [
            SigningRule(("example.org",), "a", ed_key(), allow=("Joe", "*@partner.example")),
            SigningRule(("open.example",), "a", ed_key(), allow=("*",)),
        ]
    )
    assert table.allows("ann@example.org", "joe")
    assert table.allows("ann@example.org", "x@Partner.example")
    assert not table.allows("ann@example.org", "x@sub.partner.example")
    assert not table.allows("ann@example.org", None)
    assert not table.allows("ann@example.org", "")
    assert table.allows("ann@open.example", None)
    assert not table.allows("ann@other.example", "joe")


@pytest.mark.parametrize("wrong", [{"on_failure": "reject"}, {"fields": ("received",)}])
def test_settings_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"one of|are of"):
        MilterSettings(**wrong)  # type: ignore[arg-type]


def test_block_lists_are_not_asked_twice() -> None:
    """They have their say before the message; the milter asks them only where its own list names them."""
    own = mail_filter()
    assert isinstance(own, MailFilter)
    assert own.policy.rbl == ()
