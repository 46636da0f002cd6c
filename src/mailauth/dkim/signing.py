"""Signing messages (RFC 6376 section 5).

Making DKIM-Signature fields. No clock (`now` is an argument), no DNS, no keys: whoever signs is asked through the
`Signer` interface, with a digest and nothing else.
"""

# SECURITY: the message may come from a user of the signing system. All that it can put into the field are names that
# are on the list of names to sign; every parameter is checked for what could end a tag or start a line.

from __future__ import annotations

import hashlib
import re
from binascii import b2a_base64
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from mailauth import MailAuthError
from mailauth.dkim.body import BodyHash
from mailauth.dkim.header import Places, canonicalizer, places, select
from mailauth.dkim.reader import MessageReader
from mailauth.dkim.signature import MAX_SIGNATURE_OCTETS, MAX_SIGNED_NAMES, is_local_part, is_selector
from mailauth.mail.header import Header
from mailauth.mail.lines import BareLineEnds, LineEnd, MessageSource, blocks
from mailauth.mail.names import is_fqdn, is_within, to_ascii
from mailauth.plan import MAX_NAME_OCTETS

if TYPE_CHECKING:
    from mailauth.dkim.crypto import KeyMaterial

SIGNED_FIELDS = (
    "from", "sender", "reply-to", "subject", "date", "message-id", "to", "cc",
    "mime-version", "content-type", "content-transfer-encoding", "content-id", "content-description",
    "content-disposition", "resent-date", "resent-from", "resent-sender", "resent-to", "resent-cc",
    "resent-message-id", "in-reply-to", "references", "list-id", "list-help", "list-unsubscribe",
    "list-unsubscribe-post", "list-subscribe", "list-post", "list-owner", "list-archive",
)  # fmt: skip
"""Signed where present, every one of them (RFC 6376 section 5.4.1; RFC 8058 section 4 for List-Unsubscribe-Post)."""

OVERSIGNED_FIELDS = ("from", "reply-to", "subject", "to", "cc")
"""Named once more than they are present, so that nobody can add another one (RFC 6376 sections 5.4 and 8.15)."""

OVERSIGNED_IF_PRESENT = (
    "sender", "date", "message-id", "mime-version", "content-type", "content-transfer-encoding", "in-reply-to",
    "references",
)  # fmt: skip
"""The same, but only if present: a relay may add a missing Date or Message-ID (RFC 6409 section 8), and gateways add
missing MIME fields."""

_TIME_LIMIT = 10**12  # RFC 6376 section 3.5, t= and x=: 12 digits
MAX_COLUMNS = 78  # RFC 5322 section 2.1.1
_LF = LineEnd.LF
_MBOX_QUOTED = b">From "
_CANONICALIZATIONS = ("simple", "relaxed")
_FIELD_NAME = re.compile(r"[!-9;-~]+\Z")
# What has no place in a parameter: blanks, controls and the end of a tag.
_FORBIDDEN = re.compile(r"[\x00-\x20;\x7f]")


class SigningError(MailAuthError, ValueError):
    """The message cannot be signed as it is (no From, for example); the text says why."""


class Signer(Protocol):
    """Whoever holds a private key: this process, an HSM, a remote service.

    `algorithm` is "rsa-sha256" or "ed25519-sha256". `sign` gets the SHA-256 digest of the signed header (32 octets)
    and returns the signature over it: RSASSA-PKCS1-v1_5 with the digest as that of the message (RFC 6376 section
    3.3.2), or PureEdDSA with the digest as the message (RFC 8463 section 3).
    """

    @property
    def algorithm(self) -> str: ...

    def sign(self, digest: bytes) -> bytes: ...


class AsyncSigner(Protocol):
    """The same for a signer that is awaited."""

    @property
    def algorithm(self) -> str: ...

    def sign(self, digest: bytes) -> Awaitable[bytes]: ...


AnySigner: TypeAlias = Signer | AsyncSigner


