"""DMARC: how long one evaluation takes, and what it adds to a whole message. DNS in memory.

Beside authheaders in its mode of RFC 9989, whose answers come from the same dict; results of SPF and DKIM are given.
For alignment it reads its public suffix list anew each time; in the column "list kept" it has read it before.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import authheaders
from publicsuffix2 import PublicSuffixList

from benchmarks.common import package, seconds_per_call, table
from mailauth import sync
from mailauth.dkim import generate_key, record_text
from mailauth.resolvers import CachingResolver, ZoneResolver
from mailauth.restrictions import Restrictions, check_dkim, check_dmarc, check_spf

RECORDS = {"example.org": "v=DMARC1; p=reject; rua=mailto:agg@example.org", "psd.test": "v=DMARC1; p=none; psd=y"}
_read_each_time = authheaders.get_org_domain
_KEPT = PublicSuffixList()
ZONE = ZoneResolver({(f"_dmarc.{name}", "TXT"): [text] for name, text in RECORDS.items()})
NOW = 1_800_000_000.0


def _result(domain: str) -> Any:
    return SimpleNamespace(result="pass", identity="mailfrom", domain=domain, selector="s1")


def _cases() -> list[tuple[str, str, str, str]]:
    """Name, author, MAIL FROM and d=."""
    return [
        ("own record, both aligned", "example.org", "example.org", "example.org"),
        ("walk of four labels", "a.b.example.org", "a.b.example.org", "example.org"),
        ("relaxed, other subdomains", "news.example.org", "bounce.example.org", "mail.example.org"),
        ("no record", "a.b.nothing.test", "a.b.nothing.test", "nothing.test"),
        ("eight questions", "a.b.c.d.e.f.g.h.i.example.org", "x.example.org", "example.org"),
    ]


def _answer(name: str) -> str:
    return RECORDS.get(name.removeprefix("_dmarc."), "")


def _contenders(author: str, mail_from: str, signer: str) -> dict[str, Callable[[], object]]:
    spf, dkim = _result(mail_from), [_result(signer)]
    message = f"From: Ann <ann@{author}>\r\nSubject: hello\r\n\r\nHello.\r\n".encode()
    theirs_dkim = authheaders.DKIMAuthenticationResult(result="pass", header_d=signer)

    def ours() -> object:
        return sync.check_dmarc(author, spf=spf, dkim=dkim, resolver=ZONE)

    def theirs() -> object:
        # Made for each call, since the call changes it.
        theirs_spf = authheaders.SPFAuthenticationResult(result="pass", smtp_mailfrom=f"ann@{mail_from}")
        return authheaders.check_dmarc(message, theirs_spf, theirs_dkim, dnsfunc=_answer, dmarcbis=True)

    def with_its_list_kept() -> object:
        authheaders.get_org_domain = _KEPT.get_public_suffix
        try:
            return theirs()
        finally:
            authheaders.get_org_domain = _read_each_time

    return {"mailauth": ours, "authheaders": theirs, "list kept": with_its_list_kept}


def _growth() -> list[tuple[str, float]]:
    """A whole message with and without DMARC, its records in the cache."""
    key = generate_key()
    text = b"From: Ann <ann@example.org>\r\nTo: bob@mailbox.test\r\nSubject: Hello\r\n\r\n" + b"Hello, Bob.\r\n" * 150
    message = sync.sign_dkim(text, key, domain="example.org", selector="s1", now=NOW) + text
    zone = ZoneResolver(
        {
            ("example.org", "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"],
            ("s1._domainkey.example.org", "TXT"): [record_text(key.public())],
            ("_dmarc.example.org", "TXT"): [RECORDS["example.org"]],
        }
    )

    def session(data: list[Any]) -> Callable[[], object]:
        restrictions = Restrictions(recipient=[check_spf()], data=data)
        auth = sync.Authenticator(
            "mx.mailbox.test", resolver=CachingResolver(zone), restrictions=restrictions, clock=lambda: NOW
        )

        def run() -> object:
            ours = auth.session("192.0.2.1")
            ours.helo("mx.example.org")
            ours.mail("ann@example.org")
            ours.rcpt("bob@mailbox.test")
            ours.data(message)
            return ours.report().authentication_results

        return run

    seconds = seconds_per_call(
        {"SPF and DKIM": session([check_dkim()]), "SPF, DKIM and DMARC": session([check_dkim(), check_dmarc()])}
    )
    return list(seconds.items())


def main() -> None:
    rows = []
    for name, *domains in _cases():
        seconds = seconds_per_call(_contenders(*domains))
        ours, theirs, kept = seconds["mailauth"], seconds["authheaders"], seconds["list kept"]
        rows.append([name, *(f"{each * 1e6:.1f}" for each in (ours, theirs, kept)), f"{kept / ours:.1f}"])
    head = ["", "mailauth", package("authheaders"), "list kept", "list kept / mailauth"]
    table("DMARC, us for one evaluation", head, rows)
    (without, first), (whole, second) = _growth()
    rows = [[without, f"{first * 1e6:.0f}", "1.00"], [whole, f"{second * 1e6:.0f}", f"{second / first:.2f}"]]
    table("A session with its field, us", ["", "us", "ratio"], rows)


if __name__ == "__main__":
    main()
