"""Completion of words in a real bash, as a person presses Tab."""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import time
from pathlib import Path

import pytest

from tests.servers import need


class Bash:
    """An interactive bash on a terminal, with the completion switched on as the README says."""

    def __init__(self, folder: Path) -> None:
        bash, programs = need("bash", "bash"), Path(sys.executable).parent
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PS1": "ready> ", "TERM": "dumb"}
        process, self._terminal = pty.fork()
        if process == 0:
            os.chdir(folder)
            os.execve(bash, ["bash", "--norc", "--noprofile", "-i"], environment)
        self._process = process
        self.type("PS1='ready> '; bind 'set enable-bracketed-paste off'\n", "ready> ")
        self.type('eval "$(register-python-argcomplete mailauth)"; echo do"ne"\n', "done")

    def type(self, keys: str, until: str) -> str:
        """What the terminal shows until it shows `until`."""
        os.write(self._terminal, keys.encode())
        shown, end = "", time.monotonic() + 60
        while time.monotonic() < end:
            if select.select([self._terminal], [], [], 0.1)[0]:
                shown += os.read(self._terminal, 65_536).decode(errors="replace")
                if re.search(until, shown):
                    return shown
        raise AssertionError(f"bash does not show {until!r}:\n{shown}")

    def close(self) -> None:
        os.close(self._terminal)  # it hangs up
        os.waitpid(self._process, 0)


def test_the_tab_key(tmp_path: Path) -> None:
    pytest.importorskip("argcomplete")
    (tmp_path / "message.eml").write_bytes(b"From: a@b.example\r\n\r\n")
    bash = Bash(tmp_path)
    try:
        bash.type("mailauth dkim ver\t", "dkim verify ")
        bash.type("--all\t", "--allow-unsigned-content ")
        bash.type("mess\t", r"message\.eml")
        bash.type("\x15mailauth spf \t\t", r"build\s+check\s+explain\s+flatten\s+lint")
        bash.type("\x15mailauth dmarc build --p \t\t", r"none\s+quarantine\s+reject")
    finally:
        bash.close()
