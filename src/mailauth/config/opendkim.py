"""`import_opendkim`: a configuration of OpenDKIM or dkim-filter as one of ours, and what could not be taken over.

Reads opendkim.conf(5) with the files that it names: KeyTable, SigningTable, InternalHosts, and dkim-filter's KeyList.
Nothing is written, and no key leaves its file.
"""

# OpenDKIM signs by the first pattern of a "refile:" that fits, by the most specific one of a flat file, and by all that
# fit with MultipleSignatures. Ours is always the most specific pattern, with all its keys. Patterns that can be taken
# over are an address, a domain, all domains below one, or everybody: of two that overlap, one always covers the other.
# So each pattern gets the keys by which OpenDKIM would sign for it, and the order needs no place in our table.
#
# With MultipleSignatures and a flat file OpenDKIM 2.11 leaves some matches out, by no rule of its manual; here all
# count, as the manual has it.

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from mailauth.config.errors import ConfigError, Mistake
from mailauth.config.source import read_text
from mailauth.config.values import parse_listen
from mailauth.mail.names import is_fqdn, to_ascii
from mailauth.mail.text import printable

MAX_INCLUDES = 5  # opendkim.conf(5), "Include"

_ABOUT_THE_PROCESS = """
alwaysaddarheader autorestart autorestartcount autorestartrate background basedirectory captureunknownerrors
disablecryptoinit dnsconnect enablecoredumps externalignorelist keeptemporaryfiles logresults logwhy milterdebug pidfile
querycache softstart syslog syslogfacility syslogname syslogsuccess temporarydirectory
""".split()  # noqa: SIM905 - read as a list of words
"""Parameters that need no counterpart: systemd, the log and the cache do this, or we always do."""

_ADVICE = "see check_dkim in restrictions.data; RFC 6376 section 6.3 advises against refusing for this alone"
_DONE_OTHERWISE = {
    "canonicalization": "mail is signed relaxed/relaxed, which survives more on the way",
    "dnstimeout": "one limit holds for all lookups of a message: deadlines.evaluation",
    "dontsignmailto": "mail is signed whoever receives it",
    "macrolist": "give the port of submission a socket that signs: milter.listen_sign",
    "mta": "give the port of submission a socket that signs: milter.listen_sign",
    "mustbesigned": "see dkim.required_fields",
    "omitheaders": "the fields of RFC 6376 section 5.4.1 are signed",
    "on-badsignature": _ADVICE,
    "on-dnserror": "see check_dkim temperror= in restrictions.data",
    "on-keynotfound": _ADVICE,
    "on-nosignature": "see check_dkim require=pass in restrictions.data, and milter.reject_no_aligned_dkim",
    "peerlist": "no client passes without any check; those in networks are signed for and not verified",
    "quarantine": "see milter.quarantine, which follows DMARC",
    "signheaders": "the fields of RFC 6376 section 5.4.1 are signed",
    "signaturettl": "signatures do not expire",
    "trustanchorfile": "DNSSEC is the resolver's: name one that validates in resolver.nameservers",
    "umask": "the mode of unix sockets is service.socket_mode",
    "userid": "the user and group are those of the systemd unit; the group of unix sockets is service.socket_group",
}

_TAKEN_OVER = """
authservid clockdrift domain internalhosts keepauthresults keyfile keylist keytable maximumsignaturestoverify
minimumkeybits mode multiplesignatures nameservers on-default on-internalerror oversignheaders selector
signaturealgorithm signingtable socket subdomains
""".split()  # noqa: SIM905 - read as a list of words

_DEFAULTS = {
    "on-badsignature": "a",
    "on-dnserror": "t",
    "on-keynotfound": "a",
    "on-nosignature": "a",
    "canonicalization": "relaxed/relaxed",
    "quarantine": "n",
}
"""Values with which a parameter of `_DONE_OTHERWISE` asks for nothing that we would not do."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Our configuration as TOML; `notes` say what could not be taken over, or needs the administrator's eye."""

    toml: str
    notes: tuple[Mistake, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"toml": self.toml, "notes": [note.to_dict() for note in self.notes]}


class _Line(NamedTuple):
    """A parameter, or an entry of a dataset: where it stands, its name or key, and its value."""

    file: str
    number: int
    key: str
    value: str


class _Key(NamedTuple):
    domain: str
    selector: str
    path: str


class _Entry(NamedTuple):
    """One line of a signing table: a pattern in our notation, and the key that signs."""

    pattern: str
    key: _Key


def import_opendkim(path: str | PathLike[str], *, hostname: str) -> Imported:
    """Read opendkim.conf, or dkim-filter.conf; `hostname` is this server's name.

    Raises `OSError` or `ConfigError` where the file itself cannot be read; what is wrong with the files that it names
    is noted.
    """
    return _Import(Path(path), hostname).result()


