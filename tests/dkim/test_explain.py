"""Why a signature fails (RFC 6376): the half that was altered, how, and what would make it pass.

The altered messages of altered.py are named right; nothing is named that did not happen; whatever a message holds,
there is a result within the bounds.
"""

from __future__ import annotations

import base64
import json
import random
import re
import tracemalloc
from collections import Counter
from encodings.aliases import aliases
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mailauth.dkim import (
    AlterationCode,
    DkimPolicy,
    Explainer,
    ExplainLimits,
    Explanation,
    HalfState,
    KeyState,
    Reason,
    canonical_forms,
    explain,
)
from mailauth.dkim.explanation import words
from mailauth.dkim.explanation.advice import _BY_CODE as ADVICE
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from tests.dkim import altered
from tests.dkim.altered import CHANGES, MESSAGES, PLAIN, Change, signed_message
from tests.dkim.makers import NOW, ed_key, ed_record, rsa_key, rsa_record, signed, zone

CANONICALIZATIONS = ("relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed")
KEYS = ((rsa_key, rsa_record), (ed_key, ed_record))
QUICK = ExplainLimits(attempts=8000, verifications=1500)


def explained(message: bytes, record: Any = None, *, dns: Any = None, **settings: Any) -> list[Explanation]:
    return run(explain(message, now=NOW, **settings), dns or zone(record))


def only(message: bytes, record: Any = None, **settings: Any) -> Explanation:
    (explanation,) = explained(message, record, **settings)
    return explanation


def codes(explanation: Explanation) -> list[AlterationCode]:
    return [alteration.code for alteration in explanation.alterations]


# --- the corpus ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_an_alteration_is_named(change: Change) -> None:
    """Each alteration, in each message that it fits, under RSA and Ed25519 and every canonicalization."""
    failed = 0
    for name in change.messages:
        for key, record in KEYS:
            for canonicalization in CANONICALIZATIONS:
                message = signed_message(name, canonicalization, key())
                explanation = only(change.apply(message), record())
                if explanation.passes:
                    continue  # the canonicalization passes over it
                failed += 1
                half, other = explanation.body, explanation.header
                if change.header:
                    half, other = other, half
                assert codes(explanation) == [change.code], (name, canonicalization, explanation.summary)
                assert (half.state, other.state) == (HalfState.EXPLAINED, HalfState.INTACT)
                assert explanation.key.state is KeyState.FITS
                assert half.diff
    assert failed


def pairs() -> list[tuple[Change, Change, str]]:
    both = [(a, b) for a in CHANGES for b in CHANGES if a is not b]
    found = [(a, b, name) for a, b in both for name in a.messages if name in b.messages]
    return random.Random(6376).sample(found, 80)


def test_of_two_alterations_none_is_named_wrong() -> None:
    """What is named in a pair did happen; and most pairs are named within narrow bounds."""
    seen: Counter[str] = Counter()
    for number, (first, second, name) in enumerate(pairs()):
        key, record = KEYS[number % 2]
        message = signed_message(name, CANONICALIZATIONS[number % 4], key())
        explanation = only(second.apply(first.apply(message)), record(), limits=QUICK)
        if explanation.passes:
            continue
        assert set(codes(explanation)) <= {first.code, second.code}, (first.name, second.name, name)
        known = {HalfState.INTACT, HalfState.EXPLAINED}
        seen["named" if {explanation.header.state, explanation.body.state} <= known else "open"] += 1
    assert seen["named"] > 2 * seen["open"], seen


def test_every_alteration_has_advice() -> None:
    assert set(ADVICE) == set(AlterationCode)


# --- which half ----------------------------------------------------------------------------------------------------


def test_a_signature_that_passes_needs_no_explanation() -> None:
    explanation = only(signed())
    assert explanation.passes
    assert (explanation.body.state, explanation.header.state) == (HalfState.INTACT, HalfState.INTACT)
    assert explained(PLAIN) == []
    with pytest.raises(TypeError):
        bool(explanation)


