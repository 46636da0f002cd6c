"""`ZoneResolver`: names, wildcards, chains, failures, and its errors.

ZoneResolver answers as the RFCs say that an authoritative server of the same data must; what cannot be understood is
a ZoneError that names the place. (test_parity.py asks a real server the same questions.)
"""

from __future__ import annotations

import argparse
import asyncio
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth import MailAuthError
from mailauth.cli.common import UsageError, resolver_of
from mailauth.plan import MAX_CHAIN, Exchange, Outcome, Question, ask, ask_all, run, run_async
from mailauth.resolvers import ZoneError, ZoneResolver

# RFC 4592 section 2.2.1, the example zone; the hosts have data that says which record answered.
RFC_4592 = """
$ORIGIN example.
@            3600 IN SOA   ns.example.com. hostmaster 1 7200 3600 604800 900
@            3600    NS    ns.example.com.
*            3600    TXT   "this is a wildcard"
*            3600    MX    10 host1.example.
sub.*        3600    TXT   "this is not a wildcard"
host1        3600    A     192.0.2.1
_ssh._tcp.host1 3600 SRV   0 0 22 host1
_ssh._tcp.host2 3600 SRV   0 0 22 host2
subdel       3600    NS    ns.example.com.
"""


def outcome(zone: ZoneResolver, name: str, rtype: Any = "TXT") -> Outcome:
    return zone.lookup(Question(name, rtype)).outcome


@pytest.mark.parametrize(
    ("name", "rtype", "expected"),
    [
        # RFC 4592 section 2.2.1: what is synthesised, and what is not
        ("host3.example", "MX", Outcome.FOUND),
        ("host3.example", "A", Outcome.NO_DATA),
        ("foo.bar.example", "TXT", Outcome.FOUND),
        ("host1.example", "MX", Outcome.NO_DATA),  # it exists
        ("sub.*.example", "MX", Outcome.NO_DATA),  # it exists
        ("_telnet._tcp.host1.example", "TXT", Outcome.NO_SUCH_NAME),  # _tcp.host1 exists, and has no wildcard
        ("host2.example", "TXT", Outcome.NO_DATA),  # an empty non-terminal
        ("_tcp.host1.example", "TXT", Outcome.NO_DATA),
        ("ghost.*.example", "MX", Outcome.NO_SUCH_NAME),  # *.example exists, and has no wildcard below
        ("*.example", "TXT", Outcome.FOUND),
    ],
)
def test_wildcards_of_rfc_4592(name: str, rtype: str, expected: Outcome) -> None:
    assert outcome(ZoneResolver.from_text(RFC_4592), name, rtype) is expected


def test_nxdomain_against_no_data() -> None:
    zone = ZoneResolver({("a.b.example.org", "TXT"): ["x"]})
    assert outcome(zone, "a.b.example.org") is Outcome.FOUND
    assert outcome(zone, "A.B.Example.ORG") is Outcome.FOUND
    assert outcome(zone, "a.b.example.org", "A") is Outcome.NO_DATA
    assert outcome(zone, "b.example.org") is Outcome.NO_DATA  # RFC 8020: it exists, since something is below
    assert outcome(zone, "org") is Outcome.NO_DATA
    assert outcome(zone, "c.example.org") is Outcome.NO_SUCH_NAME
    assert outcome(zone, "x.a.b.example.org") is Outcome.NO_SUCH_NAME


def test_chains() -> None:
    chain = {(f"c{i}.example", "CNAME"): [f"c{i + 1}.example"] for i in range(MAX_CHAIN + 1)}
    zone = ZoneResolver(
        {**chain, (f"c{MAX_CHAIN + 1}.example", "TXT"): ["end"], ("loop.example", "CNAME"): ["loop.example"]}
    )
    assert outcome(zone, "c1.example") is Outcome.FOUND
    assert outcome(zone, "c0.example") is Outcome.SERVER_FAILURE
    assert outcome(zone, "loop.example") is Outcome.SERVER_FAILURE


