"""One evaluation through `mailauth.sync.check_dmarc`, DNS in memory, the results of SPF and DKIM given.

mailauth keeps the records that it has parsed; "new domain" is with all that it keeps forgotten before each evaluation.
authheaders runs in its mode of RFC 9989. For alignment it reads a public suffix list each time; "list kept" is with the
reading taken out. npm's mailauth (JavaScript) follows RFC 7489: instead of walking up the tree of names it looks into a
public suffix list that it keeps, so it asks two questions at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar

import authheaders
from publicsuffix2 import PublicSuffixList

from benchmarks.measure import Case, Contender, call, forgetful, ours, package, software, variant
from benchmarks.peers import Peers, records
from mailauth import sync
from mailauth.resolvers import ZoneResolver

TITLE = "DMARC"

T = TypeVar("T")
RECORDS = {"example.org": "v=DMARC1; p=reject; rua=mailto:agg@example.org", "psd.test": "v=DMARC1; p=none; psd=y"}
READ_EACH_TIME = authheaders.get_org_domain
KEPT = PublicSuffixList()
ANSWERS = {(f"_dmarc.{name}", "TXT"): [text] for name, text in RECORDS.items()}
ZONE = ZoneResolver(ANSWERS)


def result_of(domain: str) -> Any:
    return SimpleNamespace(result="pass", identity="mailfrom", domain=domain, selector="s1")


def evaluations() -> list[tuple[str, str, str, str]]:
    """Name, author, MAIL FROM and d=."""
    return [
        ("own record, both aligned", "example.org", "example.org", "example.org"),
        ("walk of four labels", "a.b.example.org", "a.b.example.org", "example.org"),
        ("relaxed, other subdomains", "news.example.org", "bounce.example.org", "mail.example.org"),
        ("no record", "a.b.nothing.test", "a.b.nothing.test", "nothing.test"),
        ("eight questions", "a.b.c.d.e.f.g.h.i.example.org", "x.example.org", "example.org"),
    ]


def answer(name: str) -> str:
    return RECORDS.get(name.removeprefix("_dmarc."), "")


def with_kept_list(function: Callable[[], T]) -> Callable[[], T]:
    """authheaders, with a public suffix list that was read before."""

    def kept() -> T:
        authheaders.get_org_domain = KEPT.get_public_suffix
        try:
            return function()
        finally:
            authheaders.get_org_domain = READ_EACH_TIME

    return kept


def cases() -> Iterator[Case]:
    with Peers() as peers:
        for name, *domains in evaluations():
            yield Case(name, contenders(peers, *domains))


def contenders(peers: Peers, author: str, mail_from: str, signer: str) -> list[Contender]:
    """All of them, for one evaluation, with the same result."""
    version = package("authheaders")
    own, theirs = evaluate(author, mail_from, signer), evaluate_with_authheaders(author, mail_from, signer)
    result = own()
    assert result == theirs() == with_kept_list(theirs)(), (author, result, theirs())
    task = {"author": f"ann@{author}", "spf_domain": mail_from, "dkim_domain": signer, "zone": records(ANSWERS)}
    return [
        ours(own),
        variant("new domain", forgetful(own, "mailauth.dmarc", "mailauth.mail")),
        call("authheaders", theirs, version),
        call("list kept", with_kept_list(theirs), software("authheaders")),
        *peers.contenders("dmarc", lambda found: bool(found[0] == result), **task),
    ]


def evaluate(author: str, mail_from: str, signer: str) -> Callable[[], str]:
    spf, dkim = result_of(mail_from), [result_of(signer)]
    return lambda: str(sync.check_dmarc(author, spf=spf, dkim=dkim, resolver=ZONE).result)


def evaluate_with_authheaders(author: str, mail_from: str, signer: str) -> Callable[[], str]:
    message = f"From: Ann <ann@{author}>\r\nSubject: hello\r\n\r\nHello.\r\n".encode()
    dkim = authheaders.DKIMAuthenticationResult(result="pass", header_d=signer)

    def check() -> str:
        # Made for each call, since the call changes it.
        spf = authheaders.SPFAuthenticationResult(result="pass", smtp_mailfrom=f"ann@{mail_from}")
        return str(authheaders.check_dmarc(message, spf, dkim, dnsfunc=answer, dmarcbis=True).result)

    return check
