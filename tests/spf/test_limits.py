"""Bounds, defaults and codes of SPF, on both sides of each edge: RFC 7208, with RFC 5321 and RFC 1035 for lengths."""

from __future__ import annotations

from typing import Any

import pytest

from mailauth.mail.names import parse_ip
from mailauth.resolvers import RecordingResolver
from mailauth.spf import Reason, Record, SpfPolicy, SpfResult, build_record
from mailauth.spf.build import zone_line
from mailauth.spf.compile import IP6_OFFSET, Networks, merged
from mailauth.spf.header import MAX_FIELD_CHARACTERS, ReceivedSpf, parse_received_spf, received_spf
from mailauth.spf.identity import client_of, record_question, split_sender
from mailauth.spf.macros import expand_name, expand_text, parse_domain_spec, parse_explain_string, target_name
from mailauth.spf.problem import TermError
from mailauth.spf.ranges import EVERYBODY, IP4, IP6, NOBODY, both, counted, either, networks, size, union, without
from mailauth.spf.result import Discarded
from mailauth.spf.terms import A, All, Ip4, Ip6, Mx, Ptr, Qualifier, Result
from tests.spf.world import check, record, world

# --- the policy and the result ---


def test_the_defaults_are_those_of_the_rfc() -> None:
    policy = SpfPolicy()
    assert (policy.max_lookups, policy.max_void_lookups) == (10, 2)  # RFC 7208 section 4.6.4
    assert (policy.max_mx_hosts, policy.max_ptr_names) == (10, 10)
    assert (policy.max_explanation, policy.explain, policy.prefetch) == (400, True, False)


@pytest.mark.parametrize(
    "name", ["max_lookups", "max_void_lookups", "max_mx_hosts", "max_ptr_names", "max_explanation"]
)
def test_a_limit_is_zero_or_more(name: str) -> None:
    assert getattr(SpfPolicy(**{name: 0}), name) == 0  # type: ignore[arg-type]
    for wrong in (-1, 1.5, "1", None):
        with pytest.raises(ValueError, match=f"{name} is a number, zero or more"):
            SpfPolicy(**{name: wrong})  # type: ignore[arg-type]


def test_codes_are_for_years() -> None:
    assert {reason.value for reason in Reason} == {
        "matched", "default", "no-domain", "no-such-domain", "no-record", "several-records", "syntax-error",
        "too-many-lookups", "too-many-void-lookups", "too-many-mx-hosts", "include-without-record",
        "redirect-without-record", "dns-timed-out", "dns-server-failure", "dns-refused",
    }  # fmt: skip
    assert [result.value for result in Result] == [
        "none", "neutral", "pass", "fail", "softfail", "temperror", "permerror",
    ]  # fmt: skip


def test_a_result_as_values() -> None:
    found = record("v=spf1 a:mail.example.org -all", "192.0.2.9", "mail.example.org. A 192.0.2.1\n")
    assert found.to_dict() == {
        "result": "fail", "reason": "matched", "detail": "-all in the record of example.org matches",
        "identity": "mailfrom", "domain": "example.org", "sender": "ann@example.org", "helo": "mx.example.org",
        "ip": "192.0.2.9", "mechanism": "-all", "record": "v=spf1 a:mail.example.org -all",
        "record_domain": "example.org", "explanation": None, "lookups": 1, "void_lookups": 0, "discarded": [],
        "trace": None,
    }  # fmt: skip
    none = check(world("example.org. A 192.0.2.1\n"))
    assert none.to_dict() == {
        "result": "none", "reason": "no-record", "detail": none.problem, "identity": "mailfrom",
        "domain": "example.org", "sender": "ann@example.org", "helo": "mx.example.org", "ip": "192.0.2.1",
        "mechanism": None, "record": None, "record_domain": None, "explanation": None, "lookups": 0,
        "void_lookups": 0, "discarded": [], "trace": None,
    }  # fmt: skip