def test_both_halves_are_told_apart() -> None:
    message = signed_message("plain", "relaxed/relaxed", rsa_key())
    body = only(message.replace(b"Hello Bob", b"Hullo Bob"))
    assert (body.header.state, body.body.state) == (HalfState.INTACT, HalfState.ALTERED)
    assert body.body.tried
    header = only(message.replace(b"Ann Example <", b"Eve Example <"))
    assert (header.header.state, header.body.state) == (HalfState.ALTERED, HalfState.INTACT)
    both = only(message.replace(b"Hello Bob", b"Hullo Bob").replace(b"Subject: ", b"Subject: [list] "))
    assert (both.header.state, both.body.state) == (HalfState.EXPLAINED, HalfState.ALTERED)
    assert codes(both) == [AlterationCode.SUBJECT_PREFIX]


def test_ed25519_does_not_tell_another_key_from_an_altered_header() -> None:
    message = signed(PLAIN, key=ed_key()).replace(b"Ann Example <", b"Eve Example <")
    explanation = only(message, ed_record(), limits=QUICK)
    assert (explanation.header.state, explanation.key.state) == (HalfState.UNKNOWN, KeyState.UNPROVED)
    assert "or the key is another one" in explanation.summary


def test_the_place_and_the_text() -> None:
    message = signed_message("plain", "relaxed/relaxed", rsa_key())
    explanation = only(message + b"-- \r\nList\r\n")
    (alteration,) = explanation.alterations
    assert (alteration.line, alteration.added) == (message.count(b"\n") + 1, "-- \nList\n")
    html = signed_message("alternative", "relaxed/relaxed", rsa_key()).replace(
        b"<p>Ann</p>", b"<p>Ann</p>\r\n<p>Ad</p>"
    )
    (alteration,) = only(html).alterations
    assert alteration.part == "2 text/html"
    assert "<p>Ad</p>" in alteration.added


def test_lf_messages_are_explained_alike() -> None:
    message = signed_message("plain", "simple/simple", rsa_key()) + b"footer\r\n"
    (alteration,) = only(message.replace(b"\r\n", b"\n")).alterations
    assert (alteration.code, alteration.added) == (AlterationCode.TEXT_ADDED_AT_END, "footer\n")
    assert alteration.line == message.count(b"\n")


def test_a_footer_in_text_and_html_at_once() -> None:
    message = signed_message("alternative", "relaxed/simple", rsa_key())
    message = message.replace(b"Ann Example\r\n\r\n--", b"Ann Example\r\n\r\nNo viruses.\r\n\r\n--")
    message = message.replace(b"</body>", b"<hr>No viruses.</body>")
    explanation = only(message)
    assert codes(explanation) == [AlterationCode.TEXT_ADDED_IN_PART] * 2
    assert {alteration.part for alteration in explanation.alterations} == {"1 text/plain", "2 text/html"}


def test_a_message_put_into_a_multipart() -> None:
    explanation = only(altered.wrapped_in_multipart(signed_message("plain", "relaxed/relaxed", rsa_key())))
    C = AlterationCode
    assert codes(explanation) == [C.FIELD_REPLACED, C.FIELD_REMOVED, C.WRAPPED_IN_MULTIPART]


@pytest.mark.parametrize(("key", "record"), KEYS)
def test_all_that_a_list_does(key: Any, record: Any) -> None:
    message = signed_message("plain", "relaxed/relaxed", key())
    C = AlterationCode
    explanation = only(altered.through_a_list(message) + b"-- \r\nlist\r\n", record())
    assert codes(explanation) == [C.FIELD_REPLACED, C.SUBJECT_PREFIX, C.FIELD_ADDED, C.TEXT_ADDED_AT_END]
    assert not any("of two such fields" in advice for advice in explanation.advice)
    wrapped = only(altered.wrapped_in_multipart(altered.through_a_list(message)), record())
    assert {C.FIELD_REPLACED, C.SUBJECT_PREFIX, C.FIELD_ADDED, C.FIELD_REMOVED} == set(codes(wrapped)[:-1])
    assert codes(wrapped)[-1] is C.WRAPPED_IN_MULTIPART


