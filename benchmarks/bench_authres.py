"""Authentication-Results: building and reading the field of a whole message."""

from __future__ import annotations

from benchmarks.common import seconds_per_call, table
from mailauth.authres import auth, build, dkim, iprev, parse_field, spf

_SIGNATURE = "Ab/Cdefghijklmnop" * 20


def build_whole() -> bytes:
    """The field of a message with every check made: iprev, SPF twice, DKIM twice, SMTP AUTH."""
    return build(
        "mx.example.net",
        iprev("pass", "192.0.2.1", comment="mail.example.org"),
        spf("pass", helo="mail.example.org"),
        spf("softfail", mail_from="ann@example.org", reason="the record ends with ~all"),
        dkim(
            "pass",
            domain="example.org",
            identity="@example.org",
            selector="2026a",
            algorithm="rsa-sha256",
            signature=_SIGNATURE,
        ),
        dkim(
            "fail",
            domain="lists.example.net",
            identity="@lists.example.net",
            selector="s1",
            algorithm="rsa-sha256",
            signature=_SIGNATURE[3:],
            reason="the body hash differs",
        ),
        auth("pass", identity="ann"),
    )


def main() -> None:
    field = build_whole()
    times = seconds_per_call(
        {
            "build": build_whole,
            "parse": lambda: parse_field(field),
            "parse, lenient": lambda: parse_field(field, lenient=True),
        }
    )
    rows = [(name, f"{seconds * 1e6:.1f}") for name, seconds in times.items()]
    table(f"Authentication-Results, {len(field)} octets, 6 results", ["", "microseconds"], rows)
