"""One message of 4 KB through a real Postfix that throws it away, with a filter that Postfix asks over TCP or a socket.

"verify" looks at mail without a signature and adds Authentication-Results, which for mailauth means SPF, reverse DNS,
DKIM and DMARC, for OpenDKIM DKIM alone; "sign" signs with RSA-2048. The floor is Postfix without a filter. The time
is that of a message of all sessions together. Over TCP, OpenDKIM's time is mostly waiting for delayed acknowledgements,
some 40 ms each: mailauth sets TCP_NODELAY, libmilter does not.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.dkimwork import RSA
from benchmarks.filters import TASKS, command_of, opendkim_command, opendkim_program
from benchmarks.measure import FLOOR, OURS, Case, Contender, missing, package
from benchmarks.services import debian_version, running

TITLE = "The milter"

OCTETS = 4096
SESSIONS = (1, 4)
FAMILIES = ("inet", "unix")
OPENDKIM = "OpenDKIM"
ADDS = {"verify": b"Authentication-Results:", "sign": b"DKIM-Signature:"}


def deliver(port: int, sessions: int, recipient: str, count: int) -> float:
    """The seconds that so many messages take."""
    sessions = min(sessions, count)
    command = ["smtp-source", "-d", "-s", str(sessions), "-m", str(count), "-l", str(OCTETS)]
    command += ["-f", "ann@example.org", "-t", recipient, f"inet:127.0.0.1:{port}"]
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def cases() -> Iterator[Case]:
    filters = [OURS, OPENDKIM] if opendkim_program() else [OURS]
    with ExitStack() as stack:
        mta, ports = start(stack, filters)
        for number, (name, task, family) in enumerate(ports, 1):
            check(mta, ports[name, task, family], ADDS[task], number)
        versions = {OURS: package(OURS), OPENDKIM: debian_version("opendkim")}
        for task, family, sessions in product(TASKS, FAMILIES, SESSIONS):
            contenders = [Contender(FLOOR, partial(deliver, mta.port, sessions, "bob@mailbox.test"))]
            for name in (OURS, OPENDKIM):
                if name not in filters:
                    contenders.append(missing(name))
                    continue
                work = partial(deliver, ports[name, task, family], sessions, "bob@mailbox.test")
                contenders.append(Contender(name, work, versions[name]))
            words = f"{sessions} session{'s' * (sessions > 1)}"
            yield Case(f"{task}, {family}, {words}", contenders, seconds=0.5)


def start(stack: ExitStack, filters: list[str]) -> tuple[Any, dict[tuple[str, str, str], int]]:
    """Postfix with a port for each filter and task, and the filters; the ports."""
    from tests.postfix import Postfix
    from tests.servers import free_port

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-milter-")))
    folder.chmod(0o755)
    key = folder / "key.pem"
    key.write_bytes(RSA.pem)
    addresses = {
        (name, task, family): f"inet:127.0.0.1:{free_port()}" if family == "inet" else f"unix:{folder}/{name}-{task}"
        for name, task, family in product(filters, TASKS, FAMILIES)
    }
    for task in TASKS:
        both = [addresses[OURS, task, family] for family in FAMILIES]
        stack.enter_context(running(command_of(task, key, both), both[1]))
    for (name, task, family), address in addresses.items():
        if name == OPENDKIM:
            place = folder / f"{task}-{family}"
            place.mkdir()
            command = opendkim_command(str(opendkim_program()), place, task, key, address)
            stack.enter_context(running(command, address))
    services = "".join(
        f"127.0.0.1:{{port{number}}} inet n - n - - smtpd -o smtpd_milters={address}\n"
        for number, address in enumerate(addresses.values())
    )
    settings = {
        "virtual_transport": "discard",
        "transport_maps": "inline:{{check@mailbox.test=virtual}}",  # to see what the filter adds
        "milter_default_action": "tempfail",
    }
    mta = stack.enter_context(Postfix(settings=settings, services=services))
    return mta, {case: mta.port_of(f"port{number}") for number, case in enumerate(addresses)}


def check(mta: Any, port: int, field: bytes, number: int) -> None:
    """One message that is kept: the filter has added its field."""
    deliver(port, 1, "check@mailbox.test", 1)
    message = mta.messages(number)[-1]
    if field not in message:
        raise RuntimeError(f"no {field.decode()} in {message.decode(errors='replace')}")