def test_dangling_chains_say_what_the_end_is() -> None:
    zone = ZoneResolver(
        {
            ("a.example", "CNAME"): ["gone.example"],
            ("b.example", "CNAME"): ["c.example"],
            ("c.example", "A"): ["192.0.2.1"],
        }
    )
    assert outcome(zone, "a.example") is Outcome.NO_SUCH_NAME
    assert outcome(zone, "b.example") is Outcome.NO_DATA
    assert zone.lookup(Question("b.example", "A")).addresses == (IPv4Address("192.0.2.1"),)


def test_ttls() -> None:
    zone = ZoneResolver.from_text(
        "$ORIGIN example.\n@ 1000 SOA ns h 1 1 1 1 800\n"
        "a 500 CNAME b\nb 600 TXT x\nc 700 CNAME gone\nd 900 CNAME gone\n"
    )
    ttls = {name: zone.lookup(Question(f"{name}.example", "TXT")).ttl for name in "abcdx"}
    # RFC 2308 section 5: the lesser of the SOA's TTL and MINIMUM; behind a CNAME, its TTL counts, too
    assert ttls == {"a": 500, "b": 600, "c": 700, "d": 800, "x": 800}


def test_failures() -> None:
    failures: dict[tuple[str, str], Any] = {
        ("slow.example", "TXT"): "timeout",
        ("Down.Example.", "*"): "servfail",
        ("no.example", "a"): "refused",
        ("*.dead.example", "*"): "timeout",
    }
    zone = ZoneResolver(
        {("slow.example", "A"): ["192.0.2.1"], ("alias.example", "CNAME"): ["slow.example"]}, failures=failures
    )
    assert outcome(zone, "slow.example") is Outcome.TIMED_OUT
    assert outcome(zone, "slow.example", "A") is Outcome.FOUND
    assert outcome(zone, "alias.example") is Outcome.TIMED_OUT
    assert outcome(zone, "down.example", "MX") is Outcome.SERVER_FAILURE
    assert outcome(zone, "DOWN.example", "A") is Outcome.SERVER_FAILURE
    assert outcome(zone, "no.example", "A") is Outcome.REFUSED
    assert outcome(zone, "no.example", "TXT") is Outcome.NO_SUCH_NAME
    assert outcome(zone, "2.0.0.127.dead.example", "A") is Outcome.TIMED_OUT
    assert outcome(zone, "dead.example", "A") is Outcome.NO_SUCH_NAME


def test_everything_fails() -> None:
    zone = ZoneResolver(failures={("*", "*"): "servfail"})
    assert outcome(zone, "any.name.example") is Outcome.SERVER_FAILURE


