"""Our filter with keys and a zone: in a thread, or as a process (``python -m tests.milter.runner ADDRESS``)."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from mailauth.aio import Authenticator
from mailauth.dkim import SigningRule, SigningTable
from mailauth.milter.filter import MailFilter
from mailauth.milter.settings import MilterSettings, Mode
from mailauth.resolvers import ZoneResolver
from tests.dkim.makers import ed_key, ed_record, rsa_key, rsa_record

HOSTNAME = "mx.mailbox.test"
CLIENT = "192.0.2.1"
OURS = "198.51.100.7"
ZONE = {
    ("rsa._domainkey.example.org", "TXT"): [rsa_record()],
    ("ed._domainkey.example.org", "TXT"): [ed_record()],
    ("sel._domainkey.example.org", "TXT"): [rsa_record()],
    ("example.org", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"],
    ("_dmarc.example.org", "TXT"): ["v=DMARC1; p=quarantine"],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org"],
    ("mx.example.org", "A"): [CLIENT],
}
TABLE = SigningTable(
    [
        SigningRule(("example.org",), "rsa", rsa_key(), allow=("friend", "partner.example")),
        SigningRule(("example.org",), "ed", ed_key()),
    ]
)


def mail_filter(mode: Mode = "both", settings: MilterSettings | None = None, **failures: str) -> MailFilter:
    zone = ZoneResolver(ZONE, failures={(name.replace("_", "."), "*"): how for name, how in failures.items()})
    authenticator = Authenticator(HOSTNAME, resolver=zone, time_limit=5.0)
    networks = [ipaddress.ip_network(f"{OURS}/32")]
    return MailFilter(authenticator, table=TABLE, settings=settings, networks=networks, mode=mode)


@contextlib.contextmanager
def serving(addresses: Sequence[tuple[str, MailFilter]]) -> Iterator[None]:
    """Serve each filter at its address from an event loop in a thread."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for address, own in addresses:
                await stack.enter_async_context(await own.server.listen(address))
                if address.startswith("unix:"):
                    Path(address.removeprefix("unix:")).chmod(0o666)
            ready.set()
            await stop.wait()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(20)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


if __name__ == "__main__":
    print(os.getpid(), flush=True)
    asyncio.run(mail_filter().server.serve(sys.argv[1]))
