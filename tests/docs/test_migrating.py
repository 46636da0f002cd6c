"""docs/migrating.md: both sides of each row of code, executed, give the same."""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import gzip
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import authheaders
import pytest

import dkim
import spf
from mailauth.cli import main
from mailauth.config import load
from mailauth.dkim import generate_key, record_text
from mailauth.plan import Question
from mailauth.sync import Authenticator
from mailauth.testing import Zone, ZoneServer, make_message, sign_message, signing_key

PAGE = (Path(__file__).parents[2] / "docs/migrating.md").read_text()
SECTIONS = dict(re.findall(r"^## ([\w-]+),? .*?\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
ROWS = [
    (section, there, here)
    for section, text in SECTIONS.items()
    for there, here in re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", text, re.MULTILINE)
    if section in ("dkimpy", "pyspf", "pydnsbl", "authheaders") and "(" in there
]


@pytest.fixture(scope="module")
def zone() -> Zone:
    made = Zone().domain("example.org", spf="v=spf1 ip4:192.0.2.1 -all", dmarc="v=DMARC1; p=reject", dkim=False)
    made.add("mx.example.org", "TXT", "v=spf1 ip4:192.0.2.1 -all").listed("192.0.2.10", "bl.example")
    for kind, selector in (("rsa", "rsa"), ("ed25519", "ed")):
        made.key(signing_key("example.org", selector, kind))  # type: ignore[arg-type]
    return made


def names(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the rows speak of."""
    rsa = signing_key("example.org", "rsa", "rsa")
    seed = bytes(range(32))
    zone.records["ed._domainkey.example.org", "TXT"] = [record_text(generate_key("ed25519"))]

    def dns(name: bytes | str, timeout: float = 5) -> bytes | str | None:
        """One TXT record, as octets or text like the name."""
        text = name if isinstance(name, str) else name.decode()
        answer = zone.lookup(Question(text.rstrip("."), "TXT"))
        found = answer.texts[0] if answer.found else None
        return found.decode() if found is not None and isinstance(name, str) else found

    def lookup(name: str, qtype: str, *_: Any, **__: Any) -> list[Any]:
        answer = zone.lookup(Question(name.lower().rstrip("."), qtype))  # type: ignore[arg-type]
        return [((name, qtype), (text,)) for text in answer.records] if answer.found and qtype == "TXT" else []

    monkeypatch.setattr(spf, "DNSLookup", lookup)
    plain = make_message()
    keys = [rsa, signing_key("example.org", "second", "rsa")]
    zone.key(keys[1])
    return {
        "dkim": dkim,
        "spf": spf,
        "dns": dns,
        "zone": zone,
        "plain": plain,
        "message": sign_message(plain, *keys, now=time.time()),
        "pem": rsa.key.pem(),
        "seed": base64.b64encode(seed),
        "seed_octets": seed,
        "ip": "192.0.2.1",
        "other": "192.0.2.9",
        "sender": "ann@example.org",
        "helo": "mx.example.org",
        "authenticate_message": authheaders.authenticate_message,
        "authenticator": Authenticator("mx.example.net", resolver=zone),
    }


@pytest.mark.parametrize(("section", "there", "here"), ROWS, ids=[f"{row[0]}-{i}" for i, row in enumerate(ROWS)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_sides_give_the_same(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, section: str, there: str, here: str
) -> None:
    known = names(zone, monkeypatch)
    (imports,) = re.findall(r"```python\n(.*?)```", SECTIONS[section], re.DOTALL)
    exec(imports, known)
    if section == "pydnsbl":
        with ZoneServer(zone) as server, checkers(server) as known["checker"]:
            assert eval(there, known) == eval(here, known)
        return
    ours, theirs = eval(here, known), eval(there, known)
    if "sign(" in there:
        # Signatures are made at another time and over other fields: each verifies the other's.
        for signature in (ours, theirs):
            zone.records["ed._domainkey.example.org", "TXT"] = [record_text(_ed(known))]
            assert dkim.verify(signature + known["plain"], dnsfunc=known["dns"])
        return
    assert ours == theirs


def _ed(known: dict[str, Any]) -> Any:
    from mailauth.dkim import load_key

    return load_key(known["seed_octets"])


@contextlib.contextmanager
def checkers(server: ZoneServer) -> Iterator[Callable[[list[str]], Any]]:
    """Makes pydnsbl's checkers that ask this server, and closes what they leave open."""
    why = "pydnsbl 1.1 wants an aiodns that does not stand beside pycares 5: install it by hand, without dependencies"
    pydnsbl = pytest.importorskip("pydnsbl", reason=why)
    aiodns = pytest.importorskip("aiodns", reason=why)
    loop = asyncio.new_event_loop()
    made: list[Any] = []

    def checker(zones: list[str]) -> Any:
        own = pydnsbl.DNSBLIpChecker([pydnsbl.providers.Provider(zone) for zone in zones], loop=loop)
        made.append(own)
        loop.run_until_complete(own._resolver.close())
        own._resolver = aiodns.DNSResolver(
            nameservers=[server.address], udp_port=server.port, tcp_port=server.port, loop=loop
        )
        return own

    try:
        yield checker
    finally:
        for own in made:
            loop.run_until_complete(own._resolver.close())
        loop.close()


def test_there_are_rows_for_each() -> None:
    assert len(ROWS) >= 15


SETTINGS = [
    (section, there, here)
    for section, text in SECTIONS.items()
    for there, here in re.findall(r"^\| (`.+?) \| (.+) \|$", text, re.MULTILINE)
    if section in ("postgrey", "tumgreyspf", "policyd-spf", "OpenDKIM", "OpenDMARC")
]
SIGNING = '[[signing]]\nselector = "2026a"\nkey = "key.pem"\n{}\n'


def test_there_are_settings_for_each() -> None:
    counts = collections.Counter(section for section, _, _ in SETTINGS)
    assert counts.keys() == {"postgrey", "tumgreyspf", "policyd-spf", "OpenDKIM", "OpenDMARC"}
    assert min(counts.values()) >= 12


@pytest.mark.parametrize(("section", "there", "here"), SETTINGS, ids=[f"{row[0]} {row[1]}" for row in SETTINGS])
def test_each_setting_is_read(tmp_path: Path, section: str, there: str, here: str) -> None:
    """Whatever stands there as TOML is taken by the configuration, together with what it needs."""
    for name in ("whitelist_clients", "whitelist_recipients", "greylist-settings.toml"):
        (tmp_path / name).write_text("")
    (tmp_path / "test.zone").write_text("$TTL 60\nexample.org. A 192.0.2.1\n")
    (tmp_path / "key.pem").write_bytes(signing_key("example.net", "2026a", "rsa").key.pem())
    lines = [text for text in re.findall(r"`([^`]+)`", here) if re.match(r"[a-z_.]+ = ", text)]
    senders = [text for text in lines if text.startswith("senders")] or ["senders = ['example.net']"]
    signing = SIGNING.format(senders[0])
    lines = [text for text in lines if not text.startswith("senders")]
    given = {text.split(" = ")[0] for text in lines}
    needed = {"hostname": '"mx.example.net"', "domains": '["example.net"]'}
    if "greylist" in here:
        needed["greylist.store"] = '"memory:"'
    if any(key.startswith("milter.") for key in given) and not any("milter.listen" in key for key in given):
        needed["milter.listen"] = '["inet:127.0.0.1:8899"]'
    lines += [f"{key} = {value}" for key, value in needed.items() if key not in given]
    file = tmp_path / "mailauth.toml"
    file.write_text("\n".join(lines) + "\n" + signing)
    load(file)


MANUALS = {
    "postgrey": ("man8/postgrey.8.gz", r"--[a-z0-9-]+"),
    "OpenDKIM": ("man5/opendkim.conf.5.gz", r"[A-Z][A-Za-z-]+"),
    "OpenDMARC": ("man5/opendmarc.conf.5.gz", r"[A-Z][A-Za-z]+"),
}


@pytest.mark.parametrize("section", MANUALS)
def test_the_options_are_those_of_the_manual(section: str) -> None:
    page, form = MANUALS[section]
    file = Path("/usr/share/man") / page
    if not file.exists():
        pytest.skip(f"{file} is not there: minimal systems leave manual pages out")
    manual = gzip.decompress(file.read_bytes()).decode(errors="replace").replace("\\-", "-").replace("\\", "")
    options = {
        option
        for name, there, _ in SETTINGS
        if name == section
        for text in re.findall(r"`([^`]+)`", there)
        for option in re.findall(rf"^{form}", text)
    }
    assert len(options) > 10
    assert {option for option in options if option not in manual} == set()


def test_the_commands_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    for command in re.findall(r"`mailauth ([a-z]+ [a-z-]+)[^`]*`", PAGE):
        with pytest.raises(SystemExit) as end:
            main([*command.split(), "--help"])
        assert end.value.code == 0
    capsys.readouterr()