def test_what_was_put_into_base64_can_be_read() -> None:
    change = next(change for change in CHANGES if change.name == "footer-in-base64")
    explanation = only(change.apply(signed_message("mixed", "relaxed/relaxed", rsa_key())))
    assert explanation.body.diff[0] == "@ base64 is shown decoded"
    assert "+List mailing list" in explanation.body.diff


def test_a_preamble_that_stands_there_is_not_named_gone() -> None:
    message = signed_message("alternative", "simple/simple", rsa_key()).replace(b"\r\n--=_alt", b"\r\n\r\n--=_alt")
    explanation = only(message.replace(b"\r\n\r\nThis is", b"\r\n\r\n\r\nThis is"))
    assert set(codes(explanation)) <= {AlterationCode.BLANK_LINES_ADDED}


def test_the_words_say_what_happened_and_no_more() -> None:
    message = signed_message("plain", "simple/simple", rsa_key())
    tagged = only(message.replace(b"Subject: ", b"Subject: [list] "))
    assert tagged.summary.index("the body is as it was signed") < tagged.summary.index("without that")
    unknown = only(message.replace(b"Ann Example <", b"Eve Example <"))
    assert (unknown.header.state, unknown.header.detail) == (HalfState.ALTERED, "")
    recoded = only(altered.whole_recoded(signed_message("utf8", "relaxed/relaxed", rsa_key())))
    assert recoded.alterations[-1].part == ""  # it is no multipart
    empty = only(signed(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n") + b"buy\r\n")
    assert empty.body.diff == ("+buy",)


def test_eight_bits_made_seven() -> None:
    explanation = only(altered.whole_recoded(signed_message("utf8", "relaxed/relaxed", rsa_key())))
    assert codes(explanation) == [AlterationCode.ENCODING_CHANGED] * 2


def test_text_behind_l() -> None:
    explanation = only(signed(PLAIN, {"l": "100"}) + b"more\r\n")
    assert (explanation.signature.reason, explanation.body.state) == (Reason.UNSIGNED_CONTENT, HalfState.INTACT)
    assert codes(explanation) == [AlterationCode.TEXT_BEHIND_LENGTH]
    short = only(signed(PLAIN, {"l": "9000"})[:-150])
    assert "the end is missing" in short.body.detail


def test_l_that_was_changed() -> None:
    message = signed(PLAIN, {"l": "100"}).replace(b"l=100", b"l=400")
    explanation = only(message)
    assert explanation.body.state is HalfState.ALTERED
    whole = len(PLAIN.partition(b"\r\n\r\n")[2])
    longer = signed(PLAIN, {"l": str(whole)}).replace(b"l=%d" % whole, b"l=%d" % (whole - 30))
    assert AlterationCode.LENGTH_CHANGED in codes(only(longer))


def test_a_signer_that_hashed_lf() -> None:
    import hashlib
    from base64 import b64encode

    body = PLAIN.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")
    message = signed(PLAIN, {"c": "relaxed/simple", "bh": b64encode(hashlib.sha256(body).digest()).decode()})
    assert codes(only(message)) == [AlterationCode.SIGNED_WITH_LF]


def test_a_body_cut_off_says_so() -> None:
    message = signed_message("mixed", "relaxed/relaxed", rsa_key())[:-200]
    assert "last boundary is missing" in only(message, limits=QUICK).body.detail


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"x": str(NOW - 1000), "t": str(NOW - 2000)}, "Received"),
        ({"t": str(NOW + 5000)}, "clock"),
        ({"h": "to:subject"}, "put From into h="),
        ({"c": "strict"}, "c=relaxed/relaxed"),
        ({"i": "@example.com"}, "i= end in d="),
    ],
)
def test_what_is_wrong_beside_the_message_has_advice(tags: dict[str, str | None], words: str) -> None:
    explanation = only(signed(PLAIN, tags))
    assert not explanation.alterations
    assert any(words in advice for advice in explanation.advice), explanation.advice


