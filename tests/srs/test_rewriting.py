"""Addresses forth and back: the formats of the SRS paper, what is refused, and any text at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.srs import Reason, Srs, SrsPolicy, read_secrets
from mailauth.srs.rewriting import DAY

SECRET = "0123456789abcdef"
NOW = 1_800_000_000
US = "forwarder.example"
SRS = Srs(US, [SECRET])


def forth(sender: str, srs: Srs = SRS, now: float = NOW) -> str:
    found = srs.forward(sender, now=now)
    assert found.reason is Reason.REWRITTEN, found
    assert found.address is not None
    return found.address


def back(recipient: str, srs: Srs = SRS, now: float = NOW) -> str:
    found = srs.reverse(recipient, now=now)
    assert found.reason is Reason.REVERSED, found
    assert found.address is not None
    return found.address


SENDERS = [
    "ann@example.org",
    "Ann.B@Example.ORG",
    "ann+tag@example.org",
    "ann-tag@example.org",
    "ann=b@example.org",
    "bounce-42-bob=example.net@lists.example",  # VERP
    "prvs=1234567890=ann@example.org",  # BATV
    '"a b"@example.org',
    r'"a\"b@c"@example.org',
    "a/b'c@example.org",
    "j\u00fcrgen@example.org",
    "srs@example.org",
    "SRS0@example.org",
    "SRS0x@example.org",
    "\u017fRS0=abcd=JS=example.com=ann@example.org",  # a long s: lower case of no S in ASCII
    "SRS1=broken@example.org",
]


@pytest.mark.parametrize("sender", SENDERS)
def test_0_forth_and_back(sender: str) -> None:
    rewritten = forth(sender)
    assert re.fullmatch(r'"?SRS0=[A-Za-z0-9+/]{8}=[A-Z2-7]{2}=.*@forwarder\.example', rewritten)
    assert back(rewritten) == sender
    assert back(f"<{rewritten}>") == sender


def test_0_the_format() -> None:
    """The timestamp is in base32: day 20833 is 353 of 1024."""
    assert NOW // DAY % 1024 == 353
    assert forth("ann@example.org").split("=")[2:] == ["LB", "example.org", "ann@forwarder.example"]
    plus = Srs(US, [SECRET], policy=SrsPolicy(separator="+"))
    assert forth("ann@example.org", plus).startswith("SRS0+")
    for character in "=+-":
        assert back(forth("ann@example.org", plus).replace("SRS0+", "SRS0" + character)) == "ann@example.org"


def test_u_labels_become_a_labels() -> None:
    assert back(forth("ann@b\u00fccher.example")) == "ann@xn--bcher-kva.example"
    assert forth("ann@b\u00fccher.example").isascii()


def test_1_a_chain_of_forwarders_does_not_grow() -> None:
    """SRS1 keeps the first forwarder; each hash is that of the last."""
    first, second, third = (Srs(f"{name}.example", [f"secret of {name}"]) for name in ("one", "two", "three"))
    one = forth("ann@example.org", first)
    two = forth(one, second)
    three = forth(two, third)
    assert re.fullmatch(r"SRS1=.{8}=one\.example==.{8}=..=example\.org=ann@two\.example", two)
    assert re.fullmatch(r"SRS1=.{8}=one\.example==.{8}=..=example\.org=ann@three\.example", three)
    # A bounce goes from the last forwarder to the first, and from there to the sender.
    assert back(three, third) == back(two, second) == one
    assert back(one, first) == "ann@example.org"
    assert second.reverse(three, now=NOW).reason is Reason.OTHER_DOMAIN
    assert second.reverse(three.replace("three", "two"), now=NOW).reason is Reason.WRONG_HASH


def test_1_separators_of_others_are_kept() -> None:
    address = "SRS0+oOlB=JS=example.org=ann@one.example"
    assert forth(address).split("=", 2)[2] == "one.example=+oOlB=JS=example.org=ann@forwarder.example"
    assert back(forth(address)) == address


@pytest.mark.parametrize("fold", [str.lower, str.upper])
def test_relays_that_change_the_case_are_tolerated(fold: object) -> None:
    rewritten = forth("Ann@example.org")
    local_part, _, domain = rewritten.partition("@")
    assert callable(fold)
    assert back(f"{fold(local_part)}@{domain}").lower() == "ann@example.org"
    assert back(f"{fold(local_part)}@{fold(domain)}").lower() == "ann@example.org"
    chained = forth("SRS0=abcd=JS=example.org=ann@one.example")
    assert back(fold(chained)).lower() == "srs0=abcd=js=example.org=ann@one.example"


@pytest.mark.parametrize(
    ("sender", "reason"),
    [
        ("", "null-sender"),
        ("<>", "null-sender"),
        ("ann", "no-address"),
        ("@example.org", "no-address"),
        ("ann@", "no-address"),
        ("ann@forwarder.example", "own-domain"),
        ("ann@FORWARDER.example.", "own-domain"),
        ("ann@mine.example", "own-domain"),
        ("ann@a.below.example", "own-domain"),
        ("ann\r\n@example.org", "no-address"),
        ("ann\0@example.org", "no-address"),
        ("a" * 230 + "@example.org", "too-long"),
        ("a" * 5000 + "@example.org", "no-address"),
        ('"ann@example.org', "no-address"),
        ("ann@ex=ample.org", "no-address"),
    ],
)
def test_senders_that_stay(sender: str, reason: str) -> None:
    srs = Srs(US, [SECRET], own_domains=["Mine.example", ".below.example"])
    found = srs.forward(sender, now=NOW)
    assert (found.reason, found.address) == (reason, None)
    assert found.detail
    assert srs.forward("ann@below.example", now=NOW).address is not None
    assert srs.forward("ann@notbelow.example", now=NOW).address is not None


def test_lengths() -> None:
    strict = Srs(US, [SECRET], policy=SrsPolicy(max_local_part=64))
    assert strict.forward("a" * 30 + "@example.org", now=NOW).address is not None
    assert strict.forward("a" * 40 + "@example.org", now=NOW).reason is Reason.TOO_LONG
    assert len(forth("a" * 150 + "@example.org")) < 254


GOOD = forth("ann@example.org")
CHAINED = forth("SRS0=abcd=JS=example.org=ann@one.example")


@pytest.mark.parametrize(
    ("recipient", "reason"),
    [
        ("", "no-address"),
        ("ann", "no-address"),
        ("ann@example.org", "other-domain"),
        (GOOD.replace(US, "other.example"), "other-domain"),
        ("ann@forwarder.example", "not-srs"),
        ("SRS2=x@forwarder.example", "not-srs"),
        ("SRS0@forwarder.example", "not-srs"),
        ("SRS0=@forwarder.example", "malformed"),
        ("SRS0=abcdefgh=AA=example.org@forwarder.example", "malformed"),
        ("SRS0=abcdefgh=AA==ann@forwarder.example", "malformed"),
        ("SRS1=abcdefgh=one.example@forwarder.example", "malformed"),
        ("SRS1=abcdefgh==x@forwarder.example", "malformed"),
        ("SRS1=abcdefgh=one.example=x@forwarder.example", "malformed"),
        (GOOD.replace("example.org", "victim.example"), "wrong-hash"),
        (GOOD.replace("=ann@", "=eve@"), "wrong-hash"),
        (GOOD.replace("=LB=", "=LC="), "wrong-hash"),
        (GOOD.replace(GOOD[5:13], GOOD[5:12]), "wrong-hash"),  # cut short
        (GOOD.replace(GOOD[5:13], ""), "wrong-hash"),
        (GOOD.replace(GOOD[5:13], GOOD[5:13] + "////"), "wrong-hash"),
        (GOOD.replace(GOOD[5:13], "\u00e4" * 8), "wrong-hash"),
        (CHAINED.replace("one.example", "victim.example"), "wrong-hash"),
        (CHAINED.replace("=ann@", "=eve@"), "wrong-hash"),
    ],
)
def test_recipients_that_are_refused(recipient: str, reason: str) -> None:
    found = SRS.reverse(recipient, now=NOW)
    assert (found.reason, found.address) == (reason, None)
    with pytest.raises(TypeError):
        bool(found)
    assert found.to_dict()["reason"] == reason


def test_a_longer_hash_of_the_same_secret_is_accepted() -> None:
    """Its length may be raised while addresses are on their way; never below what is the least."""
    short = Srs(US, [SECRET], policy=SrsPolicy(hash_length=4))
    longer = Srs(US, [SECRET], policy=SrsPolicy(hash_length=20, min_hash_length=4))
    address = forth("ann@example.org", short)
    assert back(address, longer) == "ann@example.org"
    assert SRS.reverse(address, now=NOW).reason is Reason.WRONG_HASH
    assert back(forth("ann@example.org", longer), short) == "ann@example.org"


def test_the_hash_holds_for_one_address_alone() -> None:
    """Where one part ends and the next begins is part of what is hashed; the classic hash does not know."""
    address = forth("mvictim@mail.co")
    shifted = address.replace("=mail.co=mvictim@", "=mail.com=victim@")
    assert SRS.reverse(shifted, now=NOW).reason is Reason.WRONG_HASH
    classic = Srs(US, [SECRET], policy=SrsPolicy(classic=True))
    assert back(forth("mvictim@mail.co", classic), classic) == "mvictim@mail.co"
    assert SRS.reverse(forth("mvictim@mail.co", classic), now=NOW).reason is Reason.WRONG_HASH
    assert back(address, classic) == "mvictim@mail.co"  # both are accepted while others write the classic one


@pytest.mark.parametrize(
    ("days", "reason"),
    [(0, "reversed"), (21, "reversed"), (22, "expired"), (1000, "expired"), (-1, "reversed"), (-2, "expired")],
)
def test_addresses_expire(days: int, reason: str) -> None:
    assert SRS.reverse(GOOD, now=NOW + days * DAY).reason == reason


def test_time_wraps_after_1024_days() -> None:
    """Near the turn of the counter an address of yesterday is one day old."""
    turn = (NOW // DAY // 1024 + 1) * 1024 * DAY
    address = forth("ann@example.org", now=turn - DAY)
    assert back(address, now=turn) == "ann@example.org"
    assert SRS.reverse(address, now=turn + 30 * DAY).reason is Reason.EXPIRED


def test_secrets_are_rotated() -> None:
    old, both, new = (
        Srs(US, ["the old secret"]),
        Srs(US, ["the new secret", b"the old secret"]),
        Srs(US, ["the new secret"]),
    )
    for address in ("ann@example.org", "SRS0=abcd=JS=example.org=ann@one.example"):
        assert back(forth(address, old), both) == address
        assert back(forth(address, both), new) == address
        assert new.reverse(forth(address, old), now=NOW).reason is Reason.WRONG_HASH
    assert read_secrets("one secret\n\n  another\r\n") == ["one secret", "another"]


@pytest.mark.parametrize(
    ("domain", "secrets", "options"),
    [
        ("", [SECRET], {}),
        ("a b", [SECRET], {}),
        (US, [], {}),
        (US, ["short"], {}),
        (US, SECRET, {}),
        (US, [SECRET], {"own_domains": ["a b"]}),
    ],
)
def test_the_callers_mistakes(domain: str, secrets: list[str], options: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError):
        Srs(domain, secrets, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"hash_length": 3}, {"hash_length": 27}, {"min_hash_length": 9}, {"max_age": 0}, {"max_age": 1023},
        {"separator": "_"}, {"max_octets": 10}, {"max_local_part": 10},
    ],
)  # fmt: skip
def test_policies_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"hash_length|max_age|separator|max_octets"):
        SrsPolicy(**options)  # type: ignore[arg-type]


TEXT = st.text(max_size=40) | st.sampled_from(SENDERS)
LOCAL = st.from_regex(r'\A[A-Za-z0-9!#$%&\'*+/=?^_`{|}~.-]{1,40}\Z|\A"[ -!#-\[\]-~]{1,30}"\Z')


@given(LOCAL, st.sampled_from(["example.org", "a-b.example", "x.y.z.example"]))
def test_any_address_comes_back_as_it_was(local_part: str, domain: str) -> None:
    """Any address that was rewritten comes back as it was."""
    sender = f"{local_part}@{domain}"
    found = SRS.forward(sender, now=NOW)
    if found.address is None:
        assert found.reason is Reason.NO_ADDRESS
        return
    returned = back(found.address)
    unquoted = returned.replace('"', "")
    assert unquoted == sender.replace('"', "")


@given(TEXT, TEXT)
def test_any_text_has_a_result_and_none_is_forged(first: str, second: str) -> None:
    """Any text has a result, and none passes for an address that was rewritten here."""
    for text in (first, f"SRS0={first}={second}@{US}", f"SRS1={first}={second}@{US}", f"{first}@{second}"):
        assert SRS.forward(text, now=NOW).detail
        assert SRS.reverse(text, now=NOW).address is None


@given(st.integers(0, len(GOOD) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_changed_address_is_refused(place: int, character: str) -> None:
    """A rewritten address of which anything was changed is refused."""
    changed = GOOD[:place] + character + GOOD[place + 1 :]
    if changed.lower() != GOOD.lower():
        assert SRS.reverse(changed, now=NOW).address in (None, "ann@example.org")  # the separator alone may differ
