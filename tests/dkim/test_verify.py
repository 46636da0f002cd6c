"""Verification, rule by rule.

A signature passes exactly if RFC 6376 and the policy say so, and every other one has its reason.
"""

from __future__ import annotations

import gc
import io
import json
import re
import tracemalloc
from base64 import b64decode
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailauth.dkim import AuthorMatch, DkimPolicy, Reason, Result, Signature, Verifier, verify
from mailauth.dkim.result import RESULT_OF
from mailauth.mail.lines import LineEnd
from mailauth.plan import TIMED_OUT, Answer, Outcome, Question, run
from mailauth.resolvers import ZoneResolver
from mailauth.testing.conformance import Case, cases, resolver_of
from tests.conformance.dkim_cases import ODD_FORMS, RELAXED, P, rsa_der
from tests.dkim.makers import (
    MESSAGE,
    NOW,
    b64,
    canonical_field,
    check,
    ed_key,
    ed_record,
    only,
    rsa_key,
    rsa_record,
    signed,
    zone,
)

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.mark.parametrize(("name", "number"), [("rfc6376-a2.eml", 1), ("rfc8463-a3.eml", 2)])
def test_the_examples_of_the_rfcs(name: str, number: int) -> None:
    dns = ZoneResolver.from_file(EXAMPLES / "demo.zone")
    octets = (EXAMPLES / name).read_bytes()
    assert b"\r\n" in octets, "git must keep the line ends"
    results = run(verify(octets, now=NOW), dns)
    assert [signature.result for signature in results] == ["pass"] * number
    changed = run(verify(octets.replace(b"hungry", b"hungrY"), now=NOW), dns)
    assert [signature.reason for signature in changed] == ["body-hash-differs"] * number
    changed = run(verify(octets.replace(b"Suzie Q <", b"Suzie P <"), now=NOW), dns)
    assert [signature.reason for signature in changed] == ["signature-differs"] * number


def test_no_signature() -> None:
    assert check(MESSAGE) == []
    assert check(b"") == []