def test_a_result_that_was_made_by_hand() -> None:
    """The defaults, for tests and for callers with results of their own."""
    made = SpfResult(Result.NONE, Reason.NO_RECORD, "helo", "a.example", "postmaster@a.example", "", parse_ip("::1"))
    assert made.to_dict() == {
        "result": "none", "reason": "no-record", "detail": "no mechanism in the record of  matches",
        "identity": "helo", "domain": "a.example", "sender": "postmaster@a.example", "helo": "", "ip": "::1",
        "mechanism": None, "record": None, "record_domain": None, "explanation": None, "lookups": 0,
        "void_lookups": 0, "discarded": [], "trace": None,
    }  # fmt: skip
    assert Discarded("a.example", "v=spf 1", "why").to_dict() == {
        "domain": "a.example", "text": "v=spf 1", "why": "why", "proposal": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code", "enhanced"),
    [
        ("v=spf1 -all", 550, "5.7.23"),  # RFC 7372 section 3.2
        ("v=spf1 nonsense", 550, "5.7.24"),
        ("v=spf1 ~all", None, None),  # RFC 7208 section 8.5
        ("v=spf1 ?all", None, None),
        ("v=spf1 +all", None, None),
    ],
)
def test_8_the_reply_of_each_result(text: str, code: int | None, enhanced: str | None) -> None:
    reply = record(text).reply
    assert (reply and reply.code, reply and reply.enhanced) == (code, enhanced)


def test_8_6_a_temperror_is_told_as_temporary() -> None:
    reply = check(world("example.org. A 192.0.2.1\n", {("example.org", "TXT"): "timeout"})).reply
    assert reply is not None
    assert (reply.code, reply.enhanced) == (451, "4.4.3")


def test_a_reply_is_one_line() -> None:
    """RFC 5321 section 4.5.3.1.5: 512 octets with code, enhanced code and CRLF."""
    long = world('example.org. TXT "v=spf1 -all exp=e.example.org"\ne.example.org. TXT ' + f'"{"x" * 250}" ' * 3)
    fail = check(long, policy=SpfPolicy(max_explanation=700))
    assert fail.reply is not None
    assert len(fail.reply.text) == 512 - len("550 5.7.23 \r\n")
    assert fail.reply.text.endswith("xxx...")
    assert fail.reply.text.startswith("SPF MAIL FROM check failed: the domain example.org explains: xxx")


def test_6_2_an_explanation_has_400_octets() -> None:
    for octets, shown in ((400, 400), (401, 400)):
        text = "".join(f' "{"x" * min(250, octets - start)}"' for start in range(0, octets, 250))
        zone = world(f'example.org. TXT "v=spf1 -all exp=e.example.org"\ne.example.org. TXT{text}\n')
        assert check(zone).explanation == "x" * shown


# --- identities (RFC 7208 sections 2.3, 2.4 and 4.3) ---


@pytest.mark.parametrize(
    ("mail_from", "sender"),
    [
        ("ann@example.org", ("ann", "example.org")),
        ("<ann@example.org>", ("ann", "example.org")),
        ("<@a.example,@b.example:ann@example.org>", ("ann", "example.org")),
        ("@example.org", ("postmaster", "example.org")),
        ('"a@b"@example.org', ('"a@b"', "example.org")),
        ("example.org", ("postmaster", "example.org")),
        ("", ("postmaster", "mx.example.net")),
        ("<>", ("postmaster", "mx.example.net")),
        ("a" * 1012 + "@example.org", ("a" * 1012, "example.org")),  # 1,024 characters
        ("a" * 1013 + "@example.org", ("postmaster", "")),
    ],
)
def test_2_4_the_sender(mail_from: str, sender: tuple[str, str]) -> None:
    assert split_sender(mail_from, "mx.example.net") == sender


def test_2_4_a_long_helo_is_cut() -> None:
    assert split_sender("", "h" * 2000) == ("postmaster", "h" * 1024)


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("Example.ORG.", "example.org"),
        ("m\u00fcnchen.example", "xn--mnchen-3ya.example"),
        ("localhost", None),
        ("[192.0.2.1]", None),
        ("192.0.2.1", None),
        ("a..example", None),
        (".".join(["a" * 63] * 3 + ["b" * 61]), ".".join(["a" * 63] * 3 + ["b" * 61])),
        (".".join(["a" * 63] * 3 + ["b" * 61]) + ".", ".".join(["a" * 63] * 3 + ["b" * 61])),
        (".".join(["a" * 63] * 3 + ["b" * 62]), None),
    ],
)
def test_4_3_the_domain_that_is_asked(domain: str, name: str | None) -> None:
    question = record_question(domain)
    assert (None if question is None else (question.name, question.type)) == (None if name is None else (name, "TXT"))


