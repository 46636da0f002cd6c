"""Section 7: macros, in names and in explanations.

Macros expand as RFC 7208 section 7 says; whatever comes out is a name that can be asked, or nothing.
"""

from __future__ import annotations

import pytest

from mailauth.resolvers import RecordingResolver
from mailauth.spf.macros import expand_name, expand_text, parse_explain_string, parse_macro_string, target_name
from mailauth.spf.problem import TermError
from tests.spf.world import check, record, world

# Section 7.4.
VALUES = {
    "s": "strong-bad@email.example.com",
    "l": "strong-bad",
    "o": "email.example.com",
    "d": "email.example.com",
    "i": "192.0.2.3",
    "v": "in-addr",
    "h": "mx.example.org",
    "p": "mx.example.org",
}
VALUES["ir"] = "3.2.0.192"


@pytest.mark.parametrize(
    ("macro", "expansion"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
    ],
)
def test_7_4_examples(macro: str, expansion: str) -> None:
    assert expand_name(parse_macro_string(macro), VALUES) == expansion
    assert expand_text(parse_explain_string(macro), VALUES, 400) == expansion


@pytest.mark.parametrize(
    ("macro", "value", "expansion"),
    [
        ("%{l}", "a+b-c", "a+b-c"),
        ("%{l+}", "a+b-c", "a.b-c"),
        ("%{l+-}", "a+b-c", "a.b.c"),
        ("%{l-+}", "a+b-c", "a.b.c"),
        ("%{l.+-,/_=}", "a.b+c-d,e/f_g=h", "a.b.c.d.e.f.g.h"),
        ("%{l1.+-,/_=}", "a.b+c-d,e/f_g=h", "h"),
        ("%{lr.+-,/_=}", "a.b+c-d,e/f_g=h", "h.g.f.e.d.c.b.a"),
        ("%{l2r+}", "a+b+c", "b.a"),
        ("%{l3+}", "+a++", "a.."),
        ("%{l+}", "++", ".."),
        ("%{l-}", "a.b-c.d", "a.b.c.d"),
        ("%{l1-}", "a.b-c.d", "c.d"),
        ("%{l127}", "a.b", "a.b"),
        ("%{l00002}", "a.b.c", "b.c"),
        ("%{l" + "9" * 5000 + "}", "a.b.c", "a.b.c"),
        ("%{L}", "a b&c~d", "a%20b%26c~d"),
        ("%{L}", "~jack&jill=up-a_b3.c", "~jack%26jill%3Dup-a_b3.c"),
        ("%{LR.}", "a.b/c", "b%2Fc.a"),
        ("%{L}", "ü\udc80", "%C3%BC%ED%B2%80"),
        ("%%{l}%_%-", "x", "%{l} %20"),
    ],
)
def test_7_3_transformers(macro: str, value: str, expansion: str) -> None:
    assert expand_name(parse_macro_string(macro), {"l": value}) == expansion


@pytest.mark.parametrize(
    "bad",
    [
        "%",
        "%%%",
        "%a",
        "%(l)",
        "%{",
        "%{l",
        "%{}",
        "%{x}",
        "%{l0}",
        "%{l000r}",
        "%{lr1}",
        "%{l;}",
        "%{ l}",
        "a b",
        "\t",
        "\x7f",
        "é",
        "%{l٣}",
    ],
)
def test_7_1_errors(bad: str) -> None:
    with pytest.raises(TermError):
        parse_macro_string(bad)


def test_7_1_spaces_only_in_explanations() -> None:
    assert expand_text(parse_explain_string("a b %{d} "), {"d": "x"}, 400) == "a b x "
    with pytest.raises(TermError):
        parse_macro_string("a b")


LONG = "x" * 50


@pytest.mark.parametrize(
    ("expanded", "name"),
    [
        ("A.Example.ORG", "a.example.org"),
        ("a.example.org.", "a.example.org"),
        ("org", "org"),
        ("", None),
        (".", None),
        ("..", None),
        (".a.org", None),
        ("a..org", None),
        ("a.org..", None),
        ("x" * 63 + ".org", "x" * 63 + ".org"),
        ("x" * 64 + ".org", None),
        ("a b.org", "a b.org"),
        ("a\tb.org", None),
        ("a\0.org", None),
        ("a\r\n.org", None),
        ("\x7f.org", None),
        ("é.org", None),
        ("\u212aelvin.org", None),  # its lower case is an ASCII k
        ("\udc80.org", None),
        # 7.3: labels are cut from the left until 253 octets are left.
        (f"{LONG}.{LONG}.{LONG}.{LONG}.{LONG}", f"{LONG}.{LONG}.{LONG}.{LONG}"),
        (
            "cut." + ".".join(["a" * 62, "b" * 62, "c" * 62, "d" * 60, "e"]),
            ".".join(["a" * 62, "b" * 62, "c" * 62, "d" * 60, "e"]),
        ),
        (
            "x." + ".".join(["a" * 62, "b" * 62, "c" * 62, "d" * 60, "ee"]),
            ".".join(["a" * 62, "b" * 62, "c" * 62, "d" * 60, "ee"]),
        ),
        (
            "a" + ".".join(["a" * 62, "b" * 62, "c" * 62, "d" * 60, "eee"]),
            ".".join(["b" * 62, "c" * 62, "d" * 60, "eee"]),
        ),
        ("x" * 300, None),
        ("x" * 300 + ".org", "org"),
        ("a." * 200 + "org.", "a." * 125 + "org"),
    ],
)
def test_7_3_names(expanded: str, name: str | None) -> None:
    assert target_name(expanded) == name
    assert name is None or len(name) <= 253