@pytest.mark.parametrize("c", ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"])
@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_canonicalizations_and_algorithms(c: str, kind: str) -> None:
    key, record = (rsa_key(), rsa_record()) if kind == "rsa" else (ed_key(), ed_record())
    signature = only(signed(tags={"c": c}, key=key), record)
    assert (signature.result, signature.reason) == ("pass", "verified")
    assert f"{signature.header_canonicalization}/{signature.body_canonicalization}" == c
    assert signature.key_bits == (2048 if kind == "rsa" else 256)


def test_evidence() -> None:
    tags = {"i": "ann@mail.example.org", "t": "1699999000", "x": "1700001000", "q": "dns/txt", "zz": "unknown"}
    message = signed(tags=tags | {"d": "Example.ORG", "h": "From:to:Subject:date:from:x-none"})
    assert only(message, dns=zone(rsa_record(extra="t=y; "))).to_dict() == {
        "result": "pass",
        "reason": "verified",
        "detail": "",
        "domain": "example.org",
        "selector": "sel",
        "identity": "ann@mail.example.org",
        "algorithm": "rsa-sha256",
        "key_bits": 2048,
        "header_canonicalization": "relaxed",
        "body_canonicalization": "relaxed",
        "signed_fields": ["from", "to", "subject", "date", "from", "x-none"],
        "author_match": "same",
        "body_length": None,
        "unsigned_octets": 0,
        "key_flags": ["y"],
        "signed_at": 1699999000,
        "expires_at": 1700001000,
        "signature_data": message.split(b"; b=")[1][:8].decode(),
        "line_end": "crlf",
        "index": 0,
    }


def test_a_result_is_no_truth_value() -> None:
    with pytest.raises(TypeError, match="compare its result"):
        bool(only(signed()))


def test_every_reason_has_its_result() -> None:
    assert set(RESULT_OF) == set(Reason)
    assert {RESULT_OF[reason] for reason in Reason} == set(Result)


# --- the field: RFC 6376 section 6.1.1 -------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [{"h": "from::to"}, {"i": "ann@example.net"}, {"q": "https"}, {"bh": ""}, {"c": "x"}])
def test_a_bad_tag_leaves_the_evidence_of_the_others(bad: dict[str, str | None]) -> None:
    """With several signatures, `signature_data` says which of them it is (RFC 6008)."""
    message = signed(tags={"t": str(NOW), "x": str(NOW + 1), "l": "3"} | bad)
    signature = only(message)
    assert signature.result in ("neutral", "permerror")
    assert signature.signature_data == message.split(b"; b=")[1][:8].decode()
    assert (signature.signed_at, signature.expires_at, signature.body_length) == (NOW, NOW + 1, 3)


@pytest.mark.parametrize("canonicalization", ["simple", "relaxed"])
@pytest.mark.parametrize("field", [case[1] for case in ODD_FORMS], ids=[case[0] for case in ODD_FORMS])
def test_only_the_real_b_is_emptied(field: bytes, canonicalization: str) -> None:
    how = canonicalization.encode()
    field = field.replace(b"relaxed/relaxed", how + b"/" + how)
    tags: dict[str, str | None] = {"c": f"{canonicalization}/{canonicalization}"}
    for name in (b"DKIM-Signature:", b"DKIM-Signature: ", b"dkim-SIGNATURE :\t"):
        if canonicalization == "relaxed" or name.startswith(b"DKIM"):
            message = signed(template=name + field, tags=tags)
            assert only(message).reason == "verified", message
    # FWS anywhere in base64
    found = re.search(rb";\s*b\s*=\s*", message)
    assert found is not None
    signature = found.end() + 12
    assert only(message[:signature] + b" \r\n\t " + message[signature:]).reason == "verified"


def test_b_as_the_first_tag() -> None:
    message = signed(template=b"DKIM-Signature: v=1; " + RELAXED[5:] + b"; b=%(b)s")
    assert only(message).result == "pass"
    first = signed(template=b"DKIM-Signature: x=9999999999; b=%(b)s; " + RELAXED)
    assert only(first).result == "pass"
    # The same, with b= in front of everything: its place is found there, too.
    assert only(first.replace(b" x=9999999999; b=", b" b=")).reason == "signature-differs"


BROKEN = [case for case in cases("dkim") if "verified" not in case.expect["reasons"] and case.expect["reasons"]]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_a_failure_has_words(case: Case) -> None:
    """The numbered cases (tests/conformance holds their results): a printable detail for each that fails."""
    request = case.request
    for signature in run(verify(b64decode(request["message"]), now=request["now"]), resolver_of(request)):
        assert signature.result is RESULT_OF[signature.reason]
        assert signature.detail
        assert signature.detail.isprintable()


# --- h= and the header ------------------------------------------------------------------------------------------


def test_its_own_field_is_never_signed_by_name() -> None:
    first = signed()
    second = signed(first, {"h": "from:dkim-signature:dkim-signature", "s": "sel"})
    assert [signature.result for signature in check(second)] == ["pass", "pass"]
    assert [s.result for s in check(second.replace(b"h=from:to", b"h=from: to"))] == ["fail", "fail"]


def test_from() -> None:
    without = MESSAGE.replace(b"From: Ann <ann@example.org>\r\n", b"")
    assert only(signed(without)).reason == "from-not-signed"
    assert only(signed(without)).result == "permerror"
    for second in (b"From: eve@example.net\r\n", b"from : eve@example.net\r\n"):
        for message in (second + signed(), signed(second + MESSAGE), signed(second + MESSAGE, {"h": "from:from"})):
            assert only(message).reason == "several-from"
            assert only(message).result == "policy"
    allowing = DkimPolicy(allow_several_from=True)
    assert only(signed(second + MESSAGE, {"h": "from:from"}), policy=allowing).result == "pass"


def test_no_empty_line_between_header_and_body() -> None:
    """Taking it away changes nothing that is signed, but shows another From to readers that pass over odd lines."""
    message = signed(MESSAGE.replace(b"Hello", b"forwarded mail\r\nFrom: ceo@example.com\r\n\r\nHello"))
    assert only(message).result == "pass"
    changed = only(message.replace(b"\r\n\r\nforwarded", b"\r\nforwarded"))
    assert (changed.result, changed.reason) == ("policy", "no-empty-line")
    assert only(signed(b"From: ann@example.org\r\n")).result == "pass", "a message may end with its header"


AUTHORS = [
    (b"ann@example.org", "same"),
    (b"Ann <ann@example.org>", "same"),
    (b'"Ann, of @example.net" <ann@EXAMPLE.org>', "same"),
    (b"ann@mail.example.org", "parent"),
    (b"ann@org", "child"),
    (b"ann@badexample.org", "none"),
    (b"a@example.org, b@example.org", "none"),
    (b"(ann@example.org) eve@example.net", "none"),
    (b"ann@example.org <eve@example.net>", "none"),
    (b'"ann@example.org', "none"),
    (b"<ann@example.org", "none"),
    (b"", "none"),
]


@pytest.mark.parametrize(("value", "match"), AUTHORS)
def test_author_match(value: bytes, match: str) -> None:
    message = MESSAGE.replace(b"Ann <ann@example.org>", value)
    assert only(signed(message)).author_match == match


def test_policy_on_fields() -> None:
    message = signed(tags={"h": "from:to"})
    policy = DkimPolicy(required_fields=("Subject", "Reply-To"))
    assert only(message, policy=policy).reason == "field-not-signed"
    assert only(signed(), policy=policy).result == "pass", "Reply-To is not there"


def test_a_header_over_the_bound_has_no_verdict() -> None:
    signature = only(signed(), policy=DkimPolicy(max_header_octets=600))
    assert (signature.result, signature.reason) == ("permerror", "header-too-large")


@pytest.mark.parametrize("c", ["simple/simple", "relaxed/relaxed"])
def test_bare_cr_and_lf_in_the_body_are_data(c: str) -> None:
    message = signed(MESSAGE.replace(b"Bob, ", b"Bob\n,\r"), {"c": c})
    assert only(message).result == "pass"
    assert only(message.replace(b"Bob\n", b"Bob\r\n")).reason == "body-hash-differs"
    assert only(message.replace(b"Bob\n", b"Bob ")).reason == "body-hash-differs"


@pytest.mark.parametrize("c", ["simple", "relaxed"])
@pytest.mark.parametrize("octets", [b"\r", b"\n", b" \n ", b"\r \r", b"\rz\n", b"\n\r"])
def test_bare_cr_and_lf_in_the_header_are_data(c: str, octets: bytes) -> None:
    from mailauth.dkim.header import canonicalizer
    from mailauth.mail.header import split

    header = split(b"A: 1\r\nB:  x" + octets + b"y \r\n\r\n").header
    expected = b"B:  x" + octets + b"y \r\n" if c == "simple" else b"b:x" + octets + b"y\r\n"
    assert canonicalizer(c, header)([header.fields[1].raw]) == expected


pieces_of_headers = st.sampled_from(
    [b"x", b"y:", b":", b" ", b"\t", b"\r\n ", b"\r\n\t", b"\r\nC :", b"\r", b"\n", b"\x0b", b"\x0c", b"\0", b"\xff"]
)


@given(st.lists(pieces_of_headers, max_size=12).map(b"".join), st.sampled_from(["simple", "relaxed"]))
@example(b"\rz\n", "relaxed")
@example(b"\r\n \rz\n\r\n ", "relaxed")
def test_any_header_is_canonicalized_as_the_reference_does(octets: bytes, c: str) -> None:
    """Any header, canonicalized, is what a slow reference makes of it."""
    from mailauth.dkim.header import canonicalizer
    from mailauth.mail.header import split

    header = split(b"A: 1\r\nB:" + octets + b"\r\n\r\n").header
    fields = [field.raw for field in header.fields]
    assert canonicalizer(c, header)(fields) == b"".join([canonical_field(raw, c) for raw in fields])


@pytest.mark.parametrize("c", ["simple/simple", "relaxed/relaxed"])
def test_lf_messages_are_hashed_with_crlf(c: str) -> None:
    message = signed(tags={"c": c}).replace(b"\r\n", b"\n")
    signature = only(message)
    assert signature.result == "pass"
    assert signature.line_end is LineEnd.LF
    mixed = only(message.replace(b"bye\n", b"bye\r\n").replace(b"example.org>\n", b"example.org>\r\n"))
    assert mixed.result == "pass"


# --- time -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "now", "reason"),
    [
        ({"x": "1000"}, 1300, "verified"),
        ({"x": "1000"}, 1301, "expired"),
        ({"t": "1000"}, 700, "verified"),
        ({"t": "1000"}, 699, "from-the-future"),
        ({"t": "1000", "x": "999999999999"}, 1000, "verified"),
    ],
)
def test_time(tags: dict[str, str | None], now: float, reason: str) -> None:
    assert only(signed(tags=tags), now=now).reason == reason
    if reason != "verified":
        assert only(signed(tags=tags), now=now).result == "policy"
        assert only(signed(tags=tags), now=now, policy=DkimPolicy(clock_skew=302)).result == "pass"


