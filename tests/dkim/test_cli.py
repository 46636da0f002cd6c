"""``mailauth dkim``, as a user calls it.

Each action prints what a person and a program can use, and its exit status says what happened.
"""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from mailauth.cli import main
from mailauth.dkim import zone_line
from tests.dkim.makers import MESSAGE, NOW, rsa_key, rsa_record, signed

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
ZONE = str(EXAMPLES / "demo.zone")


class Run:
    """Calls the command in a directory of its own and keeps what it printed."""

    def __init__(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capfdbinary

    def __call__(self, *words: str | Path) -> int:
        try:
            status = main(["dkim", *map(str, words)])
        except SystemExit as exit_:  # argparse's way of saying 2
            status = int(exit_.code or 0)
        sys.stdout.flush()
        captured = self._capture.readouterr()
        self.octets, self.out, self.err = captured.out, captured.out.decode(), captured.err.decode()
        assert "Traceback" not in self.err
        return status


@pytest.fixture
def dkim(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "message.eml").write_bytes(MESSAGE)
    (tmp_path / "signed.eml").write_bytes(signed())
    (tmp_path / "zone").write_text(zone_line("sel._domainkey.example.org", rsa_record()))
    return Run(capfdbinary)


def test_verify_the_examples(dkim: Run) -> None:
    assert dkim("verify", "--zone", ZONE, EXAMPLES / "rfc8463-a3.eml") == 0
    assert dkim.out.count("pass ") == 2
    assert "ed25519-sha256, 256 bits, relaxed/relaxed" in dkim.out
    assert "\x1b" not in dkim.out
    assert dkim("verify", "--json", "--zone", ZONE, EXAMPLES / "rfc6376-a2.eml") == 0
    (signature,) = json.loads(dkim.out)["signatures"]
    assert (signature["result"], signature["identity"]) == ("pass", "joe@football.example.com")


def test_verify_statuses(dkim: Run, tmp_path: Path) -> None:
    assert dkim("verify", "--zone", "zone", "message.eml") == 1
    assert "no DKIM signature" in dkim.out
    (tmp_path / "broken.eml").write_bytes(signed() + b"x")
    assert dkim("verify", "--zone", "zone", "broken.eml") == 1
    assert "fail" in dkim.out
    assert "body-hash-differs" in dkim.out
    (tmp_path / "both.eml").write_bytes(signed(signed(tags={"s": "none"})))
    assert dkim("verify", "--zone", "zone", "both.eml") == 0
    assert "no-key" in dkim.out
    (tmp_path / "old.eml").write_bytes(signed(tags={"x": str(NOW)}))
    assert dkim("verify", "--zone", "zone", "old.eml") == 1
    assert dkim("verify", "--zone", "zone", "--now", str(NOW), "old.eml") == 0


def test_verify_with_policy(dkim: Run, tmp_path: Path) -> None:
    (tmp_path / "short.eml").write_bytes(signed(tags={"l": "3"}))
    assert dkim("verify", "--zone", "zone", "short.eml") == 1
    assert "octets stand behind l=3" in dkim.out
    assert dkim("verify", "--zone", "zone", "--allow-unsigned-content", "short.eml") == 0
    assert dkim("verify", "--zone", "zone", "--require", "Received", "signed.eml") == 1


def test_a_dns_error_has_its_own_status(dkim: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from mailauth.cli import dkim as command
    from mailauth.resolvers import ZoneResolver

    silent = ZoneResolver({}, failures={("sel._domainkey.example.org", "*"): "timeout"})
    monkeypatch.setattr(command, "resolver_of", lambda options: silent)
    assert dkim("verify", "signed.eml") == 75
    assert "temperror" in dkim.out
    assert dkim("testkey", "--domain", "example.org", "--selector", "sel") == 75


def test_what_a_peer_wrote_cannot_reach_the_terminal(dkim: Run, tmp_path: Path) -> None:
    field = signed(tags={"i": "\x1b[31m\u202eann=1B@example.org"})
    (tmp_path / "evil.eml").write_bytes(field)
    dkim("verify", "--zone", "zone", "evil.eml")
    assert "\x1b" not in dkim.out
    assert "\u202e" not in dkim.out


def test_sign_and_verify(dkim: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dkim("keygen", "--domain", "example.org", "--selector", "s1", "--output", "r.pem", "--json") == 0
    rsa = json.loads(dkim.out)
    assert dkim("keygen", "--domain", "example.org", "--selector", "s2", "--type", "ed25519", "--json") == 0
    ed = json.loads(dkim.out)
    assert ed["private_key"] == "s2.example.org.pem"
    (tmp_path / "zone").write_text(rsa["zone_line"] + "\n" + ed["zone_line"] + "\n")
    keys = ["--key", "r.pem", "--selector", "s1", "--key", "s2.example.org.pem", "--selector", "s2"]
    options = ["--timestamp", "--expire-after", "3600", "--identity", "@example.org", "--body-length"]
    assert dkim("sign", "--domain", "example.org", *keys, *options, "message.eml") == 0
    assert dkim.octets.endswith(MESSAGE)
    (tmp_path / "out.eml").write_bytes(dkim.octets)
    assert dkim("verify", "--zone", "zone", "out.eml") == 0
    assert dkim.out.count("pass ") == 2
    assert dkim("sign", "--domain", "example.org", *keys, "--header-only", "message.eml") == 0
    assert dkim.octets.count(b"DKIM-Signature:") == 2
    assert b"From:" not in dkim.octets
    for selector, path in (("s1", "r.pem"), ("s2", "s2.example.org.pem")):
        assert dkim("testkey", "--zone", "zone", "--domain", "example.org", "--selector", selector, "--key", path) == 0
        assert "fits the private key" in dkim.out
    assert (
        dkim("testkey", "--zone", "zone", "--domain", "example.org", "--selector", "s1", "--key", ed["private_key"])
        == 1
    )
    assert "other-key" in dkim.out
    assert dkim("testkey", "--zone", "zone", "--domain", "example.org", "--selector", "s3", "--json") == 1
    assert json.loads(dkim.out)["findings"][0]["code"] == "no-key"


def test_sign_from_a_pipe(dkim: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    dkim("keygen", "--domain", "example.org", "--selector", "s", "--output", "k.pem")
    read, write = os.pipe()
    os.write(write, MESSAGE)
    os.close(write)
    with io.TextIOWrapper(os.fdopen(read, "rb")) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert dkim("sign", "--domain", "example.org", "--key", "k.pem", "--selector", "s") == 0
    assert dkim.octets.endswith(MESSAGE)


def test_sign_with_a_table(dkim: Run, tmp_path: Path) -> None:
    dkim("keygen", "--domain", "example.org", "--selector", "s", "--output", "k.pem")
    (tmp_path / "keylist").write_text("example.org k.pem\n")
    assert dkim("sign", "--table", "keylist", "--header-only", "message.eml") == 0
    assert b"d=example.org; s=k;" in dkim.octets
    (tmp_path / "ann.toml").write_text(
        '[[sign]]\nsenders = ["ann@example.org"]\nselector = "ann"\nkey = "k.pem"\n'
        '[[sign]]\nsenders = ["example.org"]\nselector = "all"\nkey = "k.pem"\n'
    )
    assert dkim("sign", "--table", "ann.toml", "--header-only", "message.eml") == 0
    assert b"d=example.org; s=ann;" in dkim.octets
    assert dkim("sign", "--table", "ann.toml", "--sender", "bob@example.org", "--header-only", "message.eml") == 0
    assert b"d=example.org; s=all;" in dkim.octets
    assert dkim("sign", "--table", "keylist", "--sender", "x@example.net", "message.eml") == 1
    assert "no key is listed" in dkim.err
    assert dkim.octets == b""


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_sign_tells_programs_what_it_made(dkim: Run, tmp_path: Path, line_end: bytes) -> None:
    message = MESSAGE.replace(b"\r\n", line_end)
    (tmp_path / "message.eml").write_bytes(message)
    dkim("keygen", "--domain", "example.org", "--selector", "s1", "--output", "r.pem")
    dkim("keygen", "--domain", "example.org", "--selector", "s2", "--output", "e.pem", "--type", "ed25519")
    keys = ["--domain", "example.org", "--key", "r.pem", "--selector", "s1", "--key", "e.pem", "--selector", "s2"]
    assert dkim("sign", *keys, "message.eml") == 0
    printed = dkim.octets
    assert dkim("sign", *keys, "--json", "message.eml") == 0
    document = json.loads(dkim.out)
    assert document["detail"] == "signed"
    assert [(s["domain"], s["selector"], s["algorithm"]) for s in document["signatures"]] == [
        ("example.org", "s1", "rsa-sha256"),
        ("example.org", "s2", "ed25519-sha256"),
    ]
    assert "".join(signature["field"] for signature in document["signatures"]).encode() + message == printed


@pytest.mark.parametrize(("message", "why"), [(b"To: bob\r\n\r\n", "no From"), (MESSAGE, "no key is listed")])
def test_sign_tells_programs_why_not(dkim: Run, tmp_path: Path, message: bytes, why: str) -> None:
    (tmp_path / "message.eml").write_bytes(message)
    dkim("keygen", "--domain", "example.org", "--selector", "s", "--output", "k.pem")
    (tmp_path / "keylist").write_text("example.org k.pem\n")
    sender = "x@example.net" if message == MESSAGE else "ann@example.org"
    assert dkim("sign", "--table", "keylist", "--sender", sender, "--json", "message.eml") == 1
    document = json.loads(dkim.out)
    assert document["signatures"] == []
    assert why in document["detail"]


def test_bare_line_ends_are_signed_only_if_asked(dkim: Run, tmp_path: Path) -> None:
    (tmp_path / "bare.eml").write_bytes(MESSAGE + b"one\ntwo\r\n")
    dkim("keygen", "--domain", "example.org", "--selector", "s", "--output", "k.pem")
    key = ["--domain", "example.org", "--key", "k.pem", "--selector", "s", "--header-only"]
    assert dkim("sign", *key, "bare.eml") == 1
    assert "a bare LF in line 13" in dkim.err
    assert dkim("sign", *key, "--allow-bare-line-ends", "bare.eml") == 0


def test_fields_and_canonicalization_of_the_user(dkim: Run) -> None:
    dkim("keygen", "--domain", "example.org", "--selector", "s", "--output", "k.pem")
    key = ["--domain", "example.org", "--key", "k.pem", "--selector", "s", "--header-only"]
    assert (
        dkim("sign", *key, "--sign", "to, subject", "--oversign", "", "--canonicalization", "simple", "message.eml")
        == 0
    )
    assert b"c=simple/simple;" in dkim.octets
    assert b"h=from:subject:to;" in dkim.octets or b"h=from:to:subject;" in dkim.octets


def test_keygen(dkim: Run, tmp_path: Path) -> None:
    assert dkim("keygen", "--domain", "example.org", "--selector", "sel", "--flags", "s", "--ttl", "60") == 0
    path = tmp_path / "sel.example.org.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert "sel._domainkey.example.org. 60 IN TXT (" in dkim.out
    assert "\nv=DKIM1; k=rsa; t=s; p=MII" in dkim.out
    before = path.read_bytes()
    assert dkim("keygen", "--domain", "example.org", "--selector", "sel") == 2
    assert "never overwritten" in dkim.err
    assert path.read_bytes() == before
    link = tmp_path / "link.pem"
    link.symlink_to(tmp_path / "elsewhere")
    assert dkim("keygen", "--domain", "example.org", "--output", "link.pem") == 2
    assert not (tmp_path / "elsewhere").exists()


WRONG = [
    (["verify", "no-such-file"], "cannot read no-such-file"),
    (["verify", "."], "cannot read ."),
    (["verify", "--zone", "no-such-zone", "signed.eml"], "cannot read the zone file"),
    (["verify", "--zone", "message.eml", "signed.eml"], "bad zone file"),
    (["sign", "message.eml"], "give --domain"),
    (["sign", "--domain", "example.org", "--key", "k", "message.eml"], "give --domain"),
    (["sign", "--domain", "example.org", "--key", "none", "--selector", "s", "message.eml"], "read the key none"),
    (["sign", "--domain", "example.org", "--key", "zone", "--selector", "s", "message.eml"], "zone: the private key"),
    (["sign", "--table", "none", "message.eml"], "cannot read none"),
    (["sign", "--table", "zone", "message.eml"], "line 1"),
    (["sign", "--table", "zone", "--domain", "x.org", "message.eml"], "do not go with it"),
    (["sign", "--canonicalization", "x", "message.eml"], "simple or relaxed"),
    (["sign", "--sign", "a b", "message.eml"], "no field name"),
    (["keygen", "--domain", "org"], "no domain name"),
    (["keygen", "--domain", "example.org", "--selector", "%H"], "a template knows"),
    (["keygen", "--domain", "example.org", "--bits", "1024"], "2048, 3072, 4096"),
    (["keygen", "--domain", "example.org", "--output", "no/such/directory"], "cannot write"),
    (["keygen", "--domain", "example.org", "--flags", "y;s"], "no place"),
    (["testkey", "--domain", "org", "--selector", "s", "--zone", "zone"], "no domain name"),
    (["keygen"], "--domain"),
    (["verify", "--now", "nan", "signed.eml"], "nan"),
    (["sign", "--expire-after", "inf", "message.eml"], "inf"),
    ([], "ACTION"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "text"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_usage_is_one_line_and_status_2(dkim: Run, words: list[str], text: str) -> None:
    assert dkim(*words) == 2
    assert text in dkim.err
    assert len(dkim.err.strip().splitlines()) == 1 or dkim.err.startswith("usage:")


def test_messages_that_cannot_be_signed(dkim: Run, tmp_path: Path) -> None:
    dkim("keygen", "--domain", "example.org", "--selector", "s", "--output", "k.pem")
    (tmp_path / "bad.eml").write_bytes(b"Subject: x\r\n\r\n")
    assert dkim("sign", "--domain", "example.org", "--key", "k.pem", "--selector", "s", "bad.eml") == 1
    assert dkim.err == "mailauth: not signed: the message has no From field, not one\n"
    assert dkim.octets == b""


def test_json_and_header_only_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["dkim", "sign", "--json", "--header-only", "--domain", "example.org", "--selector", "s", "--key", "k"]
    assert main(words) == 2
    assert "--header-only does not go with it" in capsys.readouterr().err


def test_encrypted_keys_take_a_password_file(dkim: Run, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    encryption = serialization.BestAvailableEncryption(b"open sesame")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    (tmp_path / "encrypted.pem").write_bytes(rsa_key().private_bytes(*form))
    words = ["sign", "--domain", "example.org", "--selector", "s", "--key", "encrypted.pem", "--header-only"]
    words.append("message.eml")
    assert dkim(*words) == 2
    assert "--password-file" in dkim.err
    password = tmp_path / "password"
    password.write_bytes(b"wrong\n")
    assert dkim(*words, "--password-file", password) == 2
    assert "the password is wrong" in dkim.err
    password.write_bytes(b"open sesame\r\nsecond line\n")
    assert dkim(*words, "--password-file", password) == 0
    assert dkim.out.startswith("DKIM-Signature:")
    assert dkim(*words, "--password-file", "gone") == 2


# --- explain -------------------------------------------------------------------------------------------------------


def test_explain_for_people_and_programs(dkim: Run, tmp_path: Path) -> None:
    (tmp_path / "footer.eml").write_bytes(signed() + b"-- \r\nList\t \r\n")
    assert dkim("explain", "--zone", "zone", "footer.eml") == 1
    assert "text was added at the end" in " ".join(dkim.out.split())
    assert "+List" in dkim.out
    assert "tried" not in dkim.out
    assert dkim("explain", "--zone", "zone", "--json", "footer.eml") == 1
    (explanation,) = json.loads(dkim.out)["signatures"]
    assert explanation["body"]["alterations"][0]["code"] == "text-added-at-end"
    assert explanation["signature"]["reason"] == "body-hash-differs"
    assert dkim("explain", "--zone", "zone", "signed.eml") == 0
    assert dkim("explain", "--zone", "zone", "message.eml") == 1
    assert "no DKIM signature" in dkim.out


def test_explain_says_what_was_tried(dkim: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.eml").write_bytes(signed().replace(b"Hello", b"Hullo"))
    assert dkim("explain", "--zone", "zone", "--search-time", "0.5", "odd.eml") == 1
    assert "nothing that was tried explains it" in dkim.out
    assert "tried     body" in dkim.out


def test_explain_shows_what_is_hashed(dkim: Run, tmp_path: Path) -> None:
    assert dkim("explain", "--canonical", "signed.eml") == 0
    assert "subject:two·lines·of·it↵" in dkim.out
    assert "Hello·Bob,↵" in dkim.out
    assert dkim("explain", "--canonical", "--json", "signed.eml") == 0
    (form,) = json.loads(dkim.out)["signatures"]
    assert form["body_digest"] == form["signed_digest"]
    assert dkim("explain", "--canonical", "message.eml") == 1


def test_explain_cannot_be_made_to_move_the_cursor(dkim: Run, tmp_path: Path) -> None:
    evil = b"\x1b[2J\xe2\x80\xae\x07"
    (tmp_path / "evil.eml").write_bytes(signed().replace(b"Subject: ", b"Subject: [" + evil + b"] ") + evil + b"\r\n")
    dkim("explain", "--zone", "zone", "--verbose", "evil.eml")
    assert "altered" in dkim.out
    assert not {"\x1b", "\u202e", "\x07"} & set(dkim.out)
    dkim("explain", "--canonical", "evil.eml")
    assert "\\x1b" in dkim.out
    assert not {"\x1b", "\u202e", "\x07"} & set(dkim.out)


def test_explain_without_dns(dkim: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from mailauth.cli import dkim as command
    from mailauth.resolvers import ZoneResolver

    silent = ZoneResolver({}, failures={("sel._domainkey.example.org", "*"): "timeout"})
    monkeypatch.setattr(command, "resolver_of", lambda options: silent)
    assert dkim("explain", "signed.eml") == 75
    assert "did not answer" in dkim.out


def test_explain_prints_the_record_as_it_should_be(dkim: Run, tmp_path: Path) -> None:
    broken = rsa_record().replace("; ", " ").replace("p=", "k=ed25519 p=")
    (tmp_path / "broken").write_text(zone_line("sel._domainkey.example.org", broken))
    (tmp_path / "two.eml").write_bytes(signed(signed()))
    assert dkim("explain", "--zone", "broken", "two.eml") == 1
    assert dkim.out.count("which fits the signature") == 2
    assert "k=rsa" in dkim.out
    (tmp_path / "long.eml").write_bytes(signed() + b"x\r\n" * 100)
    assert dkim("explain", "--zone", "zone", "long.eml") == 1
    assert "more: --verbose" in dkim.out
    assert dkim("explain", "--canonical", "two.eml") == 0
    assert dkim.out.count("body, SHA-256") == 2
