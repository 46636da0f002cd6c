"""Hypothesis strategies for `AuthenticationResults`.

Arbitrary fields as values, for the properties that building and reading have.
"""

from __future__ import annotations

import re

from hypothesis import strategies as st

from mailauth.authres import AuthenticationResults, MethodResult, Property
from mailauth.authres.words import UNSAFE

UNSAFE_CHARACTER = re.compile(f"[{UNSAFE}]")

keywords = st.from_regex(r"\A[a-z0-9-]{0,8}[a-z0-9]\Z")
ascii_characters = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
utf8_characters = st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\u2028\u2029")

identities = st.from_regex(
    r'\A((([a-z0-9+=/_-]{1,8}(\.[a-z]{1,4})?)|("([a-z @.;=()]|\\"|\\\\){0,8}"))?@)?([a-z0-9]{1,9}\.){1,3}[a-z]{1,5}\Z'
)
hostile_pieces = st.lists(
    st.sampled_from(
        ["\r\n", "\r", "\n", "\0", '"', "\\", "(", ")", ";", "=", "@", " ", "\t", "a", ".", ",", "pass", "none",
         "header.d=evil.example", '"; a=b c.d="', '"@evil.example', "; dkim=pass",
         "\r\nX-Injected: 1", "\r\n\r\nbody", "\u00e9", "\u2028", "\x85", "\udc80", "\x0b"]
    ),
    max_size=12,
).map("".join)  # fmt: skip
long_text = st.builds(
    lambda c, n: c * n, st.sampled_from(["a", " ", '"', "\\", "\u00e9", "a.", "x ", "\r\n"]), st.integers(0, 12_000)
)
any_text = st.one_of(st.text(max_size=30), hostile_pieces, long_text, identities)


def _plain(characters: st.SearchStrategy[str], size: int = 40) -> st.SearchStrategy[str]:
    return st.one_of(st.text(characters, max_size=size), identities)


def _comment(text: str) -> str:
    return re.sub(" +", " ", text).strip(" ")


def fields(characters: st.SearchStrategy[str]) -> st.SearchStrategy[AuthenticationResults]:
    """Fields in their normal form: every text can be written as it is."""
    values = _plain(characters)
    comments = st.one_of(st.just(""), st.text(characters, max_size=40).map(_comment))
    properties = st.builds(Property, keywords, keywords, values, comments)
    reasons = st.one_of(st.none(), st.text(characters, max_size=120))
    results = st.builds(
        MethodResult,
        keywords,
        keywords,
        st.lists(properties, max_size=3).map(tuple),
        reasons,
        comments,
        st.integers(0, 3),
    )
    ids = st.text(characters, min_size=1, max_size=60).filter(lambda text: bool(text.strip()))
    return st.builds(AuthenticationResults, ids, st.lists(results, max_size=3).map(tuple))


def hostile_fields() -> st.SearchStrategy[AuthenticationResults]:
    """Fields whose texts hold anything at all, where a peer chooses them."""
    properties = st.builds(Property, keywords, keywords, any_text, any_text)
    results = st.builds(
        MethodResult, keywords, keywords, st.lists(properties, max_size=2).map(tuple), st.none() | any_text, any_text
    )
    return st.builds(AuthenticationResults, st.just("mx.example.net"), st.lists(results, max_size=2).map(tuple))
