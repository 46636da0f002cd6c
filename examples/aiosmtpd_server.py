"""A mail server: authenticates what comes in by one configuration file, and hands it on by SMTP, LMTP or to a Maildir.

python examples/aiosmtpd_server.py examples/aiosmtpd_server.toml

A whole receiving server, as short as a server that one would run can be. Everything that an administrator decides is
in the file that it is given; examples/aiosmtpd_server.toml is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys

from mailauth.aiosmtpd import Accepted, open_delivery, serving
from mailauth.config import Config, ConfigError, load
from mailauth.mail.reply import Reply

log = logging.getLogger("server")


async def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT."""
    assert config.listen is not None
    assert config.listen.deliver_to is not None
    hand_on = open_delivery(config.listen.deliver_to, hostname=config.hostname)

    async def deliver(message: Accepted) -> Reply | None:
        """Your own code goes here; `message.report` has every result, `message.content` the octets with our fields."""
        spf = message.report.spf.result if message.report.spf else "not checked"
        dkim = [f"{signature.result} d={signature.domain}" for signature in message.report.dkim]
        log.info("%s from %s: spf %s, dkim %s", message.id, message.report.ip, spf, dkim or "none")
        return await hand_on(message)

    async with serving(config, deliver) as server:
        addresses = ", ".join("{}:{}".format(*sock.getsockname()[:2]) for sock in server.sockets)
        print(f"{config.hostname} listens on {addresses}", flush=True)
        await until_stopped()


async def until_stopped() -> None:
    """Wait for SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


def main(words: list[str]) -> int:
    """Read the configuration and serve; the exit status is 2 for a file that cannot be used."""
    if len(words) != 2:
        print(f"usage: {words[0]} CONFIG", file=sys.stderr)
        return 2
    try:
        config = load(words[1])
    except (ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if config.listen is None or config.listen.deliver_to is None:
        print(f"{words[1]}: [listen] with deliver_to says where messages go", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd logs every command
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(config))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
