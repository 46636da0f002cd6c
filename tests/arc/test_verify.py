"""Verifying chains: each rule of RFC 8617 sections 4 and 5.2 as a numbered case, chains by dkimpy, and any octets."""

from __future__ import annotations

import io

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

import dkim
from mailauth.arc import Chain, ChainStatus, Verifier, verify
from mailauth.dkim import DkimPolicy
from mailauth.dkim import Verifier as DkimVerifier
from mailauth.dkim.header import Canonicalizer, canonicalizer
from mailauth.mail.header import Header
from mailauth.plan import run
from mailauth.resolvers import RecordingResolver
from tests.arc.makers import chain_of, check, sealed, sets_of, zone
from tests.conformance.arc_cases import FAULTS, ONE, THREE, TWO, changed
from tests.dkim.makers import MESSAGE, NOW, ed_key, ed_record, rsa_key, rsa_record, signed


def test_5_2_chains_that_pass() -> None:
    for number, message in enumerate((ONE, TWO, THREE), start=1):
        found = check(message)
        assert (found.result, found.reason, found.oldest_pass) == ("pass", "verified", 0)
        assert found.chain == ("one.example", "two.example", "three.example")[:number]
    newest = check(THREE).sets[-1]
    assert (newest.instance, newest.sealer, newest.selector, newest.cv) == (3, "three.example", "arc", "pass")
    assert (newest.signer, newest.sealed_at) == ("three.example", NOW)
    assert newest.results is not None
    assert newest.results.of("dmarc")[0].result == "pass"
    with pytest.raises(TypeError):
        bool(check(ONE))


@pytest.mark.parametrize(
    "message",
    [MESSAGE, b"", signed(), changed(ONE, b"ARC-", b"X-ARC-")],
)
def test_5_2_1_no_field_no_chain(message: bytes) -> None:
    found = check(message)
    assert (found.result, found.reason, found.sets) == ("none", "no-sets", ())


@pytest.mark.parametrize("name", [*FAULTS, "50-header-too-large"])
def test_faults(name: str) -> None:
    message, reason, instance = FAULTS.get(name, (b"", "header-too-large", None))
    if name == "50-header-too-large":
        message = ONE.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * (5 << 20) + b"\r\n\r\n")
    found = check(message)
    assert (found.result, found.reason, found.instance) == ("fail", reason, instance), found
    assert found.detail
    assert found.oldest_pass is None
    assert found.vouch("example.org", ["one.example", "two.example", "three.example"]) is None


def test_4_2_1_fifty_sets_and_no_more() -> None:
    """The work is bounded: a chain of 50 is verified, of 51 nothing is asked."""
    message = MESSAGE
    for _ in range(50):
        message = sealed(message, "one.example")
    found = check(message)
    assert (found.result, len(found.sets)) == ("pass", 50)
    more = message.replace(b"ARC-Seal: i=1;", b"ARC-Seal: i=1;x=y;\r\nARC-Seal: i=1;", 1)
    dns = RecordingResolver(zone())
    found = check(more, dns)
    assert (found.reason, dns.questions) == ("too-many-sets", ())


def test_older_keys_are_asked_for_only_where_the_newest_set_passes() -> None:
    dns = RecordingResolver(zone())
    check(THREE.replace(b"bye", b"buy"), dns)
    assert {question.name for question in dns.questions} == {"arc._domainkey.three.example"}
    check(THREE, dns)
    assert {question.name for question in dns.questions} >= {"arc._domainkey.one.example", "arc._domainkey.two.example"}