def test_7_3_addresses_in_dot_format() -> None:
    client = client_of("192.0.2.3")
    assert (client.is_ip4, client.address_type, client.number) == (True, "A", 0xC0000203)
    assert (client.dotted, client.dotted_reversed) == ("192.0.2.3", "3.2.0.192")
    client = client_of("2001:db8::cb01")
    assert (client.is_ip4, client.address_type) == (False, "AAAA")
    assert client.number == IP6_OFFSET + 0x20010DB8_00000000_00000000_0000CB01
    # RFC 7208 section 7.4 has this one.
    assert client.dotted == "2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.b.0.1"
    assert client.dotted_reversed == client.dotted[::-1]
    assert client_of("::ffff:192.0.2.3").ip == parse_ip("192.0.2.3")


# --- macros (RFC 7208 section 7) ---


def values(**more: str) -> dict[str, str]:
    return {
        "s": "strong-bad@email.example.com", "l": "strong-bad", "o": "email.example.com", "d": "email.example.com",
        "i": "192.0.2.3", "ir": "3.2.0.192", "v": "in-addr", "h": "mx.example.org", **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%{d1}.example", "com.example"),
        ("%{d0002}.example", "example.com.example"),
        ("%{d99999999}.example", "email.example.com.example"),
        ("%{d1r}.example", "email.example"),
        ("%{d2r}.example", "example.email.example"),
        ("%{dr}.example", "com.example.email.example"),
        ("%{l-}.example", "strong.bad.example"),
        ("%{lr-}.example", "bad.strong.example"),
        ("%{l1r-}.example", "strong.example"),
        ("%{s-@}.example", None),
        ("%{l+-_}.example", "strong.bad.example"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{S}.example", "strong-bad%40email.example.com.example"),
        ("a%_b%%c%-d.example", "a b%c%20d.example"),
        ("%%{d}.example", "%{d}.example"),
    ],
)
def test_7_3_transformers(text: str, expanded: str | None) -> None:
    if expanded is None:
        with pytest.raises(TermError, match="a % begins"):
            parse_domain_spec(text)
    else:
        assert expand_name(parse_domain_spec(text), values()) == expanded


def test_7_2_letters_of_explanations() -> None:
    string = parse_explain_string("%{c} %{r} %{t} %{i}")
    whole = expand_text(string, values(c="192.0.2.3", r="mx.example.net", t="17"), 400)
    assert whole == "192.0.2.3 mx.example.net 17 192.0.2.3"
    assert expand_text(string, values(c="192.0.2.3", r="x", t="1"), 10) == "192.0.2.3 "
    for letter in "crt":
        with pytest.raises(TermError, match="allowed in explanation texts only"):
            parse_domain_spec(f"%{{{letter}}}.example")


