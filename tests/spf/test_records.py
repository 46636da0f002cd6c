"""Records as values: parsing, building, linting; sections 3.4, 11.1 and 12.

The tools for authors say what RFC 7208 says of a record, point at the place, and write valid records.
"""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest

from mailauth.plan import run
from mailauth.spf import (
    LintReport,
    Qualifier,
    Record,
    RecordError,
    build_record,
    lint,
    lint_text,
    parse_received_spf,
    zone_line,
)
from mailauth.spf.problem import MAX_SHOWN, shown
from mailauth.spf.record import MAX_CACHED_OCTETS, forget_records, parsed_record
from mailauth.spf.terms import A, All, Include, Ip4, Ip6
from tests.spf.world import world


class TestParsing:
    def test_into_types(self) -> None:
        record = Record.parse("v=spf1 ip4:192.0.2.0/24 -a:x.org/28//64 ip6:2001:db8::/32 include:%{d}.y.org ~all")
        four, host, six, include, end = record.directives
        assert four == Ip4(Qualifier.PASS, 0xC0000200, 24)
        assert isinstance(host, A)
        assert (host.qualifier, str(host.domain_spec), host.ip4_length, host.ip6_length) == (
            Qualifier.FAIL,
            "x.org",
            28,
            64,
        )
        assert six == Ip6(Qualifier.PASS, 0x20010DB8 << 96, 32)
        assert isinstance(include, Include)
        assert include.domain_spec.letters == {"d"}
        assert end == All(Qualifier.SOFTFAIL)

    @pytest.mark.parametrize(
        ("text", "printed"),
        [
            ("V=spf1  +A  MX/32 IP4:1.2.3.4/32   ip6:2001:DB8:0::0/128 ", "v=spf1 a mx ip4:1.2.3.4 ip6:2001:db8::"),
            (
                "v=spf1 a:Example.ORG/24//128 ptr:x.org PTR ?exists:%{Ir}.x",
                "v=spf1 a:Example.ORG/24 ptr:x.org ptr ?exists:%{Ir}.x",
            ),
            ("v=spf1 REDIRECT=%{d}.org EXP=x.org Foo=BAR", "v=spf1 redirect=%{d}.org exp=x.org Foo=BAR"),
        ],
    )
    def test_printing(self, text: str, printed: str) -> None:
        assert str(Record.parse(text)) == printed

    @pytest.mark.parametrize(
        ("text", "code", "marked", "proposal"),
        [
            ("v=spf1 ip4:11.0.0.1/33 -all", "bad-prefix-length", "33", "32"),
            ("v=spf1 ip6:::1/129", "bad-prefix-length", "129", "128"),
            ("v=spf1 mx/40//64", "bad-prefix-length", "40", "32"),
            ("v=spf1 ip4:192.0.2 -all", "bad-network", "192.0.2", "192.0.2.0/24"),
            ("v=spf1 -ip4:2001:db8::1/64 -all", "bad-network", "4:2001:db8::1/64", "6:2001:db8::1/64"),
            ("v=spf1 ip6:192.0.2.1 -all", "bad-network", "6:192.0.2.1", "4:192.0.2.1"),
            ("v=spf1 ipv4:192.0.2.1 -all", "unknown-mechanism", "ipv4", "ip4"),
            ("v=spf1 inclde:x.org -all", "unknown-mechanism", "inclde", "include"),
            ("v=spf1 a:%(d) -all", "bad-macro", "%(", ""),
            ("v=spf1 a:%{y} -all", "bad-macro", "%{y}", ""),
            ("v=spf1 include: -all", "missing-argument", ":", ""),
            ("v=spf1 a:localhost -all", "bad-domain", "localhost", ""),
            ("v=spf1 -all:x", "unexpected-argument", ":x", ""),
            ("v=spf1 exp=a.b exp=c.d", "repeated-modifier", "exp=c.d", ""),
            ("v=spf1 mx:%{d}.%{d00r}.x.org", "bad-macro", "%{d00r}", ""),
            ("v=spf1 exists:%%{c}.%{C1}.x.org", "bad-macro", "%{C1}", ""),
            ("v=spf1 a\tmx", "missing-argument", "\tmx", ""),
            ("v=spf1 \tmx", "bad-character", "\t", ""),
            ("spf1 -all", "no-version", "spf1", ""),
        ],
    )
    def test_errors_point_and_propose(self, text: str, code: str, marked: str, proposal: str) -> None:
        with pytest.raises(RecordError) as caught:
            Record.parse(text)
        problem = caught.value.problem
        assert problem.code == code
        assert text[problem.start : problem.start + problem.length] == marked
        assert problem.proposal == proposal
        assert isinstance(caught.value, ValueError)

    def test_a_proposal_makes_it_right(self) -> None:
        text = "v=spf1 ip4:192.0.2 ipv4:11.0.0.1 -ip4:2001:db8::1 ip6:192.0.2.1 mx/40 -all"
        for _ in range(5):
            try:
                Record.parse(text)
            except RecordError as error:
                problem = error.problem
                text = text[: problem.start] + problem.proposal + text[problem.start + problem.length :]
        assert str(Record.parse(text)) == "v=spf1 ip4:192.0.2.0/24 ip4:11.0.0.1 -ip6:2001:db8::1 ip4:192.0.2.1 mx -all"

    def test_parsed_once(self) -> None:
        forget_records()
        octets = b"v=spf1 ip4:192.0.2.0/24 -all"
        assert parsed_record(octets) is parsed_record(bytes(bytearray(octets)))

    def test_long_records_are_not_kept(self) -> None:
        octets = b"v=spf1 " + b"ip4:192.0.2.0/24 " * (MAX_CACHED_OCTETS // 17 + 1)
        assert parsed_record(octets) is not parsed_record(octets)


class TestBuilding:
    def test_everything(self) -> None:
        record = build_record(
            ip=["192.0.2.0", "192.0.2.1", ip_network("11.0.0.0/8"), "2001:db8::/32", "11.1.0.0/16"],
            a=True, mx=[None, "example.net"], include=["bücher.example"], exists=["%{ir}.x.example"],
            explanation="e.%{d}", all="~",
        )  # fmt: skip
        assert str(record) == (
            "v=spf1 ip4:11.0.0.0/8 ip4:192.0.2.0/31 ip6:2001:db8::/32 a mx mx:example.net "
            "include:xn--bcher-kva.example exists:%{ir}.x.example ~all exp=e.%{d}"
        )
        assert Record.parse(str(record)) == record

    def test_5_mapped_addresses_are_written_as_what_matches(self) -> None:
        assert str(build_record(ip=["::ffff:192.0.2.1", "::ffff:11.0.0.0/104", "::/0"])) == (
            "v=spf1 ip4:11.0.0.0/8 ip4:192.0.2.1 ip6:::/0 -all"
        )

    def test_defaults(self) -> None:
        assert str(build_record()) == "v=spf1 -all"
        assert str(build_record(redirect="example.net")) == "v=spf1 redirect=example.net"
        assert str(build_record(all=None, mx=True)) == "v=spf1 mx"

    @pytest.mark.parametrize(
        "what",
        [
            {"ip": ["192.0.2.1/33"]},
            {"ip": ["x"]},
            {"include": ["localhost"]},
            {"a": ["a b.org"]},
            {"mx": ["%{c}"]},
            {"redirect": ""},
            {"explanation": "%"},
            {"include": ["a.b -all"]},
            {"a": [f"h{i}.org" for i in range(11)]},
            {"include": ["x.org/24"]},
        ],
    )
    def test_nonsense_raises(self, what: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=" "):
            build_record(**what)

    def test_the_qualifier_in_words_and_single_items(self) -> None:
        text = "v=spf1 ip4:192.0.2.1 a:x.org mx:y.org include:z.org ~all"
        found = build_record(ip="192.0.2.1", a="x.org", mx="y.org", include="z.org", all="softfail")
        assert str(found) == text
        assert str(build_record(ip=ip_network("192.0.2.0/24"), all="fail")) == "v=spf1 ip4:192.0.2.0/24 -all"

    @pytest.mark.parametrize(
        ("what", "words"),
        [
            ({"all": "deny"}, "all is a qualifier"),
            ({"all": ""}, "all is a qualifier"),
            ({"ip": 5}, "ip is a list"),
            ({"ip": [None]}, "not an address or network"),
            ({"ip": b"192.0.2.1"}, "ip is a list"),
            ({"include": [7]}, "not a domain"),
            ({"include": None}, "include is a list"),
            ({"mx": 1.5}, "is a list"),
        ],
    )
    def test_mistakes_are_value_errors_with_words(self, what: dict[str, Any], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            build_record(**what)

    def test_the_owner_of_a_zone_line(self) -> None:
        found = build_record(all="-")
        assert zone_line("Bücher.example", found) == 'xn--bcher-kva.example. IN TXT "v=spf1 -all"'
        assert zone_line("*.example.org.", found).startswith("*.example.org. IN")
        for owner in ("a b.example", "example.org\n@ IN NS evil.example.", "", "a..b", "x;y.example", "("):
            with pytest.raises(ValueError, match="not the name of a domain"):
                zone_line(owner, found)

    def test_3_3_strings(self) -> None:
        record = build_record(ip=[f"11.{i}.0.1" for i in range(60)])
        parts = record.strings()
        assert len(parts) > 2
        assert all(len(part) <= 255 for part in parts)
        assert "".join(parts) == str(record)
        assert all(part.endswith(" ") for part in parts[:-1])

    def test_a_zone_line_can_be_read(self) -> None:
        text = 'v=spf1 exists:"\\.x.org ' + " ".join(f"ip4:11.{i}.0.1" for i in range(60)) + " -all"
        zone = world(zone_line("example.org", Record.parse(text)))
        from mailauth.plan import Question

        assert zone.lookup_now(Question("example.org", "TXT")).texts == (text.encode(),)


def codes(text: str) -> list[str]:
    return [finding.code for finding in lint_text(text)]


class TestLintText:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("v=spf1 ip4:192.0.2.0/24 -all", []),
            ("v=spf1 redirect=x.org", []),
            ("v=spf1 mx", ["no-all"]),
            ("v=spf1 -all mx a", ["after-all", "after-all"]),
            ("v=spf1 redirect=x.org -all", ["ignored-redirect"]),
            ("v=spf1 redirect=x.org mx", ["early-redirect"]),
            ("v=spf1 mx redirect=x.org exp=e.org", []),
            ("v=spf1 +all", ["pass-all"]),
            ("v=spf1 ?all", ["neutral-all"]),
            ("v=spf1 ptr -all", ["ptr"]),
            ("v=spf1 exists:%{p}.x.org -all", ["ptr"]),
            ("v=spf1 ip4:192.0.2.1/24 -all", ["host-bits"]),
            ("v=spf1 mx MX -all", ["duplicate"]),
            ("v=spf1 ip4:11.0.0.0/8 ip4:11.0.0.0/8 -all", ["duplicate"]),
            ("v=spf1 ip4:11.0.0.0/8 ip4:11.1.0.0/16 -all", ["covered"]),
            ("v=spf1 ip4:11.1.0.0/16 ip4:11.0.0.0/8 -all", []),
            ("v=spf1 ip6:2001:db8::/32 ip4:1.2.3.4 ip6:2001:db8:1::/48 -all", ["covered"]),
            ("v=spf1 foo bar ip4:1 -all", ["unknown-mechanism", "unknown-mechanism", "bad-network"]),
            ("v=spf1 ip6:::ffff:192.0.2.0/120 -all", ["mapped"]),
            (
                "v=spf1 ip4:11.0.0.1/33 a mx ptr +all mx",
                ["bad-prefix-length", "ptr", "pass-all", "after-all", "duplicate"],
            ),
            ("v=spf1 foo mx", ["unknown-mechanism", "no-all"]),
            ("v=spf1 mx -al", ["unknown-mechanism"]),
            ("v=spf1 mx -all:x.org", ["unexpected-argument"]),
            ("v=spf1 mx redirect=org", ["bad-domain"]),
            ("v=spf2 -all", ["no-version"]),
            ("v=spf1 " + "ip4:192.0.2.1 " * 1 + "rp=" + "y" * 250 + " -all", ["long-string"]),
            ("v=spf1 rp=" + "y" * 450 + " -all", ["long-string", "long-record"]),
        ],
    )
    def test_findings(self, text: str, expected: list[str]) -> None:
        assert codes(text) == expected

    def test_every_error_is_found_and_marked(self) -> None:
        text = "v=spf1 ip4:1.2.3/24 ipv4:11.0.0.1 -all"
        assert [text[f.start : f.start + f.length] for f in lint_text(text)] == ["1.2.3/24", "ipv4"]

    def test_many_networks_take_linear_time(self) -> None:
        text = "v=spf1 " + " ".join(f"ip4:11.{i % 256}.0.0/{8 + i % 20}" for i in range(4000)) + " -all"
        assert "covered" in codes(text)


