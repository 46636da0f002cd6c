"""``mailauth config import-opendkim``: what OpenDKIM's files say is done by ours, or said not to be."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth.cli import main
from mailauth.config import Config, ConfigError, Imported, import_opendkim, parse, signing_table
from mailauth.dkim import generate_key
from tests.servers import need

HOST = "mx.here.example"


def imported(folder: Path, text: str, **files: str) -> Imported:
    """From the text of opendkim.conf, and files beside it (``key_table="..."``); ``@/`` is their folder."""
    (folder / "opendkim.conf").write_text(text.replace("@/", f"{folder}/"))
    for name, content in files.items():
        (folder / name).write_text(content)
    return import_opendkim(folder / "opendkim.conf", hostname=HOST)


def values(result: Imported) -> dict[str, Any]:
    return tomllib.loads(result.toml)


def config_of(result: Imported) -> Config:
    """Our own reader takes what was made."""
    return parse(result.toml)


def notes(result: Imported) -> list[str]:
    return [f"{Path(note.file).name}:{note.line}: {note.key}: {note.problem}" for note in result.notes]


def key_file(folder: Path, name: str) -> Path:
    folder.joinpath(name).write_bytes(generate_key("ed25519").pem())
    return folder / name


def signers(result: Imported, sender: str) -> list[tuple[str, str]]:
    """Domain and selector of each key that signs for a sender."""
    table = signing_table(config_of(result))
    return [] if table is None else [(key.domain, key.selector) for key in table.keys_for(sender)]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with the keys a, b and c, and a KeyTable of them."""
    for name in "abc":
        key_file(tmp_path, f"{name}.private")
    (tmp_path / "key_table").write_text(
        f"a example.org:sa:{tmp_path}/a.private\nb example.net:sb:{tmp_path}/b.private  # a comment\n"
        f"c %:sc:{tmp_path}/c.private\n"
    )
    return tmp_path


def test_a_usual_configuration(keys: Path) -> None:
    result = imported(
        keys,
        """
Syslog yes  # in the journal anyway
Canonicalization relaxed/relaxed
Mode sv
Socket inet:8891@localhost
OversignHeaders From
AuthservID mail.here.example
KeyTable @/key_table
SigningTable refile:@/signing_table
InternalHosts refile:@/trusted
Nameservers 192.0.2.53,192.0.2.54
MinimumKeyBits 2048
MaximumSignaturesToVerify 5
ClockDrift 60
On-InternalError accept
KeepAuthResults no
""",
        signing_table="*@example.org a\n*@*.example.org a\n*@example.net b\n",
        trusted="127.0.0.1\n::1\nlocalhost\n192.168.0.1/24\n[2001:db8::]/32\n",
    )
    assert notes(result) == []
    config = config_of(result)
    assert (config.hostname, config.authserv_id) == (HOST, "mail.here.example")
    assert [str(network) for network in config.networks] == [
        "127.0.0.1/32",
        "::1/128",
        "192.168.0.0/24",
        "2001:db8::/32",
    ]
    assert config.resolver.nameservers == ("192.0.2.53", "192.0.2.54")
    assert (config.dkim.min_rsa_bits, config.dkim.max_signatures, config.dkim.clock_skew) == (2048, 5, 60)
    assert values(result)["milter"] == {"listen": ["inet:localhost:8891"], "on_failure": "accept"}
    assert signers(result, "ann@example.org") == signers(result, "ann@a.b.example.org") == [("example.org", "sa")]
    assert signers(result, "ann@example.net") == [("example.net", "sb")]
    assert signers(result, "ann@a.example.net") == []


# opendkim.conf(5), SigningTable: a refile's first match counts, a flat file's most specific one; all with
# MultipleSignatures. The last two columns: the selectors that sign for ann@example.org without and with it.
PATTERNS: list[tuple[str, str, str, list[str], list[str]]] = [
    ("the general first", "refile:", "*@example.org a\nann@example.org b\n", ["sa"], ["sa", "sb"]),
    ("the special first", "refile:", "ann@example.org b\n*@example.org a\n", ["sb"], ["sb", "sa"]),
    ("everybody first", "refile:", "* b\nann@example.org a\n", ["sb"], ["sb", "sa"]),
    ("the same twice", "refile:", "*@example.org a\n*@example.org b\n", ["sa"], ["sa", "sb"]),
    ("a flat file", "file:", "example.org a\nann@example.org b\n* c\n", ["sb"], ["sa", "sb", "sc"]),
    ("no prefix is a flat file", "", "example.org a\n", ["sa"], ["sa"]),
    ("capital letters", "refile:", "*@EXAMPLE.org a\n", ["sa"], ["sa"]),
    ("the sender's domain", "refile:", "* c\n", ["sc"], ["sc"]),
    ("a domain below is not it", "refile:", "*@*.example.org a\n", [], []),
    ("a flat file knows no wildcard", "file:", "*@example.org a\n", [], []),
    ("a wildcard table needs the @", "refile:", "example.org a\n", [], []),
]