# --- l= ---------------------------------------------------------------------------------------------------------


def test_length() -> None:
    message = signed(tags={"l": "5"})
    signature = only(message)
    assert (signature.result, signature.reason) == ("policy", "unsigned-content")
    assert (signature.body_length, signature.unsigned_octets) == (5, 14)
    assert only(message, policy=DkimPolicy(allow_unsigned_content=True)).result == "pass"
    assert only(message.replace(b"Hello", b"HellO")).result == "fail"
    assert only(signed(tags={"l": "0"})).reason == "unsigned-content"
    assert only(signed(tags={"l": "19"})).result == "pass"
    assert only(signed(tags={"l": "20"})).reason == "body-too-short"
    assert only(signed(tags={"l": "9" * 76})).reason == "body-too-short"
    appended = only(signed(tags={"l": "19"}) + b"buy now\r\n")
    assert (appended.reason, appended.unsigned_octets) == ("unsigned-content", 9 + 4)


# --- keys: RFC 6376 sections 3.6.1 and 6.1.2 --------------------------------------------------------------------


def test_of_several_keys_the_fitting_one_says_why() -> None:
    message = signed().replace(b"bye", b"BYE")
    for records in ([ed_record(), rsa_record()], [rsa_record(), "v=DKIM1; p="]):
        signature = only(message, records)
        assert (signature.result, signature.reason, signature.key_bits) == ("fail", "body-hash-differs", 2048)


