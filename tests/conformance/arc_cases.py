"""The cases of ARC: each chain is made here, by the slow sealer of makers.py, and written to arc.json."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.arc.makers import chain_of, sealed, sets_of
from tests.conformance.made import Made, txt
from tests.dkim.makers import MESSAGE, NOW, ed_key, ed_record, rsa_record, signed

ONE, TWO, THREE = chain_of("one.example"), chain_of("one.example", "two.example"), chain_of(
    "one.example", "two.example", "three.example"
)  # fmt: skip


def without(message: bytes, name: bytes, instance: int) -> bytes:
    [field] = [field for field in sets_of(message)[instance] if field.startswith(name)]
    return message.replace(field, b"")


def changed(message: bytes, old: bytes, new: bytes) -> bytes:
    assert old in message
    return message.replace(old, new)


FAULTS: dict[str, tuple[bytes, str, int | None]] = {
    # 4.1.1 ARC-Authentication-Results
    "01-aar-without-instance": (changed(ONE, b"Results: i=1; ", b"Results: "), "malformed-field", None),
    "02-aar-instance-0": (changed(ONE, b"Results: i=1;", b"Results: i=0;"), "malformed-field", None),
    "03-aar-instance-51": (changed(ONE, b"Results: i=1;", b"Results: i=51;"), "malformed-field", None),
    "04-aar-changed": (changed(ONE, b"dmarc=pass", b"dmarc=fail"), "seal", 1),
    # 4.1.2 ARC-Message-Signature
    "05-ams-without-instance": (sealed(signature={"i": None}), "malformed-field", None),
    "06-ams-instance-of-three-digits": (sealed(signature={"i": "001"}), "malformed-field", None),
    "07-ams-without-h": (changed(ONE, b"h=from:to:subject:date; ", b""), "malformed-field", 1),
    "08-ams-without-from": (sealed(signature={"h": "to:subject"}), "signature", 1),
    "09-ams-lists-a-seal": (sealed(signature={"h": "from:arc-seal"}), "malformed-field", 1),
    "10-ams-lists-results": (sealed(signature={"h": "from:ARC-Authentication-Results"}), "malformed-field", 1),
    "11-ams-without-bh": (sealed(signature={"bh": None}), "malformed-field", 1),
    "12-ams-bh-of-another-body": (changed(ONE, b"bye", b"buy"), "signature", 1),
    "13-ams-header-changed": (changed(ONE, b"lines  of", b"lines to"), "signature", 1),
    "14-ams-unknown-algorithm": (sealed(signature={"a": "rsa-md5"}), "malformed-field", 1),
    "15-ams-rsa-sha1": (sealed(signature={"a": "rsa-sha1", "bh": "A" * 27 + "="}), "signature", 1),
    "16-ams-unknown-canonicalization": (changed(ONE, b"relaxed/relaxed", b"nofws/nofws"), "malformed-field", 1),
    "17-ams-duplicate-tag": (changed(ONE, b"c=relaxed/", b"a=rsa-sha256; c=relaxed/"), "malformed-field", None),
    "18-ams-no-base64": (re.sub(rb"(?<=; b=)[^\r]+", b"#", ONE, count=2), "malformed-field", 1),
    "19-ams-expired": (sealed(signature={"t": str(NOW - 9000), "x": str(NOW - 5000)}), "signature", 1),
    "20-ams-text-behind-l": (sealed(signature={"l": "5"}), "signature", 1),
    "21-ams-l-too-long": (sealed(signature={"l": "9999"}), "signature", 1),
    "22-ams-no-domain": (sealed(signature={"d": "a..b"}), "malformed-field", 1),
    "23-ams-key-missing": (sealed(signature={"d": "nokey.example"}), "signature", 1),
    # 4.1.3 ARC-Seal
    "24-as-without-instance": (sealed(seal={"i": None}), "malformed-field", None),
    "25-as-with-h": (sealed(seal={"h": "from"}), "malformed-field", 1),
    "26-as-without-cv": (sealed(seal={"cv": None}), "malformed-field", 1),
    "27-as-unknown-cv": (sealed(seal={"cv": "maybe"}), "malformed-field", 1),
    "28-as-without-d": (sealed(seal={"d": None}), "malformed-field", 1),
    "29-as-without-s": (sealed(seal={"s": None}), "malformed-field", 1),
    "30-as-without-a": (sealed(seal={"a": None}), "malformed-field", 1),
    "31-as-bad-time": (sealed(seal={"t": "now"}), "malformed-field", 1),
    "32-as-rsa-sha1": (sealed(seal={"a": "rsa-sha1"}), "seal", 1),
    "33-as-key-missing": (sealed(seal={"d": "nokey.example"}), "seal", 1),
    "34-as-of-another-chain": (sealed(ONE, "two.example", alone=True), "seal", 2),
    "35-as-older-one-changed": (changed(TWO, f"i=1; a=rsa-sha256; d=one.example; s=arc; t={NOW}".encode(),
                                        f"i=1; a=rsa-sha256; d=one.example; s=arc; t={NOW + 1}".encode()), "seal", 2),
    # 4.2 and 5.2 step 3: sets and their order
    "36-set-without-aar": (without(TWO, b"ARC-Auth", 1), "incomplete-set", 1),
    "37-set-without-ams": (without(TWO, b"ARC-Mess", 2), "incomplete-set", 2),
    "38-set-without-as": (without(ONE, b"ARC-Seal", 1), "incomplete-set", 1),
    "39-gap": (b"".join([*reversed(sets_of(THREE)[3]), *reversed(sets_of(THREE)[1]), MESSAGE]), "incomplete-set", 2),
    "40-aar-twice": (sets_of(ONE)[1][0] + ONE, "repeated-field", 1),
    "41-ams-twice": (sets_of(ONE)[1][1] + ONE, "repeated-field", 1),
    "42-as-twice": (sets_of(ONE)[1][2] + ONE, "repeated-field", 1),
    "43-begins-with-2": (b"".join([*reversed(sets_of(TWO)[2]), MESSAGE]), "incomplete-set", 1),
    # 5.2 steps 2 and 3C: cv
    "44-marked-fail": (sealed(ONE, "two.example", seal={"cv": "fail"}, alone=True), "marked-fail", 2),
    "45-first-marked-pass": (sealed(seal={"cv": "pass"}), "wrong-cv", 1),
    "46-second-marked-none": (sealed(ONE, "two.example", seal={"cv": "none"}), "wrong-cv", 2),
    "47-older-marked-fail": (sealed(sealed(ONE, "two.example", seal={"cv": "fail"}), "three.example"), "wrong-cv", 2),
    # what DKIM refuses as well
    "48-two-from": (b"From: eve@attacker.example\r\n" + ONE, "signature", 1),
    "49-no-empty-line": (changed(ONE, b"Date: Mon", b"no field\r\nDate: Mon"), "signature", 1),
}  # fmt: skip

SECTIONS = {"01": "4.1.1", "05": "4.1.2", "24": "4.1.3", "36": "5.2", "44": "5.2", "48": "5.2"}
CHOICES = {
    "19-ams-expired": "RFC 6376 section 3.5: an expired signature MAY be considered invalid.",
    "20-ams-text-behind-l": "RFC 6376 section 8.2 leaves to the verifier what it does with text behind l=.",
    "48-two-from": "RFC 5322 section 3.6 has one From; RFC 6376 section 8.15 leaves to the verifier what it does.",
    "49-no-empty-line": "RFC 6376 section 3.8 leaves to the verifier what it does with malformed messages.",
    "06-ams-instance-of-three-digits": "Section 4.2.1 has one or two digits; the number is the same.",
}
ALGORITHMS = "RFC 8617 section 4.1.2 takes the algorithms of RFC 6376; Ed25519 (RFC 8463) came later."
DNS_ERROR = {"result": "fail", "reason": "dns-error"}
PASSING = {
    "one set": ONE,
    "two sets": TWO,
    "three sets": THREE,
    "another case, order of tags and folds": ONE.replace(b"ARC-Seal: i=1; a=", b"arc-seal:\r\n\ti=1;\r\n a="),
    "simple canonicalization": sealed(signature={"c": "simple/simple"}),
    "v= in the message signature is ignored": sealed(signature={"v": "7"}),
    "results that nobody can read": sealed(results="what ever it is"),
    "an unknown tag": sealed(seal={"z": "1"}),
    "an older signature that no longer verifies": sealed(
        ONE.replace(b"Subject: two", b"Subject: [list] two"), "two.example"
    ),
}


def _zone(record: str | None = None) -> list[Any]:
    return [txt(f"arc._domainkey.{name}.example", record or rsa_record()) for name in ("one", "two", "three")]


def _case(group: str, section: str, about: str, message: bytes, expect: dict[str, Any], **more: Any) -> Made:
    choice = more.pop("choice", "")
    if choice:
        expect = {**expect, "result": {"any": ["fail", "pass"]}}
    request = {"octets": message.decode("latin-1"), "now": NOW, "zone": more.pop("zone", None) or _zone(), **more}
    return Made(f"arc/{group}", f"RFC 8617 section {section}", about, request, expect, choice)


def made() -> Iterator[Made]:
    """All of them."""
    for about, message in PASSING.items():
        yield _case("pass", "5.2", about, message, {"result": "pass", "reason": "verified"})
    ed = sealed(key=ed_key())
    yield _case("pass", "5.2", "Ed25519", ed, {"result": "pass"}, zone=_zone(ed_record()), choice=ALGORITHMS)
    for about, message in (
        ("no field of ARC", MESSAGE),
        ("a DKIM signature alone", signed()),
        ("fields of another name", changed(ONE, b"ARC-", b"X-ARC-")),
    ):
        yield _case("none", "5.2", about, message, {"result": "none", "reason": "no-sets"})
    section = ""
    for name, (message, reason, instance) in FAULTS.items():
        number, _, about = name.partition("-")
        section = SECTIONS.get(number, section)
        expect = {"result": "fail", "reason": reason, "instance": instance}
        yield _case("fault", section, about.replace("-", " "), message, expect, choice=CHOICES.get(name, ""))
    for sealer in ("one", "two"):
        failures = [{"name": f"arc._domainkey.{sealer}.example", "type": "TXT", "how": "timeout"}]
        yield _case("dns", "5.2", f"a DNS error at the key of {sealer}.example", TWO, DNS_ERROR, failures=failures)
    records = {
        "a key for SHA-1": rsa_record(extra="h=sha1; "),
        "a key not for mail": rsa_record(extra="s=tlsrpt; "),
        "a revoked key": "v=DKIM1; p=",
        "no key record": "x",
    }
    for about, record in records.items():
        yield _case("key", "5.2", about, ONE, {"result": "fail", "reason": "signature"}, zone=_zone(record))