def test_7_3_expansion_looks_at_the_end_only() -> None:
    parts = parse_macro_string("%{l}." * 5000 + "example.org")
    expanded = expand_name(parts, {"l": "y" * 60})
    assert len(expanded) < 400
    assert target_name(expanded) == ".".join(["y" * 60] * 3) + ".example.org"


def test_7_3_truncation_in_a_query() -> None:
    dns = RecordingResolver(world('example.org. TXT "v=spf1 exists:%{l}.%{l}.%{l}.%{l}.%{l}.x.%{d} -all"'))
    check(dns, mail_from="y" * 60 + "@example.org")
    assert dns.questions[-1].name == ".".join(["y" * 60] * 3 + ["x", "example", "org"])


class TestValues:
    """Section 7.2, by the names that are asked."""

    @pytest.mark.parametrize(
        ("spec", "ip", "asked"),
        [
            ("%{s}.x", "192.0.2.1", "ann+news@example.org.x"),
            ("%{l}.%{o}", "192.0.2.1", "ann+news.example.org"),
            ("%{i}.%{v}.x", "192.0.2.1", "192.0.2.1.in-addr.x"),
            ("%{i}.%{v}.x", "::ffff:192.0.2.1", "192.0.2.1.in-addr.x"),
            ("%{i}.%{v}.x", "2001:DB8::1", "2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.ip6.x"),
            ("%{h}.x", "192.0.2.1", "mx.example.org.x"),
            ("%{H}.x", "192.0.2.1", "mx.example.org.x"),
            ("%{S}.x", "192.0.2.1", "ann%2bnews%40example.org.x"),
            ("a%_b%%c%-d.x", "192.0.2.1", "a b%c%20d.x"),
        ],
    )
    def test_7_2(self, spec: str, ip: str, asked: str) -> None:
        dns = RecordingResolver(world(f'example.org. TXT "v=spf1 exists:{spec} -all"'))
        check(dns, ip, "ann+news@example.org")
        assert dns.questions[-1].name == asked

    @pytest.mark.parametrize("helo", [None, "", "x" * 2000, "ü\udc80"])
    def test_7_2_helo_that_is_no_name(self, helo: str | None) -> None:
        dns = RecordingResolver(world('example.org. TXT "v=spf1 exists:%{h}.x -all"'))
        check(dns, helo=helo)
        assert dns.questions[-1].name == "unknown.x"

    @pytest.mark.parametrize("helo", ["a\r\nb", "a\0b", "a\tb", "a..b", ".a", "x" * 64])
    def test_11_5_3_hostile_helo_is_not_asked(self, helo: str) -> None:
        dns = RecordingResolver(world('example.org. TXT "v=spf1 exists:%{h}.x -all"'))
        assert check(dns, helo=helo).result == "fail"
        assert len(dns.questions) == 1

    def test_7_2_helo_u_labels(self) -> None:
        dns = RecordingResolver(world('example.org. TXT "v=spf1 exists:%{h} -all"'))
        check(dns, helo="bücher.example")
        assert dns.questions[-1].name == "xn--bcher-kva.example"

    @pytest.mark.parametrize("term", ["exists:%{l}.x", "a:%{s}", "mx:%{L}.x", "include:%{S}.x", "ptr:%{l1r-}.x"])
    def test_rfc_8616_terms_with_a_utf8_local_part_do_not_match(self, term: str) -> None:
        dns = RecordingResolver(world(f'example.org. TXT "v=spf1 {term} ~all"'))
        assert check(dns, mail_from="änn@example.org").result == "softfail"
        assert len(dns.questions) == 1

    @pytest.mark.parametrize("spec", ["%{l}.x.example", "%{L}.x.example", "%{S1}.example"])
    @pytest.mark.parametrize("local_part", ["änn", "\u212aann"])
    def test_rfc_8616_a_redirect_with_one_leads_nowhere(self, spec: str, local_part: str) -> None:
        dns = RecordingResolver(world(f'example.org. TXT "v=spf1 redirect={spec}"\n*.example. TXT "v=spf1 +all"'))
        result = check(dns, mail_from=f"{local_part}@example.org")
        assert (result.result, result.reason) == ("permerror", "redirect-without-record")
        assert len(dns.questions) == 1

    def test_rfc_8616_other_terms_do(self) -> None:
        more = "example.org.x.example. A 127.0.0.2"
        assert record("v=spf1 exists:%{o}.x.example -all", more=more, mail_from="änn@example.org").result == "pass"