def test_the_order_of_key_records_means_nothing() -> None:
    others = [f"v=DKIM1; n={n}; p=QUJD" for n in range(3)]
    last, first = rsa_record(extra="n=9; "), rsa_record(extra="n=0; ")
    for record, reason in ((last, "key-malformed"), (first, "verified")):
        for records in ([record, *others], [*others, record], [*others, record, *others]):
            assert only(signed(), records).reason == reason
    assert only(signed(), [last, *others], policy=DkimPolicy(max_keys=4)).reason == "verified"


@pytest.mark.parametrize("tag", ["h", "s"])
def test_an_empty_list_is_named(tag: str) -> None:
    assert only(signed(), f"v=DKIM1; {tag}=; p={P}").detail == f"{tag}= is an empty list"


def test_keys_in_test_mode() -> None:
    record = rsa_record(extra="t=y; ")
    assert only(signed(), record).result == "pass"
    assert only(signed(), record).testing
    assert only(signed(), record, policy=DkimPolicy(allow_testing_keys=False)).reason == "testing-key"
    broken = only(signed() + b"x", record)
    assert (broken.result, broken.reason) == ("neutral", "body-hash-differs")


@pytest.mark.parametrize(("bits", "reason"), [(512, "key-too-small"), (1023, "key-too-small"), (1024, "verified")])
def test_small_keys(bits: int, reason: str) -> None:
    from tests.dkim.small_keys import small_key

    signature = only(signed(key=small_key(bits)), rsa_record(small_key(bits)))
    assert (signature.reason, signature.key_bits) == (reason, bits)


