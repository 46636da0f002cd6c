"""Records (RFC 9989 sections 4.5 to 4.8): each tag, its default, and what becomes of bad ones."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailauth.dmarc import DmarcRecord, DmarcRecordError, RecordProblem, parse_record

RUA = "rua=mailto:agg@example.org"


def codes(record: DmarcRecord) -> list[str]:
    return [problem.code for problem in record.problems]


@pytest.mark.parametrize(
    "text",
    [
        "v=DMARC1",
        "v=DMARC1;",
        "v = DMARC1 ; p=none",
        "V=DMARC1; p=none",  # names in ABNF strings have any case; the value is %s, to the letter
        "v=DMARC1\t;\tp=reject",
    ],
)
def test_4_7_a_record_begins_with_its_version(text: str) -> None:
    assert DmarcRecord.parse(text) == DmarcRecord.parse(text.encode())


@pytest.mark.parametrize(
    "text",
    ["", "v=dmarc1; p=none", "v=DMARC2; p=none", " v=DMARC1; p=none", "p=none; v=DMARC1", "v=DMARC1 p=none",
     "v=DMARC10; p=none", "v=spf1 -all", "v=DMARC1, p=none", "DMARC1; p=none"],
)  # fmt: skip
def test_4_7_anything_else_is_discarded(text: str) -> None:
    assert parse_record(text.encode()) is None
    with pytest.raises(DmarcRecordError, match="begins with"):
        DmarcRecord.parse(text)


@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("p=none", "p", "none"),
        ("p=quarantine", "p", "quarantine"),
        ("p=reject", "p", "reject"),
        ("p=ReJect", "p", "reject"),
        ("p=reject; sp=none", "sp", "none"),
        ("sp=quarantine; p=reject", "p", "reject"),
        ("p=reject; np=none", "np", "none"),
        ("p=none", "sp", None),
        ("p=none", "np", None),
        ("p=none", "adkim", "r"),
        ("p=none; adkim=s", "adkim", "s"),
        ("p=none; adkim=strict", "adkim", "r"),
        ("p=none", "aspf", "r"),
        ("p=none; aspf=S", "aspf", "s"),
        ("p=none; aspf=x", "aspf", "r"),
        ("p=none; Xsp=reject", "sp", None),
        ("p=none; \t sp=reject \t ", "sp", "reject"),
        ("p=none", "psd", "u"),
        ("p=none; psd=y", "psd", "y"),
        ("p=none; psd=n", "psd", "n"),
        ("p=none; psd=yes", "psd", "u"),
        ("p=none", "t", False),
        ("p=none; t=y", "t", True),
        ("p=none; t=n", "t", False),
        ("p=none; t=1", "t", False),
        ("p=none", "fo", ("0",)),
        ("p=none; fo=1:d:s; ruf=mailto:f@example.org", "fo", ("1", "d", "s")),
        ("p=none; fo=1", "fo", ("0",)),  # ignored without ruf=
        ("p=none; fo=1; ruf=nonsense", "fo", ("0",)),
        ("p=none; fo=1; rua=mailto:f@example.org", "fo", ("0",)),
        ("p=none; ruf=mailto:f@example.org; fo=0:1", "fo", ("0",)),
        ("p=none; ruf=mailto:f@example.org; fo=s", "fo", ("s",)),
        ("p=none; ruf=mailto:f@example.org; fo=d:d", "fo", ("0",)),
        ("p=none; ruf=mailto:f@example.org; fo=x", "fo", ("0",)),
        ("p=none", "rua", ()),
        ("p=none; rua=mailto:a@example.org", "rua", ("mailto:a@example.org",)),
        ("p=none; rua=mailto:a@example.org , mailto:b@example.net", "rua",
         ("mailto:a@example.org", "mailto:b@example.net")),
        ("p=none; rua=mailto:a@example.org!10m", "rua", ("mailto:a@example.org",)),
        ("p=none; rua=https://example.org/r?a=b%2C", "rua", ("https://example.org/r?a=b%2C",)),
        ("p=none; rua=agg@example.org", "rua", ()),
        ("p=none; rua=mailto:", "rua", ()),
        ("p=none; rua=mailto:nobody", "rua", ()),
        ("p=none; ruf=mailto:f@example.org", "ruf", ("mailto:f@example.org",)),
    ],
)  # fmt: skip
def test_4_7_each_tag(text: str, attribute: str, value: object) -> None:
    assert getattr(DmarcRecord.parse(f"v=DMARC1; {text}"), attribute) == value


@pytest.mark.parametrize(
    ("text", "p", "sp", "np"),
    [
        ("", None, None, None),
        ("p=monitor", None, None, None),
        ("p=", None, None, None),
        (RUA, "none", None, None),
        (f"p=monitor; {RUA}", "none", None, None),
        ("p=reject; sp=bad", None, None, None),
        (f"p=reject; sp=bad; np=reject; {RUA}", "none", None, None),
        ("p=reject; np=bad", None, None, None),
        ("p=reject; rua=nonsense", "reject", None, None),
        ("sp=reject; rua=nonsense", None, None, None),
    ],
)
def test_4_10_1_without_a_valid_policy_a_reporting_address_decides(
    text: str, p: str | None, sp: str | None, np: str | None
) -> None:
    record = DmarcRecord.parse(f"v=DMARC1; {text}")
    assert (record.p, record.sp, record.np) == (p, sp, np)


@pytest.mark.parametrize(
    "text", ["p=none; p=reject", "p=none; P=reject", "p=none; v=DMARC1", "p=none; sp=none; sp=none"]
)
def test_a_tag_that_stands_twice_makes_the_record_invalid(text: str) -> None:
    """RFC 6376 section 3.2, which RFC 9989 section 4.7 follows."""
    assert isinstance(parse_record(f"v=DMARC1; {text}".encode()), RecordProblem)
    with pytest.raises(DmarcRecordError, match="twice"):
        DmarcRecord.parse(f"v=DMARC1; {text}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p=none; pct=50", ["removed-tag"]),
        ("p=none; rf=afrf; ri=86400", ["removed-tag", "removed-tag"]),
        ("p=none; x=1", ["unknown-tag"]),
        ("p=none; x=1; x=2", ["unknown-tag", "unknown-tag"]),
        ("P=none", ["capitals"]),
        ("p=none;; t=y", ["empty-tag"]),
        ("p=none; nonsense", ["bad-tag"]),
        ("p=none; a1=x", ["bad-tag"]),
        (f"p=none; {RUA}!50m", ["obsolete-size"]),
        ("p=none; fo=1", ["useless-tag"]),
        ("p=none; rua=agg@example.org", ["bad-uri"]),
        ("sp=none", ["no-policy"]),
        ("p=none;", []),
        ("p=none; adkim=x", ["bad-value"]),
    ],
)
def test_what_is_wrong_is_named(text: str, expected: list[str]) -> None:
    assert codes(DmarcRecord.parse(f"v=DMARC1; {text}")) == expected


def test_a_bare_address_is_proposed_as_mailto() -> None:
    (problem,) = DmarcRecord.parse("v=DMARC1; p=none; rua=agg@example.org").problems
    assert "mailto:" in problem.words


def test_a_record_that_is_too_long_is_none() -> None:
    with pytest.raises(DmarcRecordError, match="octets"):
        DmarcRecord.parse("v=DMARC1; p=none; x=" + "y" * 20_000)


def test_it_prints_what_differs_from_the_defaults() -> None:
    text = (
        "v=DMARC1; p=reject; sp=quarantine; np=reject; adkim=s; aspf=s; psd=n; t=y; "
        "rua=mailto:a@example.org; ruf=mailto:f@example.org; fo=1"
    )
    assert str(DmarcRecord.parse(text)) == text


tags = st.sampled_from(["p", "sp", "np", "adkim", "aspf", "psd", "t", "rua", "ruf", "fo", "pct", "x", "P", "v", ""])
values = st.one_of(
    st.sampled_from(
        ["none", "reject", "quarantine", "r", "s", "y", "n", "u", "0:d", "mailto:a@b.c,https://d.e", "a@b!1"]
    ),
    st.text(max_size=12),
)
words = st.lists(st.tuples(tags, values), max_size=8).map(lambda pairs: "; ".join(f"{n}={v}" for n, v in pairs))


@given(words)
@example("p=reject; rua=mailto:a@b!1m")
def test_any_record_prints_as_what_it_is(text: str) -> None:
    """A record printed is a record that reads the same."""
    record = parse_record(("v=DMARC1; " + text).encode("utf-8", "replace"))
    if isinstance(record, DmarcRecord):
        assert DmarcRecord.parse(str(record)) == record
        assert not [code for code in codes(DmarcRecord.parse(str(record))) if code not in ("no-policy", "useless-tag")]
        str(record.to_dict())


@given(st.binary(max_size=200))
@example(b"v=DMARC1;" + b";" * 100)
@example(b"v=DMARC1; p=\xff; \xff=x; rua=mailto:\xff@x")
def test_any_octets_have_a_result(octets: bytes) -> None:
    """Any octets are a record, a problem, or no record of DMARC; nothing raises."""
    for text in (octets, b"v=DMARC1;" + octets):
        record = parse_record(text)
        assert record is None or isinstance(record, DmarcRecord | RecordProblem)
        if isinstance(record, DmarcRecord):
            assert all(problem.words.isprintable() for problem in record.problems)
