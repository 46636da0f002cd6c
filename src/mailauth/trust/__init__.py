"""Who wrote this? A verdict about the author in From, for programs that act on mail.

Two ways lead to an `AuthorVerdict`. `believe` reads the Authentication-Results fields that one's own mail server wrote
(RFC 8601), and takes nothing else for true::

    verdict = believe(message, {"mx.example.net"})
    if verdict.verdict is Verdict.VERIFIED:
        print(verdict.address, "wrote this:", verdict.detail)

`AuthorVerifier` needs no such field: it verifies DKIM and DMARC of the message itself, as it lies in a mailbox;
`mailauth.sync.verify_author` and `mailauth.aio.verify_author` run it. Whatever is in doubt is not verified, and the
verdict says why.

Reading order: verdict.py (the result), policy.py (what is believed, the forms of large providers), author.py (one
From, one address), received.py (where one's own fields end), believe.py, verify.py.
"""

from __future__ import annotations

from mailauth.trust.author import Writer, read_writer
from mailauth.trust.believe import believe, believe_relaxed
from mailauth.trust.policy import (
    GMAIL,
    MICROSOFT_365,
    PROVIDERS,
    YAHOO,
    Leniency,
    Method,
    Placement,
    Provider,
    TrustPolicy,
)
from mailauth.trust.verdict import AuthorVerdict, Evidence, PassedOver, Reason, Verdict, Why
from mailauth.trust.verify import AuthorVerifier, judge

__all__ = [
    "GMAIL",
    "MICROSOFT_365",
    "PROVIDERS",
    "YAHOO",
    "AuthorVerdict",
    "AuthorVerifier",
    "Evidence",
    "Leniency",
    "Method",
    "PassedOver",
    "Placement",
    "Provider",
    "Reason",
    "TrustPolicy",
    "Verdict",
    "Why",
    "Writer",
    "believe",
    "believe_relaxed",
    "judge",
    "read_writer",
]