def test_key_sizes_by_policy() -> None:
    assert only(signed(), policy=DkimPolicy(min_rsa_bits=2049)).reason == "key-too-small"
    assert only(signed(), policy=DkimPolicy(max_rsa_bits=2047)).reason == "key-too-large"


@pytest.mark.parametrize(
    ("modulus_bits", "exponent_bits", "reason"),
    [
        (4097, 17, "key-too-large"),
        (16384, 17, "key-too-large"),
        (40_000, 17, "key-malformed"),
        (2048, 2000, "key-malformed"),
        (2048, 65, "key-malformed"),
        (2048, 64, "signature-differs"),
    ],
)
def test_keys_are_measured_before_arithmetic(
    modulus_bits: int, exponent_bits: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mailauth.dkim import crypto

    verified = []
    original = crypto.PublicKey.verify

    def counted(self: crypto.PublicKey, signature: bytes, digest: bytes) -> bool:
        verified.append(self.bits)
        return original(self, signature, digest)

    monkeypatch.setattr(crypto.PublicKey, "verify", counted)
    der = rsa_der((1 << (modulus_bits - 1)) | 1, (1 << (exponent_bits - 1)) | 1)
    assert only(signed(), f"p={b64(der)}").reason == reason
    assert bool(verified) == (reason == "signature-differs")


# --- DNS --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["timeout", "servfail", "refused"])
def test_a_dns_error_is_temporary(failure: Any) -> None:
    """RFC 6376 section 6.1.2 step 2; section 3.9: the result names the domain all the same."""
    dns = ZoneResolver({}, failures={("sel._domainkey.example.org", "TXT"): failure})
    signature = only(signed(), dns=dns)
    assert (signature.result, signature.reason) == ("temperror", "key-unavailable")
    assert signature.domain == "example.org"


def test_a_failed_answer_is_temporary_whatever_it_holds() -> None:
    plan = verify(signed(), now=NOW)
    next(plan)
    with pytest.raises(StopIteration) as stop:
        plan.send(Answer(Outcome.SERVER_FAILURE, (rsa_record().encode(),)))
    assert stop.value.value[0].reason == "key-unavailable"


def test_no_key_is_a_fact() -> None:
    for dns in (ZoneResolver({}), ZoneResolver({("x.sel._domainkey.example.org", "A"): ["192.0.2.1"]})):
        signature = only(signed(), dns=dns)
        assert (signature.result, signature.reason) == ("permerror", "no-key")


def test_idn_is_asked_as_a_labels() -> None:
    message = signed(tags={"d": "b\u00fccher.example", "s": "\u00e4", "i": "\u00f6@mail.b\u00fccher.example"})
    name = "xn--4ca._domainkey.xn--bcher-kva.example"
    signature = only(message, dns=zone(name=name))
    assert signature.result == "pass"
    assert (signature.domain, signature.selector) == ("xn--bcher-kva.example", "xn--4ca")
    assert signature.identity == "\u00f6@mail.b\u00fccher.example"


def test_keys_are_asked_side_by_side_and_once() -> None:
    message = signed(signed(signed(tags={"s": "a"}), {"s": "b"}), {"s": "a"})
    plan = verify(message, now=NOW)
    request = next(plan)
    assert [str(part) for part in request.parts] == [  # type: ignore[union-attr]
        "a._domainkey.example.org TXT", "b._domainkey.example.org TXT", "a._domainkey.example.org TXT",
    ]  # fmt: skip
    plan.close()
    # Nothing is asked for what cannot pass.
    with pytest.raises(StopIteration) as stop:
        next(verify(signed(tags={"v": "2"}), now=NOW))
    assert [signature.reason for signature in stop.value.value] == ["unsupported-version"]


# --- several signatures -----------------------------------------------------------------------------------------


def test_every_signature_has_its_own_result_top_first() -> None:
    message = signed(signed(signed(tags={"s": "none"}), {"v": "3"}), {"h": "from:to"})
    results = check(message)
    assert [signature.reason for signature in results] == ["verified", "unsupported-version", "no-key"]
    assert [signature.index for signature in results] == [0, 1, 2]


def test_too_many_signatures_and_who_goes_first() -> None:
    good = signed()
    junk = b"".join(b"DKIM-Signature: v=1; d=junk%d.example; s=x; b=QQ==\r\n" % i for i in range(1000))
    results = check(junk + good)
    assert len(results) == 1001
    assert results[1000].result == "pass", "the one that matches From is looked at first"
    assert [r.reason for r in results[:1000]].count(Reason.TOO_MANY_SIGNATURES) == 991
    assert {r.result for r in results[:1000]} == {"policy", "neutral"}


@pytest.mark.parametrize("domain", [b"\xc3\xa4.example", b"\xff", b"", b"a..b", b"x" * 300])
def test_a_queue_of_odd_domains(domain: bytes) -> None:
    """Any domains in the signatures that stand in the queue: the good one is looked at first."""
    results = check(b"DKIM-Signature: v=1; d=%b; s=x; b=QQ==\r\n" % domain * 20 + signed())
    assert [results[20].reason, len(results)] == ["verified", 21]


def test_one_body_pass_for_two_hundred_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    from mailauth.dkim import verification

    made = []

    class Counted(verification.BodyHash):
        def __init__(self, *arguments: Any) -> None:
            made.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(verification, "BodyHash", Counted)
    body = b"x" * 70 + b"\r\n"
    message = MESSAGE + body * 100
    field = signed(message, {"l": "100"}).partition(b"Received")[0]
    many = b"".join(field.replace(b"l=100", b"l=%d" % i) for i in range(200)) + message
    results = check(many, policy=DkimPolicy(max_signatures=200, allow_unsigned_content=True))
    assert len(made) == 1
    assert [i for i, r in enumerate(results) if r.reason != "body-hash-differs"] == [100]


# --- streaming --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2000), max_size=10), st.booleans())
def test_cuts_do_not_matter(cuts: list[int], lf: bool) -> None:
    """Any cuts: the same results."""
    message = signed(signed(tags={"c": "simple/relaxed"}), {"l": "7", "c": "simple/simple"})
    message = message.replace(b"\r\n", b"\n") if lf else message
    verifier = Verifier(now=NOW)
    edges = [0, *sorted(cuts), len(message)]
    for a, b in pairwise(edges):
        verifier.feed(message[a:b])
    assert run(verifier.finish(), zone()) == check(message)


def test_files_are_read_in_blocks() -> None:
    class File(io.BytesIO):
        largest = 0

        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert size > 0
            self.largest = max(self.largest, size)
            return super().read(size)

    file = File(signed(MESSAGE + b"x\r\n" * 100_000))
    assert run(verify(file, now=NOW), zone())[0].result == "pass"
    assert file.largest <= 65536


def test_a_verifier_is_finished_once() -> None:
    verifier = Verifier(now=NOW)
    verifier.feed(bytearray(signed()))
    assert verifier.header is not None
    verifier.finish().close()
    with pytest.raises(ValueError, match="finished before"):
        verifier.finish()
    with pytest.raises(ValueError, match="finished before"):
        verifier.feed(b"x")


def test_caller_mistakes() -> None:
    with pytest.raises(TypeError, match="bytes or a binary file"):
        next(verify("From: a", now=NOW))  # type: ignore[arg-type]
    for now in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="now is in seconds"):
            Verifier(now=now)
    for settings, text in [
        ({"min_rsa_bits": 512}, "at least 1024"),
        ({"max_rsa_bits": 1000}, "max_rsa_bits"),
        ({"max_rsa_bits": 1 << 20}, "max_rsa_bits"),
        ({"algorithms": ("rsa-sha1",)}, "RFC 8301"),
        ({"algorithms": "rsa-sha256"}, "tuple"),
        ({"required_fields": "subject"}, "tuple"),
        ({"clock_skew": -1}, "clock_skew"),
        ({"clock_skew": float("nan")}, "clock_skew"),
        ({"max_signatures": 0}, "at least 1"),
    ]:
        with pytest.raises(ValueError, match=text):
            DkimPolicy(**settings)  # type: ignore[arg-type]


