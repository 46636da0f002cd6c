"""DMARC in the whole: `check_dmarc`, the report, the header field, the restriction, and what it costs in rounds."""

from __future__ import annotations

import io
import itertools
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailauth import authres, sync
from mailauth import restrictions as r
from mailauth.dmarc import DmarcPolicy
from mailauth.dmarc.reports import row_of
from mailauth.plan import TIMED_OUT, Answer, Question
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import Restrictions
from tests.facade.test_check import rounds_of
from tests.facade.world import BOB, GOOD, LISTED, NOW, PLAIN, STRANGER, Facade, records, signed

REJECT = "v=DMARC1; p=reject"


def world(record: str = REJECT, failures: dict[tuple[str, str], str] | None = None) -> ZoneResolver:
    mine: Any = {**records(), ("_dmarc.example.org", "TXT"): [record]}
    return ZoneResolver(mine, failures=failures)  # type: ignore[arg-type]


def report_of(facade: Facade, message: bytes, ip: str = GOOD, **options: Any) -> Any:
    options.setdefault("resolver", world())
    auth = facade.authenticator(**options)
    facts = {"ip": ip, "helo": "mx.example.org", "mail_from": "ann@example.org", "rcpt_to": [BOB], "now": NOW}
    return facade.run(auth.check(message, **facts))


def field_of(report: Any) -> Any:
    parsed = authres.parse_field(report.authentication_results)
    (method,) = [result for result in parsed.results if result.method == "dmarc"]
    return method


def test_check_dmarc_takes_a_domain_or_a_message(facade: Facade) -> None:
    module, run, zone = facade.module, facade.run, world()
    spf = run(module.check_spf(GOOD, helo="mx.example.org", mail_from="ann@example.org", now=NOW, resolver=zone))
    signatures = run(module.verify_dkim(signed(), now=NOW, resolver=zone))
    by_domain = run(module.check_dmarc("example.org", spf=spf, dkim=signatures, resolver=zone))
    assert (by_domain.result, by_domain.policy, by_domain.disposition) == ("pass", "reject", "none")
    assert (by_domain.spf_aligned, by_domain.dkim_aligned) == (True, True)
    for message in (signed(), io.BytesIO(signed())):
        assert run(module.check_dmarc(message=message, spf=spf, dkim=signatures, resolver=zone)) == by_domain
    failed = run(module.check_dmarc(message=PLAIN, resolver=zone))
    assert (failed.result, failed.reason, failed.disposition) == ("fail", "nothing-passed", "reject")
    two = run(module.check_dmarc(message=PLAIN.replace(b"From:", b"From: x@y.example\r\nFrom:", 1), resolver=zone))
    assert (two.result, two.reason) == ("permerror", "no-author")
    for mistake in ({}, {"author_domain": "example.org", "message": PLAIN}):
        with pytest.raises(TypeError, match="either"):
            run(module.check_dmarc(**mistake, resolver=zone))


def test_the_report_and_its_field(facade: Facade) -> None:
    report = report_of(facade, signed())
    assert (report.dmarc.result, report.dmarc.author_domain) == ("pass", "example.org")
    method = field_of(report)
    assert (method.result, method.value("header", "from"), method.value("policy", "dmarc")) == (
        "pass", "example.org", "none",
    )  # fmt: skip
    assert b"dmarc=pass (p=reject dis=none) header.from=example.org" in report.authentication_results
    assert report.to_dict()["dmarc"]["result"] == "pass"


def test_a_fail_is_reported_and_by_default_nothing_more(facade: Facade) -> None:
    """RFC 9989 section 7.4: not rejected solely because of p=reject."""
    report = report_of(facade, PLAIN, STRANGER, restrictions=Restrictions(data=[r.check_dmarc()]))
    assert report.reply is None
    assert (report.dmarc.result, report.dmarc.disposition) == ("fail", "reject")
    assert field_of(report).value("policy", "dmarc") == "reject"
    assert report_of(facade, PLAIN, GOOD).action == "none"


@pytest.mark.parametrize(
    ("record", "refused"),
    [(REJECT, True), ("v=DMARC1; p=quarantine", False), ("v=DMARC1; p=reject; t=y", False), ("v=spf1 -all", False)],
)
def test_reject_on_request(facade: Facade, record: str, refused: bool) -> None:
    restrictions = Restrictions(data=[r.check_dmarc(reject=True)])
    report = report_of(facade, PLAIN, STRANGER, restrictions=restrictions, resolver=world(record))
    expected = "550 5.7.1 Email rejected per DMARC policy for example.org" if refused else "None"
    assert str(report.reply) == expected
    assert report_of(facade, signed(), restrictions=restrictions, resolver=world(record)).reply is None


