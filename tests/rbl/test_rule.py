"""Rules and patterns: Postfix's notation, and what is added to it.

A rule means what Postfix means by it, every other text is a RuleError that points at the place, and no text that
anybody is shown holds a key.
"""

from __future__ import annotations

import gc
import pickle
import time
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth.config import ConfigError, parse
from mailauth.rbl import Action, Kind, Pattern, Rule, RuleError, parse_rules
from mailauth.rbl.pattern import Mask, Range
from mailauth.rbl.secrets import MASK

# A busy machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

KEY = "abcdefghijkl1234mnopqrst56"


def matches(pattern: str, address: str) -> bool:
    return Pattern.parse(pattern).matches(IPv4Address(address))


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("127.0.0.2", "127.0.0.2", "127.0.0.3"),
        ("127.0.0.2", "127.0.0.2", "127.0.1.2"),
        ("127.0.0.2", "127.0.0.2", "128.0.0.2"),
        ("127.0.0.[2..11]", "127.0.0.2", "127.0.0.1"),
        ("127.0.0.[2..11]", "127.0.0.11", "127.0.0.12"),
        ("127.0.0.[2;4..6]", "127.0.0.2", "127.0.0.3"),
        ("127.0.0.[2;4..6]", "127.0.0.5", "127.0.0.7"),
        ("127.0.[0..255].[1..3]", "127.0.10.3", "127.0.10.0"),
        ("[127].0.[0;3].002", "127.0.3.2", "127.0.1.2"),
        ("127.0.0.[7..7]", "127.0.0.7", "127.0.0.8"),
        ("127.0.0.[&8]", "127.0.0.8", "127.0.0.7"),
        ("127.0.0.[&8]", "127.0.0.255", "127.0.0.16"),
        ("127.0.0.[&24]", "127.0.0.16", "127.0.0.6"),
        ("127.0.0.[&8;1..3]", "127.0.0.3", "127.0.0.4"),
    ],
)
def test_a_pattern_matches(pattern: str, yes: str, no: str) -> None:
    assert matches(pattern, yes)
    assert not matches(pattern, no)


@pytest.mark.parametrize(
    ("pattern", "position"),
    [
        ("", 0),
        ("127", 3),
        ("127.0.0", 7),
        ("127.0.0.", 8),
        ("127.0.0.256", 8),
        ("127.0.0.99999999999999999999", 8),
        ("127.0.0.2.", 9),
        ("127.0.0.2.3", 9),
        ("127..0.2", 3),
        ("127.0.0.[]", 9),
        ("127.0.0.[2;]", 11),
        ("127.0.0.[;2]", 9),
        ("127.0.0.[2..]", 12),
        ("127.0.0.[2...4]", 12),
        ("127.0.0.[4..2]", 12),
        ("127.0.0.[2;300]", 11),
        ("127.0.0.[2..4..6]", 13),
        ("127.0.0.[2.4]", 10),
        ("127.0.0.[2", 10),
        ("127.0.0.[2..4]5", 14),
        ("127.0.0.[[2]]", 9),
        ("127.0.0.*", 8),
        ("127.0.0.+2", 8),
        ("127.0.0.&2", 8),
        ("127.0.0.[&0]", 10),
        ("127.0.0.[&256]", 10),
        ("127.0.0.٢", 8),
    ],
)
def test_a_bad_pattern_is_pointed_at(pattern: str, position: int) -> None:
    with pytest.raises(RuleError) as caught:
        Pattern.parse(pattern)
    assert caught.value.position == position
    assert f"(at character {position + 1})" in str(caught.value)


octets = st.integers(0, 255)
terms = st.one_of(st.tuples(octets, octets).map(lambda two: Range(min(two), max(two))), st.integers(1, 255).map(Mask))
patterns = st.builds(Pattern, st.tuples(*[st.lists(terms, min_size=1, max_size=4).map(tuple)] * 4))


@unhurried
@given(patterns)
def test_text_and_value_are_the_same_pattern(pattern: Pattern) -> None:
    """What is printed is read back as the same value."""
    assert Pattern.parse(str(pattern)) == pattern