def test_an_expired_signature_is_searched_all_the_same() -> None:
    message = signed(PLAIN, {"x": str(NOW - 1000), "t": str(NOW - 2000)}) + b"footer\r\n"
    explanation = only(message)
    assert explanation.signature.reason is Reason.EXPIRED
    assert codes(explanation) == [AlterationCode.TEXT_ADDED_AT_END]
    fresh = only(signed(PLAIN, {"x": str(NOW - 1000), "t": str(NOW - 2000)}))
    assert "does not count, though" in fresh.summary


def test_a_signature_field_of_encoded_words() -> None:
    """Some programs fold long fields by making encoded words of them; undone, the rest can be looked at."""
    message = signed_message("plain", "relaxed/relaxed", rsa_key())
    field, _, rest = message.partition(b"\r\n")
    name, _, value = field.partition(b": ")
    first, second = value[: value.index(b" h=") + 1], value[value.index(b" h=") + 1 :]
    words = b"\r\n ".join(
        b"=?utf-8?q?%b?=" % second[at : at + 50].replace(b"=", b"=3D").replace(b" ", b"_")
        for at in range(0, len(second), 50)
    )
    message = name + b": " + first + b"\r\n " + words + b"\r\n" + rest
    explanation = only(message)
    assert explanation.signature.reason is Reason.MALFORMED_TAG_LIST
    assert codes(explanation) == [AlterationCode.SIGNATURE_REFOLDED]
    assert "encoded words" in explanation.summary
    tagged = only(message.replace(b"Subject: ", b"Subject: [list] "))
    assert codes(tagged) == [AlterationCode.SIGNATURE_REFOLDED, AlterationCode.SUBJECT_PREFIX]


def test_a_folded_subject_keeps_its_folds_where_they_count() -> None:
    message = PLAIN.replace(b"Subject: Re: minutes of", b"Subject: Re: minutes\r\n\tof")
    message = signed(message, {"c": "simple/simple", "h": altered.OVERSIGNED})
    assert codes(only(message.replace(b"Subject: ", b"Subject: [list] "))) == [AlterationCode.SUBJECT_PREFIX]


# --- the key -------------------------------------------------------------------------------------------------------

RECORD = rsa_record()
P = RECORD.partition("p=")[2]
BROKEN_RECORDS = {
    "backslashes": RECORD.replace(";", "\\;"),
    "quotes": f'"{RECORD}"',
    "quotes inside": RECORD[:100] + '" "' + RECORD[100:],
    "typographic quotes": f"\u201c{RECORD}\u201d",
    "no-break space": RECORD.replace(" ", "\u00a0"),
    "zone line": f'sel._domainkey IN TXT ( "{RECORD[:200]}" "{RECORD[200:]}" )',
    "name in front": f"sel._domainkey.example.org {RECORD}",
    "html": RECORD.replace("; ", "&#59; ").replace("=", "&#61;", 1),
    "percent": RECORD.replace("+", "%2B").replace("=", "%3D"),
    "no semicolon": RECORD.replace("; ", " "),
    "comma": RECORD.replace(";", ","),
    "lower-case version": RECORD.replace("DKIM1", "dkim1"),
    "capitals": RECORD.replace("v=", "V=").replace("p=", "P="),
    "no p=": f"v=DKIM1; {P}",
    "p= twice": RECORD.replace("p=", "p=p="),
    "armour": RECORD.replace("p=", "p=-----BEGIN PUBLIC KEY-----") + "-----END PUBLIC KEY-----",
    "url base64": RECORD.replace("+", "-").replace("/", "_"),
    "ed25519 said": RECORD.replace("p=", "k=ed25519; p="),
    "strings swapped": f"{RECORD[200:]} {RECORD[:200]}",
    "line ends": RECORD[:100] + "\r\n" + RECORD[100:],
}


