"""Strategies for hypothesis: what mail software meets, good and hostile. Extra `testing`.

Each function gives a strategy. Those of records and messages give what a peer may send, the broken included; ``valid``
ones are named so. Whole DNS trees are `Zone`s, so that a test can ask them, serve them and change them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mailauth.authres import AuthenticationResults, MethodResult, Property
from mailauth.dkim import SigningKey, record_text
from mailauth.plan import IPAddress
from mailauth.testing.messages import make_message, sign_message
from mailauth.testing.zone import Zone, signing_key

Field: TypeAlias = tuple[bytes, bytes]
"""Name and value of a header field; the value with the blank behind the colon, and with folds, without the last end."""

# --- names and addresses -----------------------------------------------------------------------------------------

_NETWORKS = ["192.0.2.", "198.51.100.", "203.0.113."]  # RFC 5737


def labels() -> SearchStrategy[str]:
    """Labels of host names (RFC 1123 section 2.1), A-labels among them."""
    return st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True) | st.sampled_from(
        ["xn--bcher-kva", "mx1", "mail", "a" * 63, "0"]
    )


def domains(*, below: Sequence[str] = ("example", "test", "example.org")) -> SearchStrategy[str]:
    """Domain names of one to four labels below those that nobody has (RFC 2606)."""
    names = st.lists(labels(), min_size=1, max_size=3).map(".".join)
    return st.builds("{}.{}".format, names, st.sampled_from(list(below))).filter(lambda name: len(name) <= 253)


def ip_addresses() -> SearchStrategy[IPAddress]:
    """Client addresses of both families: of documentation, private, mapped, any."""
    documentation = st.builds("{}{}".format, st.sampled_from(_NETWORKS), st.integers(0, 255)).map(IPv4Address)
    return st.one_of(
        documentation,
        st.integers(0, 2**64 - 1).map(lambda low: IPv6Address((0x20010DB8 << 96) | low)),  # RFC 3849
        st.ip_addresses(),
        st.sampled_from([IPv4Address("127.0.0.1"), IPv4Address("10.0.0.1"), IPv6Address("::ffff:192.0.2.1")]),
    )


def valid_mailboxes(hosts: SearchStrategy[str] | None = None) -> SearchStrategy[str]:
    """Addresses as MAIL FROM has them (RFC 5321 section 4.1.2): dot-strings, quoted strings, UTF-8 (RFC 6531)."""
    atoms = st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,12}", fullmatch=True)
    dotted = st.lists(atoms, min_size=1, max_size=3).map(".".join)
    quoted = st.from_regex(r'"([a-z @.,;:<>()\[\]]|\\"|\\\\){0,12}"', fullmatch=True)
    local = st.one_of(dotted, dotted, quoted, st.sampled_from(["jörg", "用户", "postmaster", "bounce+ann=example.org"]))
    return st.builds("{}@{}".format, local, domains() if hosts is None else hosts)


def mailboxes() -> SearchStrategy[str]:
    """What stands where an address should: good ones, the null sender, and anything."""
    odd = ["", "@", "a@", "@a.example", "a@b@c.example", "<a@b.example>", '"', "a@[192.0.2.1]", "a\x00b@c.example"]
    return st.one_of(valid_mailboxes(), valid_mailboxes(), st.sampled_from(odd), st.text(max_size=40))


class Triplet(NamedTuple):
    """What greylisting goes by (RFC 6647)."""

    ip: IPAddress
    sender: str  # "" is the null sender
    recipient: str


def triplets() -> SearchStrategy[Triplet]:
    """Client, sender and recipient, of few enough that some come again."""
    senders = st.sampled_from(["", "ann@example.org", "bounce-17@list.example", "prvs=1234abcdef=ann@example.org"])
    ips = st.builds("{}{}".format, st.sampled_from(_NETWORKS), st.integers(1, 4)).map(IPv4Address)
    recipients = st.sampled_from(["bob@example.net", "Bob@Example.NET", "eve@example.net"])
    return st.builds(Triplet, ips | ip_addresses(), senders | mailboxes(), recipients | mailboxes())


# --- messages ----------------------------------------------------------------------------------------------------

_NAMES = [b"From", b"To", b"Subject", b"Date", b"Received", b"X-A", b"subject", b"DKIM-Signature", b"List-Id"]
_VALUES = [
    b" ann@example.org",
    b" Ann <ann@example.org>, bob@example.net",
    b" =?utf-8?q?J=C3=B6rg?=",
    b" folded\r\n once",
    b"\tfolded\r\n\t \r\n twice",
    b"",
    b" trailing  \t",
]
_LINES = [
    b"",
    b" ",
    b"\t",
    b".",
    b"..",
    b"From x",
    b"--b",
    b"text",
    b"  two  blanks ",
    b"=20",
    "Grüße".encode(),
    b"x" * 999,
]


def fields() -> SearchStrategy[Field]:
    """Header fields, folded in every way (RFC 5322 section 2.2)."""
    names = st.sampled_from(_NAMES) | st.from_regex(rb"[!-9;-~]{1,12}", fullmatch=True)
    words = st.binary(max_size=20).map(lambda octets: octets.replace(b"\r", b"").replace(b"\n", b""))
    folded = st.lists(words, max_size=3).map(b"\r\n ".join).map(lambda value: b" " + value)
    return st.tuples(names, st.sampled_from(_VALUES) | folded)


def bodies() -> SearchStrategy[bytes]:
    """Bodies of CRLF lines: empty lines, blanks at the end, dots, 8-bit octets, long lines, no last line end."""
    lines = st.sampled_from(_LINES) | st.binary(max_size=30).map(
        lambda octets: octets.replace(b"\r", b"").replace(b"\n", b"")
    )
    ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b""])
    return st.builds(lambda each, end: b"\r\n".join(each) + end, st.lists(lines, max_size=8), ends)


def _joined(header: list[Field], body: bytes) -> bytes:
    return b"".join(b"%s:%s\r\n" % field for field in header) + b"\r\n" + body


def valid_messages(author: str = "Ann <ann@example.org>") -> SearchStrategy[bytes]:
    """Messages that can be signed: one From, lines that end in CRLF, any body, often of several MIME parts."""
    extra = st.lists(fields().filter(lambda field: field[0].lower() not in (b"from", b"dkim-signature")), max_size=5)
    own: list[Field] = [(b"From", b" " + author.encode()), (b"Subject", b" Hello")]
    header = st.builds(lambda more, at: [*more[:at], *own, *more[at:]], extra, st.integers(0, 5))
    return st.builds(_joined, header, bodies()) | st.builds(_multipart, header, st.lists(bodies(), max_size=3))


def _multipart(header: list[Field], parts: list[bytes]) -> bytes:
    mime = [(b"MIME-Version", b" 1.0"), (b"Content-Type", b' multipart/mixed; boundary="b"')]
    body = b"".join(b"--b\r\nContent-Type: text/plain\r\n\r\n%s\r\n" % part for part in parts) + b"--b--\r\n"
    return _joined([*header, *mime], body)


def messages() -> SearchStrategy[bytes]:
    """Messages as peers send them: valid ones, broken line ends, several From, no header, no body, anything."""
    valid = valid_messages()
    return st.one_of(
        valid,
        st.builds(_joined, st.lists(fields(), max_size=6), bodies()),
        valid.map(lambda message: message.replace(b"\r\n", b"\n")),
        st.builds(_with_octets, valid, st.integers(0, 200), st.sampled_from(_ODD)),
        st.builds(lambda message, end: message[:end], valid, st.integers(0, 200)),
        st.binary(max_size=200),
    )


_ODD = [b"\r", b"\n", b"\0", b"\r\n\r\n", b"From: eve@example.net\r\n", b"\x85", b": x\r\n"]


def _with_octets(message: bytes, at: int, octets: bytes) -> bytes:
    return message[:at] + octets + message[at:]


# --- DKIM --------------------------------------------------------------------------------------------------------


def signing_keys() -> SearchStrategy[SigningKey]:
    """Keys under some names; one of each kind is made for the whole process."""
    selectors = st.sampled_from(["test", "2026a", "a.b"])
    return st.builds(
        signing_key, st.sampled_from(["example.org", "example.net"]), selectors, st.sampled_from(["rsa", "ed25519"])
    )


def signed_messages() -> SearchStrategy[tuple[bytes, tuple[SigningKey, ...]]]:
    """Messages with one or two signatures that pass, and the keys that made them."""
    keys = st.lists(signing_keys(), min_size=1, max_size=2, unique_by=lambda key: (key.domain, key.selector)).map(tuple)
    return st.builds(lambda message, used: (sign_message(message, *used), used), valid_messages(), keys)


def key_records() -> SearchStrategy[bytes]:
    """Texts of DKIM key records (RFC 6376 section 3.6.1): good, revoked, damaged, anything."""
    good = signing_keys().map(lambda key: record_text(key.key).encode())
    changes = st.sampled_from(
        [(b"v=DKIM1", b"V=DKIM1"), (b"p=", b"p=A"), (b"; ", b"\\; "), (b"p=", b"t=y:s; p="), (b"k=", b"k=x"),
         (b"=", b""), (b"p=", b"h=sha1; p="), (b"v=DKIM1; ", b""), (b"p=", b"p= ")]
    )  # fmt: skip
    damaged = st.builds(lambda record, change: record.replace(*change), good, changes)
    cut = st.builds(lambda record, end: record[:end], good, st.integers(0, 80))
    return st.one_of(good, damaged, cut, st.just(b"v=DKIM1; p="), st.binary(max_size=80))


def signature_fields() -> SearchStrategy[bytes]:
    """Values of DKIM-Signature fields (RFC 6376 section 3.5), most of them of signatures that cannot pass."""
    values: dict[str, SearchStrategy[str]] = {
        "v": st.sampled_from(["1", "2", ""]),
        "a": st.sampled_from(["rsa-sha256", "ed25519-sha256", "rsa-sha1", "x"]),
        "c": st.sampled_from(["relaxed/relaxed", "simple", "simple/simple", "x/y"]),
        "d": domains() | st.just("example.org"),
        "s": st.sampled_from(["test", "2026a", "", "a..b"]),
        "h": st.sampled_from(["from:to", "From : Subject", "to", "", "from:from:from"]),
        "bh": st.binary(max_size=33).map(lambda octets: b64encode(octets).decode()),
        "b": st.binary(max_size=65).map(lambda octets: b64encode(octets).decode()),
        "l": st.sampled_from(["0", "5", "99999999999999999999", "-1"]),
        "t": st.sampled_from(["0", "1800000000", "x"]),
        "x": st.sampled_from(["0", "1900000000"]),
        "i": mailboxes(),
        "q": st.sampled_from(["dns/txt", "http"]),
        "z": st.text(max_size=20),
    }
    tags = st.fixed_dictionaries({}, optional=values).map(
        lambda found: "; ".join(f"{tag}={found[tag]}" for tag in found)
    )
    return (tags | st.text(max_size=60)).map(lambda text: b" " + text.encode("utf-8", "replace"))


# --- SPF and DMARC -----------------------------------------------------------------------------------------------

_NODES = ["example.org", "a.example", "b.example", "c.example", "d.example"]


def spf_records(targets: Sequence[str] = _NODES) -> SearchStrategy[str]:
    """Texts of SPF records (RFC 7208): every mechanism and modifier, macros, mistakes."""
    names = st.sampled_from([*targets, "%{d}", "%{i}.%{h}.a.example", "%{d2r}.b.example", "%{l1r-}.%{o}"])
    qualifier = st.sampled_from(["", "", "+", "-", "~", "?"])
    networks = st.sampled_from(
        ["ip4:192.0.2.0/24", "ip4:198.51.100.7", "ip6:2001:db8::/32", "ip4:0.0.0.0/0", "ip6:::1"]
    )
    mechanisms = st.one_of(
        st.builds("{}:{}".format, st.sampled_from(["include", "exists", "a", "mx", "ptr"]), names),
        st.builds("{}{}".format, st.sampled_from(["a", "mx"]), st.sampled_from(["", "/24", "//64", "/24//64"])),
        networks,
        st.sampled_from(["all", "ptr"]),
    )
    modifiers = st.builds("{}={}".format, st.sampled_from(["redirect", "exp", "unknown"]), names)
    mistakes = st.sampled_from(
        ["ip4:", "include", "a:192.0.2.1", "ip4=192.0.2.1", "all:x", "%", "a/33", "v=spf1", "\u00e9"]
    )
    terms = st.one_of(*[st.builds("{}{}".format, qualifier, mechanisms)] * 4, *[mechanisms] * 4, modifiers, mistakes)
    ends = st.sampled_from(["", " -all", " ~all", " ?all", " redirect=b.example"])
    return st.builds(lambda words, end: " ".join(["v=spf1", *words]) + end, st.lists(terms, max_size=5), ends)


def spf_zones() -> SearchStrategy[Zone]:
    """Whole trees: a few domains whose records include each other, with addresses, mail servers, names and failures."""
    return _zones(spf_records(), "{}", st.sampled_from([None, None, None, "timeout", "servfail"]))


def dmarc_records() -> SearchStrategy[str]:
    """Texts of DMARC records (RFC 9989 section 4.7): every tag, removed ones, mistakes."""
    values = {
        "p": ["none", "quarantine", "reject", "x", ""],
        "sp": ["none", "quarantine", "reject", "x"],
        "np": ["none", "reject", "x"],
        "adkim": ["r", "s", "x"],
        "aspf": ["r", "s", "x"],
        "psd": ["y", "n", "u", "x"],
        "t": ["y", "n", "x"],
        "rua": [
            "mailto:dmarc@example.org",
            "mailto:a@example.org!10m,mailto:b@other.example",
            "x",
            "https://x.example",
        ],
        "ruf": ["mailto:dmarc@example.org"],
        "fo": ["0", "1:d:s", "x"],
        "pct": ["50", "x"],
        "ri": ["86400"],
        "rf": ["afrf"],
        "unknown": ["x"],
    }
    tags = st.fixed_dictionaries({}, optional={tag: st.sampled_from(words) for tag, words in values.items()})
    version = st.sampled_from(["v=DMARC1", "v=DMARC1", "v=DMARC1", "v = DMARC1", "v=dmarc1", "v=DMARC2"])
    return st.builds(lambda first, rest: "; ".join([first, *(f"{tag}={rest[tag]}" for tag in rest)]), version, tags)


def dmarc_zones() -> SearchStrategy[Zone]:
    """Trees of domains of which some have DMARC records, several of them, or failures: for the tree walk."""
    names = ["example", "org", "example.org", "a.example.org", "b.a.example.org", "c.b.a.example.org", "a.example"]
    return _zones(dmarc_records(), "_dmarc.{}", st.sampled_from([None, None, None, None, "timeout"]), names)


def _zones(
    records: SearchStrategy[str], owner: str, failures: SearchStrategy[Any], names: Sequence[str] = _NODES
) -> SearchStrategy[Zone]:
    texts = st.lists(records, min_size=0, max_size=2) | records.map(lambda record: [record])
    return st.builds(
        lambda published, failing: _zone(published, failing, owner),
        st.fixed_dictionaries({}, optional=dict.fromkeys(names, texts)),
        st.fixed_dictionaries({}, optional=dict.fromkeys(names, failures)),
    )


def _zone(published: dict[str, list[str]], failing: dict[str, Any], owner: str) -> Zone:
    zone = Zone({("a.example", "A"): ["192.0.2.1"], ("b.example", "AAAA"): ["2001:db8::1"]})
    zone.add("c.example", "MX", "10 a.example", "20 b.example").add("1.2.0.192.in-addr.arpa", "PTR", "a.example")
    for name, texts in published.items():
        if texts:
            zone.add(owner.format(name), "TXT", *texts)
    for name, how in failing.items():
        if how is not None:
            zone.fail(owner.format(name), how, "TXT")
    return zone


# --- Authentication-Results --------------------------------------------------------------------------------------

_KEYWORDS = st.from_regex(r"[a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)


def authentication_results() -> SearchStrategy[AuthenticationResults]:
    """Values of Authentication-Results fields (RFC 8601), as servers write them; peers choose some of the texts."""
    methods = {
        "spf": (["pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"], ("smtp", "mailfrom")),
        "dkim": (["pass", "fail", "neutral", "none", "temperror", "permerror"], ("header", "d")),
        "dmarc": (["pass", "fail", "none", "temperror", "permerror"], ("header", "from")),
        "iprev": (["pass", "fail", "temperror", "permerror"], ("policy", "iprev")),
    }
    texts = domains() | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
    results = st.sampled_from(sorted(methods)).flatmap(
        lambda name: st.builds(
            MethodResult,
            st.just(name),
            st.sampled_from(methods[name][0]),
            st.builds(Property, st.just(methods[name][1][0]), st.just(methods[name][1][1]), texts).map(
                lambda each: (each,)
            ),
        )
    )
    others = st.builds(MethodResult, _KEYWORDS, _KEYWORDS)
    return st.builds(AuthenticationResults, domains(), st.lists(results | others, max_size=4).map(tuple))


def with_results(message: SearchStrategy[bytes] | None = None) -> SearchStrategy[bytes]:
    """Messages with such fields on top, as a server's own and as a forger's."""
    field = authentication_results().map(lambda each: str(each).encode())
    below = st.just(make_message()) if message is None else message
    return st.builds(lambda top, rest: b"".join(top) + rest, st.lists(field, max_size=3), below)
