# What belongs here: the words that IANA lists for this field ("Email Authentication Parameters"), and nothing else.
"""The registered methods, their result words, property types, and the properties that hold a domain or an address."""

from __future__ import annotations

_DKIM = frozenset({"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"})
_SPF = _DKIM | {"softfail"}

RESULT_WORDS: dict[str, frozenset[str]] = {
    "arc": frozenset({"none", "pass", "fail"}),  # RFC 8617 section 10.1
    "auth": frozenset({"none", "pass", "fail", "temperror", "permerror"}),  # RFC 8601 section 2.7.4
    "dkim": _DKIM,  # RFC 8601 section 2.7.1
    "dkim-adsp": frozenset(  # RFC 5617 section 5.4
        {"none", "pass", "unknown", "fail", "discard", "nxdomain", "temperror", "permerror"}
    ),
    "dkim-atps": frozenset({"none", "pass", "fail", "temperror", "permerror"}),  # RFC 6541 section 8.3
    "dmarc": frozenset({"none", "pass", "fail", "temperror", "permerror"}),  # RFC 7489 section 11.2
    "dnswl": frozenset({"none", "pass", "temperror", "permerror"}),  # RFC 8904 section 2
    "domainkeys": _DKIM,  # RFC 8601 section 6.7: deprecated
    "iprev": frozenset({"pass", "fail", "temperror", "permerror"}),  # RFC 8601 section 2.7.3
    "rrvs": frozenset({"none", "unknown", "pass", "fail", "temperror", "permerror"}),  # RFC 7293 section 15.2
    "sender-id": _SPF,  # RFC 8601 section 6.7: deprecated
    "smime": frozenset({"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"}),  # RFC 7281 section 3.2
    "spf": _SPF,  # RFC 8601 section 2.7.2; "hardfail" is a deprecated word for "fail" (RFC 8601 section 6.7)
    "vbr": frozenset({"none", "pass", "fail", "temperror", "permerror"}),  # RFC 6212 section 4
}

PROPERTY_TYPES = frozenset({"body", "dns", "header", "policy", "smtp"})  # RFC 8601 section 2.3; dns: RFC 8904 section 4

# Properties whose value is a domain name or an address: where the message is not internationalized, their U-labels
# are written as A-labels (RFC 8616 section 3: every U-label is equivalent to an A-label).
IDENTITIES = frozenset(
    {
        ("smtp", "auth"), ("smtp", "helo"), ("smtp", "mailfrom"), ("smtp", "rcptto"), ("smtp", "rrvs"),
        ("header", "d"), ("header", "i"), ("header", "s"), ("header", "from"), ("header", "sender"),
        ("header", "mv"), ("header", "md"), ("dns", "zone"),
    }
)  # fmt: skip


def is_registered(method: str, result: str) -> bool:
    """Whether IANA lists the method with this result word; both in lower case."""
    return result in RESULT_WORDS.get(method, ())


def check_words(method: str, result: str) -> None:
    """Raise `ValueError` for a result word that the method does not have (RFC 8601 section 2.7).

    A method that IANA does not list may have any.
    """
    words = RESULT_WORDS.get(method.lower())
    if words is not None and result.lower() not in words:
        raise ValueError(f"{method!r} has no result {result!r}; it has {', '.join(sorted(words))}")
