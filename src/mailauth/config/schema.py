"""The schema of the configuration file.

What may stand in a configuration file: each table as a frozen dataclass, each key as a field with its type and
default. A field called ``policy`` lends its own fields to the table. docs/configuration.md describes every key; a
test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from mailauth.config.values import (
    AddressText,
    Count,
    CountOrNone,
    DeliveryText,
    DomainName,
    HostName,
    ListenText,
    Network,
    Port,
    ReportStoreText,
    RestrictionText,
    Seconds,
    SelectorText,
    SenderText,
    SigningDomain,
    SocketMode,
    StoreText,
)
from mailauth.dkim import DkimPolicy
from mailauth.dmarc import DmarcPolicy
from mailauth.greylist import Action as GreylistAction
from mailauth.greylist import GreylistPolicy
from mailauth.milter.settings import MilterSettings
from mailauth.plan import DEFAULT_TIME_LIMIT
from mailauth.policyd.settings import PolicySettings
from mailauth.rbl import DEFAULT_THRESHOLD, RblPolicy, Rule, check_threshold
from mailauth.spf import SpfPolicy
from mailauth.srs import SrsPolicy

TraceField: TypeAlias = Literal["authentication-results", "received-spf", "x-greylist", "received"]
"""The fields that a server of ours can put on top of a message."""
DEFAULT_FIELDS: tuple[TraceField, ...] = ("authentication-results", "received")


DnsLibrary: TypeAlias = Literal["dnspython", "cares"]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """``[deadlines]``: how long each thing may take, in seconds."""

    evaluation: Seconds = DEFAULT_TIME_LIMIT
    """All lookups of one phase of the SMTP dialogue, or of one whole message."""
    idle: Seconds = 300.0
    """A client that says nothing for so long is let go."""
    data: Seconds = 1800.0
    """The content of a message from the reply to DATA to its last octet."""
    delivery: Seconds = 300.0
    """Handing a message on."""


@dataclass(frozen=True, slots=True)
class ResolverConfig:
    """``[resolver]``: where DNS answers come from; without `zone` and `nameservers` from the system's name servers."""

    zone: Path | None = None
    """A master file that answers everything, for tests."""
    nameservers: tuple[AddressText, ...] = ()
    port: Port = 53
    """The port of `nameservers`."""
    library: DnsLibrary = "dnspython"
    """What asks: "dnspython", or "cares" (c-ares, with the extra of that name: faster where much is asked)."""
    cache: CountOrNone = 10_000
    """Answers kept in memory; 0: none."""


@dataclass(frozen=True, slots=True)
class RblConfig:
    """``[rbl]``: the block lists."""

    lists: tuple[Rule, ...] = ()
    """In Postfix's notation, with a weight and a word for the action."""
    threshold: int = DEFAULT_THRESHOLD
    """The sum of weights that rejects, where `reject_rbl` does not say otherwise."""
    monitor: bool = False
    """Test the lists every hour, and leave out those that are out of service."""
    policy: RblPolicy = field(default_factory=RblPolicy)
    """Its settings are keys of this table."""

    def __post_init__(self) -> None:
        check_threshold(self.threshold)


@dataclass(frozen=True, slots=True)
class DmarcConfig:
    """``[dmarc]``: what we decide about DMARC, and where results are added up."""

    reports: ReportStoreText | None = None
    """Results for aggregate reports, in SQLite or PostgreSQL."""
    policy: DmarcPolicy = field(default_factory=DmarcPolicy)
    """Its settings are keys of this table."""


@dataclass(frozen=True, slots=True)
class GreylistConfig:
    """``[greylist]``: greylisting, where a store is named."""

    store: StoreText | None = None
    """A URL, such as ``sqlite:///var/lib/mailauth/greylist.db``; without it nothing is greylisted."""
    settings: Path | None = None
    """A TOML file of exemptions and settings per recipient, read again when it changes."""
    on_error: GreylistAction = GreylistAction.ACCEPT
    """What happens to mail while the store fails."""
    policy: GreylistPolicy = field(default_factory=GreylistPolicy)
    """Its settings are keys of this table."""


