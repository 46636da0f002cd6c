"""`Srs`: addresses forth and back. No clock, no files."""

# The paper's formats; each "=" behind SRS0 and SRS1 may also be "+" or "-":
#   SRS0=HHHH=TT=domain=local@us                     of local@domain
#   SRS1=HHHH=first==HHHH=TT=domain=local@us         of SRS0=HHHH=TT=domain=local@first
#   SRS1=HHHH=first==HHHH=TT=domain=local@us         of SRS1=HHHH=first==HHHH=TT=domain=local@second
#   HHHH   the first characters of base64(HMAC-SHA1(secret, the parts that follow, in lower case))
#   TT     days since the epoch modulo 1024, as two digits of base32
#
# In the classic hash nothing stands between the parts: that of ann@example.co holds for nn@example.coa as well, and
# whoever may send as one and reads the rewritten address has one for the other. Unless the policy is "classic" a NUL
# stands there; only who shares a secret with other programs needs the classic one.
#
# SECURITY: whoever can make an address that turns back can send mail through us to any address. The hash is compared in
# constant time, with all secrets; relays that change the case of addresses are tolerated, which costs the hash some of
# its strength, so that it is longer here than the four characters of others. Addresses are bounded before any work.

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mailauth.mail.names import is_hostname, is_within, split_address, to_ascii
from mailauth.srs.result import Reason, SrsResult

DAY = 86400
SLOTS = 1024
"""Days until a timestamp comes again."""
MAX_HASH_CHARACTERS = 26  # of 27 that HMAC-SHA1 has without padding
MIN_SECRET_OCTETS = 8

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PREFIX = re.compile(r"(SRS[01])([=+-])(.*)\Z", re.IGNORECASE | re.DOTALL | re.ASCII)
_DOT_ATOM = re.compile(r"[^\x00-\x20\x7f()<>\[\]:;@\\,.\"]+(?:\.[^\x00-\x20\x7f()<>\[\]:;@\\,.\"]+)*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029\ud800-\udfff]")
_QUOTED_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"\Z', re.DOTALL)


@dataclass(frozen=True, slots=True)
class SrsPolicy:
    """How addresses are written and how long they hold.

    `hash_length` is how many characters of the hash are written, `min_hash_length` the least that are accepted (None:
    as many); others write four. `classic` writes the hash as they do, and accepts both; with `min_hash_length=4` it
    takes over what they wrote with the same secret. `max_age` is in days. `separator` stands behind SRS0 and SRS1.
    `max_octets` bounds a rewritten address (RFC 5321 section 4.5.3.1.3), `max_local_part` what stands before its "@":
    64 octets by section 4.5.3.1.1, which few servers enforce and many senders' addresses leave no room for. Raises
    `ValueError` for what makes no sense.
    """

    hash_length: int = 8
    min_hash_length: int | None = None
    max_age: int = 21
    separator: str = "="
    max_octets: int = 254
    max_local_part: int = 254
    classic: bool = False

    def __post_init__(self) -> None:
        if not 4 <= self.least_hash_length <= self.hash_length <= MAX_HASH_CHARACTERS:
            raise ValueError(f"hash_length is 4 to {MAX_HASH_CHARACTERS}, and not less than min_hash_length")
        if not 1 <= self.max_age < SLOTS - 1:
            raise ValueError(f"max_age is 1 to {SLOTS - 2} days")
        if self.separator not in ("=", "+", "-"):
            raise ValueError(f"separator is one of = + -, not {self.separator!r}")
        if self.max_octets < 64 or self.max_local_part < 64:
            raise ValueError("max_octets and max_local_part are at least 64")

    @property
    def least_hash_length(self) -> int:
        """The least that is accepted."""
        return self.hash_length if self.min_hash_length is None else self.min_hash_length


_DEFAULT_POLICY = SrsPolicy()