# --- hostile input ----------------------------------------------------------------------------------------------

tag_words = st.sampled_from(
    ["v=1", "a=rsa-sha256", "b=QUJD", "bh=QUJD", "c=relaxed", "d=example.org", "s=sel", "h=from", "i=@example.org",
     "l=3", "t=1", "x=2", "q=dns/txt", ";", ";", ":", "=", "\r\n\t", "\n", "\r", "\0", "\xff"]
)  # fmt: skip


@given(st.lists(tag_words, max_size=30).map(lambda words: "".join(words).encode("latin-1")), st.binary(max_size=40))
def test_any_field_and_any_key_have_a_result(value: bytes, record: bytes) -> None:
    """Any octets as DKIM-Signature, any octets as key: one result each, which JSON can hold."""
    message = b"DKIM-Signature:" + value + b"\r\n" + MESSAGE
    for signature in check(message, record):
        assert isinstance(signature, Signature)
        assert signature.result != "pass"
        json.dumps(signature.to_dict())


@given(st.binary(max_size=300))
def test_any_octets_have_results(message: bytes) -> None:
    """Any octets: a list of results, never an exception."""
    assert all(isinstance(signature, Signature) for signature in check(message))


@given(st.binary(max_size=120), st.sampled_from(["rsa", "ed25519", "x"]))
def test_any_key_octets_have_a_result(octets: bytes, kind: str) -> None:
    """Any octets in p=: a result, never an exception, never a pass."""
    message = signed(key=ed_key()) if kind == "ed25519" else signed()
    assert only(message, f"k={kind}; p={b64(octets)}").result in ("permerror", "fail", "policy")