@dataclass(frozen=True, slots=True)
class RestrictionConfig:
    """``[restrictions]``: the five lists of Postfix; each item is a restriction's name and its words."""

    client: tuple[RestrictionText, ...] = ()
    """When the client has connected."""
    helo: tuple[RestrictionText, ...] = ()
    """At HELO or EHLO."""
    sender: tuple[RestrictionText, ...] = ()
    """At MAIL FROM."""
    recipient: tuple[RestrictionText, ...] = ()
    """At each RCPT TO."""
    data: tuple[RestrictionText, ...] = ()
    """When the message has come, as in smtpd_end_of_data_restrictions: DKIM and DMARC are known only then."""


@dataclass(frozen=True, slots=True)
class SigningConfig:
    """``[[signing]]``: a key that signs mail of our own clients. The most specific pattern of a sender counts."""

    senders: tuple[SenderText, ...]
    """Patterns of authors: an address, a domain, ``*.domain`` (or ``.domain``) for everything below it, ``*``."""
    selector: SelectorText
    """The public key stands at ``SELECTOR._domainkey.DOMAIN`` (RFC 6376 section 3.6.2.1)."""
    key: Path
    """The private key: PEM or DER."""
    domain: SigningDomain | None = None
    """The signing domain (d=), ``"%"`` for the author's own; without it, the domain of the pattern."""
    allow: tuple[str, ...] = ()
    """Clients of the milter that may send as these authors from another domain: identities, their domains, or ``*``."""


@dataclass(frozen=True, slots=True)
class ListenConfig:
    """``[listen]``: a server of ours: where it takes connections, its bounds, and where it hands messages on."""

    host: str = "127.0.0.1"
    """An address or a name; "" is every address."""
    port: Port = 8025
    """0 is any that is free."""
    deliver_to: DeliveryText | None = None
    """Where messages go (`mailauth.aiosmtpd.open_delivery`); without it, the program says so itself."""
    max_size: Count = 32 * 1024 * 1024
    """Octets of a message."""
    max_recipients: Count = 1000
    """Of one message; the next is answered 452 (RFC 5321 section 4.5.3.1.10)."""
    max_connections: Count = 500
    """At the same time; the next is answered 421."""
    max_connections_per_client: Count = 50
    """Of one address at the same time; clients in `networks` have no such bound."""
    max_errors: Count = 100
    """Replies of 4xx and 5xx in one session, before it is ended."""
    max_junk_commands: Count = 100
    """Commands that bring no message nearer, such as NOOP and RSET, since the last message that was accepted."""
    fields: tuple[TraceField, ...] = DEFAULT_FIELDS
    """What is put on top of messages."""
    refuse_bare_line_ends: bool = True
    """Refuse messages with a CR or LF that is not part of CRLF."""
    tls_certificate: Path | None = None
    """PEM, with its chain; where it is given, STARTTLS is offered (RFC 3207)."""
    tls_key: Path | None = None
    """Where the key is not in the file of the certificate."""


@dataclass(frozen=True, slots=True)
class PolicydConfig:
    """``[policyd]``: the policy service beside Postfix."""

    listen: tuple[ListenText, ...] = ("inet:127.0.0.1:10040",)
    """Sockets for Postfix's check_policy_service."""
    policy: PolicySettings = field(default_factory=PolicySettings)
    """Its settings are keys of this table."""


@dataclass(frozen=True, slots=True)
class MilterConfig:
    """``[milter]``: the milter beside Postfix; each list of sockets has its mode."""

    listen: tuple[ListenText, ...] = ()
    """Sockets that verify and sign."""
    listen_verify: tuple[ListenText, ...] = ()
    """Sockets that only verify, for port 25."""
    listen_sign: tuple[ListenText, ...] = ()
    """Sockets that only sign, for submission."""
    policy: MilterSettings = field(default_factory=MilterSettings)
    """Its settings are keys of this table."""


