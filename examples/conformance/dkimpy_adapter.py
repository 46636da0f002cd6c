"""An adapter for ``python -m mailauth.testing.conformance``: dkimpy, which asks the DNS server of the request.

``python -m mailauth.testing.conformance --protocol dkim --protocol arc --adapter "python dkimpy_adapter.py"``
"""

import json
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import dns.exception
import dns.resolver

import dkim

Lookup = Callable[..., bytes | None]


def lookup_of(request: dict[str, Any]) -> tuple[Lookup, list[str]]:
    """What dkimpy asks for a TXT record, and the names whose questions failed."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [request["dns"]["address"]], request["dns"]["port"]
    resolver.lifetime = 0.5
    failed: list[str] = []

    def lookup(name: bytes, timeout: float = 1) -> bytes | None:
        try:
            answer = resolver.resolve(name.decode(), "TXT")
        except (dns.exception.Timeout, dns.resolver.NoNameservers):
            failed.append(name.decode())
            return None
        except dns.exception.DNSException:  # no such name, no such records, or no name at all
            return None
        return b"".join(answer[0].strings)

    return lookup, failed


def check_dkim(request: dict[str, Any]) -> dict[str, Any]:
    message = b64decode(request["message"])
    verifier = dkim.DKIM(message, minkey=1024, timeout=1)
    signatures = []
    for index, _ in enumerate(name for name, _ in verifier.headers if name.lower() == b"dkim-signature"):
        lookup, failed = lookup_of(request)
        try:
            passed = dkim.DKIM(message, minkey=1024, timeout=1).verify(idx=index, dnsfunc=lookup)
        except dkim.DKIMException:
            passed = False
        signatures.append("success" if passed else "tempfail" if failed else "permfail")
    return {"signatures": signatures}


def check_arc(request: dict[str, Any]) -> dict[str, Any]:
    lookup, _ = lookup_of(request)
    result, _, _ = dkim.arc_verify(b64decode(request["message"]), dnsfunc=lookup, minkey=1024, timeout=1)
    return {"result": result.decode()}


CHECKS = {"dkim": check_dkim, "arc": check_arc}

for line in sys.stdin:
    request = json.loads(line)
    now = request.get("now", 0)
    time.time = lambda: now  # noqa: B023 - dkimpy asks this clock, within this turn of the loop
    try:
        check = CHECKS.get(request["protocol"])
        reply: dict[str, Any] = {"unsupported": True} if check is None else check(request)
    except Exception as error:  # noqa: BLE001 - what it raises is no result
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