@given(st.data())
def test_no_changed_octet_of_what_is_signed_passes(data: st.DataObject) -> None:
    """Any octet of a simple/simple signed message, changed: never a pass."""
    message = signed(tags={"c": "simple/simple", "h": "received:from:to:subject:date"})
    place = data.draw(st.integers(0, len(message.rstrip(b"\r\n")) - 1))
    octet = data.draw(st.integers(0, 255).filter(lambda o: o != message[place]))
    changed = message[:place] + bytes([octet]) + message[place + 1 :]
    b_start, b_end = message.index(b"b=", message.index(b"bh=") + 47), message.index(b"\r\n")
    results = [signature.result for signature in check(changed)]
    if b_start <= place < b_end and octet in b" \t":
        return  # blanks in b= do not count, and may stand for padding
    assert "pass" not in results


WORST_FIELDS = {
    "b= of 200 KB of blanks": RELAXED + b"; b=" + b" " * 200_000 + b"QUJD",
    "h= of blanks": RELAXED.replace(b"h=from", b"h=from" + b" " * 200_000) + b"; b=QUJD",
    "h= of blanks in a name": RELAXED.replace(b"h=from", b"h=from" + b" " * 200_000 + b"x") + b"; b=QUJD",
    "100,000 folds": RELAXED + b"; b=" + b"\r\n " * 100_000 + b"QUJD",
    "100,000 semicolons": b";" * 100_000,
    "100,000 colons in h=": RELAXED.replace(b"h=from", b"h=from" + b":" * 100_000) + b"; b=QUJD",
    "100,000 digits": RELAXED + b"; t=" + b"9" * 100_000 + b"; b=QUJD",
    "i= of 200 KB": RELAXED + b"; i=" + b"=" * 200_000 + b"; b=QUJD",
    "200 KB of names": RELAXED.replace(b"h=from", b"h=from:" + b"x" * 200_000) + b"; b=QUJD",
    "blanks before colons": b" " * 200_000,
}