@pytest.mark.parametrize(
    ("expanded", "name"),
    [
        ("A.Example.", "a.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        ("a" * 64 + ".example", None),
        ("a..example", None),
        (".example", None),
        ("", None),
        ("a\x7f.example", None),
        ("a b.example", "a b.example"),  # printable, if odd: it is asked, and is not there
        ("\u212a.example", None),
        # RFC 7208 section 7.3: labels go on the left until 253 octets are left
        (".".join(["a" * 49] * 5) + ".abc", ".".join(["a" * 49] * 5) + ".abc"),  # 253
        (".".join(["a" * 49] * 5) + ".abcd", ".".join(["a" * 49] * 4) + ".abcd"),  # 254
        ("x." + ".".join(["a" * 49] * 5) + ".abc", ".".join(["a" * 49] * 5) + ".abc"),
    ],
)
def test_7_3_the_name_that_is_asked(expanded: str, name: str | None) -> None:
    assert target_name(expanded) == name


def test_a_long_template_gives_the_same_name_as_a_short_one() -> None:
    short = "%{d}.%{ir}.x.example"
    long = "a." * 60 + short
    assert expand_name(parse_domain_spec(long), values()) == "a." * 60 + expand_name(parse_domain_spec(short), values())
    assert expand_name(parse_domain_spec("%{dr}." * 30 + "example"), values()).endswith("com.example.email.example")


# --- records and networks ---


def test_defaults_of_terms() -> None:
    assert (A().qualifier, A().domain_spec, A().ip4_length, A().ip6_length) == (Qualifier.PASS, None, 32, 128)
    assert (Mx().qualifier, Ptr().qualifier, All().qualifier) == (Qualifier.PASS,) * 3
    assert str(Ip4(Qualifier.FAIL, 0xC0000201)) == "-ip4:192.0.2.1"
    assert str(Ip4(Qualifier.PASS, 0xC0000200, 24)) == "ip4:192.0.2.0/24"
    assert str(Ip6(Qualifier.SOFTFAIL, 1)) == "~ip6:::1"
    assert str(Ip6(Qualifier.NEUTRAL, 1 << 127, 1)) == "?ip6:8000::/1"
    assert str(A(ip4_length=24, ip6_length=64)) == "a/24//64"
    assert str(Mx(Qualifier.FAIL, parse_domain_spec("b.example"), 32, 64)) == "-mx:b.example//64"


@pytest.mark.parametrize(
    ("terms", "valid"),
    [
        ("ip4:192.0.2.1/0", True),
        ("ip4:192.0.2.1/32", True),
        ("ip4:192.0.2.1/33", False),
        ("-ip4:192.0.2.1/33", False),
        ("?ip4:192.0.2.1/32", True),
        ("-ip6:2001:db8::/129", False),
        ("~a/33", False),
        ("ip4:192.0.2.1/032", False),
        ("ip6:2001:db8::/0", True),
        ("ip6:2001:db8::/128", True),
        ("ip6:2001:db8::/129", False),
        ("a/32//128", True),
        ("a/33", False),
        ("a//129", False),
        ("a//0", True),
        ("mx/0", True),
        ("a/", False),
        ("ip4:192.0.2.256", False),
        ("ip4:192.0.2", False),
    ],
)
def test_5_6_prefix_lengths(terms: str, valid: bool) -> None:
    assert (record(f"v=spf1 {terms} -all").reason is not Reason.SYNTAX_ERROR) is valid


def test_networks_as_numbers() -> None:
    assert merged([(1, 3), (3, 5), (7, 8), (2, 4)]) == [1, 5, 7, 8]
    assert merged([(1, 9), (2, 3)]) == [1, 9]
    assert merged([(4, 5)]) == [4, 5]
    run = Networks(
        [Ip4(Qualifier.PASS, 0xC0000200, 31), Ip4(Qualifier.FAIL, 0xC0000200, 24), Ip6(Qualifier.PASS, 0, 127)]
    )
    assert run.bounds == [0xC0000200, 0xC0000300, IP6_OFFSET, IP6_OFFSET + 2]
    assert [run.covers(number) for number in (0xC00001FF, 0xC0000200, 0xC00002FF, 0xC0000300)] == [
        False,
        True,
        True,
        False,
    ]
    assert run.first_match(0xC0000201) is run.terms[0]
    assert run.first_match(0xC0000202) is run.terms[1]
    assert run.first_match(IP6_OFFSET + 1) is run.terms[2]


def test_sets_of_clients() -> None:
    assert union([(5, 7), (1, 2), (7, 9)]) == (1, 2, 5, 9)
    assert union([]) == NOBODY
    assert either((1, 3), (2, 5)) == (1, 5)
    assert either((1, 3), NOBODY) == (1, 3)
    assert either(NOBODY, (1, 3)) == (1, 3)
    assert both((1, 3, 5, 7), (2, 6)) == (2, 3, 5, 6)
    assert both((1, 3), (3, 5)) == NOBODY
    assert both((3, 5), (1, 3)) == NOBODY
    assert both((1, 4, 6, 9), (2, 3, 7, 12)) == (2, 3, 7, 9)
    assert without((1, 9), (2, 3, 5, 7)) == (1, 2, 3, 5, 7, 9)
    assert without((1, 3), (3, 5)) == (1, 3)
    assert without((1, 3), (1, 3)) == NOBODY
    assert without(EVERYBODY, IP4) == IP6
    assert (size((0, 3, IP6_OFFSET, IP6_OFFSET + 5), 4), size((0, 3, IP6_OFFSET, IP6_OFFSET + 5), 6)) == (3, 5)
    assert size((IP6_OFFSET - 1, IP6_OFFSET + 1), 4) == 1
    assert [str(each) for each in networks((0, 3, IP6_OFFSET, IP6_OFFSET + 1))] == [
        "0.0.0.0/31",
        "0.0.0.2/32",
        "::/128",
    ]
    assert len(networks((0, 3, 8, 9), at_most=2)) == 2
    assert networks((0, 3), at_most=0) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (1234567, "1,234,567"),
        ((1 << 40) - 1, "1,099,511,627,775"),
        (1 << 40, "2^40"),
        ((1 << 40) + 1, "over 2^40"),
        (1 << 64, "2^64"),
    ],
)
def test_numbers_for_people(number: int, words: str) -> None:
    assert counted(number) == words


