"""An adapter for ``python -m mailauth.testing.conformance``: pyspf, which asks the DNS server of the request.

``python -m mailauth.testing.conformance --protocol spf --adapter "python pyspf_adapter.py"``
"""

import json
import sys
from typing import Any

import dns.resolver

import spf


def check(request: dict[str, Any]) -> dict[str, str]:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [request["dns"]["address"]], request["dns"]["port"]
    dns.resolver.default_resolver = resolver
    sender = "" if request["identity"] == "helo" else request["mail_from"]
    query = spf.query(request["ip"], sender, request["helo"], receiver=request["receiver"], timeout=1)
    query.t = str(request["now"])
    result, _, words = query.check()
    explanation = "" if words == spf.EXPLANATIONS["fail"] else words
    return {"result": result, "explanation": explanation} if result == "fail" else {"result": result}


for line in sys.stdin:
    request = json.loads(line)
    try:
        reply: dict[str, Any] = check(request) if request["protocol"] == "spf" else {"unsupported": True}
    except Exception as error:  # noqa: BLE001 - what it raises is no result
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
