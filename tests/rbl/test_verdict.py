"""`judge`: one verdict over many listings.

An allow list ends the matter, then a reject list, then the sum of the weights decides; what a list did not answer
counts for nothing.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth.config import ConfigError, parse
from mailauth.plan import run
from mailauth.rbl import Listing, Reason, Result, Rule, Verdict, judge, query
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import reject_rbl, reject_rhsbl

# A busy machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def listing(rule: str, result: str = "listed", text: str = "") -> Listing:
    return Listing(Rule.parse(rule), "192.0.2.1", Result(result), Reason.LISTED, text=text)


def test_nothing_listed() -> None:
    verdict = judge([listing("a.example", "not-listed"), listing("b.example reject", "temperror")])
    assert (verdict.action, verdict.reason, verdict.score) == ("none", "below-threshold", 0)
    assert verdict.text == ""
    assert [str(one.rule) for one in verdict.unanswered] == ["b.example reject"]


@pytest.mark.parametrize(
    "zone", ["sa-trusted.bondedsender.org", "sa-accredit.habeas.com", "list.dnswl.org", "wl.example"]
)
@pytest.mark.parametrize("code", ["127.255.255.255", "127.255.255.254"])
def test_an_error_of_an_allow_list_lets_nobody_in(zone: str, code: str) -> None:
    """Validity's lists answer everybody with 127.255.255.255 once one has asked too much."""
    zones = [f"{zone} allow", f"{zone}=127.255.255.[0..255] allow", f"{zone}*-9", "bl.example"]
    entries = {("1.2.0.192." + zone, "A"): [code], ("1.2.0.192.bl.example", "A"): ["127.0.0.2"]}
    verdict = judge(run(query("192.0.2.1", zones), ZoneResolver(entries)))
    assert (verdict.action, verdict.score) == ("reject", 1)
    assert len(verdict.unanswered) == 3


def test_no_lists() -> None:
    assert judge([]).action == "none"


def test_one_listing_is_enough_by_default() -> None:
    verdict = judge([listing("a.example", text="why")])
    assert verdict.rejects
    assert verdict.reason == "score"
    assert verdict.text == "192.0.2.1 blocked using a.example; why"


@pytest.mark.parametrize(
    ("rules", "threshold", "score", "action"),
    [
        (["a.example*2", "b.example*3"], 5, 5, "reject"),
        (["a.example*2", "b.example*3"], 6, 5, "none"),
        (["a.example*3", "white.example*-2"], 2, 1, "none"),
        (["a.example*3", "white.example*-1"], 2, 2, "reject"),
        (["white.example*-4"], 1, -4, "none"),
        (["bl.example=127.0.0.2*3", "bl.example=127.0.0.3*4"], 7, 7, "reject"),
        (["a.example*0"], 1, 0, "none"),
        (["list.dnswl.org", "a.example"], 1, 0, "none"),
    ],
)
def test_weights_add_up(rules: list[str], threshold: int, score: int, action: str) -> None:
    verdict = judge(map(listing, rules), threshold=threshold)
    assert (verdict.score, verdict.action) == (score, action)


@pytest.mark.parametrize("threshold", [0, -1])
def test_a_threshold_that_rejects_whom_no_list_knows_is_a_mistake(threshold: int) -> None:
    """As in Postfix, the least is 1; what keeps a threshold says so when it is made, not when mail comes in."""
    for made in (judge, reject_rbl, reject_rhsbl):
        arguments = [[]] if made is judge else ["bl.example"]
        with pytest.raises(ValueError, match="1 or more"):
            made(*arguments, threshold=threshold)


def test_such_a_threshold_in_a_configuration_file_is_pointed_at() -> None:
    with pytest.raises(ConfigError, match=r":4: rbl\.threshold: .*1 or more"):
        parse('hostname = "mx.example.net"\n[rbl]\nlists = ["bl.example"]\nthreshold = 0\n')


def test_a_reject_list_needs_no_score() -> None:
    verdict = judge([listing("white.example*-9"), listing("a.example*0 reject")], threshold=100)
    assert (verdict.action, verdict.reason) == ("reject", "reject-list")
    assert [one.zone for one in verdict.because] == ["a.example"]


def test_an_allow_list_ends_the_matter() -> None:
    verdict = judge([listing("a.example*9 reject"), listing("b.example*9"), listing("white.example allow")])
    assert (verdict.action, verdict.reason) == ("allow", "allow-list")
    assert not verdict.rejects
    assert [one.zone for one in verdict.because] == ["white.example"]


@pytest.mark.parametrize("result", ["not-listed", "refused", "temperror"])
def test_only_a_listing_by_the_allow_list_does(result: str) -> None:
    assert judge([listing("a.example reject"), listing("white.example allow", result)]).rejects


def test_only_what_adds_to_the_score_is_blamed() -> None:
    verdict = judge([listing("white.example*-1"), listing("a.example*2"), listing("b.example*0")])
    assert [one.zone for one in verdict.because] == ["a.example"]


def test_the_text_stays_short() -> None:
    text = judge([listing(f"l{n}.example", text="x" * 400) for n in range(50)]).text
    assert text.startswith("192.0.2.1 blocked using l0.example, l1.example, l2.example and 47 more; xxx")
    assert len(text) < 600


def test_a_verdict_goes_into_json() -> None:
    verdict = judge([listing("a.example", text="why"), listing("b.example", "refused")])
    assert json.loads(json.dumps(verdict.to_dict())) == {
        "action": "reject",
        "reason": "score",
        "score": 1,
        "threshold": 1,
        "because": ["a.example"],
        "unanswered": ["b.example"],
        "text": "192.0.2.1 blocked using a.example; why",
    }


kinds = st.sampled_from(["listed", "not-listed", "refused", "temperror"])
rules = st.tuples(st.integers(-5, 5), st.sampled_from(["score", "reject", "allow"]), kinds)


@unhurried
@given(st.lists(rules, max_size=8), st.integers(1, 15))
def test_a_verdict_follows_its_order(given_rules: list[tuple[int, str, str]], threshold: int) -> None:
    """Allow before reject before score; the score is the sum over the listed; the order is immaterial."""
    listings = [listing(f"l{n}.example*{w} {a}", r) for n, (w, a, r) in enumerate(given_rules)]
    verdict = judge(listings, threshold=threshold)
    listed_rules = [(w, a) for w, a, r in given_rules if r == "listed"]
    assert verdict.score == sum(w for w, _ in listed_rules)
    actions = {a for _, a in listed_rules}
    if "allow" in actions:
        assert verdict.action == "allow"
    elif "reject" in actions:
        assert verdict.action == "reject"
    else:
        assert verdict.rejects == (verdict.score >= threshold)
    backwards: Verdict = judge(reversed(listings), threshold=threshold)
    assert (backwards.action, backwards.score) == (verdict.action, verdict.score)
