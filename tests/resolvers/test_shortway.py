# Invariant: the query that is put together from parts is, octet by octet, the one that dnspython would write.
"""What is sent on the short way."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.resolver
from hypothesis import given
from hypothesis import strategies as st

from mailauth.plan import Question, not_asked
from mailauth.resolvers.shortway import attempt

labels = st.text(st.characters(min_codepoint=1, max_codepoint=127, exclude_characters="."), min_size=1, max_size=63)
questions = st.builds(
    Question,
    st.lists(st.one_of(labels, st.sampled_from(["a", "B", "example", "_dmarc"])), min_size=1, max_size=6).map(".".join),
    st.sampled_from(["A", "AAAA", "MX", "PTR", "TXT"]),
).filter(lambda question: not_asked(question) is None)


@given(
    question=questions,
    edns=st.none()
    | st.tuples(st.integers(0, 1), st.sampled_from([0, dns.flags.DO]), st.sampled_from([512, 1232, 4096])),
    flags=st.none() | st.sampled_from([0, dns.flags.RD, dns.flags.RD | dns.flags.AD, dns.flags.CD]),
)
def test_the_query_is_the_one_that_dnspython_writes(
    question: Question, edns: tuple[int, int, int] | None, flags: int | None
) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["192.0.2.53"]
    if edns is not None:
        resolver.use_edns(*edns)
    if flags is not None:
        resolver.flags = flags
    way = attempt(resolver, question)
    assert way is not None
    labels = tuple(label.encode("ascii") for label in question.name.split("."))
    expected = dns.message.make_query(dns.name.Name([*labels, b""]), question.type)
    expected.use_edns(resolver.edns, resolver.ednsflags, resolver.payload)
    if flags is not None:
        expected.flags = dns.flags.Flag(flags)
    expected.id = int.from_bytes(way.wire[:2], "big")
    assert way.wire == expected.to_wire()
