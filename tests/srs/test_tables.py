"""socketmap_table(5) and tcp_table(5): the codecs, and the service over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.srs import Srs
from mailauth.srs.tables import (
    MAX_KEY_OCTETS,
    Codec,
    Lookup,
    ProtocolError,
    SocketmapCodec,
    Status,
    TcpTableCodec,
)
from mailauth.srsd import SrsService
from tests.srs.test_rewriting import NOW, SECRET, US, forth

CODECS = (SocketmapCodec, TcpTableCodec)


def netstring(text: str) -> bytes:
    octets = text.encode()
    return b"%d:%b," % (len(octets), octets)


@pytest.mark.parametrize(
    ("octets", "lookups"),
    [
        (netstring("forward ann@example.org"), [Lookup("forward", "ann@example.org")]),
        (netstring("forward a b@c") + netstring("reverse "), [Lookup("forward", "a b@c"), Lookup("reverse", "")]),
        (netstring("forward j\u00fcrgen@example.org"), [Lookup("forward", "j\u00fcrgen@example.org")]),
        (b"9:forward x", []),
        (b"1", []),
        (b"", []),
    ],
)
def test_socketmap_requests(octets: bytes, lookups: list[Lookup]) -> None:
    assert list(SocketmapCodec().feed(octets)) == lookups


@pytest.mark.parametrize(
    "octets", [b"x", b"01:a,", b":", b"-1:", b"9:forward x;", b"1234567", b"8193:", b"3:abc,", b"0:,", b"5 :a b c,"]
)
def test_socketmap_nonsense(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(SocketmapCodec().feed(octets))


def test_socketmap_replies() -> None:
    codec = SocketmapCodec()
    assert codec.reply(Status.FOUND, "ann@example.org") == b"18:OK ann@example.org,"
    assert codec.reply(Status.NOT_FOUND, "why") == b"12:NOTFOUND why,"
    assert codec.reply(Status.TEMPORARY_ERROR, "why") == b"8:TEMP why,"


@pytest.mark.parametrize(
    ("octets", "lookups"),
    [
        (b"get ann@example.org\n", [Lookup("", "ann@example.org")]),
        (b"get a%20b%25@c\r\nGET x\n", [Lookup("", "a b%@c"), Lookup("", "x")]),
        (b"get %C3%BC@c\n", [Lookup("", "\u00fc@c")]),
        (b"get x", []),
    ],
)
def test_tcp_table_requests(octets: bytes, lookups: list[Lookup]) -> None:
    assert list(TcpTableCodec().feed(octets)) == lookups


@pytest.mark.parametrize("octets", [b"put a b\n", b"get\n", b"\n", b"x" * (MAX_KEY_OCTETS + 1)])
def test_tcp_table_nonsense(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(TcpTableCodec().feed(octets))


def test_tcp_table_replies() -> None:
    codec = TcpTableCodec()
    assert codec.reply(Status.FOUND, 'SRS0=a="b%\u00fc"@c') == b"200 SRS0=a=%22b%25%C3%BC%22@c\n".replace(b"%22", b'"')
    assert codec.reply(Status.FOUND, "a b\n") == b"200 a%20b%0A\n"
    assert codec.reply(Status.NOT_FOUND, "why\n not") == b"500 why? not\n"
    assert codec.reply(Status.TEMPORARY_ERROR, "why") == b"400 why\n"


@given(st.sampled_from(CODECS), st.binary(max_size=60) | st.sampled_from([b"get ", b"9:forward x,", b"\n"]))
def test_any_octets_are_requests_or_an_error(codec_class: type[Codec], octets: bytes) -> None:
    """Any octets are requests or an error; nothing else raises."""
    codec = codec_class()
    try:
        for lookup in codec.feed(octets):
            assert isinstance(lookup.key, str)
            assert codec.reply(Status.FOUND, lookup.key)
    except ProtocolError:
        return
    assert list(codec.feed(b"")) == []


def cut(octets: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield octets[start : start + size]
        start += size
    yield octets[start:]


@given(st.lists(st.integers(0, 9), max_size=30))
def test_how_octets_are_cut_does_not_matter(sizes: list[int]) -> None:
    """Octets in any cut are the same requests."""
    for octets, codec in (
        (netstring("forward ann@example.org") * 3, SocketmapCodec()),
        (b"get ann@example.org\nget x%20y\n", TcpTableCodec()),
    ):
        whole = list(type(codec)().feed(octets))
        assert [lookup for piece in cut(octets, sizes) for lookup in codec.feed(piece)] == whole
        assert codec.idle


# --- over sockets ---------------------------------------------------------------------------------------------------


async def _served(handle: Any, octets: bytes) -> bytes:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(octets)
        writer.write_eof()
        reply = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    return reply


def served(octets: bytes, name: str = "handle", events: list[str] | None = None) -> bytes:
    count = (lambda event: None) if events is None else events.append
    service = SrsService(Srs(US, [SECRET]), clock=lambda: NOW, count=count)
    return asyncio.run(_served(getattr(service, name), octets))


def test_the_service_speaks_socketmap() -> None:
    events: list[str] = []
    rewritten = forth("ann@example.org")
    asked = ["forward ann@example.org", f"reverse {rewritten}", "forward ann", "forward @example.org", "other x"]
    expected = [
        f"OK {rewritten}", "OK ann@example.org", "NOTFOUND this is no address with a domain",
        "NOTFOUND this is no address with a domain", "TEMP there is no such map; there are forward and reverse",
    ]  # fmt: skip
    assert served(b"".join(map(netstring, asked)), events=events) == b"".join(map(netstring, expected))
    assert events == ["found", "found", "not-found", "not-found", "error"]


def test_the_service_speaks_tcp_table() -> None:
    rewritten = forth("ann@example.org")
    assert served(b"get ann@example.org\nget ann\n", "handle_forward") == (
        f"200 {rewritten}\n500 this is no address with a domain\n".encode()
    )
    assert served(f"get {rewritten}\nget eve@{US}\n".encode(), "handle_reverse") == (
        b"200 ann@example.org\n500 the address does not begin with SRS0 or SRS1\n"
    )


@pytest.mark.parametrize(("name", "octets"), [("handle", b"nonsense"), ("handle_forward", b"put a b\n")])
def test_nonsense_closes_the_connection(name: str, octets: bytes) -> None:
    assert served(octets, name) == b""


def test_idle_connections_end_at_once() -> None:
    async def main() -> None:
        service = SrsService(Srs(US, [SECRET]), clock=lambda: NOW)
        server = await asyncio.start_server(service.handle, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(netstring("forward ann@example.org"))
            assert b":OK SRS0=" in await asyncio.wait_for(reader.readuntil(b","), 10)
            service.finish()
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()

    asyncio.run(main())