@pytest.mark.parametrize(("_", "kind", "table", "first", "all_"), PATTERNS, ids=[each[0] for each in PATTERNS])
def test_who_signs(keys: Path, _: str, kind: str, table: str, first: list[str], all_: list[str]) -> None:
    text = f"KeyTable @/key_table\nSigningTable {kind}@/signing_table\n"
    result = imported(keys, text, signing_table=table)
    assert [selector for _, selector in signers(result, "ann@example.org")] == first
    result = imported(keys, text + "MultipleSignatures yes\n", signing_table=table)
    assert sorted(selector for _, selector in signers(result, "ann@example.org")) == sorted(all_)


@cache
def rsa_pem() -> bytes:
    return generate_key().pem()


@pytest.mark.server
@pytest.mark.parametrize(("_", "kind", "table", "first", "all_"), PATTERNS, ids=[each[0] for each in PATTERNS])
def test_opendkim_agrees(tmp_path: Path, _: str, kind: str, table: str, first: list[str], all_: list[str]) -> None:
    """OpenDKIM itself signs with the same keys."""
    opendkim = need("opendkim", "opendkim")
    key, message = tmp_path / "key", tmp_path / "message"
    key.write_bytes(rsa_pem())
    key.chmod(0o600)
    message.write_text("From: ann@example.org\nTo: x@example.net\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n\nhi\n")
    (tmp_path / "table").write_text(table)
    (tmp_path / "keys").write_text(f"a example.org:sa:{key}\nb example.net:sb:{key}\nc %:sc:{key}\n")
    base = f"Mode s\nRequireSafeKeys no\nKeyTable {tmp_path}/keys\nSigningTable {kind}{tmp_path}/table\n"
    for several, expected in (("no", first), ("yes", all_)):
        if several == "yes" and kind != "refile:" and len(all_) > 1:
            continue  # see the head of opendkim.py
        (tmp_path / "conf").write_text(f"{base}MultipleSignatures {several}\n")
        command = [opendkim, "-x", str(tmp_path / "conf"), "-t", str(message), "-vvv"]
        output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        assert sorted(re.findall(r"\bs=(s[abc]);", output)) == sorted(expected)


def test_the_senders_domain(keys: Path) -> None:
    text = "KeyTable @/key_table\nSigningTable refile:@/signing_table\n"
    assert signers(imported(keys, text, signing_table="* c\n"), "x@other.example") == [("other.example", "sc")]
    by_name = f"example.org example.org:s1:{keys}/a.private\nexample.net example.net:s2:{keys}/b.private\n"
    result = imported(keys, text, signing_table="* %\n", key_table=by_name)
    assert signers(result, "x@example.net") == [("example.net", "s2")]
    assert signers(result, "x@other.example") == []


def test_one_key_without_tables(keys: Path) -> None:
    text = "Domain example.org, example.net\nSelector 2026a\nKeyFile @/a.private\n"
    assert signers(imported(keys, text), "x@example.net") == [("example.net", "2026a")]
    assert signers(imported(keys, text), "x@a.example.net") == []
    assert signers(imported(keys, text + "SubDomains yes\n"), "x@a.example.net") == [("example.net", "2026a")]
    # InternalHosts: 127.0.0.1 unless it is given.
    assert values(imported(keys, text))["networks"] == ["127.0.0.1/32"]


def test_the_key_list_of_dkim_filter(keys: Path) -> None:
    result = imported(
        keys,
        "KeyList @/list\nInternalHosts @/hosts\n",
        list="# pattern:domain:path\n*@example.org:example.org:a.private\n*:example.net:@/b.private\n".replace(
            "@/", f"{keys}/"
        ),
        hosts="10.0.0.0/8\n",
    )
    assert signers(result, "x@example.org") == [("example.org", "a")]
    assert signers(result, "x@other.example") == [("example.net", "b")]
    assert values(result)["networks"] == ["10.0.0.0/8"]


