"""Messages as octets and as files, small and large, in sync and aio.

In aio a message is read and hashed without holding up the event loop, and the result is that of sync.
"""

from __future__ import annotations

import asyncio
import io
import mmap
import threading
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Any

import pytest
import trio

from mailauth import aio, sync
from mailauth.dkim import generate_key
from tests.facade.world import BOB, FACADES, GOOD, NOW, PLAIN, Facade, sign, signed, zone

ASYNC = FACADES[1:]
LARGE_BODY = b"All work and no play makes a dull boy.\r\n" * 40_000  # 1.6 MB: several pieces


def large() -> bytes:
    """A signed message of more than one piece."""
    return sign(PLAIN + LARGE_BODY)


class Watched(io.BytesIO):
    """A file that notes which thread reads it, and gives less than it was asked for."""

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets)
        self.threads: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        self.threads.add(threading.get_ident())
        return super().read(min(size or -1, 10_007) if size and size > 0 else size)


def verify(facade: Facade, message: Any) -> list[dict[str, Any]]:
    return [
        signature.to_dict() for signature in facade.run(facade.module.verify_dkim(message, now=NOW, resolver=zone()))
    ]


def check(facade: Facade, message: Any) -> Any:
    return facade.run(facade.authenticator().check(message, ip=GOOD, now=NOW)).to_dict()


@pytest.mark.parametrize(
    "make", [signed, large, lambda: b"", lambda: PLAIN], ids=["small", "large", "empty", "unsigned"]
)
@pytest.mark.parametrize("call", [verify, check])
def test_octets_and_files_give_the_same_result(facade: Facade, make: Any, call: Callable[[Facade, Any], Any]) -> None:
    message = make()
    expected = call(FACADES[0], message)
    assert call(facade, message) == expected
    assert call(facade, io.BytesIO(message)) == expected
    assert call(facade, Watched(message)) == expected


def test_the_large_message_passes(facade: Facade) -> None:
    (signature,) = verify(facade, large())
    assert signature["result"] == "pass"


@pytest.mark.parametrize("facade", ASYNC, ids=lambda facade: facade.name)
@pytest.mark.parametrize("call", [verify, check])
def test_files_are_read_in_other_threads(facade: Facade, call: Callable[[Facade, Any], Any]) -> None:
    file = Watched(large())
    call(facade, file)
    assert file.threads
    assert threading.get_ident() not in file.threads


def test_large_octets_are_hashed_in_other_threads() -> None:
    """A message of octets: what a worker thread would take longer to begin than to do is done at once."""
    for size, here in ((100, True), (aio.AT_ONCE, True), (3 * aio.AT_ONCE + 1, False)):
        threads: list[int] = []
        octets: list[bytes] = []

        def feed(piece: bytes, threads: list[int] = threads, octets: list[bytes] = octets) -> None:
            threads.append(threading.get_ident())
            octets.append(piece)

        message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        asyncio.run(aio._read(message, feed))
        assert b"".join(octets) == message
        assert (set(threads) == {threading.get_ident()}) is here
        assert max(map(len, octets)) <= aio.AT_ONCE


class Blocking(io.BytesIO):
    """A file whose first read waits until somebody else in the event loop lets it go on."""

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets)
        self.reading = threading.Event()
        self.go_on = threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        self.reading.set()
        assert self.go_on.wait(60), "the event loop is held up: nobody let the file go on"
        return super().read(size)


def test_asyncio_goes_on_while_a_file_is_read() -> None:
    async def main() -> Any:
        file = Blocking(signed())
        verifying = asyncio.ensure_future(aio.verify_dkim(file, now=NOW, resolver=zone()))
        while not file.reading.is_set():
            await asyncio.sleep(0)
        assert not verifying.done()
        file.go_on.set()
        return await verifying

    (signature,) = asyncio.run(main())
    assert signature.result == "pass"


