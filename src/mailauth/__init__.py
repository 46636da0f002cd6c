"""Mail-authentication primitives: RBL, reverse DNS, SPF, DKIM and greylisting, sync and async.

The version and the root of the error classes, nothing that costs time to import. The protocols are modules of their
own: mailauth.spf, mailauth.dkim, mailauth.rbl, mailauth.iprev, mailauth.greylist; mailauth.sync and mailauth.aio are
the facade over them.
"""

from __future__ import annotations

__all__ = ["MailAuthError", "__version__"]
__version__ = "0.1.0"


class MailAuthError(Exception):
    """Root of the library's own exceptions, raised only for a mistake of the caller.

    Whatever a peer sends (a message, a DNS answer, a HELO name) yields a result, never an exception.
    """
