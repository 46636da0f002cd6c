"""Results of the methods, built from plain values.

Each builder gives the words and properties that IANA lists for its method, and refuses other words.
"""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.authres import (
    RESULT_WORDS,
    AuthenticationResults,
    MethodResult,
    arc,
    auth,
    build,
    distinct_length,
    dkim,
    dmarc,
    dnswl,
    iprev,
    method_result,
    parse_field,
    spf,
)

from .strategies import any_text


def properties(result: MethodResult) -> list[str]:
    return [f"{p.type}.{p.name}={p.value}" for p in result.properties]


CASES = [
    # RFC 8601 section 2.7.2: no local part, for SPF does not vouch for it
    (spf("pass", mail_from="ann@example.org"), ["smtp.mailfrom=example.org"]),
    (spf("pass", mail_from="<ann@example.org>"), ["smtp.mailfrom=example.org"]),
    (spf("pass", mail_from="example.org"), ["smtp.mailfrom=example.org"]),
    (spf("pass", mail_from='"a@b"@example.org'), ["smtp.mailfrom=example.org"]),
    (spf("pass", mail_from="ann\r\n@example.org"), ["smtp.mailfrom=example.org"]),
    (spf("pass", mail_from="ann@example.org", keep_local_part=True), ["smtp.mailfrom=ann@example.org"]),
    (spf("none", mail_from=""), ["smtp.mailfrom="]),
    (spf("fail", helo="mx.example.org"), ["smtp.helo=mx.example.org"]),
    (spf("temperror"), []),
    # draft-ietf-dmarc-dmarcbis section 9.1: header.from and policy.dmarc
    (dmarc("pass", header_from="example.org"), ["header.from=example.org"]),
    (dmarc("fail", header_from="a.example", policy="reject"), ["header.from=a.example", "policy.dmarc=reject"]),
    (dmarc("none"), []),
    # RFC 8617 section 10.1
    (arc("pass", remote_ip="::ffff:192.0.2.1", oldest_pass=0), ["smtp.remote-ip=192.0.2.1", "header.oldest-pass=0"]),
    (arc("none"), []),
    # section 2.7.1
    (
        dkim("pass", domain="example.org", identity="@mail.example.org", selector="s", algorithm="rsa-sha256"),
        ["header.d=example.org", "header.i=@mail.example.org", "header.s=s", "header.a=rsa-sha256"],
    ),
    # RFC 6008 section 4: eight characters, all of a shorter one; folds of the b tag do not count
    (dkim("fail", signature="0123456789abcdef"), ["header.b=01234567"]),
    (dkim("fail", signature="0123456789abcdef", signature_length=10), ["header.b=0123456789"]),
    (dkim("fail", signature="0123"), ["header.b=0123"]),
    (dkim("fail", signature="01 23\r\n\t456789"), ["header.b=01234567"]),
    (dkim("none"), []),
    # section 2.7.3
    (iprev("pass", "192.0.2.1"), ["policy.iprev=192.0.2.1"]),
    (iprev("fail", ip_address("2001:db8::1")), ["policy.iprev=2001:db8::1"]),
    (iprev("fail", "::ffff:192.0.2.1"), ["policy.iprev=192.0.2.1"]),
    # section 2.7.4
    (
        auth("pass", identity="client@c.example", mail_from="bob@b.example"),
        ["smtp.auth=client@c.example", "smtp.mailfrom=bob@b.example"],
    ),
    # RFC 8904 section 3
    (
        dnswl("pass", zone="list.example", codes=["127.0.10.1"], text="a b", dnssec=True),
        ["dns.zone=list.example", "policy.ip=127.0.10.1", "policy.txt=a b", "dns.sec=yes"],
    ),
    (
        dnswl("pass", zone="list.example", codes=[ip_address("127.0.10.1"), "127.0.10.2"], dnssec=False),
        ["dns.zone=list.example", "policy.ip=127.0.10.1,127.0.10.2", "dns.sec=no"],
    ),
    (dnswl("none", zone="list.example"), ["dns.zone=list.example", "dns.sec=na"]),
    # any other
    (method_result("dmarc", "pass", {"header.from": "example.org"}), ["header.from=example.org"]),
    (method_result("x-a", "b", [("c.d", "1"), ("c.d", "2")]), ["c.d=1", "c.d=2"]),
]


@pytest.mark.parametrize(("result", "expected"), CASES, ids=[f"{r.method} {e}" for r, e in CASES])
def test_properties(result: MethodResult, expected: list[str]) -> None:
    assert properties(result) == expected
    read = parse_field(build("mx.example.net", result))
    assert isinstance(read, AuthenticationResults)
    assert read.results == (result,)
    assert result.registered == (result.method in RESULT_WORDS)


def test_the_example_of_smtp_auth() -> None:
    """RFC 8601 section 2.7.4."""
    text = build("mx", auth("pass", identity="client@c.example", mail_from="bob@b.example")).decode()
    assert "; auth=pass smtp.auth=client@c.example smtp.mailfrom=bob@b.example" in " ".join(text.split())


