"""The field of a whole message with six results, written and read.

Writing includes the choice of what may stand in it and, in mailauth, the folding; reading gives typed results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import authres
from benchmarks.measure import Case, call, ours, package
from mailauth.authres import auth, build, dkim, iprev, parse_field, spf

TITLE = "Authentication-Results"

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


def build_with_authres() -> str:
    """The same results."""

    def header_b(value: str) -> list[authres.AuthenticationResultProperty]:
        return [authres.AuthenticationResultProperty("header", "b", value)]

    return str(
        authres.AuthenticationResultsHeader(
            authserv_id="mx.example.net",
            results=[
                authres.IPRevAuthenticationResult(
                    result="pass", result_comment="mail.example.org", policy_iprev="192.0.2.1"
                ),
                authres.SPFAuthenticationResult(result="pass", smtp_helo="mail.example.org"),
                authres.SPFAuthenticationResult(
                    result="softfail", smtp_mailfrom="example.org", reason="the record ends with ~all"
                ),
                authres.DKIMAuthenticationResult(
                    result="pass",
                    header_d="example.org",
                    header_i="@example.org",
                    header_s="2026a",
                    header_a="rsa-sha256",
                    properties=header_b("Ab/Cdefg"),
                ),
                authres.DKIMAuthenticationResult(
                    result="fail",
                    header_d="lists.example.net",
                    header_i="@lists.example.net",
                    header_s="s1",
                    header_a="rsa-sha256",
                    properties=header_b("Cdefghij"),
                    reason="the body hash differs",
                ),
                authres.SMTPAUTHAuthenticationResult(result="pass", smtp_auth="ann"),
            ],
        )
    )


def read_with_authres(field: str) -> Callable[[], authres.AuthenticationResultsHeader]:
    """authres takes a field that is unfolded."""
    unfolded = field.replace("\r\n", "")
    return lambda: authres.AuthenticationResultsHeader.parse(unfolded)


def cases() -> Iterator[Case]:
    field = build_whole()
    read = read_with_authres(field.decode())
    expected = sorted((one.method, str(one.result)) for one in parse_field(field).results)
    for results in (read().results, read_with_authres(build_with_authres())().results):
        assert sorted((one.method, one.result) for one in results) == expected
    version = package("authres")
    yield Case("write", [ours(build_whole), call("authres", build_with_authres, version)])
    yield Case("read", [ours(lambda: parse_field(field)), call("authres", read, version)])
