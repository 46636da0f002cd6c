"""Messages and zones that give rich reports: a real-looking one, and one whose every field is hostile."""

from __future__ import annotations

from functools import cache

from mailauth import dkim
from mailauth.mail.header import split
from mailauth.page import render_report
from mailauth.resolvers import RecordingResolver, ZoneResolver
from mailauth.sync import Authenticator, Greylist, explain_dkim, sign_dkim
from mailauth.transaction.report import Report

LIMITS = dkim.ExplainLimits(attempts=500, verifications=500)
NOW = 1_796_061_770.0
IP = "203.0.113.7"

LETTER = b"""\
Received: from relay.lists.example (relay.lists.example [192.0.2.99])\r
\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\r
\tby out7.mailer.example (Postfix) with ESMTPS id 4abc12Zx\r
\tfor <bob@example.net>; Sun, 29 Nov 2026 18:02:41 +0000 (UTC)\r
Received: from app3.news.example.org (unknown [198.51.100.77])\r
\tby relay.lists.example (Exim 4.98) with esmtpsa id 1tABCD-0001;\r
\tSun, 29 Nov 2026 17:48:10 +0000\r
"""
BODY = b"""\
From: "Example News" <offers@news.example.org>\r
To: bob@example.net\r
Subject: =?utf-8?q?Your_offers_=E2=80=93_20_percent_off?=\r
Date: Sun, 29 Nov 2026 17:48:00 +0000\r
Message-ID: <20261129174800.1@news.example.org>\r
\r
Hello Bob,\r
everything is cheap today.\r
"""


@cache
def key() -> dkim.crypto.PrivateKey:  # type: ignore[name-defined]
    return dkim.generate_key("ed25519")


def zone() -> ZoneResolver:
    """The sender's DNS: SPF in several layers, a key, a policy at the organizational domain, two lists."""
    return ZoneResolver(
        {
            ("news.example.org", "TXT"): [
                "v=spf1 ip4:198.51.100.0/24 include:_spf.mailer.example a:gone.example.org ?all"
            ],
            ("_spf.mailer.example", "TXT"): ["v=spf1 ip4:203.0.113.128/25 include:_a.mailer.example -all"],
            ("_a.mailer.example", "TXT"): ["v=spf1 ip6:2001:db8:1::/48 ~all"],
            ("_dmarc.example.org", "TXT"): ["v=DMARC1; p=reject; sp=quarantine; rua=mailto:dmarc@example.org"],
            ("k1._domainkey.news.example.org", "TXT"): [dkim.record_text(key())],
            ("k1._domainkey.mailer.example", "TXT"): [dkim.record_text(key())],
            ("7.113.0.203.in-addr.arpa", "PTR"): ["out7.mailer.example"],
            ("out7.mailer.example", "A"): [IP],
            ("out7.mailer.example", "TXT"): ["v=spf1 a -all"],
            ("7.113.0.203.zen.spamhaus.org", "A"): ["127.0.0.3"],
            ("7.113.0.203.zen.spamhaus.org", "TXT"): ["https://www.spamhaus.org/query/ip/203.0.113.7"],
        },
        failures={("7.113.0.203.slow.example", "*"): "timeout"},
    )


def letter() -> bytes:
    """A message that its author signed, that a mailing list changed, and that a mailer signed again."""
    inner = sign_dkim(BODY, key(), domain="news.example.org", selector="k1") + BODY
    inner = inner.replace(b"today.\r\n", b"today.\r\n-- \r\nThe list\r\n")
    return LETTER + sign_dkim(inner, key(), domain="mailer.example", selector="k1") + inner


def sample() -> str:
    """The page of the letter."""
    page, _ = check(letter(), zone(), helo="out7.mailer.example", mail_from="bounce@news.example.org")
    return page


def check(message: bytes, zone: ZoneResolver, *, helo: str, mail_from: str) -> tuple[str, Report]:
    """The page of a message, and its report, with everything switched on."""
    recorder = RecordingResolver(zone)
    authenticator = Authenticator(
        "mx.example.net",
        rbl=["zen.spamhaus.org", "quiet.example", "slow.example", "secretkey0123456789abcdef01.zen.dq.spamhaus.net"],
        greylist=Greylist("memory:"),
        resolver=recorder,
        trace=True,
    )
    report = authenticator.check(
        message, ip=IP, helo=helo, mail_from=mail_from, rcpt_to=["bob@example.net", "eve@example.net"], now=NOW
    )
    why = explain_dkim(message, now=NOW, resolver=zone, limits=LIMITS)
    page = render_report(report, header=split(message).header, asked=recorder.asked, explanations=why, now=NOW)
    return page, report


# --- hostile ----------------------------------------------------------------------------------------------------------

ATTACKS = (
    "<script>window.hacked=1;alert(1)</script>",
    "\"><img src=x onerror='window.hacked=2;alert(2)'>",
    "'><svg/onload=window.hacked=3><!--",
    "</style></title></pre><iframe srcdoc='<script>top.window.hacked=4</script>'>",
    "javascript:window.hacked=5//",
    "&lt;script&gt;window.hacked=6&lt;/script&gt;",
    "\u202egnp.exe\u2066<b>",
)


def hostile_letter(attack: str) -> bytes:
    """A message with the attack in every field that the page shows."""
    octets = attack.encode()
    signature = (
        b"DKIM-Signature: v=1; a=rsa-sha256; c=" + octets + b"/relaxed; d=evil.example; s=x" + octets + b";\r\n"
        b"\ti=" + octets + b"@evil.example; h=from:" + octets + b"; bh=AAAA; b=AAAA\r\n"
    )
    good = b"DKIM-Signature: v=1; a=ed25519-sha256; d=evil.example; s=k1; h=from:" + octets + b"; bh=AAAA; b=AAAA\r\n"
    return (
        b"Received: from " + octets + b" (" + octets + b" [192.0.2.7])\r\n\tby " + octets + b" with " + octets
        + b" id " + octets + b"\r\n\tfor <" + octets + b">; " + octets + b"\r\n" + signature + good
        + b'From: "' + octets.replace(b'"', b"") + b'" <ann@evil.example>\r\nSubject: '
        + octets + b"\r\nDate: " + octets
        + b"\r\nMessage-ID: <" + octets + b">\r\nX-" + b"Odd: " + octets + b"\r\n\r\n" + octets
    )  # fmt: skip


def hostile_zone(attack: str) -> ZoneResolver:
    """DNS whose every text is the attack."""
    record = attack.encode()
    return ZoneResolver(
        {
            ("evil.example", "TXT"): [b"v=spf1 exists:%{l}.evil.example exp=why.evil.example -all"],
            ("why.evil.example", "TXT"): [record],
            ("_dmarc.evil.example", "TXT"): [b"v=DMARC1; p=reject; x" + record + b"; rua=mailto:" + record],
            ("k1._domainkey.evil.example", "TXT"): [b"v=DKIM1; k=ed25519; n=" + record + b"; p=" + record],
            ("7.113.0.203.in-addr.arpa", "PTR"): ["x.evil.example"],
            ("7.113.0.203.quiet.example", "A"): ["127.0.0.2"],
            ("7.113.0.203.quiet.example", "TXT"): [record],
            ("7.113.0.203.zen.spamhaus.org", "A"): ["127.0.0.2"],
            ("7.113.0.203.zen.spamhaus.org", "TXT"): [record],
        }
    )


def hostile(attack: str) -> str:
    """The page of the hostile message."""
    page, _ = check(hostile_letter(attack), hostile_zone(attack), helo=attack, mail_from=f"{attack}@evil.example")
    return page
