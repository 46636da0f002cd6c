"""Checks of a whole configuration.

What no key can say alone: whether the keys fit together, the restrictions can be made, and the files that are named
can be used.
"""

from __future__ import annotations

import grp
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mailauth import MailAuthError
from mailauth.config.building import signing_table_of, srs_rewriter
from mailauth.config.lists import items, lists_of, read_lists, refuses_relaying
from mailauth.config.restrictions import NotSet, lists_in
from mailauth.config.schema import Config
from mailauth.config.signing import load_signing_table
from mailauth.config.values import ListenAddress, parse_listen
from mailauth.dkim import load_key
from mailauth.rbl import Kind, lint
from mailauth.stores.urls import parse_url

KeyPath = tuple[str | int, ...]
Finding = tuple[KeyPath, str, KeyPath]
"""Where, what is wrong, and the key that it hangs on (empty: none)."""


def findings(config: Config) -> Iterator[Finding]:
    """Everything that is wrong with a configuration whose values are right, each for itself."""
    yield from _restrictions(config)
    yield from _relaying(config)
    yield from _dependencies(config)
    yield from _files(config)


def list_findings(config: Config) -> Iterator[Finding]:
    """Block lists that do nothing, or too much: no reason not to start, since lists die while a file stays."""
    for index, rule in enumerate(config.rbl.lists):
        # A list of domains is not asked about clients; one of e-mail addresses has its own place in a transaction.
        for problem in lint(rule, (Kind.ADDRESS, Kind.DKIM, Kind.EMAIL), threshold=config.rbl.threshold):
            yield ("rbl", "lists", index), problem, ()
    unreadable = {(phase, index) for phase, index, _ in read_lists(config)[1]}
    for phase, index, text in items(config):
        if (phase, index) not in unreadable:
            rules, kinds, threshold = lists_in(text, config)
            for rule in rules:
                for problem in lint(rule, kinds, threshold=threshold):
                    yield ("restrictions", phase, index), problem, ()


def _restrictions(config: Config) -> Iterator[Finding]:
    for phase, index, error in read_lists(config)[1]:
        yield ("restrictions", phase, index), str(error), error.path if isinstance(error, NotSet) else ()


def _relaying(config: Config) -> Iterator[Finding]:
    if config.listen is None:
        return
    for index, network in enumerate(config.networks):
        if network.prefixlen == 0:
            yield ("networks", index), f"{network} is everybody: anybody could relay through this server", ()
    if refuses_relaying(config):
        return
    if config.restrictions is None:
        yield ("domains",), "a server needs to know what it receives mail for: set domains", ("domains",)
    else:
        words = "anybody could relay through this server: put reject_unauth_destination into a list"
        yield ("restrictions", "recipient"), words, ("restrictions",)


def _dependencies(config: Config) -> Iterator[Finding]:
    if config.resolver.zone is not None and config.resolver.nameservers:
        yield ("resolver", "nameservers"), "the zone answers everything: leave out one of the two", ()
    if config.greylist.settings is not None and config.greylist.store is None:
        yield ("greylist", "settings"), "settings without a store do nothing: set store", ("greylist", "store")
    if config.greylist.store is not None and not any(text.startswith("greylist") for text in _texts(config)):
        words = "nothing is greylisted: put greylist into a list of [restrictions]"
        yield ("greylist", "store"), words, ("restrictions",)
    if config.dmarc.reports is not None and config.greylist.store is not None:
        ours, theirs = parse_url(config.dmarc.reports), parse_url(config.greylist.store)
        if ours.kind == theirs.kind == "sqlite" and ours.rest == theirs.rest:
            yield ("dmarc", "reports"), "that is the greylist's file: name another one", ("greylist", "store")
    yield from _services(config)
    if config.listen is not None and config.listen.tls_key and not config.listen.tls_certificate:
        yield ("listen", "tls_key"), "a key without tls_certificate", ("listen", "tls_certificate")


