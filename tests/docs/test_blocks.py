"""Every code block of README and docs is executed, and what it prints is compared.

* ``python`` blocks of a page share their names, and run in a folder with the files that the pages speak of. The DNS is
  `zone`; `message` is a signed message, `resolver` a resolver. What is printed must be the ``output`` block behind it.
  A block that begins with ``# NAME.py`` is that file, and is not run by itself.
* The start page and the tutorials have none of this: they bring what they need, for a stranger who starts with nothing.
  How-to pages and recipes have the files that they name, and no more: no names, and an empty DNS.
* ``console`` blocks: each line after ``$`` is run by the shell, and what follows is its output.
* ``sh`` blocks are pasted into a shell as they are: they make the files of a page.
* Port 8025 is another one here, so that tests can run side by side.
* In outputs ``...`` stands for anything within a line, and a line of ``...`` for any lines.
* ``toml`` blocks are TOML, and the file that their first line names. Others are not executed.
* ``<!-- not run: REASON -->`` in front of a block leaves it out.
* ``<!-- servers: redis postgresql -->`` anywhere in a page: private servers answer where its blocks name the hosts of
  `SERVERS`; ``softhsm`` is a folder for tokens; with ``ports`` those of 127.0.0.1 are free ones. A program that goes on
  in the background writes its process id into a file ``*.pid``, and ends with the page.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gc
import inspect
import io
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import mailauth.aio
import mailauth.sync
from mailauth.dkim import record_name, record_text, zone_line
from mailauth.resolvers import ZoneResolver
from mailauth.testing import make_message, sign_message, signing_key
from tests.servers import free_port, need

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SERVERS = {
    "redis": "redis://redis.example.net/0",
    "postgresql": "postgresql://mailauth@db.example.net/mailauth",
}
BLOCK = re.compile(
    r"^(<!-- not run: (?P<reason>.*?) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
SELF_CONTAINED = [page for page in PAGES if page.parent.name == "tutorials" or page.name == "index.md"]
PASTED = [
    page for page in PAGES if page.parent.name == "howto" or page.name == "extending.md" or page in SELF_CONTAINED
]


class Block(NamedTuple):
    """A fenced block: its kind, its text, and the output that is printed behind it."""

    kind: str
    text: str
    line: int
    output: str | None
    reason: str | None


def blocks_of(page: str) -> list[Block]:
    found = list(BLOCK.finditer(page))
    made = []
    for index, match in enumerate(found):
        behind = found[index + 1] if index + 1 < len(found) else None
        is_output = behind is not None and behind["kind"] == "output" and not page[match.end() : behind.start()].strip()
        line = page.count("\n", 0, match.start("text"))
        made.append(
            Block(match["kind"], match["text"], line, behind["text"] if is_output and behind else None, match["reason"])
        )
    return made


@cache
def zone() -> ZoneResolver:
    """What the examples find in the DNS: the documentation's zone file, and the key of `message`."""
    key = signing_key("example.org")
    record = zone_line(record_name(key.domain, key.selector), record_text(key.key))
    return ZoneResolver.from_text((ROOT / "docs/example.zone").read_text() + record + "\n")


@cache
def message() -> bytes:
    return sign_message(make_message("Ann <ann@example.org>"), signing_key("example.org"))


@pytest.fixture
def surroundings(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files that the examples name, and the DNS."""
    resolver = ZoneResolver() if page in PASTED else zone()
    monkeypatch.setattr(mailauth.sync, "default_resolver", lambda: resolver)
    monkeypatch.setattr(mailauth.aio, "default_resolver", lambda: resolver)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    if page not in SELF_CONTAINED:
        _known_files(tmp_path)
    yield tmp_path
    for file in tmp_path.glob("*.pid"):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(file.read_text()), signal.SIGTERM)


def _known_files(tmp_path: Path) -> None:
    (tmp_path / "message.eml").write_bytes(message())
    (tmp_path / "mailauth.toml").write_text((ROOT / "examples/aiosmtpd_server.toml").read_text())
    (tmp_path / "keys").mkdir()
    for name in ("2026a.pem", "keys/2026a.pem", "keys/boss.pem"):
        (tmp_path / name).write_bytes(signing_key("example.org", "2026a", "rsa").key.pem())
    for path in ("examples/demo.zone", "docs/example.zone"):
        (tmp_path / Path(path).name).write_text((ROOT / path).read_text())


def matches(expected: str, found: str) -> bool:
    """Whether the output is the expected one, blanks and CR at the ends of lines aside."""
    expected, found = (re.sub("[ \t\r]+$", "", text, flags=re.MULTILINE) for text in (expected, found))
    pattern = "".join(
        r"(?:.*\n)*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
        for line in expected.rstrip("\n").split("\n")
    )
    return re.fullmatch(pattern, found.rstrip("\n") + "\n") is not None


def run_python(block: Block, names: dict[str, Any], page: Path) -> str:
    source = "\n" * block.line + block.text
    code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        outcome = eval(code, names)
        if inspect.iscoroutine(outcome):
            asyncio.run(outcome)
    return output.getvalue()


def run_shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "COLUMNS": "100",
        # pytest in a tutorial starts without the plugins that only this project's own tests need.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "-p mailauth.testing.plugin -p no:cacheprovider",
    }
    return subprocess.run(
        ["sh"],
        input=script,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def run_console(block: Block, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Each command with the output that it should have, and the one that it has."""
    commands = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE)
    # One shell for the block, as a person has; a mark ends the output of each command.
    done = run_shell("".join(f"{command}\necho {_MARK}\n" for command, _ in commands), folder)
    for (command, expected), output in zip(commands, done.stdout.split(f"{_MARK}\n"), strict=False):
        yield command, expected, output