def report(records: str, what: str = "example.org", **failures: str) -> LintReport:
    return run(lint(what), world(records, {(name, "*"): failure for name, failure in failures.items()}))


class TestLint:
    def test_a_good_record(self) -> None:
        found = report('example.org. TXT "v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.128/32 ip6:2001:db8::/32 -all"')
        assert found.ok
        assert (found.ip4_addresses, found.ip6_networks, found.lookups) == (256, 2**32, 0)
        json.dumps(found.to_dict())

    def test_lookups_of_the_whole_tree(self) -> None:
        found = report("""
example.org. TXT "v=spf1 include:b.example a mx redirect=c.example"
example.org. MX 1 example.org.
example.org. A 192.0.2.1
example.org. AAAA 2001:db8::1
b.example.   TXT "v=spf1 include:d.example exists:%{i}.x.example -all"
c.example.   TXT "v=spf1 a:example.org/24 -all"
d.example.   TXT "v=spf1 ip4:11.0.0.0/24 -ip4:11.0.1.0/24 -all"
""")
        assert found.ok, found.findings
        assert found.lookups == 7
        assert found.ip4_addresses == 256 + 256
        assert (found.void_lookups_ip4, found.void_lookups_ip6) == (0, 0)

    def test_too_many_lookups(self) -> None:
        hosts = " ".join(f"a:h{i}.x.org" for i in range(6))
        records = f'example.org. TXT "v=spf1 include:b.example {hosts} -all"\nb.example. TXT "v=spf1 {hosts} -all"\n'
        found = report(records + "".join(f"h{i}.x.org. A 11.0.0.1\n" for i in range(6)))
        assert (found.lookups, found.ok) == (13, False)
        assert "too-many-lookups" in [finding.code for finding in found.findings]

    def test_void_lookups_by_family(self) -> None:
        found = report('example.org. TXT "v=spf1 a:four.x mx:gone.x exists:gone.x -all"\nfour.x. A 11.0.0.1')
        assert (found.void_lookups_ip4, found.void_lookups_ip6) == (2, 3)
        assert [finding.code for finding in found.findings] == ["void", "void", "too-many-void-lookups"]

    @pytest.mark.parametrize(
        ("records", "code"),
        [
            ("", "no-record"),
            ('example.org. TXT "v=spf1 -all"\nexample.org. TXT "v=spf1 +all"', "several-records"),
            ('example.org. TXT "v=spf1 include:gone.example -all"', "no-record"),
            ('example.org. TXT "v=spf1 include:example.org -all"', "loop"),
            (
                'example.org. TXT "v=spf1 include:b.example -all"\nb.example. TXT "v=spf1 redirect=example.org"',
                "loop",
            ),
            ('example.org. TXT "v=spf1 include:b.example -all"\nb.example. TXT "v=spf1 foo"', "unknown-mechanism"),
            (
                'example.org. TXT "v=spf1 mx -all"\n' + "".join(f"example.org. MX 1 h{i}.x.\n" for i in range(11)),
                "too-many-mx-hosts",
            ),
        ],
    )
    def test_errors(self, records: str, code: str) -> None:
        found = report(records)
        assert not found.ok
        assert code in [finding.code for finding in found.findings]

    def test_breadth(self) -> None:
        found = report('example.org. TXT "v=spf1 ip4:11.0.0.0/8 -all"')
        assert (found.ok, found.ip4_addresses) == (True, 2**24)
        assert [finding.code for finding in found.findings] == ["broad"]
        assert report('example.org. TXT "v=spf1 +all"').ip4_addresses == 2**32
        assert (
            report(
                'example.org. TXT "v=spf1 -ip4:11.0.0.0/8 ~include:b.example -all"\nb.example. TXT "v=spf1 +all"'
            ).ip4_addresses
            == 0
        )

    def test_dns_error(self) -> None:
        found = report('example.org. TXT "v=spf1 a:down.example -all"', **{"down.example": "timeout"})
        assert [finding.code for finding in found.findings] == ["dns-error"]
        assert not report("", **{"example.org": "servfail"}).ok

    def test_an_error_does_not_hide_the_rest(self) -> None:
        found = report(
            'b.example. TXT "v=spf1 ip4:192.0.2.0/24 bar ptr a:gone.x -all"',
            "v=spf1 ip4:11.0.0.1/33 include:b.example a:.org +all mx",
        )
        assert [(finding.domain, finding.code) for finding in found.findings] == [
            ("", "bad-prefix-length"),
            ("b.example", "unknown-mechanism"), ("b.example", "void"),
            ("", "bad-domain"), ("", "pass-all"), ("", "after-all"),
        ]  # fmt: skip
        assert (found.lookups, found.void_lookups_ip4, found.ip4_addresses) == (4, 1, 2**32)

    @pytest.mark.parametrize(("term", "ok"), [("a:.org", True), ("exists:x..org", True), ("include:.org", False)])
    def test_a_malformed_name_is_an_error_where_a_record_must_be(self, term: str, ok: bool) -> None:
        found = report("", f"v=spf1 {term} -all")
        assert ([finding.code for finding in found.findings], found.ok) == (["bad-domain"], ok)

    def test_a_text(self) -> None:
        found = report("x.org. A 192.0.2.1", "v=spf1 a:x.org a -all")
        assert (found.domain, found.lookups, found.ip4_addresses) == ("", 2, 1)

    def test_a_huge_tree_ends(self) -> None:
        wide = "".join(
            f'd{i}.example. TXT "v=spf1 ' + " ".join(f"include:d{j}.example" for j in range(i + 1, i + 11)) + '"\n'
            for i in range(60)
        )
        found = report('example.org. TXT "v=spf1 include:d0.example -all"\n' + wide)
        assert not found.ok
        assert found.questions <= 300
        assert "not-all-seen" in [finding.code for finding in found.findings]

    @pytest.mark.parametrize("what", ["", "org", "192.0.2.1", "a..b", "[x]"])
    def test_neither_domain_nor_record(self, what: str) -> None:
        with pytest.raises(ValueError, match="neither"):
            lint(what)


def test_9_1_a_key_of_received_spf_has_a_value() -> None:
    """RFC 7208 section 9.1: key-value-pair = key [CFWS] "=" ( dot-atom / quoted-string )."""
    assert parse_received_spf("pass (words) client-ip = 192.0.2.1") is not None
    assert parse_received_spf("pass (words) client-ip 192.0.2.1") is None


def test_a_term_is_shown_within_its_bound() -> None:
    """However its characters are escaped."""
    assert len(shown("\u00e9" * MAX_SHOWN)) == MAX_SHOWN
    assert shown("a" * MAX_SHOWN) == "a" * MAX_SHOWN