def test_no_field_is_made_canonical_for_each_of_the_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve signatures that list a large header cost one of its length."""
    message = b"".join(b"X-%d: %b\r\n" % (number, b"a  " * 3000) for number in range(5)) + MESSAGE
    for _ in range(12):
        message = sealed(message, signature={"h": "from:x-0:x-1:x-2:x-3:x-4"})
    done = 0

    def counting(name: str, header: Header) -> Canonicalizer:
        canonicalize = canonicalizer(name, header)

        def count(fields: list[bytes]) -> bytes:
            nonlocal done
            done += sum(map(len, fields))
            return canonicalize(fields)

        return count

    monkeypatch.setattr("mailauth.arc.verification.canonicalizer", counting)
    found = check(message)
    assert (found.reason, found.oldest_pass) == ("verified", 0)
    assert done < 2 * len(message)


def test_5_2_5_the_oldest_signature_that_still_verifies() -> None:
    """The second forwarder changed the subject; the third changed nothing."""
    second = sealed(ONE.replace(b"Subject: two", b"Subject: [list] two"), "two.example")
    assert check(second).oldest_pass == 2
    assert check(sealed(second, "three.example")).oldest_pass == 2
    assert check(sealed(second, "three.example")).result is ChainStatus.PASS


def test_ed25519_and_line_ends() -> None:
    message = sealed(key=ed_key())
    assert check(message, zone(record=ed_record())).result is ChainStatus.PASS
    assert check(TWO.replace(b"\r\n", b"\n")).result is ChainStatus.PASS
    assert check(ONE, policy=DkimPolicy(algorithms=("ed25519-sha256",))).reason == "signature"


def test_a_key_in_test_mode() -> None:
    """RFC 6376 section 3.6.1, t=y: as for DKIM, the policy says whether it counts."""
    keys = zone(record=rsa_record(extra="t=y; "))
    assert check(ONE, keys).result is ChainStatus.PASS
    found = check(ONE, keys, policy=DkimPolicy(allow_testing_keys=False))
    assert (found.reason, found.instance) == ("signature", 1)
    assert found.detail.endswith("the key is in test mode (t=y)")


def test_fields_written_otherwise() -> None:
    """Case of names, order of tags, folds; simple canonicalization of the message signature."""
    message = sealed(signature={"c": "simple/simple"})
    assert check(message).result is ChainStatus.PASS
    folded = ONE.replace(b"ARC-Seal: i=1; a=", b"arc-seal:\r\n\ti=1;\r\n a=")
    assert check(folded).result is ChainStatus.PASS
    assert check(sealed(signature={"v": "7"})).result is ChainStatus.PASS  # section 4.1.2: ignored
    assert check(sealed(results="what ever it is")).result is ChainStatus.PASS  # section 3.4
    assert check(sealed(seal={"z": "1"})).result is ChainStatus.PASS  # RFC 6376 section 3.2: unknown tags are ignored


# --- who is believed ------------------------------------------------------------------------------------------------

TRUSTED = ["one.example", "two.example", "three.example"]


@pytest.mark.parametrize(
    ("message", "sealers", "vouches"),
    [
        (ONE, ["one.example"], True),
        (ONE, ["ONE.example."], True),
        (chain_of("mx.one.example"), ["one.example"], True),
        (ONE, ["mx.one.example"], False),
        (ONE, ["two.example"], False),
        (ONE, [], False),
        (TWO, ["one.example"], False),  # an unknown sealer came last, and may have changed everything
        (TWO, ["two.example"], True),  # it says itself that DMARC passed
        (sealed(ONE, "two.example", results="mx; dmarc=fail header.from=example.org"), ["two.example"], False),
        (sealed(ONE, "two.example", results="mx; dmarc=fail header.from=example.org"), TRUSTED, True),
        (sealed(results="mx; dmarc=pass header.from=other.example"), TRUSTED, False),
        (sealed(results="mx; dmarc=pass"), TRUSTED, False),
        (sealed(results="mx; dmarc=pass header.from=example.org header.from=x.example"), TRUSTED, False),
        (sealed(results="mx; dmarc=pass header.from=example.org; dmarc=fail"), TRUSTED, False),
        (sealed(results="mx; spf=fail smtp.helo=x; dmarc=pass header.from=example.org; dmarc=none"), TRUSTED, False),
        (sealed(results="mx; dmarc=none; dkim=pass header.d=Example.org"), TRUSTED, True),
        (sealed(results="mx; dmarc=permerror; dkim=pass header.d=example.org"), TRUSTED, False),
        (sealed(results="mx; dmarc=fail x-p.q=reject; dkim=pass header.d=example.org"), TRUSTED, False),
        (sealed(results="mx; dmarc/2=fail; dkim=pass header.d=example.org"), TRUSTED, False),
        (sealed(results="mx; dkim=fail header.d=example.org"), TRUSTED, False),
        (sealed(results="mx; spf=pass smtp.mailfrom=example.org"), TRUSTED, False),
        (ONE.replace(b"bye", b"buy"), TRUSTED, False),
        (MESSAGE, TRUSTED, False),
    ],
)  # fmt: skip
def test_only_trusted_sealers_vouch(message: bytes, sealers: list[str], vouches: bool) -> None:
    names = ("one.example", "mx.one.example", "two.example")
    words = check(message, zone(*names)).vouch("example.org", sealers)
    assert (words is not None) is vouches


def test_7_2_2_the_words_for_a_report() -> None:
    first = sealed(results="mx; arc=none smtp.remote-ip=2001:db8::1a; dmarc=pass header.from=example.org")
    words = check(sealed(first, "two.example")).vouch("example.org", TRUSTED)
    assert words == (
        "arc=pass as[2].d=two.example as[2].s=arc as[1].d=one.example as[1].s=arc remote-ip[1]=2001:db8::1a"
    )


# --- others' chains -------------------------------------------------------------------------------------------------


def test_chains_by_dkimpy_verify_here_and_ours_there() -> None:
    pem = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    key = rsa_record().encode()

    def dns(name: bytes, timeout: int = 5) -> bytes:
        return key

    message = b"Authentication-Results: one.example; dmarc=pass header.from=example.org\r\n" + MESSAGE
    for number, domain in enumerate((b"one.example", b"two.example", b"three.example"), start=1):
        fields = b"".join(dkim.arc_sign(message, b"arc", domain, pem, domain, timestamp=NOW))
        message = fields + message
        found = check(message)
        assert (found.result, len(found.sets), found.oldest_pass) == ("pass", number, 0), found
        assert dkim.arc_verify(message, dnsfunc=dns)[0] == b"pass"
        following = (b"two.example", b"three.example", b"four.example")[number - 1]
        message = b"Authentication-Results: " + following + b"; arc=pass\r\n" + message
    assert found.vouch("example.org", TRUSTED)
    assert check(message.replace(b"bye", b"buy")).reason == "signature"
    for ours in (ONE, TWO, THREE):
        assert dkim.arc_verify(ours, dnsfunc=dns)[0] == b"pass"
    # What both refuse.
    for name in (
        "04-aar-changed",
        "12-ams-bh-of-another-body",
        "34-as-of-another-chain",
        "39-gap",
        "45-first-marked-pass",
    ):
        assert dkim.arc_verify(FAULTS[name][0], dnsfunc=dns)[0] == b"fail", name


# --- pieces and octets ----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_how_the_message_is_cut_does_not_matter(sizes: list[int]) -> None:
    """A message fed in any pieces has the result of the whole."""
    verifier, start = Verifier(now=NOW), 0
    for size in sizes:
        verifier.feed(TWO[start : start + size])
        start += size
    verifier.feed(TWO[start:])
    assert run(verifier.finish(), zone()) == check(TWO)


def test_one_pass_over_the_body_serves_dkim_and_arc() -> None:
    message = sealed(signed())
    chain = Chain(now=NOW)
    verifier = DkimVerifier(now=NOW, also=chain.begin)
    verifier.feed(message)
    dns = zone("one.example", "example.org")
    dns = type(dns)(
        {("arc._domainkey.one.example", "TXT"): [rsa_record()], ("sel._domainkey.example.org", "TXT"): [rsa_record()]}
    )
    [signature] = run(verifier.finish(), dns)
    assert (signature.result, run(chain.finish(), dns).result) == ("pass", "pass")
    assert run(verify(io.BytesIO(message), now=NOW), dns) == check(message, dns)


PIECES = st.sampled_from(
    [field for fields in sets_of(THREE).values() for field in fields]
    + [b"ARC-Seal: i=", b"ARC-Message-Signature: ", b"ARC-Authentication-Results: i=", b"1", b"; ", b"cv=pass",
       b"h=from", b"\r\n", b"i=99;", b"b=", b"\xff", b"From: a@example.org\r\n", b"(", b"\r\n\r\n"]
)  # fmt: skip


@given(st.lists(PIECES | st.binary(max_size=8), max_size=15).map(b"".join))
def test_any_octets_have_a_result(octets: bytes) -> None:
    """No exception, and never a pass: no body of the message that was sealed is behind them."""
    for message in (octets, octets + b"\r\n\r\nother body"):
        found = check(message)
        assert found.result is not ChainStatus.PASS
        assert found.to_dict()["detail"]


def test_the_callers_mistakes() -> None:
    with pytest.raises(ValueError, match="seconds"):
        verify(b"", now=float("nan"))
    with pytest.raises(TypeError):
        verify("text", now=NOW)  # type: ignore[arg-type]
