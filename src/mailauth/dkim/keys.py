"""Keys: generation, key records as zone lines, and the test of a published key.

Making keys and their records, and judging a published record from its owner's side. No files, no clock; the record is
asked for by a plan.
"""

# SECURITY: the record that `check_key` judges comes from the DNS: it is parsed by record.py, and what is shown of it
# is escaped.

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mailauth.dkim.advice import about_text
from mailauth.dkim.record import BadRecord, KeyRecord, parse_record
from mailauth.dkim.signature import is_selector
from mailauth.mail.names import is_fqdn, to_ascii
from mailauth.plan import Answer, Plan, Question, ask, ask_all, unaskable

if TYPE_CHECKING:
    from mailauth.dkim.crypto import AnyKey, PrivateKey, PublicKey

KeyType: TypeAlias = Literal["rsa", "ed25519"]

RSA_SIZES = (2048, 3072, 4096)
"""RFC 8301 section 3.2: at least 2048 bits SHOULD be used, and verifiers take up to 4096."""

MAX_STRING_OCTETS = 255  # RFC 1035 section 3.3, character-string
RECOMMENDED_RSA_BITS = 2048  # RFC 8301 section 3.2


def generate_key(key_type: KeyType = "rsa", bits: int = 2048) -> PrivateKey:
    """A new private key; `bits` counts for RSA only (RFC 8301 section 3.2). Raises `ValueError` for others."""
    from mailauth.dkim import crypto

    if key_type not in ("rsa", "ed25519"):
        raise ValueError(f"a key type is rsa or ed25519, not {key_type!r}")
    if key_type == "rsa" and bits not in RSA_SIZES:
        raise ValueError(f"an RSA key has {', '.join(map(str, RSA_SIZES))} bits, not {bits}")
    return crypto.generate(key_type, bits)


def record_text(key: AnyKey, *, flags: str = "", notes: str = "") -> str:
    """The key record as one string (RFC 6376 section 3.6.1): what the TXT record is to hold.

    Of a private key it takes the public half; of a key that an HSM holds, the public half is given as a `cryptography`
    key. `flags` is t= ("y", "s" or "y:s"), `notes` is n=; both are left out if empty. Raises `ValueError` for what
    would end a tag, and `TypeError` for keys of other kinds.
    """
    from mailauth.dkim import crypto

    key = crypto.public_half(key)
    for value in (flags, notes):
        if re.search(r"[;\x00-\x1f\x7f]", value) or not value.isascii():
            raise ValueError(f"{value!r} has no place in a key record")
    tags = ["v=DKIM1", f"k={key.key_type}"]
    tags += [f"t={flags}"] * bool(flags) + [f"n={notes}"] * bool(notes)
    return "; ".join([*tags, f"p={b64encode(key.octets()).decode('ascii')}"])


def record_name(domain: str, selector: str) -> str:
    """Where the record belongs, without a final dot. Raises `ValueError` for an invalid domain or selector."""
    ascii_domain, ascii_selector = to_ascii(domain), to_ascii(selector)
    if ascii_domain is None or not is_fqdn(ascii_domain):
        raise ValueError(f"{domain!r} is no domain name")
    if ascii_selector is None or not is_selector(ascii_selector):
        raise ValueError(f"{selector!r} is no selector")
    name = f"{ascii_selector}._domainkey.{ascii_domain}"
    reason = unaskable(name)
    if reason is not None:
        raise ValueError(f"selector and domain together: {reason}")
    return name