def test_a_dict_of_records() -> None:
    zone = ZoneResolver(
        {
            ("Example.ORG.", "txt"): ["v=spf1 -all", b"\xff\0", "bücher"],
            ("example.org", "MX"): ["10 MX.Example.Org.", "0 ."],
            ("example.org", "A"): ["192.0.2.1", "192.0.2.1"],
            ("1.2.0.192.in-addr.arpa", "PTR"): ["Mail.Example.Org."],
        },
        ttl=5,
    )
    assert zone.lookup(Question("example.org", "TXT")).texts == (b"v=spf1 -all", b"\xff\0", "bücher".encode())
    assert zone.lookup(Question("example.org", "MX")).exchanges == (Exchange(10, "mx.example.org"), Exchange(0, ""))
    assert zone.lookup(Question("example.org", "A")).records == (IPv4Address("192.0.2.1"),)
    assert zone.lookup(Question("1.2.0.192.in-addr.arpa", "PTR")).names == ("mail.example.org",)
    assert zone.lookup(Question("example.org", "A")).ttl == 5


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ({("a.example", "A"): ["192.0.2.256"]}, "a.example A '192.0.2.256'"),
        ({("a.example", "A"): "192.0.2.1"}, "expected a list of records"),
        ({("a.example", "A"): 7}, "expected a list of records"),
        ({("a.example", "A"): [7]}, "a record is a string"),
        ({("a.example", "A"): [b"192.0.2.1"]}, "only TXT records may be bytes"),
        ({("a.example", "MX"): ["mx.example"]}, "a preference up to 65535 and a host"),
        ({("a.example", "MX"): ["70000 mx.example"]}, "a preference up to 65535 and a host"),
        ({("a.example", "MX"): ["-1 mx.example"]}, "a preference up to 65535 and a host"),
        ({("a.example", "MX"): ["10 "]}, "a preference up to 65535 and a host"),
        ({("a.example", "SOA"): ["x"]}, "records are A, AAAA, MX, PTR, TXT, SPF or CNAME"),
        ({("a..example", "A"): ["192.0.2.1"]}, "empty label"),
        ({("x" * 64, "A"): ["192.0.2.1"]}, "label over 63"),
        ({("bücher.example", "A"): ["192.0.2.1"]}, "not ASCII"),
        ({("a.example", "CNAME"): ["b.example", "c.example"]}, "a CNAME stands alone"),
        ({("a.example", "CNAME"): ["b.example"], ("a.example", "A"): ["192.0.2.1"]}, "a CNAME stands alone"),
        ({"a.example": ["192.0.2.1"]}, "expected a pair of name and type"),
        ({("a.example", "A", "IN"): ["192.0.2.1"]}, "expected a pair of name and type"),
        ({("a.example", 1): ["192.0.2.1"]}, "expected a pair of name and type"),
    ],
)
def test_bad_records_in_a_dict(records: Any, words: str) -> None:
    with pytest.raises(ZoneError, match=words.replace(".", r"\.")):
        ZoneResolver(records)


@pytest.mark.parametrize(
    "failures",
    [
        {("a.example", "A"): "nonsense"},
        {("a.example", "SRV"): "timeout"},
        {"a.example": "timeout"},
        {("a..b", "A"): "timeout"},
    ],
)
def test_bad_failures(failures: Any) -> None:
    with pytest.raises(ZoneError):
        ZoneResolver(failures=failures)


