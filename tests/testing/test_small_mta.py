"""The test suite of examples/small_mta, run as its author would; and it finds what is broken."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/small_mta"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Its tests in a folder of their own, away from our configuration."""
    plugins = ["-p", "no:cacheprovider", "-p", "mailauth.testing.plugin"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=250)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(EXAMPLE, tmp_path / "mta", ignore=shutil.ignore_patterns("__pycache__"))


def test_its_tests_pass(folder: Path) -> None:
    done = run(folder)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^16 passed", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize(
    ("right", "broken", "test"),
    [
        ("check_spf(), ", "", "test_who_is_refused"),
        ("remove_forged(content, self.hostname).message", "content", "test_forged_results_are_removed"),
        ('begins and piece[:1] == b"."', "False", "test_any_message_is_refused_or_kept_to_the_octet"),
    ],
)
def test_they_find_out_a_broken_server(folder: Path, right: str, broken: str, test: str) -> None:
    source = (folder / "small_mta.py").read_text()
    assert source.count(right) == 1
    (folder / "small_mta.py").write_text(source.replace(right, broken))
    done = run(folder, "-k", test)
    assert done.returncode == 1, done.stdout


def test_the_page_names_its_tests() -> None:
    page = (ROOT / "docs/testing.md").read_text()
    tests = re.findall(r"^def (test_\w+)", (EXAMPLE / "test_small_mta.py").read_text(), re.MULTILINE)
    assert len(tests) == 10
    assert [name for name in tests if f"`{name}`" not in page] == []
