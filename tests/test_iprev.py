"""Reverse DNS (RFC 8601 section 3).

The result is RFC 8601's for whatever the holder of the address wrote into the reverse zone; at most 1 + 10 questions;
every name that is shown is made of host-name characters.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth.iprev import IprevPolicy, IprevResult, check
from mailauth.plan import Answer, Execution, Outcome, Question, run
from mailauth.resolvers import ZoneResolver

# A busy machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

CLIENT = "192.0.2.1"
PTR = "1.2.0.192.in-addr.arpa"
PTR6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
MX = "mx.example.org"


class Scripted:
    """Answers PTR with the given names, as hostile as they come, and everything else from a zone."""

    def __init__(self, names: tuple[str, ...], zone: ZoneResolver | None = None) -> None:
        self.names = names
        self.zone = zone or ZoneResolver()
        self.asked: list[Question] = []

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        self.asked.append(question)
        if question.type == "PTR":
            return Answer(Outcome.FOUND, self.names) if self.names else Answer(Outcome.NO_DATA)
        return self.zone.lookup(question)


def iprev(records: dict[Any, Any], failures: Any = None, ip: Any = CLIENT) -> IprevResult:
    return run(check(ip), ZoneResolver(records, failures=failures))


# RFC 8601 section 2.7.3, line by line.
CASES: list[Any] = [
    pytest.param({(PTR, "PTR"): [MX], (MX, "A"): [CLIENT]}, {}, "pass", "confirmed", id="agreement"),
    pytest.param(
        {(PTR, "PTR"): [MX], (MX, "A"): ["192.0.2.9", CLIENT]}, {}, "pass", "confirmed", id="one-of-several-addresses"
    ),
    pytest.param(
        {(PTR, "PTR"): ["a.example.org", MX], (MX, "A"): [CLIENT]}, {}, "pass", "confirmed", id="one-of-several-names"
    ),
    pytest.param({(PTR, "PTR"): [MX], (MX, "A"): ["192.0.2.9"]}, {}, "fail", "not-confirmed", id="no-agreement"),
    pytest.param({(PTR, "PTR"): [MX]}, {}, "fail", "not-confirmed", id="forward-nxdomain"),
    pytest.param({(PTR, "PTR"): [MX], (MX, "MX"): ["0 ."]}, {}, "fail", "not-confirmed", id="forward-no-data"),
    pytest.param({(PTR, "PTR"): [MX]}, {(MX, "A"): "servfail"}, "temperror", "forward-failure", id="name-servfail"),
    pytest.param({(PTR, "PTR"): [MX]}, {(MX, "A"): "timeout"}, "temperror", "forward-failure", id="name-timeout"),
    pytest.param({(PTR, "PTR"): [MX]}, {(MX, "A"): "refused"}, "temperror", "forward-failure", id="name-refused"),
    pytest.param(
        {(PTR, "PTR"): ["bad.example", MX], (MX, "A"): [CLIENT]},
        {("bad.example", "A"): "servfail"}, "pass", "confirmed", id="a-failure-beside-a-confirmation",
    ),
    pytest.param(
        {(PTR, "PTR"): ["bad.example", MX], (MX, "A"): ["192.0.2.9"]},
        {("bad.example", "A"): "servfail"}, "temperror", "forward-failure", id="a-failure-beside-a-mismatch",
    ),
    pytest.param({}, {(PTR, "PTR"): "servfail"}, "temperror", "reverse-failure", id="reverse-servfail"),
    pytest.param({}, {(PTR, "PTR"): "timeout"}, "temperror", "reverse-failure", id="reverse-timeout"),
    pytest.param({}, {(PTR, "PTR"): "refused"}, "temperror", "reverse-failure", id="reverse-refused"),
    pytest.param({}, {}, "permerror", "no-ptr", id="reverse-nxdomain"),
    pytest.param({(PTR, "TXT"): ["x"]}, {}, "permerror", "no-ptr", id="reverse-no-data"),
    pytest.param({(PTR, "PTR"): [MX], (MX, "AAAA"): ["2001:db8::1"]}, {}, "fail", "not-confirmed", id="other-family"),
]  # fmt: skip


@pytest.mark.parametrize(("records", "failures", "result", "reason"), CASES)
def test_the_results_of_the_rfc(records: Any, failures: Any, result: str, reason: str) -> None:
    checked = iprev(records, failures)
    assert (checked.result, checked.reason) == (result, reason)
    assert bool(checked.confirmed) == (result == "pass")
    assert checked.detail


def test_the_names() -> None:
    checked = iprev({(PTR, "PTR"): ["a.example.org", MX, "b.example.org"], (MX, "A"): [CLIENT],
                     ("b.example.org", "A"): [CLIENT]})  # fmt: skip
    assert checked.names == ("a.example.org", MX, "b.example.org")
    assert checked.confirmed == (MX, "b.example.org")
    assert checked.name == MX
    assert checked.lookups == 4
    assert iprev({}).name is None


def test_ipv6_is_looked_up_as_ipv6() -> None:
    records = {(PTR6, "PTR"): [MX], (MX, "AAAA"): ["2001:db8::1"], (MX, "A"): [CLIENT]}
    assert iprev(records, ip="2001:DB8:0::1").result == "pass"
    resolver = Scripted((MX,))
    run(check("2001:db8::1"), resolver)
    assert resolver.asked == [Question(PTR6, "PTR"), Question(MX, "AAAA")]


def test_an_ipv4_mapped_address_is_ipv4() -> None:
    assert iprev({(PTR, "PTR"): [MX], (MX, "A"): [CLIENT]}, ip="::ffff:192.0.2.1").result == "pass"


def test_a_delegated_reverse_zone() -> None:
    # RFC 2317: the provider's reverse zone points into the customer's with a CNAME
    customer = "1.0-25.2.0.192.in-addr.arpa"
    records = {(PTR, "CNAME"): [customer], (customer, "PTR"): [MX], (MX, "CNAME"): ["h.example"],
               ("h.example", "A"): [CLIENT]}  # fmt: skip
    assert iprev(records).confirmed == (MX,)


def test_a_reverse_loop_is_temporary() -> None:
    assert iprev({(PTR, "CNAME"): ["x.example"], ("x.example", "CNAME"): [PTR]}).result == "temperror"


def test_at_most_ten_names_are_looked_up() -> None:
    # RFC 8601 sections 3 and 7.4
    names = tuple(f"n{n}.example.org" for n in range(4000))
    resolver = Scripted(names)
    checked = run(check(CLIENT), resolver)
    assert [question.name for question in resolver.asked[1:]] == list(names[:10])
    assert checked.names == names
    assert checked.lookups == 11
    assert "3990 more not looked up" in checked.detail
    run(check(CLIENT, policy=IprevPolicy(max_names=2)), resolver := Scripted(names))
    assert len(resolver.asked) == 3


def test_names_are_looked_up_side_by_side_and_once() -> None:
    execution = Execution(check(CLIENT))
    (ptr,) = execution.start()
    questions = execution.answer(ptr, Answer(Outcome.FOUND, ("a.example", "b.example", "a.example")))
    assert questions == [Question("a.example", "A"), Question("b.example", "A")]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("evil\\013\\010x.example", "evil?013?010x.example"),
        ('a";b=c.example', "a??b?c.example"),
        ("a b.example", "a?b.example"),
        ("<script>.example", "?script?.example"),
        ("a..example", "a..example"),
        ("192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("-a.example", "-a.example"),
        ("x" * 64 + ".example", "x" * 64 + ".example"),
        ("bücher.example", "b?cher.example"),
    ],
)
def test_a_hostile_name_is_neither_looked_up_nor_shown_as_it_is(name: str, shown: str) -> None:
    resolver = Scripted((name,))
    checked = run(check(CLIENT), resolver)
    assert len(resolver.asked) == 1
    assert (checked.result, checked.reason) == ("fail", "no-host-name")
    assert checked.names == (shown,)


def test_hostile_names_do_not_push_the_good_one_out() -> None:
    zone = ZoneResolver({(MX, "A"): [CLIENT]})
    assert run(check(CLIENT), Scripted((*[f"bad {n}.example" for n in range(500)], MX), zone)).confirmed == (MX,)


@unhurried
@given(st.lists(st.text(max_size=300), max_size=30))
def test_any_names_give_a_result(names: list[str]) -> None:
    """Any names at all: a result, at most 11 questions, and nothing shown but host-name characters."""
    resolver = Scripted(tuple(names))
    checked = run(check(CLIENT), resolver)
    assert checked.result in {"fail", "permerror"}
    assert len(resolver.asked) <= 11
    assert set("".join(checked.names)) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-?")
    assert str(checked).isascii()
    json.dumps(checked.to_dict())


def test_the_deadline() -> None:
    execution = Execution(check(CLIENT))
    (ptr,) = execution.start()
    first, second = execution.answer(ptr, Answer(Outcome.FOUND, (MX, "slow.example")))
    execution.answer(first, ZoneResolver({(MX, "A"): [CLIENT]}).lookup(first))
    execution.expire()
    assert second.name == "slow.example"
    assert execution.result.confirmed == (MX,)


def test_to_dict() -> None:
    checked = iprev({(PTR, "PTR"): [MX], (MX, "A"): [CLIENT]})
    assert json.loads(json.dumps(checked.to_dict())) == {
        "result": "pass",
        "reason": "confirmed",
        "detail": "mx.example.org points back to the address",
        "ip": "192.0.2.1",
        "confirmed": [MX],
        "names": [MX],
        "lookups": 2,
    }
    assert str(checked) == "iprev=pass (192.0.2.1: mx.example.org points back to the address)"


@pytest.mark.parametrize("ip", ["192.0.2", "mx.example.org", "", "192.0.2.1 "])
def test_no_address_raises_when_called(ip: str) -> None:
    with pytest.raises(ValueError):
        check(ip)


def test_wrong_types_raise_when_called() -> None:
    with pytest.raises(TypeError):
        check(1)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        IprevPolicy(max_names=0)
