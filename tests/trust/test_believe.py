"""`believe` beyond single attacks: hops between our own servers, providers, relaxed alignment, any octets at all."""

from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.mail.header import split
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from mailauth.trust import AuthorVerdict, Method, Provider, TrustPolicy, Verdict, Why, believe, believe_relaxed
from mailauth.trust.received import read_received

IDS = {"mx.example.net"}
BORDER = (
    "Received: from mail.bank.example (mail.bank.example [203.0.113.9])\n"
    "\tby mx.example.net (Postfix) with ESMTPS id 4XyZ; Sun, 29 Nov 2026 10:00:00 +0000\n"
)
PASS = "Authentication-Results: mx.example.net; dmarc=pass header.from=bank.example\n"
MAIL = "From: Bank <service@bank.example>\nTo: ann@example.net\nSubject: Payment\n\nHello\n"
DKIM = "Authentication-Results: mx.example.net; dkim=pass header.d={} header.s=2026a\n"


def judged(message: str | bytes, **policy: object) -> AuthorVerdict:
    octets = message.encode() if isinstance(message, str) else message
    return believe(octets, IDS, policy=TrustPolicy(**policy))  # type: ignore[arg-type]


def test_the_verdict_tells_what_it_goes_by() -> None:
    verdict = judged(PASS + BORDER + MAIL)
    assert verdict.verdict is Verdict.VERIFIED
    assert (verdict.address, verdict.domain, verdict.aligned) == ("service@bank.example", "bank.example", "strict")
    assert verdict.evidence is not None
    assert (verdict.evidence.method, verdict.evidence.authserv_id, verdict.evidence.index) == ("dmarc", *IDS, 0)
    assert verdict.detail == "mx.example.net says dmarc=pass for bank.example (strict alignment)"
    with pytest.raises(TypeError):
        bool(verdict)
    assert verdict.to_dict()["verdict"] == "verified"


def test_header_file_and_octets_are_the_same() -> None:
    octets = (PASS + BORDER + MAIL).encode()
    assert believe(octets, IDS) == believe(io.BytesIO(octets), IDS) == believe(split(octets).header, IDS)


def test_without_ids_nothing_is_believed_and_those_seen_are_listed() -> None:
    verdict = believe((PASS + BORDER + PASS.replace("mx.example.net", "other") + MAIL).encode())
    assert (verdict.verdict, verdict.reason) == ("unverified", "no-authserv-id")
    assert verdict.authserv_ids == ("mx.example.net", "other")
    assert "'mx.example.net', 'other'" in verdict.detail


@pytest.mark.parametrize("ids", ["", {""}, {"mx.example.net."}, {"a..b"}])
def test_ids_that_cannot_be_ones(ids: str | set[str]) -> None:
    with pytest.raises(ValueError, match="authserv-id"):
        believe(b"", ids)


