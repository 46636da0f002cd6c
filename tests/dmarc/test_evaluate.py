"""The evaluation (RFC 9989 sections 3.2, 4.4, 4.10 and 5.3, appendix B): each case numbered by its section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mailauth.dmarc import DmarcPolicy, walk_names
from mailauth.dmarc.walk import walk
from mailauth.mail.author import Author, AuthorReason
from mailauth.plan import Answer, Outcome, Question, run
from mailauth.resolvers import RecordingResolver, ZoneResolver
from tests.dmarc.world import Dkim, Spf, asked, evaluate, zone

NONE, QUARANTINE, REJECT = "v=DMARC1; p=none", "v=DMARC1; p=quarantine", "v=DMARC1; p=reject"
DEEP = "a.b.c.d.e.f.g.h.i.j.mail.example.com"
OTHER = [Dkim("other.example")]


def organizational(resolver: Any, domain: str) -> str | None:
    return run(walk(domain), resolver).organizational_domain


def test_4_10_the_names_of_the_example() -> None:
    assert walk_names(DEEP) == [
        DEEP,
        "g.h.i.j.mail.example.com",
        "h.i.j.mail.example.com",
        "i.j.mail.example.com",
        "j.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    ]


@pytest.mark.parametrize("labels", range(1, 40))
def test_4_10_never_more_than_eight_questions(labels: int) -> None:
    domain = ".".join("abcdefgh"[i % 8] for i in range(labels))
    names = walk_names(domain)
    assert len(names) == min(labels, 8)
    assert names[0] == domain
    assert names[-1] == domain.rsplit(".", 1)[-1]
    assert [name.count(".") + 1 for name in names[1:]] == list(range(min(labels - 1, 7), 0, -1))


def test_4_10_2_an_error_below_the_stop_hides_it_and_one_above_does_not() -> None:
    assert organizational(zone({}), "a.mail.example.com") == "a.mail.example.com"
    stop = {"example.com": "v=DMARC1; p=none; psd=n"}
    assert organizational(zone(stop, {"com": "servfail"}), "mail.example.com") == "example.com"
    assert organizational(zone(stop, {"mail.example.com": "servfail"}), "mail.example.com") is None
    assert organizational(zone({"example.com": NONE}, {"com": "timeout"}), "mail.example.com") is None


B_4_1 = {"example.com": NONE, "signing.example.com": NONE}


def test_b_4_2_deep() -> None:
    author = "a.b.c.d.e.f.g.h.i.j.k.example.com"
    resolver = RecordingResolver(zone(B_4_1))
    result = evaluate(resolver, author, Spf("example.com"), [Dkim("signing.example.com")])
    assert (result.result, result.policy_domain, result.organizational_domain) == ("pass", "example.com", "example.com")
    assert (result.spf_aligned, result.dkim_aligned) == (True, True)
    # The eight names of the author, and the one of the signer that is not among them.
    assert len(asked(resolver)) == result.queries == 9


def test_9_2_a_record_that_is_invalid_as_a_whole_is_a_permerror() -> None:
    result = evaluate(zone({"example.com": "v=DMARC1; p=none; p=reject"}), "example.com", Spf("example.com"))
    assert (result.result, result.reason) == ("permerror", "unusable-record")


@pytest.mark.parametrize(
    ("policy", "disposition"), [("reject", "quarantine"), ("quarantine", "none"), ("none", "none")]
)
def test_4_7_test_mode_asks_for_one_level_less(policy: str, disposition: str) -> None:
    result = evaluate(zone({"example.com": f"v=DMARC1; p={policy}; t=y"}), "example.com")
    assert (result.policy, result.disposition) == (policy, disposition)
    assert [each.type for each in result.overrides] == (["policy_test_mode"] if policy != "none" else [])


@pytest.mark.parametrize("outcome", ["fail", "softfail", "neutral", "none", "permerror", "policy"])
def test_4_4_what_did_not_pass_is_no_identifier(outcome: str) -> None:
    result = evaluate(
        zone({"example.com": REJECT}), "example.com", Spf("example.com", outcome), [Dkim("example.com", outcome)]
    )
    assert (result.result, result.reason, result.aligned) == ("fail", "nothing-passed", False)
    assert [each.aligned for each in result.identifiers] == [None, None]


def test_4_4_1_one_aligned_signature_of_many_is_enough() -> None:
    dkim = [Dkim("other.example"), Dkim("example.com", "fail"), Dkim("example.com"), Dkim(None, "neutral")]
    result = evaluate(zone({"example.com": REJECT}), "example.com", dkim=dkim)
    assert (result.result, result.disposition) == ("pass", "none")
    assert len(result.identifiers) == 3


@pytest.mark.parametrize("failure", ["timeout", "servfail", "refused"])
def test_5_3_6_a_policy_that_cannot_be_looked_up_is_a_temperror(failure: str) -> None:
    result = evaluate(zone({"example.com": REJECT}, {"mail.example.com": failure}), "mail.example.com")
    assert (result.result, result.reason, result.disposition) == ("temperror", "dns-error", "none")


def test_5_3_6_an_error_of_spf_or_dkim_that_might_be_aligned() -> None:
    resolver = zone({"example.com": REJECT})
    for spf, dkim in ((Spf("a.example.com", "temperror"), []), (None, [Dkim("a.example.com", "temperror")])):
        result = evaluate(resolver, "example.com", spf, dkim)
        assert (result.result, result.reason) == ("temperror", "authentication-error")
    assert evaluate(resolver, "example.com", Spf("other.example", "temperror")).result == "fail"
    assert evaluate(resolver, "example.com", Spf("a.example.com", "temperror"), [Dkim("example.com")]).result == "pass"


def test_3_2_13_existence() -> None:
    """NXDOMAIN of the name itself; no data is existence that cannot be known, and counts (RFC 9824)."""
    resolver = zone({"example.com": "v=DMARC1; p=reject; np=none", "x.empty.example.com": NONE})
    assert evaluate(resolver, "missing.example.com").exists is False
    assert evaluate(resolver, "empty.example.com").exists is True  # a zone in memory knows its names
    assert evaluate(resolver, "example.com").exists is None  # not asked: p applies


def test_3_2_13_no_data_is_no_proof_that_a_name_is_missing() -> None:
    """RFC 9824: it may be; the policy for names that exist applies, and the result says that it is not known."""

    class Compact:
        def lookup(self, question: Question, time_limit: float | None) -> Answer:
            if question.name == "_dmarc.example.com":
                return Answer(Outcome.FOUND, (b"v=DMARC1; p=none; sp=quarantine; np=reject",))
            return Answer(Outcome.NO_DATA)

    found = evaluate(Compact(), "gone.example.com")
    assert (found.policy_tag, found.policy, found.exists) == ("sp", "quarantine", None)


def test_4_4_each_method_has_its_own_alignment() -> None:
    """aspf= is for SPF, adkim= for DKIM (section 4.7)."""
    for tag, strict in (("aspf", "spf"), ("adkim", "dkim")):
        resolver = zone({"example.com": f"v=DMARC1; p=reject; {tag}=s"})
        found = evaluate(resolver, "example.com", Spf("a.example.com"), [Dkim("b.example.com")])
        assert {each.method: (each.mode, each.aligned) for each in found.identifiers} == {
            method: ("strict", False) if method == strict else ("relaxed", True) for method in ("spf", "dkim")
        }


def test_5_3_6_an_error_of_dkim_whose_alignment_is_hidden_as_well() -> None:
    """Whether the signature would have been aligned is not known either: that is no fail."""
    resolver = zone({"example.com": "v=DMARC1; p=reject"}, {"a.example.com": "timeout"})
    found = evaluate(resolver, "example.com", dkim=[Dkim("a.example.com", "temperror")])
    assert (found.result, found.reason) == ("temperror", "authentication-error")


def test_5_3_6_existence_that_cannot_be_looked_up() -> None:
    from mailauth.resolvers import ZoneResolver

    records = {("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; np=none"]}
    resolver = ZoneResolver(records, failures={("a.example.com", "TXT"): "servfail"})
    assert evaluate(resolver, "a.example.com").result == "temperror"
    assert evaluate(resolver, "a.example.com", Spf("a.example.com")).result == "pass"


def test_the_fewest_questions() -> None:
    """Equal domains, strict alignment and strangers need no walk; the names of all walks are asked once."""
    records = {"example.com": REJECT, "strict.example": "v=DMARC1; p=reject; adkim=s; aspf=s"}
    cases: list[tuple[str, Spf | None, list[Dkim], int]] = [
        ("example.com", Spf("example.com"), [Dkim("example.com")], 2),
        ("example.com", Spf("bounce.mailer.example"), [Dkim("mailer.example")] * 5, 2),
        ("strict.example", Spf("a.strict.example"), [], 2),
        ("example.com", Spf("a.b.example.com"), [Dkim("b.example.com")], 4),
        ("nothing.test", Spf("a.nothing.test"), [], 2),
    ]
    for author, spf, dkim, questions in cases:
        resolver = RecordingResolver(zone(records))
        result = evaluate(resolver, author, spf, dkim)
        assert (len(asked(resolver)), result.queries) == (questions, questions), author


def test_11_5_the_work_for_many_identifiers_is_bounded() -> None:
    resolver = RecordingResolver(
        zone({"example.com": REJECT, **{f"x{i}.example.com": "v=DMARC1; psd=n" for i in range(50)}})
    )
    dkim = [Dkim(f"a.b.c.d.e.f.x{i}.example.com") for i in range(50)]
    result = evaluate(resolver, "example.com", dkim=dkim)
    assert (result.result, result.reason) == ("permerror", "too-many-identifiers")
    assert len(asked(resolver)) <= 2 + 10 * 7
    # One that is aligned is found, wherever it stands: the author's own domain needs no walk.
    assert evaluate(resolver, "example.com", dkim=[*dkim, Dkim("example.com")]).result == "pass"


@pytest.mark.parametrize(
    "author", ["", "localhost", "[192.0.2.1]", "192.0.2.1", "a..b", "x" * 300, "\ud800.org", "a b.c"]
)
def test_5_3_1_what_is_no_domain_is_a_permerror(author: str) -> None:
    result = evaluate(zone({}), author, Spf("example.com"))
    assert (result.result, result.reason, result.queries) == ("permerror", "no-author", 0)
    assert result.detail.isprintable()


def test_5_3_1_u_labels_are_converted() -> None:
    resolver = zone({"xn--bcher-kva.example": REJECT})
    result = evaluate(resolver, "Bücher.Example.", Spf("mail.BÜCHER.example"))
    assert (result.author_domain, result.result) == ("xn--bcher-kva.example", "pass")


def test_5_3_1_the_reason_why_there_is_no_author() -> None:
    result = evaluate(zone({}), Author(AuthorReason.SEVERAL_DOMAINS))
    assert (result.result, result.reason) == ("permerror", "no-author")
    assert "more than one domain" in result.detail


def test_5_4_local_overrides_are_named() -> None:
    policy = DmarcPolicy(trusted_forwarders=("forwarder.example",), mailing_lists=("lists.example",))
    resolver = zone({"example.com": REJECT})
    trusted = evaluate(resolver, "example.com", Spf("srs.forwarder.example"), policy=policy)
    assert (trusted.result, trusted.policy, trusted.disposition) == ("fail", "reject", "none")
    assert trusted.overrides == (("trusted_forwarder", "srs.forwarder.example"),)
    listed = evaluate(resolver, "example.com", dkim=[Dkim("lists.example")], policy=policy)
    assert listed.overrides == (("mailing_list", "lists.example"),)
    assert evaluate(resolver, "example.com", Spf("lists.example", "fail"), policy=policy).disposition == "reject"
    with pytest.raises(ValueError, match="domains"):
        DmarcPolicy(mailing_lists=("not a domain",))
    with pytest.raises(ValueError, match="tuple"):
        DmarcPolicy(mailing_lists="lists.example")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        DmarcPolicy(max_identifiers=0)


def test_a_result_is_neither_true_nor_false() -> None:
    result = evaluate(zone({}), "example.com")
    with pytest.raises(TypeError):
        bool(result)
    assert result.to_dict()["trace"][0]["question"] == "_dmarc.example.com TXT"


def test_the_detail_names_what_was_discarded() -> None:
    """Who asks why no record applies is told which ones do not count."""
    found = evaluate(zone({"example.com": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}), "a.example.com")
    assert found.detail == (
        "no DMARC record applies to a.example.com; _dmarc.example.com has several records, which are all discarded"
    )
    found = evaluate(zone({"example.com": "v=DMARC1; sp=none; p=none; sp=none"}), "example.com")
    assert found.detail == "_dmarc.example.com: sp= stands twice: the whole record is invalid"


def test_a_visit_has_the_record_as_it_is_published() -> None:
    published = "V = DMARC1; P=reject; pct=50; rua=mailto:a@example.com!10m; \x07x"
    found = evaluate(zone({"example.com": [published, "something else"]}, {"com": "refused"}), "example.com")
    first, second = found.trace
    assert (first.text, first.words) == (published.replace("\x07", "?"), published.replace("\x07", "?"))
    assert (second.text, second.words) == ("", "could not be looked up: refused")
    assert first.to_dict()["text"] == first.text
    other = evaluate(zone({"example.com": "v=spf1 -all"}), "example.com").trace
    assert [visit.words for visit in other] == ["other text, no DMARC record", "no record"]


class _Chain:
    """A chain of ARC sets that passes, sealed by these."""

    def __init__(self, *sealers: str) -> None:
        self.sealers = sealers

    def vouch(self, author: str, sealers: Sequence[str]) -> str | None:
        assert author == "example.com"
        return "arc=pass" if set(self.sealers) <= set(sealers) else None


def test_8617_7_2_1_a_chain_of_trusted_sealers_is_a_local_override() -> None:
    policy, resolver = DmarcPolicy(trusted_sealers=("Sealer.example",)), zone({"example.com": REJECT})
    found = evaluate(resolver, "example.com", arc=_Chain("sealer.example"), policy=policy)
    assert (found.result, found.policy, found.disposition) == ("fail", "reject", "none")
    assert found.overrides == (("trusted_forwarder", "arc=pass"),)
    for arc, other in ((_Chain("other.example"), policy), (_Chain("sealer.example"), DmarcPolicy()), (None, policy)):
        found = evaluate(resolver, "example.com", arc=arc, policy=other)
        assert (found.disposition, found.overrides) == ("reject", ())
    passing = evaluate(resolver, "example.com", Spf("example.com"), arc=_Chain("sealer.example"), policy=policy)
    assert passing.overrides == ()


B_2 = """
$ORIGIN example.com.
$TTL 300
_dmarc          IN TXT ( "v=DMARC1; p=none; "
                         "rua=mailto:dmarc-feedback@example.com; "
                         "ruf=mailto:auth-reports@thirdparty.example.net" )