def _services(config: Config) -> Iterator[Finding]:
    milter, group = config.milter, config.service.socket_group
    if milter is not None and not milter.listen + milter.listen_verify + milter.listen_sign:
        yield ("milter",), "it listens nowhere: set listen, listen_verify or listen_sign", ("milter",)
    if milter is not None and milter.listen_sign and not config.signing and config.signing_table is None:
        yield ("milter", "listen_sign"), "nothing signs: set [[signing]] or signing_table", ("signing",)
    if config.srs is not None and not config.srs.listen + config.srs.listen_forward + config.srs.listen_reverse:
        yield ("srs",), "it listens nowhere: set listen, or listen_forward and listen_reverse", ("srs",)
    verifies = milter is not None and bool(milter.listen + milter.listen_verify) and milter.policy.remove_forged
    if verifies and config.policyd is not None and "authentication-results" in config.policyd.policy.fields:
        words = "the milter would take it for forged: leave Authentication-Results to the milter"
        yield ("policyd", "fields"), words, ()
    if config.service.workers > 1 and (config.greylist.store or "").startswith("memory:"):
        yield ("service", "workers"), "each worker would have a memory: of its own: use another greylist.store", ()
    yield from _sockets(config)
    if group is not None:
        try:
            grp.getgrnam(group)
        except KeyError:
            yield ("service", "socket_group"), f"there is no group {group!r}", ()


def _sockets(config: Config) -> Iterator[Finding]:
    """A socket has one service."""
    places: list[tuple[KeyPath, str]] = []
    for name, table in (("policyd", config.policyd), ("milter", config.milter), ("srs", config.srs)):
        for key in ("listen", "listen_verify", "listen_sign", "listen_forward", "listen_reverse"):
            places += [((name, key, index), text) for index, text in enumerate(getattr(table, key, ()))]
    if config.service.metrics is not None:
        places.append((("service", "metrics"), config.service.metrics))
    taken: set[ListenAddress] = set()
    for where, text in places:
        address = parse_listen(text)
        if address in taken:
            yield where, f"{text} is named twice: each list needs sockets of its own", ()
        taken.add(address)


def _texts(config: Config) -> list[str]:
    lists = lists_of(config)
    return [*lists.client, *lists.helo, *lists.sender, *lists.recipient, *lists.data]


def _files(config: Config) -> Iterator[Finding]:
    if config.resolver.zone is not None:
        yield from _tried(("resolver", "zone"), config.resolver.zone, partial(_read_zone, config.resolver.zone))
    if config.greylist.settings is not None:
        path = config.greylist.settings
        yield from _tried(("greylist", "settings"), path, partial(_read_settings, path))
    yield from _signing(config)
    if config.srs is not None:
        where, path = ("secrets", Path()) if config.srs.secret_file is None else ("secret_file", config.srs.secret_file)
        yield from _tried(("srs", where), path, partial(srs_rewriter, config))
    if config.policyd is not None:
        for key in ("whitelist_clients", "whitelist_recipients"):
            for index, path in enumerate(getattr(config.policyd.policy, key)):
                if path.suffix != ".local":
                    yield from _tried(("policyd", key, index), path, path.read_bytes)
    if config.listen is not None and config.listen.tls_certificate is not None:
        yield from _tls(config.listen.tls_certificate, config.listen.tls_key)


def _read_key(path: Path) -> None:
    load_key(path.read_bytes())


def _signing(config: Config) -> Iterator[Finding]:
    for index, entry in enumerate(config.signing):
        found = list(_tried(("signing", index, "key"), entry.key, partial(_read_key, entry.key)))
        yield from found or _tried(("signing", index, "senders"), entry.key, partial(signing_table_of, (entry,)))
    if config.signing_table is not None:
        path = config.signing_table
        yield from _tried(("signing_table",), path, partial(load_signing_table, path))
        if config.signing:
            yield ("signing_table",), "[[signing]] says the same: leave out one of the two", ()


def _tried(where: KeyPath, path: Path, read: Callable[[], object]) -> Iterator[Finding]:
    try:
        read()
    except OSError as error:
        yield where, f"cannot read {path}: {error.strerror or error}", ()
    except (MailAuthError, ValueError) as error:
        yield where, str(error), ()


def _read_zone(path: Path) -> None:
    from mailauth.resolvers import ZoneResolver

    ZoneResolver.from_file(path)


def _read_settings(path: Path) -> None:
    from mailauth.config.greylist import SettingsFile

    SettingsFile(path)


def _no_password() -> str:
    # Without this, OpenSSL asks at the terminal for the password of an encrypted key.
    return ""


def _tls(certificate: Path, key: Path | None) -> Iterator[Finding]:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except OSError as error:  # ssl.SSLError among them
        yield ("listen", "tls_certificate"), f"cannot use the certificate and its key: {error.strerror or error}", ()