@dataclass(frozen=True)
class SigningKey:
    """A key with the domain and selector under which its public half is published.

    `key` is a `Signer`, or whatever `load_key` takes. `domain` and `selector` may hold U-labels; A-labels are kept
    (RFC 6376 section 3.5). Raises `ValueError` for an invalid domain or selector, and what `load_key` raises.
    """

    domain: str
    selector: str
    key: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "domain", _checked_domain(self.domain))
        object.__setattr__(self, "selector", _checked_selector(self.selector))
        object.__setattr__(self, "key", load_key(self.key))
        # All else that could be wrong with the name was refused with its parts.
        if len(self.selector) + len("._domainkey.") + len(self.domain) > MAX_NAME_OCTETS:
            raise ValueError(f"selector and domain together make a name over {MAX_NAME_OCTETS} octets")


def load_key(key: KeyMaterial | AnySigner, password: bytes | None = None) -> AnySigner:
    """A signer from a private key: PEM, DER, PKCS#1, PKCS#8, an Ed25519 seed, or a loaded `cryptography` key.

    What is a signer already is returned as it is. Parsed keys are kept. Raises `ValueError` for anything that is not a
    such key, without showing it, and `TypeError` for another type.
    """
    if hasattr(key, "algorithm") and hasattr(key, "sign"):
        if key.algorithm not in ("rsa-sha256", "ed25519-sha256"):
            raise ValueError(f"a signer's algorithm is rsa-sha256 or ed25519-sha256, not {key.algorithm!r}")
        return cast("AnySigner", key)
    from mailauth.dkim import crypto

    return crypto.private_key(key, password)


@dataclass(frozen=True)
class SigningOptions:
    """How to sign; the defaults suit mail to the world.

    `header` and `body` are "relaxed" or "simple" (RFC 6376 sections 3.4 and 5.4.1). `signed_fields` are signed where
    present, all of them; `oversigned_fields` are named once more than they are present, `oversigned_if_present` only if
    they are. From is always signed. `now` (seconds since the epoch) gives t=, and `expires_after` (seconds) x= as well
    (section 3.5). `identity` gives i=; its local part may be empty, and its domain is the signing domain or below it.
    `body_length` gives l=, which lets anybody append to the message: avoid it. A bare CR, or a bare LF in a CRLF
    message, is refused unless `allow_bare_line_ends`: servers repair them, and the signature breaks (RFC 6376 section
    5.3). Raises `ValueError` for what makes no sense.
    """

    header: str = "relaxed"
    body: str = "relaxed"
    signed_fields: tuple[str, ...] = SIGNED_FIELDS
    oversigned_fields: tuple[str, ...] = OVERSIGNED_FIELDS
    oversigned_if_present: tuple[str, ...] = OVERSIGNED_IF_PRESENT
    now: float | None = None
    expires_after: float | None = None
    identity: str | None = None
    body_length: bool = False
    allow_bare_line_ends: bool = False

    def __post_init__(self) -> None:
        for word in (self.header, self.body):
            if word not in _CANONICALIZATIONS:
                raise ValueError(f"a canonicalization is simple or relaxed, not {word!r}")
        for attribute in ("signed_fields", "oversigned_fields", "oversigned_if_present"):
            names = getattr(self, attribute)
            if names is not getattr(SigningOptions, attribute):
                object.__setattr__(self, attribute, _checked_names(names))
        if self.now is not None and not 0 <= self.now < _TIME_LIMIT:
            raise ValueError("now is in seconds since the epoch")
        if self.expires_after is not None:
            if self.now is None or not 1 <= self.expires_after < _TIME_LIMIT - self.now:
                raise ValueError("expires_after is in seconds, at least 1, needs now, and x= has 12 digits at most")


