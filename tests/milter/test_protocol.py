# Invariant: any octets, in any cut, give events or one `PeerError`; no exception, no more memory than a packet takes.
"""The milter protocol: what is read, what is written, what is refused."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.mail.reply import Reply
from mailauth.milter import (
    Abort,
    Accept,
    Actions,
    AddHeader,
    AddRecipient,
    Body,
    ChangeHeader,
    ChangeSender,
    Codec,
    Connect,
    Continue,
    Data,
    DeleteRecipient,
    Discard,
    EndOfHeader,
    EndOfMessage,
    Event,
    Header,
    Helo,
    InsertHeader,
    Macros,
    Mail,
    MilterError,
    Negotiate,
    Options,
    PeerError,
    Progress,
    Quarantine,
    Quit,
    Rcpt,
    Refuse,
    Reject,
    ReplaceBody,
    Response,
    Shutdown,
    Skip,
    Stage,
    TempFail,
    Unknown,
    Wanted,
)

EVERYTHING = Wanted(Actions(0x1FF), Options.SKIP | Options.LEADING_SPACE)


def packet(command: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data) + 1) + command + data


def offer(version: int = 6, actions: int = 0x1FF, options: int = 0x1FFFFF) -> bytes:
    return packet(b"O", struct.pack(">III", version, actions, options))


def negotiated(wanted: Wanted = EVERYTHING, **offered: int) -> Codec:
    codec = Codec(wanted)
    codec.feed(offer(**offered))
    assert isinstance(codec.next_event(), Negotiate)
    codec.accept_offer()
    return codec


def event_of(codec: Codec, command: bytes, data: bytes = b"") -> Event | None:
    codec.feed(packet(command, data))
    return codec.next_event()


def at_end(wanted: Wanted = EVERYTHING, **offered: int) -> Codec:
    codec = negotiated(wanted, **offered)
    assert event_of(codec, b"E") == EndOfMessage()
    return codec


SESSION = b"".join(
    [
        offer(),
        packet(b"D", b"Cj\0mx.example.net\0{daemon_name}\0smtpd\0"),
        packet(b"C", b"client.example\x004\x30\x39192.0.2.1\0"),
        packet(b"H", b"client.example\0"),
        packet(b"D", b"M{auth_authen}\0ann\0"),
        packet(b"M", b"<ann@example.org>\0SIZE=1000\0BODY=8BITMIME\0"),
        packet(b"R", b"<bob@example.net>\0"),
        packet(b"T"),
        packet(b"L", b"Subject\0 one\n two\0"),
        packet(b"N"),
        packet(b"B", b"body\r\n"),
        packet(b"E"),
        packet(b"A"),
        packet(b"Q"),
    ]
)


def play(octets: bytes, cuts: list[int], wanted: Wanted = EVERYTHING) -> list[Event]:
    """Each event of these octets, every one answered with `Continue`."""
    codec, events = Codec(wanted), []
    places = sorted({cut % (len(octets) + 1) for cut in cuts} | {0, len(octets)})
    for start, stop in pairwise(places):
        codec.feed(octets[start:stop])
        while (event := codec.next_event()) is not None:
            events.append(event)
            if isinstance(event, Negotiate):
                codec.accept_offer()
            elif codec.reply_due:
                codec.send(Continue())
        assert len(codec._buffer) <= codec._max + 4
    return events


def test_a_session() -> None:
    assert play(SESSION, []) == [
        Negotiate(6, Actions(0x1FF), Options(0x1FFFFF)),
        Macros(Stage.CONNECT, {"j": "mx.example.net", "daemon_name": "smtpd"}),
        Connect("client.example", "4", "192.0.2.1", 0x3039),
        Helo("client.example"),
        Macros(Stage.MAIL, {"auth_authen": "ann"}),
        Mail("ann@example.org", ("SIZE=1000", "BODY=8BITMIME")),
        Rcpt("bob@example.net"),
        Data(),
        Header(b"Subject", b" one\n two"),
        EndOfHeader(),
        Body(b"body\r\n"),
        EndOfMessage(),
        Abort(),
        Quit(),
    ]


@given(st.lists(st.integers(0, len(SESSION)), max_size=40))
def test_how_it_is_cut_does_not_matter(cuts: list[int]) -> None:
    """Octets in any cut give the same events."""
    assert play(SESSION, cuts) == play(SESSION, [])


COMMANDS = st.sampled_from([bytes([octet]) for octet in b"ABCDEHKLMNOQRTUx"])
STRINGS = st.lists(st.binary(max_size=6), max_size=4).map(lambda parts: b"\0".join(parts) + b"\0")
PACKETS = st.builds(packet, COMMANDS, st.one_of(st.binary(max_size=20), STRINGS))


@given(st.lists(st.one_of(PACKETS, st.binary(max_size=30), st.just(offer())), max_size=30), st.lists(st.integers(0)))
def test_any_octets_in_any_cut(parts: list[bytes], cuts: list[int]) -> None:
    """Events, and at most one `PeerError`, the last one; the same however it was cut."""
    for octets in (offer() + b"".join(parts), b"".join(parts)):
        events = play(octets, cuts)
        assert [type(event) for event in events[:-1]].count(PeerError) == 0
        assert events == play(octets, [])


def test_a_packet_that_is_too_long_is_refused_by_its_length() -> None:
    codec = Codec(EVERYTHING, max_packet=1000)
    codec.feed(struct.pack(">I", 1001) + b"L" + b"x" * 10)
    event = codec.next_event()
    assert isinstance(event, PeerError)
    assert event.reason == "packet-length"
    codec.feed(b"x" * 1_000_000)
    assert not codec._buffer
    assert codec.next_event() is None


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (packet(b"H", b"x\0"), "not-negotiated"),
        (b"\0\0\0\0", "packet-length"),
        (packet(b"O", b"\0\0\0\6"), "malformed"),
        (offer(version=1), "version"),
        (offer() + packet(b"x"), "unknown-command"),
        (offer() + packet(b"H", b"no end"), "malformed"),
        (offer() + packet(b"L", b"Subject\0"), "malformed"),
        (offer() + packet(b"D", b"Mname\0"), "malformed"),
        (offer() + packet(b"D", b"M" + b"x\0y\0" * 1001), "malformed"),
        (offer() + packet(b"C", b"host\x009"), "malformed"),
        (offer() + packet(b"C", b"host\x004"), "malformed"),
        (offer() + packet(b"B", b"x") + packet(b"R", b"<a@b.c>\0"), "out-of-order"),
        (offer() + packet(b"H", b"x\0") + offer(), "out-of-order"),
    ],
)
def test_what_is_no_milter_protocol(octets: bytes, reason: str) -> None:
    event = play(octets, [])[-1]
    assert isinstance(event, PeerError)
    assert event.reason == reason


def test_a_second_event_before_the_answer_is_refused() -> None:
    codec = negotiated()
    codec.feed(packet(b"H", b"x\0") + packet(b"M", b"<>\0"))
    assert codec.next_event() == Helo("x")
    event = codec.next_event()
    assert isinstance(event, PeerError)
    assert event.reason == "out-of-order"


def test_a_message_that_is_begun_anew_without_a_word_is_an_abort() -> None:
    codec = negotiated()
    for command, data, expected in (
        (b"M", b"<a@example.org>\0", Mail("a@example.org")),
        (b"B", b"x", Body(b"x")),
        (b"M", b"<>\0", Abort()),
    ):
        assert event_of(codec, command, data) == expected
        if codec.reply_due:
            codec.send(Continue())
    assert codec.next_event() == Mail("")
    assert codec.reply_due
    codec.send(Continue())
    # So are the macros of the next one: they must not be taken for those of the old one.
    assert event_of(codec, b"D", b"Mi\0ID\0") == Abort()
    assert codec.next_event() == Macros(Stage.MAIL, {"i": "ID"})
    assert event_of(codec, b"M", b"<>\0") == Mail("")


def test_families() -> None:
    for data, expected in (
        (b"host\0U", Connect("host", "U")),
        (b"host\x006\0\x19IPv6:2001:db8::1\0", Connect("host", "6", "2001:db8::1", 25)),
        (b"host\0L\0\0/run/socket\0", Connect("host", "L", "/run/socket", 0)),
    ):
        assert event_of(negotiated(), b"C", data) == expected


# --- negotiation ---------------------------------------------------------------------------------------------


@given(st.integers(2, 20), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_never_more_than_was_offered(version: int, actions: int, options: int) -> None:
    """What is negotiated is a part of what was offered and of what is wanted."""
    codec = Codec(Wanted(Actions(0x1FF), Options(0x1FFFFF), {Stage.MAIL: "i"}))
    codec.feed(offer(version, actions, options))
    codec.next_event()
    answer = codec.accept_offer()
    answered = struct.unpack(">III", answer[5:17])
    assert answered[0] == min(version, 6)
    assert not answered[1] & ~actions
    assert not answered[2] & ~options
    # The macros are named only to a server that said it listens.
    assert (len(answer) > 17) is bool(actions & Actions.SET_MACROS)
    assert not (len(answer) > 17) or answer[17:] == struct.pack(">I", Stage.MAIL) + b"i\0"


def test_events_without_reply() -> None:
    codec = negotiated(Wanted(options=Options.NO_REPLY_HEADER))
    event_of(codec, b"L", b"a\0b\0")
    assert not codec.reply_due
    with pytest.raises(MilterError):
        codec.send(Continue())
    codec = negotiated(Wanted(options=Options.NO_REPLY_HEADER), version=2, options=0x7F)
    event_of(codec, b"L", b"a\0b\0")
    assert codec.reply_due


# --- replies -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "octets"),
    [
        (Continue(), packet(b"c")),
        (Accept(), packet(b"a")),
        (Reject(), packet(b"r")),
        (TempFail(), packet(b"t")),
        (Discard(), packet(b"d")),
        (Shutdown(), packet(b"4")),
        (Progress(), packet(b"p")),
        (Refuse(Reply(550, "5.7.1", "100% spam")), packet(b"y", b"550 5.7.1 100%% spam\0")),
        (AddHeader("X-Seen", "yes"), packet(b"h", b"X-Seen\0 yes\0")),
        (AddHeader("X-Seen", " a\r\n b\r\n"), packet(b"h", b"X-Seen\0 a\n b\0")),
        (InsertHeader(0, "X-Seen", "yes"), packet(b"i", b"\0\0\0\0X-Seen\0 yes\0")),
        (ChangeHeader(2, "Subject"), packet(b"m", b"\0\0\0\2Subject\0\0")),
        (ReplaceBody(b"new\r\n"), packet(b"b", b"new\r\n")),
        (ReplaceBody(b""), packet(b"b")),
        (AddRecipient("a@example.org"), packet(b"+", b"<a@example.org>\0")),
        (AddRecipient("<a@example.org>", "NOTIFY=NEVER"), packet(b"2", b"<a@example.org>\0NOTIFY=NEVER\0")),
        (DeleteRecipient("a@example.org"), packet(b"-", b"<a@example.org>\0")),
        (ChangeSender("", "SIZE=1"), packet(b"e", b"<>\0SIZE=1\0")),
        (Quarantine("why"), packet(b"q", b"why\0")),
    ],
)
def test_replies(reply: Response, octets: bytes) -> None:
    assert at_end().send(reply) == octets


def test_a_large_body_goes_in_chunks() -> None:
    octets = at_end().send(ReplaceBody(b"x" * 150_000))
    assert octets.count(b"b", 0, 5) == 1
    lengths, place = [], 0
    while place < len(octets):
        (length,) = struct.unpack_from(">I", octets, place)
        lengths.append(length - 1)
        place += length + 4
    assert sum(lengths) == 150_000
    assert max(lengths) <= 65_535


@pytest.mark.parametrize(
    "reply",
    [
        AddHeader("X-Seen", "a\r\nBcc: b"),
        AddHeader("X-Seen", "a\0b"),
        AddHeader("X-Seen", "a\rb"),
        AddHeader("X:", "a"),
        AddHeader("", "a"),
        ChangeHeader(0, "Subject", "x"),
        InsertHeader(-1, "Subject", "x"),
        AddRecipient("a\r\nb"),
        Quarantine("a\0"),
        Skip(),
    ],
)
def test_replies_that_make_no_sense(reply: Response) -> None:
    with pytest.raises(MilterError):
        at_end().send(reply)


def test_a_refusal_is_4xx_or_5xx() -> None:
    with pytest.raises(MilterError):
        Refuse(Reply(250, "2.0.0", "fine"))


def test_what_was_not_negotiated_is_not_sent() -> None:
    codec = at_end(actions=Actions.ADD_HEADERS | Actions.ADD_RECIPIENTS)
    codec.send(AddHeader("A", "b"))
    codec.send(AddRecipient("a@example.org"))
    for reply in (ChangeHeader(1, "A"), AddRecipient("a@example.org", "X=1"), Quarantine("x"), ReplaceBody(b"")):
        with pytest.raises(MilterError, match="not negotiated"):
            codec.send(reply)


def test_changes_come_at_the_end_of_a_message_only() -> None:
    codec = negotiated()
    event_of(codec, b"M", b"<>\0")
    with pytest.raises(MilterError, match="end of a message"):
        codec.send(AddHeader("A", "b"))
    codec = at_end()
    codec.send(Accept())
    with pytest.raises(MilterError):
        codec.send(AddHeader("A", "b"))


def test_skip_answers_a_chunk_where_it_was_negotiated() -> None:
    codec = negotiated()
    event_of(codec, b"B", b"x")
    assert codec.send(Skip()) == packet(b"s")
    codec = negotiated(options=0x7F)
    event_of(codec, b"B", b"x")
    with pytest.raises(MilterError):
        codec.send(Skip())


@pytest.mark.parametrize("options", [0, int(Options.LEADING_SPACE)])
def test_the_leading_blank(options: int) -> None:
    """Values look the same to the filter, whoever keeps the blank behind the colon."""
    sent = b" one" if options else b"one"
    codec = negotiated(options=options)
    assert event_of(codec, b"L", b"Subject\0" + sent + b"\0") == Header(b"Subject", b" one")
    for value in ("one", " one"):
        assert at_end(options=options).send(AddHeader("A", value)) == packet(b"h", b"A\0" + sent + b"\0")


def test_unknown_commands_and_reuse() -> None:
    codec = negotiated()
    assert event_of(codec, b"U", b"HELP me\0") == Unknown("HELP me")
    codec.send(Continue())
    assert event_of(codec, b"K") == Quit(reuse=True)
    codec.feed(offer())
    assert isinstance(codec.next_event(), Negotiate)
