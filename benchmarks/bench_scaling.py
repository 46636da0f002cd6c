"""One kind of work at a time, in growing sizes, all else equal, beside the peers that have it.

Times are the shortest of up to fifteen; those of the policy service are its processor time. Calls are counted, not
timed: Python functions entered and C functions called. DNS is in memory. SPF is evaluated with no record known;
"records known" is with the records parsed before, which mailauth keeps if they have at most 2,048 octets (some 110
networks). The stores of triplets are SQLite files, or in memory; the triplets are known, and met in no order. The
mail of a session has one signature; each of its recipients is greylisted.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import resource
import selectors
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers import free_port

import dkim as dkimpy
import spf as pyspf
from benchmarks.dkimwork import DOMAIN, HEADER, NOW, RSA, SELECTOR, opendkim, prose
from benchmarks.measure import OURS, Case, Contender, call, counted_calls, ours, package, variant
from benchmarks.opendkim import OK
from benchmarks.peers import Peers, records
from benchmarks.services import connect, running
from mailauth import sync
from mailauth.dkim import DkimPolicy
from mailauth.greylist import GreylistPolicy, Record, State, keys_of
from mailauth.greylist import Store as Records
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import Restrictions, check_dkim, check_dmarc, check_spf, greylist
from mailauth.spf.record import forget_records
from mailauth.stores import open_store
from mailauth.stores.sqlite import swap

TITLE = "As the work grows"

IP, HELO, SENDER, RECIPIENT = "192.0.2.1", "mx.example.org", "ann@example.org", "bob@mailbox.test"
ROUNDS, SECONDS = 15, 0.005
QUICK_SIZES = 2

Zone = dict[tuple[str, str], list[str]]
Work = Callable[[], object]


class Size(NamedTuple):
    """One size: whoever does the work, ours first, and our function whose calls are counted, if that can be."""

    contenders: list[Contender]
    counted: Work | None = None


class Series(NamedTuple):
    """One kind of work; `unit` is what there is more of."""

    title: str
    unit: str
    sizes: Sequence[int]
    make: Callable[[int], Size]


def cases() -> Iterator[Case]:
    """Each size of each series: its times, and the number of its calls."""
    yield from _cases(quick=False)


def quick_cases() -> Iterator[Case]:
    """The smallest sizes: the largest take long to prepare."""
    yield from _cases(quick=True)


def _cases(*, quick: bool) -> Iterator[Case]:
    with ExitStack() as stack:
        for series in all_series(stack):
            for size in series.sizes[:QUICK_SIZES] if quick else series.sizes:
                contenders, counted = series.make(size)
                name = f"{series.title} ({series.unit}): {size}"
                yield Case(name, contenders, rounds=ROUNDS, seconds=SECONDS)
                if counted is not None:
                    yield Case(f"calls, {name}", [counted_calls(counted)], unit="integer", rounds=1, loops=1)


def all_series(stack: ExitStack) -> list[Series]:
    """In the order of the page. What they start and write is gone when the stack is closed."""
    peers = stack.enter_context(Peers())
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailauth-bench-")))
    service = Service(stack, folder)
    by_four = [4**n for n in range(6)]
    return [
        Series("DKIM, one signature", "octets of body", [2048 * each for each in by_four], partial(body, peers)),
        Series("DKIM, a body of 2 KB", "signatures", [1, 2, 4, 8, 16, 32], partial(signatures, peers)),
        Series("SPF, a record of its own each", "includes", [1, 2, 4, 8], partial(includes, peers)),
        Series("SPF, one record", "networks", by_four[:-1], partial(networks, peers)),
        Series("Block lists, half of them list", "lists", by_four[:-1], lists),
        Series("Greylisting, one check", "triplets", [10**n for n in range(3, 7)], partial(triplets, folder)),
        Series("A session and its message", "recipients", by_four[:-1], recipients),
        Series("Policy service, one request", "idle connections", by_four[:-1], service.idle),
        Series("Policy service, a request each", "busy connections", by_four[:-1], service.busy),
    ]


# --- DKIM -----------------------------------------------------------------------------------------------------------


def body(peers: Peers, octets: int) -> Size:
    return signed(peers, HEADER + prose(octets), 1)


def signatures(peers: Peers, count: int) -> Size:
    return signed(peers, HEADER + prose(2048), count)


def signed(peers: Peers, message: bytes, count: int) -> Size:
    """So many signatures, all of them verified. dkimpy is asked for one after the other."""
    policy = DkimPolicy(max_signatures=count)
    fields = (sync.sign_dkim(message, RSA.private, domain=DOMAIN, selector=SELECTOR) for _ in range(count))
    octets, resolver = b"".join(fields) + message, RSA.zone

    def check() -> list[str]:
        return [each.result.value for each in sync.verify_dkim(octets, policy=policy, now=NOW, resolver=resolver)]

    def with_dkimpy() -> bool:
        verifier = dkimpy.DKIM(octets)
        return all(verifier.verify(index, dnsfunc=lambda *_, **__: RSA.record.encode()) for index in range(count))

    assert check() == ["pass"] * count
    assert with_dkimpy()
    others = [call("dkimpy", with_dkimpy, package("dkimpy"))]
    library = opendkim(RSA)
    if isinstance(library, Contender):
        others.append(library)
    elif count == 1:
        assert library.verify(octets) == OK
        others.append(call("libopendkim", lambda: library.verify(octets), library.version))
    zone = [f"{SELECTOR}._domainkey.{DOMAIN} TXT {RSA.record}"]
    others += peers.contenders("dkim-verify", check().__eq__, message=peers.file(octets), zone=zone)
    return Size([ours(check), *others], check)


# --- SPF and block lists --------------------------------------------------------------------------------------------


def includes(peers: Peers, count: int) -> Size:
    """Each included record has ten networks; the client is in the last one."""
    names = [f"_spf{number}.{DOMAIN}" for number in range(count)]
    zone: Zone = {(DOMAIN, "TXT"): [f"v=spf1 {' '.join(f'include:{name}' for name in names)} -all"]}
    for number, name in enumerate(names):
        zone[name, "TXT"] = [f"v=spf1 {_networks(10, number)} ?all"]
    zone[names[-1], "TXT"] = [f"v=spf1 {_networks(9, count)} ip4:{IP} ?all"]
    return spf(peers, zone)


def networks(peers: Peers, count: int) -> Size:
    """The client is in the last one."""
    zone: Zone = {(DOMAIN, "TXT"): [f"v=spf1 {_networks(count - 1)} ip4:{IP} -all"]}
    return spf(peers, zone, unable={"libspf2": "record too long"} if count > LIBSPF2_NETWORKS else {})


def _networks(count: int, number: int = 0) -> str:
    first = int(IPv4Address("10.0.0.0")) + (number << 16)
    return " ".join(f"ip4:{IPv4Address(first + 4 * each)}/30" for each in range(count))


LIBSPF2_NETWORKS = 64
"""As many as fit into a record for it, among the sizes here."""


def spf(peers: Peers, zone: Zone, unable: Mapping[str, str] | None = None) -> Size:
    """Ours with no record known, as the peers; and with the records known."""
    resolver = ZoneResolver(zone)
    answers = {
        (name, rtype): [((name, rtype), (text.encode(),)) for text in texts] for (name, rtype), texts in zone.items()
    }

    def known() -> Any:
        return sync.check_spf(IP, helo=HELO, mail_from=SENDER, resolver=resolver)

    def cold() -> object:
        forget_records()
        return known()

    def with_pyspf() -> Any:
        pyspf.DNSLookup = lambda name, qtype, *_, **__: answers.get((name, qtype), [])
        return pyspf.check2(IP, SENDER, HELO)

    assert known().result == "pass"
    assert with_pyspf()[0] == "pass"
    work = {"ip": IP, "helo": HELO, "mail_from": SENDER, "zone": records(zone)}
    others = peers.contenders("spf", "pass".__eq__, unable=unable, **work)
    mine = [ours(cold), variant("records known", known), call("pyspf", with_pyspf, package("pyspf"))]
    return Size([*mine, *others], cold)


def lists(count: int) -> Size:
    zones = [f"l{number}.example" for number in range(count)]
    resolver = ZoneResolver({(f"1.2.0.192.{zone}", "A"): ["127.0.0.2"] for zone in zones[::2]})

    def query() -> Any:
        return sync.query_rbl(IP, zones, resolver=resolver)

    assert sum(listing.listed for listing in query()) == (count + 1) // 2
    return Size([ours(query)], query)


# --- greylisting ----------------------------------------------------------------------------------------------------

T = 1_800_000_000.0
POLICY = GreylistPolicy()


class Triplet(NamedTuple):
    client: str
    sender: str
    recipient: str

    @classmethod
    def number(cls, i: int) -> Triplet:
        """From all over 16 million networks: an odd factor permutes the 24 bits."""
        network = i * 0x9E3779B1 & 0xFFFFFF
        client = f"{network >> 16}.{network >> 8 & 255}.{network & 255}.9"
        return cls(client, f"ann.b{i}x@example.org", f"bob{i % 5000}x@mailbox.test")

    @property
    def key(self) -> str:
        """As `keys_of` gives it, in less time."""
        return f"{self.client.removesuffix('.9')}.0/24 {self.sender} {self.recipient}"


def triplets(folder: Path, count: int) -> Size:
    """Known triplets, chosen at random from all that the store has, and new ones."""
    first = Triplet.number(1)
    assert keys_of(IPv4Address(first.client), first.sender, first.recipient, POLICY).triplet == first.key
    on_disk = _filled(folder, count)
    chosen = [Triplet.number(i) for i in random.Random(1).choices(range(count), k=4096)]
    news = itertools.count(10**8)

    def known(greylist: sync.Greylist) -> Work:
        turns = itertools.cycle(chosen)
        decision = greylist.check(*next(turns), now=T + 1)
        assert decision.reason == "known", decision
        return lambda: greylist.check(*next(turns), now=T + 1)

    def new() -> object:
        return on_disk.check(*Triplet.number(next(news)), now=T + 1)

    contenders = [ours(known(on_disk)), variant("a new triplet", new)]
    if count <= 100_000:
        in_memory = sync.Greylist("memory:", policy=POLICY)
        store: Records = in_memory.store
        for i in range(count):
            store.compare_and_set(Triplet.number(i).key, None, _record(i, count))
        contenders.append(variant("in memory", known(in_memory)))
    return Size(contenders, known(on_disk))


def _record(i: int, count: int) -> Record:
    """Known, and to be removed in the order of time within the next month."""
    return Record(State.KNOWN, T - 500, T, 1, 1, int(T) + 86_400 + i * 2_592_000 // count)


def _filled(folder: Path, count: int) -> sync.Greylist:
    """A store of so many triplets in a file, put in by plain SQL."""
    path = folder / f"{count}.db"
    open_store(f"sqlite:///{path}").get(["it makes its tables"])
    connection = sqlite3.connect(path, isolation_level=None)
    statement, _ = swap("", None, _record(0, 1))
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -1000000")  # KB: keys come in no order
    connection.execute("BEGIN")
    connection.executemany(statement, (swap(Triplet.number(i).key, None, _record(i, count))[1] for i in range(count)))
    connection.execute("COMMIT")
    connection.close()
    return sync.Greylist(f"sqlite:///{path}", policy=POLICY)


# --- a session ------------------------------------------------------------------------------------------------------


def recipients(count: int) -> Size:
    """A signed message of 2 KB to so many recipients, each of them greylisted (and known)."""
    text = HEADER + prose(2048)
    message = sync.sign_dkim(text, RSA.private, domain=DOMAIN, selector=SELECTOR) + text
    zone = ZoneResolver(
        {
            (DOMAIN, "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"],
            (f"{SELECTOR}._domainkey.{DOMAIN}", "TXT"): [RSA.record],
            (f"_dmarc.{DOMAIN}", "TXT"): ["v=DMARC1; p=reject"],
        }
    )
    known = sync.Greylist("memory:")
    authenticator = sync.Authenticator(
        "mx.mailbox.test",
        greylist=known,
        resolver=zone,
        restrictions=Restrictions(recipient=[check_spf(), greylist()], data=[check_dkim(), check_dmarc()]),
    )
    to = [f"bob{number}x@mailbox.test" for number in range(count)]

    def session(now: float = NOW) -> int:
        ours = authenticator.session(IP)
        ours.helo(HELO, now=now)
        ours.mail(SENDER, now=now)
        refused = sum(ours.rcpt(each, now=now).reply is not None for each in to)
        if not refused:
            assert ours.data(message, now=now).reply is None
            assert ours.report().authentication_results
        return refused

    assert session(NOW - 1000) == count
    assert session(NOW - 500) == session() == 0
    return Size([ours(session)], session)


# --- the policy service ---------------------------------------------------------------------------------------------

CONFIGURATION = """hostname = "mx.mailbox.test"
[resolver]
zone = "zone"
[restrictions]
recipient = ["check_spf"]
[policyd]
listen = ["inet:127.0.0.1:{port}"]
fields = []
"""
REQUEST = """request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=192.0.2.1
client_name=mx.example.org
helo_name=mx.example.org
sender=ann@example.org
recipient=bob@mailbox.test
recipient_count=0
queue_id=
instance={instance}
size=4321

