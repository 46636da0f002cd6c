"""One request of Postfix's policy protocol over TCP, answered by greylisting alone, one process each.

"normal" and "full" are the durability of mailauth's SQLite store, which is asked through the command
`mailauth policyd`; postgrey syncs for each request, as "full" does, also for a known triplet, for which mailauth writes
nothing. Each connection asks again once it has its answer.
"""

from __future__ import annotations

import itertools
import selectors
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.measure import OURS, Case, Contender, missing, package
from benchmarks.services import connect, debian_version, running

TITLE = "The policy service"

POSTGREY = Path("/usr/sbin/postgrey")
CONNECTIONS = (1, 8)
DELAY = 1
KNOWN = 200
REQUEST = """request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address={client}
client_name=unknown
client_port=50611
reverse_client_name=unknown
server_address=192.0.2.25
server_port=25
helo_name=mx.example.org
sender={sender}
recipient={recipient}
recipient_count=0
queue_id=
instance={instance}
size=4321
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
policy_context=

"""


def requests(numbers: Sequence[int], attempt: int) -> list[bytes]:
    """Requests for mail from a thousand networks, each of one message of its own."""
    return [
        REQUEST.format(
            client=f"10.{i % 1000 >> 8}.{i % 1000 & 255}.7",
            sender=f"ann.n{i}x@example.org",
            recipient=f"bob{i % 200}x@example.net",
            instance=f"{attempt}.{i}.1",
        ).encode()
        for i in numbers
    ]


def ask(port: int, connections: int, octets: Sequence[bytes]) -> tuple[float, list[str]]:
    """The seconds that the requests took, each connection asking again once it has its answer; the actions."""
    selector = selectors.DefaultSelector()
    waiting, actions = iter(octets), []
    for _ in range(connections):
        connection = connect(f"inet:127.0.0.1:{port}")
        selector.register(connection, selectors.EVENT_READ, connection)
    keys = list(selector.get_map().values())
    start, left = time.perf_counter(), len(octets)
    for key in keys:
        key.data.sendall(next(waiting))
    parts: dict[int, bytes] = defaultdict(bytes)
    while left:
        for key, _ in selector.select():
            reply = parts.pop(key.fd, b"") + key.data.recv(4096)
            if not reply:
                raise ConnectionError("the service closed the connection")
            if not reply.endswith(b"\n\n"):
                parts[key.fd] = reply
                continue
            left -= 1
            actions.append(reply.removeprefix(b"action=").split(None, 1)[0].decode())
            request = next(waiting, None)
            if request is not None:
                key.data.sendall(request)
    taken = time.perf_counter() - start
    for key in keys:
        key.data.close()
    return taken, actions


# --- the services --------------------------------------------------------------------------------------------


CONFIGURATION = """hostname = "mx.example.net"
[resolver]
zone = "empty.zone"
[restrictions]
recipient = ["greylist prove_by=iprev"]
[greylist]
store = "{store}"
delay = {delay}
auto_allow = 0
[policyd]
listen = ["inet:127.0.0.1:{port}"]
fields = []
"""


def command_of(folder: Path, store: str, port: int) -> list[str]:
    """The command that users run, with one restriction and no DNS."""
    (folder / "empty.zone").write_text("")
    file = folder / f"mailauth.{port}.toml"
    file.write_text(CONFIGURATION.format(store=store, delay=DELAY, port=port))
    return [sys.executable, "-m", "mailauth", "policyd", "--config", str(file)]


def postgrey(folder: Path, port: int) -> list[str]:
    folder.mkdir()
    shutil.chown(folder, user="postgrey", group="postgrey")
    options = {"inet": f"127.0.0.1:{port}", "dbdir": str(folder), "delay": str(DELAY), "auto-whitelist-clients": "0"}
    empty = folder / "none"
    empty.write_text("")
    options |= {"whitelist-clients": str(empty), "whitelist-recipients": str(empty)}
    return [str(POSTGREY), *(f"--{name}={value}" for name, value in options.items())]


class Service:
    """One service at work, and the triplets that it knows."""

    def __init__(self, name: str, port: int) -> None:
        self.name, self.port = name, port
        self._fresh, self._attempt = itertools.count(KNOWN), itertools.count()
        self._once({"DEFER_IF_PERMIT"}, range(KNOWN))

    def _once(self, expected: set[str], numbers: Sequence[int]) -> None:
        _, actions = ask(self.port, 1, requests(numbers, next(self._attempt)))
        self._expect(actions, expected)

    def accept(self) -> None:
        """The second attempts, after the delay."""
        self._once({"DUNNO", "PREPEND"}, range(KNOWN))

    def _expect(self, actions: Sequence[str], expected: set[str]) -> None:
        if not set(actions) <= expected:
            raise RuntimeError(f"{self.name}: {set(actions)} in place of {expected}")

    def new(self, connections: int, count: int) -> float:
        """Triplets that nobody has seen; the seconds for so many requests."""
        numbers = list(itertools.islice(self._fresh, count))
        return self._time(connections, numbers, {"DEFER_IF_PERMIT"})

    def known(self, connections: int, count: int) -> float:
        """Triplets that have waited."""
        return self._time(connections, [i % KNOWN for i in range(count)], {"DUNNO", "PREPEND"})

    def _time(self, connections: int, numbers: Sequence[int], expected: set[str]) -> float:
        taken, actions = ask(self.port, min(connections, len(numbers)), requests(numbers, next(self._attempt)))
        self._expect(actions, expected)
        return taken


def services(stack: ExitStack) -> dict[str, Service]:
    """All that are here, each with its known triplets."""
    from tests.servers import free_port

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    folder.chmod(0o755)
    found = {}
    stores = {"normal": f"sqlite://{folder}/normal.db", "full": f"sqlite://{folder}/full.db?durability=full"}
    for name, store in stores.items():
        port = free_port()
        stack.enter_context(running(command_of(folder, store, port), f"inet:127.0.0.1:{port}"))
        found[name] = Service(OURS, port)
    if POSTGREY.exists():
        port = free_port()
        stack.enter_context(running(postgrey(folder / "postgrey", port), f"inet:127.0.0.1:{port}"))
        found["postgrey"] = Service("postgrey", port)
    time.sleep(DELAY + 0.1)
    for service in found.values():
        service.accept()
    return found


def cases() -> Iterator[Case]:
    with ExitStack() as stack:
        found = services(stack)
        theirs, version = found.pop("postgrey", None), debian_version("postgrey")
        for kind, connections in itertools.product(("new", "known"), CONNECTIONS):
            for store, own in found.items():
                contenders = [Contender(OURS, partial(getattr(own, kind), connections), package(OURS))]
                if theirs is None:
                    contenders.append(missing("postgrey"))
                else:
                    contenders.append(Contender("postgrey", partial(getattr(theirs, kind), connections), version))
                words = f"{connections} connection{'s' * (connections > 1)}"
                yield Case(f"{kind}, {words}, {store}", contenders, seconds=0.2)
