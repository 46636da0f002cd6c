"""`zone_text`: a run's questions and answers as a master file that answers the same."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.cli import main
from mailauth.plan import Answer, Exchange, Outcome, Question
from mailauth.resolvers import RecordingResolver, ZoneError, ZoneResolver, zone_text
from mailauth.testing import Zone, make_message
from mailauth.testing.strategies import domains

NAMES = st.lists(
    st.text(st.characters(min_codepoint=1, max_codepoint=127, blacklist_characters=".*"), min_size=1, max_size=20),
    min_size=1,
    max_size=3,
).map(".".join)


def again(question: Question, answer: Answer) -> Answer:
    """The answer of the zone that was written."""
    return ZoneResolver.from_text(zone_text([(question, answer)])).lookup_now(question)


@given(NAMES, st.lists(st.binary(max_size=600), min_size=1, max_size=3, unique=True), st.integers(0, 86400))
def test_any_text_of_any_name(name: str, texts: list[bytes], ttl: int) -> None:
    """Any octets as the text of any name come back from the master file that was written."""
    question = Question(name.lower(), "TXT")
    answer = Answer(Outcome.FOUND, tuple(texts), ttl)
    found = again(question, answer)
    assert (found.outcome, sorted(found.texts), found.ttl) == (Outcome.FOUND, sorted(texts), ttl)


@given(domains(), domains())
def test_the_other_types(name: str, target: str) -> None:
    """Answers of the other types come back from the master file that was written."""
    for rtype, records in (
        ("A", (ip_address("192.0.2.1"), ip_address("192.0.2.2"))),
        ("AAAA", (ip_address("2001:db8::1"),)),
        ("MX", (Exchange(10, target), Exchange(20, target))),
        ("MX", (Exchange(0, ""),)),
        ("PTR", (target, "odd\\000.example")),
    ):
        question = Question(name, rtype)  # type: ignore[arg-type]
        assert again(question, Answer(Outcome.FOUND, records, 60)).records == records


@pytest.mark.parametrize("outcome", list(Outcome)[1:])
@pytest.mark.parametrize("name", ["example.org", "odd name\\;.example", "_dmarc.example.org"])
def test_what_was_not_found(outcome: Outcome, name: str) -> None:
    assert again(Question(name, "TXT"), Answer(outcome)).outcome is outcome


def test_a_name_that_has_one_type_and_not_the_other() -> None:
    asked = [
        (Question("a.example", "AAAA"), Answer(Outcome.NO_DATA)),
        (Question("a.example", "A"), Answer(Outcome.FOUND, (ip_address("192.0.2.1"),), 60)),
        (Question("a.example", "TXT"), Answer(Outcome.TIMED_OUT)),
    ]
    zone = ZoneResolver.from_text(zone_text(asked))
    assert [zone.lookup_now(question).outcome for question, _ in asked] == [answer.outcome for _, answer in asked]


def test_other_comments_are_comments() -> None:
    zone = ZoneResolver.from_text(
        "; !timeout a.example TXT\n;! timeout a.example TXT\na.example. 60 TXT x ;!timeout a.example TXT\n"
    )
    assert zone.lookup_now(Question("a.example", "TXT")).found
    with pytest.raises(ZoneError):
        ZoneResolver.from_text(";!timeout a..example TXT\n")


def test_a_recorded_check_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the command printed is printed again, without the DNS that it had."""
    zone = Zone().domain("example.org", spf="v=spf1 include:_spf.example.org -all", dmarc="v=DMARC1; p=reject")
    zone.add("_spf.example.org", "TXT", "v=spf1 a:mx.example.org a:slow.example -all").host(
        "mx.example.org", "192.0.2.1"
    )
    zone.fail("slow.example", "servfail")
    recorder = RecordingResolver(zone)
    message = zone.sign(make_message())
    report = zone.assert_authenticated(message, ip="192.0.2.7", spf="temperror", dkim="pass")
    first = tmp_path / "first.zone"
    from mailauth.sync import Authenticator

    Authenticator("mx.example.net", resolver=recorder).check(message, ip="192.0.2.7", mail_from="ann@example.org")
    first.write_text(zone_text(recorder.asked))
    (tmp_path / "message.eml").write_bytes(message)
    common = [
        "check",
        str(tmp_path / "message.eml"),
        "--ip",
        "192.0.2.7",
        "--mail-from",
        "ann@example.org",
        "--now",
        "1800000000",
        "--json",
    ]
    printed = []
    for source, target in ((first, "second.zone"), (tmp_path / "second.zone", "third.zone")):
        main([*common, "--zone", str(source), "--record", str(tmp_path / target)])
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0]["spf"]["result"] == report.spf.result == "temperror"  # type: ignore[union-attr]
    assert printed[0]["spf"] == printed[1]["spf"]
    assert printed[0]["dkim"] == printed[1]["dkim"]
    assert (tmp_path / "second.zone").read_text() == (tmp_path / "third.zone").read_text()