def test_trio_goes_on_while_a_file_is_read() -> None:
    async def main() -> Any:
        file, results = Blocking(signed()), []

        async def verify() -> None:
            results.extend(await aio.verify_dkim(file, now=NOW, resolver=zone()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(verify)
            while not file.reading.is_set():
                await trio.lowlevel.checkpoint()
            file.go_on.set()
        return results

    (signature,) = trio.run(main)
    assert signature.result == "pass"


class Endless:
    """A file without an end, which counts its reads."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, size: int = -1) -> bytes:
        self.reads += 1
        return b"x" * 1000


def test_reading_can_be_cancelled() -> None:
    async def under_asyncio() -> None:
        file: Any = Endless()
        verifying = asyncio.ensure_future(aio.verify_dkim(file, now=NOW, resolver=zone()))
        while not file.reads:
            await asyncio.sleep(0)
        verifying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await verifying

    async def under_trio() -> None:
        file: Any = Endless()

        async def wait_for_a_read(scope: trio.CancelScope) -> None:
            while not file.reads:
                await trio.lowlevel.checkpoint()
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_a_read, nursery.cancel_scope)
            await aio.verify_dkim(file, now=NOW, resolver=zone())

    asyncio.run(under_asyncio())
    trio.run(under_trio)


def as_mmap(octets: bytes) -> mmap.mmap:
    mapped = mmap.mmap(-1, len(octets))
    mapped[:] = octets
    return mapped


@pytest.mark.parametrize("form", [bytearray, memoryview, as_mmap, io.BytesIO])
def test_a_message_may_be_any_octets(facade: Facade, form: Callable[[bytes], Any]) -> None:
    session = facade.authenticator().session(GOOD)
    facade.run(session.helo("mx.example.org"))
    facade.run(session.mail("ann@example.org"))
    facade.run(session.rcpt(BOB))
    facade.run(session.data(form(signed())))
    assert [signature.result for signature in session.report().dkim] == ["pass"]
    for call in (verify, check):
        assert call(facade, form(signed())) == call(facade, signed())
    key = generate_key()
    sign_dkim, arguments = facade.module.sign_dkim, {"domain": "example.org", "selector": "s1", "now": NOW}
    assert facade.run(sign_dkim(form(PLAIN), key, **arguments)) == facade.run(sign_dkim(PLAIN, key, **arguments))


@pytest.mark.parametrize("wrong", [EmailMessage(), "From: a@b.example\n\n"])
def test_a_message_object_is_refused_with_the_way_out(facade: Facade, wrong: Any) -> None:
    """Its octets are made anew, and would not be those that were signed: only the caller can say how."""
    for call in (
        lambda: facade.authenticator().check(wrong, ip=GOOD),
        lambda: facade.module.verify_dkim(wrong, resolver=zone()),
        lambda: facade.module.sign_dkim(wrong, generate_key(), domain="example.org", selector="s1"),
    ):
        with pytest.raises(TypeError, match=r"message\.as_bytes\(policy=email\.policy\.SMTP\)"):
            facade.run(call())


@pytest.mark.parametrize("wrong", ["text", None, 5])
def test_what_is_no_message_is_a_type_error(facade: Facade, wrong: Any) -> None:
    with pytest.raises(TypeError, match="bytes or a binary file"):
        facade.run(facade.authenticator().check(wrong, ip=GOOD))
    with pytest.raises(TypeError, match="bytes or a binary file"):
        facade.run(facade.module.verify_dkim(wrong, resolver=zone()))


def test_a_text_file_is_a_type_error(facade: Facade) -> None:
    for call in (verify, check):
        with pytest.raises(TypeError, match="binary mode"):
            call(facade, io.StringIO("From: a@b.example\n\n"))


def test_an_address_that_is_none_is_a_value_error(facade: Facade) -> None:
    def calls() -> list[Callable[[], Awaitable[Any]]]:
        auth = facade.authenticator()
        return [
            lambda: auth.check(PLAIN, ip="300.1.2.3"),
            lambda: facade.module.check_spf("", mail_from="a@b.example", resolver=zone()),
            lambda: facade.module.check_iprev("mx.example.org", resolver=zone()),
        ]

    for call in calls():
        with pytest.raises(ValueError, match="not an IPv4 or IPv6 address"):
            facade.run(call())
    with pytest.raises(ValueError, match="not an IPv4 or IPv6 address"):
        facade.authenticator().session("nowhere")


def test_arguments_of_another_type_are_type_errors(facade: Facade) -> None:
    auth = facade.authenticator()
    for facts in ({"helo": b"x"}, {"mail_from": b"x"}, {"rcpt_to": [b"x"]}, {"rcpt_to": [None]}, {"authenticated": 5}):
        with pytest.raises(TypeError, match="is text, not"):
            facade.run(auth.check(PLAIN, ip=GOOD, **facts))


@pytest.mark.parametrize("name", ["", "a..b", "mx example", "x" * 300, "mx.example;"])
def test_a_hostname_that_is_none_is_a_value_error(name: str) -> None:
    for module in (sync, aio):
        with pytest.raises(ValueError, match="hostname is the name of this server"):
            module.Authenticator(name)


def test_a_resolver_of_the_other_kind_is_a_type_error() -> None:
    class OnlySync:
        def lookup(self, question: Any, time_limit: Any) -> Any:
            raise AssertionError

    class OnlyAsync:
        async def lookup_async(self, question: Any) -> Any:
            raise AssertionError

    with pytest.raises(TypeError, match="use run_async"):
        sync.check_iprev(GOOD, resolver=OnlyAsync())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="use run"):
        asyncio.run(aio.check_iprev(GOOD, resolver=OnlySync()))  # type: ignore[arg-type]