def _checked_names(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ValueError("field names are given as a list, not as one string")
    checked = tuple(name.lower() for name in names)
    for name in checked:
        if _FIELD_NAME.match(name) is None or ";" in name:
            raise ValueError(f"{name!r} is no field name")
        if name == "dkim-signature":
            # RFC 6376 section 5.4: error-prone, since relays reorder them.
            raise ValueError("DKIM-Signature is not signed by name")
    return checked


def _checked_domain(domain: str) -> str:
    ascii_domain = to_ascii(domain)
    if ascii_domain is None or not is_fqdn(ascii_domain):
        raise ValueError(f"{domain!r} is no domain name")
    return ascii_domain


def _checked_selector(selector: str) -> str:
    ascii_selector = to_ascii(selector)
    if ascii_selector is None or not is_selector(ascii_selector) or selector.endswith("."):
        raise ValueError(f"{selector!r} is no selector")
    return ascii_selector


def _checked_identity(identity: str, domain: str) -> str:
    """i= in dkim-quoted-printable (RFC 6376 sections 2.11 and 3.5); what would end the tag is refused (section 3.2)."""
    local_part, at, raw_domain = identity.rpartition("@")
    if not at or _FORBIDDEN.search(identity) or not is_local_part(local_part):
        raise ValueError(
            f"{identity!r} is no identity: an address, its local part possibly empty, without blanks and ;"
        )
    identity_domain = to_ascii(raw_domain)
    if identity_domain is None or not is_fqdn(identity_domain) or not is_within(identity_domain, domain):
        raise ValueError(f"the identity {identity!r} is not within {domain}")
    octets = local_part.encode("utf-8")
    quoted = "".join(chr(o) if 0x21 <= o <= 0x7E and o not in b"=|" else f"={o:02X}" for o in octets)
    return f"{quoted}@{identity_domain}"


def sign(
    message: MessageSource,
    key: KeyMaterial | AnySigner | SigningKey | Sequence[SigningKey],
    *,
    domain: str | None = None,
    selector: str | None = None,
    options: SigningOptions | None = None,
    **settings: Any,
) -> bytes:
    """The DKIM-Signature fields to put in front of a message, one for each key, with its line ends.

    `message` is octets, or a binary file that is read to its end. `key` is a private key or signer with its `domain`
    and `selector`, or one or several `SigningKey` that carry their own (RSA and Ed25519 together, say: RFC 6376 section
    4.2); the body is hashed once for all. The message itself is not changed (section 3.4). Further `settings` are those
    of `SigningOptions`. Raises `SigningError` for a message that cannot be signed, `ValueError` and `TypeError` for
    wrong parameters.
    """
    signer = MessageSigner(key, domain=domain, selector=selector, options=options, **settings)
    for piece in blocks(message):
        signer.feed(piece)
    return signer.finish()


class MessageSigner(MessageReader):
    """Signs a message that is pushed in pieces; memory does not grow with the message. Parameters as for `sign`.

    ::

        signer = MessageSigner(key, domain="example.org", selector="2026a")
        for piece in pieces:
            signer.feed(piece)
        header = signer.finish()             # or: await signer.finish_async()
    """

    def __init__(
        self,
        key: KeyMaterial | AnySigner | SigningKey | Sequence[SigningKey],
        *,
        domain: str | None = None,
        selector: str | None = None,
        options: SigningOptions | None = None,
        **settings: Any,
    ) -> None:
        if options is not None and settings:
            raise TypeError("give either options or single settings")
        super().__init__()
        self._options = options or SigningOptions(**settings)
        self._keys = _signing_keys(key, domain, selector)
        self._identities = [
            None if self._options.identity is None else _checked_identity(self._options.identity, key.domain)
            for key in self._keys
        ]
        self._line_ends = None if self._options.allow_bare_line_ends else BareLineEnds()
        self._first_octets = b""
        self._body: BodyHash | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next piece of the message. Raises `ValueError` for a message that was finished.

        A message that cannot be signed raises `SigningError` from the moment when that is known.
        """
        octets = data if isinstance(data, bytes) else bytes(memoryview(data))
        if self._line_ends is not None:
            self._line_ends.feed(octets)
        if not self._begun:
            self._first_octets = (self._first_octets + octets[: len(_MBOX_QUOTED)])[: len(_MBOX_QUOTED)]
        super().feed(octets)
        if self._begun:
            self._require_sound_line_ends()

    def _require_sound_line_ends(self) -> None:
        if self._line_ends is not None and self._line_ends.found is not None:
            raise SigningError(
                f"{self._line_ends.found}: the next server may repair it, which breaks the signature (RFC 6376 section"
                " 5.3); allow_bare_line_ends signs it as it is"
            )

    def _begin(self, header: Header) -> None:
        """RFC 6376 sections 3.8, 5.3 and 5.4: only a message that others read as we do is worth signing."""
        if header.mbox_line or (not header.raw and self._first_octets == _MBOX_QUOTED):
            raise SigningError('the message begins with an mbox line ("From "), which is no part of it')
        number = len(header.octets_by_name.get("from", ()))
        if header.broken_off is not None:
            raise SigningError(f"the header cannot be read to its end: {header.broken_off}")
        if number != 1:
            raise SigningError(f"the message has {number or 'no'} From field{'s' if number else ''}, not one")
        if header.no_empty_line:
            raise SigningError("no empty line stands between header and body")
        self._body = BodyHash(self._options.body, header.line_end)
        self._bodies = (self._body,)
        if self._options.body_length:
            self._body.want(None)

    def prepare(self) -> list[Unsigned]:
        """The message is at its end: return what is to be signed, one for each key.

        Each is completed with the signature over its `digest` (RFC 6376 sections 3.7 and 5.5). This is the interface
        for signers that are neither called nor awaited here.
        """
        header, options = self._end(), self._options
        if self._line_ends is not None:
            self._line_ends.feed(b"", last=True)
            self._require_sound_line_ends()
        assert self._body is not None
        body_hash = self._body.digest(None)
        assert body_hash is not None
        # RFC 6376 section 5.3.1: counted as it was canonicalized.
        length = self._body.length if options.body_length else None
        names, wanted = _names(header, options)
        canonicalize = canonicalizer(options.header, header)
        signed = canonicalize(select(wanted, header, None))
        unsigned = []
        for key, identity in zip(self._keys, self._identities, strict=True):
            field = _field(options, key, identity, names, body_hash, length)
            if header.line_end is _LF:
                field = field.replace(b"\r\n", b"\n")
            digest = hashlib.sha256(signed + canonicalize([field])[:-2]).digest()
            unsigned.append(Unsigned(key.key, digest, field, header.line_end))
        return unsigned

    def finish(self) -> bytes:
        """The message is at its end: sign it; return the fields to put in front of it."""
        fields = []
        for unsigned in self.prepare():
            signature = unsigned.signer.sign(unsigned.digest)
            if not isinstance(signature, bytes):
                if isawaitable(signature):
                    getattr(signature, "close", bool)()
                raise TypeError("this signer must be awaited: use finish_async, or the aio facade")
            fields.append(unsigned.complete(signature))
        return b"".join(fields)

    async def finish_async(self) -> bytes:
        """The same with signers that are awaited; others are called."""
        fields = []
        for unsigned in self.prepare():
            signature = unsigned.signer.sign(unsigned.digest)
            fields.append(unsigned.complete(signature if isinstance(signature, bytes) else await signature))
        return b"".join(fields)


def _signing_keys(key: Any, domain: str | None, selector: str | None) -> list[SigningKey]:
    if isinstance(key, SigningKey):
        key = [key]
    if isinstance(key, list | tuple):
        if domain is not None or selector is not None:
            raise TypeError("domain and selector are those of the SigningKey")
        if not key or not all(isinstance(one, SigningKey) for one in key):
            raise TypeError("several keys are given as SigningKey objects, at least one")
        return list(key)
    if domain is None or selector is None:
        raise TypeError("a key needs its domain and its selector")
    return [SigningKey(domain, selector, key)]


def _names(header: Header, options: SigningOptions) -> tuple[str, Places]:
    """h=, folded, with each name as often as it is present and once more if it is oversigned; which fields that is."""
    by_name = header.octets_by_name
    usual = len(by_name) <= _MAX_CACHED_NAMES and len(header.raw) <= _MAX_CACHED_OCTETS
    find = _known_names if usual else _find_names
    wanted = options.signed_fields, options.oversigned_fields, options.oversigned_if_present
    return find(*wanted, tuple(by_name), tuple(map(len, by_name.values())))


def _find_names(
    signed: tuple[str, ...],
    oversigned: tuple[str, ...],
    oversigned_if_present: tuple[str, ...],
    present: tuple[str, ...],
    numbers: tuple[int, ...],
) -> tuple[str, Places]:
    # RFC 6376 sections 5.4 and 5.4.1: From always; section 5.4.2: a name for each field, and one more to forbid others.
    number_of = dict(zip(present, numbers, strict=True))
    names: list[str] = []
    for name in dict.fromkeys(("from", *signed, *oversigned)):
        once_more = name in oversigned or (name in number_of and name in oversigned_if_present)
        names += [name] * (number_of.get(name, 0) + once_more)
    if len(names) > MAX_SIGNED_NAMES:
        raise SigningError(f"more than {MAX_SIGNED_NAMES} fields to sign")
    # They begin a line, so that they fold the same way each time.
    return _folded(" h=", [*[f"{name}:" for name in names[:-1]], f"{names[-1]};"], ""), places(names)


# One program writes the same fields in each message: 13 us of 288 gained. Bounded, since clients choose them: a name of
# two octets takes fifty in memory.
_known_names = lru_cache(maxsize=256)(_find_names)
_MAX_CACHED_NAMES = 64
_MAX_CACHED_OCTETS = 8192


def _field(
    options: SigningOptions,
    key: SigningKey,
    identity: str | None,
    names: str,
    body_hash: bytes,
    length: int | None,
) -> bytes:
    """The field with an empty b=, folded, with a CRLF at its end."""
    tags = [
        f"a={key.key.algorithm};",
        f"c={options.header}/{options.body};",
        f"d={key.domain};",
        f"s={key.selector};",
    ]
    if identity is not None:
        tags.append(f"i={identity};")
    if options.now is not None:
        tags.append(f"t={int(options.now)};")
        if options.expires_after is not None:
            tags.append(f"x={int(options.now + options.expires_after)};")
    if length is not None:
        tags.append(f"l={length};")
    bh = b2a_base64(body_hash, newline=False).decode("ascii")
    return f"{_folded('DKIM-Signature: v=1;', tags, ' ')}\r\n{names}\r\n bh={bh};\r\n b=\r\n".encode("ascii")


def _folded(first: str, words: Iterable[str], glue: str) -> str:
    """Append words to the last line, or begin a new one where it would get too long."""
    lines = [first]
    for word in words:
        if len(lines[-1]) + len(glue) + len(word) < MAX_COLUMNS:
            lines[-1] += glue + word
        else:
            lines.append(" " + word)
    return "\r\n".join(lines)


@dataclass(frozen=True)
class Unsigned:
    """A signature field that lacks its signature.

    `signer` is who is to sign; `digest` is what: 32 octets.
    """

    signer: AnySigner
    digest: bytes
    _field: bytes  # with an empty b= at its end
    _line_end: LineEnd

    def complete(self, signature: bytes) -> bytes:
        """The whole field with its signature, folded, with its line end.

        Raises `ValueError` for a length that no signature has, `TypeError` for anything but `bytes`.
        """
        if not isinstance(signature, bytes):
            raise TypeError(f"a signature is bytes, not {type(signature).__name__}")
        if len(signature) > MAX_SIGNATURE_OCTETS or len(signature) < ED25519_SIGNATURE_OCTETS:
            raise ValueError(f"the signer returned {len(signature)} octets, which is no signature")
        text = b2a_base64(signature, newline=False)
        end = b"\n" if self._line_end is _LF else b"\r\n"
        chunks = [text[:_FIRST_CHUNK], *_CHUNKS.findall(text, _FIRST_CHUNK)]
        # The blanks of the folds belong to the value of b=, which is not hashed (RFC 6376 section 3.7).
        return self._field[: -len(end)] + (end + b" ").join(chunks) + end


_FIRST_CHUNK = MAX_COLUMNS - len(" b=") - 1
_CHUNKS = re.compile(rb".{1,%d}" % (MAX_COLUMNS - 2))
ED25519_SIGNATURE_OCTETS = 64  # RFC 8032 section 5.1.6; RSA signatures are longer
