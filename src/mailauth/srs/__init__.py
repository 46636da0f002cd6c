"""SRS, the Sender Rewriting Scheme: forwarded mail passes SPF again, and its bounces find their way back.

Whoever forwards mail sends it from an address that SPF does not know for the sender's domain. So the envelope sender
becomes one of the forwarder's own, in which the original is kept; a bounce to it is turned back::

    srs = Srs("forwarder.example", ["a long secret"])
    sender = srs.forward("ann@example.org", now=time.time()).address
    recipient = srs.reverse(sender, now=time.time()).address

`sender` is then ``SRS0=p1Ln4y2q=K5=example.org=ann@forwarder.example``, and `recipient` ``ann@example.org``.

A hash keeps others from sending through the forwarder to whomever they like, a timestamp keeps an address from being
used for ever. What a forwarder before us rewrote becomes SRS1, which does not grow from hop to hop. The scheme is from
"The Sender Rewriting Scheme" (Shevek); the formats are those of Mail::SRS, libsrs2 and postsrsd, and so is the hash
with ``SrsPolicy(classic=True)``.

Reading order: result.py, rewriting.py, tables.py (the protocols in which Postfix asks for it).
"""

from __future__ import annotations

from mailauth.srs.result import Reason, SrsResult
from mailauth.srs.rewriting import Srs, SrsPolicy, read_secrets

__all__ = ["Reason", "Srs", "SrsPolicy", "SrsResult", "read_secrets"]
