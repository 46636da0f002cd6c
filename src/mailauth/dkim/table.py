"""Signing tables: from a sender's address to its keys.

Which keys sign for which sender. The only file of this package that opens files, and only those that a signing table
names.
"""

# SECURITY: tables are the operator's; sender addresses are not. A lookup costs one step for each label of the
# sender's domain, whatever the size of the table.

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from mailauth import MailAuthError
from mailauth.dkim.signing import AnySigner, SigningKey, load_key
from mailauth.mail.names import is_fqdn, split_address, to_ascii

SENDERS_DOMAIN = "%"
_MAX_CACHED = 4096


class TableError(MailAuthError, ValueError):
    """A signing table that cannot be understood or names a key that cannot be read; the text says where."""


@dataclass(frozen=True)
class SigningRule:
    """Senders and the key that signs for them.

    `senders` are patterns: ``ann@example.org``, ``example.org`` (or ``*@example.org``), ``*.example.org`` (or
    ``.example.org``: every domain below), ``*`` (everybody). `domain` is d=; ``%`` stands for the sender's own, None
    for the domain of the pattern.

    `allow` names clients that may send as these senders though their own domain is another (`SigningTable.allows`):
    identities of SMTP AUTH, domains of them, or ``*`` for every client of ours.
    """

    senders: tuple[str, ...]
    selector: str
    key: Any
    domain: str | None = None
    allow: tuple[str, ...] = ()


class SigningTable:
    """Which keys sign for which sender. Immutable; may be shared between threads.

    The most specific pattern counts: the address, then its domain, then the nearest domain above with ``*.``, then
    ``*``. If several rules have that same pattern, all their keys sign (RSA and Ed25519 together).
    """

    def __init__(self, rules: Iterable[SigningRule]) -> None:
        self._keys: dict[str, list[tuple[str | None, str, AnySigner]]] = {}
        self._allowed: dict[str, set[str]] = {}
        for rule in rules:
            key = load_key(rule.key)
            for sender in rule.senders:
                pattern, default = _pattern(sender)
                entry = (None if rule.domain == SENDERS_DOMAIN else rule.domain or default, rule.selector, key)
                if entry[0] is not None:
                    SigningKey(entry[0], rule.selector, key)  # raises for what is wrong with it
                self._keys.setdefault(pattern, []).append(entry)
                self._allowed.setdefault(pattern, set()).update(who.lower().removeprefix("*@") for who in rule.allow)
        self.keys_for = lru_cache(maxsize=_MAX_CACHED)(self._keys_for)  # the keys of a sender, by address or domain

    def _keys_for(self, sender: str) -> tuple[SigningKey, ...]:
        """The keys that sign for a sender's address or domain; none if the table has none for it."""
        found = self._find(sender)
        if found is None:
            return ()
        pattern, domain = found
        return tuple(SigningKey(own or domain, selector, key) for own, selector, key in self._keys[pattern])

    def allows(self, sender: str, identity: str | None) -> bool:
        """Whether the sender's rule names this client: by its identity, by that one's domain, or as one of all.

        `identity` is what SMTP AUTH proved, None for a client that is ours by its address.
        """
        found = self._find(sender)
        allowed = self._allowed[found[0]] if found is not None else set()
        name = "" if identity is None else identity.lower()
        return "*" in allowed or (bool(name) and not allowed.isdisjoint((name, name.rpartition("@")[2])))

    def _find(self, sender: str) -> tuple[str, str] | None:
        """The most specific pattern for a sender, and the sender's domain."""
        mailbox = split_address(sender)
        domain = to_ascii(mailbox.domain if mailbox else sender)
        if domain is None or not is_fqdn(domain):
            return None
        patterns = [f"{mailbox.local_part.lower()}@{domain}"] if mailbox else []
        patterns += [domain, *_wildcards_above(domain), "*"]
        pattern = next((pattern for pattern in patterns if pattern in self._keys), None)
        return None if pattern is None else (pattern, domain)

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> SigningTable:
        """From a file with a classic key list; `mailauth.config.load_signing_table` reads TOML as well.

        Keys are files beside it, unless their paths are absolute. Raises `TableError` and `OSError`.
        """
        path = Path(path)
        return cls.from_key_list(path.read_text(encoding="utf-8"), lambda name: (path.parent / name).read_bytes())

    @classmethod
    def from_key_list(cls, text: str, read: Callable[[str], bytes]) -> SigningTable:
        """From a key list: a sender's pattern and its key on each line, ``#`` begins a comment.

        The key is ``DOMAIN:SELECTOR:PATH``, or just ``PATH``; then the selector is the file's name without its
        ending, and the domain that of the pattern. ``PATTERN:DOMAIN:PATH`` in one word is the older form of the same.
        A domain ``%`` stands for the sender's.
        """
        rules = []
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split("#", 1)[0].split()
            if not words:
                continue
            rule = _listed_rule(words, number)
            try:
                rules.append(replace(rule, key=load_key(read(rule.key))))
                cls(rules[-1:])
            except OSError as error:
                raise TableError(f"line {number}: cannot read {rule.key}: {error.strerror}") from None
            except ValueError as error:
                raise TableError(f"line {number}: {error}") from None
        return cls(rules)


def _wildcards_above(domain: str) -> list[str]:
    labels = domain.split(".")
    return ["*." + ".".join(labels[n:]) for n in range(1, len(labels))]


def _pattern(sender: str) -> tuple[str, str | None]:
    """The pattern as the table keeps it, and the domain that signs unless the rule names one."""
    if sender == "*":
        return "*", None
    text = sender.removeprefix("*@")
    if text.startswith("."):
        text = "*" + text
    local_part, at, raw_domain = text.rpartition("@")
    below = raw_domain.startswith("*.")
    domain = to_ascii(raw_domain.removeprefix("*."))
    if domain is None or not is_fqdn(domain) or "*" in local_part or (at and (below or not local_part)):
        raise ValueError(f"{sender!r} is no sender: an address, a domain, *.domain or *")
    return f"{local_part.lower()}{at}{'*.' if below else ''}{domain}", domain


def _listed_rule(words: list[str], number: int) -> SigningRule:
    parts = words[1].split(":", 2) if len(words) == 2 else words[0].split(":", 2)
    if len(words) == 2 and len(parts) == 3:
        domain, selector, path = parts
        return SigningRule((words[0],), selector, path, domain)
    if len(words) == 2 and len(parts) == 1:
        return SigningRule((words[0],), _selector_of(words[1]), words[1])
    if len(words) == 1 and len(parts) == 3:
        pattern, domain, path = parts
        return SigningRule((pattern,), _selector_of(path), path, domain)
    raise TableError(f"line {number}: not a pattern and a key")


def _selector_of(path: str) -> str:
    return re.sub(r"\.(?:pem|key|private|der)$", "", Path(path).name)
