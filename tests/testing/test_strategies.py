"""Each strategy gives what it says, and the reference survives all of it."""

from __future__ import annotations

import contextlib
from email import message_from_bytes
from typing import Any

from hypothesis import find, given, settings
from hypothesis import strategies as st

from mailauth.authres import AuthenticationResults, ParseFailure
from mailauth.authres import parse as parse_results
from mailauth.dkim import SigningKey
from mailauth.dmarc import DmarcRecord
from mailauth.dmarc.record import DmarcRecordError
from mailauth.mail.names import is_hostname
from mailauth.spf import Record, RecordError
from mailauth.sync import Authenticator, Greylist, check_dmarc, check_spf, verify_dkim
from mailauth.testing import Zone, make_message
from mailauth.testing import strategies as own
from mailauth.testing.clock import START
from mailauth.testing.strategies import Triplet

few = settings(max_examples=50)


@given(own.domains())
def test_domains(name: str) -> None:
    """Every name of the strategy can be asked in the DNS."""
    assert is_hostname(name)


@few
@given(own.valid_messages())
def test_valid_messages_have_one_author(message: bytes) -> None:
    """Every message has one author, and can be signed."""
    assert len(message_from_bytes(message).get_all("From") or []) == 1
    assert not message.replace(b"\r\n", b"").count(b"\n")


@few
@given(own.signed_messages())
def test_signed_messages_pass(signed: tuple[bytes, tuple[SigningKey, ...]]) -> None:
    """Every signature passes with the keys that come along."""
    message, keys = signed
    zone = Zone()
    for key in keys:
        zone.key(key)
    assert [signature.result for signature in verify_dkim(message, resolver=zone, now=START)] == ["pass"] * len(keys)


@few
@given(own.messages(), own.ip_addresses(), own.mailboxes(), st.text(max_size=20), own.spf_zones())
def test_a_whole_check_survives_everything(message: bytes, ip: Any, sender: str, helo: str, zone: Zone) -> None:
    """A whole check of any message from anywhere ends in a report."""
    report = Authenticator("mx.example.net", resolver=zone).check(
        message, ip=ip, helo=helo, mail_from=sender, now=START
    )
    assert report.authentication_results.startswith(b"Authentication-Results: mx.example.net;")


@few
@given(own.key_records(), own.signature_fields())
def test_any_key_and_any_signature_have_a_result(record: bytes, field: bytes) -> None:
    """Any key record and any signature field have a result."""
    message = b"DKIM-Signature:" + field.replace(b"\n", b"").replace(b"\r", b"") + b"\r\n" + make_message()
    zone = Zone().add("test._domainkey.example.org", "TXT", record)
    results = {"pass", "fail", "policy", "neutral", "permerror", "temperror"}
    assert all(signature.result in results for signature in verify_dkim(message, resolver=zone, now=START))


@few
@given(own.spf_zones(), own.ip_addresses())
def test_every_result_of_spf_can_come(zone: Zone, ip: Any) -> None:
    """The zones bring forth each result of RFC 7208."""
    result = check_spf(ip, mail_from="ann@example.org", resolver=zone).result
    assert result in {"pass", "fail", "softfail", "neutral", "none", "permerror", "temperror"}


def test_trees_are_rich_enough() -> None:
    """Not only that nothing breaks: the interesting results are found by looking for them."""
    many = settings(max_examples=2000)
    for result in ("pass", "fail", "softfail", "permerror", "temperror"):
        find(own.spf_zones(), lambda zone, result=result: spf_of(zone) == result, settings=many)
    for result in ("fail", "none", "temperror"):
        find(own.dmarc_zones(), lambda zone, result=result: dmarc_of(zone) == result, settings=many)


def spf_of(zone: Zone) -> str:
    return check_spf("192.0.2.1", mail_from="ann@example.org", resolver=zone).result


def dmarc_of(zone: Zone) -> str:
    return check_dmarc("c.b.a.example.org", resolver=zone).result


@given(own.spf_records(), own.dmarc_records())
def test_records_are_good_and_bad(spf: str, dmarc: str) -> None:
    """There are good records among them, and bad ones."""
    with contextlib.suppress(RecordError):
        assert Record.parse(str(Record.parse(spf))) == Record.parse(spf)
    with contextlib.suppress(DmarcRecordError):
        assert DmarcRecord.parse(str(DmarcRecord.parse(dmarc))) == DmarcRecord.parse(dmarc)


@given(own.triplets())
def test_triplets(triplet: Triplet) -> None:
    """Some triplets come again, and all of them have a key."""
    decision = Greylist("memory:").check(*triplet, now=START)
    assert decision.action in ("defer", "accept")


@given(own.authentication_results())
def test_fields_can_be_read_again(field: AuthenticationResults) -> None:
    """Every field is read again as it was written."""
    read = parse_results(field.folded_value())
    assert not isinstance(read, ParseFailure)
    assert [each.method for each in read.results] == [each.method for each in field.results]


@few
@given(own.with_results())
def test_messages_with_results(message: bytes) -> None:
    """Every message has the fields that were put on it."""
    assert message.endswith(make_message())
