"""Life and habits of the network resolvers; what they answer is in test_parity.py and test_hostile.py.

The network resolvers read the system's configuration late, keep to their caps and deadlines, use what the caller
configured, and leave no thread, socket or task behind.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.message
import dns.rcode
import dns.resolver
import pytest
import trio
from benchmarks.delayserver import delay_server

from mailauth.plan import TIMED_OUT, Answer, Outcome, Plan, Question, ask, ask_all, run, run_async
from mailauth.resolvers import (
    AsyncDnspythonResolver,
    CachingResolver,
    CaresResolver,
    DnspythonResolver,
)
from tests.dnsserver import Reply, ScriptedServer, async_configuration, response_to, sync_configuration, truncated

QUESTION = Question("a.example.test", "A")


def good(query: bytes, tcp: bool) -> list[Reply]:
    return [(0, response_to(query, "@ 300 A 192.0.2.1").to_wire())]


def truncating(query: bytes, tcp: bool) -> list[Reply]:
    return good(query, tcp) if tcp else [(0, truncated(query))]


def silent(query: bytes, tcp: bool) -> list[Reply]:
    return []


def names(server: ScriptedServer) -> list[str]:
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


def cares_resolver(port: int, cap: int = 200, servers: Sequence[str] = ("127.0.0.1",)) -> CaresResolver:
    return CaresResolver(servers, port=port, max_in_flight=cap)


def through_cares(plan: Plan[Any], port: int, time_limit: float | None = 20, **options: Any) -> Any:
    with cares_resolver(port, **options) as resolver:
        return run(plan, resolver, time_limit=time_limit)


async def _through_cares(plan: Plan[Any], port: int, time_limit: float | None, options: dict[str, Any]) -> Any:
    async with cares_resolver(port, **options) as resolver:
        return await run_async(plan, resolver, time_limit=time_limit)


def through_cares_in_asyncio(plan: Plan[Any], port: int, time_limit: float | None = 20, **options: Any) -> Any:
    return asyncio.run(_through_cares(plan, port, time_limit, options))


def through_cares_in_trio(plan: Plan[Any], port: int, time_limit: float | None = 20, **options: Any) -> Any:
    return trio.run(_through_cares, plan, port, time_limit, options)


THROUGH_DNSPYTHON = [sync, under_asyncio, under_trio]
THROUGH_CARES = [through_cares, through_cares_in_asyncio, through_cares_in_trio]
ALL = [*THROUGH_DNSPYTHON, *THROUGH_CARES]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    for _ in range(500):
        if not background_threads():
            break
        gc.collect()
        time.sleep(0.01)
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


def submit_and_close() -> Answer:
    with DnspythonResolver() as resolver:
        return resolver.submit(QUESTION).result()


SYSTEM = [
    lambda: DnspythonResolver().lookup(QUESTION),
    lambda: submit_and_close(),
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
    with ScriptedServer(good) as server:
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


@pytest.mark.parametrize("kind", [DnspythonResolver, AsyncDnspythonResolver, CaresResolver])
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
        with ScriptedServer(nobody) as server:
            questions = [Question("short", "A"), Question("two.labels", "A")]
            answers = running(ask_all(questions), server.port, search=search, ndots=5, **options)
            assert [answer.outcome for answer in answers] == [Outcome.NO_SUCH_NAME] * 2
            assert sorted(names(server)) == ["short", "two.labels"]


@pytest.mark.parametrize("running", THROUGH_DNSPYTHON)
def test_the_callers_dnspython_cache_is_used(running: Running) -> None:
    cache = dns.resolver.Cache()
    with ScriptedServer(good) as server:
        for _ in range(3):
            assert all(answer.found for answer in running(ask_all(numbered(3)), server.port, cache=cache))
        assert len(server.queries) == 3


@pytest.mark.parametrize("running", THROUGH_DNSPYTHON)
@pytest.mark.parametrize("first", [None, 2, 5])
def test_the_next_server_is_asked_where_the_first_is_no_good(running: Running, first: int | None) -> None:
    """The first server is not there, fails or refuses."""

    def bad(query: bytes, tcp: bool) -> list[Reply]:
        return [(0, response_to(query, rcode=first or 2).to_wire())]

    with ScriptedServer(bad) as one, ScriptedServer(good) as two:
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

    with ScriptedServer(old) as server:
        answers = running(ask_all(numbered(3)), server.port, edns=0, payload=1232)
        assert [answer.outcome for answer in answers] == [Outcome.FOUND] * 3
        assert len(server.queries) <= 6


@pytest.mark.parametrize("running", THROUGH_DNSPYTHON)
def test_a_first_server_that_cannot_be_reached_from_here_is_passed_over(running: Running) -> None:
    """A link-local server on an interface that is gone."""
    with ScriptedServer(good) as server:
        servers = ["fe80::1%nosuchinterface", "127.0.0.1"]
        answers = running(ask_all(numbered(2)), server.port, nameservers=servers)
        assert [answer.outcome for answer in answers] == [Outcome.FOUND] * 2


@pytest.mark.parametrize("running", ALL)
def test_servers_with_ipv6_addresses(running: Running) -> None:
    with ScriptedServer(good, "::1") as server:
        options = {"servers": ["::1"]} if running in THROUGH_CARES else {"nameservers": ["::1"]}
        answers = running(ask_all(numbered(2)), server.port, **options)
        assert [answer.outcome for answer in answers] == [Outcome.FOUND] * 2


def test_a_resolver_of_the_callers_own_kind_is_asked_in_its_own_way() -> None:
    class Own(dns.resolver.Resolver):
        asked: list[str] = []

        def resolve(self, qname: Any, *arguments: Any, **options: Any) -> Any:
            self.asked.append(str(qname))
            return super().resolve(qname, *arguments, **options)

    with ScriptedServer(good) as server:
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
    if running not in THROUGH_CARES:
        assert len({port for _, port in seen}) > 180


# --- time and numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", ALL)
def test_what_is_not_answered_by_the_deadline_timed_out(running: Running) -> None:
    def half(query: bytes, tcp: bool) -> list[Reply]:
        return good(query, tcp) if b"good" in query else []

    with ScriptedServer(half) as server:
        questions = [Question(f"{word}{i}.test", "A") for i in range(3) for word in ("good", "dead")]
        answers = running(ask_all(questions), server.port, time_limit=1.0)
    assert [answer.outcome for answer in answers] == [Outcome.FOUND, Outcome.TIMED_OUT] * 3


@pytest.mark.parametrize("running", ALL)
def test_no_more_are_in_flight_than_the_cap(running: Running) -> None:
    with ScriptedServer(silent) as server:
        answers = running(ask_all(numbered(40)), server.port, time_limit=0.3, cap=4)
        assert {answer.outcome for answer in answers} == {Outcome.TIMED_OUT}
        assert len(set(names(server))) == 4


@pytest.mark.parametrize("running", ALL)
def test_thousands_at_once_lose_nothing(running: Running) -> None:
    count = 10_000 if running in THROUGH_CARES else 1_000
    with delay_server() as port:
        answers = running(ask_all(numbered(count)), port, time_limit=60)
    assert sum(answer.found for answer in answers) == count


@pytest.mark.parametrize("running", ALL)
def test_a_cap_of_one_still_answers_all(running: Running) -> None:
    with ScriptedServer(good) as server:
        assert all(answer.found for answer in running(ask_all(numbered(30)), server.port, cap=1))


# --- several questions of a synchronous caller --------------------------------------------------------------------


@pytest.mark.parametrize("kind", [lambda port, cap: cares_resolver(port, cap), lambda port, cap: plain(port, cap)])
def test_the_callers_of_one_resolver_share_its_cap(kind: Any) -> None:
    """Each of four threads asks more than may be in flight; all are answered, and the cap holds."""
    answers: list[Answer] = []
    with ScriptedServer(lambda query, tcp: [(0.005, reply) for _, reply in good(query, tcp)]) as server:
        most: list[int] = []

        def work(number: int) -> None:
            questions = [Question(f"t{number}n{i}.test", "A") for i in range(20)]
            answers.extend(run(ask_all(questions), resolver))

        with kind(server.port, 3) as resolver:
            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                most.append(len(server.queries) - len(answers))
                time.sleep(0.001)
    assert len(answers) == 80
    assert [answer for answer in answers if not answer.found] == []


def plain(port: int, cap: int = 32) -> DnspythonResolver:
    return DnspythonResolver(sync_configuration(port), max_in_flight=cap)


def test_a_question_of_another_type_is_the_callers_mistake_among_others_too() -> None:
    with ScriptedServer(good) as server, plain(server.port, 2) as resolver:
        with pytest.raises(ValueError, match="SRV"):
            run(ask_all([QUESTION, Question("a.test", "SRV"), QUESTION]), resolver)  # type: ignore[arg-type]
        assert all(answer.found for answer in run(ask_all(numbered(10)), resolver))


@pytest.mark.parametrize("kind", [plain, cares_resolver])
def test_a_caller_whose_turn_does_not_come_times_out(kind: Any) -> None:
    def late(query: bytes, tcp: bool) -> list[Reply]:
        return [(1.0, reply) for _, reply in good(query, tcp)]

    with ScriptedServer(late) as server, kind(server.port, 1) as resolver:
        first = resolver.submit(QUESTION, 20)
        assert run(ask_all(numbered(2)), resolver, time_limit=0.2) == [TIMED_OUT] * 2
        assert first.result(10).found
        assert all(answer.found for answer in run(ask_all(numbered(2)), resolver))


def test_a_system_that_has_no_more_files_is_a_server_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> Any:
        raise OSError(24, "Too many open files")

    with ScriptedServer(good) as server, plain(server.port) as resolver:
        monkeypatch.setattr("socket.socket.bind", full)
        monkeypatch.setattr("socket.socket.connect", full)
        monkeypatch.setattr("socket.socket.sendto", full)
        answers = run(ask_all(numbered(3)), resolver, time_limit=20)
        monkeypatch.undo()
        assert {answer.outcome for answer in answers} == {Outcome.SERVER_FAILURE}


@pytest.mark.parametrize("kind", [plain, cares_resolver])
def test_an_interrupted_caller_leaves_a_resolver_that_works(kind: Any) -> None:
    """A program may live on after what a signal handler raises, as its timeouts are often made."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        with (
            ScriptedServer(lambda query, tcp: [(0.2, r) for _, r in good(query, tcp)]) as server,
            kind(server.port, 2) as resolver,
        ):
            for _ in range(3):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with pytest.raises(KeyboardInterrupt):
                    run(ask_all(numbered(4)), resolver)
            assert all(answer.found for answer in run(ask_all(numbered(4)), resolver))
    finally:
        signal.signal(signal.SIGALRM, former)


