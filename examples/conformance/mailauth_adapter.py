"""An adapter for ``python -m mailauth.testing.conformance``: this library itself, for every protocol.

It reads a request from each line of standard input, and prints a reply, both a JSON object.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import Callable
from typing import Any, NamedTuple

from mailauth import arc, authres, dkim, dmarc, rbl, spf
from mailauth.greylist import Greylist, GreylistPolicy
from mailauth.plan import run
from mailauth.stores import open_store
from mailauth.testing.conformance import field_values, resolver_of

Request = dict[str, Any]
Reply = dict[str, Any]


def by_spf(request: Request) -> Reply:
    options = {"receiver": request["receiver"], "now": request["now"]}
    if request["identity"] == "helo":
        plan = spf.check_helo(request["ip"], request["helo"], **options)
    else:
        plan = spf.check_host(request["ip"], mail_from=request["mail_from"], helo=request["helo"], **options)
    found = run(plan, resolver_of(request))
    names = ("result", "explanation", "reason", "identity", "domain", "sender", "lookups", "void_lookups")
    return {name: getattr(found, name) for name in names} | {"mechanism": str(found.mechanism or "")}


# RFC 6376 section 6.1: a signature ends in SUCCESS, PERMFAIL or TEMPFAIL.
STATUS = {"pass": "success", "temperror": "tempfail"}


def by_dkim(request: Request) -> Reply:
    plan = dkim.verify(b64decode(request["message"]), now=request["now"])
    found = run(plan, resolver_of(request))
    return {
        "signatures": [STATUS.get(each.result, "permfail") for each in found],
        "results": [each.result for each in found],
        "reasons": [each.reason for each in found],
    }


class Passed(NamedTuple):
    """What SPF or a DKIM signature said, as DMARC takes it."""

    domain: str
    result: str
    identity: str = "mailfrom"
    selector: str = "sel"


def by_dmarc(request: Request) -> Reply:
    spf_result = Passed(**request["spf"]) if request.get("spf") else None
    signatures = [Passed(**each) for each in request.get("dkim", ())]
    found = run(dmarc.check(request["author"], spf=spf_result, dkim=signatures), resolver_of(request))
    names = ("result", "policy", "policy_tag", "disposition", "policy_domain", "organizational_domain", "spf_aligned")
    return {name: getattr(found, name) for name in (*names, "dkim_aligned", "reason")}


def by_arc(request: Request) -> Reply:
    found = run(arc.verify(b64decode(request["message"]), now=request["now"]), resolver_of(request))
    return {
        "result": found.result,
        "reason": found.reason,
        "instance": found.instance,
        "oldest_pass": found.oldest_pass,
    }


def by_rbl(request: Request) -> Reply:
    (found,) = run(rbl.query(request["subject"], [request["list"]]), resolver_of(request))
    return {"result": found.result, "reason": found.reason, "text": found.text}


def by_greylist(request: Request) -> Reply:
    policy = GreylistPolicy(**request["policy"])
    greylist = Greylist(open_store("memory:"), policy=policy)
    decisions = [
        greylist.check(each["ip"], each["mail_from"], each["rcpt_to"], now=each["at"]) for each in request["attempts"]
    ]
    return {
        "actions": [each.action for each in decisions],
        "reasons": [each.reason for each in decisions],
        "retry_after": [each.retry_after for each in decisions],
    }


def by_authres(request: Request) -> Reply:
    if request["do"] == "build":
        results = [
            authres.MethodResult(
                each["method"],
                each["result"],
                tuple(authres.Property(*prop) for prop in each["properties"]),
                each["reason"] or None,
            )
            for each in request["results"]
        ]
        return {"field": authres.build(request["authserv_id"], *results).decode()}
    found = authres.parse(request["value"])
    if isinstance(found, authres.ParseFailure):
        return {"valid": False, "reason": found.reason, "position": found.position}
    comments = [[each.comment, *(prop.comment for prop in each.properties)] for each in found.results]
    return {"valid": True, **field_values(found), "comments": comments}


ANSWERS: dict[str, Callable[[Request], Reply]] = {
    "spf": by_spf,
    "dkim": by_dkim,
    "dmarc": by_dmarc,
    "arc": by_arc,
    "rbl": by_rbl,
    "greylist": by_greylist,
    "authres": by_authres,
}


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        answer = ANSWERS.get(request["protocol"])
        print(json.dumps(answer(request) if answer else {"unsupported": True}), flush=True)


if __name__ == "__main__":
    main()
