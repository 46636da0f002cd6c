"""Exemptions and settings per recipient.

Any TOML text gives settings or a ConfigError that names every place; a broken file never takes the settings away that
were in force.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.config import ConfigError, SettingsFile, read_greylist_settings
from mailauth.greylist import GreylistPolicy, Mode, Patterns, Reason, Settings, SettingsError
from mailauth.mail.names import parse_ip

EXAMPLE = """
delay = "10m"
retry_window = "1d"
auto_allow = 0

[exempt]
clients = ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7", "mail.example.org", ".pool.example"]
senders = ["ann@example.org", "news.example", ".lists.example", "<>"]
recipients = ["noc@example.net", "help@", "open.example"]

[recipient."example.net"]
delay = 60

[recipient."bob@example.net"]
mode = "off"

[recipient."cy@example.net"]
retry_window = "5h"

[recipient.".dept.example.net"]
mode = "dry-run"

[recipient."dan@"]
delay = "2h"
"""
SETTINGS = read_greylist_settings(EXAMPLE)


@pytest.mark.parametrize(
    ("ip", "name", "sender", "recipient", "reason", "pattern"),
    [
        ("203.0.113.1", None, "x@y.example", "z@example.net", None, None),
        ("192.0.2.255", None, "x@y.example", "z@example.net", "exempt-client", "192.0.2.0/24"),
        ("192.0.3.0", None, "x@y.example", "z@example.net", None, None),
        ("::ffff:192.0.2.1", None, "x@y.example", "z@example.net", "exempt-client", "192.0.2.0/24"),
        ("2001:db8:ffff::1", None, "x@y.example", "z@example.net", "exempt-client", "2001:db8::/32"),
        ("198.51.100.7", None, "x@y.example", "z@example.net", "exempt-client", "198.51.100.7/32"),
        ("198.51.100.8", None, "x@y.example", "z@example.net", None, None),
        ("203.0.113.1", "Mail.Example.ORG.", "x@y.example", "z@example.net", "exempt-client", "mail.example.org"),
        ("203.0.113.1", "a.mail.example.org", "x@y.example", "z@example.net", None, None),
        ("203.0.113.1", "a.b.pool.example", "x@y.example", "z@example.net", "exempt-client", ".pool.example"),
        ("203.0.113.1", "pool.example", "x@y.example", "z@example.net", "exempt-client", ".pool.example"),
        ("203.0.113.1", "evilpool.example", "x@y.example", "z@example.net", None, None),
        ("203.0.113.1", "unknown", "x@y.example", "z@example.net", None, None),
        ("203.0.113.1", None, "Ann@Example.org", "z@example.net", "exempt-sender", "ann@example.org"),
        ("203.0.113.1", None, "ann@news.example", "z@example.net", "exempt-sender", "news.example"),
        ("203.0.113.1", None, "ann@a.news.example", "z@example.net", None, None),
        ("203.0.113.1", None, "ann@a.lists.example", "z@example.net", "exempt-sender", ".lists.example"),
        ("203.0.113.1", None, "", "z@example.net", "exempt-sender", "<>"),
        ("203.0.113.1", None, "x@y.example", "noc@example.net", "exempt-recipient", "noc@example.net"),
        ("203.0.113.1", None, "x@y.example", "help@anything.example", "exempt-recipient", "help@"),
        ("203.0.113.1", None, "x@y.example", "any@open.example", "exempt-recipient", "open.example"),
        # RFC 5321 section 4.5.1, RFC 2142 section 4; <Postmaster> without a domain: RFC 5321 section 4.1.1.3
        ("203.0.113.1", None, "x@y.example", "PostMaster@example.net", "exempt-recipient", "postmaster@"),
        ("203.0.113.1", None, "x@y.example", "<Postmaster>", "exempt-recipient", "postmaster@"),
        ("203.0.113.1", None, "x@y.example", "abuse@other.example", "exempt-recipient", "abuse@"),
        ("203.0.113.1", None, "x@y.example", "notpostmaster@example.net", None, None),
    ],
)
def test_exemptions(
    ip: str, name: str | None, sender: str, recipient: str, reason: str | None, pattern: str | None
) -> None:
    found = SETTINGS.exemption(parse_ip(ip), name, sender, recipient)
    assert found == (None if reason is None else (Reason(reason), pattern))


@pytest.mark.parametrize(
    ("recipient", "delay", "window", "mode"),
    [
        ("z@other.example", 600, 86400, "on"),
        ("z@example.net", 60, 86400, "on"),
        ("Bob@EXAMPLE.net", 60, 86400, "off"),
        ("cy@example.net", 60, 5 * 3600, "on"),
        ("cy@sub.example.net", 600, 86400, "on"),
        ("z@a.dept.example.net", 600, 86400, "dry-run"),
        ("dan@anywhere.example", 7200, 86400, "on"),
        ("dan", 7200, 86400, "on"),
    ],
)
def test_policies_of_recipients(recipient: str, delay: float, window: float, mode: str) -> None:
    policy = SETTINGS.policy_for(recipient)
    assert (policy.delay, policy.retry_window, policy.mode) == (delay, window, Mode(mode))
    assert policy.auto_allow == 0


def test_postmaster_and_abuse_can_be_dropped_by_name_only() -> None:
    ip = parse_ip("203.0.113.1")
    with_more = read_greylist_settings('[exempt]\nrecipients = ["noc@"]')
    assert with_more.exemption(ip, None, "x@y.example", "abuse@example.net")
    without = read_greylist_settings("[exempt]\npostmaster_and_abuse = false")
    assert not without.exemption(ip, None, "x@y.example", "abuse@example.net")


def test_what_the_text_does_not_name_is_as_in_the_policy() -> None:
    settings = read_greylist_settings('delay = "1m"', GreylistPolicy(ipv4_prefix=32))
    assert (settings.policy.delay, settings.policy.ipv4_prefix) == (60, 32)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("delay = = 3", ":1: not TOML: "),
        ("dealy = 3", ":1: dealy: unknown key; did you mean 'delay'"),
        ('\ndelay = "5 parsecs"', ":2: delay: expected a number of seconds, or"),
        ('delay = "5m5s"', "delay: expected a number of seconds, or"),
        ('delay = "m"', "delay: expected a number of seconds, or"),
        ("delay = true", "delay: expected a number of seconds, or"),
        ("delay = -5", ":1: delay: delay is out of range"),
        ("delay = nan", "delay: expected a number of seconds, or"),
        ("delay = inf", "delay: expected a number of seconds, or"),
        (f"delay = {'9' * 400}", "delay: out of range: a number that large"),
        (f"auto_allow = {'9' * 400}", "auto_allow: auto_allow is between 0 and 1000000"),
        (f"delay = {'9' * 5000}", "not TOML"),
        (f"delay = 0x{'f' * 5000}", "delay: out of range: a number that large"),
        ('delay = "3d"', "retry_window must be at least"),
        ("ipv4_prefix = 64", "ipv4_prefix: ipv4_prefix is between 0 and 32"),
        ('mode = "maybe"', "mode: unknown word 'maybe'; there are dry-run, off, on"),
        ("exempt = 3", r"exempt: expected a table: \[exempt\]"),
        ("[exempt]\nclient = []", ":2: exempt.client: unknown key; did you mean 'clients'"),
        ('[exempt]\nclients = "192.0.2.1"', "exempt.clients: expected a list of"),
        ('[exempt]\nclients = ["192.0.2.1/24"]', r":2: exempt.clients\[0\]: .*did you mean 192\.0\.2\.0/24\?"),
        ('[exempt]\nclients = ["192.0.2.300"]', r"exempt.clients\[0\]: '192.0.2.300' is no network"),
        ('[exempt]\nclients = ["a b.example"]', "neither a network, a domain nor an address"),
        ("[exempt]\nclients = [3]", r"clients\[0\]: expected text, not 3"),
        ('[exempt]\nsenders = ["@example.org"]', "neither a network, a domain nor an address"),
        ('[exempt]\nsenders = [""]', "a pattern is text"),
        ("[exempt]\npostmaster_and_abuse = 1", "postmaster_and_abuse: expected true or false"),
        ("recipient = 3", ":1: recipient: expected a table"),
        ('recipient."bob@example.net" = 3', r":1: recipient\.bob@example\.net: expected a table"),
        (
            '[recipient."bob@example.net"]\nipv4_prefix = 8',
            r":2: .*\.bob@example\.net\.ipv4_prefix: unknown key",
        ),
        ('[recipient."bob@example.net"]\ndelay = "3d"', r":1: recipient\.bob@example\.net: retry_window must be"),
        ('[recipient."192.0.2.1"]\ndelay = 3', "is a network, not a recipient"),
        # every mistake, not only the first
        (
            'dealy = 3\n[exempt]\nclients = ["a b"]\n[recipient."x y"]',
            r":1: dealy: .*\n.*:3: exempt.*\n.*:4: recip",
        ),
    ],
)
def test_mistakes_are_named(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_greylist_settings(text)


@given(st.text(max_size=200) | st.text(alphabet='delay=[exmpt]."@5\n', max_size=80))
def test_any_text(text: str) -> None:
    """Any text is settings or a ConfigError."""
    with contextlib.suppress(ConfigError):
        assert isinstance(read_greylist_settings(text), Settings)


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_any_peer(name: str, sender: str, recipient: str) -> None:
    """Whatever a peer sends is exempt or not, and has a policy."""
    SETTINGS.exemption(parse_ip("203.0.113.1"), name, sender, recipient)
    assert SETTINGS.policy_for(recipient).lifetime == 35 * 86400


def test_patterns_of_a_caller_are_checked() -> None:
    for pattern in (3, "", "192.0.2.1/24", "a b", int("f" * 5000, 16)):
        with pytest.raises(SettingsError):
            Patterns.of([pattern])  # type: ignore[list-item]


def test_a_long_list_costs_no_more_than_a_short_one() -> None:
    """A match is one lookup for each prefix length, not one for each network."""
    networks = Patterns.of(f"10.{i // 256}.{i % 256}.0/24" for i in range(5000))
    assert len(networks.networks) == 1
    assert networks.match_ip(parse_ip("10.19.135.9")) == "10.19.135.0/24"


# --- the file ------------------------------------------------------------------------------------------------


def rewrite(path: Path, text: str) -> None:
    """As editors and configuration systems do it: a new file in the place of the old."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "greylist.toml"
    path.write_text("delay = 100")
    source = SettingsFile(path)
    first = source.current()
    assert first.policy.delay == 100
    assert source.current() is first
    rewrite(path, "delay = 200")
    assert source.current().policy.delay == 200
    path.write_text("delay = 3000")
    assert source.current().policy.delay == 3000


def test_a_broken_file_leaves_the_settings_in_force(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "greylist.toml"
    path.write_text("delay = 100")
    source = SettingsFile(path)
    for break_it in (
        lambda: rewrite(path, "delay = "),
        lambda: path.write_bytes(b"# \xff\xfe not UTF-8"),
        lambda: rewrite(path, f"delay = {'9' * 400}"),
        lambda: rewrite(path, f"delay = {'9' * 5000}"),
        lambda: rewrite(path, f"[exempt]\nclients = [0x{'f' * 5000}]"),
        lambda: os.unlink(path),
    ):
        caplog.clear()
        break_it()
        with caplog.at_level(logging.ERROR, "mailauth.greylist"):
            assert source.current().policy.delay == 100
            assert source.current().policy.delay == 100
        assert len(caplog.records) == 1
        assert str(path) in caplog.text
    path.write_text("delay = 50")
    assert source.current().policy.delay == 50


def test_the_first_reading_speaks_up(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SettingsFile(tmp_path / "none.toml")
    path = tmp_path / "greylist.toml"
    path.write_text("dealy = 3")
    with pytest.raises(ConfigError, match=r"greylist\.toml:1: dealy: unknown key"):
        SettingsFile(path)