@pytest.mark.parametrize("name", BROKEN_RECORDS)
def test_a_broken_record_is_repaired(name: str) -> None:
    explanation = only(signed(), BROKEN_RECORDS[name].encode())
    key = explanation.key
    assert (key.state, key.proved) == (KeyState.UNUSABLE, True)
    assert key.repairs
    assert only(signed(), key.repaired).passes
    # The header can be looked at with the repaired key.
    assert explanation.header.state is HalfState.INTACT


def test_a_key_of_ed25519_in_another_form() -> None:
    from base64 import b64encode

    from tests.dkim.makers import spki

    record = f"v=DKIM1; k=ed25519; p={b64encode(spki(ed_key())).decode()}"
    explanation = only(signed(key=ed_key()), record)
    assert explanation.key.repaired == ed_record()
    assert explanation.header.state is HalfState.INTACT


def test_a_key_split_into_two_records() -> None:
    explanation = only(signed(), [RECORD[:200], RECORD[200:]])
    assert (explanation.key.proved, explanation.key.repaired) == (True, RECORD)
    assert "join the two records" in explanation.advice[0]


@pytest.mark.parametrize(
    ("record", "tags", "words"),
    [
        (rsa_record(extra="h=sha1; "), {}, "h=sha256"),
        (rsa_record(extra="s=tlsrpt; "), {}, "s=email"),
        (rsa_record(extra="t=s; "), {"i": "@news.example.org"}, "i=@example.org"),
        (ed_record(), {}, "publish the rsa key"),
        ("v=DKIM1; p=", {}, "the selector that is in use now"),
        (RECORD[:255], {}, "publish the record anew"),
        ("v=spf1 -all", {}, "publish the key record at"),
    ],
)
def test_what_is_wrong_with_the_record(record: str, tags: dict[str, str | None], words: str) -> None:
    explanation = only(signed(PLAIN, tags), record)
    assert not explanation.passes
    assert any(words in advice for advice in explanation.advice), explanation.advice


def test_a_record_cut_at_255_octets_says_so() -> None:
    assert "cut off" in only(signed(), RECORD[:255]).key.detail


def test_another_key() -> None:
    explanation = only(signed(), rsa_record(rsa_key(1024)))
    assert explanation.key.state is KeyState.OTHER
    assert "1024 bits" in explanation.key.detail
    same_size = only(signed(), rsa_record(rsa_key(2048, 3)))
    assert "another one than the signer's" in same_size.key.detail
    assert same_size.header.state is HalfState.UNKNOWN


def test_the_key_of_another_selector() -> None:
    message = signed(signed(tags={"s": "other"}), key=rsa_key(1024))
    dns = ZoneResolver({
        ("sel._domainkey.example.org", "TXT"): [RECORD],
        ("other._domainkey.example.org", "TXT"): [rsa_record(rsa_key(1024))],
    })  # fmt: skip
    first, second = explained(message, dns=dns)
    assert "stands at other._domainkey.example.org" in first.key.detail
    assert "stands at sel._domainkey.example.org" in second.key.detail


def test_a_damaged_signature() -> None:
    message = signed()
    end = message.index(b"==\r\n") if b"==\r\n" in message.partition(b"\r\n")[0] + b"\r\n" else message.index(b"\r\n")
    cut = message[: end - 4] + message[end:]
    assert "b= is damaged" in only(cut).key.detail


def _with_signature(octets: bytes) -> bytes:
    from base64 import b64encode

    return re.sub(rb" b=[^\r]*\r\n", b" b=" + b64encode(octets) + b"\r\n", signed(), count=1)


def test_padding_that_anybody_can_make_proves_nothing() -> None:
    """Exponent 3: the cube root of the right padding, a DigestInfo and rubbish needs no private key."""
    key = rsa_key(2048, 3)
    info = bytes.fromhex("3031300d060960864801650304020105000420") + bytes(32)
    block = int.from_bytes((b"\x00\x01" + b"\xff" * 8 + b"\x00" + info).ljust(256, b"\x00"), "big")
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < block else (low, middle)
    explanation = only(_with_signature(low.to_bytes(256, "big")), rsa_record(key))
    assert explanation.key.state is KeyState.OTHER
    assert explanation.header.state is HalfState.UNKNOWN


