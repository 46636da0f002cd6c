"""The cases of DKIM: each signature is made here, by the slow signer of makers.py, and written to dkim.json.

``python -m tests.conformance.make`` writes the file; the tests compare it with what is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives import serialization

from mailauth.dkim import Reason
from mailauth.dkim.result import RESULT_OF
from tests.conformance.made import Made, txt
from tests.dkim.makers import MESSAGE, NOW, b64, ed_key, ed_record, rsa_key, rsa_record, signed, spki
from tests.dkim.small_keys import small_key

OWNER = "sel._domainkey.example.org"

# --- tables ---------------------------------------------------------------------------------------------------------

BAD_TAGS = [
    ("v= missing", {"v": None}, "missing-tag"),
    ("v=2", {"v": "2"}, "unsupported-version"),
    ("v=1.0", {"v": "1.0"}, "unsupported-version"),
    ("v= empty", {"v": ""}, "unsupported-version"),
    ("a= missing", {"a": None}, "missing-tag"),
    ("a= unknown", {"a": "rsa-sha512"}, "unsupported-algorithm"),
    ("a= half", {"a": "rsa"}, "unsupported-algorithm"),
    ("rsa-sha1", {"a": "rsa-sha1", "bh": b64(bytes(20))}, "algorithm-not-allowed"),
    ("b= missing", {"b": None}, "missing-tag"),
    ("bh= missing", {"bh": None}, "missing-tag"),
    ("bh= empty", {"bh": ""}, "malformed-tag"),
    ("bh= no base64", {"bh": "&" * 44}, "malformed-tag"),
    ("bh= too short", {"bh": b64(bytes(31))}, "malformed-tag"),
    ("bh= too long", {"bh": b64(bytes(33))}, "malformed-tag"),
    ("bh= of SHA-1's length", {"bh": b64(bytes(20))}, "malformed-tag"),
    ("bh= other", {"bh": b64(bytes(32))}, "body-hash-differs"),
    ("c= unknown header", {"c": "nowsp/simple"}, "unsupported-canonicalization"),
    ("c= unknown body", {"c": "simple/nowsp"}, "unsupported-canonicalization"),
    ("c= three parts", {"c": "simple/simple/simple"}, "unsupported-canonicalization"),
    ("c= empty", {"c": ""}, "unsupported-canonicalization"),
    ("d= missing", {"d": None}, "missing-tag"),
    ("d= empty", {"d": ""}, "malformed-tag"),
    ("d= one label", {"d": "org"}, "malformed-tag"),
    ("d= with a final dot", {"d": "example.org."}, "malformed-tag"),
    ("d= with a blank", {"d": "example. org"}, "malformed-tag"),
    ("d= an address", {"d": "192.0.2.1"}, "malformed-tag"),
    ("d= empty label", {"d": "example..org"}, "malformed-tag"),
    ("d= label over 63", {"d": "a" * 64 + ".org"}, "malformed-tag"),
    ("d= over 253", {"d": "a." * 130 + "org"}, "malformed-tag"),
    ("s= missing", {"s": None}, "missing-tag"),
    ("s= empty", {"s": ""}, "malformed-tag"),
    ("s= with a slash", {"s": "a/b"}, "malformed-tag"),
    ("s= too long with d=", {"s": ".".join(["a" * 60] * 4)}, "malformed-tag"),
    ("h= missing", {"h": None}, "missing-tag"),
    ("h= empty", {"h": ""}, "malformed-tag"),
    ("h= with an empty name", {"h": "from::to"}, "malformed-tag"),
    ("h= with a colon at its end", {"h": "from:to:"}, "malformed-tag"),
    ("h= with a blank in a name", {"h": "from:to subject"}, "malformed-tag"),
    ("h= not ASCII", {"h": "from:t\u00f6"}, "malformed-tag"),
    ("h= of 1001 names", {"h": ":".join(["from"] * 1001)}, "malformed-tag"),
    ("From not in h=", {"h": "to:subject:date"}, "from-not-signed"),
    ("i= outside d=", {"i": "ann@example.net"}, "identity-outside-domain"),
    ("i= ends like d=, but not by labels", {"i": "ann@badexample.org"}, "identity-outside-domain"),
    ("i= above d=", {"i": "ann@org", "d": "example.org"}, "malformed-tag"),
    ("i= without @", {"i": "example.org"}, "malformed-tag"),
    ("i= bad quoting", {"i": "a=zz@example.org"}, "malformed-tag"),
    ("i= lower-case hex", {"i": "a=3d@example.org"}, "malformed-tag"),
    ("i= two @, one of them encoded", {"i": "a=40example.com@example.org"}, "malformed-tag"),
    ("i= two @, one of them outside the quotes", {"i": '"a"@"b"@example.org'}, "malformed-tag"),
    ("i= a line end, quoted", {"i": "a=0D=0Ab@example.org"}, "malformed-tag"),
    ("i= not UTF-8", {"i": "a=FF@example.org"}, "malformed-tag"),
    ("i= over the bound", {"i": "a" * 1100 + "@example.org"}, "malformed-tag"),
    ("l= negative", {"l": "-1"}, "malformed-tag"),
    ("l= empty", {"l": ""}, "malformed-tag"),
    ("l= of 77 digits", {"l": "0" * 77}, "malformed-tag"),
    ("l= other digits", {"l": "\u0661"}, "malformed-tag"),
    ("t= no number", {"t": "now"}, "malformed-tag"),
    ("t= of 13 digits", {"t": "1" * 13}, "malformed-tag"),
    ("x= no number", {"x": "1e9"}, "malformed-tag"),
    ("x= not after t=", {"t": str(NOW), "x": str(NOW)}, "malformed-tag"),
    ("q= unknown", {"q": "https"}, "unsupported-query-method"),
    ("q= without /txt", {"q": "dns"}, "unsupported-query-method"),
    ("q= empty item", {"q": "dns/txt:"}, "malformed-tag"),
    ("a NUL", {"z": "a\0b"}, "malformed-tag-list"),
    ("a form feed", {"z": "a\x0cb"}, "malformed-tag-list"),
    ("a tag that begins with a digit", {"1a": "x"}, "malformed-tag-list"),
    ("a hyphen in a tag's name", {"a-b": "x"}, "malformed-tag-list"),
]  # fmt: skip

GOOD_TAGS: list[tuple[str, dict[str, str | None]]] = [
    ("c= absent", {"c": None}),
    ("c= half", {"c": "relaxed"}),
    ("c= upper case", {"c": "RELAXED/Relaxed"}),
    ("a= upper case", {"a": "RSA-SHA256"}),
    ("h= names that are absent", {"h": "from:x-none:from:from:x-none"}),
    ("h= with blanks", {"h": "from : to\t:\r\n subject"}),
    ("h= lists DKIM-Signature", {"h": "from:dkim-signature:dkim-signature"}),
    ("h= lists a name with an equals sign", {"h": "from:b=c:to"}),
    ("i= a subdomain", {"i": "@a.b.example.org"}),
    ("i= no local part", {"i": "@example.org"}),
    ("i= quoted local part with @", {"i": '"a@b.example"@example.org'}),
    ("i= quoted local part with @, encoded", {"i": "=22a=40b=5C=22=20c=22@example.org"}),
    ("i= quoted-printable", {"i": "ann=3Dx=C3=B6@example.org"}),
    ("i= UTF-8", {"i": "\u00e4nn@example.org"}),
    ("q= a list", {"q": "x/y : dns/txt"}),
    ("q= upper case", {"q": "DNS/TXT"}),
    ("l= the whole body", {"l": "19"}),
    ("z= with b= in it", {"z": "From:a@b|Subject:b=3D1|b=x"}),
    ("unknown tags", {"xb": "1", "_": None, "a_1": "2"}),
    ("tags that end in b", {"xb": "abc", "mb": "def"}),
    ("t= now", {"t": str(NOW)}),
    ("t= within the skew", {"t": str(NOW + 300)}),
    ("x= within the skew", {"x": str(NOW - 300)}),
    ("l= of 76 digits", {"l": "19".zfill(76)}),
]

TEMPLATE = {
    "v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "d": "example.org", "s": "sel", "h": "from:to:subject:date",
    "bh": "%(bh)s",
}  # fmt: skip
FIXED = b"v=1; a=rsa-sha256; c=simple/simple; d=example.org; s=sel; h=from:to:subject:date; bh=%(bh)s"
RELAXED = FIXED.replace(b"simple/simple", b"relaxed/relaxed")

ODD_FORMS = [
    ("b= in the middle", RELAXED + b"; b=%(b)s; t=1"),
    ("blanks around b=", RELAXED + b"; b =  %(b)s \r\n ; t=1"),
    ("folded between b and =", RELAXED + b";\r\n b\r\n =\r\n\t%(b)s"),
    ("tags ending in b around it", b"xb=1; " + RELAXED + b"; ab=2; b=%(b)s; bb=3"),
    ("semicolon at the end", RELAXED + b"; b=%(b)s;"),
    ("semicolon and blanks at the end", RELAXED + b"; b=%(b)s ; \t"),
    ("folds of blanks alone", RELAXED + b";\r\n \t\r\n b=%(b)s"),
    ("blanks in bh=", RELAXED.replace(b"%(bh)s", b" %(bh)s ").replace(b"; d", b" ;\td") + b"; b=%(b)s"),
    ("no blanks at all", RELAXED.replace(b" ", b"") + b";b=%(b)s"),
]

BAD_LISTS = [
    ("duplicate d=", RELAXED + b"; d=example.org; b=%(b)s", "duplicate-tag"),
    ("duplicate unknown tag", RELAXED + b"; u=1; u=1; b=%(b)s", "duplicate-tag"),
    ("D= is not d=", RELAXED.replace(b"d=", b"D=") + b"; b=%(b)s", "missing-tag"),
    ("an empty tag", RELAXED + b";; b=%(b)s", "malformed-tag-list"),
    ("no equals sign", RELAXED + b"; junk; b=%(b)s", "malformed-tag-list"),
    ("a blank in a name", RELAXED + b"; u v=1; b=%(b)s", "malformed-tag-list"),
    ("no list at all", b"hello", "malformed-tag-list"),
    ("empty", b"", "malformed-tag-list"),
    ("a bare CR", RELAXED + b"; u=\r1; b=%(b)s", "malformed-tag-list"),
    ("a bare LF", RELAXED + b"; u=\n 1; b=%(b)s", "malformed-tag-list"),
    ("70 tags", RELAXED + b"".join(b"; u%d=1" % i for i in range(70)) + b"; b=%(b)s", "malformed-tag-list"),
    ("b= empty", RELAXED + b"; b=", "malformed-tag"),
    ("b= only padding", RELAXED + b"; b===", "malformed-tag"),
    ("b= padding in the middle", RELAXED + b"; b=QUI=QUJD", "malformed-tag"),
    ("b= too long", RELAXED + b"; b=" + b"QUJD" * 1000, "malformed-tag"),
]

P = b64(spki(rsa_key()))
KEYS: list[tuple[str, str | bytes | list[str | bytes], str]] = [
    ("plain", f"p={P}", "verified"),
    ("all tags", f"v=DKIM1; h=sha1 : sha256; k=rsa; n=for =3B us; s=email:x; t=s; g=*; p={P};", "verified"),
    ("v= not first", f"k=rsa; v=DKIM1; p={P}", "key-malformed"),
    ("v= other", f"v=DKIM2; p={P}", "key-malformed"),
    ("v= in lower case", f"v=dkim1; p={P}", "key-malformed"),
    ("v=DKIM1.0", f"v=DKIM1.0; p={P}", "key-malformed"),
    ("p= missing", "v=DKIM1; k=rsa", "key-malformed"),
    ("revoked", "v=DKIM1; p=", "key-revoked"),
    ("revoked, with blanks", "v=DKIM1; p= \t;", "key-revoked"),
    ("p= no base64", "v=DKIM1; p=&&&&", "key-malformed"),
    ("p= no key", "v=DKIM1; p=QUJDRA==", "key-malformed"),
    ("p= cut short", f"v=DKIM1; p={P[:200]}", "key-malformed"),
    ("p= with blanks", f"v=DKIM1; p={P[:60]} \t {P[60:]}", "verified"),
    ("p= without padding", f"v=DKIM1; p={P.rstrip('=')}", "verified"),
    ("duplicate tags", f"v=DKIM1; k=rsa; k=rsa; p={P}", "key-malformed"),
    ("an empty tag is let pass", f"v=DKIM1;; k=rsa; p={P};;", "verified"),
    ("unknown tags", f"v=DKIM1; u=1; p={P}", "verified"),
    ("h= without sha256", f"v=DKIM1; h=sha1; p={P}", "key-hash-not-allowed"),
    ("h= unknown only", f"v=DKIM1; h=sha512:x; p={P}", "key-hash-not-allowed"),
    ("h= empty", f"v=DKIM1; h=; p={P}", "key-malformed"),
    ("s= empty", f"v=DKIM1; s=; p={P}", "key-malformed"),
    ("h= of 33 hashes", f"v=DKIM1; h={'x:' * 32}sha256; p={P}", "key-malformed"),
    ("s= of 33 services", f"v=DKIM1; s={'x:' * 32}email; p={P}", "key-malformed"),
    ("t= of 33 flags", f"v=DKIM1; t={'x:' * 32}s; p={P}", "key-malformed"),
    ("h= upper case", f"v=DKIM1; h=SHA256; p={P}", "verified"),
    ("k= other", f"v=DKIM1; k=ed25519; p={P}", "key-type-differs"),
    ("k= unknown", f"v=DKIM1; k=dsa; p={P}", "key-type-differs"),
    ("s= other", f"v=DKIM1; s=tlsrpt; p={P}", "key-not-for-email"),
    ("s= star in a list", f"v=DKIM1; s=tlsrpt:*; p={P}", "verified"),
    ("g= is ignored", f"v=DKIM1; g=bob; p={P}", "verified"),
    ("t= unknown flags", f"v=DKIM1; t=q:z; p={P}", "verified"),
    ("not DKIM at all", "v=spf1 -all", "no-key"),
    ("free text", "hello world", "no-key"),
    ("8-bit octets", b"\xff\xfe", "no-key"),
    ("too long", b"p=" + b"A" * 20_000, "key-malformed"),
    ("another TXT beside it", ["v=spf1 -all", f"v=DKIM1; p={P}", "x" * 300], "verified"),
    ("a wrong key beside it", [f"v=DKIM1; p={P}", "v=DKIM1; p=QUJD"], "verified"),
    ("a revoked key beside it", ["v=DKIM1; p=", f"v=DKIM1; p={P}"], "verified"),
    ("several others only", ["v=spf1 -all", "x"], "no-key"),
    ("an EC key", "p=MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE" + b64(bytes(64)), "key-malformed"),
]


def rsa_der(modulus: int, exponent: int) -> bytes:
    def integer(value: int) -> bytes:
        octets = value.to_bytes(value.bit_length() // 8 + 1, "big")
        return b"\x02" + length(octets) + octets

    def length(octets: bytes) -> bytes:
        size = len(octets)
        if size < 128:
            return bytes([size])
        encoded = size.to_bytes((size.bit_length() + 7) // 8, "big")
        return bytes([0x80 | len(encoded)]) + encoded

    body = integer(modulus) + integer(exponent)
    return b"\x30" + length(body) + body


ODD_KEYS: list[tuple[str, bytes, str, str]] = [
    # Keys that nobody has: RSA by the numbers (bits of modulus and exponent).
    ("a modulus of 4097 bits", rsa_der((1 << 4096) | 1, 65537), "key-too-large", "larger than any verifier must take"),
    ("a modulus of 16384 bits", rsa_der((1 << 16383) | 1, 65537), "key-too-large", ""),
    ("an exponent of 2000 bits", rsa_der((1 << 2047) | 1, (1 << 1999) | 1), "key-malformed", ""),
    ("an exponent of 65 bits", rsa_der((1 << 2047) | 1, (1 << 64) | 1), "key-malformed", ""),
    ("a key that fits no signature", rsa_der((1 << 2047) | 1, (1 << 63) | 1), "signature-differs", ""),
]

# RFC 6376 section 6.1: what a signature ends in.
STATUS = {"pass": "success", "temperror": "tempfail"}

# --- where the RFC leaves a choice ----------------------------------------------------------------------------------

CHOICES = {
    "h= of 1001 names": "No RFC limits the number of names; an implementation may.",
    "i= over the bound": "No RFC limits the length of i= beyond that of an address.",
    "70 tags": "No RFC limits the number of tags; an implementation may.",
    "too long": "No RFC limits the length of a key record; an implementation may.",
    "h= of 33 hashes": "No RFC limits the number of hashes; an implementation may.",
    "s= of 33 services": "No RFC limits the number of services; an implementation may.",
    "t= of 33 flags": "No RFC limits the number of flags; an implementation may.",
    "an empty tag is let pass": "The ABNF of section 3.2 has no empty tag; many published records have one.",
    "i= with a blank": "The ABNF of section 3.2 allows blanks around values only.",
    "a= upper case": "Literals of ABNF have any case (RFC 5234 section 2.3); many implementations compare octets.",
    "c= upper case": "Literals of ABNF have any case (RFC 5234 section 2.3); many implementations compare octets.",
    "q= upper case": "Literals of ABNF have any case (RFC 5234 section 2.3); many implementations compare octets.",
    "h= upper case": "Literals of ABNF have any case (RFC 5234 section 2.3); many implementations compare octets.",
    "t= within the skew": "Section 3.5: those from the future MAY be invalid; a verifier may allow for clocks.",
    "x= within the skew": "Section 3.5: expired signatures MAY be considered invalid; a verifier may allow for clocks.",
    "p= without padding": "The ABNF of base64 (section 2.10) lets padding be missing; RFC 4648 section 3.2 does not.",
    "d= with a final dot": "Section 3.5 has a domain-name of RFC 5321, without a final dot; the DNS has one.",
    "d= one label": "RFC 5321 has domains of one label, and section 3.5 says no more; none of them publishes keys.",
    "another TXT beside it": "More than one record is undefined (section 3.6.2.2).",
    "a wrong key beside it": "More than one record is undefined (section 3.6.2.2).",
    "a revoked key beside it": "More than one record is undefined (section 3.6.2.2).",
    "x= not after t=": "Section 3.5 has x= greater than t=; what a verifier does with others is not said.",
    "t= of 13 digits": "Section 3.5 lets t= have up to 12 digits with sense; implementations may ignore larger ones.",
    "i= two @, one of them encoded": "Section 3.5 compares the domain of i=; which of two is it?",
    "i= not UTF-8": "Quoted octets need be no UTF-8 in RFC 6376; RFC 8616 has UTF-8.",
    "i= a line end, quoted": "The ABNF of a local part has no line end, but its quoted form hides it.",
    "a NUL": "Section 3.2: a tag-value has no controls; few implementations look.",
    "a form feed": "Section 3.2: a tag-value has no controls; few implementations look.",
    "a bare CR": "RFC 5322 section 2.3 has none; section 3.8 leaves malformed messages to the verifier.",
    "a bare LF": "RFC 5322 section 2.3 has none; servers repair it, and section 3.8 leaves it to the verifier.",
    "folds of blanks alone": "Section 2.8 has FWS without its obsolete form, which readers of RFC 5322 accept.",
    "t=y": "Section 3.6.1: as mail without a signature; the signature itself is good.",
    "h= not ASCII": "Section 3.5 has field names, which are ASCII (RFC 5322 section 2.2); none is of that name.",
}


def _sections(name: str) -> str:
    of_others = {"rsa-sha1": "RFC 8301 section 3.1", "i= UTF-8": "RFC 8616 section 5"}
    return of_others.get(name, "RFC 6376 section 3.5")


# --- the cases ------------------------------------------------------------------------------------------------------


def made() -> Iterator[Made]:
    """All of them."""
    yield from _fields()
    yield from _messages()
    yield from _keys()
    yield from _time_and_length()


def one(
    group: str, name: str, section: str, message: bytes, reason: str = "verified", record: Any = None, **more: Any
) -> Made:
    """A message with one signature."""
    return several(group, name, section, message, [reason], record, **more)


def several(
    group: str, name: str, section: str, message: bytes, reasons: list[str], record: Any = None, **more: Any
) -> Made:
    """A message with signatures, top first."""
    records = record if isinstance(record, list) else [rsa_record() if record is None else record]
    zone = more.pop("zone", [txt(OWNER, each) for each in records])
    choice = more.pop("choice", CHOICES.get(name, ""))
    results = [str(RESULT_OF[Reason(reason)]) for reason in reasons]
    status = [STATUS.get(result, "permfail") for result in results]
    if choice:
        other = ["permfail" if each == "success" else "success" for each in status]
        expect: dict[str, Any] = {"signatures": {"any": [status, other]}}
    else:
        expect = {"signatures": status}
    return Made(
        f"dkim/{group}",
        section,
        name,
        {"octets": message.decode("latin-1"), "now": more.pop("now", NOW), "zone": zone, **more},
        {**expect, "results": results, "reasons": reasons},
        choice,
    )


def _fields() -> Iterator[Made]:
    for name, tags, reason in BAD_TAGS:
        yield one("bad-tag", name, _sections(name), signed(tags=tags), reason)
    for name, good in GOOD_TAGS:
        yield one("good-tag", name, _sections(name), _with_good_tags(good))
    for name, field in ODD_FORMS:
        for how in ("simple", "relaxed"):
            odd = field.replace(b"relaxed/relaxed", f"{how}/{how}".encode())
            message = signed(template=b"DKIM-Signature: " + odd, tags={"c": f"{how}/{how}"})
            choice = CHOICES.get(name, "")
            yield one("odd-form", f"{name}, {how}", "RFC 6376 section 3.7", message, choice=choice)
    for name, field, reason in BAD_LISTS:
        message = b"X-Top: 1\r\n" + signed(template=b"DKIM-Signature: " + field)
        yield one("bad-list", name, "RFC 6376 section 3.2", message, reason)


def _with_good_tags(tags: dict[str, str | None]) -> bytes:
    lower = {name: value and (value.lower() if name in "ac" else value) for name, value in tags.items()}
    for name in set("ac") & set(tags):
        if tags[name] != lower[name]:
            # The field is signed as it is written, so it is signed again in that way.
            field = "; ".join(f"{k}={v}" for k, v in TEMPLATE.items() if k != name) + f"; {name}={tags[name]}"
            return signed(template=b"DKIM-Signature: " + field.encode() + b"; b=%(b)s")
    return signed(tags=tags | {"c": lower.get("c", "relaxed/relaxed")})


def _messages() -> Iterator[Made]:
    section = "RFC 6376 section 3.4"
    for how in ("simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"):
        yield one("canonical", f"rsa-sha256, {how}", section, signed(tags={"c": how}))
        ed = signed(tags={"c": how}, key=ed_key())
        yield one("canonical", f"ed25519-sha256, {how}", "RFC 8463 section 3", ed, record=ed_record())
    changes = [
        ("a blank less in the body", b"Hello  Bob, ", b"Hello Bob,", "body-hash-differs"),
        ("another fold", b"lines  of it \r\n", b"lines\r\n of it\r\n", "signature-differs"),
        ("another case and blanks before a colon", b"To: Bob", b"TO :  Bob", "signature-differs"),
        ("a blank gone from the body", b"Hello  Bob", b"HelloBob", ""),
        ("a blank gone from a field", b"To: Bob <", b"To: Bob<", ""),
        ("empty lines at the end", b"\r\n\r\n\r\n", b"\r\n\r\n\r\n\r\n\r\n", "verified"),
        ("a word changed", b"bye", b"buy", ""),
    ]
    for name, old, new, simple in changes:
        for how in ("simple", "relaxed"):
            message = signed(tags={"c": f"{how}/{how}"})
            assert old in message
            changed = message.replace(old, new) if old != b"\r\n\r\n\r\n" else message + b"\r\n\r\n"
            other = "signature-differs" if b"To" in old else "body-hash-differs"
            reason = (simple if how == "simple" else "verified") if simple else other
            yield one("changed", f"{name}, {how}", section, changed, reason)
    yield from _chosen_fields()
    yield several("none", "no signature", "RFC 6376 section 6.1", MESSAGE, [])
    first = signed(tags={"s": "none"})
    second = signed(first, {"h": "from:to"})
    three = signed(second, {"v": "3"})
    yield several(
        "several", "each has its own result", "RFC 6376 section 6.1", three,
        ["unsupported-version", "verified", "no-key"],
    )  # fmt: skip
    both = signed(signed(), key=ed_key(), tags={"s": "ed"})
    yield several(
        "several", "RSA and Ed25519", "RFC 8463 section 3", both, ["verified", "verified"],
        zone=[txt(OWNER, rsa_record()), txt("ed._domainkey.example.org", ed_record())],
    )  # fmt: skip
    for octet in (b"\x0b", b"\x0c"):
        odd = signed(MESSAGE.replace(b"lines", octet + b" x").replace(b"bye", b"b" + octet + b"ye" + octet))
        name = f"octet {octet[0]:02x} is no white space"
        yield one("white-space", name, "RFC 6376 section 2.8", odd)
        yield one(
            "white-space", f"{name}: removed", "RFC 6376 section 2.8", odd.replace(octet, b""), "body-hash-differs"
        )
    for name, body in (("no body", b""), ("a body of empty lines", b"\r\n\r\n"), ("one line", b"x\r\n")):
        for how in ("simple", "relaxed"):
            head = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            message = signed(head + body, {"c": f"{how}/{how}"})
            yield one("body", f"{name}, {how}", f"RFC 6376 section 3.4.{3 if how == 'simple' else 4}", message)


def _chosen_fields() -> Iterator[Made]:
    """Section 5.4.2: which fields the names of h= stand for."""
    section = "RFC 6376 section 5.4.2"
    three = MESSAGE.replace(b"To:", b"X: <A>\r\nX: <B>\r\nX: <C>\r\nTo:")
    message = signed(three, {"h": "from:x:x"})
    swapped = message.replace(b"<B>", b"<->").replace(b"<C>", b"<B>").replace(b"<->", b"<C>")
    over = signed(tags={"h": "from:to:subject:date:subject:x-none"})
    for name, changed, reason in (
        ("the two lowest of three", message, "verified"),
        ("the third from below changed", message.replace(b"<A>", b"<a>"), "verified"),
        ("the second from below changed", message.replace(b"<B>", b"<b>"), "signature-differs"),
        ("one added above", message.replace(b"X: <A>", b"X: <0>\r\nX: <A>"), "verified"),
        ("one added below", message.replace(b"To:", b"X: <D>\r\nTo:"), "signature-differs"),
        ("two swapped", swapped, "signature-differs"),
        ("oversigned", over, "verified"),
        ("oversigned, one added below", over.replace(b"Date:", b"Subject: other\r\nDate:"), "signature-differs"),
        ("oversigned, one added on top", b"Subject: other\r\n" + over, "signature-differs"),
        ("an absent one signed, an empty one added", b"X-None:\r\n" + over, "signature-differs"),
    ):
        yield one("fields", name, section, changed, reason)
    without = MESSAGE.replace(b"From: Ann <ann@example.org>\r\n", b"")
    yield one("from", "no From", "RFC 6376 section 5.4", signed(without), "from-not-signed",
              choice="h= names From, as it must; that there has to be one RFC 5322 says.")  # fmt: skip
    second = b"From: eve@example.net\r\n"
    several_from = "RFC 5322 section 3.6 has one From; section 8.15 warns, and leaves to the verifier what it does."
    for name, changed in (("added", second + signed()), ("signed", signed(second + MESSAGE))):
        yield one(
            "from", f"a second From, {name}", "RFC 6376 section 8.15", changed, "several-from", choice=several_from
        )


def _keys() -> Iterator[Made]:
    section = "RFC 6376 section 3.6.1"
    for name, record, reason in KEYS:
        yield one("key", name, section, signed(), reason, record)
    for name, der, reason, choice in ODD_KEYS:
        yield one("odd-key", name, "RFC 8301 section 3.2", signed(), reason, f"p={b64(der)}", choice=choice)
    pkcs1 = rsa_key().public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    yield one("key-form", "a bare RSAPublicKey", section, signed(), record=f"v=DKIM1; p={b64(pkcs1)}",
              choice="Section 3.6.1 has an RSAPublicKey, its examples a SubjectPublicKeyInfo.")  # fmt: skip
    ed, ed_section = signed(key=ed_key()), "RFC 8463 section 4"
    yield one("ed25519", "the raw key", ed_section, ed, record=ed_record())
    wrapped = f"v=DKIM1; k=ed25519; p={b64(spki(ed_key()))}"
    yield one("ed25519", "a SubjectPublicKeyInfo", ed_section, ed, "key-malformed", wrapped)
    other = f"v=DKIM1; k=ed25519; p={b64(bytes(32))}"
    yield one("ed25519", "another key", ed_section, ed, "signature-differs", other)
    yield one("ed25519", "an RSA key", ed_section, ed, "key-type-differs", rsa_record())
    yield one("ed25519", "an Ed25519 key for RSA", ed_section, signed(), "key-type-differs", ed_record())
    flag = rsa_record(extra="t=s; ")
    below = signed(tags={"i": "a@x.example.org"})
    yield one("flag", "t=s and i= in a subdomain", section, below, "key-forbids-subdomains", flag)
    yield one("flag", "t=s and i= in the domain", section, signed(tags={"i": "a@example.org"}), record=flag)
    yield one("flag", "t=s without i=", section, signed(), record=flag)
    yield one("flag", "t=y", section, signed(), record=rsa_record(extra="t=y; "))
    for bits, reason in ((512, "key-too-small"), (1023, "key-too-small"), (1024, "verified")):
        key = small_key(bits)
        yield one("bits", f"{bits} bits", "RFC 8301 section 3.2", signed(key=key), reason, rsa_record(key))
    for failure in ("timeout", "servfail", "refused"):
        failures = [{"name": OWNER, "type": "TXT", "how": failure}]
        yield one("dns", failure, "RFC 6376 section 6.1.2", signed(), "key-unavailable", zone=[], failures=failures)
    yield one("dns", "no such name", "RFC 6376 section 6.1.2", signed(), "no-key", zone=[])
    alone = [{"name": f"x.{OWNER}", "type": "A", "data": "192.0.2.1"}]
    yield one("dns", "a name without records", "RFC 6376 section 6.1.2", signed(), "no-key", zone=alone)
    alias = [{"name": OWNER, "type": "CNAME", "data": "k.example.net."}, txt("k.example.net", rsa_record())]
    yield one("dns", "an alias", "RFC 1034 section 3.6.2", signed(), zone=alias)
    u_labels = signed(tags={"d": "b\u00fccher.example", "s": "\u00e4", "i": "\u00f6@mail.b\u00fccher.example"})
    zone = [txt("xn--4ca._domainkey.xn--bcher-kva.example", rsa_record())]
    yield one("u-labels", "U-labels in d=, s= and i=", "RFC 8616 section 5", u_labels, zone=zone)


def _time_and_length() -> Iterator[Made]:
    expiry = "Section 3.5: signatures MAY be considered invalid when x= is past; a verifier may allow for clocks."
    for name, tags, now, reason in (
        ("x= just past", {"x": "1000"}, 1300, "verified"),
        ("x= past", {"x": "1000"}, 100_000, "expired"),
        ("t= a little ahead", {"t": "1000"}, 700, "verified"),
        ("t= in the future", {"t": "100000"}, 700, "from-the-future"),
    ):
        yield one("time", name, "RFC 6376 section 3.5", signed(tags=tags), reason, now=now, choice=expiry)
    yield one("time", "t= and x=", "RFC 6376 section 3.5", signed(tags={"t": "1000", "x": "999999999999"}), now=1000)
    section = "RFC 6376 section 3.4.5"
    behind = "Section 8.2: what stands behind the signed length is not signed; verifiers may refuse it, or remove it."
    for name, length, reason, choice in (
        ("of a part", "5", "unsigned-content", behind),
        ("zero", "0", "unsigned-content", behind),
        ("the whole body", "19", "verified", ""),
        ("longer than the body", "20", "body-too-short", ""),
        ("of 76 digits", "9" * 76, "body-too-short", ""),
    ):
        yield one("length", name, section, signed(tags={"l": length}), reason, choice=choice)
    part = signed(tags={"l": "5"})
    yield one("length", "the signed part changed", section, part.replace(b"Hello", b"HellO"), "body-hash-differs")
    more = signed(tags={"l": "19"}) + b"buy now\r\n"
    yield one("length", "text behind it", section, more, "unsigned-content", choice=behind)
