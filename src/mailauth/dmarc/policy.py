"""`DmarcPolicy`: what a receiver decides about DMARC."""

from __future__ import annotations

from dataclasses import dataclass

from mailauth.mail.names import is_fqdn, to_ascii

MAX_IDENTIFIERS = 10
"""Domains whose organizational domain is looked up for one message."""


@dataclass(frozen=True, slots=True)
class DmarcPolicy:
    """What a receiver decides; the defaults decide nothing that RFC 9989 leaves open.

    `trusted_forwarders` and `mailing_lists` are domains, those below them included: where SPF or DKIM passes for one of
    them, a failing message keeps its result, and its disposition is none, with the override that RFC 9990 has for it.
    `trusted_sealers` are domains likewise: where the message has a chain of ARC sets that passes, and they alone sealed
    it since one of them saw the author's domain authenticated, the same holds (RFC 8617 section 7.2.1).
    `quarantine`: mail whose disposition is quarantine or reject, and which was not rejected, is put aside: by the
    milter, and so it stands in aggregate reports (where the milter does not run, it is for whoever delivers the mail to
    do so). Without it such mail is delivered (RFC 9989 section 5.4).
    `max_identifiers` bounds the walks for one message: eight questions each at most, and fewer since names repeat.

    Raises `ValueError` for anything that is not a domain, and for a bound below 1.
    """

    trusted_forwarders: tuple[str, ...] = ()
    mailing_lists: tuple[str, ...] = ()
    trusted_sealers: tuple[str, ...] = ()
    quarantine: bool = False
    max_identifiers: int = MAX_IDENTIFIERS

    def __post_init__(self) -> None:
        for field in ("trusted_forwarders", "mailing_lists", "trusted_sealers"):
            names, domains = [], getattr(self, field)
            if isinstance(domains, str):
                raise ValueError(f"{field} is a tuple of domains, not one string")
            for given in domains:
                name = to_ascii(given)
                if name is None or not is_fqdn(name):
                    raise ValueError(f"{field} holds domains, not {given!r}")
                names.append(name)
            object.__setattr__(self, field, tuple(names))
        if self.max_identifiers < 1:
            raise ValueError("max_identifiers is at least 1")
