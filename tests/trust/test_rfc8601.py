"""Statements of RFC 8601 about readers of the field: each test is named by its section (docs/conformance.md)."""

from __future__ import annotations

import pytest

from mailauth.authres import remove_forged
from tests.trust.test_believe import BORDER, IDS, MAIL, PASS, judged

EVERY_METHOD = {"dmarc", "dkim", "spf", "auth"}


def verdict_of(results: str) -> str:
    """The reason of the verdict where our own server wrote these results, and every method counts."""
    field = f"Authentication-Results: mx.example.net; {results}\n"
    return judged(field + BORDER + MAIL, methods=EVERY_METHOD).reason.value


@pytest.mark.parametrize("word", ["none", "fail", "temperror", "permerror"])
def test_2_7_4_all_but_a_pass_of_auth_is_alike(word: str) -> None:
    """RFC 8601 section 2.7.4."""
    assert verdict_of("auth=pass smtp.auth=service@bank.example") == "authenticated"
    assert verdict_of(f"auth={word} smtp.auth=service@bank.example") == "no-pass"


@pytest.mark.parametrize("unknown", ["x-new=pass header.from=bank.example", "arf=fail", "x-new/2=splendid a.b=c"])
def test_2_7_6_a_method_that_is_not_known_is_passed_over(unknown: str) -> None:
    """RFC 8601 sections 2.7.6 and 4.1: it vouches for nobody, and takes nothing from what stands beside it."""
    good = "dmarc=pass header.from=bank.example"
    assert verdict_of(unknown) == "no-pass"
    assert verdict_of(f"{unknown}; {good}") == verdict_of(f"{good}; {unknown}") == "dmarc-pass"


@pytest.mark.parametrize(
    "result",
    [
        "dkim=splendid header.d=bank.example",
        "dkim=passed header.d=bank.example",
        "dkim/2=pass header.d=bank.example",
        "dkim=pass header.d=bank.example other.d=x",
        "dmarc/2=pass header.from=bank.example",
        "dmarc=bestguesspass header.from=bank.example",
        "dmarc=pass header.from=bank.example other.from=x",
        "spf=pass smtp.mailfrom=bank.example other.x=y",
        "dkim2=pass header.d=bank.example",
    ],
)
def test_4_1_what_is_not_registered_vouches_for_nobody(result: str) -> None:
    """RFC 8601 sections 2.3, 2.6, 2.7.7 and 4.1: another word, version or property type."""
    assert verdict_of(result) == "no-pass"


@pytest.mark.parametrize("lines", [PASS, PASS.replace("mx.example.net", "other.example") + PASS])
def test_4_1_a_field_that_was_appended_is_passed_over(lines: str) -> None:
    """RFC 8601 section 4.1: below what the sender wrote it proves nothing; the message is judged without it."""
    header, _, body = MAIL.partition("\n\n")
    verdict = judged(f"{BORDER}{header}\n{lines}\n{body}")
    assert (verdict.verdict, verdict.reason) == ("unverified", "no-field")
    assert "below-border" in [each.why for each in verdict.passed_over]


def test_4_1_fields_of_an_attached_message_are_ignored() -> None:
    """RFC 8601 section 4.1: neither believed, nor looked at as forged."""
    attached = PASS + BORDER + MAIL
    outer = (
        BORDER + "From: Bank <service@bank.example>\nTo: ann@example.net\nMIME-Version: 1.0\n"
        "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\n"
        f"{attached}\n--x--\n"
    )
    assert judged(outer).reason == "no-field"
    octets = outer.replace("\n", "\r\n").encode()
    assert remove_forged(octets, IDS) == (octets, ())
