"""What authors write for what they mean; each guess is valid, and none is made of what is right."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailauth.spf import Record, Result, lint_text
from mailauth.spf.advice import is_valid
from mailauth.spf.slips import are_terms, correct_name, correct_pair, correct_word, nearly
from tests.spf.world import check, record, world

words = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="ip46:=/.,;-~?+all%{d}[]*0129abcinclude@ –“”\u00a0", max_size=40),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "-", "~~", "+"]),
        st.sampled_from(["ip4", "ip", "inlcude", "a", "mx", "redirect", "all", "in", "v", "exists", "default", ""]),
        st.sampled_from([":", "=", "::", "", "."]),
        st.sampled_from(
            ["1.2.3.4", "1.2.3", "1.2.3.4,5.6.7.8", "x.org~all", "::1", "1.2.3.4/255.0.0.0", "*.x.org", "ü.org"]
        ),
    ),
)  # fmt: skip


@given(words)
@example("ip4:" + "1.2.3.4," * 60)
@example("include:" + "x.org" * 60)
def test_any_word(word: str) -> None:
    """Any word: no guess, or one that is valid and differs; what is a term already is left alone."""
    correction = correct_word(word)
    if correction is not None:
        why, proposal = correction
        assert why.isprintable()
        assert are_terms(proposal)
        assert proposal != word
    elif are_terms(word):
        assert correct_word(word) is None


@given(words, words)
def test_any_two_words(first: str, second: str) -> None:
    """Any two words have a guess that is valid, or none."""
    correction = correct_pair(first, second)
    assert correction is None or (correction[0] and are_terms(correction[1]))


@given(words)
def test_any_name(word: str) -> None:
    """Any name has a guess that is valid, or none."""
    correction = correct_name(word)
    assert correction is None or are_terms(correction[1])


beginnings = st.sampled_from([b"v=spf1", b"spf", b"v=spf1\t", b" v=spf1 ", b'"v=spf'])


@given(st.one_of(
    st.binary(max_size=60),
    st.builds(bytes.__add__, beginnings, st.binary(max_size=60)),
    st.lists(words, max_size=5).map(lambda found: ("v=spf1" + " ".join(found)).encode("utf-8", "replace")),
))  # fmt: skip
def test_any_octets(octets: bytes) -> None:
    """Any TXT record: it is none that was meant as SPF, or there are words, and a valid record or none."""
    correction = nearly(octets)
    if correction is not None:
        assert correction[0].isprintable()
        assert not correction[1] or is_valid(correction[1])
        assert not is_valid(octets.decode("latin-1"))


@pytest.mark.parametrize(
    "text",
    [
        "v=spf1", "v=spf1 mx -all", "v=DMARC1; p=none; rua=mailto:spf@example.org", "google-site-verification=spf1",
        "spf-check", "spfail", "SPF is not used here", "v=DKIM1; p=spf1", "v=STSv1; id=spf", "", "spf2",
    ],
)  # fmt: skip
def test_other_records_are_left_alone(text: str) -> None:
    assert nearly(text.encode()) is None


@pytest.mark.parametrize(
    "text",
    [
        "v=spf1 -ip4:192.0.2.1 a:mail.example.org mx:_x.example.org/24//64 ptr:example.org exists:%{ir}.x.example "
        "include:spf-a.example redirect=all-mail.example ra=postmaster",
        "v=spf1 a:ip4-host.example.org include:my-all.example.org include:redirect.example.org -all",
    ],
)
def test_what_is_right_is_not_repaired(text: str) -> None:
    for word in text.split():
        assert correct_word(word) is None or word.startswith("v=")
        assert correct_name(word) is None
    assert all(finding.code == "ptr" for finding in lint_text(text))


def test_a_character_is_shown_and_not_its_octets() -> None:
    (finding,) = lint_text("v=spf1 include:x☃y.example -all")
    assert finding.words == "☃ (U+2603, SNOWMAN) is no character of a record"
    (finding,) = lint_text("v=spf1 a:x\x07.example -all")
    assert finding.words == "(U+0007) is no character of a record"


def test_a_line_end_and_what_stands_around_a_record() -> None:
    for text in ("v=spf1 mx -all\n", "v=spf1 mx\r\n -all"):
        (finding,) = lint_text(text)
        assert (finding.words, finding.proposal) == ("a line end separates no terms", finding.term.strip())
    for text in (
        "IN TXT 'v=spf1 mx -all'",
        "<v=spf1 mx -all>",
        "SPF record: v=spf1 mx -all",
        "@ 300 IN SPF v=spf1 mx -all",
    ):
        correction = nearly(text.encode())
        assert correction is not None
        assert (correction[0].endswith("stands before the version"), correction[1]) == (True, "v=spf1 mx -all")
    for text in ("see the txt v=spf1 mx -all", "(spf)", "txt=spf", "spf records are in the wiki", "(v=spf12)"):
        assert nearly(text.encode()) is None


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        ('"v=spf1\\009mx -all"', "a tab stands behind the version"),
        ('"v=spf1" "include:b.example"', "the blank behind the version is missing"),
        ('"spf2.0/pra -all"', "a Sender ID record"),
    ],
)
def test_check_mentions_what_is_nearly_a_record(octets: str, words: str) -> None:
    spf = check(world(f"example.org. TXT {octets}"))
    assert spf.result is Result.NONE
    assert spf.detail.startswith("example.org has no SPF record; a TXT record is nearly one: ")
    assert words in spf.detail
    assert spf.detail.isascii()
    assert "nearly" not in check(world('example.org. TXT "spfail"')).detail


def test_what_is_discarded_is_a_field_of_its_own() -> None:
    """For programs: the text, why it is no record, and the correction; at the domain, or at what it includes."""
    spf = check(world('example.org. TXT "v=spf1;mx -all"\nexample.org. TXT "v=sfp1 a -all"'))
    assert spf.to_dict()["discarded"] == [
        {
            "domain": "example.org",
            "text": "v=spf1;mx -all",
            "why": '";" stands behind the version, where only a blank may',
            "proposal": "v=spf1 mx -all",
        },
        {
            "domain": "example.org",
            "text": "v=sfp1 a -all",
            "why": 'it does not begin with "v=spf1"',
            "proposal": "v=spf1 a -all",
        },
    ]
    spf = check(world('example.org. TXT "v=spf1 include:b.example -all"\nb.example. TXT "v=spf mx -all"'))
    assert spf.reason == "include-without-record"
    assert spf.detail.endswith('has no SPF record; a TXT record is nearly one: it does not begin with "v=spf1"')
    assert [(each.domain, each.proposal) for each in spf.discarded] == [("b.example", "v=spf1 mx -all")]
    spf = check(world('example.org. TXT "v=spf1 a -all"\nexample.org. TXT "v=spf1 mx -all"'))
    assert [(each.text, each.why) for each in spf.discarded] == [
        ("v=spf1 a -all", "one of 2 SPF records, where one is allowed"),
        ("v=spf1 mx -all", "one of 2 SPF records, where one is allowed"),
    ]
    assert check(world('example.org. TXT "v=spf1 -all"\nexample.org. TXT "v=spf mx"')).discarded == ()


def test_a_sender_over_the_limit_is_called_that() -> None:
    found = record("v=spf1 -all", mail_from="x" * 2000 + "@example.org")
    assert found.detail == "the sender is longer than 1024 characters"
    found = record("v=spf1 -all", mail_from="", helo="x." * 2000 + "org")
    assert "longer than 1024 characters" in found.detail


def test_a_corrected_record_is_what_was_meant() -> None:
    text = "v=spf1 in:b.example ip4:192.0.2.1,192.0.2.9 ip4 192.0.2.77 ipv4:203.0.113.0/255.255.255.0 –all"
    for finding in sorted(lint_text(text), key=lambda finding: -finding.start):
        text = text.replace(finding.term, finding.proposal)
    assert str(Record.parse(text)) == (
        "v=spf1 include:b.example ip4:192.0.2.1 ip4:192.0.2.9 ip4:192.0.2.77 ip4:203.0.113.0/24 -all"
    )


def test_a_star_stands_for_the_octets_of_a_network() -> None:
    """RFC 7208 section 5.6: a network has a prefix length, eight bits for each octet that is given."""
    for written, meant in (("192.*", "192.0.0.0/8"), ("192.0.*", "192.0.0.0/16"), ("192.0.2.*", "192.0.2.0/24")):
        [finding] = lint_text(f"v=spf1 ip4:{written} -all")
        assert finding.proposal == f"ip4:{meant}"


def test_a_dash_of_a_text_program_is_named() -> None:
    """RFC 7208 section 4.6.1: qualifiers are ASCII; the words show which character is not."""
    [finding] = lint_text("v=spf1 a \u2013all")
    assert (finding.words, finding.proposal) == ("\u2013 is no character of a record", "-all")