def test_what_a_record_without_wishes_says() -> None:
    assert str(build_record()) == "v=spf1 -all"
    assert str(build_record(all=None)) == "v=spf1"
    assert str(build_record(redirect="b.example")) == "v=spf1 redirect=b.example"
    networks = ["192.0.2.0/25", "192.0.2.128/25", "::ffff:198.51.100.0/120"]
    built = build_record(ip=networks, a=True, mx=["b.example", None])
    assert str(built) == "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 a mx:b.example mx -all"
    assert str(build_record(explanation="e.example", all="softfail")) == "v=spf1 ~all exp=e.example"


def test_4_6_4_a_record_that_asks_more_than_ten_times_is_not_built() -> None:
    names = [f"i{number}.example" for number in range(11)]
    assert build_record(include=names[:10])
    assert build_record(include=names[:9], redirect="r.example")
    for wrong in (
        {"include": names},
        {"include": names[:10], "redirect": "r.example"},
        {"exists": names},
        {"a": names},
    ):
        with pytest.raises(ValueError, match="11 terms ask the DNS; receivers stop after 10"):
            build_record(**wrong)  # type: ignore[arg-type]


def test_3_3_a_zone_line_has_strings_of_255_octets() -> None:
    long = Record.parse("v=spf1 " + " ".join(f"ip4:192.0.2.{number}" for number in range(30)) + " -all")
    strings = long.strings()
    assert "".join(strings) == str(long)
    assert max(map(len, strings)) <= 255
    line = zone_line("example.org", long)
    assert line.startswith('example.org. IN TXT ("' if "(" in line else "example.org. ")
    with pytest.raises(ValueError, match="not the name of a domain"):
        zone_line("a b", long)
    assert zone_line("*.example.org", Record.parse("v=spf1 -all")).startswith("*.example.org.")


# --- Received-SPF (RFC 7208 section 9.1) ---


HEADERS: list[tuple[str, str]] = [
    ("v=spf1 +all", "pass (mx.example.net: domain of example.org designates 192.0.2.1 as permitted sender)"),
    ("v=spf1 -all", "fail (mx.example.net: domain of example.org does not designate 192.0.2.1 as permitted sender)"),
    ("v=spf1 ~all", "softfail (mx.example.net: domain of example.org does not quite deny 192.0.2.1 as sender)"),
    ("v=spf1 ?all", "neutral (mx.example.net: 192.0.2.1 is neither permitted nor denied by domain of example.org)"),
]


@pytest.mark.parametrize(("text", "start"), HEADERS)
def test_9_1_the_whole_field(text: str, start: str) -> None:
    field = received_spf(record(text), receiver="mx.example.net")
    assert field == (
        f"Received-SPF: {start}\r\n identity=mailfrom;\r\n client-ip=192.0.2.1;\r\n"
        ' envelope-from="ann@example.org";\r\n helo=mx.example.org;\r\n receiver=mx.example.net;\r\n'
        f" mechanism={text[7:].replace('+', '')};\r\n"
    )
    parsed = parse_received_spf(field)
    assert parsed is not None
    assert parsed.get("Client-IP") == "192.0.2.1"
    assert parsed.get("mechanism") == text[7:].replace("+", "")


