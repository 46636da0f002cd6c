"""`RecordingResolver` changes no answer and notes each question, whichever way it is asked."""

from __future__ import annotations

import asyncio

import pytest

from mailauth.plan import Answer, Outcome, Question, ask_all, run, run_async
from mailauth.resolvers import CachingResolver, DnspythonResolver, RecordingResolver, ZoneResolver
from tests.dnsserver import ZoneServer

A, MISSING = Question("a.example", "A"), Question("b.example", "A")
ZONE = ZoneResolver({("a.example", "A"): ["192.0.2.1"]})


def test_a_zone_in_memory() -> None:
    recorder = RecordingResolver(ZONE, clock=iter([0.0, 1.0, 1.5, 2.0, 2.25]).__next__)
    answers = run(ask_all([A, MISSING]), recorder)
    assert answers == run(ask_all([A, MISSING]), ZONE)
    assert [(each.question, each.answer.outcome, each.at, each.took) for each in recorder.asked] == [
        (A, Outcome.FOUND, 1.0, 0.5),
        (MISSING, Outcome.NO_SUCH_NAME, 2.0, 0.25),
    ]
    assert recorder.asked[0].to_dict() == {
        "name": "a.example", "type": "A", "outcome": "found", "records": 1, "at": 1.0, "took": 0.5,
    }  # fmt: skip


def test_asynchronously() -> None:
    recorder = RecordingResolver(CachingResolver(ZONE))
    assert asyncio.run(run_async(ask_all([A, MISSING]), recorder))[0].found
    assert {each.question for each in recorder.asked} == {A, MISSING}


def test_over_the_network_side_by_side() -> None:
    with ZoneServer(ZONE) as server, DnspythonResolver.asking([server.address], server.port) as resolver:
        recorder = RecordingResolver(resolver)
        assert run(ask_all([A, MISSING]), recorder)[0].found
        assert {each.question for each in recorder.asked} == {A, MISSING}
        assert all(each.took > 0 for each in recorder.asked)


def test_it_has_the_methods_of_the_other_one() -> None:
    class Slow:
        def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
            return Answer(Outcome.NO_DATA)

    recorder = RecordingResolver(Slow())
    assert not hasattr(recorder, "lookup_now")
    assert not hasattr(recorder, "submit")
    assert run(ask_all([A]), recorder) == [Answer(Outcome.NO_DATA)]
    with pytest.raises(TypeError, match="lookup_async"):
        asyncio.run(run_async(ask_all([A]), recorder))


def test_what_is_no_resolver() -> None:
    with pytest.raises(TypeError, match="no resolver"):
        RecordingResolver(object())


def test_an_error_of_the_resolver_comes_out() -> None:
    class Broken:
        def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
            raise OSError("gone")

    recorder = RecordingResolver(Broken())
    with pytest.raises(OSError, match="gone"):
        run(ask_all([A]), recorder)
    assert recorder.asked == ()


def test_the_questions_alone() -> None:
    recorder = RecordingResolver(ZoneResolver({("a.example", "A"): ["192.0.2.1"]}))
    asked = (Question("a.example", "A"), Question("b.example", "TXT"), Question("a.example", "A"))
    for question in asked:
        recorder.lookup(question, None)
    assert recorder.questions == asked