@pytest.mark.parametrize(
    "policy",
    [
        {"hosts": "mx.example.net"}, {"hosts": ("a b",)}, {"networks": ("x",)}, {"placement": "middle"},
        {"provider": "nobody"}, {"methods": {"iprev"}},
    ],
)  # fmt: skip
def test_policies_that_make_no_sense(policy: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        TrustPolicy(**policy)  # type: ignore[arg-type]


def test_u_labels_and_a_labels_of_an_id_are_the_same() -> None:
    """RFC 8601 section 2.5 and RFC 8616 section 3."""
    for field in ("mx.b\u00fccher.example", "mx.xn--bcher-kva.example"):
        message = (PASS + BORDER).replace("mx.example.net;", f'"{field}";') + MAIL
        for mine in ("mx.b\u00fccher.example", "MX.xn--bcher-kva.example"):
            verdict = believe(message.encode(), mine, policy=TrustPolicy(hosts=("mx.example.net",)))
            assert verdict.verdict is Verdict.VERIFIED, (field, mine, verdict)


# --- hops -----------------------------------------------------------------------------------------------------------

LMTP = "Received: from mx.example.net by imap.example.net with LMTP id 7; Sun, 29 Nov 2026 10:00:01 +0000\n"
FILTER = (
    "Received: from localhost (localhost [127.0.0.1]) by mx.example.net (Postfix) with ESMTP id 2;\n"
    " Sun, 29 Nov 2026 10:00:01 +0000\n"
)
# What a filter behind the queue writes, which takes mail from the server and gives it back.
CONTENT_FILTER = (
    "Received: from mx.example.net ([127.0.0.1]) by localhost (mx.example.net [127.0.0.1]) (filter, port 10024)\n"
    " with ESMTP id 3; Sun, 29 Nov 2026 10:00:01 +0000\n"
)


@pytest.mark.parametrize(
    ("above", "policy", "verdict"),
    [
        (FILTER, {}, "verified"),
        (LMTP, {"hosts": ("example.net",)}, "verified"),
        (LMTP, {}, "unverified"),  # imap.example.net is none of the hosts
        (FILTER.replace("[127.0.0.1]", "[IPv6:::1]"), {}, "verified"),
        (FILTER.replace("127.0.0.1", "10.1.2.3"), {}, "unverified"),  # a proxy may give every client such an address
        (FILTER.replace("127.0.0.1", "10.1.2.3"), {"networks": ("10.0.0.0/8",)}, "verified"),
        (FILTER.replace("[127.0.0.1]", "[IPv6:fd00::1]"), {"networks": ("fd00::/8",)}, "verified"),
        (FILTER.replace("127.0.0.1", "198.51.100.7"), {}, "unverified"),  # another border
        (FILTER.replace("127.0.0.1", "198.51.100.7"), {"networks": ("198.51.100.0/24",)}, "verified"),
        (FILTER.replace("127.0.0.1", "198.51.100.7] [127.0.0.1"), {}, "unverified"),
        (FILTER.replace("ESMTP id", "ESMTPA id"), {}, "unverified"),  # a user handed it in
        (FILTER.replace("ESMTP id", "UTF8SMTPSA id"), {}, "unverified"),
        (FILTER.replace("ESMTP id", "LMTPA id"), {}, "verified"),  # delivery within
        (FILTER + CONTENT_FILTER, {}, "unverified"),
        (FILTER + CONTENT_FILTER, {"hosts": ("mx.example.net", "localhost")}, "verified"),
        (FILTER.replace("from localhost (localhost [127.0.0.1]) ", ""), {}, "unverified"),  # a program handed it in
    ],
)
def test_steps_between_our_own_servers(above: str, policy: dict[str, object], verdict: str) -> None:
    assert judged("Delivered-To: ann@example.net\n" + above + PASS + BORDER + MAIL, **policy).verdict == verdict


def test_an_unknown_host_is_named() -> None:
    verdict = judged(LMTP + PASS + BORDER + MAIL)
    assert verdict.reason == "no-field"
    assert "'imap.example.net', which is none of our hosts" in verdict.detail


def test_only_the_topmost_server_that_wrote_fields_counts() -> None:
    """A client whose address was taken for one of our own, behind a proxy: what it wrote itself stands below."""
    proxied = BORDER.replace("203.0.113.9", "127.0.0.1")
    none = PASS.replace("=pass", "=none")
    verdict = judged(none + proxied + PASS + BORDER + MAIL)
    assert verdict.reason == "no-pass"
    assert [each.why for each in verdict.passed_over if each.what == "Authentication-Results"] == ["not-topmost"]


@pytest.mark.parametrize(
    ("value", "by", "helo", "addresses"),
    [
        ("from a (b [192.0.2.1]) by c (Postfix) with ESMTP id 1; now", "c", "a", ["192.0.2.1"]),
        ("FROM a ([IPv6:2001:db8::1] helo=x) BY c with esmtp; now", "c", "a", ["2001:db8::1"]),
        ("from [127.0.0.1] (helo=x) by c with esmtp; now", "c", "[127.0.0.1]", []),
        ("from 127.0.0.1 by c with SMTP; now", "c", "127.0.0.1", []),
        ("from unknown (HELO x) (192.0.2.1) by c with SMTP; now", "c", "unknown", ["192.0.2.1"]),
        ("from 192.0.2.1 (EHLO x) by 10.1.1.1 with SMTPS; now", "10.1.1.1", "192.0.2.1", []),
        ("from 192.0.2.1 (EHLO 127.0.0.1) by c with SMTPS; now", "c", "192.0.2.1", []),
        ("from [192.0.2.1] (helo=[127.0.0.1]) by c with esmtp; now", "c", "[192.0.2.1]", []),
        ("from [192.0.2.1] (helo=x) (y [127.0.0.1]) by c; now", "c", "[192.0.2.1]", ["127.0.0.1", "192.0.2.1"]),
        ("from a ([192.0.2.1]:25 helo=[127.0.0.1] ident=x) by c; now", "c", "a", ["192.0.2.1", "127.0.0.1"]),
        ("from a (helo [192.0.2.1]) by c; now", "c", "a", []),  # a host of that name
        ('from a (helo [192.0.2.1]) (CN "[127.0.0.1]") by c; now', "c", "a", ["192.0.2.1", "127.0.0.1"]),
        ('from a ([127.0.0.1]) by c ( ([192.0.2.1]) by c for <"a)"@b>; now', None, None, []),
        ('from a ([127.0.0.1]) by c.d ( ([192.0.2.1]) by e.f for <"a)"@b>; now', None, None, []),
        ('from a ([127.0.0.1])by c ( ([192.0.2.1]) by c for <"a)"@b>; now', None, None, []),
        ("from a) by c; now", None, None, []),
        ("from a ([192.0.2.1]) by c.d (verified by hand); now", "c.d", "a", ["192.0.2.1"]),
        ("from a ([127.0.0.1]) by c; ([192.0.2.1]) by d; now", None, None, []),  # a HELO name with a semicolon
        ("from a ([127.0.0.1]) by c; ([192.0.2.1]) by d", None, None, []),
        ("from a (::ffff:192.0.2.1) by c; now", "c", "a", ["192.0.2.1"]),
        ("by c (Postfix, from userid 0) id 1; now", "c", None, []),
        ("(qmail 1 invoked by uid 0); now", None, None, []),
        ("from a by", None, None, []),
        (
            'from a (b [192.0.2.1] (may be forged)) (using TLSv1.3 with cipher X (256/256 bits)) (Client CN "x y",'
            ' Issuer "z" (verified OK)) (Authenticated sender: d) by c.d (P) with ESMTPSA id 1 for <e@f> (from g); now',
            "c.d", "a", ["192.0.2.1"],
        ),
        ("from a (192.0.2.1) by c.d (10.1.1.1) with M SMTP Server (X) id 1 via F; now", "c.d", "a", ["192.0.2.1"]),
        ("from a via b by c; now", None, None, []),
        ("from a (b; by c); now", None, None, []),
        ("from x by c with LMTP ([192.0.2.1]) by c with ESMTP; now", None, None, []),  # HELO with blanks
        ("", None, None, []),
        ("from by by c; now", "c", "by", []),
        ("from a (" + "x" * 5000 + ") by c; now", None, None, []),
    ],
)  # fmt: skip
def test_received(value: str, by: str | None, helo: str | None, addresses: list[str]) -> None:
    hop = read_received(f" {value}\r\n".encode())
    assert (hop.by, hop.helo, [str(each) for each in hop.addresses]) == (by, helo, addresses)


# --- methods --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "methods", "reason"),
    [
        ("dkim=pass header.d=Bank.Example", {"dmarc", "dkim"}, "dkim-aligned"),
        ("dmarc=none; dkim=fail header.d=x.example; dkim=pass header.d=bank.example", {"dkim"}, "dkim-aligned"),
        ("dmarc=pass header.from=bank.example; dkim=pass header.d=bank.example", {"dkim"}, "dkim-aligned"),
        ("dmarc=pass header.from=bank.example", {"dkim"}, "no-pass"),
        ("dmarc=temperror header.from=bank.example; dkim=pass header.d=bank.example", {"dkim"}, "dkim-aligned"),
        ("dmarc=fail header.from=bank.example; dkim=pass header.d=bank.example", {"dkim"}, "dmarc-fail"),
        ("spf=pass smtp.mailfrom=bounce@bank.example", {"spf"}, "spf-aligned"),
        ("spf=pass smtp.mailfrom=bank.example", {"spf"}, "spf-aligned"),
        ("spf=softfail smtp.mailfrom=bank.example", {"spf"}, "no-pass"),
        ("auth=pass smtp.auth=service@Bank.example", {"auth"}, "authenticated"),
        ("auth=pass smtp.auth=service", {"auth"}, "no-pass"),
    ],
)  # fmt: skip
def test_methods(field: str, methods: set[str], reason: str) -> None:
    verdict = judged(f"Authentication-Results: mx.example.net; {field}\n" + BORDER + MAIL, methods=methods)
    assert verdict.reason == reason, verdict