# RFC 8017 section 9.2, note 1: what stands before the digest.
DIGEST_INFOS = {
    "MD5": ("3020300c06082a864886f70d020505000410", 16),
    "SHA-1": ("3021300906052b0e03021a05000414", 20),
    "SHA-224": ("302d300d06096086480165030402040500041c", 28),
    "SHA-384": ("3041300d060960864801650304020205000430", 48),
    "SHA-512": ("3051300d060960864801650304020305000440", 64),
}


@pytest.mark.parametrize("name", DIGEST_INFOS)
def test_another_hash_than_a_says(name: str) -> None:
    info, octets = DIGEST_INFOS[name]
    block = b"\x00" + bytes.fromhex(info) + bytes(octets)
    padded = b"\x00\x01" + block.rjust(254, b"\xff")
    numbers = rsa_key().private_numbers()
    power = pow(int.from_bytes(padded, "big"), numbers.d, numbers.public_numbers.n)
    explanation = only(_with_signature(power.to_bytes(256, "big")))
    assert explanation.key.state is KeyState.FITS
    assert f"a digest of {name} was signed, where a= says rsa-sha256" in explanation.summary


def test_a_signature_of_a_few_octets_is_damaged() -> None:
    assert "b= is damaged" in only(_with_signature(b"\x01")).key.detail


def test_a_key_that_cannot_be_asked_for() -> None:
    silent = ZoneResolver({}, failures={("sel._domainkey.example.org", "*"): "timeout"})
    explanation = only(signed() + b"footer\r\n", dns=silent)
    assert explanation.key.state is KeyState.UNAVAILABLE
    assert codes(explanation) == [AlterationCode.TEXT_ADDED_AT_END]
    assert "fits" not in explanation.header.detail
    intact = only(signed(), dns=silent)
    assert "fits the signature's body hash" in intact.summary


def test_rsa_sha1_is_not_searched_and_has_advice() -> None:
    explanation = only(signed(PLAIN, {"a": "rsa-sha1", "bh": "q83vEjRWeJCrze8SNFZ4kKvN7xI="}))
    assert (explanation.header.state, explanation.body.state) == (HalfState.UNKNOWN, HalfState.UNKNOWN)
    assert any("RFC 8301" in advice for advice in explanation.advice)


def test_two_keys_at_one_name() -> None:
    records = [rsa_record(extra="h=sha1; "), rsa_record(rsa_key(1024))]
    explanation = only(signed(), [*records])
    assert any("leave one record there" in advice for advice in explanation.advice)


def test_a_record_that_holds_no_key_at_all() -> None:
    broken = only(signed(), "v=DKIM1; p=" + "A" * 100)
    assert (broken.key.state, broken.key.repaired) == (KeyState.UNUSABLE, "")
    assert "publish the record anew" in broken.advice[0]


# --- what is shown -------------------------------------------------------------------------------------------------


def test_a_long_difference_is_cut_short() -> None:
    body = b"".join(b"line %d\r\n" % number for number in range(900))
    message = signed(MESSAGES["plain"].partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body, {"c": "simple/simple"})
    explanation = only(message.partition(b"line 0")[0] + body.replace(b"\r\n", b" \r\n"))
    assert codes(explanation) == [AlterationCode.BLANKS_AT_LINE_ENDS_ADDED]
    assert len(explanation.body.diff) == 56
    assert explanation.body.diff[27] == "@ 873 more lines of what was signed"
    assert explanation.body.diff[-1] == "@ 873 more lines of what came"
    assert explanation.body.alterations[0].count == 900