def test_a_warning_and_an_override_let_it_pass(facade: Facade) -> None:
    warned = report_of(
        facade, PLAIN, STRANGER, restrictions=Restrictions(data=[r.warn_if_reject(r.check_dmarc(reject=True))])
    )
    assert warned.reply is None
    assert [warning.reason for warning in warned.decision.warnings] == ["dmarc-fail"]
    message = PLAIN.replace(b"ann@example.org", b"ann@other.example")
    zone = ZoneResolver({**records(), ("_dmarc.other.example", "TXT"): [REJECT]})  # type: ignore[dict-item]
    options: Any = {"restrictions": Restrictions(data=[r.check_dmarc(reject=True)]), "resolver": zone}
    assert report_of(facade, message, **options).reply is not None
    trusted = report_of(facade, message, dmarc_policy=DmarcPolicy(trusted_forwarders=("example.org",)), **options)
    assert (trusted.reply, trusted.dmarc.result, trusted.dmarc.overrides[0].type) == (None, "fail", "trusted_forwarder")


def test_a_dns_error_passes_or_defers(facade: Facade) -> None:
    zone = world(failures={("_dmarc.example.org", "TXT"): "servfail"})
    for on_dns_error, reply in (("pass", "None"), ("defer", "451 4.7.1")):
        restrictions = Restrictions(data=[r.check_dmarc(reject=True, on_dns_error=on_dns_error)])  # type: ignore[arg-type]
        report = report_of(facade, PLAIN, STRANGER, restrictions=restrictions, resolver=zone)
        assert report.dmarc.result == "temperror"
        assert str(report.reply).startswith(reply)
        assert field_of(report).reason
    with pytest.raises(ValueError, match="on_dns_error"):
        r.check_dmarc(on_dns_error="maybe")  # type: ignore[arg-type]


def test_5_3_3_what_is_kept_of_spf_and_dkim(facade: Facade) -> None:
    """RFC 9989 section 5.3.3: results, domains and selectors, and why it failed; in the report and in its rows."""
    rua = world("v=DMARC1; p=reject; rua=mailto:a@example.org")
    good = report_of(facade, signed(), GOOD, resolver=rua)
    bad = report_of(facade, signed().replace(b"Hello, Bob.", b"Hello, Eve."), STRANGER, resolver=rua)
    for report, spf, dkim in ((good, "pass", "pass"), (bad, "fail", "fail")):
        kept = report.to_dict()
        assert (kept["spf"]["result"], kept["spf"]["domain"]) == (spf, "example.org")
        (signature,) = kept["dkim"]
        assert (signature["result"], signature["domain"], signature["selector"]) == (dkim, "example.org", "s1")
        row = row_of(report.dmarc, IPv4Address(GOOD))
        assert row.spf_result == ("example.org", spf)
        assert row.dkim_results == (("example.org", "s1", dkim),)
    assert "-all" in bad.spf.detail
    assert bad.dkim[0].detail == "the body is not the one that was signed"


def test_5_4_a_pass_is_no_permit(facade: Facade) -> None:
    """RFC 9989 section 5.4: other restrictions judge by themselves."""
    report = report_of(
        facade, signed(), LISTED, rbl=["bl.example"], restrictions=Restrictions(data=[r.check_dmarc(), r.reject_rbl()])
    )
    assert (report.dmarc.result, report.verdict, report.decision.restriction) == ("pass", "reject", "reject_rbl")


@pytest.mark.parametrize("reject", [False, True])
def test_5_4_p_none_changes_nothing(facade: Facade, reject: bool) -> None:
    """RFC 9989 section 5.4: what fails under p=none is handled as mail without DMARC."""
    restrictions = Restrictions(data=[r.check_dmarc(reject=reject)])
    options: Any = {"restrictions": restrictions, "dmarc_policy": DmarcPolicy(quarantine=True)}
    failing = report_of(facade, PLAIN, STRANGER, resolver=world("v=DMARC1; p=none"), **options)
    without = report_of(facade, PLAIN, STRANGER, resolver=world("none"), **options)
    assert (failing.dmarc.result, failing.dmarc.disposition, without.dmarc.result) == ("fail", "none", "none")
    assert (failing.decision, failing.reply, failing.verdict) == (without.decision, without.reply, without.verdict)


