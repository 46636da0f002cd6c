# Invariant: the network resolvers read the system's configuration late, keep to their caps and deadlines, use what
# the caller configured, and leave no thread, socket or task behind.
"""Life and habits of the network resolvers; what they answer is in test_parity.py and test_hostile.py."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import socket
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import dns.asyncresolver
import dns.exception
import dns.message
import dns.rcode
import dns.resolver
import pytest
import trio
from benchmarks.delayserver import delay_server

from mailauth.plan import TIMED_OUT, Answer, Outcome, Plan, Question, ask, ask_all, run, run_all, run_async
from mailauth.resolvers import (
    AiodnsResolver,
    AsyncDnspythonResolver,
    CachingResolver,
    DnspythonResolver,
    cares,
    cares_sockets,
    dnspython_batch,
)
from tests.dnsserver import HostileServer, Reply, async_configuration, response_to, sync_configuration, truncated

QUESTION = Question("a.example.test", "A")


def good(query: bytes, tcp: bool) -> list[Reply]:
    return [(0, response_to(query, "@ 300 A 192.0.2.1").to_wire())]


def truncating(query: bytes, tcp: bool) -> list[Reply]:
    return good(query, tcp) if tcp else [(0, truncated(query))]


def silent(query: bytes, tcp: bool) -> list[Reply]:
    return []


def names(server: HostileServer) -> list[str]:
    return [dns.message.from_wire(query).question[0].name.to_text(omit_final_dot=True) for query, _ in server.queries]


def numbered(count: int) -> list[Question]:
    return [Question(f"n{i}.example.test", "A") for i in range(count)]


# Each makes a resolver for a port and runs a plan with it.
Running = Callable[..., Any]


def sync(plan: Plan[Any], port: int, time_limit: float | None = 20, cap: int = 200, **options: Any) -> Any:
    with DnspythonResolver(sync_configuration(port, **options), max_in_flight=cap) as resolver:
        return run(plan, resolver, time_limit=time_limit)


def under_asyncio(plan: Plan[Any], port: int, time_limit: float | None = 20, cap: int = 200, **options: Any) -> Any:
    async def main() -> Any:
        resolver = AsyncDnspythonResolver(async_configuration(port, **options), max_in_flight=cap)
        return await run_async(plan, resolver, time_limit=time_limit)

    return asyncio.run(main())


def under_trio(plan: Plan[Any], port: int, time_limit: float | None = 20, cap: int = 200, **options: Any) -> Any:
    async def main() -> Any:
        resolver = AsyncDnspythonResolver(async_configuration(port, **options), max_in_flight=cap)
        return await run_async(plan, resolver, time_limit=time_limit)

    return trio.run(main)


def through_cares(
    plan: Plan[Any], port: int, time_limit: float | None = 20, cap: int = 200, servers: Sequence[str] = ("127.0.0.1",)
) -> Any:
    async def main() -> Any:
        async with AiodnsResolver(servers, port=port, max_in_flight=cap) as resolver:
            return await run_async(plan, resolver, time_limit=time_limit)

    return asyncio.run(main())


THROUGH_DNSPYTHON = [sync, under_asyncio, under_trio]
ALL = [*THROUGH_DNSPYTHON, through_cares]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    if background_threads():
        gc.collect()
    assert background_threads() == []
    # c-ares keeps one thread for closing channels.
    assert threading.active_count() <= before + 1


# --- configuration -------------------------------------------------------------------------------------------


def broken_configuration(error: Exception) -> Any:
    def read_resolv_conf(self: Any, f: Any) -> None:
        raise error

    return read_resolv_conf


async def lookup_async(question: Question) -> Answer:
    return await AsyncDnspythonResolver().lookup_async(question)


SYSTEM = [
    lambda: DnspythonResolver().lookup(QUESTION),
    lambda: DnspythonResolver().submit(QUESTION).result(),
    lambda: asyncio.run(lookup_async(QUESTION)),
    lambda: trio.run(lookup_async, QUESTION),
]


@pytest.mark.skipif(sys.platform == "win32", reason="the system's configuration is a file elsewhere only")
@pytest.mark.parametrize("look_up", SYSTEM)
@pytest.mark.parametrize(
    "error",
    [dns.resolver.NoResolverConfiguration("cannot open /etc/resolv.conf"), PermissionError(13, "Permission denied")],
)
def test_no_configuration_is_a_server_failure(
    look_up: Callable[[], Answer], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", broken_configuration(error))
    answer = look_up()
    assert answer.outcome is Outcome.SERVER_FAILURE
    assert type(error).__name__ in answer.detail


@pytest.mark.skipif(sys.platform == "win32", reason="the system's configuration is a file elsewhere only")
def test_the_system_is_asked_by_the_first_question_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with HostileServer(good) as server:
        reads: list[object] = []

        def read_resolv_conf(self: Any, f: Any) -> None:
            reads.append(f)
            self.nameservers, self.port, self.search = ["127.0.0.1"], server.port, []

        monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", read_resolv_conf)
        resolver = DnspythonResolver()
        asynchronous = AsyncDnspythonResolver()
        assert reads == []
        assert resolver.lookup(QUESTION).found
        assert resolver.lookup(QUESTION).found
        assert len(reads) == 1
        assert asyncio.run(asynchronous.lookup_async(QUESTION)).found
        assert len(reads) == 2
        # RFC 6891: room for a DKIM key without a second question over TCP
        assert all(dns.message.from_wire(query).payload == 1232 for query, _ in server.queries)


@pytest.mark.parametrize(
    ("kind", "resolver"),
    [
        (DnspythonResolver, dns.asyncresolver.Resolver(configure=False)),
        (AsyncDnspythonResolver, dns.resolver.Resolver(configure=False)),
        (DnspythonResolver, "192.0.2.1"),
        (AsyncDnspythonResolver, "192.0.2.1"),
    ],
)
def test_a_resolver_of_the_other_kind_is_refused(kind: Any, resolver: Any) -> None:
    with pytest.raises(TypeError, match="expected a dns"):
        kind(resolver)


@pytest.mark.parametrize("kind", [DnspythonResolver, AsyncDnspythonResolver, AiodnsResolver])
@pytest.mark.parametrize("cap", [0, -1])
def test_a_cap_is_at_least_one(kind: Any, cap: int) -> None:
    with pytest.raises(ValueError, match="max_in_flight"):
        kind(max_in_flight=cap)


@pytest.mark.parametrize("running", THROUGH_DNSPYTHON)
def test_search_lists_are_not_applied(running: Running) -> None:
    def nobody(query: bytes, tcp: bool) -> list[Reply]:
        return [(0, response_to(query, rcode=3).to_wire())]

    search = [dns.name.from_text("search.example.")]
    for options in ({}, {"cache": dns.resolver.Cache()}):
        with HostileServer(nobody) as server:
            questions = [Question("short", "A"), Question("two.labels", "A")]
            answers = running(ask_all(questions), server.port, search=search, ndots=5, **options)
            assert [answer.outcome for answer in answers] == [Outcome.NO_SUCH_NAME] * 2
            assert sorted(names(server)) == ["short", "two.labels"]


@pytest.mark.parametrize("running", THROUGH_DNSPYTHON)
def test_the_callers_dnspython_cache_is_used(running: Running) -> None:
    cache = dns.resolver.Cache()
    with HostileServer(good) as server:
        for _ in range(3):
            assert all(answer.found for answer in running(ask_all(numbered(3)), server.port, cache=cache))
        assert len(server.queries) == 3


@pytest.mark.parametrize("running", THROUGH_DNSPYTHON)
@pytest.mark.parametrize("first", [None, 2, 5])
def test_the_next_server_is_asked_where_the_first_is_no_good(running: Running, first: int | None) -> None:
    """The first server is not there, fails or refuses."""

    def bad(query: bytes, tcp: bool) -> list[Reply]:
        return [(0, response_to(query, rcode=first or 2).to_wire())]

    with HostileServer(bad) as one, HostileServer(good) as two:
        ports = {"127.0.0.2": one.port, "127.0.0.1": two.port}
        if first is not None:
            # Both listen on 127.0.0.1; only the port tells them apart, so the first is named by another spelling.
            servers = [dns.nameserver.Do53Nameserver("127.0.0.1", one.port), "127.0.0.1"]
        else:
            servers = ["127.0.0.2", "127.0.0.1"]
        answers = running(ask_all(numbered(2)), two.port, nameservers=servers, nameserver_ports=ports)
        assert [answer.outcome for answer in answers] == [Outcome.FOUND] * 2
        assert len(one.queries) == (0 if first is None else 2)


@pytest.mark.parametrize("running", THROUGH_DNSPYTHON)
@pytest.mark.parametrize("rcode", [dns.rcode.FORMERR, dns.rcode.NOTIMP])
@pytest.mark.parametrize("echo", [True, False])
def test_a_server_that_does_not_know_edns(running: Running, rcode: dns.rcode.Rcode, echo: bool) -> None:
    """RFC 6891 sections 6.2.2 and 7: it is asked again without; some send back the header only."""

    def old(query: bytes, tcp: bool) -> list[Reply]:
        if dns.message.from_wire(query).edns < 0:
            return good(query, tcp)
        header = query[:2] + bytes([0x81, 0x80 | rcode]) + bytes([0, echo, 0, 0, 0, 0, 0, 0])
        return [(0, header + query[12 : query.index(0, 12) + 5] * echo)]

    with HostileServer(old) as server:
        answers = running(ask_all(numbered(3)), server.port, edns=0, payload=1232)
        assert [answer.outcome for answer in answers] == [Outcome.FOUND] * 3
        assert len(server.queries) <= 6


@pytest.mark.parametrize("running", THROUGH_DNSPYTHON)
def test_a_first_server_that_cannot_be_reached_from_here_is_passed_over(running: Running) -> None:
    """A link-local server on an interface that is gone."""
    with HostileServer(good) as server:
        servers = ["fe80::1%nosuchinterface", "127.0.0.1"]
        answers = running(ask_all(numbered(2)), server.port, nameservers=servers)
        assert [answer.outcome for answer in answers] == [Outcome.FOUND] * 2


@pytest.mark.parametrize("running", ALL)
def test_servers_with_ipv6_addresses(running: Running) -> None:
    with HostileServer(good, "::1") as server:
        options = {"servers": ["::1"]} if running is through_cares else {"nameservers": ["::1"]}
        answers = running(ask_all(numbered(2)), server.port, **options)
        assert [answer.outcome for answer in answers] == [Outcome.FOUND] * 2


def test_a_resolver_of_the_callers_own_kind_is_asked_in_its_own_way() -> None:
    class Own(dns.resolver.Resolver):
        asked: list[str] = []

        def resolve(self, qname: Any, *arguments: Any, **options: Any) -> Any:
            self.asked.append(str(qname))
            return super().resolve(qname, *arguments, **options)

    with HostileServer(good) as server:
        own = Own(configure=False)
        own.nameservers, own.port = ["127.0.0.1"], server.port
        with DnspythonResolver(own) as resolver:
            assert run(ask(QUESTION), resolver).found
            assert all(answer.found for answer in run(ask_all(numbered(20)), resolver))
        assert len(own.asked) == 21


def test_a_type_that_no_plan_asks_for_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="SRV"):
        DnspythonResolver(sync_configuration(53)).lookup(Question("a.test", "SRV"))  # type: ignore[arg-type]


@pytest.mark.parametrize("running", ALL)
def test_forgers_must_guess_and_others_are_not_heard(running: Running) -> None:
    """RFC 5452 section 9.2: ids and, through dnspython, ports are as good as random; other senders are ignored."""
    seen: list[tuple[bytes, int]] = []

    def serve() -> None:
        while True:
            query, peer = right.recvfrom(4096)
            if not query:
                return
            seen.append((query[:2], peer[1]))
            wrong.sendto(response_to(query, "@ 300 A 192.0.2.66").to_wire(), peer)
            right.sendto(good(query, False)[0][1], peer)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as right, socket.socket(type=socket.SOCK_DGRAM) as wrong:
        right.bind(("127.0.0.1", 0))
        wrong.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            answers = running(ask_all(numbered(200)), right.getsockname()[1], cap=50)
        finally:
            wrong.sendto(b"", right.getsockname())
            thread.join()
    assert {str(address) for answer in answers for address in answer.addresses} == {"192.0.2.1"}
    assert len({identity for identity, _ in seen}) > 180
    if running is not through_cares:
        assert len({port for _, port in seen}) > 180


# --- time and numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", ALL)
def test_what_is_not_answered_by_the_deadline_timed_out(running: Running) -> None:
    def half(query: bytes, tcp: bool) -> list[Reply]:
        return good(query, tcp) if b"good" in query else []

    with HostileServer(half) as server:
        questions = [Question(f"{word}{i}.test", "A") for i in range(3) for word in ("good", "dead")]
        answers = running(ask_all(questions), server.port, time_limit=0.5)
    assert [answer.outcome for answer in answers] == [Outcome.FOUND, Outcome.TIMED_OUT] * 3


@pytest.mark.parametrize("running", ALL)
def test_no_more_are_in_flight_than_the_cap(running: Running) -> None:
    with HostileServer(silent) as server:
        answers = running(ask_all(numbered(40)), server.port, time_limit=0.3, cap=4)
        assert {answer.outcome for answer in answers} == {Outcome.TIMED_OUT}
        assert len(set(names(server))) == 4


@pytest.mark.parametrize("running", [under_asyncio, through_cares, sync, under_trio])
def test_thousands_at_once_lose_nothing(running: Running) -> None:
    count = 10_000 if running in (under_asyncio, through_cares) else 3_000
    with delay_server() as port:
        answers = running(ask_all(numbered(count)), port, time_limit=60)
    assert sum(answer.found for answer in answers) == count


@pytest.mark.parametrize("running", ALL)
def test_a_cap_of_one_still_answers_all(running: Running) -> None:
    with HostileServer(good) as server:
        assert all(answer.found for answer in running(ask_all(numbered(30)), server.port, cap=1))


# --- batches: many questions of a synchronous caller ----------------------------------------------------------


def test_asking_many_starts_no_thread() -> None:
    with HostileServer(good) as server, DnspythonResolver(sync_configuration(server.port)) as resolver:
        assert all(answer.found for answer in run(ask_all(numbered(30)), resolver))
        assert background_threads() == []


def test_what_is_given_up_leaves_room_for_the_next() -> None:
    def sometimes(query: bytes, tcp: bool) -> list[Reply]:
        return [] if b"dead" in query else good(query, tcp)

    with (
        HostileServer(sometimes) as server,
        DnspythonResolver(sync_configuration(server.port), max_in_flight=2) as resolver,
    ):
        dead = [Question(f"dead{i}.test", "A") for i in range(5)]
        assert {answer.outcome for answer in run(ask_all(dead), resolver, time_limit=0.1)} == {Outcome.TIMED_OUT}
        assert len(set(names(server))) == 2
        with pytest.raises(ValueError, match="SRV"):
            run(ask_all([QUESTION, Question("a.test", "SRV"), QUESTION]), resolver)  # type: ignore[arg-type]
        assert all(answer.found for answer in run(ask_all(numbered(10)), resolver))


def test_the_callers_of_one_resolver_share_its_cap() -> None:
    """Each of four threads asks more than there is room for; all are answered, and the cap holds."""
    answers: list[Answer] = []
    with delay_server() as port, DnspythonResolver(sync_configuration(port), max_in_flight=3) as resolver:
        most: list[int] = []

        def work(number: int) -> None:
            questions = [Question(f"t{number}n{i}.d{i % 20}.test", "A") for i in range(40)]
            answers.extend(run(ask_all(questions), resolver))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            most.append(3 - resolver._room.free)
            time.sleep(0.001)
        assert max(most) <= 3
        assert resolver._room.free == 3
    assert len(answers) == 160
    assert all(answer.found for answer in answers)


@pytest.mark.parametrize("broken", ["selectors.DefaultSelector", "socket.socketpair", "socket.socket.connect"])
def test_a_system_that_has_no_more_files_is_a_server_failure(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> Any:
        raise OSError(24, "Too many open files")

    with HostileServer(truncating) as server, DnspythonResolver(sync_configuration(server.port)) as resolver:
        if broken == "selectors.DefaultSelector":
            # For the batch alone: asyncio leaves half an event loop behind.
            monkeypatch.setattr(dnspython_batch, "selectors", SimpleNamespace(DefaultSelector=full, EVENT_READ=1))
        else:
            monkeypatch.setattr(broken, full)
        answers = run(ask_all(numbered(3)), resolver, time_limit=20)
        monkeypatch.undo()
        assert {answer.outcome for answer in answers} == {Outcome.SERVER_FAILURE}


class Narrow(NamedTuple):
    """A resolver with room for one question at a time, and its server."""

    server: HostileServer
    resolver: DnspythonResolver


@pytest.fixture
def narrow() -> Iterator[Narrow]:
    with (
        HostileServer(good) as server,
        DnspythonResolver(sync_configuration(server.port), max_in_flight=1) as resolver,
    ):
        yield Narrow(server, resolver)


def test_a_caller_without_room_times_out(narrow: Narrow) -> None:
    server, resolver = narrow
    other = resolver.batch()
    other.ask(QUESTION, 20)
    assert run(ask_all(numbered(2)), resolver, time_limit=0.2) == [TIMED_OUT] * 2
    assert len(server.queries) == 1
    assert other.wait(10)[0][0] == QUESTION
    other.close()
    assert all(answer.found for answer in run(ask_all(numbered(2)), resolver))


def test_callers_without_room_take_turns(narrow: Narrow) -> None:
    """One with many questions does not take each place that becomes free before the other can."""
    resolver = narrow.resolver
    one, two = resolver.batch(), resolver.batch()
    for question in numbered(3):
        one.ask(question, 20)
    for i in range(2):
        two.ask(Question(f"m{i}.test", "A"), 20)
    answered: list[str] = []
    while len(answered) < 5:
        for batch in (one, one, one, two):
            answered += [question.name.split(".")[0] for question, _ in batch.wait(0.2)]
    # n1 was there before m0.
    assert answered == ["n0", "n1", "m0", "n2", "m1"]
    one.close()
    two.close()
    assert resolver._room.free == 1


def test_a_caller_that_waits_for_room_is_woken(narrow: Narrow) -> None:
    resolver = narrow.resolver
    other = resolver.batch()
    other.ask(QUESTION, 20)
    timer = threading.Timer(0.1, other.close)
    timer.start()
    assert all(answer.found for answer in run(ask_all(numbered(3)), resolver, time_limit=None))
    timer.join()
    assert resolver._room.free == 1


def test_a_caller_that_gives_up_leaves_the_line(narrow: Narrow) -> None:
    resolver = narrow.resolver
    first, second, third = (resolver.batch() for _ in range(3))
    for batch in (first, second, third):
        batch.ask(QUESTION, 20)
    second.close()
    first.close()  # what it leaves is kept for the third
    assert resolver._room.free == 0
    third.close()
    assert resolver._room.free == 1
    assert all(answer.found for answer in run(ask_all(numbered(3)), resolver))


def test_a_caller_that_cannot_be_woken_is_answered(narrow: Narrow, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Any:
        raise OSError(24, "Too many open files")

    resolver = narrow.resolver
    other = resolver.batch()
    other.ask(QUESTION, 20)
    with monkeypatch.context() as patch:
        patch.setattr("socket.socketpair", full)
        answers = run(ask_all(numbered(2)), resolver, time_limit=20)
    assert {answer.outcome for answer in answers} == {Outcome.SERVER_FAILURE}
    other.close()
    assert all(answer.found for answer in run(ask_all(numbered(3)), resolver))


class Interruption:
    """Raises KeyboardInterrupt at the given line, counted from the first, that a batch runs; not while it is closed.

    Not in what it calls, either: there are locks, and Python tells of a line between the last of a block and its end.
    """

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, frame: Any, event: str, argument: object) -> Any:
        batch = isinstance(frame.f_locals.get("self"), dnspython_batch.DnspythonBatch)
        if not batch or frame.f_code.co_name == "close":
            return None
        if event == "line":
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
        return self


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_an_interruption_at_any_line_takes_no_room() -> None:
    """A program may live on after what a signal handler raises, as its time-outs are often made."""
    with (
        HostileServer(good) as server,
        DnspythonResolver(sync_configuration(server.port), max_in_flight=2) as resolver,
    ):
        tracing, ended = sys.gettrace(), False
        for line in range(1, 2000):
            sys.settrace(Interruption(line))
            try:
                run(ask_all(numbered(4)), resolver)
                ended = True
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(tracing)
            assert resolver._room.free == 2, line
            if ended:
                break
        assert line > 100


def test_closing_the_resolver_while_a_batch_is_handed_over() -> None:
    """What has taken the long way is answered; the caller does not wait for its deadline."""
    with HostileServer(lambda query, tcp: [] if tcp else [(0, truncated(query))]) as server:
        resolver = DnspythonResolver(sync_configuration(server.port, lifetime=60, timeout=60))
        timer = threading.Timer(0.2, resolver.close)
        timer.start()
        answers = run(ask_all(numbered(3)), resolver, time_limit=50)
        assert [answer.outcome for answer in answers] == [Outcome.SERVER_FAILURE] * 3
        timer.join()


@pytest.mark.parametrize("ask_them", [lambda r: run(ask_all(numbered(3)), r), lambda r: [r.submit(QUESTION).result(0)]])
def test_a_system_that_has_no_more_threads_is_a_server_failure(
    ask_them: Callable[[DnspythonResolver], list[Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with HostileServer(truncating) as server, DnspythonResolver(sync_configuration(server.port)) as resolver:
        with monkeypatch.context() as patch, warnings.catch_warnings():
            # An event loop that is left open says so when it is collected, and so would pytest.
            warnings.simplefilter("error")
            patch.setattr(threading.Thread, "start", full)
            answers = ask_them(resolver)
            gc.collect()
        assert {answer.outcome for answer in answers} == {Outcome.SERVER_FAILURE}
        assert "new thread" in answers[0].detail
        assert run(ask(QUESTION), resolver).found


# --- the background thread -----------------------------------------------------------------------------------


def background_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("mailauth")]


def test_closing_answers_what_is_open() -> None:
    with HostileServer(silent) as server:
        resolver = DnspythonResolver(sync_configuration(server.port), max_in_flight=2)
        futures = [resolver.submit(question) for question in numbered(5)]
        resolver.close()
        assert background_threads() == []
        for future in futures:
            assert future.result(0).outcome is Outcome.SERVER_FAILURE
            assert "closed" in future.result(0).detail
        resolver.close()


def test_it_may_be_used_again_after_closing() -> None:
    with HostileServer(good) as server:
        resolver = DnspythonResolver(sync_configuration(server.port))
        for _ in range(3):
            assert resolver.submit(QUESTION).result(10).found
            assert len(background_threads()) == 1
            resolver.close()
            assert background_threads() == []


def test_a_dropped_resolver_ends_its_thread() -> None:
    with HostileServer(good) as server:
        resolver = DnspythonResolver(sync_configuration(server.port))
        assert resolver.submit(QUESTION).result(10).found
        del resolver
        gc.collect()
        assert background_threads() == []


def test_looking_up_one_question_starts_no_thread() -> None:
    with HostileServer(good) as server:
        resolver = DnspythonResolver(sync_configuration(server.port))
        assert run(ask(QUESTION), resolver).found
        assert background_threads() == []


def test_a_cancelled_question_leaves_room_for_the_next() -> None:
    def first_is_silent(query: bytes, tcp: bool) -> list[Reply]:
        return [] if b"\x02n0" in query else good(query, tcp)

    with (
        HostileServer(first_is_silent) as server,
        DnspythonResolver(sync_configuration(server.port), max_in_flight=1) as resolver,
    ):
        first, second = (resolver.submit(question, 20) for question in numbered(2))
        assert first.cancel()
        assert second.result(10).found


def test_no_time_is_no_question() -> None:
    with HostileServer(good) as server, DnspythonResolver(sync_configuration(server.port)) as resolver:
        assert resolver.lookup(QUESTION, 0).outcome is Outcome.TIMED_OUT
        assert resolver.submit(QUESTION, 0).result(10).outcome is Outcome.TIMED_OUT
        assert server.queries == []


PROGRAM = """
import os, sys
import dns.resolver
from mailauth.plan import Question, ask_all, run
from mailauth.resolvers import DnspythonResolver