def test_the_name_may_show_another_address_where_the_caller_says_so() -> None:
    mail = MAIL.replace("Bank <", '"ann@example.org via List" <')
    assert judged(PASS + BORDER + mail).reason == "address-in-name"
    assert judged(PASS + BORDER + mail, allow_address_in_name=True).verdict is Verdict.VERIFIED
    same = MAIL.replace("Bank <", '"service@bank.example" <')
    assert judged(PASS + BORDER + same).verdict is Verdict.VERIFIED


# --- relaxed alignment ----------------------------------------------------------------------------------------------

ZONE = ZoneResolver(
    {("_dmarc.bank.example", "TXT"): ["v=DMARC1; p=none"], ("_dmarc.example", "TXT"): ["v=DMARC1; p=none; psd=y"]},
    failures={("_dmarc.slow.bank.example", "TXT"): "timeout", ("_dmarc.bank.slow", "TXT"): "timeout"},
)


@pytest.mark.parametrize(
    ("signer", "author", "verdict", "reason"),
    [
        ("mail.bank.example", "bank.example", "verified", "dkim-aligned"),
        ("bank.example", "mail.bank.example", "verified", "dkim-aligned"),
        ("a.bank.example", "b.bank.example", "verified", "dkim-aligned"),
        ("shop.example", "bank.example", "unverified", "not-aligned"),
        ("example", "bank.example", "unverified", "no-pass"),
        ("bank.test", "bank.example", "unverified", "not-aligned"),
        ("slow.bank.example", "bank.example", "unverified", "dns-error"),
        ("mail.bank.slow", "bank.slow", "unverified", "dns-error"),
    ],
)
def test_relaxed_alignment_by_the_tree_walk(signer: str, author: str, verdict: str, reason: str) -> None:
    message = (DKIM.format(signer) + BORDER + MAIL.replace("@bank.example", f"@{author}")).encode()
    assert believe(message, IDS).verdict is Verdict.UNVERIFIED
    found = run(believe_relaxed(message, IDS), ZONE)
    assert (found.verdict, found.reason) == (verdict, reason)
    assert found.aligned == ("relaxed" if verdict == "verified" else None)


