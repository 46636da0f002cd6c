"""The fixtures, the zone, the server, the clock and the assertion of `mailauth.testing`."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import dns.message
import dns.rcode
import dns.resolver
import pytest

from mailauth.plan import Outcome, Question
from mailauth.resolvers import DnspythonResolver
from mailauth.sync import Authenticator, Greylist, check_spf, query_rbl
from mailauth.testing import (
    Clock,
    DnsServer,
    Zone,
    ZoneServer,
    assert_authenticated,
    delay,
    drop,
    make_message,
    sign_message,
    signing_key,
    truncate,
)


def published() -> Zone:
    zone = Zone().domain("example.org", spf="v=spf1 ip4:192.0.2.1 -all", dmarc="v=DMARC1; p=reject")
    return zone.host("mx.example.org", "192.0.2.1")


def test_a_message_is_authenticated_in_three_lines(mailauth_zone: Zone) -> None:
    mailauth_zone.domain("example.org", spf="v=spf1 ip4:192.0.2.1 -all", dmarc="v=DMARC1; p=reject")
    message = mailauth_zone.sign(make_message("ann@example.org"))
    mailauth_zone.assert_authenticated(message, ip="192.0.2.1", spf="pass", dkim="pass", dmarc="pass", action="none")


def test_the_failure_says_what_was_found_and_why() -> None:
    message = make_message("ann@example.org")
    with pytest.raises(AssertionError) as failure:
        published().assert_authenticated(
            message, ip="192.0.2.9", helo="x.example", spf="pass", dkim="pass", dmarc="pass"
        )
    text = str(failure.value)
    assert "  spf: expected pass, found fail" in text
    assert "  dkim: expected pass, found none" in text
    assert "  dmarc: expected pass, found fail" in text
    assert "for ip=192.0.2.9 helo=x.example mail_from=ann@example.org:" in text
    assert "decision: reject check_spf spf-fail" in text


def test_a_report_is_taken_as_it_is_and_what_was_not_checked_is_none() -> None:
    report = Authenticator("mx.example.net", resolver=published()).check(make_message(), ip="192.0.2.1")
    assert assert_authenticated(report, spf=None, dkim="none", iprev="pass") is report


def test_mistakes_of_the_test_are_type_errors() -> None:
    with pytest.raises(TypeError, match="expected: spf, spf_helo, dkim, dmarc, iprev, action; not spff"):
        assert_authenticated(make_message(), ip="192.0.2.1", resolver=Zone(), spff="pass")
    with pytest.raises(TypeError, match="ip: the client's address"):
        assert_authenticated(make_message(), resolver=Zone(), spf="pass")


def test_what_is_added_holds_at_once() -> None:
    zone = Zone()
    assert check_spf("192.0.2.1", mail_from="a@example.org", resolver=zone).result == "none"
    zone.add("example.org", "TXT", "v=spf1 ip4:192.0.2.1 -all")
    assert check_spf("192.0.2.1", mail_from="a@example.org", resolver=zone).result == "pass"
    zone.fail("example.org", "servfail")
    assert check_spf("192.0.2.1", mail_from="a@example.org", resolver=zone).result == "temperror"


def test_block_lists_and_hosts() -> None:
    zone = Zone().host("mx.example.org", "192.0.2.1", "2001:db8::1").listed("192.0.2.1", "bl.example", text="why")
    zone.listed("2001:db8::1", "bl.example").listed("bad.example", "dbl.example", "127.0.1.2")
    for subject, zone_name in (
        ("192.0.2.1", "bl.example"),
        ("2001:db8::1", "bl.example"),
        ("bad.example", "dbl.example"),
    ):
        (listing,) = query_rbl(subject, [zone_name], resolver=zone)
        assert listing.listed, subject
    zone.domain("example.org", mx=["mx.example.org", "mx2.example.org"], dkim=False)
    answer = zone.lookup(Question("example.org", "MX"))
    assert [exchange.host for exchange in answer.exchanges] == ["mx.example.org", "mx2.example.org"]


def test_keys_are_made_once_and_published() -> None:
    assert signing_key("a.example").key is signing_key("b.example").key
    zone = Zone().domain("example.org", dkim=[signing_key(kind="rsa", selector="r"), signing_key(selector="e")])
    message = sign_message(make_message(), signing_key(kind="rsa", selector="r"), signing_key(selector="e"))
    report = zone.assert_authenticated(message, ip="192.0.2.1", dkim="pass")
    assert [signature.result for signature in report.dkim] == ["pass", "pass"]


def test_the_clock_stands_still_until_it_is_turned(mailauth_clock: Clock) -> None:
    greylist = Greylist("memory:", clock=mailauth_clock)
    triplet = ("192.0.2.1", "ann@example.org", "bob@example.net")
    assert greylist.check(*triplet).action == "defer"
    assert greylist.check(*triplet).action == "defer"
    mailauth_clock.advance(minutes=6)
    assert greylist.check(*triplet).action == "accept"
    with pytest.raises(ValueError, match="backwards"):
        mailauth_clock.advance(-1)


# --- the server ------------------------------------------------------------------------------------------------


def asking(server: ZoneServer, **settings: float) -> DnspythonResolver:
    return DnspythonResolver.asking([server.address], server.port)


def test_the_server_answers_from_the_zone_as_it_changes(mailauth_zone: Zone, mailauth_dns: ZoneServer) -> None:
    resolver = asking(mailauth_dns)
    assert resolver.lookup(Question("example.org", "TXT"), 5).outcome is Outcome.NO_SUCH_NAME
    mailauth_zone.add("example.org", "TXT", "v=spf1 -all")
    assert resolver.lookup(Question("example.org", "TXT"), 5).texts == (b"v=spf1 -all",)
    assert mailauth_dns.asked == [Question("example.org", "TXT")] * 2


def test_other_programs_ask_the_server(mailauth_zone: Zone, mailauth_dns: ZoneServer) -> None:
    mailauth_zone.host("mx.example.org", "192.0.2.1")
    other = dns.resolver.Resolver(configure=False)
    other.nameservers, other.port = [mailauth_dns.address], mailauth_dns.port
    assert [str(record) for record in other.resolve("mx.example.org", "A")] == ["192.0.2.1"]


@pytest.mark.parametrize(
    "text", [b"\xff\x00\x1b", "Grüße".encode(), b"a\nb", b'"\\;', b"", b'x"' * 300, bytes(range(256)) * 3]
)
def test_texts_are_served_octet_by_octet(text: bytes) -> None:
    """RFC 1035 section 3.3.14: character strings are octets; whoever asks the server sees what the resolver sees."""
    zone = Zone().add("example.org", "TXT", text)
    question = Question("example.org", "TXT")
    with zone.serve() as server:
        over_the_wire = DnspythonResolver.asking([server.address], server.port).lookup(question)
    assert over_the_wire.texts == zone.lookup(question).texts == (text,)


def test_a_port_that_is_taken() -> None:
    with ZoneServer(Zone()) as first, pytest.raises(OSError, match="in use"):
        ZoneServer(Zone(), port=first.port)


def test_faults() -> None:
    zone = Zone()
    for name in ("slow", "silent", "cut"):
        zone.add(f"{name}.example", "TXT", "text")
    faults = {"slow.example": delay(0.1), "silent.example": drop, "cut.example": truncate}
    with zone.serve(faults) as server:
        assert isinstance(server, DnsServer)
        resolver = asking(server)
        assert resolver.lookup(Question("slow.example", "TXT"), 5).found
        assert resolver.lookup(Question("silent.example", "TXT"), 0.3).outcome is Outcome.TIMED_OUT
        assert resolver.lookup(Question("cut.example", "TXT"), 5).found
        assert any(tcp for _, tcp in server.queries)


def datagram(server: ZoneServer, octets: bytes, seconds: float = 5) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(seconds)
        client.sendto(octets, (server.address, server.port))
        return client.recv(65_535)


@pytest.mark.parametrize("octets", [bytes(12), b"\x12\x34" + b"\xff" * 20, dns.message.Message(7).to_wire()])
def test_what_is_not_a_query_is_a_format_error_and_the_server_goes_on(octets: bytes) -> None:
    """RFC 1035 section 4.1.1: RCODE 1, the server was unable to interpret the query."""
    with ZoneServer(published()) as server:
        answer = dns.message.from_wire(datagram(server, octets))
        assert answer.id == int.from_bytes(octets[:2], "big")
        assert answer.rcode() == dns.rcode.FORMERR
        assert asking(server).lookup(Question("mx.example.org", "A"), 5).found


def test_less_than_a_header_is_not_answered_and_the_server_goes_on() -> None:
    with ZoneServer(published()) as server:
        with pytest.raises(TimeoutError):
            datagram(server, b"abc", 0.2)
        assert asking(server).lookup(Question("mx.example.org", "A"), 5).found


def test_a_mistake_in_a_fault_is_raised_in_the_test() -> None:
    def broken(query: bytes, response: dns.message.Message, tcp: bool) -> list[tuple[float, bytes]]:
        raise LookupError("a mistake of the test")

    def ask(fails: type[Exception] | None) -> None:
        with published().serve({"mx.example.org": broken}) as server:
            assert asking(server).lookup(Question("mx.example.org", "A"), 0.2).outcome is Outcome.TIMED_OUT
            assert asking(server).lookup(Question("example.org", "TXT"), 5).found
            if fails is not None:
                raise fails

    with pytest.raises(LookupError, match="a mistake of the test"):
        ask(None)
    # What a test raises itself comes first.
    with pytest.raises(ZeroDivisionError):
        ask(ZeroDivisionError)


# --- as a plugin -----------------------------------------------------------------------------------------------


def test_the_fixtures_are_there_by_installation_and_cost_nothing_before_they_are_asked(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        dedent(
            """
            import sys

            def test_nothing_was_loaded():
                assert not {name for name in sys.modules if name.startswith("mailauth.")} - {
                    "mailauth.testing", "mailauth.testing.plugin"}

            def test_fixtures(mailauth_zone, mailauth_dns, mailauth_clock):
                mailauth_zone.domain("example.org", spf="v=spf1 -all")
                assert mailauth_dns.port and mailauth_clock() == 1_800_000_000
            """
        )
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "mailauth.testing.plugin"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