def test_what_cannot_be_taken_over_is_said(keys: Path) -> None:
    result = imported(
        keys,
        """KeyTable @/key_table
SigningTable refile:@/signing_table
InternalHosts @/trusted
BodyLengthDB file:/etc/lengths
SignatureAlgorithm rsa-sha1
MinimumKeyBits 512
On-BadSignature reject
Canonicalization simple
Socket inet:8891
PeerList dsn:mysql://host
""",
        key_table=f"a example.org:sa:{keys}/a.private\ninline example.org:s:MIIEow\nall %:s:/keys/%/s\n"
        f"gone example.org:s:{keys}/gone\n",
        signing_table="info*@example.org a\n*@example.org a:@example.org\n*@x.example inline\n*@y.example gone\n",
        trusted="*.example.org\n0.0.0.0/0\n!192.0.2.1\n",
    )
    text = "\n".join(notes(result))
    for line in (
        "opendkim.conf:4: BodyLengthDB: not taken over: there is no such setting here",
        "opendkim.conf:5: SignatureAlgorithm: not taken over: only SHA-256 signs (RFC 8301 section 3.1)",
        "opendkim.conf:6: MinimumKeyBits: '512' is not taken over",
        "opendkim.conf:7: On-BadSignature: 'reject' is not taken over",
        "opendkim.conf:8: Canonicalization: 'simple' is not taken over",
        "opendkim.conf:9: Socket: on all addresses of this host",
        "opendkim.conf:10: PeerList: ",
        "key_table:2: inline: not taken over: the key stands in the table itself",
        "key_table:3: all: not taken over: a path for each domain",
        f"opendkim.conf:1: KeyTable: the key cannot be read: [Errno 2] No such file or directory: '{keys}/gone'",
        "signing_table:1: info*@example.org: not taken over: a pattern is",
        "signing_table:2: *@example.org: the signer '@example.org' (i=) is not taken over",
        "signing_table:3: *@x.example: not taken over: the key 'inline'",
        "trusted:1: *.example.org: not taken over",
        # As networks these would be an open relay.
        "trusted:2: 0.0.0.0/0: not taken over",
        "trusted:3: !192.0.2.1: not taken over",
    ):
        assert line in text
    assert [line for line in result.toml.splitlines() if "MIIEow" in line] == []
    assert all(f"# {note}" in result.toml for note in result.notes)
    assert "networks" not in values(result)


def test_included_files(keys: Path) -> None:
    (keys / "more.conf").write_text("AuthservID a.example\n")
    assert values(imported(keys, "Include more.conf\n"))["authserv_id"] == "a.example"
    (keys / "round.conf").write_text("Include round.conf\n")
    assert notes(imported(keys, "Include round.conf\n")) == [
        "round.conf:1: Include: more than 5 files within each other"
    ]
    assert notes(imported(keys, "Include gone.conf\n")) == [
        f"opendkim.conf:1: Include: cannot read {keys}/gone.conf: No such file or directory"
    ]


def test_sockets_and_modes(tmp_path: Path) -> None:
    for text, milter in (
        ("Socket local:/run/o.sock\nMode s\n", {"listen_sign": ["unix:/run/o.sock"], "on_failure": "tempfail"}),
        ("Socket /run/o.sock\nMode v\n", {"listen_verify": ["unix:/run/o.sock"], "on_failure": "tempfail"}),
        ("Socket inet6:8891@[::1]\n", {"listen": ["inet:[::1]:8891"], "on_failure": "tempfail"}),
        (
            "Socket unix:/o\nKeepAuthResults 1\nOn-Default a\n",
            {"listen": ["unix:/o"], "on_failure": "accept", "remove_forged": False},
        ),
    ):
        assert values(imported(tmp_path, text))["milter"] == milter


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "opendkim.conf"
    file.write_text("Socket inet:8891@127.0.0.1\nUserID opendkim\n")
    assert main(["config", "import-opendkim", str(file), "--hostname", HOST]) == 0
    out, err = capsys.readouterr()
    assert tomllib.loads(out)["hostname"] == HOST
    assert err.startswith(f"{file}:2: UserID: 'opendkim' is not taken over")
    assert main(["config", "import-opendkim", str(file), "--json", "--hostname", HOST]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["toml"] == out
    assert printed["notes"][0]["line"] == 2
    assert main(["config", "import-opendkim", str(tmp_path / "gone")]) == 2
    assert "cannot read" in capsys.readouterr().err


LINES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "Socket",
                "KeyTable",
                "SigningTable",
                "KeyFile",
                "Domain",
                "Selector",
                "InternalHosts",
                "Mode",
                "X",
                "KeyList",
            ]
        ),
        st.text(st.characters(codec="utf-8"), max_size=30)
        | st.sampled_from(["a=example.org:s:/k", "*=a", "file:/nowhere", "refile:.", "::", "csl:a=b", "0/0"]),
    )
)


@given(LINES)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file(tmp_path: Path, lines: list[tuple[str, str]]) -> None:
    """Any text is a configuration with notes, in TOML that can be read."""
    (tmp_path / "o.conf").write_bytes("\n".join(" ".join(line) for line in lines).encode())
    try:
        result = import_opendkim(tmp_path / "o.conf", hostname=HOST)
    except ConfigError:
        return
    assert values(result)["hostname"] == HOST