def zone_line(name: str, record: str | AnyKey, ttl: int | None = None) -> str:
    """The record as a line of a master file, its text in strings of at most 255 octets (RFC 1035 section 5.1).

    `record` is its text, or a key, of which `record_text` is taken.
    """
    text = record if isinstance(record, str) else record_text(record)
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    if len(text) <= MAX_STRING_OCTETS:
        strings = f'"{quoted}"'
    else:
        parts = [text[at : at + MAX_STRING_OCTETS] for at in range(0, len(text), MAX_STRING_OCTETS)]
        lines = "".join('\n    "' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
        strings = f"({lines} )"
    return f"{name}. {'' if ttl is None else f'{ttl} '}IN TXT {strings}"


def selector_from(template: str, day: date, key_type: KeyType) -> str:
    """A selector from a template: ``%Y``, ``%m``, ``%d`` of the day, and ``{type}``. Raises `ValueError`."""
    if re.search(r"%(?![Ymd])", template):
        raise ValueError(f"{template!r}: a template knows %Y, %m, %d and {{type}}")
    selector = template.replace("%Y", f"{day:%Y}").replace("%m", f"{day:%m}").replace("%d", f"{day:%d}")
    selector = selector.replace("{type}", key_type).lower()
    if not is_selector(selector):
        raise ValueError(f"{selector!r} is no selector")
    return selector


# --- the test of a published key ------------------------------------------------------------------------------


class KeyVerdict(StrEnum):
    """What a published key is good for."""

    GOOD = "good"  # nothing was found
    DOUBTFUL = "doubtful"  # it works, but not as well as it should
    BAD = "bad"  # signatures will not verify
    TEMPERROR = "temperror"  # the DNS did not say


class KeyFinding(StrEnum):
    """What the test of a key found: stable codes."""

    UNAVAILABLE = "unavailable"  # no answer of the DNS: timeout, SERVFAIL or REFUSED
    NO_KEY = "no-key"  # no TXT record at the name, or none that is a key
    SEVERAL_RECORDS = "several-records"  # more than one TXT record: verifiers may take any (RFC 6376 section 3.6.2.2)
    MALFORMED = "malformed"  # the record cannot be read, or its p= holds no key of its type
    REVOKED = "revoked"  # p= is empty (RFC 6376 section 3.6.1)
    UNKNOWN_TYPE = "unknown-type"  # k= is neither rsa nor ed25519
    TOO_SMALL = "too-small"  # RSA, under 1024 bits: must not count (RFC 8301 section 3.2)
    SMALL = "small"  # RSA, under the 2048 bits that RFC 8301 section 3.2 recommends
    TOO_LARGE = "too-large"  # RSA, over the 4096 bits that verifiers have to take (RFC 8301 section 3.2)
    SHA256_NOT_ALLOWED = "sha256-not-allowed"  # h= does not list sha256, the only hash left (RFC 8301 section 3.1)
    NOT_FOR_EMAIL = "not-for-email"  # s= lists neither "email" nor "*" (RFC 6376 section 3.6.1)
    OTHER_KEY = "other-key"  # not the public half of the private key that was given
    TEST_MODE = "test-mode"  # t=y: verifiers may treat the mail as unsigned (RFC 6376 section 3.6.1)
    NO_VERSION = "no-version"  # no v=DKIM1, which RFC 6376 section 3.6.1 recommends
    MISPLACED = "misplaced"  # a key stands where web forms put it by mistake, such as below the domain twice
    CAPITALS = "capitals"  # V= or k=RSA, which not all verifiers take (RFC 6376 section 3.2)
    EMPTY_TAG = "empty-tag"  # ";;", which RFC 6376 section 3.2 does not allow, and some verifiers refuse


_BAD = frozenset(
    {
        KeyFinding.NO_KEY,
        KeyFinding.MALFORMED,
        KeyFinding.REVOKED,
        KeyFinding.UNKNOWN_TYPE,
        KeyFinding.TOO_SMALL,
        KeyFinding.SHA256_NOT_ALLOWED,
        KeyFinding.NOT_FOR_EMAIL,
        KeyFinding.OTHER_KEY,
    }
)


@dataclass(frozen=True)
class KeyCheck:
    """What the test of a published key found."""

    verdict: KeyVerdict  # the gravest of the findings
    findings: tuple[tuple[KeyFinding, str], ...]  # code and words, in the order of the steps
    name: str  # where the record was asked for
    record: str | None = None  # the record, as text
    key_type: str | None = None  # k=, such as "rsa"; None if the record cannot be read
    key_bits: int | None = None  # RSA: the size of the modulus; Ed25519: 256; None without a key that can be used
    matches: bool | None = None  # whether it fits the private key; None if none was given, or there is no key

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "verdict": self.verdict.value,
            "findings": [{"code": code.value, "detail": words} for code, words in self.findings],
            "name": self.name,
            "record": self.record,
            "key_type": self.key_type,
            "key_bits": self.key_bits,
            "matches": self.matches,
        }