@pytest.mark.parametrize(
    ("record", "author", "dkim", "spf"),
    [
        ("p=none; adkim=s", "bank.example", "unverified", "verified"),
        ("p=none; aspf=s", "bank.example", "verified", "unverified"),
        ("p=none; adkim=s; aspf=s", "mail.bank.example", "unverified", "unverified"),  # of the organizational domain
        ("p=none; adkim=r; aspf=r", "mail.bank.example", "verified", "verified"),
    ],
)
def test_relaxed_alignment_is_not_for_authors_who_ask_for_the_strict_one(
    record: str, author: str, dkim: str, spf: str
) -> None:
    """RFC 9989 section 4.7: adkim= and aspf=."""
    policy = TrustPolicy().with_methods(("dkim", "spf"))
    zone = ZoneResolver({("_dmarc.bank.example", "TXT"): [f"v=DMARC1; {record}"]})
    mail = BORDER + MAIL.replace("@bank.example", f"@{author}")
    for field, verdict in (("dkim=pass header.d", dkim), ("spf=pass smtp.mailfrom", spf)):
        message = f"Authentication-Results: mx.example.net; {field}=x.bank.example\n{mail}".encode()
        assert run(believe_relaxed(message, IDS, policy=policy), zone).verdict == verdict, field


def test_strict_alignment_asks_nothing() -> None:
    found = run(
        believe_relaxed((PASS + BORDER + MAIL).encode(), IDS), ZoneResolver({}, failures={("*", "*"): "timeout"})
    )
    assert found.verdict is Verdict.VERIFIED


