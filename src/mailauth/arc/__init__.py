"""ARC (RFC 8617): verify the chain of seals that forwarders and mailing lists put on a message. Nothing is sealed.

Each server that forwards a message may add a set of three fields: what it found out about the message when it came in
(ARC-Authentication-Results), a signature of the message as it goes out, and a seal over all sets so far. Whoever trusts
those that sealed may believe what they found::

    result = run(verify(message, now=time.time()), resolver)
    result.result, result.reason, result.chain, result.oldest_pass
    result.vouch("example.org", {"lists.example"})

A chain proves who handled the message, not that they are honest: a chain of unknown sealers changes nothing. It is
built on `mailauth.dkim`. Reading order: result.py, fields.py (the sets and their fields), verification.py.
"""

from __future__ import annotations

from mailauth.arc.fields import FIELD_NAMES
from mailauth.arc.result import NO_CHAIN, ArcResult, ArcSet, ChainStatus, Reason
from mailauth.arc.verification import Chain, Verifier, verify

__all__ = ["FIELD_NAMES", "NO_CHAIN", "ArcResult", "ArcSet", "Chain", "ChainStatus", "Reason", "Verifier", "verify"]