_dmarc.test     IN TXT ( "v=DMARC1; p=quarantine; "
                         "rua=mailto:dmarc-feedback@example.com,"
                         "mailto:tld-test@thirdparty.example.net; "
                         "t=y" )
_dmarc.alias    IN CNAME _dmarc.test
_dmarc.nowhere  IN CNAME _dmarc.missing
_dmarc.others   IN TXT "some-site-verification=1"
_dmarc.others   IN TXT "v=DMARC1; p=reject"
_dmarc.others   IN TXT "v=DMARC2; p=none"
"""


def test_b_2_the_records_of_the_appendix() -> None:
    """Appendix B.2.3 and B.2.5: the strings of a record are joined (section 4.5)."""
    resolver = ZoneResolver.from_text(B_2)
    first = evaluate(resolver, "example.com")
    assert str(first.record) == (
        "v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; ruf=mailto:auth-reports@thirdparty.example.net"
    )
    test = evaluate(resolver, "test.example.com")
    assert test.record is not None
    assert test.record.rua == ("mailto:dmarc-feedback@example.com", "mailto:tld-test@thirdparty.example.net")
    assert (test.result, test.policy, test.disposition) == ("fail", "quarantine", "none")
    assert (test.record.problems, first.record and first.record.problems) == ((), ())


def test_4_10_1_only_psd_y_makes_a_public_suffix() -> None:
    """The record of the last name of a walk is that of a public suffix where it says psd=y, and nowhere else."""
    for psd, expected in (("y", "example"), ("n", None), ("u", None)):
        found = run(walk("a.b.example"), zone({"example": f"v=DMARC1; p=none; psd={psd}"}))
        assert (found.public_suffix and found.public_suffix.name) == expected