# --- providers ------------------------------------------------------------------------------------------------------

GMAIL = """\
Delivered-To: ann@gmail.example
Received: by 2002:a05:7010:22a6:b0:400:1:2 with SMTP id a1; Sun, 29 Nov 2026 02:00:01 -0800 (PST)
X-Received: by 2002:a05:6a20:1:b0:1 with SMTP id b2; Sun, 29 Nov 2026 02:00:00 -0800 (PST)
%sReturn-Path: <bounce@bank.example>
Received: from mail.bank.example (mail.bank.example. [203.0.113.9])
        by mx.google.com with ESMTPS id c3 for <ann@gmail.example>; Sun, 29 Nov 2026 02:00:00 -0800 (PST)
Received-SPF: pass (google.com: domain of bounce@bank.example designates 203.0.113.9) client-ip=203.0.113.9;
%s"""
GMAIL_FIELD = """\
Authentication-Results: mx.google.com;
       dkim=pass header.i=@bank.example header.s=2026a header.b=AbCdEfGh;
       spf=pass (google.com: domain designates 203.0.113.9) smtp.mailfrom=bounce@bank.example;
       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=bank.example
"""
GMAIL_COPY = "ARC-" + GMAIL_FIELD.replace("Results: ", "Results: i=1; ")
FORGED = "Authentication-Results: mx.google.com; dmarc=pass header.from=bank.example\n"


@pytest.mark.parametrize(
    ("above", "below", "reason", "leniencies"),
    [
        (GMAIL_COPY, GMAIL_FIELD, "dmarc-pass", ("arc-copy",)),
        (GMAIL_COPY, "", "dmarc-pass", ("arc-copy",)),
        ("", GMAIL_FIELD, "no-field", ()),  # where a sender may have written it
        (GMAIL_COPY.replace("dmarc=pass (", "x=pass ("), "", "dkim-aligned", ("arc-copy", "identity")),
        (GMAIL_COPY.replace("=pass", "=fail"), FORGED, "dmarc-fail", ()),
        (GMAIL_COPY.replace("=pass", "=none"), GMAIL_FIELD, "no-pass", ()),
        (GMAIL_COPY.replace("=pass", "=none") + GMAIL_COPY, "", "no-pass", ()),  # only the topmost counts
        ("", "ARC-" + FORGED.replace("Results: ", "Results: i=1; "), "no-field", ()),
        (GMAIL_COPY.replace("i=@", "i=@mail.").replace("dmarc=pass (", "x=pass ("), "", "no-pass", ()),
    ],
)  # fmt: skip
def test_gmail(above: str, below: str, reason: str, leniencies: tuple[str, ...]) -> None:
    message = (GMAIL % (above, below) + MAIL).encode()
    found = believe(message, policy=TrustPolicy(provider="gmail"))
    assert found.reason == reason, found
    if found.verdict is Verdict.VERIFIED:
        assert found.leniencies == leniencies


