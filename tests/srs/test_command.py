"""``mailauth srs``, the table ``[srs]`` of the configuration, and the service as its user starts it."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import pytest

from mailauth import config
from mailauth.cli import main
from mailauth.config import ConfigError, parse
from tests.servers import free_port
from tests.service.program import Program, connect
from tests.srs.test_rewriting import GOOD, NOW, SECRET, US

HOST = 'hostname = "mx.here.example"\n'
TABLE = f'domains = ["here.example"]\n[srs]\ndomain = "{US}"\nsecrets = ["{SECRET}"]\n'


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n\nan older secret\n")
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["srs", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_forward_and_reverse(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    here = ["--domain", US, "--secret-file", secret, "--now", str(NOW)]
    assert run(capsys, "forward", "ann@example.org", *here) == (0, f"{GOOD}\n", "")
    assert run(capsys, "reverse", GOOD, *here) == (0, "ann@example.org\n", "")
    forged = GOOD.replace("ann", "eve")
    assert run(capsys, "reverse", GOOD, forged, *here) == (
        1,
        f"ann@example.org\n{forged}: the hash is wrong: none of our secrets made it (wrong-hash)\n",
        "",
    )
    status, output, _ = run(capsys, "forward", "ann@example.org", "", "--json", *here)
    assert (status, [each["reason"] for each in json.loads(output)]) == (1, ["rewritten", "null-sender"])
    short = run(capsys, "forward", "ann@example.org", "--hash-length", "4", *here)[1]
    assert run(capsys, "reverse", short.strip(), "--hash-length", "4", *here)[:2] == (0, "ann@example.org\n")


def test_by_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mailauth.toml"
    path.write_text(HOST + TABLE)
    assert run(capsys, "reverse", GOOD, "--config", str(path), "--now", str(NOW))[:2] == (0, "ann@example.org\n")
    assert run(capsys, "forward", "ann@here.example", "--config", str(path))[0] == 1
    path.write_text(HOST)
    assert run(capsys, "forward", "x@y.example", "--config", str(path))[2] == f"mailauth: {path} has no table [srs]\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["forward", "x@y.example"], "give --config, or --domain and --secret-file"),
        (["forward", "x@y.example", "--domain", US, "--secret-file", "/nowhere"], "cannot read /nowhere"),
        (["forward", "x@y.example", "--domain", "a b", "--secret-file", "{secret}"], "is a domain name, not 'a b'"),
        (["forward", "x@y.example", "--domain", US, "--config", "x"], "--config replaces --domain"),
    ],
)
def test_usage(secret: str, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, error = run(capsys, *[word.replace("{secret}", secret) for word in words])
    assert status == 2
    assert complaint in error


def test_a_new_secret(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = run(capsys, "secret")[1].strip(), run(capsys, "secret")[1].strip()
    assert len(first) == len(second) == 32
    assert first != second


# --- the configuration ----------------------------------------------------------------------------------------------


def test_the_table(secret: str) -> None:
    found = config.srs_rewriter(parse(HOST + TABLE))
    assert found is not None
    assert found.reverse(GOOD, now=NOW).address == "ann@example.org"
    assert found.forward("ann@mx.here.example", now=NOW).reason == "own-domain"
    assert config.srs_rewriter(parse(HOST)) is None
    by_file = f'[srs]\ndomain = "{US}"\nsecret_file = "{secret}"\nhash_length = 12\nmin_hash_length = 4\nmax_age = 7\n'
    found = config.srs_rewriter(parse(HOST + by_file))
    assert found is not None
    assert (found.policy.hash_length, found.policy.max_age) == (12, 7)
    assert found.reverse(GOOD, now=NOW).address == "ann@example.org"


@pytest.mark.parametrize(
    ("table", "mistake"),
    [
        ("[srs]\n", "the key 'domain' is missing"),
        ('[srs]\ndomain = "x.example"\n', "there is at least one secret"),
        ('[srs]\ndomain = "x.example"\nsecrets = ["short"]\n', "each of at least 8 octets"),
        ('[srs]\ndomain = "x.example"\nsecret_file = "/nowhere"\n', "cannot read /nowhere"),
        ('[srs]\ndomain = "x.example"\nsecrets = ["a long secret"]\nseparator = "_"\n', "one of = + -"),
        ('[srs]\ndomain = "x.example"\nsecrets = ["a long secret"]\nlisten = []\n', "it listens nowhere"),
    ],
)
def test_mistakes(table: str, mistake: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(HOST + table, "mx.toml")
    assert mistake in str(caught.value)
    assert "a long secret" not in str(caught.value)


# --- the program ----------------------------------------------------------------------------------------------------


def ask(connection: socket.socket, text: str) -> str:
    octets = text.encode()
    connection.sendall(b"%d:%b," % (len(octets), octets))
    reply = b""
    while not reply.endswith(b","):
        piece = connection.recv(4096)
        assert piece
        reply += piece
    return reply.decode().partition(":")[2].removesuffix(",")


def test_policyd_serves_the_tables_and_reads_its_secrets_again(tmp_path: Path) -> None:
    port = free_port()
    text = (
        'domains = ["mailbox.test"]\n[srs]\ndomain = "mailbox.test"\nsecrets = [{}]\n'
        f'listen = ["unix:{tmp_path}/srs.sock"]\nlisten_forward = ["inet:127.0.0.1:{port}"]\n'
    )
    program = Program("policyd", tmp_path, text.format('"the old secret"'))
    try:
        program.start()
        with connect(tmp_path / "srs.sock") as connection:
            old = ask(connection, "forward ann@client.test").removeprefix("OK ")
            assert old.startswith("SRS0=")
            with socket.create_connection(("127.0.0.1", port), timeout=20) as table:
                table.sendall(b"get ann@client.test\n")
                assert table.recv(1000) == f"200 {old}\n".encode()
            program.write(text.format('"the new secret", "the old secret"'))
            program.signal(signal.SIGHUP)
            program.wait_for_log("was read again")
            new = ask(connection, "forward ann@client.test").removeprefix("OK ")
            assert new != old
            assert ask(connection, f"reverse {old}") == ask(connection, f"reverse {new}") == "OK ann@client.test"
            program.write(text.format('"the new secret"'))
            program.signal(signal.SIGHUP)
            program.wait_for_log("was read again", 2)
            assert ask(connection, f"reverse {old}").startswith("NOTFOUND the hash is wrong")
            assert program.stop() == 0
    finally:
        program.kill()
    assert f"reverse '{old}': the hash is wrong" in program.log