class Srs:
    """Rewrites senders and turns recipients back, for one forwarder.

    `domain` is the forwarder's: rewritten senders are in it, and it must have an SPF record and take mail. Of `secrets`
    the first is used to write, all are accepted: a new one is put in front, and an old one taken away when its
    addresses have expired. Senders in `own_domains` (those below ``.domain`` for one that begins with a dot) stay as
    they are, and so do those in `domain`. Raises `ValueError` for what makes no sense.
    """

    def __init__(
        self,
        domain: str,
        secrets: Iterable[str | bytes],
        *,
        own_domains: Iterable[str] = (),
        policy: SrsPolicy = _DEFAULT_POLICY,
    ) -> None:
        name = to_ascii(domain)
        if name is None or not is_hostname(name):
            raise ValueError(f"the domain of rewritten addresses is a domain name, not {domain!r}")
        if isinstance(secrets, str | bytes):
            raise ValueError("secrets is a list, the newest first")
        self.domain = name
        self.policy = policy
        self._secrets = [secret.encode("utf-8") if isinstance(secret, str) else secret for secret in secrets]
        if not self._secrets or any(len(secret) < MIN_SECRET_OCTETS for secret in self._secrets):
            raise ValueError(f"there is at least one secret, each of at least {MIN_SECRET_OCTETS} octets")
        self._own, self._own_above = {name}, list[str]()
        for own in own_domains:
            own_name = to_ascii(own.removeprefix("."))
            if own_name is None or not is_hostname(own_name):
                raise ValueError(f"own_domains are domain names, not {own!r}")
            self._own_above.append(own_name) if own.startswith(".") else self._own.add(own_name)

    def forward(self, sender: str, *, now: float) -> SrsResult:
        """The envelope sender for mail that is passed on; `now` is in seconds since the epoch."""
        if sender in ("", "<>"):
            return SrsResult(Reason.NULL_SENDER)
        address = _parse(sender)
        if address is None:
            return SrsResult(Reason.NO_ADDRESS)
        name = to_ascii(address.domain)
        if name in self._own or any(is_within(name or "", own) and name != own for own in self._own_above):
            return SrsResult(Reason.OWN_DOMAIN)
        rewritten = _written(self._srs1(address) or self._srs0(address, int(now // DAY)), self.domain)
        local_part = len(rewritten.encode("utf-8")) - len(self.domain) - 1
        if local_part > self.policy.max_local_part or local_part + len(self.domain) + 1 > self.policy.max_octets:
            return SrsResult(Reason.TOO_LONG)
        return SrsResult(Reason.REWRITTEN, rewritten)

    def reverse(self, recipient: str, *, now: float) -> SrsResult:
        """The recipient of a bounce to a rewritten address; `now` is in seconds since the epoch."""
        address = _parse(recipient)
        if address is None:
            return SrsResult(Reason.NO_ADDRESS)
        if to_ascii(address.domain) != self.domain:
            return SrsResult(Reason.OTHER_DOMAIN)
        found = _PREFIX.match(address.local_part)
        if found is None:
            return SrsResult(Reason.NOT_SRS)
        return self._reverse1(found[3]) if found[1].endswith("1") else self._reverse0(found[3], int(now // DAY))

    def _srs0(self, address: _Address, today: int) -> str:
        stamp = _stamp(today)
        mark = self._mark(stamp, address.domain, address.local_part)
        return f"SRS0{self.policy.separator}{mark}={stamp}={address.domain}={address.local_part}"

    def _srs1(self, address: _Address) -> str | None:
        """An address that was rewritten before keeps the first forwarder, which alone can turn it back."""
        found = _PREFIX.match(address.local_part)
        if found is None:
            return None
        host, rest = address.domain, found[2] + found[3]
        if found[1].endswith("1"):
            _, _, first = found[3].partition("=")
            host, equals, rest = first.partition("=")
            if not equals or not host or rest[:1] not in ("=", "+", "-"):
                return None  # no SRS1 in spite of its name
        mark = self._mark(host, rest)
        return f"SRS1{self.policy.separator}{mark}={host}={rest}"

    def _reverse0(self, text: str, today: int) -> SrsResult:
        parts = text.split("=", 3)
        if len(parts) != 4 or not parts[2] or not parts[3]:
            return SrsResult(Reason.MALFORMED)
        mark, stamp, domain, local_part = parts
        if not self._is_ours(mark, stamp, domain, local_part):
            return SrsResult(Reason.WRONG_HASH)
        then = _days(stamp)
        if then is None:
            return SrsResult(Reason.MALFORMED)
        # One day ahead: the clocks of our own servers may differ at midnight.
        age = (today - then) % SLOTS
        if age > self.policy.max_age and age != SLOTS - 1:
            return SrsResult(Reason.EXPIRED)
        return SrsResult(Reason.REVERSED, _written(local_part, domain))

    def _reverse1(self, text: str) -> SrsResult:
        parts = text.split("=", 2)
        if len(parts) != 3 or not parts[1] or parts[2][:1] not in ("=", "+", "-"):
            return SrsResult(Reason.MALFORMED)
        mark, host, rest = parts
        if not self._is_ours(mark, host, rest):
            return SrsResult(Reason.WRONG_HASH)
        return SrsResult(Reason.REVERSED, _written(f"SRS0{rest}", host))

    def _is_ours(self, mark: str, *parts: str) -> bool:
        """Whether one of our secrets made the hash; with all of them, and in a time that says nothing of it."""
        length = len(mark)
        if not self.policy.least_hash_length <= length <= MAX_HASH_CHARACTERS or not mark.isascii():
            return False
        right = False
        for secret in self._secrets:
            for classic in (False, True) if self.policy.classic else (False,):
                expected = _hash(secret, parts, classic=classic)[:length]
                # Relays that change the case of local parts are against RFC 5321 section 2.4, and there.
                right |= hmac.compare_digest(expected.lower(), mark.lower())
        return right

    def _mark(self, *parts: str) -> str:
        """The hash that is written."""
        return _hash(self._secrets[0], parts, classic=self.policy.classic)[: self.policy.hash_length]


def _hash(secret: bytes, parts: tuple[str, ...], *, classic: bool) -> str:
    # Lower case in ASCII alone, as others have it.
    between = b"" if classic else b"\0"
    octets = between.join(part.encode("utf-8", "surrogatepass") for part in parts).lower()
    return b64encode(hmac.digest(secret, octets, hashlib.sha1)).decode("ascii")


def read_secrets(text: str) -> list[str]:
    """The secrets in a file of ours or of postsrsd: one on each line, the newest first; empty lines do not count."""
    return [line.strip() for line in text.splitlines() if line.strip()]


class _Address(NamedTuple):
    """An address without the quotes of its local part."""

    local_part: str
    domain: str


def _parse(text: str) -> _Address | None:
    mailbox = split_address(text)
    if mailbox is None or _CONTROL.search(text):
        return None
    local_part, domain = mailbox
    if local_part.startswith('"'):
        if not _QUOTED_STRING.match(local_part):
            return None
        local_part = re.sub(r"\\(.)", r"\1", local_part[1:-1])
    if not domain.isascii():
        # A-labels, so that an ASCII local part needs no SMTPUTF8 on its way.
        name = to_ascii(domain)
        if name is None:
            return None
        domain = name
    return _Address(local_part, domain) if local_part and "=" not in domain else None


def _written(local_part: str, domain: str) -> str:
    if not _DOT_ATOM.match(local_part):
        local_part = '"' + local_part.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{local_part}@{domain}"


def _stamp(today: int) -> str:
    return _BASE32[(today >> 5) & 31] + _BASE32[today & 31]


def _days(stamp: str) -> int | None:
    upper = stamp.upper()
    if len(upper) != 2 or upper[0] not in _BASE32 or upper[1] not in _BASE32:
        return None
    return _BASE32.index(upper[0]) << 5 | _BASE32.index(upper[1])