HEAD = "$ORIGIN example.org.\n$TTL 60\ngood A 192.0.2.1\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (HEAD + "bad A 192.0.2.256\n", 4, "bad A 192"),
        (HEAD + "bad FOO x\n", 4, "FOO"),
        (HEAD + "bad FOO x", 4, "FOO"),
        (HEAD + "good CNAME x\n", 4, "a CNAME stands alone"),
        (HEAD + "good CNAME x", 4, "a CNAME stands alone"),
        (HEAD + "good CNAME x ; words\n; more\n", 4, "a CNAME stands alone"),
        (HEAD + "\n; words\n\ngood CNAME (\n x )\n\n", 7, "a CNAME stands alone"),
        (HEAD + 'long TXT ( "a"\n "b" )\nbad A x\n', 6, "bad A x"),
        (HEAD + 'bad TXT ( "a"\nother A 192.0.2.1\n', 4, "parentheses"),
        (HEAD + 'bad TXT "a\nother A 192.0.2.1\n', 4, "quoted"),
        (HEAD + "$INCLUDE /etc/hostname\n", 4, "INCLUDE"),
        (HEAD + "$FOO bar\n", 4, "FOO"),
        (HEAD + "x" * 64 + " A 192.0.2.1\n", 4, "label"),
        (HEAD + "bad MX ten mx\n", 4, "bad MX ten"),
        (HEAD + "bad CH A 192.0.2.1\n", 4, "class"),
        ("nonsense\n", 1, "nonsense"),
        ("\n\n$ORIGIN\n", 3, "ORIGIN"),
    ],
)
def test_errors_in_a_master_file_name_the_line(text: str, line: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(ZoneError) as caught:
        ZoneResolver.from_text(text)
    assert str(caught.value).startswith(f"<text>:{line}: ")
    assert words in str(caught.value)
    assert isinstance(caught.value, MailAuthError | ValueError)
    path = tmp_path / "bad.zone"
    path.write_text(text)
    with pytest.raises(ZoneError) as caught:
        ZoneResolver.from_file(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_the_command_line_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.zone"
    path.write_text(HEAD + "bad A nonsense\n")
    with pytest.raises(UsageError, match=f"bad zone file: {path}:4: "):
        resolver_of(argparse.Namespace(zone=str(path)))
    with pytest.raises(UsageError, match="cannot read the zone file"):
        resolver_of(argparse.Namespace(zone=str(tmp_path / "missing.zone")))


def test_several_zones_in_one_file() -> None:
    zone = ZoneResolver.from_text(
        "$ORIGIN one.example.\n@ 60 SOA ns h 1 1 1 1 11\na 60 A 192.0.2.1\n"
        "$ORIGIN two.example.\n@ 60 SOA ns h 1 1 1 1 22\na 60 CNAME a.one.example.\n"
    )
    assert zone.lookup(Question("a.two.example", "A")).addresses == (IPv4Address("192.0.2.1"),)
    assert zone.lookup(Question("x.one.example", "A")).ttl == 11
    assert zone.lookup(Question("x.two.example", "A")).ttl == 22


def test_octets_in_a_file_need_not_be_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "octets.zone"
    path.write_bytes(HEAD.encode() + b'; caf\xe9\ntext TXT "caf\\233"\n')
    assert ZoneResolver.from_file(path).lookup(Question("text.example.org", "TXT")).texts == (b"caf\xe9",)


def test_names_with_unusual_characters() -> None:
    zone = ZoneResolver.from_text(
        "$ORIGIN example.\n"
        + r"""
at\@sign 60 TXT at
sp\032ace 60 TXT space
q\"uote 60 TXT quote
dot\.ted.sub 60 TXT dotted
"""
    )
    assert outcome(zone, "at@sign.example") is Outcome.FOUND
    assert outcome(zone, "sp ace.example") is Outcome.FOUND
    assert outcome(zone, 'q"uote.example') is Outcome.FOUND
    # A label with a dot inside cannot be asked for, and makes no name "ted.sub" either.
    assert outcome(zone, "dot.ted.sub.example") is Outcome.NO_SUCH_NAME
    assert outcome(zone, "ted.sub.example") is Outcome.NO_SUCH_NAME
    assert outcome(zone, "sub.example") is Outcome.NO_DATA


@given(st.text(max_size=300))
def test_any_name_may_be_asked(name: str) -> None:
    """Never an exception; a name that cannot exist is no such name."""
    answer = ZoneResolver({("*", "TXT"): ["x"]}).lookup(Question(name, "TXT"))
    assert answer.outcome in {Outcome.FOUND, Outcome.NO_SUCH_NAME}


def test_the_memory_of_answers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    import mailauth.resolvers.zone as module

    monkeypatch.setattr(module, "_MAX_CACHED", 10)
    zone = ZoneResolver()
    for i in range(1000):
        zone.lookup(Question(f"x{i}.example", "A"))
    assert len(zone._answers) <= 10


def test_it_serves_sync_and_async_callers() -> None:
    zone = ZoneResolver({("example.org", "A"): ["192.0.2.1"]})
    question = Question("example.org", "A")

    async def main() -> Any:
        return await run_async(ask(question), zone)

    assert run(ask(question), zone) == asyncio.run(main()) == asyncio.run(zone.lookup_async(question))
    assert run(ask_all([question, question]), zone) == [zone.lookup_now(question)] * 2


def test_a_record_of_several_strings() -> None:
    """RFC 1035 section 3.3.14: strings are put together without anything between them."""
    zone = ZoneResolver(
        {("a.example", "TXT"): [("v=spf1", b"include:b.example"), "other"], ("a.example", "SPF"): [("x",)]}
    )
    assert zone.lookup_now(Question("a.example", "TXT")).texts == (b"v=spf1include:b.example", b"other")
    assert zone.lookup_now(Question("a.example", "SPF")).texts == (b"x",)
    for bad in ((), ("a", 7)):
        with pytest.raises(ZoneError, match="a record is a string"):
            ZoneResolver({("a.example", "TXT"): [bad]})  # type: ignore[dict-item]
