"""mailauth inside an aiosmtpd server.

::

    async def deliver(message: Accepted) -> None: ...

    handler = MailauthHandler(authenticator, deliver)      # for any aiosmtpd server or controller
    server = MailauthServer(handler, ...)                  # aiosmtpd's SMTP with what only the protocol can do

    async with serving(config, deliver) as server:         # or all of it from one configuration file
        await server.serve_forever()

The public names. Nothing of the core imports this package; it needs the extra "aiosmtpd".
"""

from __future__ import annotations

from mailauth.aiosmtpd.delivery import Deliver, LmtpDelivery, MaildirDelivery, NotDelivered, SmtpDelivery, open_delivery
from mailauth.aiosmtpd.handler import Accepted, Limits, MailauthHandler
from mailauth.aiosmtpd.protocol import MailauthMixin, MailauthServer
from mailauth.aiosmtpd.serving import serving
from mailauth.aiosmtpd.signing import OutboundSigner

__all__ = [
    "Accepted",
    "Deliver",
    "Limits",
    "LmtpDelivery",
    "MailauthHandler",
    "MailauthMixin",
    "MailauthServer",
    "MaildirDelivery",
    "NotDelivered",
    "OutboundSigner",
    "SmtpDelivery",
    "open_delivery",
    "serving",
]