class _Import:
    def __init__(self, path: Path, hostname: str) -> None:
        self.path = path
        self.hostname = hostname
        self.notes: list[Mistake] = []
        self.settings = {line.key.lower(): line for line in self._parameters(read_text(path), path, MAX_INCLUDES)}
        self.folder = Path(self._value("basedirectory") or path.parent)

    def result(self) -> Imported:
        for name, setting in self.settings.items():
            if name in _DONE_OTHERWISE:
                default = _DEFAULTS.get(name)
                if default is None or not setting.value.lower().startswith(default):
                    self._note(setting, f"{setting.value!r} is not taken over: {_DONE_OTHERWISE[name]}")
            elif name not in (*_TAKEN_OVER, *_ABOUT_THE_PROCESS):
                self._note(setting, "not taken over: there is no such setting here")
        tables = [
            ("", self._server()),
            ("[resolver]", {"nameservers": self._value("nameservers").replace(",", " ").split()}),
            ("[dkim]", self._dkim()),
            *(("[[signing]]", table) for table in self._signing()),
            ("[milter]", self._milter()),
        ]
        head = [
            f"# Made from {self.path} by mailauth config import-opendkim; mailauth config check FILE checks it.",
            "# OpenDKIM signs for whatever is in From. Here the sender must be the client's own: From is in the domain",
            "# of its login or of MAIL FROM, or the key's table in [[signing]] names the client in allow = [...].",
            *(f"# {note}" for note in self.notes),
        ]
        lines = [printable(line, len(line)) for line in head]
        for name, table in tables:
            values = [f"{key} = {_toml(value)}" for key, value in table.items() if value not in ([], None)]
            lines += ["", *([name] if name else []), *values] if values else []
        return Imported("\n".join(lines) + "\n", tuple(self.notes))

    # --- the file and what it names ---

    def _parameters(self, text: str, path: Path, depth: int) -> Iterator[_Line]:
        for number, line in enumerate(text.split("\n"), 1):
            words = line.split("#", 1)[0].split(None, 1)
            if not words:
                continue
            setting = _Line(str(path), number, words[0], words[1].strip() if len(words) > 1 else "")
            if setting.key.lower() != "include":
                yield setting
            elif depth:
                included = path.parent / setting.value
                yield from self._parameters(self._read(setting, included), included, depth - 1)
            else:
                self._note(setting, f"more than {MAX_INCLUDES} files within each other")

    def _read(self, where: _Line, path: Path) -> str:
        """The text of a file that the configuration names; "" and a note where it cannot be read."""
        try:
            return read_text(path)
        except OSError as error:
            self._note(where, f"cannot read {path}: {error.strerror}")
        except ConfigError as error:
            self._note(where, f"cannot read {path}: {error.mistakes[0].problem}")
        except ValueError as error:  # NUL in the path
            self._note(where, f"no path of a file: {error}")
        return ""

    def _value(self, name: str) -> str:
        setting = self.settings.get(name)
        return "" if setting is None else setting.value

    def _is_on(self, name: str) -> bool:
        return self._value(name)[:1].lower() in {"t", "y", "1"}  # opendkim.conf(5), "Boolean"

    def _note(self, where: _Line, words: str) -> None:
        self.notes.append(Mistake(where.file, where.number, where.key, words))

    def _dataset(self, name: str) -> list[_Line]:
        """The entries of a dataset: of a file, or of the value itself, separated by commas (opendkim(8), DATA SETS)."""
        setting = self.settings.get(name)
        if setting is None:
            return []
        kind, colon, rest = setting.value.partition(":")
        if (colon and kind in {"file", "refile"}) or setting.value.startswith("/") or name == "keylist":
            path = self.folder / (rest if colon and kind in {"file", "refile"} else setting.value)
            text = self._read(setting, path)
            lines = [
                (number, line.split("#", 1)[0].strip().split(None, 1))
                for number, line in enumerate(text.split("\n"), 1)
            ]
            return [_Line(str(path), number, *(*words, "")[:2]) for number, words in lines if words]
        if colon and kind in {"db", "dsn", "ldap", "ldaps", "ldapi", "lua", "memcache", "erlang", "mdb"}:
            self._note(setting, f"{kind}: cannot be read; write the entries to a file, and name it as file:/path")
            return []
        texts = setting.value.removeprefix("csl:").split(",")
        entries = [text.strip().partition("=") for text in texts if text.strip()]
        return [_Line(setting.file, setting.number, key.strip(), value.strip()) for key, _, value in entries]

    # --- the tables ---

    def _server(self) -> dict[str, Any]:
        name = self._value("authservid")
        if name and name != "HOSTNAME" and not is_fqdn(name):
            self._note(self.settings["authservid"], f"{name!r} is no host name; the authserv-id is {self.hostname}")
            name = ""
        networks = []
        for entry in self._dataset("internalhosts"):
            text = entry.key.replace("[", "").replace("]", "")
            if text.lower() == "localhost":
                networks += ["127.0.0.1/32", "::1/128"]
                continue
            try:
                network = ip_network(text, strict=False)
            except ValueError:
                self._note(entry, "not taken over: networks has addresses; name those of this host")
                continue
            if network.prefixlen == 0:
                # Networks are let through everywhere, by permit_mynetworks too: this would be an open relay.
                self._note(entry, "not taken over: networks are our own clients, who may send mail to anybody")
            else:
                networks.append(str(network))
        if "internalhosts" not in self.settings:
            networks = ["127.0.0.1/32"]  # opendkim.conf(5), "InternalHosts"
        return {
            "hostname": self.hostname,
            **({"authserv_id": name} if name not in ("", "HOSTNAME") else {}),
            "networks": list(dict.fromkeys(networks)),
        }

    def _dkim(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, key, least in (
            ("minimumkeybits", "min_rsa_bits", 1024),  # RFC 8301 section 3.2
            ("maximumsignaturestoverify", "max_signatures", 1),
            ("clockdrift", "clock_skew", 0),
        ):
            value = self._value(name)
            if value.isascii() and value.isdigit() and int(value) >= least:
                found[key] = int(value)
            elif value:
                self._note(
                    self.settings[name], f"{value!r} is not taken over: dkim.{key} is a number, at least {least}"
                )
        return found

    def _milter(self) -> dict[str, Any]:
        if "socket" not in self.settings:
            return {}
        mode = self._value("mode").lower() or "sv"
        name = {"s": "listen_sign", "v": "listen_verify"}.get(mode, "listen")
        failure = self._value("on-internalerror") or self._value("on-default") or "tempfail"
        if failure[:1].lower() not in {"a", "t"}:
            setting = self.settings.get("on-internalerror") or self.settings["on-default"]
            self._note(setting, f"{failure!r} is not taken over: milter.on_failure is accept or tempfail")
        default = self.settings.get("on-default")
        if default is not None and default.value[:1].lower() != "a":
            self._note(default, "taken over for failures of our own alone; see check_dkim in restrictions.data")
        table: dict[str, Any] = {}
        if sockets := list(self._sockets(self.settings["socket"])):
            table[name] = sockets
        table["on_failure"] = "accept" if failure[:1].lower() == "a" else "tempfail"
        if self._is_on("keepauthresults"):
            table["remove_forged"] = False
        return table

    def _sockets(self, setting: _Line) -> Iterator[str]:
        """The socket in our notation; none, with a note, where it is no address."""
        listen = self._socket(setting)
        try:
            parse_listen(listen)
        except ValueError as error:
            self._note(setting, f"not taken over: {error}")
        else:
            yield listen

    def _socket(self, setting: _Line) -> str:
        """``inet:port@host`` and ``local:/path`` in our notation."""
        kind, _, rest = setting.value.partition(":")
        if kind in {"inet", "inet6"}:
            port, at, host = rest.partition("@")
            if not at:
                self._note(setting, "on all addresses of this host: taken over for 127.0.0.1 alone")
            return f"inet:{host or '127.0.0.1'}:{port}"
        return f"unix:{rest if kind in {'local', 'unix'} else setting.value}"

    def _signing(self) -> list[dict[str, Any]]:
        algorithm = self._value("signaturealgorithm").lower()
        if algorithm not in ("", "rsa-sha256", "ed25519-sha256"):
            self._note(self.settings["signaturealgorithm"], "not taken over: only SHA-256 signs (RFC 8301 section 3.1)")
        if "keylist" in self.settings:
            ordered, entries = True, list(self._key_list())
        elif "keytable" in self.settings:
            table = self.settings.get("signingtable")
            ordered, entries = table is not None and table.value.startswith("refile:"), list(self._signing_table())
        else:
            ordered, entries = False, list(self._single_key())
        for path in dict.fromkeys(entry.key.path for entry in entries):
            try:
                with open(path, "rb"):
                    pass
            except (OSError, ValueError) as error:
                name = next(name for name in ("keylist", "keytable", "keyfile") if name in self.settings)
                self._note(self.settings[name], f"the key cannot be read: {error}")
        senders: dict[_Key, list[str]] = {}
        for pattern, keys in _keys_by_pattern(entries, ordered, self._is_on("multiplesignatures")).items():
            for key in keys:
                senders.setdefault(key, []).append(pattern)
        return [
            {"senders": patterns, "selector": key.selector, "key": key.path, "domain": key.domain}
            for key, patterns in senders.items()
        ]

    def _single_key(self) -> Iterator[_Entry]:
        """Domain, Selector and KeyFile: one key for some domains."""
        if "keyfile" not in self.settings:
            return
        path, selector = str(self.folder / self._value("keyfile")), self._value("selector")
        for line in self._dataset("domain"):
            domain = to_ascii(line.key)
            if domain is None or not is_fqdn(domain):
                self._note(line, "not taken over: no domain")
                continue
            yield _Entry(domain, _Key(domain, selector, path))
            if self._is_on("subdomains"):
                yield _Entry(f"*.{domain}", _Key(domain, selector, path))

    def _key_list(self) -> Iterator[_Entry]:
        """dkim-filter's ``pattern:domain:path``; the selector is the name of the file."""
        for line in self._dataset("keylist"):
            pattern, _, rest = line.key.partition(":")
            domain, colon, path = rest.partition(":")
            own = _pattern(pattern, wildcards=True)
            if own is None or not colon:
                self._note(line, f"not taken over: {'no pattern:domain:path' if own else _NO_PATTERN}")
                continue
            selector = re.sub(r"\.(?:pem|key|private|der)$", "", Path(path).name)
            yield _Entry(own, _Key(domain, selector, str(self.folder / path)))

    def _signing_table(self) -> Iterator[_Entry]:
        """SigningTable by way of KeyTable."""
        keys: dict[str, _Key] = {}
        for line in self._dataset("keytable"):
            domain, _, rest = line.value.partition(":")
            selector, _, path = rest.partition(":")
            # opendkim.conf(5), "KeyTable": anything else is the key itself
            if not path.startswith(("/", "./", "../")):
                self._note(line, "not taken over: the key stands in the table itself; put it into a file")
            elif "%" in path:
                self._note(line, "not taken over: a path for each domain; write an entry for each of them")
            else:
                keys[line.key] = _Key(domain, selector, str(self.folder / path))
        wildcards = self._value("signingtable").startswith("refile:")
        for line in self._dataset("signingtable"):
            name, _, identity = line.value.partition(":")
            pattern = _pattern(line.key, wildcards)
            if identity:
                self._note(line, f"the signer {identity!r} (i=) is not taken over")
            if pattern is None:
                never = not wildcards and "*" in line.key
                words = "OpenDKIM never used it: wildcards need refile:" if never else _NO_PATTERN
                self._note(line, f"not taken over: {words}")
            elif name == "%":
                # The key is the one named as the domain in From.
                found = [domain for domain in keys if _covers(pattern, domain)]
                yield from (_Entry(domain, keys[domain]) for domain in found if is_fqdn(domain))
            elif name in keys:
                yield _Entry(pattern, keys[name])
            else:
                self._note(line, f"not taken over: the key {name!r} is not in KeyTable, or not usable there")


_NO_PATTERN = "a pattern is an address, *@domain, *@*.domain or *"


def _pattern(text: str, wildcards: bool) -> str | None:
    """A sender's pattern in our notation; None for one that we do not have."""
    text = text.lower()
    if text in ("*", "*@*") and (wildcards or text == "*"):
        return "*"
    if wildcards:
        # A wildcard stands for any text, so a pattern without "@" matches no address, but for "*.domain".
        if "@" not in text and not text.startswith("*."):
            return None
        text = text.removeprefix("*@")
    elif text.startswith("."):
        text = "*" + text
    elif "*" in text:
        return None
    local_part, at, domain = text.rpartition("@")
    below = "*." if domain.startswith("*.") else ""
    name = to_ascii(domain.removeprefix("*."))
    if name is None or not is_fqdn(name) or "*" in local_part or (at and (below or not local_part)):
        return None
    return f"{local_part}{at}{below}{name}"


def _covers(pattern: str, other: str) -> bool:
    """Whether every sender of the other pattern is one of the first."""
    if pattern in ("*", other):
        return True
    domain = other.rpartition("@")[2]
    if pattern.startswith("*."):
        return domain != "*" and f".{domain.removeprefix('*.')}".endswith(pattern[1:]) and domain != pattern[2:]
    return "@" not in pattern and "@" in other and domain == pattern


def _keys_by_pattern(entries: Iterable[_Entry], ordered: bool, several: bool) -> dict[str, list[_Key]]:
    """The keys by which OpenDKIM signs for each pattern; see the head of this file."""
    entries = list(entries)
    found: dict[str, list[_Key]] = {}
    for pattern in dict.fromkeys(entry.pattern for entry in entries):
        if several:
            keys = [entry.key for entry in entries if _covers(entry.pattern, pattern)]
        elif ordered:
            keys = [next(entry.key for entry in entries if _covers(entry.pattern, pattern))]
        else:
            keys = [next(entry.key for entry in entries if entry.pattern == pattern)]
        found[pattern] = list(dict.fromkeys(keys))
    return found


def _toml(value: Any) -> str:
    """A value as TOML: of its strings, JSON's are a subset but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