@unhurried
@given(patterns, st.tuples(octets, octets, octets, octets))
def test_a_pattern_is_its_octets(pattern: Pattern, address: tuple[int, int, int, int]) -> None:
    """An address matches if each of its octets is in the set that the terms spell out."""
    sets = [
        {
            octet
            for octet in range(256)
            for term in octet_terms
            if (term.first <= octet <= term.last if isinstance(term, Range) else octet & term.bits)
        }
        for octet_terms in pattern.octets
    ]
    assert pattern.matches(IPv4Address(bytes(address))) == all(o in s for o, s in zip(address, sets, strict=True))


@unhurried
@given(st.one_of(st.text(), st.text("127.0[];&*=-+ reject.example\t", max_size=60)))
def test_any_text_is_a_rule_or_an_error(text: str) -> None:
    """Any text is a rule whose notation is read back as the same rule, or a RuleError; nothing else."""
    try:
        rule = Rule.parse(text)
    except RuleError:
        return
    assert Rule.parse(rule.notation) == rule


def test_the_parts_of_a_rule() -> None:
    rule = Rule.parse("Zen.Example=127.0.0.[2..11]*-3 reject")
    assert rule.zone == "zen.example"
    assert str(rule.filter) == "127.0.0.[2..11]"
    assert rule.points == rule.weight == -3
    assert rule.action is Action.REJECT
    assert str(rule) == "zen.example=127.0.0.[2..11]*-3 reject"


def test_the_defaults_are_postscreens() -> None:
    rule = Rule.parse("zen.example")
    assert (rule.filter, rule.weight, rule.action, rule.kind) == (None, 1, Action.SCORE, None)


def test_a_zone_of_u_labels_becomes_a_labels() -> None:
    assert Rule.parse("bücher.example*2").zone == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "zen", "zen.example*", "zen.example*x", "zen.example*1.5", "zen.example*99999999999", "zen.example=",
        "zen.example=127.0.0.2*3*4", "zen.example refuse", "zen.example reject now", "=127.0.0.2", "*3", "192.0.2.1",
        "zen.exa mple", "zen..example", "-zen.example", "zen.example\n", "zen.example:53", "a" * 64 + ".example",
        "zen.example=127.0.0.2" + " " * 5000, "http://zen.example/",
    ],
)  # fmt: skip
def test_a_bad_rule_is_refused(text: str) -> None:
    with pytest.raises(RuleError):
        Rule.parse(text)


def test_a_list_of_good_senders_takes_points_off() -> None:
    assert Rule.parse("list.dnswl.org").points == -1
    assert Rule.parse("list.dnswl.org*2").points == 2
    assert Rule.parse(Rule.parse("list.dnswl.org*1").notation).points == 1


def test_values_are_checked_like_text() -> None:
    assert Rule("Zen.Example.", weight=2, action="reject", kind="domain") == Rule(
        "zen.example", weight=2, action=Action.REJECT, kind=Kind.DOMAIN
    )
    for wrong in ({"zone": "zen"}, {"zone": "zen.example", "action": "x"}, {"zone": "zen.example", "weight": 10**12}):
        with pytest.raises(ValueError):
            Rule(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"zone": 5}, {"filter": "127.0.0.2"}, {"weight": "3"}, {"weight": 1.5},
        {"secrets": "mykey"}, {"secrets": ("",)}, {"secrets": (7,)},
    ],
)  # fmt: skip
def test_values_of_the_wrong_type_are_told_at_once(wrong: dict[str, Any]) -> None:
    """Not when the first answer comes in, and no secret of one letter each."""
    with pytest.raises(TypeError, match=f"the {next(iter(wrong))} is|secrets is"):
        Rule(**{"zone": "mykey.list.example", **wrong})