def test_the_forms_of_a_provider_are_read_only_where_it_is_named() -> None:
    message = (GMAIL % (GMAIL_COPY, GMAIL_FIELD) + MAIL).encode()
    for policy in (TrustPolicy(), TrustPolicy(provider="yahoo"), TrustPolicy(provider="microsoft365")):
        assert believe(message, {"mx.google.com"}, policy=policy).verdict is Verdict.UNVERIFIED


MICROSOFT = """\
Received: from AB1PR01MB0001.prod.outlook.com (2603:10a6:10:1::9) by CD1PR01MB0002.prod.outlook.com with HTTPS;
 Sun, 29 Nov 2026 10:00:02 +0000
Received: from DU2PR01CA0001.prod.exchange.outlook.com (2603:10a6:10:2::10) by AB1PR01MB0001.prod.outlook.com
 (2603:10a6:10:1::9) with Microsoft SMTP Server (version=TLS1_3) id 15.20.1; Sun, 29 Nov 2026 10:00:01 +0000
%sReceived: from mail.bank.example (203.0.113.9) by DB1PEPF0001.mail.protection.outlook.com (10.167.1.1)
 with Microsoft SMTP Server id 15.20.1 via Frontend Transport; Sun, 29 Nov 2026 10:00:00 +0000
"""
MICROSOFT_FIELD = """\
Authentication-Results: spf=pass (sender IP is 203.0.113.9)
 smtp.mailfrom=bank.example; dkim=pass (signature was verified)
 header.d=bank.example;dmarc=pass action=none
 header.from=bank.example;compauth=pass reason=100
"""


@pytest.mark.parametrize(
    ("above", "below", "reason"),
    [
        (MICROSOFT_FIELD, "", "dmarc-pass"),
        (MICROSOFT_FIELD.replace("dmarc=pass", "dmarc=bestguesspass"), "", "dkim-aligned"),
        (MICROSOFT_FIELD.replace("=pass", "=fail"), MICROSOFT_FIELD, "dmarc-fail"),
        ("", MICROSOFT_FIELD, "no-field"),
        # Another tenant's outgoing server writes such copies.
        ("ARC-" + MICROSOFT_FIELD.replace("Results: ", "Results: i=1; mx.microsoft.com 1; "), "", "no-field"),
        (MICROSOFT_FIELD.replace("=pass", "=none") + MICROSOFT_FIELD, "", "no-pass"),  # only the topmost counts
    ],
)
def test_microsoft_365(above: str, below: str, reason: str) -> None:
    found = believe((MICROSOFT % above + below + MAIL).encode(), policy=TrustPolicy(provider="microsoft365"))
    assert found.reason == reason, found
    if found.verdict is Verdict.VERIFIED:
        assert found.leniencies == ("grammar", "no-authserv-id")


def test_yahoo() -> None:
    message = (
        "Received-SPF: pass (domain of bank.example designates 203.0.113.9 as permitted sender)\n"
        "Authentication-Results: atlas.mail.yahoo.com; dkim=pass header.i=@bank.example header.s=a;\n"
        " spf=pass smtp.mailfrom=bank.example; dmarc=pass(p=REJECT) header.from=bank.example;\n"
        "Received: from 203.0.113.9 (EHLO mail.bank.example)\n"
        " by 10.197.33.1 with SMTPs; Sun, 29 Nov 2026 10:00:00 +0000\n"
    )
    found = believe((message + MAIL).encode(), policy=TrustPolicy(provider="yahoo"))
    assert found.reason == "dmarc-pass"
    assert found.leniencies == ("grammar", "id-below-domain")
    other = message.replace("mail.yahoo.com", "mail.yahoo.com.attacker.example")
    assert believe((other + MAIL).encode(), policy=TrustPolicy(provider="yahoo")).reason == "no-field"


def test_a_provider_of_ones_own() -> None:
    mine = Provider("mine", ("mx.example.net",), hosts=("example.net",))
    assert believe((LMTP + PASS + BORDER + MAIL).encode(), policy=TrustPolicy(provider=mine)).verdict == "verified"