"""


class Service:
    """The policy service in a process of its own, started when it is first needed; it checks SPF, DNS in memory."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._address = ""
        self._connections: list[socket.socket] = []
        self._selector = stack.enter_context(contextlib.closing(selectors.DefaultSelector()))
        self._instances = itertools.count()

    def _start(self) -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        port = free_port()
        self._address = f"inet:127.0.0.1:{port}"
        zone, file = self._folder / "zone", self._folder / "mailauth.toml"
        zone.write_text(f'$ORIGIN {DOMAIN}.\n@ 60 IN TXT "v=spf1 ip4:192.0.2.0/24 -all"\n')
        file.write_text(CONFIGURATION.format(port=port))
        command = [sys.executable, "-m", "mailauth", "policyd", "--config", str(file)]
        self._process = self._stack.enter_context(running(command, self._address))

    def connected(self, count: int) -> list[socket.socket]:
        """So many connections, each of which has asked before."""
        if not self._address:
            self._start()
        while len(self._connections) < count:
            connection = self._stack.enter_context(connect(self._address))
            self._selector.register(connection, selectors.EVENT_READ)
            self._connections.append(connection)
            self._ask([connection])
        return self._connections[:count]

    def _ask(self, connections: Sequence[socket.socket]) -> None:
        """One request on each of them, all at the same time."""
        for connection in connections:
            connection.sendall(REQUEST.format(instance=next(self._instances)).encode())
        left = len(connections)
        while left:
            for key, _ in self._selector.select():
                reply = key.fileobj.recv(4096)  # type: ignore[union-attr]
                if reply != b"action=DUNNO\n\n":
                    raise RuntimeError(f"the policy service says {reply!r}")
                left -= 1

    def idle(self, count: int) -> Size:
        """One connection asks, so many do not."""
        return Size([self._contender(self.connected(count + 1)[-1:])])

    def busy(self, count: int) -> Size:
        return Size([self._contender(self.connected(count))])

    def _contender(self, connections: Sequence[socket.socket]) -> Contender:
        def timed(loops: int) -> float:
            start = processor_time(self._process)
            for _ in range(loops):
                self._ask(connections)
            return processor_time(self._process) - start

        return Contender(OURS, timed, package("mailauth"))


def processor_time(process: int) -> float:
    """Seconds of a processor that a process has taken so far (Linux, proc(5): its schedstat is in nanoseconds)."""
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
