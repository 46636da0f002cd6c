"""Peers in other languages: one process each, which lives as long as its subject (benchmarks/worker.py).

Every peer is used through its public interface and has its DNS in memory. What a driver can be asked to prepare:

    case="dkim-verify", message=FILE, zone=RECORDS                             results of all signatures, a list
    case="dkim-sign", message=FILE, pem=FILE, domain=..., selector=..., algorithm="rsa-sha256",
         canonicalization="relaxed/relaxed"                                    the field
    case="spf", ip=..., helo=..., mail_from=..., zone=RECORDS                  the result
    case="dmarc", author=..., spf_domain=..., dkim_domain=..., zone=RECORDS    the result and the policy, a list
    case="whole", message=FILE, hostname=..., and what SPF has                 {"spf": ..., "dkim": [...], "dmarc": ...}

RECORDS are strings, "NAME TYPE VALUE"; domain and dkim_domain are proven ones.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Contender, cannot, missing
from benchmarks.worker import Worker

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "peers"
INSTALLING = 120.0
"""Seconds that a package manager or a compiler may take."""

NPM_PACKAGE, NODE_PACKAGE = "mailauth@7.1.0", "node@24"
NODE_NEEDED = (22, 19)
"""The oldest Node that this version of npm's mailauth supports (its package.json, `engines`)."""


class NotInstalled(Exception):
    """The peer is not here: one line says why, and its column shows it."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Its name in the tables, the cases that it has, and `install`, which returns its version and its command.

    `expected` says that CI installs it, so that there its absence is an error.
    """

    name: str
    cases: frozenset[str]
    install: Callable[[], tuple[str, Sequence[str]]]
    expected: bool = True


class Peers:
    """All that are here, each started when it is first needed, until the block ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._workers: dict[str, Worker | None] = {}
        self._count = 0

    def __enter__(self) -> Peers:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mailauth-bench-")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def file(self, octets: bytes) -> str:
        """The path of a file that holds them: messages and keys are too long for a line."""
        self._count += 1
        path = self._folder / str(self._count)
        path.write_bytes(octets)
        return str(path)

    def contenders(
        self, case: str, check: Callable[[Any], bool], *, unable: Mapping[str, str] | None = None, **work: Any
    ) -> list[Contender]:
        """Whoever has the case, each with the work done once and its result checked.

        `unable` are names of peers that do not do this work, and why, in two or three words.
        """
        having, whys = [peer for peer in PEERS if case in peer.cases], unable or {}
        return [
            cannot(peer.name, whys[peer.name]) if peer.name in whys else self.contender(peer, case, check, **work)
            for peer in having
        ]

    def contender(self, peer: Peer, case: str, check: Callable[[Any], bool], **work: Any) -> Contender:
        """One of them."""
        if peer.name not in self._workers:
            self._workers[peer.name] = self._start(peer)
        worker = self._workers[peer.name]
        if worker is None:
            return missing(peer.name) if peer.expected else cannot(peer.name, "not installed")
        self._count += 1
        return worker.contender(f"{case} {self._count}", check, case=case, **work)

    def _start(self, peer: Peer) -> Worker | None:
        try:
            version, command = peer.install()
        except NotInstalled as error:
            print(f"  {peer.name} is left out: {error}", flush=True)
            return None
        return self._stack.enter_context(Worker(peer.name, version, command))


def records(zone: Mapping[tuple[str, str], Sequence[str]]) -> list[str]:
    """A zone as `ZoneResolver` takes it, as the drivers do."""
    return [f"{name} {rtype} {value}" for (name, rtype), values in zone.items() for value in values]


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise NotInstalled(f"there is no {name} (Debian: apt-get install {package})")
    return path


def _output(command: Sequence[str], trouble: str) -> str:
    """What it prints. Whatever goes wrong, the peer counts as not installed."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=INSTALLING, check=True).stdout.strip()
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        raise NotInstalled(f"{trouble}: {said[0]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{trouble}: {error}") from None


def _mail_dkim() -> tuple[str, Sequence[str]]:
    return _perl("Mail::DKIM", "libmail-dkim-perl", "mail_dkim.pl")


def _mail_spf() -> tuple[str, Sequence[str]]:
    return _perl("Mail::SPF", "libmail-spf-perl", "mail_spf.pl")


def _perl(module: str, package: str, driver: str) -> tuple[str, Sequence[str]]:
    perl = _program("perl", "perl")
    asked = [perl, f"-M{module}", "-MJSON::PP", "-e", f"print {module}->VERSION"]
    version = _output(asked, f"it does not load (Debian: apt-get install {package})")
    return version.lstrip("v"), [perl, str(HERE / driver)]


def _libspf2() -> tuple[str, Sequence[str]]:
    """Compiled when it is first needed, and when the driver has changed."""
    source, program = HERE / "spf2.c", BUILD / "spf2"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        compiler = _program("cc", "gcc libc6-dev")
        BUILD.mkdir(parents=True, exist_ok=True)
        command = [compiler, "-O2", "-Wall", "-o", str(program), str(source), "-lspf2"]
        _output(command, "its driver does not compile (Debian: apt-get install libspf2-dev)")
    return _output([str(program), "version"], "its driver does not run"), [str(program)]


def _npm_mailauth() -> tuple[str, Sequence[str]]:
    """Installed below build/, with a Node that it supports where the machine's is older."""
    node, npm = _program("node", "nodejs"), _program("npm", "npm")
    major, minor, *_ = _output([node, "--version"], "node does not run").lstrip("v").split(".")
    own_node = (int(major), int(minor)) < NODE_NEEDED
    packages = [NPM_PACKAGE, *([NODE_PACKAGE] if own_node else [])]
    folder = BUILD / "npm"
    installed = folder / "installed"
    if not installed.exists() or installed.read_text() != " ".join(packages):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n')
        quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
        # A registry that is out of reach is found out soon: each subject tries anew.
        soon = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000"]
        command = [npm, "install", "--prefix", str(folder), *quiet, *soon, *packages]
        _output(command, f"npm does not install {' and '.join(packages)}")
        installed.write_text(" ".join(packages))
    if own_node:
        node = str(folder / "node_modules" / ".bin" / "node")
    package = json.dumps(str(folder / "node_modules" / "mailauth"))
    asked = f"require({package}); console.log(require({package} + '/package.json').version, process.versions.node)"
    version, of_node = _output([node, "-e", asked], "it does not load").split()
    return f"{version} (Node {of_node})", [node, str(HERE / "npm_mailauth.cjs"), str(folder)]


PEERS = (
    Peer("Mail::DKIM", frozenset({"dkim-verify", "dkim-sign"}), _mail_dkim),
    Peer("Mail::SPF", frozenset({"spf"}), _mail_spf),
    Peer("libspf2", frozenset({"spf"}), _libspf2),
    Peer(
        "npm mailauth", frozenset({"dkim-verify", "dkim-sign", "spf", "dmarc", "whole"}), _npm_mailauth, expected=False
    ),
)