# --- any octets -----------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        PASS, BORDER, LMTP, FILTER, DKIM.format("bank.example"), FORGED, MICROSOFT_FIELD,
        "From: service@bank.example\n", "From: a@attacker.example\n", "Return-Path: <a@bank.example>\n",
        "ARC-" + PASS.replace("Results: ", "Results: i=1; "),
        " ", "\t; dmarc=pass header.from=bank.example\n", "(", ")", '"', "\\", ";", "\r", "\n", "\r\n", "\0", "\u2028",
        "Received-SPF: pass\n", "Received: by mx.example.net; now\n", "by mx.example.net", "[127.0.0.1]",
        "Received:", "x",
    ]
)  # fmt: skip
SENT = st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)


@given(SENT, st.sampled_from([TrustPolicy(), TrustPolicy(hosts=("example.net",), methods=frozenset(Method))]))
def test_whatever_the_sender_writes_below_our_border_it_is_never_verified(sent: str, policy: TrustPolicy) -> None:
    """Our server's own field and Received stand on top, and the field says that nothing passed."""
    ours = PASS.replace("dmarc=pass", "dmarc=none") + BORDER
    for end in ("\n", "\r\n"):
        message = (ours.replace("\n", end) + sent).encode("utf-8", "surrogatepass")
        assert believe(message, IDS, policy=policy).verdict is not Verdict.VERIFIED
        assert believe(
            (BORDER.replace("\n", end) + sent).encode("utf-8", "surrogatepass"), IDS, policy=policy
        ).verdict in (
            Verdict.UNVERIFIED,
            Verdict.UNREADABLE,
        )


# What servers write into Received, with what they copy: the name in HELO, or an address or a name of the client's.
RECEIVED = [
    "from {0} (unknown [203.0.113.9]) by mx.example.net (P) with ESMTPS id 4 for <{1}@example.net>; 1 Nov 2026",
    'from {0} ({1} [203.0.113.9]) (Client CN "{1}") by mx.example.net with ESMTPS id 4; 1 Nov 2026',
    "from [203.0.113.9] (helo={0}) by mx.example.net with esmtp (E) (envelope-from <{1}>) id 1; 1 Nov 2026",
    "from a.example ([203.0.113.9] helo={0} ident={1}) by mx.example.net with esmtp id 1; 1 Nov 2026",
    "from unknown (HELO {0}) ({1}@203.0.113.9) by mx.example.net with SMTP; 1 Nov 2026",
    "from 203.0.113.9 (EHLO {0}) by mx.example.net with SMTPS; 1 Nov 2026",
]
COPIED = st.lists(
    st.sampled_from(
        [
            "x", " ", "(", ")", ";", '"', "\\", "127.0.0.1", "[127.0.0.1]", "[IPv6:::1]", "by mx.example.net", "from",
            " with LMTP", "helo=", "EHLO ", "ident=", "by",
        ]
    ),
    max_size=9,
).map("".join)  # fmt: skip


@given(st.sampled_from(RECEIVED), COPIED, COPIED)
def test_no_value_that_a_server_copies_hides_its_border(received: str, helo: str, other: str) -> None:
    """Whatever the client says of itself, as it came: what stands below this Received is not believed."""
    top = f"Received: {received.format(helo, other)}\n"
    assert judged(top + PASS + BORDER + MAIL).verdict is Verdict.UNVERIFIED