def test_9_1_default_and_problem() -> None:
    assert received_spf(record("v=spf1")).endswith(" mechanism=default;\r\n")
    broken = received_spf(record("v=spf1 nonsense"))
    assert "mechanism=" not in broken
    assert ' problem="the record of example.org is in error at ' in broken
    assert broken.startswith("Received-SPF: permerror (error in checking domain of example.org)\r\n")
    nothing = received_spf(check(world("example.org. A 192.0.2.1\n"), mail_from="x@nonsense"))
    assert nothing.startswith("Received-SPF: none (no domain to check)\r\n")


def test_9_1_values_are_cut_and_quoted() -> None:
    found = check(world("example.org. A 192.0.2.1\n"), helo='a"b\\c\r\nX: y' + "h" * 400)
    field = received_spf(found)
    helo = field.partition(" helo=")[2].partition(";\r\n")[0]
    assert helo == '"a\\"b\\\\c??X: y' + "h" * 309 + '"'  # 320 characters of the value


def test_9_1_a_field_has_a_bound() -> None:
    assert MAX_FIELD_CHARACTERS == 16_384
    start = "Received-SPF: pass x="
    assert parse_received_spf(start + "y" * (MAX_FIELD_CHARACTERS - len(start))) is not None
    assert parse_received_spf(start + "y" * (MAX_FIELD_CHARACTERS - len(start) + 1)) is None


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Received-SPF: Pass", ReceivedSpf(Result.PASS)),
        ("received-spf : (a (b) c) fail", ReceivedSpf(Result.FAIL, "")),
        (
            'softfail (why (not)) a=b; c = "d\\"e" ;',
            ReceivedSpf(Result.SOFTFAIL, "why (not)", (("a", "b"), ("c", 'd"e'))),
        ),
        (b"none\r\n (x)\r\n k=v", ReceivedSpf(Result.NONE, "x", (("k", "v"),))),
        ("pass a=b c=d", None),
        ("pass a", None),
        ("pass a=", None),
        ("pass =b", None),
        ("maybe", None),
        ("", None),
    ],
)
def test_9_1_reading(field: str | bytes, expected: ReceivedSpf | None) -> None:
    assert parse_received_spf(field) == expected


def test_9_1_the_first_of_equal_keys_counts() -> None:
    parsed = parse_received_spf("pass (c) A=1; a=2; b=3")
    assert parsed is not None
    assert parsed.get("a") == "1"
    assert parsed.get("z") is None
    assert parsed.to_dict() == {"result": "pass", "comment": "c", "pairs": {"a": "1", "b": "3"}}


# --- questions ---


@pytest.mark.parametrize(
    ("text", "ip", "asked"),
    [
        ("v=spf1 ip4:192.0.2.0/24 a -all", "192.0.2.1", ["example.org TXT"]),
        ("v=spf1 a -all", "192.0.2.1", ["example.org TXT", "example.org A"]),
        ("v=spf1 a -all", "2001:db8::1", ["example.org TXT", "example.org AAAA"]),
        ("v=spf1 exists:%{ir}.x.example -all", "192.0.2.1", ["example.org TXT", "1.2.0.192.x.example A"]),
        ("v=spf1 exists:x.example -all", "2001:db8::1", ["example.org TXT", "x.example A"]),
        ("v=spf1 -all exp=e.example", "192.0.2.1", ["example.org TXT", "e.example TXT"]),
        ("v=spf1 redirect=r.example", "192.0.2.1", ["example.org TXT", "r.example TXT"]),
        ("v=spf1 ?all redirect=r.example", "192.0.2.1", ["example.org TXT"]),
        ("v=spf1 ptr -all", "192.0.2.1", ["example.org TXT", "1.2.0.192.in-addr.arpa PTR"]),
        ("v=spf1 mx/24 -all", "192.0.2.1", ["example.org TXT", "example.org MX"]),
    ],
)
def test_what_is_asked_and_nothing_else(text: str, ip: str, asked: list[str]) -> None:
    resolver: Any = RecordingResolver(world(f'example.org. TXT "{text}"\n'))
    check(resolver, ip)
    assert [f"{question.name} {question.type}" for question in resolver.questions] == asked
