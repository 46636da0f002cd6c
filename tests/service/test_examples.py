"""examples/postfix: the configuration, main.cf and unit files that the documentation tells people to copy."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mailauth.dkim import generate_key
from tests.postfix import Postfix
from tests.servers import need
from tests.service.program import Program

EXAMPLES = Path(__file__).parents[2] / "examples/postfix"


def settings_of(text: str) -> dict[str, str]:
    """main.cf(5): lines that begin with a blank go on with the one before."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\n[ \t]+", " ", "\n".join(lines))
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in joined.splitlines())}


def system_calls(name: str) -> set[str]:
    """What a word of SystemCallFilter= stands for (systemd.exec(5))."""
    if not name.startswith("@"):
        return {name}
    command = [need("systemd-analyze", "systemd"), "syscall-filter", name]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    return {call for line in lines if not line.lstrip().startswith("#") for call in system_calls(line.strip())}


def confined(unit: str) -> list[str]:
    """A command that has the kernel kill what it starts for each system call that the unit does not allow."""
    allowed = system_calls("@default")
    for words in re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        named = set().union(*(system_calls(word) for word in words.removeprefix("~").split()))
        allowed = allowed - named if words.startswith("~") else allowed | named
    load = """
import ctypes, os, sys
library = ctypes.CDLL("libseccomp.so.2")  # what systemd uses
library.seccomp_init.restype = ctypes.c_void_p
kill_process, allow = 0x80000000, 0x7FFF0000
rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(kill_process)))
for name in sys.argv[1].split(","):
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:
        assert library.seccomp_rule_add(rules, ctypes.c_uint32(allow), number, 0) == 0, name
assert library.seccomp_load(rules) == 0
os.execv(sys.argv[2], sys.argv[2:])
"""
    return [sys.executable, "-c", load, ",".join(sorted(allowed))]


@pytest.mark.server
def test_a_postfix_by_the_example_checks_and_signs(tmp_path: Path) -> None:
    mta = Postfix(settings=settings_of((EXAMPLES / "main.cf").read_text()))
    config = (EXAMPLES / "mailauth.toml").read_text()
    config = re.sub(r"^hostname = .*\n", "", config, flags=re.MULTILINE)
    config = config.replace("/var/spool/postfix", f"{mta.folder}/queue").replace("/var/lib/mailauth", str(tmp_path))
    config = config.replace("# workers", "workers")
    config = config.replace('"example.net"]', '"mailbox.test"]', 1).replace('delay = "5m"', 'delay = "1s"')
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/2026a.pem").write_bytes(generate_key("ed25519").pem())
    program = Program("serve", tmp_path, config)
    with mta, contextlib.closing(program):
        program.start(confined((EXAMPLES / "mailauth.service").read_text()))
        text = "From: {0}\r\nTo: bob@mailbox.test\r\nSubject: x\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\n\r\nbody\r\n"
        assert mta.rcpt(client="198.51.100.1", name="client.test", sender="ann@none.test").code == 450
        time.sleep(1.1)
        with mta.session(client="198.51.100.1", name="client.test") as smtp:
            smtp.sendmail("ann@none.test", [mta.mailbox], text.format("ann@none.test").encode())
        (message,) = mta.messages(1)
        assert b"Received-SPF: none" in message
        assert b"Authentication-Results: mx.mailbox.test;" in message
        # A client of our own networks is signed at port 25, too.
        with mta.session(client="192.0.2.1") as smtp:
            smtp.sendmail("ann@example.net", [mta.mailbox], text.format("ann@example.net").encode())
        signed = mta.messages(2)[-1]
        assert b"DKIM-Signature: " in signed
        assert b"Authentication-Results" not in signed


def test_the_unit_files_are_understood(tmp_path: Path) -> None:
    verify = need("systemd-analyze", "systemd")
    for unit in ("mailauth.service", "mailauth-policyd.socket"):
        text = (EXAMPLES / unit).read_text().replace("/opt/mailauth/bin/mailauth", "/bin/true")
        (tmp_path / unit).write_text(text)
        done = subprocess.run([verify, "verify", str(tmp_path / unit)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_what_there_is() -> None:
    started = re.findall(r"^Exec\w+=\S*/mailauth (.*)$", (EXAMPLES / "mailauth.service").read_text(), re.MULTILINE)
    assert started == [
        "serve --config /etc/mailauth/mailauth.toml",
        "config check --no-lint /etc/mailauth/mailauth.toml",
    ]