@dataclass(frozen=True, slots=True)
class SrsConfig:
    """``[srs]``: rewriting the senders of forwarded mail, as tables for Postfix's canonical maps."""

    domain: DomainName
    """Of rewritten senders; it has an SPF record for this server, and mail to it comes here."""
    secrets: tuple[str, ...] = ()
    """The newest first; all are accepted."""
    secret_file: Path | None = None
    """One secret on each line, behind those above."""
    own_domains: tuple[DomainName, ...] = ()
    """Senders that stay as they are, beside those in `domains`."""
    listen: tuple[ListenText, ...] = ("inet:127.0.0.1:10003",)
    """Sockets of socketmap_table(5), with the maps ``forward`` and ``reverse``."""
    listen_forward: tuple[ListenText, ...] = ()
    """Sockets of tcp_table(5) for sender_canonical_maps."""
    listen_reverse: tuple[ListenText, ...] = ()
    """Sockets of tcp_table(5) for recipient_canonical_maps."""
    policy: SrsPolicy = field(default_factory=SrsPolicy)
    """Its settings are keys of this table."""


LogFormat: TypeAlias = Literal["plain", "json"]


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """``[service]``: how the services run."""

    socket_mode: SocketMode = "0660"
    """Who may connect to unix sockets."""
    socket_group: str | None = None
    """The group of unix sockets; without it, that of the process."""
    log: LogFormat = "plain"
    """Lines for people ("plain"), or a JSON object on each line."""
    metrics: ListenText | None = None
    """Where counters (``/metrics``) and the health check (``/health``) are served over HTTP."""
    workers: Count = 1
    """Processes that share the sockets."""
    grace: Seconds = 30.0
    """How long SIGTERM waits for what is in hand."""


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration file."""

    hostname: HostName
    """This server: the name in its greeting, and the authserv-id of RFC 8601 where that is not given."""
    authserv_id: HostName | None = None
    """The authserv-id of RFC 8601, if it is another: section 2.5 has one for all servers of a site."""
    networks: tuple[Network, ...] = ()
    """Our own clients."""
    domains: tuple[DomainName, ...] = ()
    """What we receive mail for."""
    delay_reject: bool = True
    """Speak every verdict at RCPT, where sender and recipient are known and can be logged."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    resolver: ResolverConfig = field(default_factory=ResolverConfig)
    rbl: RblConfig = field(default_factory=RblConfig)
    spf: SpfPolicy = field(default_factory=SpfPolicy)
    dkim: DkimPolicy = field(default_factory=DkimPolicy)
    dmarc: DmarcConfig = field(default_factory=DmarcConfig)
    greylist: GreylistConfig = field(default_factory=GreylistConfig)
    restrictions: RestrictionConfig | None = None
    """Without it: `reject_rbl`, `reject_unauth_destination`, `check_spf`, `greylist`, `check_dkim`, `check_dmarc`, as
    far as the file has what they go by; our own clients are let through."""
    signing: tuple[SigningConfig, ...] = ()
    """Keys for mail of our own clients; with neither these nor `signing_table`, nothing is signed."""
    signing_table: Path | None = None
    """The same as a file of its own: ``[[sign]]`` tables (TOML), or a classic key list."""
    listen: ListenConfig | None = None
    """Without it, a server of ours has the defaults of `ListenConfig`."""
    policyd: PolicydConfig | None = None
    """Without it, ``mailauth serve`` has no policy service, and ``mailauth policyd`` the defaults, or `srs` alone."""
    milter: MilterConfig | None = None
    """Without it there is no milter."""
    srs: SrsConfig | None = None
    """Without it, senders are not rewritten."""
    service: ServiceConfig = field(default_factory=ServiceConfig)