@pytest.mark.parametrize("value", WORST_FIELDS.values(), ids=WORST_FIELDS.keys())
def test_the_worst_fields_take_linear_time(value: bytes) -> None:
    """Ten times the field may take ten times as long; quadratic work would take a hundred times."""
    import time

    def seconds(octets: bytes) -> float:
        message = b"DKIM-Signature: " + octets + b"\r\n" + MESSAGE
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            check(message)
            best = min(best, time.process_time() - start)
        return best

    run_of = max((b" ", b"\r\n ", b";", b":", b"9", b"=", b"x"), key=lambda run: value.count(run * 50))
    short = value.replace(run_of * 1000, run_of * 100)
    assert len(short) * 5 < len(value)
    assert seconds(value) < 50 * seconds(short) + 0.05


def test_the_cache_of_signers_is_bounded() -> None:
    """A name of h= takes many times its octets in memory, and whoever sends mail chooses the names."""

    names = ":".join(f"{first:c}{second:c}" for first in range(97, 121) for second in range(97, 121))
    fields = [b"DKIM-Signature: %b; d=x%d.org; h=from:%b; b=QUJD\r\n" % (HALF, i, names.encode()) for i in range(100)]
    tracemalloc.start()
    for field in fields:
        assert only(field + MESSAGE).reason == "no-key"
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < len(fields) * 32 * 1024


def test_the_cache_of_key_records_is_bounded() -> None:
    message = signed()
    tracemalloc.start()
    for i in range(100):
        assert only(message, b"p=; n=%d" % i + b"\xff" * 15_000).reason == "key-revoked"
    gc.collect()  # what waits for the collector is not kept
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100 * 8 * 1024


HALF = b"v=1; a=rsa-sha256; s=sel; bh=" + b64(bytes(32)).encode()


def test_the_cache_of_a_signer_says_nothing_of_other_messages() -> None:
    first = only(signed(tags={"t": str(NOW), "l": "4"}), rsa_record(extra="t=y; "))
    second = only(signed())
    assert (first.key_flags, first.body_length, first.signed_at) == (("y",), 4, NOW)
    assert (second.key_flags, second.body_length, second.signed_at, second.unsigned_octets) == ((), None, None, 0)


def test_question_and_timeout_are_what_the_plan_sees() -> None:
    plan = verify(signed(), now=NOW)
    assert next(plan) == Question("sel._domainkey.example.org", "TXT")
    with pytest.raises(StopIteration) as stop:
        plan.send(TIMED_OUT)
    assert stop.value.value[0].result == "temperror"
    assert stop.value.value[0].author_match is AuthorMatch.SAME


@pytest.mark.parametrize(
    "value",
    [
        b"=?UTF-8?Q?v=3D1;_a=3Drsa-sha256;?=",
        b"=?utf-8?B?dj0xOw==?= =?utf-8?B?YT1yc2E=?=",
        b"v=1; a=rsa-sha256; =?us-ascii?q?d=3Dx?=",
    ],
)
def test_a_field_rewritten_as_encoded_words_says_so(value: bytes) -> None:
    """RFC 2047 section 5: gateways that know no better encode long fields."""
    found = only(b"DKIM-Signature: " + value + b"\r\n" + MESSAGE)
    assert (found.result, found.reason) == ("neutral", "malformed-tag-list")
    assert "encoded words by a gateway" in found.detail