_MARK = "=== end of the output ==="


@pytest.fixture
def names(page: Path) -> Iterator[dict[str, Any]]:
    """What the ``python`` blocks of a page share. In the end, controllers are stopped and stores closed."""
    given = {} if page in PASTED else {"message": message(), "resolver": zone()}
    names: dict[str, Any] = {**given, "__name__": "docs"}
    yield names
    if "controller" in names and names["controller"].loop.is_running():
        names["controller"].stop()
    for value in names.values():
        if isinstance(value, mailauth.sync.Greylist):
            value.close()
    names.clear()
    gc.collect()  # what a page leaves open is a warning of its own test


@pytest.fixture
def serve(request: pytest.FixtureRequest, surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Starts the servers that a page names, and puts their addresses in place of those that it shows."""

    def started(text: str) -> str:
        for name in " ".join(re.findall(r"^<!-- servers: (.*) -->$", text, re.MULTILINE)).split():
            if name == "softhsm":
                need("softhsm2-util", "softhsm2")
                pytest.importorskip("pkcs11")
                tokens = surroundings / "tokens"
                tokens.mkdir()
                (surroundings / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
                monkeypatch.setenv("SOFTHSM2_CONF", str(surroundings / "softhsm2.conf"))
            elif name == "ports":
                for address in set(re.findall(r"127[.]0[.]0[.]1:\d+", text)):
                    text = text.replace(address, f"127.0.0.1:{free_port()}")
            else:
                fixture = {"redis": "redis_server", "postgresql": "postgres_server"}[name]
                text = text.replace(SERVERS[name], request.getfixturevalue(fixture).url)
        return text

    return started


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).with_suffix("").as_posix())
def test_the_blocks_of_a_page(
    page: Path, surroundings: Path, names: dict[str, Any], serve: Callable[[str], str]
) -> None:
    for block in blocks_of(serve(page.read_text().replace("8025", str(free_port())))):
        where = f"{page.name}:{block.line}"
        if block.reason is not None:
            assert len(block.reason) > 10, f"{where}: why is it not run?"
        elif named := re.match(r"# ([\w-]+\.(?:toml|py))\n", block.text):
            (surroundings / named[1]).write_text(block.text)
        elif block.text.startswith("$TTL "):
            (surroundings / "example.zone").write_text(block.text)
        elif block.kind == "python":
            printed = run_python(block, names, page)
            assert block.output is None or matches(block.output, printed), f"{where} prints:\n{printed}"
        elif block.kind == "sh":
            done = run_shell(block.text, surroundings)
            assert (done.returncode, done.stdout) == (0, ""), where
        elif block.kind == "console":
            for command, expected, output in run_console(block, surroundings):
                assert matches(expected, output) if expected else True, f"{where}: {command}\n{output}"
        if block.kind == "toml":
            tomllib.loads(block.text)


def test_no_example_keeps_its_store_in_the_root_folder() -> None:
    """``sqlite:///name.db`` is /name.db; a file here is ``sqlite:name.db``."""
    files = [*PAGES, *(ROOT / "examples").rglob("*.*"), *(ROOT / "src").rglob("*.py")]
    for file in filter(Path.is_file, files):
        assert not re.findall(r"sqlite:/{1,4}[\w-]+[.]db", file.read_text(errors="replace")), file.name


def test_what_is_compared() -> None:
    assert matches("a ... c\n...\nend\n", "a b c\n1\n2\nend\n")
    assert not matches("a\n", "a\nb\n")
    page = "```python\nprint(1)\n```\n\n```output\n1\n```\n<!-- not run: needs a server -->\n```console\n$ x\n```\n"
    first, _, third = blocks_of(page)
    assert (first.output, third.reason) == ("1\n", "needs a server")


def test_the_alarms() -> None:
    """Prometheus' own tool reads the rules, and runs their tests; the page shows one as it is."""
    promtool = need("promtool", "prometheus")
    folder = ROOT / "examples/prometheus"
    for words in (("check", "rules", "mailauth.rules.yml"), ("test", "rules", "mailauth.rules.test.yml")):
        done = subprocess.run([promtool, *words], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    page = (ROOT / "docs/howto/monitoring.md").read_text()
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    rules = (folder / "mailauth.rules.yml").read_text()
    assert shown in rules
    assert set(re.findall(r"alert: (\w+)", rules)) == set(re.findall(r"`(Mailauth\w+)`", page))