def check_key(domain: str, selector: str, private_key: PrivateKey | None = None) -> Plan[KeyCheck]:
    """A plan that asks for a key record and says whether it is there, sound, strong, and fits the private key.

    Raises `ValueError` for an invalid domain or selector.
    """
    return _check_key(record_name(domain, selector), private_key)


def _check_key(name: str, private_key: PrivateKey | None) -> Plan[KeyCheck]:
    answer = yield from ask(Question(name, "TXT"))
    check = _Check(private_key)
    record = check.record(answer)
    if record is None and check.text is None and not answer.failed:
        yield from check.look_elsewhere(name)
    key = None if record is None else check.key(record)
    matches = None
    if key is not None and private_key is not None:
        matches = check.fits(key)
        if not matches:
            check.found(KeyFinding.OTHER_KEY, "the record holds another key than the private one")
    return KeyCheck(
        check.verdict(),
        tuple(check.findings),
        name,
        check.text,
        None if record is None else record.key_type,
        None if key is None else key.bits,
        matches,
    )


class _Check:
    """Collects what is found on the way."""

    def __init__(self, private_key: PrivateKey | None) -> None:
        self.findings: list[tuple[KeyFinding, str]] = []
        self.text: str | None = None
        self.private_key = private_key

    def fits(self, key: PublicKey) -> bool:
        """Whether it is the public half of the private key."""
        return self.private_key is not None and key.octets() == self.private_key.public().octets()

    def found(self, code: KeyFinding, words: str) -> None:
        self.findings.append((code, words))

    def verdict(self) -> KeyVerdict:
        codes = {code for code, _ in self.findings}
        if KeyFinding.UNAVAILABLE in codes:
            return KeyVerdict.TEMPERROR
        if codes & _BAD:
            return KeyVerdict.BAD
        return KeyVerdict.DOUBTFUL if codes else KeyVerdict.GOOD

    def record(self, answer: Answer) -> KeyRecord | None:
        """The one record that verifiers will see."""
        if answer.failed:
            self.found(KeyFinding.UNAVAILABLE, f"the DNS did not answer: {answer.outcome}")
            return None
        parsed = [(text, parse_record(text)) for text in sorted(answer.texts)]
        own = [(text, record) for text, record in parsed if not (isinstance(record, BadRecord) and record.foreign)]
        fitting = [text for text, record in own if self._fits_record(record)]
        if len(parsed) > 1:
            # RFC 6376 section 3.6.2.2: the results are undefined.
            words = f"{len(parsed)} TXT records; verifiers may take any"
            if self.private_key is not None:
                words += ": one fits the private key, delete the other" if fitting else ": none fits the private key"
            self.found(KeyFinding.SEVERAL_RECORDS, words)
        if not own:
            words = f"there is no record: {answer.outcome}{', ' if answer.detail else ''}{answer.detail}"
            if parsed:
                advice = next((found for text, _ in parsed if (found := about_text(text))), "")
                words = f"no TXT record is a DKIM key{': ' if advice else ''}{advice}"
            self.found(KeyFinding.NO_KEY, words)
            return None
        text, record = min(own, key=lambda pair: (pair[0] not in fitting, isinstance(pair[1], BadRecord)))
        self.text = text.decode("ascii", "backslashreplace")
        if isinstance(record, BadRecord):
            self.found(KeyFinding.MALFORMED, record.detail)
            return None
        self._habits(text)
        return record

    def _fits_record(self, record: KeyRecord | BadRecord) -> bool:
        from mailauth.dkim import crypto

        if self.private_key is None or isinstance(record, BadRecord):
            return False
        try:
            return self.fits(crypto.public_key(record.key_type, record.key))
        except crypto.BadKey:
            return False

    def _habits(self, text: bytes) -> None:
        """What this reader takes, and others may not."""
        if re.search(rb"(?:\A|;)[ \t]*V[ \t]*=", text):
            self.found(KeyFinding.CAPITALS, "V= is not v=: tags are written in lower case (RFC 6376 section 3.2)")
        elif not re.match(rb"[ \t;]*v[ \t]*=", text):
            self.found(KeyFinding.NO_VERSION, "v=DKIM1 is missing; it is recommended (RFC 6376 section 3.6.1)")
        kind = re.search(rb"(?:\A|;)[ \t]*k[ \t]*=[ \t]*([A-Za-z0-9]+)", text)
        if kind is not None and kind[1] != kind[1].lower():
            small = kind[1].lower().decode("ascii")
            words = f"k={kind[1].decode('ascii')}: ABNF takes capitals (RFC 5234 section 2.3), some verifiers do not"
            self.found(KeyFinding.CAPITALS, f"{words}; write k={small}")
        if re.search(rb";[ \t]*;|\A[ \t]*;", text):
            words = (
                'nothing stands between two ";", which RFC 6376 section 3.2 does not allow; some verifiers refuse it'
            )
            self.found(KeyFinding.EMPTY_TAG, words)

    def look_elsewhere(self, name: str) -> Plan[None]:
        """Where forms put a record that was meant for this name: the domain twice, no _domainkey, the domain itself."""
        selector, _, domain = name.partition("._domainkey.")
        places = [f"{name}.{domain}", f"{selector}.{domain}", domain]
        questions = [Question(place, "TXT") for place in places if unaskable(place) is None]
        answers = yield from ask_all(questions)
        for question, answer in zip(questions, answers, strict=True):
            for text in answer.texts if answer.found else ():
                record = parse_record(text)
                if not isinstance(record, BadRecord) and record.key and b"p=" in text:
                    words = f"a key stands at {question.name}: it belongs at {name}"
                    if question.name == places[0]:
                        words += "; the form appends the domain itself"
                    self.found(KeyFinding.MISPLACED, words)
                    break

    def key(self, record: KeyRecord) -> PublicKey | None:
        """The key in the record, judged."""
        from mailauth.dkim import crypto

        self._terms(record)
        if record.revoked:
            self.found(KeyFinding.REVOKED, "p= is empty: the key is revoked")
            return None
        if record.key_type not in ("rsa", "ed25519"):
            self.found(KeyFinding.UNKNOWN_TYPE, f"k={record.key_type[:40]!a} is not known")
            return None
        try:
            key = crypto.public_key(record.key_type, record.key)
        except crypto.BadKey as error:
            self.found(KeyFinding.MALFORMED, str(error))
            return None
        if record.key_type == "rsa":
            self._size(key.bits)
        return key

    def _terms(self, record: KeyRecord) -> None:
        if record.hash_names is not None and "sha256" not in record.hash_names:
            self.found(KeyFinding.SHA256_NOT_ALLOWED, "h= does not allow sha256")
        if "*" not in record.services and "email" not in record.services:
            self.found(KeyFinding.NOT_FOR_EMAIL, "s= does not allow email")
        if "y" in record.flags:
            self.found(KeyFinding.TEST_MODE, "t=y: verifiers may treat the mail as unsigned")

    def _size(self, bits: int) -> None:
        if bits < 1024:
            self.found(KeyFinding.TOO_SMALL, f"{bits} bits; verifiers demand 1024 (RFC 8301 section 3.2)")
        elif bits < RECOMMENDED_RSA_BITS:
            self.found(KeyFinding.SMALL, f"{bits} bits; {RECOMMENDED_RSA_BITS} are recommended (RFC 8301 section 3.2)")
        elif bits > max(RSA_SIZES):
            self.found(KeyFinding.TOO_LARGE, f"{bits} bits; many verifiers take {max(RSA_SIZES)} at most")