# --- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        (f"{KEY}.zen.dq.spamhaus.net", "***.zen.dq.spamhaus.net"),
        ("short1.zen.dq.spamhaus.net", "***.zen.dq.spamhaus.net"),  # the catalogue knows that this is a key
        (f"{KEY.upper()}.combined.list.example", "***.combined.list.example"),
        ("0123456789abcdef0123456789abcdef.list.example", "***.list.example"),
        (f"lists.{KEY}.example.org", "lists.***.example.org"),
        ("zen.dq.spamhaus.net", "zen.dq.spamhaus.net"),
        ("b.barracudacentral.org", "b.barracudacentral.org"),
        ("hostkarma.junkemailfilter.com", "hostkarma.junkemailfilter.com"),
        ("dnsbl-1.uceprotect.net", "dnsbl-1.uceprotect.net"),
    ],
)
def test_keys_in_zone_names_are_masked(zone: str, shown: str) -> None:
    rule = Rule.parse(f"{zone}=127.0.0.2*2")
    assert rule.shown_zone == shown
    assert str(rule) == f"{shown}=127.0.0.2*2"
    assert repr(rule) == f"<Rule {shown}=127.0.0.2*2>"
    assert rule.zone == zone.lower()
    assert rule.notation == f"{zone.lower()}=127.0.0.2*2"


def test_a_key_that_does_not_look_like_one_can_be_named() -> None:
    rule = Rule("mykey.list.example", secrets=("mykey",))
    assert str(rule) == "***.list.example"


@pytest.mark.parametrize(
    "text",
    [
        f"{KEY}.list.example*x", f"{KEY}.list.example refuse", f"{KEY}.list.exam_ple-", KEY, f"{KEY}.0list.example*x",
        f"{KEY}=127.0.0.2", f"list.example={KEY}.2", f"list.example {KEY}", f"{KEY.upper()}/list.example", KEY * 3,
        f"x-{KEY}-y.list.example*x", " " * 40 + f"{KEY}.list.example" + " " * 1000,
    ],
)  # fmt: skip
def test_errors_do_not_show_keys(text: str) -> None:
    with pytest.raises(RuleError) as caught:
        Rule.parse(text)
    shown = f"{caught.value} {caught.value!r} {caught.value.text}".lower()
    assert KEY[:10] not in shown
    assert MASK in shown


def test_errors_do_not_show_keys_that_were_named() -> None:
    with pytest.raises(RuleError) as caught:
        Rule("mykey.list.exam ple", secrets=("mykey",))
    assert "mykey" not in str(caught.value)


def test_a_configuration_file_does_not_show_keys() -> None:
    items = ", ".join(f'"reject_rbl {text}"' for text in (f"{KEY}=127.0.0.2", f"{KEY}.list.example*x", KEY))
    with pytest.raises(ConfigError) as caught:
        parse(f'hostname = "mx.example.net"\n[restrictions]\nclient = [{items}]\n')
    assert len(caught.value.mistakes) == 3
    assert KEY not in str(caught.value)


def test_a_key_that_begins_with_another_is_masked_whole() -> None:
    assert Rule("abcdef.list.example", secrets=("abc", "abcdef")).shown_zone == "***.list.example"


def test_an_error_survives_a_process_pool() -> None:
    with pytest.raises(RuleError) as caught:
        Rule.parse("zen.example=127.0.0.300")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.problem, again.position) == (str(caught.value), caught.value.problem, 8)


# --- files --------------------------------------------------------------------------------------------------------


def test_a_file_of_rules() -> None:
    text = "# lists\n\nzen.example=127.0.0.[2..11]*3 reject   # the best\r\n  white.example*-2\n"
    assert [str(rule) for rule in parse_rules(text)] == ["zen.example=127.0.0.[2..11]*3 reject", "white.example*-2"]


def test_a_bad_line_is_named() -> None:
    with pytest.raises(RuleError, match=r"line 3: expected a number .*\(at character 10\)"):
        parse_rules("zen.example\n\nbl.example=127.0.0.[]")


def test_parsing_is_linear() -> None:
    """A pattern of ten times the terms takes about ten times as long, not a hundred times."""

    def seconds(count: int) -> float:
        text = "127.0.0.[" + ";".join(["1..2"] * count) + "]"
        gc.disable()  # what it costs to look through the objects of the whole test run is not the parser's
        start = time.perf_counter()
        Pattern.parse(text)
        end = time.perf_counter()
        gc.enable()
        return end - start

    seconds(100)
    assert min(seconds(20_000) for _ in range(3)) < 40 * min(seconds(2_000) for _ in range(3))