NOTHING = GMAIL_FIELD.replace("=pass", "=none")
TOPS = {
    "gmail": GMAIL % ("ARC-" + NOTHING.replace("Results: ", "Results: i=1; "), NOTHING),
    "microsoft365": MICROSOFT % MICROSOFT_FIELD.replace("=pass", "=none"),
    "yahoo": "Authentication-Results: atlas.mail.yahoo.com; dmarc=none header.from=bank.example;\n"
    "Received: from 203.0.113.9 (EHLO x)\n by 10.197.33.1 with SMTPs; now\n",
}
LIKE_THEIRS = st.sampled_from(
    [
        GMAIL % (GMAIL_COPY, GMAIL_FIELD), GMAIL_COPY, GMAIL_FIELD, MICROSOFT % MICROSOFT_FIELD, MICROSOFT_FIELD,
        "Received: by 2002:a05:1::1 with SMTP id x; now\n",
        "Received: from x (10.0.0.1) by 10.197.33.1 with SMTPs; now\n",
        "Authentication-Results: atlas.mail.yahoo.com; dmarc=pass header.from=bank.example\n",
    ]
)  # fmt: skip


@pytest.mark.parametrize("provider", TOPS)
def test_a_sender_cannot_go_on_with_the_field_of_a_provider(provider: str) -> None:
    more = "\t; dmarc=pass header.from=bank.example; dkim=pass header.d=bank.example\n"
    verdict = believe((TOPS[provider] + more + MAIL).encode(), policy=TrustPolicy(provider=provider))
    assert verdict.verdict is Verdict.UNVERIFIED, verdict


@given(st.sampled_from(sorted(TOPS)), st.lists(PIECES | LIKE_THEIRS, max_size=8).map("".join), st.booleans())
def test_nor_behind_the_servers_of_a_provider(provider: str, sent: str, sound: bool) -> None:
    """The provider's own fields say that nothing passed; below them stands whatever the sender wrote."""
    sent += MAIL if sound else ""
    for end in ("\n", "\r\n"):
        message = (TOPS[provider].replace("\n", end) + sent).encode("utf-8", "surrogatepass")
        verdict = believe(message, policy=TrustPolicy(provider=provider))
        assert verdict.verdict is not Verdict.VERIFIED, verdict


@given(st.binary(max_size=300) | SENT.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_octets_have_a_verdict(octets: bytes) -> None:
    """Any octets have a verdict; nothing raises."""
    for provider in (None, "gmail", "microsoft365", "yahoo"):
        verdict = believe(octets, IDS, policy=TrustPolicy(provider=provider))
        assert verdict.to_dict()["detail"]
        read_received(octets)


@pytest.mark.parametrize("word", ["=?unicode_escape?q?=5Cd?=", "=?undefined?q?a?=", "=?zlib?q?a?=", "=?idna?q?xn--a?="])
def test_a_name_that_cannot_be_decoded(word: str) -> None:
    """What Python knows beside character sets is none; nothing raises, and nothing warns."""
    verdict = believe(f"From: {word} <ann@example.org>\n\n".encode(), IDS)
    assert verdict.reason == "address-in-name"
    assert "cannot be decoded" in verdict.detail


def test_fields_that_do_not_count_are_not_compared_with_all_others() -> None:
    """Eight times as many fields, above whatever Received there is: calls of functions are counted, not seconds."""

    def calls(number: int) -> int:
        fields = "Authentication-Results: mx.google.com; none\n" * number
        fields += "ARC-Authentication-Results: i=1; mx.google.com; none\n" * number
        message = f"{fields}From: ann@example.org\n\n".encode()
        count = 0

        def counted(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(counted)
        try:
            believe(message, policy=TrustPolicy(provider="gmail"))
        finally:
            sys.setprofile(None)
        return count

    calls(1)
    assert calls(400) < 12 * calls(50)


def test_a_hostile_message_costs_no_more_than_its_length() -> None:
    """Thousands of fields, comments and addresses: one verdict, and a bounded list of what was passed over."""
    fields = PASS.replace("mx.example", "x{}.example")
    many = "".join(fields.format(number) for number in range(5000))
    verdict = judged(
        many + "Received: from a (" + "(" * 100_000 + "\n" + "From: " + "=?" * 30_000 + "<a@b.example>\n\n"
    )
    assert verdict.verdict is not Verdict.VERIFIED
    assert len(verdict.passed_over) == 100
    assert len(verdict.authserv_ids) == 50
    assert verdict.passed_over[0].why is Why.OTHER_ID