class Silent:
    """A resolver that lets some questions time out; `asked` has all."""

    def __init__(self, zone: ZoneResolver, silent: set[Question]) -> None:
        self.zone, self.silent = zone, silent
        self.asked: list[Question] = []

    def lookup(self, question: Question, time_limit: float | None) -> Answer:
        self.asked.append(question)
        return TIMED_OUT if question in self.silent else self.zone.lookup_now(question)


@pytest.mark.parametrize(
    ("message", "ip", "mail_from", "expected"),
    [
        (signed(), STRANGER, "ann@other.example", "pass"),
        (PLAIN, GOOD, "ann@bounce.example.org", "pass"),
        (PLAIN, GOOD, "", "pass"),
        (PLAIN, STRANGER, "ann@bounce.example.org", "fail"),
        (signed().replace(b"Hello", b"Adieu"), STRANGER, "", "fail"),
    ],
)
def test_5_3_6_whatever_question_times_out_a_fail_is_never_made_of_it(
    message: bytes, ip: str, mail_from: str, expected: str
) -> None:
    """Each question of the evaluation in turn, and each two: the result is that of the whole DNS, or a temperror."""
    mine: Any = {
        **records(),
        ("_dmarc.example.org", "TXT"): ["v=DMARC1; p=none; sp=reject; np=quarantine"],
        ("bounce.example.org", "TXT"): ["v=spf1 redirect=example.org"],
        ("mx.example.org", "TXT"): ["v=spf1 redirect=example.org"],
    }

    def evaluate(silent: set[Question]) -> tuple[str, list[Question]]:
        resolver = Silent(ZoneResolver(mine), silent)
        auth = sync.Authenticator("mx.mailbox.test", resolver=resolver)
        report = auth.check(message, ip=ip, helo="mx.example.org", mail_from=mail_from, rcpt_to=[BOB], now=NOW)
        assert report.dmarc is not None
        return report.dmarc.result.value, list(dict.fromkeys(resolver.asked))

    result, asked = evaluate(set())
    assert result == expected
    for silent in (*itertools.combinations(asked, 1), *itertools.combinations(asked, 2)):
        assert evaluate(set(silent))[0] in (expected, "temperror"), silent


FRAGMENTS = [b"ann@example.org", b"b@x.test", b"[192.0.2.1]", b"localhost", b"=?utf-8?q?a=40b=2Ec?=", b"team:", b"xn--",
             b"\xc3\xbc.example.org", b"\r\n ", *(bytes([octet]) for octet in b',;:<>"\\()@ .\0\xff')]  # fmt: skip


@given(st.one_of(st.lists(st.sampled_from(FRAGMENTS), max_size=10).map(b"".join), st.binary(max_size=60)))
@example(b"<" * 50_000)
@example(b"a@" + b"x." * 120 + b"org")
@example(b"a@example.org," * 4000)
def test_5_3_1_any_octets_as_from_have_a_result_of_bounded_work(value: bytes) -> None:
    """Any octets as From have a result, in a bounded number of questions (RFC 9989 section 5.3.1)."""
    found = sync.check_dmarc(message=b"From: " + value + b"\r\nSubject: x\r\n\r\n", resolver=world())
    assert found.queries <= 9
    assert (found.author_domain is None) == (found.reason == "no-author")
    assert found.detail.isprintable()
    str(found.to_dict())


def test_a_session_evaluates_it_after_the_message(facade: Facade) -> None:
    auth = facade.authenticator(resolver=world(), restrictions=Restrictions(data=[r.check_dmarc(reject=True)]))
    for ip, message, reply in ((STRANGER, PLAIN, "550 5.7.1"), (GOOD, PLAIN, "None"), (STRANGER, signed(), "None")):
        session = auth.session(ip)
        facade.run(session.helo("mx.example.org", now=NOW))
        facade.run(session.mail("ann@example.org", now=NOW))
        facade.run(session.rcpt(BOB, now=NOW))
        decision = facade.run(session.data(message, now=NOW))
        assert str(decision.reply).startswith(reply)
        assert session.report().dmarc.author_domain == "example.org"
        # The next message of the session has an author of its own.
        facade.run(session.mail("ann@example.org", now=NOW))
        facade.run(session.rcpt(BOB, now=NOW))
        facade.run(session.data(PLAIN.replace(b"example.org", b"other.example"), now=NOW))
        assert session.report().dmarc.author_domain == "other.example"


def test_it_costs_no_round_of_its_own() -> None:
    """The author's walk goes beside SPF and the keys; what is aligned by being equal asks nothing more."""
    with_dmarc, without = Restrictions(data=[r.check_dmarc()]), Restrictions(data=[r.check_dkim()])
    assert rounds_of(with_dmarc).rounds == rounds_of(without).rounds
