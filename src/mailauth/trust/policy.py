"""`TrustPolicy`: what a reader of mail believes, and the forms of large providers that leave RFC 8601. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias, TypeVar

from mailauth.mail.names import is_hostname, to_ascii


class Placement(StrEnum):
    """Where the mail server puts its field, which is where the sender's own fields begin.

    Only the first tells forged fields from real ones. The others are for servers that are known to delete what claims
    to be theirs, and white space at the beginning of a message, which would go on with their field.
    """

    ABOVE_RECEIVED = "above-received"  # above the Received with which the message came in: Postfix with milters
    BELOW_RECEIVED = "below-received"  # right below that one: only the server's cleaning tells it from a forged one
    TOP = "top"  # the server writes no Received: the first of the trace fields at the very top


class Method(StrEnum):
    """Methods whose pass may be believed."""

    DMARC = "dmarc"  # for the author's domain
    DKIM = "dkim"  # of a signature whose d= is aligned with the author's domain
    SPF = "spf"  # of MAIL FROM; never of HELO
    AUTH = "auth"  # SMTP AUTH, where the identity is the author's address


class Leniency(StrEnum):
    """A departure from RFC 8601 that a provider needs."""

    ID_BELOW_DOMAIN = "id-below-domain"  # each host writes its own name as authserv-id
    NO_AUTHSERV_ID = "no-authserv-id"  # the topmost field counts without one
    GRAMMAR = "grammar"  # what cannot be read is skipped instead of the whole field
    IDENTITY = "identity"  # header.i stands where header.d belongs
    BELOW_RECEIVED = "below-received"  # the field stands where `Placement.BELOW_RECEIVED` has it
    ARC_COPY = "arc-copy"  # the copy in ARC-Authentication-Results


Network: TypeAlias = IPv4Network | IPv6Network

# RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3. Only they are ours unasked: behind a proxy or in a container every
# client may have a private address.
LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
# RFC 1918, RFC 4193, RFC 4291 section 2.5.6
PRIVATE: tuple[Network, ...] = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"))
)


@dataclass(frozen=True, slots=True)
class Provider:
    """How the mail servers of one provider write their fields.

    `authserv_ids` are its own, with ``*.`` in front those of any host below. `hosts` are the domains of its servers,
    `networks` the addresses that they have in Received fields. `local_hops`: a Received field that names no client is
    a step within the provider. `leniencies` are the departures that are allowed. Where an id is missing or the place
    proves little, only the topmost field counts.
    """

    name: str
    authserv_ids: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    placement: Placement = Placement.ABOVE_RECEIVED
    local_hops: bool = False
    leniencies: frozenset[Leniency] = frozenset()


GMAIL = Provider(
    "gmail",
    authserv_ids=("mx.google.com",),
    hosts=("google.com",),
    networks=("2002:a00::/24",),  # hops within Google name 10.0.0.0/8 by 6to4
    local_hops=True,
    leniencies=frozenset({Leniency.ARC_COPY, Leniency.IDENTITY}),
)
"""Gmail and Google Workspace. The field stands below the Received of mx.google.com, where a sender may have written it
or gone on with it; its copy in ARC-Authentication-Results stands above, and that one is read."""

MICROSOFT_365 = Provider(
    "microsoft365",
    hosts=("outlook.com", "office365.com"),
    networks=("2603:1000::/24",),
    leniencies=frozenset({Leniency.NO_AUTHSERV_ID, Leniency.GRAMMAR}),
)
"""Microsoft 365 and Outlook.com: no authserv-id, and words such as ``action=none`` among the properties. Copies in
ARC-Authentication-Results are never read: other tenants' outgoing servers write the same ones."""

YAHOO = Provider(
    "yahoo",
    authserv_ids=("*.yahoo.com",),
    hosts=("yahoo.com",),
    networks=("10.0.0.0/8",),
    leniencies=frozenset({Leniency.ID_BELOW_DOMAIN, Leniency.GRAMMAR, Leniency.IDENTITY}),
)
"""Yahoo Mail: each host writes its own name, and the field ends in a semicolon."""

PROVIDERS: dict[str, Provider] = {each.name: each for each in (GMAIL, MICROSOFT_365, YAHOO)}


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """What a reader of mail believes. The defaults are the strict ones.

    `hosts` are the domains of our own mail servers (those below them included), as they stand behind "by" in Received
    fields; without any, the authserv-ids are taken for that. `networks` are the addresses from which our own servers
    hand mail on to each other, private ones too; loopback addresses always are. `placement` is where our server puts
    its field. `provider` is one of `PROVIDERS` or a `Provider` of your own: its forms are read as well. `methods` are
    those whose pass is believed. `allow_address_in_name`: the display name may show another address than the author's,
    as some mailing lists have it.

    Raises `ValueError` for what makes no sense.
    """

    hosts: tuple[str, ...] = ()
    networks: tuple[str | Network, ...] = ()
    placement: Placement = Placement.ABOVE_RECEIVED
    provider: str | Provider | None = None
    methods: frozenset[Method] = frozenset({Method.DMARC, Method.DKIM})
    allow_address_in_name: bool = False

    def __post_init__(self) -> None:
        for name in ("hosts", "networks", "methods"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is a collection, not one string")
        if isinstance(self.provider, str):
            if self.provider not in PROVIDERS:
                raise ValueError(f"there is no provider {self.provider!r}; there are {', '.join(PROVIDERS)}")
            object.__setattr__(self, "provider", PROVIDERS[self.provider])
        object.__setattr__(self, "hosts", tuple(map(_host, self.hosts)))
        object.__setattr__(self, "networks", tuple(ip_network(network) for network in self.networks))
        object.__setattr__(self, "placement", _one_of(Placement, self.placement))
        object.__setattr__(self, "methods", frozenset(_one_of(Method, each) for each in self.methods))

    def with_methods(self, methods: Iterable[str]) -> TrustPolicy:
        """The same, but these methods are believed. Raises `ValueError` for one that there is not."""
        return replace(self, methods=frozenset(_one_of(Method, each) for each in methods))


_Word = TypeVar("_Word", bound=StrEnum)


def _one_of(words: type[_Word], text: str) -> _Word:
    try:
        return words(text)
    except ValueError:
        raise ValueError(f"{text!r} is not one of {', '.join(words)}") from None


def _host(text: str) -> str:
    name = to_ascii(text)
    if name is None or not is_hostname(name):
        raise ValueError(f"hosts are names of mail servers, or domains above them, not {text!r}")
    return name


def given_ids(authserv_ids: str | Iterable[str]) -> frozenset[str]:
    """The caller's authserv-ids, one or several, as they are compared. Raises `ValueError` for what cannot be one."""
    keys = set()
    for text in [authserv_ids] if isinstance(authserv_ids, str) else authserv_ids:
        name = None if text.endswith(".") else to_ascii(text)
        if not name:
            raise ValueError(f"an authserv-id is a name without a final dot, not {text!r}")
        keys.add(name)
    return frozenset(keys)
