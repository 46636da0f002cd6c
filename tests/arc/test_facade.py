"""ARC in a report, in its Authentication-Results, in DMARC's override and its aggregate reports; the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mailauth.authres import AuthenticationResults, parse_field
from mailauth.cli import main
from mailauth.dmarc import DmarcPolicy
from mailauth.resolvers import ZoneResolver
from tests.arc.makers import chain_of, sealed
from tests.dkim.makers import MESSAGE, NOW, rsa_record, signed
from tests.facade.world import FACADES, SYNC, Facade

LIST = "lists.example"
DNS: dict[tuple[str, str], Any] = {
    ("arc._domainkey.lists.example", "TXT"): [rsa_record()],
    ("arc._domainkey.evil.example", "TXT"): [rsa_record()],
    ("sel._domainkey.example.org", "TXT"): [rsa_record()],
    ("_dmarc.example.org", "TXT"): ["v=DMARC1; p=reject; rua=mailto:d@example.org"],
}
# The list took the mail in as it was signed, changed the subject, and sealed it.
FORWARDED = sealed(signed().replace(b"Subject: two", b"Subject: [list] two"), LIST)


def report_of(message: bytes, facade: Facade = SYNC, **options: Any) -> Any:
    auth = facade.authenticator(resolver=ZoneResolver(DNS), **options)
    return facade.run(auth.check(message, ip="203.0.113.9", helo="lists.example", mail_from="b@lists.example", now=NOW))


@pytest.mark.parametrize("facade", FACADES, ids=lambda facade: facade.name)
def test_a_report_has_the_chain(facade: Facade) -> None:
    report = report_of(FORWARDED, facade)
    assert (report.arc.result, report.arc.chain, report.arc.oldest_pass) == ("pass", (LIST,), 0)
    assert report.to_dict()["arc"]["chain"] == [LIST]
    assert report.dkim[0].result == "fail"  # one pass over the body serves both
    field = parse_field(report.authentication_results)
    assert isinstance(field, AuthenticationResults)
    [arc] = field.of("arc")
    assert (arc.result, arc.comment) == ("pass", "i=1 chain=lists.example")
    assert (arc.value("smtp", "remote-ip"), arc.value("header", "oldest-pass")) == ("203.0.113.9", "0")
    found = facade.run(facade.module.verify_arc(FORWARDED, now=NOW, resolver=ZoneResolver(DNS)))
    assert found == report.arc


def test_a_chain_that_fails_says_why() -> None:
    report = report_of(FORWARDED + b"more")
    assert report.arc.reason == "signature"
    field = parse_field(report.authentication_results)
    assert isinstance(field, AuthenticationResults)
    assert field.of("arc")[0].reason == "ARC-Message-Signature of set 1: the body is not the one that was signed"


def test_a_message_that_nobody_sealed_says_nothing_of_arc() -> None:
    report = report_of(signed())
    assert report.arc.result == "none"
    assert b" arc=" not in report.authentication_results
    assert (report.dkim[0].result, report.dmarc.result) == ("pass", "pass")


TRUSTED = DmarcPolicy(trusted_sealers=(LIST,))


@pytest.mark.parametrize(
    ("message", "policy", "disposition"),
    [
        (FORWARDED, TRUSTED, "none"),
        (FORWARDED, DmarcPolicy(), "reject"),  # an unknown sealer changes nothing
        (FORWARDED + b"more", TRUSTED, "reject"),
        (sealed(FORWARDED, "evil.example"), TRUSTED, "reject"),
        (sealed(MESSAGE, LIST, results="mx; dmarc=fail header.from=example.org"), TRUSTED, "reject"),
        (FORWARDED.replace(b"ann@example.org", b"eve@example.org"), TRUSTED, "reject"),
    ],
)
def test_dmarc_believes_trusted_sealers(message: bytes, policy: DmarcPolicy, disposition: str) -> None:
    report = report_of(message, dmarc_policy=policy)
    assert (report.dmarc.result, report.dmarc.disposition) == ("fail", disposition)
    if disposition == "none":
        assert report.dmarc.overrides == (("trusted_forwarder", "arc=pass as[1].d=lists.example as[1].s=arc"),)
    else:
        assert report.dmarc.overrides == ()


def test_an_aggregate_report_says_that_a_forwarder_was_trusted() -> None:
    rows: list[Any] = []

    class Store:
        def add(self, day: int, published: Any, row: Any) -> None:
            rows.append(row)

    report_of(FORWARDED, dmarc_policy=TRUSTED, dmarc_reports=Store())
    assert [reason for row in rows for reason in row.reasons] == [
        ("trusted_forwarder", "arc=pass as[1].d=lists.example as[1].s=arc")
    ]


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    message, zone = tmp_path / "message.eml", tmp_path / "zone"
    message.write_bytes(chain_of("lists.example"))
    record = " ".join(f'"{rsa_record()[start : start + 200]}"' for start in range(0, len(rsa_record()), 200))
    zone.write_text(f"arc._domainkey.lists.example. 60 TXT {record}\n")
    return str(message), str(zone)


def test_the_command(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    message, zone = files
    assert main(["arc", message, "--zone", zone]) == 0
    assert capsys.readouterr().out == (
        "chain         pass (verified) every seal verifies\n"
        "set 1         lists.example (mx.lists.example) says dmarc=pass for example.org\n"
        "unchanged     since the first set (oldest-pass=0)\n"
    )
    assert main(["arc", message, "--zone", zone, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chain"] == ["lists.example"]
    Path(message).write_bytes(Path(message).read_bytes() + b"more")
    assert main(["arc", message, "--zone", zone]) == 1
    output = capsys.readouterr().out
    assert "fail (signature) ARC-Message-Signature of set 1" in output
    assert "(mx.lists.example) says, unproven: dmarc=pass for example.org" in output


def test_check_shows_the_chain(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    message, zone = files
    main(["check", message, "--zone", zone, "--ip", "192.0.2.1", "--hostname", "mx.example.net", "--verbose"])
    output = capsys.readouterr().out
    assert "ARC           pass        every seal verifies, sealed by lists.example" in output
    assert "set 1 by lists.example: dmarc=pass for example.org" in output