configuration = dns.resolver.Resolver(configure=False)
configuration.nameservers, configuration.port = ["127.0.0.1"], int(sys.argv[1])
resolver = DnspythonResolver(configuration)
questions = [Question(f"n{i}.test", "A") for i in range(10)]
assert all(answer.found for answer in run(ask_all(questions), resolver))
"""
FORK = """
child = os.fork()
assert all(answer.found for answer in run(ask_all(questions), resolver))
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize(
    "more", ["", "resolver.submit(Question('dead.test', 'A'))", FORK], ids=["idle", "busy", "fork"]
)
def test_a_program_ends_without_closing_it(more: str) -> None:
    if "fork" in more and not hasattr(os, "fork"):
        pytest.skip("this system has no fork, so there is no forked child to look at")

    def script(query: bytes, tcp: bool) -> list[Reply]:
        return [] if b"dead" in query else good(query, tcp)

    source = Path(__file__).parent.parent.parent / "src"
    with HostileServer(script) as server:
        command = [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore:This process:DeprecationWarning",
            "-c",
            PROGRAM + more,
        ]
        result = subprocess.run(
            [*command, str(server.port)],
            env={**os.environ, "PYTHONPATH": str(source)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", ["resolvers", "resolvers.zone", "resolvers.cache"])
def test_resolvers_load_only_what_is_named(name: str) -> None:
    program = textwrap.dedent(f"""
        import sys, mailauth.{name}
        from mailauth.resolvers import ZoneResolver, Cache
        ZoneResolver({{("a.test", "A"): ["192.0.2.1"]}})
        assert not {{"dns", "pycares", "aiodns", "trio", "asyncio"}} & set(sys.modules), sorted(sys.modules)
    """)
    source = str(Path(__file__).parent.parent.parent / "src")
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": source}, check=True)


# --- c-ares ----------------------------------------------------------------------------------------------------


def test_c_ares_is_for_asyncio_only() -> None:
    resolver = AiodnsResolver(["127.0.0.1"])
    with pytest.raises(TypeError, match="under asyncio only"):
        trio.run(resolver.lookup_async, QUESTION)
    with pytest.raises(TypeError, match="under asyncio only"):
        resolver.submit_async(QUESTION)


@pytest.mark.parametrize("servers", [["dns.example"], ["192.0.2.1", "x:y"], ["192.0.2.256"], [""]])
def test_c_ares_is_given_addresses(servers: list[str]) -> None:
    with pytest.raises(ValueError):
        AiodnsResolver(servers)


def test_c_ares_serves_one_loop_after_the_other() -> None:
    with HostileServer(good) as server:
        resolver = AiodnsResolver(["127.0.0.1"], port=server.port)

        async def once() -> list[Answer]:
            try:
                return await run_async(ask_all(numbered(3)), resolver)
            finally:
                resolver.close()

        for _ in range(3):
            assert all(answer.found for answer in asyncio.run(once()))


def test_loops_that_are_gone_are_forgotten() -> None:
    """Many calls of asyncio.run() with one resolver, which is never closed: nothing piles up.

    Each loop ends while one question is in flight and others wait for their turn.
    """

    def half(query: bytes, tcp: bool) -> list[Reply]:
        return good(query, tcp) if b"n0" in query else []

    async def main(resolver: Any) -> None:
        first, *others = [asyncio.ensure_future(resolver.lookup_async(question)) for question in numbered(4)]
        assert (await first).found
        assert not any(other.done() for other in others)

    with HostileServer(half) as server:
        cares = AiodnsResolver(["127.0.0.1"], port=server.port, timeout=60, max_in_flight=2)
        plain = AsyncDnspythonResolver(async_configuration(server.port, timeout=60, lifetime=60), max_in_flight=2)
        for _ in range(5):
            asyncio.run(main(cares))
            asyncio.run(main(plain))
        assert len(cares._channels) == 1
        assert len(plain._turns._semaphores) <= 1


def test_closing_c_ares_answers_what_is_open() -> None:
    async def main(port: int) -> None:
        resolver = AiodnsResolver(["127.0.0.1"], port=port, max_in_flight=2)
        futures = [resolver.submit_async(question) for question in numbered(5)]
        await asyncio.sleep(0)
        resolver.close()
        resolver.close()
        for future in futures:
            answer = await future
            assert answer.outcome is Outcome.SERVER_FAILURE
            assert "closed" in answer.detail

    with HostileServer(silent) as server:
        asyncio.run(main(server.port))


@pytest.mark.parametrize("wait", [0.0, 0.1])
def test_closing_c_ares_ends_a_plan_that_is_running(wait: float) -> None:
    """Its open questions are answered, and so are those that it asks because of that."""

    def twice(i: int) -> Plan[list[Answer]]:
        first = yield from ask(Question(f"n{i}.test", "A"))
        second = yield from ask(Question(f"m{i}.test", "A"))
        return [first, second]

    async def main(port: int) -> None:
        resolver = AiodnsResolver(["127.0.0.1"], port=port, max_in_flight=2, timeout=60)
        task = asyncio.create_task(run_async(run_all(map(twice, range(5))), resolver, time_limit=50))
        await asyncio.sleep(wait)
        resolver.close()
        for answers in await task:
            assert ["closed" in answer.detail for answer in answers] == [True, True]

    with HostileServer(silent) as server:
        asyncio.run(main(server.port))


def test_a_question_that_is_given_up_while_it_waits_is_not_sent() -> None:
    async def main(port: int) -> None:
        async with AiodnsResolver(["127.0.0.1"], port=port, max_in_flight=1) as resolver:
            first, second, third = (resolver.submit_async(question) for question in numbered(3))
            second.cancel()
            assert (await first).found
            assert (await third).found

    with HostileServer(good) as server:
        asyncio.run(main(server.port))
        assert sorted(names(server)) == ["n0.example.test", "n2.example.test"]


@pytest.mark.parametrize("name", ["at@sign.test", 'quo"te.test', "back\\slash.test", "sp ace.test", "ctl\x01.test"])
def test_names_that_c_ares_refuses_are_asked_all_the_same(name: str) -> None:
    with HostileServer(good) as server:
        assert through_cares(ask(Question(name, "A")), server.port).found
        [(query, _)] = server.queries
        assert name.split(".")[0].encode() in query


@pytest.mark.parametrize("kind", [cares_sockets._InLoop, *[cares_sockets._InEpoll] * hasattr(select, "epoll")])
@pytest.mark.parametrize("script", [good, truncating, silent])
def test_the_sockets_of_c_ares_come_and_go(kind: Any, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cares, "sockets_in", kind)

    async def main(port: int) -> None:
        watched: Any = asyncio.get_running_loop()._selector.get_map()  # type: ignore[attr-defined]
        before = set(watched)
        async with AiodnsResolver(["127.0.0.1"], port=port) as resolver:
            for i in range(3):
                # c-ares asks one server over one TCP connection; this one answers once in each.
                questions = [Question(f"n{n}.r{i}.test", "A") for n in range(1 if script is truncating else 5)]
                answers = await run_async(ask_all(questions), resolver, time_limit=0.1 if script is silent else 20)
                assert all(answer.found for answer in answers) is (script is not silent)
        assert set(watched) == before

    with HostileServer(script) as server:
        asyncio.run(main(server.port))


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted where the system lists them")
@pytest.mark.parametrize("script", [good, silent])
@pytest.mark.parametrize("one_loop", [True, False])
def test_c_ares_that_is_dropped_leaves_nothing_behind(script: Any, one_loop: bool) -> None:
    """Never closed; the loop goes on, or it ends while questions that nobody waits for any more are in flight."""

    async def once(port: int) -> None:
        resolver = AiodnsResolver(["127.0.0.1"], port=port)
        await run_async(ask_all(numbered(2)), resolver, time_limit=0.01)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await resolver.lookup_async(QUESTION)

    async def many(port: int) -> None:
        watched: Any = asyncio.get_running_loop()._selector.get_map()  # type: ignore[attr-defined]
        before = set(watched)
        for _ in range(20):
            await once(port)
        for _ in range(100):
            gc.collect()
            await asyncio.sleep(0.01)
            if set(watched) == before:
                break
        assert set(watched) == before

    def run_all_of_them(port: int) -> None:
        for _ in range(1 if one_loop else 20):
            asyncio.run(many(port) if one_loop else once(port))

    with HostileServer(script) as server:
        run_all_of_them(server.port)
        gc.collect()
        before = files()
        run_all_of_them(server.port)
        # c-ares closes its sockets in a thread of its own.
        for _ in range(500):
            gc.collect()
            if files() <= before:
                break
            time.sleep(0.01)
        assert files() <= before


def test_c_ares_is_not_dropped_while_a_question_is_open() -> None:
    def late(query: bytes, tcp: bool) -> list[Reply]:
        return [(0.1, reply) for _, reply in good(query, tcp)]

    async def main(port: int) -> None:
        future = AiodnsResolver(["127.0.0.1"], port=port).submit_async(QUESTION)
        gc.collect()
        assert (await future).found

    with HostileServer(late) as server:
        asyncio.run(main(server.port))


@pytest.mark.parametrize("name", ["a.test", "at@sign.test"])
def test_a_type_that_no_plan_asks_for_takes_no_room_in_c_ares(name: str) -> None:
    strange = Question(name, "SRV")  # type: ignore[arg-type]

    async def main(port: int) -> None:
        async with AiodnsResolver(["127.0.0.1"], port=port, max_in_flight=2) as resolver:
            for _ in range(2):
                with pytest.raises(ValueError, match="SRV"):
                    await resolver.lookup_async(strange)
                with pytest.raises(ValueError, match="SRV"):
                    await run_async(ask_all([QUESTION, strange]), resolver, time_limit=2)
            assert (await run_async(ask(QUESTION), resolver, time_limit=10)).found

    with HostileServer(good) as server:
        asyncio.run(main(server.port))


def test_c_ares_may_be_closed_in_one_thread_while_another_begins() -> None:
    """One thread looks for loops that are gone, in the midst of which another closes what it has."""
    other = asyncio.new_event_loop()

    async def close() -> None:
        resolver.close()

    class Watched:
        def is_closed(self) -> bool:
            closing.start()
            closing.join(0.2)
            return False

    with HostileServer(good) as server:
        resolver = AiodnsResolver(["127.0.0.1"], port=server.port)
        closing = threading.Thread(target=lambda: other.run_until_complete(close()))
        channels: Any = {Watched(): None, other: SimpleNamespace(close=bool)}
        resolver._channels = channels

        async def main() -> None:
            assert (await resolver.lookup_async(QUESTION)).found
            resolver.close()

        asyncio.run(main())
        closing.join()
        assert other not in channels
    other.close()


def test_names_that_c_ares_refuses_are_given_up_with_the_rest() -> None:
    with HostileServer(silent) as server:
        questions = [Question("at@sign.test", "A"), *numbered(2)]
        assert through_cares(ask_all(questions), server.port, time_limit=0.2) == [TIMED_OUT] * 3


def test_a_cache_in_front_of_each_of_them() -> None:
    async def main(port: int) -> None:
        async with AiodnsResolver(["127.0.0.1"], port=port) as inner:
            for resolver in (
                CachingResolver(inner),
                CachingResolver(AsyncDnspythonResolver(async_configuration(port))),
            ):
                for _ in range(3):
                    assert all(answer.found for answer in await run_async(ask_all(numbered(5)), resolver))

    with HostileServer(good) as server:
        asyncio.run(main(server.port))
        with DnspythonResolver(sync_configuration(server.port)) as inner:
            resolver = CachingResolver(inner)
            for _ in range(3):
                assert all(answer.found for answer in run(ask_all(numbered(5)), resolver))
        assert len(server.queries) == 15
