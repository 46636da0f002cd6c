"""miltertest (OpenDKIM's) as the mail server: events that Postfix rarely sends."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mailauth.milter.settings import MilterSettings
from tests.milter.runner import CLIENT, OURS, mail_filter, serving
from tests.servers import free_port, need

pytestmark = pytest.mark.server

SCRIPT = """
function ok(found, what) if found ~= nil then error(what .. " failed") end end
function message(conn, sender, body)
    mt.macro(conn, SMFIC_MAIL, "i", "test-id")
    ok(mt.mailfrom(conn, "<" .. sender .. ">", "BODY=8BITMIME"), "mailfrom")
    ok(mt.rcptto(conn, "<bob@example.net>"), "rcptto")
    ok(mt.header(conn, "From", " ann@example.org"), "header")
    ok(mt.header(conn, "Subject", " folded\\n line"), "header")
    if body then ok(mt.bodystring(conn, body), "body") end
end
function finish(conn, expected)
    ok(mt.eom(conn), "eom")
    local reply = mt.getreply(conn)
    if reply ~= expected then error("reply " .. reply .. ", not " .. expected) end
end
function begin(host, address)
    local conn = mt.connect("inet:@PORT@@127.0.0.1")
    if conn == nil then error("connect") end
    ok(mt.conninfo(conn, host, address), "conninfo")
    ok(mt.helo(conn, "mx.example.org"), "helo")
    return conn
end
"""


def run(script: str, tmp_path: Path, settings: MilterSettings | None = None) -> None:
    """Run a script against our filter; what it finds wrong fails the test."""
    port = free_port()
    file = tmp_path / "script.lua"
    file.write_text(SCRIPT.replace("@PORT@", str(port)) + script)
    with serving([(f"inet:127.0.0.1:{port}", mail_filter(settings=settings))]):
        command = [need("miltertest", "miltertest"), "-s", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_abort_between_messages_and_within_one(tmp_path: Path) -> None:
    run(
        f"""
        conn = begin("mx.example.org", "{CLIENT}")
        ok(mt.abort(conn), "abort")
        message(conn, "x@other.example", "given up")
        ok(mt.abort(conn), "abort")
        for n = 1, 5 do
            message(conn, "ann@example.org", "body\\r\\n")
            finish(conn, SMFIR_ACCEPT)
            if not mt.eom_check(conn, MT_HDRINSERT, "Authentication-Results") then error("no field") end
        end
        mt.disconnect(conn)
        """,
        tmp_path,
    )


def test_helo_twice_and_no_helo(tmp_path: Path) -> None:
    run(
        f"""
        conn = begin("mx.example.org", "{CLIENT}")
        ok(mt.helo(conn, "again.example.org"), "helo")
        message(conn, "", nil)
        finish(conn, SMFIR_ACCEPT)
        mt.disconnect(conn)
        """,
        tmp_path,
    )


@pytest.mark.parametrize("address", [CLIENT, "unspec", "2001:db8::1"])
def test_clients_of_all_kinds(tmp_path: Path, address: str) -> None:
    run(
        f"""
        conn = begin("localhost", "{address}")
        message(conn, "ann@example.org", "body\\r\\n")
        finish(conn, SMFIR_ACCEPT)
        if not mt.eom_check(conn, MT_HDRINSERT, "Authentication-Results") then error("no field") end
        mt.disconnect(conn)
        """,
        tmp_path,
    )


def test_our_clients_get_signatures(tmp_path: Path) -> None:
    run(
        f"""
        conn = begin("localhost", "{OURS}")
        message(conn, "ann@example.org", nil)
        finish(conn, SMFIR_ACCEPT)
        if not mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature") then error("not signed") end
        if mt.eom_check(conn, MT_HDRINSERT, "Authentication-Results") then error("checked") end
        mt.disconnect(conn)
        """,
        tmp_path,
    )


def test_the_same_session_does_not_sign_what_is_not_authenticated(tmp_path: Path) -> None:
    """Macros of one message are not those of the next."""
    run(
        f"""
        conn = begin("mx.example.org", "{CLIENT}")
        mt.macro(conn, SMFIC_MAIL, "i", "a", "{{auth_authen}}", "ann@example.org")
        ok(mt.mailfrom(conn, "<ann@example.org>"), "mailfrom")
        ok(mt.rcptto(conn, "<bob@example.net>"), "rcptto")
        ok(mt.header(conn, "From", " ann@example.org"), "header")
        finish(conn, SMFIR_ACCEPT)
        if not mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature") then error("not signed") end
        message(conn, "ann@example.org", nil)
        finish(conn, SMFIR_ACCEPT)
        if mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature") then error("signed") end
        mt.disconnect(conn)
        """,
        tmp_path,
    )


def test_a_refusal_in_our_words(tmp_path: Path) -> None:
    run(
        f"""
        conn = begin("mx.example.org", "{CLIENT}")
        message(conn, "ann@example.org", nil)
        finish(conn, SMFIR_REPLYCODE)
        message(conn, "ann@example.org", nil)
        finish(conn, SMFIR_REPLYCODE)
        mt.disconnect(conn)
        """,
        tmp_path,
        MilterSettings(reject_no_aligned_dkim=True),
    )


def test_quarantine(tmp_path: Path) -> None:
    """What would be refused for good goes to the hold queue instead, with the field that says why."""
    run(
        f"""
        conn = begin("mx.example.org", "{CLIENT}")
        message(conn, "ann@example.org", nil)
        finish(conn, SMFIR_ACCEPT)
        if not mt.eom_check(conn, MT_QUARANTINE) then error("not quarantined") end
        if not mt.eom_check(conn, MT_HDRINSERT, "Authentication-Results") then error("no field") end
        mt.disconnect(conn)
        """,
        tmp_path,
        MilterSettings(reject_no_aligned_dkim=True, quarantine=True),
    )
