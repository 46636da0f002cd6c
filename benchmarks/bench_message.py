"""A whole message: SPF of MAIL FROM and HELO, every DKIM signature, DMARC, and the Authentication-Results field.

"mailauth" is `Authenticator.check`, which checks reverse DNS and ARC as well; it has met the sender before, and keeps
parsed records and keys. "New sender" is with all that it keeps forgotten before each message. "By hand" is what a user
writes around pyspf, dkimpy and authres, without DMARC. "authheaders" is its `authenticate_message`: SPF of MAIL FROM,
the topmost DKIM signature, DMARC by RFC 9989, with its public suffix list read before. "Session" is mailauth's session
through the phases of SMTP, with restrictions that make the same checks. "npm mailauth" (JavaScript) is its
`authenticate` with BIMI switched off: SPF of MAIL FROM, every DKIM signature, ARC, DMARC by a public suffix list (RFC
7489), no reverse DNS. All DNS is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import authheaders

import authres
import dkim as dkimpy
import spf
from benchmarks.bench_dmarc import with_kept_list
from benchmarks.dkimwork import DOMAIN, ED25519, HEADER, RSA, SELECTOR, prose
from benchmarks.measure import Case, call, forgetful, ours, package, variant
from benchmarks.peers import Peers, records
from mailauth import sync
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import Restrictions, check_dkim, check_dmarc, check_spf, reject_unknown_client_hostname

TITLE = "A whole message"

IP, HELO, SENDER, RECIPIENT, HOSTNAME = "192.0.2.1", "mx.example.org", "ann@example.org", "bob@mailbox.test", "mx.test"
OTHER = "sel2"
TEXTS = {
    "example.org": "v=spf1 ip4:192.0.2.0/24 -all",
    "mx.example.org": "v=spf1 a -all",
    f"{SELECTOR}._domainkey.{DOMAIN}": RSA.record,
    f"{OTHER}._domainkey.{DOMAIN}": ED25519.record,
    "_dmarc.example.org": "v=DMARC1; p=reject",
}
ADDRESSES = {"mx.example.org": IP}
ANSWERS = {
    **{(name, "TXT"): [text] for name, text in TEXTS.items()},
    **{(name, "A"): [address] for name, address in ADDRESSES.items()},
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org"],
}
ZONE = ZoneResolver(ANSWERS)


def spf_lookup(name: str, kind: str, *_: object, **__: object) -> list[tuple[tuple[str, str], object]]:
    """pyspf's DNS."""
    if kind == "TXT" and name in TEXTS:
        return [((name, kind), (TEXTS[name].encode(),))]
    return [((name, kind), ADDRESSES[name])] if kind == "A" and name in ADDRESSES else []


def txt(name: Any, *_: object, **__: object) -> Any:
    """dkimpy's DNS, in octets, and that of authheaders, in text."""
    text = TEXTS.get((name.decode() if isinstance(name, bytes) else name).rstrip("."), "")
    return text.encode() if isinstance(name, bytes) else text


def by_hand(message: bytes) -> str:
    """As a user would write it."""
    results = []
    for sender, helo in (("", HELO), (SENDER, HELO)):
        result, _ = spf.check2(IP, sender, helo)
        identity = {"smtp_mailfrom": DOMAIN} if sender else {"smtp_helo": helo}
        results.append(authres.SPFAuthenticationResult(result=result, **identity))
    verifier = dkimpy.DKIM(message)
    count = sum(name.lower() == b"dkim-signature" for name, _ in verifier.headers)
    for index in range(count):
        try:
            good = verifier.verify(idx=index, dnsfunc=txt)
        except dkimpy.DKIMException:
            good = False
        fields = {name: verifier.signature_fields.get(name, b"").decode() for name in (b"d", b"s", b"a")}
        results.append(
            authres.DKIMAuthenticationResult(
                result="pass" if good else "fail", header_d=fields[b"d"], header_s=fields[b"s"], header_a=fields[b"a"]
            )
        )
    return str(authres.AuthenticationResultsHeader(authserv_id=HOSTNAME, results=results))


def with_authheaders(message: bytes) -> str:
    return str(
        authheaders.authenticate_message(
            message, HOSTNAME, spf=True, ip=IP, mail_from=SENDER, helo=HELO, dnsfunc=txt, dmarcbis=True
        )
    )


def session(message: bytes) -> Callable[[], str]:
    """The phases of one mail; the authenticator is made once, as a server makes it."""
    restrictions = Restrictions(
        helo=[check_spf(identity="helo")],
        recipient=[check_spf(), reject_unknown_client_hostname()],
        data=[check_dkim(), check_dmarc()],
    )
    authenticator = sync.Authenticator(HOSTNAME, restrictions=restrictions, resolver=ZONE)

    def run() -> str:
        mine = authenticator.session(IP)
        mine.connect()
        mine.helo(HELO)
        mine.mail(SENDER)
        mine.rcpt(RECIPIENT)
        mine.data(message)
        return mine.report().authentication_results.decode()

    return run


def signed(octets: int, *keys: tuple[Any, str]) -> bytes:
    message = HEADER + prose(octets)
    fields = [sync.sign_dkim(message, key.pem, domain=DOMAIN, selector=selector) for key, selector in keys]
    return b"".join(fields) + message


def cases() -> Iterator[Case]:
    spf.DNSLookup = spf_lookup
    rsa, both = (RSA, SELECTOR), ((RSA, SELECTOR), (ED25519, OTHER))
    messages = {
        "2 KB": signed(2_000, rsa),
        "2 KB, two signatures": signed(2_000, *both),
        "20 KB": signed(20_000, rsa),
        "200 KB": signed(200_000, rsa),
    }
    authenticator = sync.Authenticator(HOSTNAME, resolver=ZONE)
    with Peers() as peers:
        for name, message in messages.items():
            yield case(name, message, authenticator, peers)


def case(name: str, message: bytes, authenticator: sync.Authenticator, peers: Peers) -> Case:
    def check() -> str:
        report = authenticator.check(message, ip=IP, helo=HELO, mail_from=SENDER, rcpt_to=RECIPIENT)
        return report.authentication_results.decode()

    phases, theirs = session(message), with_kept_list(lambda: with_authheaders(message))
    signatures = message.count(b"DKIM-Signature:")
    for field, passes in ((check(), 4 + signatures), (phases(), 4 + signatures), (by_hand(message), 2 + signatures)):
        assert field.count("=pass") == passes, field
    assert theirs().count("=pass") == 3, theirs()
    expected = {"spf": "pass", "dkim": ["pass"] * signatures, "dmarc": "pass"}
    task = {"message": peers.file(message), "ip": IP, "helo": HELO, "mail_from": SENDER, "hostname": HOSTNAME}
    return Case(
        name,
        [
            ours(check),
            variant("new sender", forgetful(check, "mailauth")),
            variant("session", phases),
            call("by hand", lambda: by_hand(message)),
            call("authheaders", theirs, package("authheaders")),
            *peers.contenders("whole", expected.__eq__, **task, zone=records(ANSWERS)),
        ],
    )