ALL_WORDS = [
    "none",
    "pass",
    "fail",
    "softfail",
    "policy",
    "neutral",
    "temperror",
    "permerror",
    "hardfail",
    "listed",
    "x",
]
# RFC 8601 sections 2.7.1 to 2.7.4; RFC 8904 section 2.
ALLOWED = {
    "dkim": {"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"},
    "spf": {"none", "pass", "fail", "softfail", "policy", "neutral", "temperror", "permerror"},
    "iprev": {"pass", "fail", "temperror", "permerror"},
    "auth": {"none", "pass", "fail", "temperror", "permerror"},
    "dnswl": {"none", "pass", "temperror", "permerror"},
}


@pytest.mark.parametrize("word", ALL_WORDS)
@pytest.mark.parametrize("method", ALLOWED)
def test_the_words_of_each_method(method: str, word: str) -> None:
    builders = {
        "dkim": lambda: dkim(word),
        "spf": lambda: spf(word),
        "iprev": lambda: iprev(word, "192.0.2.1"),
        "auth": lambda: auth(word),
        "dnswl": lambda: dnswl(word),
    }
    calls = (
        builders[method],
        lambda: method_result(method, word),
        lambda: method_result(method.upper(), word.upper()),
        lambda: build("mx", MethodResult(method, word)),
    )
    for call in calls:
        if word in ALLOWED[method]:
            call()
        else:
            with pytest.raises(ValueError, match=f"(?i)has no result.*{word}.*it has.*pass"):
                call()


def test_every_method_that_we_write_by_ourselves_is_registered() -> None:
    """RFC 8601 section 2.7.6: a report of every check has no other."""
    from mailauth.sync import Authenticator
    from tests.facade.world import BOB, GOOD, NOW, signed, zone

    report = Authenticator("mx.example.net", resolver=zone()).check(
        signed(), ip=GOOD, helo="mx.example.org", mail_from="ann@example.org", rcpt_to=BOB, now=NOW, authenticated="ann"
    )
    field = parse_field(report.authentication_results)
    assert isinstance(field, AuthenticationResults)
    assert {"iprev", "spf", "dkim", "dmarc", "auth"} <= {result.method for result in field.results}
    assert all(result.registered for result in field.results)


def test_unknown_methods_have_any_words() -> None:
    """RFC 8601 sections 2.7.6 and 4: they are the caller's."""
    assert build("mx", method_result("x-new", "splendid"))


def test_slips_of_the_caller() -> None:
    with pytest.raises(ValueError, match="result of its own"):
        spf("pass", mail_from="a@b.example", helo="b.example")
    with pytest.raises(ValueError, match="not an IPv4 or IPv6"):
        iprev("pass", "192.0.2")
    with pytest.raises(ValueError, match="RFC 6008"):
        dkim("pass", signature="abc", signature_length=7)
    with pytest.raises(ValueError, match="with a dot"):
        method_result("a", "b", {"c": "d"})


def test_how_many_characters_tell_signatures_apart() -> None:
    """RFC 6008 section 4: at least eight, and long enough to be unique among the results."""
    assert distinct_length([]) == 8
    assert distinct_length(["abc"]) == 8
    assert distinct_length(["abcdefghXY", "bcdefghiXY"]) == 8
    assert distinct_length(["0123456789A", "0123456789B", "x"]) == 11
    assert distinct_length(["0123456789", "01234 56789"]) == 8
    assert distinct_length(["0123456789", "0123456789A"]) == 11


@given(st.lists(st.text("ab", min_size=12, max_size=14), max_size=6))
def test_that_length_tells_all_apart(signatures: list[str]) -> None:
    """Different signatures have different beginnings of that length, and no shorter length above seven does."""
    length = distinct_length(signatures)
    different = len(set(signatures))
    assert len({s[:length] for s in signatures}) == different
    assert length == 8 or len({s[: length - 1] for s in signatures}) < different


@given(any_text, any_text, any_text)
def test_a_peers_text_never_raises(a: str, b: str, c: str) -> None:
    """Whatever a peer sent as value or reason, a method's result can be made and written."""
    results = [
        spf("fail", mail_from=a, reason=b, comment=c),
        spf("fail", helo=a),
        dkim("fail", domain=a, identity=b, selector=c, algorithm=a, signature=b),
        auth("fail", identity=a, mail_from=b),
        dnswl("pass", zone=a, codes=[b], text=c),
    ]
    for smtputf8 in (False, True):
        read = parse_field(build("mx.example.net", *results, smtputf8=smtputf8))
        assert isinstance(read, AuthenticationResults)
        assert [r.method for r in read.results] == [r.method for r in results]


def test_the_policies_of_dmarc_stand_in_the_comment() -> None:
    assert dmarc("fail", published="reject", disposition="quarantine").comment == "p=reject dis=quarantine"
    assert dmarc("fail", published="none", comment="no alignment").comment == "p=none no alignment"
    assert b"(p=reject dis=none)" in build("mx", dmarc("pass", published="reject", disposition="none"))
    with pytest.raises(ValueError, match="none, quarantine or reject"):
        dmarc("fail", policy="discard")
    with pytest.raises(ValueError, match="no result"):
        dmarc("bestguesspass")


def test_the_numbers_of_arc() -> None:
    for number in (-1, 51):
        with pytest.raises(ValueError, match="between 0 and 50"):
            arc("pass", oldest_pass=number)
    with pytest.raises(ValueError, match="no result"):
        arc("neutral")