def test_every_octet_that_is_hashed_can_be_seen() -> None:
    odd = "a\u00b7b\\c\td \u21b5\x07".encode() + b"\xff\r\n"
    (form,) = canonical_forms(signed(PLAIN + odd, {"c": "relaxed/simple"}))
    shown = "a\\xc2\\xb7b\\\\c\u2192d\u00b7\\xe2\\x86\\xb5\\x07\\xff\u21b5\n"
    assert form.body.endswith(shown)
    assert form.body_digest == form.signed_digest
    assert form.to_dict()["body_base64"]
    (lf,) = canonical_forms(signed(PLAIN, {"c": "relaxed/simple"}).replace(b"\r\n", b"\n"))
    assert lf.body_digest == lf.signed_digest
    assert canonical_forms(signed(PLAIN, {"c": "strict"})) == []


# --- any input -----------------------------------------------------------------------------------------------------

PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"--=_alt", b"--=_alt--", b"<body>", b"</body>", b"From ", b"..", b"Subject:",
    b"=?utf-8?q?", b"?=", b"Content-Type: multipart/mixed; boundary=mix\r\n\r\n", b"\xef\xbb\xbf", b"\xff", b"=\r\n",
    b"l=3;", b"DKIM-Signature: ", b"a" * 80, b"\x00"]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(MESSAGES)),
    how=st.sampled_from(CANONICALIZATIONS),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.sampled_from(PIECES), st.integers(0, 30)), min_size=1, max_size=6),
)
def test_any_message_has_a_result_within_the_bounds(name: str, how: str, cuts: list[tuple[float, bytes, int]]) -> None:
    """Any octets: one explanation for each signature, its verdict the verifier's, ready for JSON."""
    message = signed_message(name, how, rsa_key())
    for where, piece, gone in cuts:
        at = int(where * len(message))
        message = message[:at] + piece + message[at + gone :]
    limits = ExplainLimits(attempts=300, verifications=50)
    for explanation in explained(message, limits=limits):
        json.dumps(explanation.to_dict())
        for half in (explanation.header, explanation.body):
            assert half.attempts <= 301
            assert (half.state is HalfState.EXPLAINED) == bool(half.alterations) or explanation.signature.body_length


@given(
    st.sampled_from(sorted({*aliases.values(), "unicode_escape", "raw_unicode_escape", "undefined", "x"})),
    st.binary(max_size=40) | st.sampled_from([b"+2AA-", rb"\ud800", rb"\d", b"=D8=00"]),
)
@example("utf_7", b"+2AA-")
@example("unicode_escape", rb"\d")
def test_any_encoded_word_is_text_that_can_be_written(charset: str, octets: bytes) -> None:
    """Any octets under any name of a character set: text that is valid UTF-8, or none."""
    word = b"=?%b?b?%b?=" % (charset.encode(), base64.b64encode(octets))
    text = words.decoded(word)
    if text is not None:
        assert all(isinstance(spelling, bytes) for spelling in words.spellings(text))
    explained(signed().replace(b"Subject: two", b"Subject: " + word), limits=ExplainLimits(attempts=50))
    explained(b"DKIM-Signature: " + word + b"\r\n" + PLAIN)


def _records() -> st.SearchStrategy[bytes]:
    octets = RECORD.encode()
    cuts = st.tuples(st.integers(0, 400), st.binary(max_size=10), st.integers(0, 5))
    return st.binary(max_size=300) | cuts.map(lambda cut: octets[: cut[0]] + cut[1] + octets[cut[0] + cut[2] :])


@settings(max_examples=60, deadline=None)
@given(record=_records())
def test_any_record_has_a_result(record: bytes) -> None:
    """Any key record has an explanation; nothing raises."""
    explanation = only(signed(), record)
    assert explanation.key.state in KeyState
    assert explanation.key.detail


def test_the_bounds_end_the_search() -> None:
    message = signed_message("alternative", "simple/simple", rsa_key()).replace(b"Hello Bob", b"Hullo Bob")
    explanation = only(message, limits=ExplainLimits(attempts=100))
    assert (explanation.body.exhausted, explanation.body.attempts) == (True, 100)
    ticks = iter(range(100_000))
    late = only(message, clock=lambda: next(ticks), limits=ExplainLimits(seconds=3))
    assert late.body.exhausted
    poor = only(message, limits=ExplainLimits(octets=10_000, octets_per_octet=0))
    assert poor.body.exhausted
    assert poor.body.attempts < 100
    with pytest.raises(ValueError):
        ExplainLimits(seconds=-1)