@pytest.mark.parametrize("ask_them", [lambda r: run(ask_all(numbered(3)), r), lambda r: [r.submit(QUESTION).result(0)]])
def test_a_system_that_has_no_more_threads_is_a_server_failure(
    ask_them: Callable[[DnspythonResolver], list[Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with ScriptedServer(good) as server, plain(server.port) as resolver:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", full)
            answers = ask_them(resolver)
        assert {answer.outcome for answer in answers} == {Outcome.SERVER_FAILURE}
        assert "new thread" in answers[0].detail
        assert run(ask(QUESTION), resolver).found


# --- the threads -----------------------------------------------------------------------------------


def background_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("mailauth")]


def test_closing_answers_what_is_open() -> None:
    with ScriptedServer(silent) as server:
        resolver = DnspythonResolver(sync_configuration(server.port, lifetime=0.3, timeout=0.3), max_in_flight=2)
        futures = [resolver.submit(question) for question in numbered(5)]
        time.sleep(0.1)
        resolver.close()
        assert background_threads() == []
        outcomes = [future.result(0).outcome for future in futures]
        assert outcomes == [Outcome.TIMED_OUT] * 2 + [Outcome.SERVER_FAILURE] * 3
        assert "closed" in futures[-1].result(0).detail
        resolver.close()


def test_it_may_be_used_again_after_closing() -> None:
    with ScriptedServer(good) as server:
        resolver = DnspythonResolver(sync_configuration(server.port))
        for _ in range(3):
            assert resolver.submit(QUESTION).result(10).found
            assert len(background_threads()) == 1
            resolver.close()
            assert background_threads() == []


def test_a_dropped_resolver_ends_its_thread() -> None:
    with ScriptedServer(good) as server:
        resolver = DnspythonResolver(sync_configuration(server.port))
        assert resolver.submit(QUESTION).result(10).found
        del resolver
        # The fixture waits for the end of its threads.


def test_looking_up_one_question_starts_no_thread() -> None:
    with ScriptedServer(good) as server:
        resolver = DnspythonResolver(sync_configuration(server.port))
        assert run(ask(QUESTION), resolver).found
        assert background_threads() == []


def test_a_cancelled_question_that_waits_is_not_sent() -> None:
    with ScriptedServer(lambda query, tcp: [(0.2, r) for _, r in good(query, tcp)]) as server:
        with plain(server.port, 1) as resolver:
            first, second, third = (resolver.submit(question, 20) for question in numbered(3))
            assert second.cancel()
            assert first.result(10).found
            assert third.result(10).found
        assert sorted(names(server)) == ["n0.example.test", "n2.example.test"]


def test_no_time_is_no_question() -> None:
    with ScriptedServer(good) as server, DnspythonResolver(sync_configuration(server.port)) as resolver:
        assert resolver.lookup(QUESTION, 0).outcome is Outcome.TIMED_OUT
        assert resolver.submit(QUESTION, 0).result(10).outcome is Outcome.TIMED_OUT
        assert server.queries == []


PROGRAM = """
import os, sys
import dns.resolver
from mailauth.plan import Question, ask_all, run
from mailauth.resolvers import CaresResolver, DnspythonResolver

if sys.argv[2] == "cares":
    resolver = CaresResolver(["127.0.0.1"], port=int(sys.argv[1]))
else:
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


BUSY_FORK = """
resolver = CaresResolver(["127.0.0.1"], port=int(sys.argv[1]), max_in_flight=1, timeout=1, tries=1)
resolver.submit(Question("dead.test", "A"))
child = os.fork()
if not child:
    assert resolver.lookup(questions[0], 20).found  # the parent's question takes no room here
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize(
    "more",
    ["", "resolver.submit(Question('dead.test', 'A'))", FORK, BUSY_FORK],
    ids=["idle", "busy", "fork", "busy-fork"],
)
@pytest.mark.parametrize("library", ["dnspython", "cares"])
def test_a_program_ends_without_closing_it(more: str, library: str) -> None:
    if "fork" in more and not hasattr(os, "fork"):
        pytest.skip("this system has no fork, so there is no forked child to look at")

    def script(query: bytes, tcp: bool) -> list[Reply]:
        return [] if b"dead" in query else good(query, tcp)

    source = Path(__file__).parent.parent.parent / "src"
    with ScriptedServer(script) as server:
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
            [*command, str(server.port), library],
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
        assert not {{"dns", "pycares", "trio", "asyncio"}} & set(sys.modules), sorted(sys.modules)
    """)
    source = str(Path(__file__).parent.parent.parent / "src")
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": source}, check=True)


# --- c-ares ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("servers", [["dns.example"], ["192.0.2.1", "x:y"], ["192.0.2.256"], [""]])
def test_c_ares_is_given_addresses(servers: list[str]) -> None:
    with pytest.raises(ValueError):
        CaresResolver(servers)


def test_c_ares_serves_one_loop_after_the_other() -> None:
    with ScriptedServer(good) as server:
        resolver = CaresResolver(["127.0.0.1"], port=server.port)

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

    with ScriptedServer(half) as server:
        cares = CaresResolver(["127.0.0.1"], port=server.port, timeout=60, max_in_flight=2)
        plain = AsyncDnspythonResolver(async_configuration(server.port, timeout=60, lifetime=60), max_in_flight=2)
        for _ in range(5):
            asyncio.run(main(cares))
            asyncio.run(main(plain))
        cares.close()
        assert len(cares._turns._semaphores) <= 1
        assert len(plain._turns._semaphores) <= 1


def test_closing_c_ares_answers_what_is_open() -> None:
    with ScriptedServer(silent) as server:
        resolver = cares_resolver(server.port)
        futures = [resolver.submit(question) for question in numbered(5)]
        resolver.close()
        resolver.close()
        for future in futures:
            assert future.result(10).outcome is Outcome.SERVER_FAILURE
            assert "closed" in future.result().detail


def test_c_ares_may_be_used_again_after_closing() -> None:
    with ScriptedServer(good) as server:
        resolver = cares_resolver(server.port)
        for _ in range(3):
            assert resolver.lookup(QUESTION).found
            resolver.close()


@pytest.mark.parametrize("wait", [0.05, 0.2])
def test_closing_c_ares_ends_a_plan_that_is_running(wait: float) -> None:
    """The questions in flight are answered; those that it asks because of that are asked anew."""

    async def main(port: int) -> None:
        resolver = CaresResolver(["127.0.0.1"], port=port, timeout=60)
        task = asyncio.create_task(run_async(ask_all(numbered(5)), resolver, time_limit=50))
        await asyncio.sleep(wait)
        resolver.close()
        assert ["closed" in answer.detail for answer in await task] == [True] * 5

    with ScriptedServer(silent) as server:
        asyncio.run(main(server.port))


def test_a_question_that_is_given_up_while_it_waits_is_not_sent() -> None:
    async def main(port: int) -> None:
        async with CaresResolver(["127.0.0.1"], port=port, max_in_flight=1) as resolver:
            first, second, third = (asyncio.ensure_future(resolver.lookup_async(q)) for q in numbered(3))
            await asyncio.sleep(0)
            second.cancel()
            assert (await first).found
            assert (await third).found

    with ScriptedServer(good) as server:
        asyncio.run(main(server.port))
        assert sorted(names(server)) == ["n0.example.test", "n2.example.test"]


@pytest.mark.parametrize("name", ["at@sign.test", 'quo"te.test', "back\\slash.test", "sp ace.test", "ctl\x01.test"])
def test_names_that_c_ares_refuses_are_asked_all_the_same(name: str) -> None:
    with ScriptedServer(good) as server:
        assert through_cares(ask(Question(name, "A")), server.port).found
        [(query, _)] = server.queries
        assert name.split(".")[0].encode() in query


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted where the system lists them")
@pytest.mark.parametrize("script", [good, silent])
def test_c_ares_that_is_dropped_leaves_nothing_behind(script: Any) -> None:
    """Never closed; it ends while questions that nobody waits for any more are in flight."""

    def once(port: int) -> None:
        resolver = CaresResolver(["127.0.0.1"], port=port, timeout=0.1, tries=1)
        run(ask_all(numbered(2)), resolver, time_limit=0.01)

    def many(port: int) -> None:
        for _ in range(20):
            once(port)

    with ScriptedServer(script) as server:
        once(server.port)
        time.sleep(0.5)
        gc.collect()
        before, threads = files(), system_threads()
        many(server.port)
        # c-ares closes its channels in a thread of its own.
        for _ in range(500):
            gc.collect()
            if files() <= before and system_threads() <= threads:
                break
            time.sleep(0.01)
        assert files() <= before
        assert system_threads() <= threads


def system_threads() -> int:
    """Those of c-ares included, which Python does not know."""
    return len(os.listdir("/proc/self/task"))


def test_c_ares_is_not_dropped_while_a_question_is_open() -> None:
    def late(query: bytes, tcp: bool) -> list[Reply]:
        return [(0.1, reply) for _, reply in good(query, tcp)]

    async def main(port: int) -> None:
        future = CaresResolver(["127.0.0.1"], port=port).lookup_async(QUESTION)
        gc.collect()
        assert (await future).found

    with ScriptedServer(late) as server:
        asyncio.run(main(server.port))


@pytest.mark.parametrize("name", ["a.test", "at@sign.test"])
def test_a_type_that_no_plan_asks_for_takes_no_room_in_c_ares(name: str) -> None:
    strange = Question(name, "SRV")  # type: ignore[arg-type]

    async def main(port: int) -> None:
        async with CaresResolver(["127.0.0.1"], port=port, max_in_flight=2) as resolver:
            for _ in range(2):
                with pytest.raises(ValueError, match="SRV"):
                    await resolver.lookup_async(strange)
                with pytest.raises(ValueError, match="SRV"):
                    await run_async(ask_all([QUESTION, strange]), resolver, time_limit=2)
            assert (await run_async(ask(QUESTION), resolver, time_limit=10)).found

    with ScriptedServer(good) as server:
        asyncio.run(main(server.port))


def test_c_ares_may_be_closed_in_one_thread_while_another_asks() -> None:
    """Every question ends: answered, or the resolver was closed."""
    with ScriptedServer(good) as server:
        resolver = cares_resolver(server.port)
        over = threading.Event()

        def close_again_and_again() -> None:
            while not over.is_set():
                resolver.close()
                time.sleep(0.002)

        closing = threading.Thread(target=close_again_and_again)
        closing.start()
        answers = [resolver.lookup(question, 20) for question in numbered(300)]
        over.set()
        closing.join()
        assert {answer.outcome for answer in answers} <= {Outcome.FOUND, Outcome.SERVER_FAILURE}
        assert resolver.lookup(QUESTION).found
        resolver.close()


def test_names_that_c_ares_refuses_are_given_up_with_the_rest() -> None:
    with ScriptedServer(silent) as server:
        questions = [Question("at@sign.test", "A"), *numbered(2)]
        assert through_cares(ask_all(questions), server.port, time_limit=0.2) == [TIMED_OUT] * 3


def test_a_cache_in_front_of_each_of_them() -> None:
    async def main(port: int) -> None:
        async with CaresResolver(["127.0.0.1"], port=port) as inner:
            for resolver in (
                CachingResolver(inner),
                CachingResolver(AsyncDnspythonResolver(async_configuration(port))),
            ):
                for _ in range(3):
                    assert all(answer.found for answer in await run_async(ask_all(numbered(5)), resolver))

    with ScriptedServer(good) as server:
        asyncio.run(main(server.port))
        with DnspythonResolver(sync_configuration(server.port)) as inner:
            resolver = CachingResolver(inner)
            for _ in range(3):
                assert all(answer.found for answer in run(ask_all(numbered(5)), resolver))
        assert len(server.queries) == 15
