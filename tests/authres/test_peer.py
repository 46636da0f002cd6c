"""The `authres` package as the other side.

Fields that either side writes, the other side reads as the same results.
"""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

import authres
from mailauth.authres import (
    AuthenticationResults,
    MethodResult,
    Property,
    auth,
    build,
    dkim,
    dnswl,
    iprev,
    method_result,
    parse_field,
    spf,
)

# The part of the format that both have: tokens in every place, quoted strings without "@" where they come last, no
# method versions but 1, and four property types.
tokens = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9+._-]{0,12}\Z")
identities = st.from_regex(r"\A([a-z]{1,8}(\.[a-z]{1,3})?)?@([a-z0-9]{1,9}\.){1,3}[a-z]{2,5}\Z")
texts = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, blacklist_characters='@"\\'), min_size=1, max_size=90
)
keywords = st.from_regex(r"\A[a-z][a-z0-9]{0,8}\Z").filter(lambda word: word not in {"none", "reason"})
ptypes = st.sampled_from(["smtp", "header", "body", "policy"])
properties = st.builds(Property, ptypes, keywords, tokens | identities)
last_property = st.builds(Property, ptypes, keywords, texts)
property_lists = st.builds(
    lambda some, last: (*some, *last), st.lists(properties, max_size=3), st.lists(last_property, max_size=1)
)
results = st.builds(
    MethodResult, keywords, keywords, property_lists, st.none() | tokens | texts.map(lambda t: "a " + t)
)


def unfolded(field: bytes) -> str:
    return re.sub("\r\n(?=[ \t])", "", field.decode()).removesuffix("\r\n")


def theirs(field: object) -> list[tuple[str, str, str | None, list[tuple[str, str, str]]]]:
    return [
        (r.method, r.result, r.reason and str(r.reason), [(p.type, p.name, str(p.value)) for p in r.properties])
        for r in field.results  # type: ignore[attr-defined]
    ]


def ours(field: AuthenticationResults) -> list[tuple[str, str, str | None, list[tuple[str, str, str]]]]:
    return [(r.method, r.result, r.reason, [(p.type, p.name, p.value) for p in r.properties]) for r in field.results]


@given(st.lists(results, max_size=3))
def test_they_read_what_we_write(some: list[MethodResult]) -> None:
    """What we write, the other side reads as the same results."""
    field = AuthenticationResults("mx.example.net", tuple(some))
    read = authres.AuthenticationResultsHeader.parse(unfolded(field.to_bytes()))
    assert read.authserv_id == field.authserv_id
    assert theirs(read) == ours(field)


@given(st.lists(results, max_size=3), st.booleans())
def test_we_read_what_they_write(some: list[MethodResult], version: bool) -> None:
    """What the other side writes, we read as the same results."""
    field = authres.AuthenticationResultsHeader(
        authserv_id="mx.example.net",
        version="1" if version else None,
        results=[
            authres.AuthenticationResult(
                r.method,
                result=r.result,
                result_comment="a comment",
                reason=r.reason,
                properties=[authres.AuthenticationResultProperty(p.type, p.name, p.value) for p in r.properties],
            )
            for r in some
        ],
    )
    read = parse_field(str(field))
    assert isinstance(read, AuthenticationResults), read
    assert ours(read) == theirs(field)
    assert all(r.comment == "a comment" for r in read.results)


def test_they_read_every_method_that_we_write() -> None:
    field = build(
        "mx.example.net",
        auth("pass", identity="client@c.example", mail_from="bob@b.example", comment="cram-md5"),
        spf("softfail", mail_from="ann@example.org", reason="it ends with ~all"),
        spf("none", helo="mail.example.org"),
        dkim("pass", domain="example.org", identity="@example.org", selector="s1", algorithm="rsa-sha256",
             signature="Ab+dEf0123"),
        iprev("pass", "192.0.2.1"),
        method_result("dmarc", "pass", {"header.from": "example.org"}),
    )  # fmt: skip
    read = authres.AuthenticationResultsHeader.parse(unfolded(field))
    mine = parse_field(field)
    assert isinstance(mine, AuthenticationResults)
    assert theirs(read) == ours(mine)
    assert read.results[3].header_d == "example.org"
    assert read.results[4].policy_iprev == "192.0.2.1"


def test_their_parser_and_an_unknown_property_type() -> None:
    """The ptype of RFC 8904 is newer than the other side: it keeps the result and drops that property."""
    read = authres.AuthenticationResultsHeader.parse(
        unfolded(build("mx.example.net", dnswl("pass", zone="list.example", codes=["127.0.10.1"])))
    )
    assert read.results[0].method == "dnswl"