def test_a_large_message_is_verified_and_not_searched() -> None:
    message = signed_message("plain", "simple/simple", rsa_key()) + b"footer\r\n"
    explanation = only(message, limits=ExplainLimits(message_octets=1000))
    assert explanation.signature.reason is Reason.BODY_HASH_DIFFERS
    assert explanation.body.state is HalfState.UNKNOWN
    assert explanation.header.state is HalfState.INTACT


def test_a_body_without_end_is_searched_in_linear_work() -> None:
    """Two megabytes of one octet, of blanks, of empty lines, of boundaries: bounded by octets, not by luck."""
    head = signed_message("alternative", "relaxed/relaxed", rsa_key()).partition(b"\r\n\r\n")[0]
    for piece in (b"a", b" ", b"\t", b"\r\n", b"\r", b"\n", b"--=_alt\r\n", b"<div>", b"x\r\n", b"\r\n--=_alt\r\n\r\n"):
        body = piece * (100_000 // len(piece))
        limits = ExplainLimits(octets=0, octets_per_octet=20)
        explanation = only(head + b"\r\n\r\n" + body, limits=limits)
        assert explanation.body.state is HalfState.ALTERED


def test_a_large_body_takes_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are not taken apart, whatever they hold; what was added at the end is found all the same."""
    monkeypatch.setattr("mailauth.dkim.explanation.body._MAX_REWRITTEN", 100_000)
    monkeypatch.setattr("mailauth.dkim.explanation.differences._MAX_OCTETS", 100_000)
    head = PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    for piece in (b"ab  c\r\n", b"a" * 70 + b" \r\n", b"\n\r"):
        body = piece * (600_000 // len(piece))
        message = signed(head + body, {"c": "simple/simple"})
        tracemalloc.start()
        altered_body = only(
            message.replace(b"\r\n\r\n", b"\r\n\r\nx", 1), limits=ExplainLimits(octets=10**7, octets_per_octet=0)
        )
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert altered_body.body.state is HalfState.ALTERED
        assert peak < 20 * len(body), piece
    footer = only(signed(head + b"line\r\n" * 100_000) + b"footer\r\n")
    assert codes(footer) == [AlterationCode.TEXT_ADDED_AT_END]
    assert footer.body.diff == (" line", "+footer")
    first = only(signed(head + b"line\r\n" * 100_000).replace(b"\r\n\r\n", b"\r\n\r\nbanner\r\n", 1))
    assert codes(first) == [AlterationCode.TEXT_ADDED_AT_START]
    assert first.body.diff == ("+banner", " line")


def test_how_the_message_was_cut_does_not_matter() -> None:
    message = signed_message("plain", "relaxed/relaxed", rsa_key()) + b"footer\r\n"
    whole = only(message)
    explainer = Explainer(now=NOW)
    for at in range(0, len(message), 7):
        explainer.feed(message[at : at + 7])
    (pieces,) = run(explainer.finish(), zone())
    assert pieces == whole


def test_several_signatures_share_what_is_searched() -> None:
    message = signed(signed(PLAIN, {"s": "other"})) + b"footer\r\n"
    dns = ZoneResolver(
        {("sel._domainkey.example.org", "TXT"): [RECORD], ("other._domainkey.example.org", "TXT"): [RECORD]}
    )
    explanations = explained(message, dns=dns)
    assert [codes(explanation) for explanation in explanations] == [[AlterationCode.TEXT_ADDED_AT_END]] * 2
    many = explained(message, dns=dns, policy=DkimPolicy(max_signatures=1))
    assert many[1].signature.reason is Reason.TOO_MANY_SIGNATURES
