"""The filters of the milter's subjects: ours in a process of its own, and OpenDKIM, each set to one task.

`python -m benchmarks.filters TASK KEYFILE ADDRESS ...` serves ours. "verify" checks mail and adds
Authentication-Results, "sign" signs what comes from this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import shutil
import sys
from pathlib import Path

TASKS = ("verify", "sign")
HOSTNAME, DOMAIN, SELECTOR = "mx.mailbox.test", "example.org", "sel"


def serve(task: str, key: Path, addresses: list[str]) -> None:
    """Our filter, until the process is ended."""
    from mailauth.aio import Authenticator
    from mailauth.dkim import SigningRule, SigningTable
    from mailauth.milter.filter import MailFilter
    from mailauth.resolvers import ZoneResolver

    own = MailFilter(
        Authenticator(HOSTNAME, resolver=ZoneResolver({})),
        table=SigningTable([SigningRule((DOMAIN,), SELECTOR, key.read_bytes())]),
        networks=[ipaddress.ip_network("127.0.0.0/8")] if task == "sign" else (),
    )

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for address in addresses:
                kind, _, rest = address.partition(":")
                if kind == "unix":
                    server = await asyncio.start_unix_server(own.handle, rest)
                    Path(rest).chmod(0o666)
                else:
                    host, _, port = rest.partition(":")
                    server = await asyncio.start_server(own.handle, host, int(port))
                await stack.enter_async_context(server)
            await asyncio.Event().wait()

    asyncio.run(run())


def command_of(task: str, key: Path, addresses: list[str]) -> list[str]:
    """Our filter's command."""
    return [sys.executable, "-m", "benchmarks.filters", task, str(key), *addresses]


def opendkim_program() -> str | None:
    """The path of OpenDKIM's filter, if it is installed."""
    return shutil.which("opendkim", path="/usr/sbin:/usr/bin")


def opendkim_command(program: str, folder: Path, task: str, key: Path, address: str) -> list[str]:
    """The command of an OpenDKIM that does the task, with its configuration in the folder."""
    kind, _, rest = address.partition(":")
    own = f"inet:{rest.rpartition(':')[2]}@127.0.0.1" if kind == "inet" else f"local:{rest}"
    (folder / "internal").write_text("127.0.0.1\n" if task == "sign" else "10.9.9.9\n")
    configuration = folder / "opendkim.conf"
    configuration.write_text(
        f"Socket {own}\nMode {'s' if task == 'sign' else 'v'}\nDomain {DOMAIN}\nSelector {SELECTOR}\n"
        f"KeyFile {key}\nInternalHosts {folder}/internal\nAlwaysAddARHeader yes\nUMask 000\n"
        f"AuthservID {HOSTNAME}\nRequireSafeKeys no\nCanonicalization relaxed/relaxed\nSyslog no\n"
    )
    return [program, "-f", "-x", str(configuration)]


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
