"""`serving`: a whole server from one configuration file.

A running server from a configuration. No decisions.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mailauth import config as configuration
from mailauth.aiosmtpd.handler import Deliver, Limits, MailauthHandler
from mailauth.aiosmtpd.protocol import MailauthServer
from mailauth.aiosmtpd.signing import OutboundSigner
from mailauth.config import Config, ListenConfig
from mailauth.plan import AsyncResolver

IDENT = "ESMTP"
"""What the greeting says behind the name: no version, which helps only those who look for old ones."""


def handler_of(
    config: Config,
    deliver: Deliver,
    *,
    resolver: AsyncResolver | None = None,
    clock: Callable[[], float] = time.time,
) -> MailauthHandler:
    """The handler that the configuration describes. Raises what the builders of `mailauth.config` raise."""
    listen = config.listen or ListenConfig()
    table = configuration.signing_table(config)
    return MailauthHandler(
        configuration.async_authenticator(config, resolver=resolver, clock=clock),
        deliver,
        networks=config.networks,
        sign=None if table is None else OutboundSigner(table),
        fields=listen.fields,
        refuse_bare_line_ends=listen.refuse_bare_line_ends,
        limits=Limits(
            max_recipients=listen.max_recipients,
            max_connections=listen.max_connections,
            max_connections_per_client=listen.max_connections_per_client,
            max_errors=listen.max_errors,
            max_junk_commands=listen.max_junk_commands,
            data=config.deadlines.data,
            delivery=config.deadlines.delivery,
        ),
    )


def server_arguments(config: Config) -> dict[str, Any]:
    """The arguments of `MailauthServer` (and of any `aiosmtpd.smtp.SMTP`) that the configuration has."""
    listen = config.listen or ListenConfig()
    return {
        "hostname": config.hostname,
        "ident": IDENT,
        "data_size_limit": listen.max_size,
        "enable_SMTPUTF8": True,
        "timeout": config.deadlines.idle,
        "tls_context": _tls(listen),
    }


def _tls(listen: ListenConfig) -> ssl.SSLContext | None:
    if listen.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(listen.tls_certificate, listen.tls_key)
    return context


@asynccontextmanager
async def serving(
    config: Config,
    deliver: Deliver,
    *,
    resolver: AsyncResolver | None = None,
    clock: Callable[[], float] = time.time,
    **arguments: Any,
) -> AsyncIterator[asyncio.Server]:
    """A server that listens as ``[listen]`` says, until the block ends; `deliver` gets the messages.

    Further `arguments` are aiosmtpd's (``authenticator=`` for AUTH, say) and come before those of the configuration.
    """
    listen = config.listen or ListenConfig()
    handler = handler_of(config, deliver, resolver=resolver, clock=clock)
    own = {**server_arguments(config), **arguments}
    if not {"authenticator", "auth_callback"} & arguments.keys():
        own.setdefault("auth_exclude_mechanism", ("LOGIN", "PLAIN"))  # nobody could pass: AUTH is not offered
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: MailauthServer(handler, loop=loop, **own), listen.host, listen.port, reuse_address=True, backlog=512
    )
    try:
        async with server:
            yield server
    finally:
        greylist = handler.authenticator.greylist
        if greylist is not None:
            await greylist.close()
