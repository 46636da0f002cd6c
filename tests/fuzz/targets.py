"""Every entry point that reads what strangers wrote, as a function of octets with its invariant.

A target takes any octets. It asserts what holds for all of them, and lets pass only the exceptions that its module
promises. The seeds are the corpus: ordinary input, and everything that was ever found.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

import dns.exception
import dns.message

from mailauth import arc, authres, dkim, dmarc, domain, iprev, rbl, spf, trust
from mailauth.aiosmtpd.content import ContentReader, bare_line_end
from mailauth.aiosmtpd.paths import parse_path
from mailauth.config import ConfigError
from mailauth.config import parse as parse_config
from mailauth.dkim import advice, crypto
from mailauth.dkim.body import BodyHash
from mailauth.dkim.signature import Refusal
from mailauth.dkim.signature import parse as parse_signature
from mailauth.greylist import GreylistPolicy
from mailauth.greylist.keys import keys_of, readable
from mailauth.greylist.records import Record as GreylistRecord
from mailauth.greylist.records import State as GreylistState
from mailauth.greylist.settings import Patterns, SettingsError
from mailauth.greylist.whitelist import ClientWhitelist, RecipientWhitelist
from mailauth.mail import addresses, author, names, received, taglist, text
from mailauth.mail.header import Splitter, split
from mailauth.mail.lines import LineEnd
from mailauth.mail.reply import Reply, safe_text
from mailauth.milter import Actions as MilterActions
from mailauth.milter import Codec, Continue, MilterError, Negotiate, PeerError, Wanted
from mailauth.milter import Options as MilterOptions
from mailauth.page import render_domain, render_report
from mailauth.plan import Question, run
from mailauth.policyd import RequestParser
from mailauth.policyd.protocol import ProtocolError, encode_action
from mailauth.resolvers import ZoneError, ZoneResolver
from mailauth.resolvers.wire import answer_of
from mailauth.spf import macros
from mailauth.srs import Srs
from mailauth.srs.tables import ProtocolError as NoLookup
from mailauth.srs.tables import SocketmapCodec, Status, TcpTableCodec
from mailauth.stores.urls import parse_url, redact
from mailauth.sync import Authenticator
from mailauth.testing import Zone, make_message, sign_message, signing_key
from mailauth.testing.clock import START
from tests.fuzz.anything import Anything

IP = IPv4Address("192.0.2.1")
IP6 = IPv6Address("2001:db8::1")


class Target(NamedTuple):
    """A function of octets, and octets to begin with. `weight` is its share of executions: fast ones get more."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    weight: int


TARGETS: dict[str, Target] = {}


def target(*seeds: bytes, weight: int = 8) -> Callable[[Callable[[bytes], object]], Callable[[bytes], object]]:
    def note(function: Callable[[bytes], object]) -> Callable[[bytes], object]:
        TARGETS[function.__name__] = Target(function, seeds, weight)
        return function

    return note


def decoded(octets: bytes) -> str:
    """Text of any kind, lone surrogates included, as it reaches those who decode what a peer said."""
    return octets.decode("utf-8", "surrogateescape")


def _parts(octets: bytes, number: int) -> list[bytes]:
    """So many lines; the last is all that is left."""
    lines = octets.split(b"\n", number - 1)
    return lines + [b""] * (number - len(lines))


def jsonable(value: Any) -> None:
    """What goes into reports is JSON."""
    json.dumps(value.to_dict())


def one_line(words: str) -> None:
    assert words.isprintable(), words


@cache
def message() -> bytes:
    return sign_message(make_message(), signing_key("example.org"), signing_key("example.org", "rsa", "rsa"))


@cache
def zone() -> Zone:
    """The DNS in which `message` passes."""
    made = Zone().domain("example.org", spf="v=spf1 ip4:192.0.2.1 -all", dmarc="v=DMARC1; p=reject", mx=["a.example"])
    return made.key(signing_key("example.org", "rsa", "rsa")).host("a.example", "192.0.2.1")


MESSAGES = (
    message(),
    make_message(),
    message().replace(b"\r\n", b"\n"),
    b"From x\r\nFrom : a@example.org, b@example.net\r\nA:\r\n b\r\n\t\r\n\r\nbody\n.\r\n",
)

# --- mail --------------------------------------------------------------------------------------------------------


@target(*MESSAGES, b"A: 1\nB: \r2\n\n\r", weight=30)
def header(octets: bytes) -> None:
    """Any octets split into parts that join to the same octets, however they were cut."""
    whole = split(octets)
    found = whole.header
    assert found.mbox_line + b"".join(field.raw for field in found.fields) + found.separator + whole.body == octets
    splitter, cut = Splitter(), len(octets) // 3
    body = splitter.feed(octets[:cut]) + splitter.feed(octets[cut : cut + 1]) + splitter.feed(octets[cut + 1 :])
    assert body + splitter.close() == whole.body
    assert splitter.header == found
    for field in found.fields:
        assert field.name.isascii()
        assert b"\n" not in field.unfolded


@target(
    b"Ann <ann@example.org>", b'"a\\"b" (c(d)) <@a,@b:"x y"@[192.0.2.1]>, b: c@d;', b"=?utf-8?q?a?= <b@c>", weight=8
)
def address_list(octets: bytes) -> None:
    """An address list has exactly one reading or none; domains are those of the addresses."""
    found, hosts = addresses.addresses(octets), addresses.address_domains(octets)
    if found is not None:
        assert hosts is not None
        assert len(hosts) == len(found)
    addresses.has_group(octets)


@target(b"From: Ann <ann@example.org>\r\n", b"From: a@b.example, c@d.example\r\nSender: x\r\n\r\n", weight=8)
def author_of(octets: bytes) -> None:
    """A message has one author's domain, or a reason why not, in words that can be shown."""
    found = split(octets).header
    who = author.read_author(found)
    one_line(who.detail)
    jsonable(who)
    author.author_address(found)


@target(b"ann@example.org", "jörg@bücher.example".encode(), b'"a b"@[IPv6:::1]', b"::ffff:192.0.2.1", weight=30)
def name(octets: bytes) -> None:
    """What becomes a domain can be asked in the DNS; a bad address raises nothing but `ValueError`."""
    words = decoded(octets)
    domain_name = names.to_ascii(words)
    if domain_name is not None:
        assert domain_name.isascii()
        assert names.to_ascii(domain_name) == domain_name
    names.is_hostname(words)
    names.is_fqdn(words)
    names.split_address(words)
    with contextlib.suppress(ValueError):
        assert names.reverse_name(names.parse_ip(words)).endswith(".arpa")


@target(
    b"Received: from a (b.example [192.0.2.1]) by c.example with ESMTPS id 1 for <x@y>; Mon, 2 Nov 2026 10:00:00 +0000",
    b"Received: from a ([IPv6:::1]) (using TLSv1.3 (x)) by b (Postfix) with LMTP; Thu, 1 Jan 1970 00:00:00 -9999",
    weight=4,
)
def way(octets: bytes) -> None:
    """Received fields are read as far as they can be; times are numbers, words are printable."""
    for hop in received.way(split(octets).header):
        jsonable(hop)
    trust.received.read_received(octets)


@target(b"v=1; a=rsa-sha256; d=example.org", b" a = b\r\n\tc ;; a=b;", weight=40)
def tag_list(octets: bytes) -> None:
    """A tag list, or where it is none."""
    for allowed in (False, True):
        found = taglist.parse(octets, allow_empty=allowed)
        if isinstance(found, dict):
            assert all(tag and b";" not in value for tag, value in found.items())
        else:
            one_line(found.detail)
    taglist.items(octets, 5)


@target(b"rejected: see http://x.example/?a=b", b"\r\n\x1b[31m\xff" * 3, weight=30)
def reply(octets: bytes) -> None:
    """Any text becomes lines of an SMTP reply of printable ASCII, each within RFC 5321 section 4.5.3.1.5."""
    words = decoded(octets)
    made = Reply(550, "5.7.1", words)
    for line in made.lines():
        assert re.fullmatch(r"[ -~]*", line), line
        assert len(line) <= 510
    assert made.to_bytes().isascii()
    safe_text(words)
    one_line(text.printable(words, 80))


# --- SPF ---------------------------------------------------------------------------------------------------------

SPF_RECORDS = (
    b"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 a mx:%{d2r.-}.example/24//64 include:a.example exists:%{i}.%{h} "
    b"ptr ?all exp=%{l}.%{o}.e.example",
    b"v=spf1 redirect=_spf.%{d} x=%{c}",
    b"v=spf1 a:%_%-%%.example ~all",
)


@target(*SPF_RECORDS, weight=15)
def spf_record(octets: bytes) -> None:
    """A record that can be read is written as one that reads the same; everything else is a `RecordError`."""
    try:
        record = spf.Record.parse(octets)
    except spf.RecordError as error:
        one_line(str(error))
        return
    assert spf.Record.parse(str(record)).terms == record.terms
    assert "".join(record.strings()) == str(record)


@target(*SPF_RECORDS, weight=4)
def spf_lint(octets: bytes) -> None:
    """Advice on any text, in words that can be shown."""
    for finding in spf.lint_text(decoded(octets)):
        one_line(str(finding))
        jsonable(finding)


@target(b"%{d2r.-}.%{i}%%%_%-.example", b"%{L254}.%{o0}", b"a b %{t}", b"%{ir}", weight=30)
def spf_macros(octets: bytes) -> None:
    """What is expanded is bounded, and a name to ask is one that can be asked."""
    words = decoded(octets)
    values = dict.fromkeys([*"slodivhpcrt", "ir"], "a.b@c.example")  # the client has its reversed address ready
    with contextlib.suppress(macros.TermError):
        parsed = macros.parse_explain_string(words)
        assert len(macros.expand_text(parsed, dict(values), 400)) <= 400
    with contextlib.suppress(macros.TermError):
        found = macros.target_name(macros.expand_name(macros.parse_macro_string(words), dict(values)))
        if found is not None:
            assert len(found) <= 253


@target(
    b'pass (a: b) client-ip=192.0.2.1; envelope-from="a@b"; helo=c; x="\\""', b"Received-SPF: fail\r\n (x)", weight=6
)
def spf_field(octets: bytes) -> None:
    """A Received-SPF field, or None."""
    found = spf.parse_received_spf(octets)
    if found is not None:
        jsonable(found)


@target(
    b"ann@example.org\nmx.example.org\n" + SPF_RECORDS[0] + b"\n" + SPF_RECORDS[1] + b"\na.example\tb.example\n0\n1",
    b"@\n\nv=spf1 include:%{d} mx ptr exists:%{ir}.%{v}.x\n2\n\x7f\0\0\1\nv=spf1 a -all\texp",
    b"\n[192.0.2.1]\nv=spf1 redirect=%{d}\nv=spf1 include:a include:b include:c\nv=spf1 a mx a mx a mx",
    weight=2,
)
def spf_check(octets: bytes) -> None:
    """Whatever the DNS says: a result, with the lookups of RFC 7208 section 4.6.4."""
    sender, helo, rest = _parts(octets, 3)
    for ip in (IP, IP6):
        world = Anything(rest)
        found = run(
            spf.check_host(
                ip, helo=decoded(helo), mail_from=decoded(sender), receiver="mx.example", now=START, trace=True
            ),
            world,
        )
        assert found.lookups <= 11
        assert found.void_lookups <= 3
        assert world.asked <= 250, world.asked
        one_line(found.detail)
        jsonable(found)
        assert found.explanation is None or found.explanation.isascii()
        field = spf.received_spf(found)
        assert field.isascii()
        assert spf.parse_received_spf(field) is not None


@target(
    SPF_RECORDS[0] + b"\n" + SPF_RECORDS[1] + b"\n\n0\nmx.example\t\n", b"v=spf1 include:a.example ~all\n1\n2", weight=1
)
def spf_survey(octets: bytes) -> None:
    """Lint of whatever a domain publishes ends, in bounded questions."""
    world = Anything(octets)
    found = run(spf.lint("example.org"), world)
    jsonable(found)
    one_line(found.verdict)


# --- DKIM and ARC ------------------------------------------------------------------------------------------------


@target(*split(message()).header.octets_by_name["dkim-signature"], b"DKIM-Signature: v=1; b=\r\n", weight=30)
def dkim_signature(octets: bytes) -> None:
    """A signature field is read, or refused with words."""
    for line_end in LineEnd:
        details: dict[str, Any] = {}
        try:
            parse_signature(octets if b":" in octets else b"x:" + octets, line_end, details)
        except Refusal as refusal:
            one_line(refusal.detail)


@target(
    dkim.record_text(signing_key(kind="rsa").key).encode(),
    dkim.record_text(signing_key().key).encode(),
    b"v=DKIM1; h=sha256:x; t=y:s; s=email; n=x; p=",
    weight=4,
)
def dkim_key(octets: bytes) -> None:
    """A key record is a key, or refused with words; the octets of a key load or are `BadKey`."""
    record = dkim.parse_record(octets)
    if isinstance(record, dkim.BadRecord):
        one_line(record.detail)
    elif not record.revoked:
        with contextlib.suppress(crypto.BadKey):
            assert crypto.public_key(record.key_type, record.key).bits > 0
    one_line(advice.about_text(octets))
    one_line(advice.other_record(octets))


@target(b" C \r\nD \t E\r\n\r\n\r\n", b"a\nb \r\r\n\t\n\n", b"", weight=30)
def dkim_body(octets: bytes) -> None:
    """The digest of a body does not depend on how it was cut (RFC 6376 section 3.4), and is that of RFC's words."""
    for canonicalization in ("simple", "relaxed"):
        for line_end in LineEnd:
            whole, cut = BodyHash(canonicalization, line_end), BodyHash(canonicalization, line_end)
            whole.want(3)
            whole.feed(octets)
            cut.want(3)
            for start in (0, 1, 2, 5, 11):
                cut.feed(octets[start : {0: 1, 1: 2, 2: 5, 5: 11}.get(start)])
            whole.close()
            cut.close()
            assert whole.digest(None) == cut.digest(None)
            assert whole.digest(3) == cut.digest(3)
            assert whole.length == cut.length


@target(*MESSAGES, weight=2)
def dkim_verify(octets: bytes) -> None:
    """Any message: a list of results, bounded; what passed is signed by a key of the zone."""
    for signature in run(dkim.verify(octets, now=START), zone()):
        jsonable(signature)
        one_line(signature.detail)
        if signature.result == "pass":
            assert signature.domain == "example.org"


@target(b"v=DKIM1; k=ed25519; p=AAAA\t\n0\nv=DKIM1; p=\n2", b"x\ty", weight=2)
def dkim_dns(octets: bytes) -> None:
    """Whatever the DNS says of the key: a result."""
    for signature in run(dkim.verify(message(), now=START), Anything(octets)):
        jsonable(signature)
        one_line(signature.detail)
    jsonable(run(dkim.check_key("example.org", "test"), Anything(octets)))


EXPLAIN_LIMITS = dkim.ExplainLimits(attempts=150, verifications=30, octets=2_000_000)


@target(*MESSAGES, weight=2)
def dkim_explain(octets: bytes) -> None:
    """Any message: one explanation for each signature, within its bounds, with the verifier's own verdict."""
    signatures = run(dkim.verify(octets, now=START), zone())
    explanations = run(dkim.explain(octets, now=START, limits=EXPLAIN_LIMITS), zone())
    assert [found.signature for found in explanations] == signatures
    for found in explanations:
        jsonable(found)
        one_line(found.summary)
        for half in (found.header, found.body):
            assert half.attempts <= EXPLAIN_LIMITS.attempts + 1
            for line in half.diff:
                one_line(line.replace("\t", " "))
    for form in dkim.canonical_forms(octets):
        jsonable(form)
        one_line(form.header.replace("\n", " ") + form.body.replace("\n", " "))


@target(b"v=DKIM1; k=ed25519; p=AAAA\t\n0\nv=DKIM1; p=\n2", b"x\ty", b'"v=DKIM1\\; p=&quot;AAAA" "BBBB"', weight=2)
def dkim_explain_key(octets: bytes) -> None:
    """Whatever the DNS says of the key: an explanation, and a repaired record that can be read."""
    for found in run(dkim.explain(message(), now=START, limits=EXPLAIN_LIMITS), Anything(octets)):
        jsonable(found)
        one_line(found.summary)
        if found.key.repaired:
            assert not isinstance(dkim.parse_record(found.key.repaired.encode()), dkim.BadRecord)


@target(*MESSAGES, weight=2)
def dkim_sign(octets: bytes) -> None:
    """What is signed verifies; what cannot be signed is a `SigningError`."""
    try:
        field = dkim.sign(octets, signing_key("example.org"), now=START)
    except dkim.SigningError as error:
        one_line(str(error))
        return
    first = run(dkim.verify(field + octets, now=START), zone())[0]
    assert first.result == "pass" or first.reason in ("several-from", "no-empty-line"), first


@target(b"*@example.org example.org:s:key\nann@example.net k.pem # x\n%:s:key", weight=8)
def key_list(octets: bytes) -> None:
    """A key list of a site is read, or a `TableError`."""
    with contextlib.suppress(dkim.TableError):
        table = dkim.SigningTable.from_key_list(decoded(octets), lambda _: b"\1" * 32)
        table.allows("ann@example.org", "ann@example.org")


def _arc(cv: str = "none", i: str = "1") -> bytes:
    return (
        f"ARC-Seal: i={i}; a=ed25519-sha256; t=1; cv={cv}; d=example.org; s=test; b=AAAA\r\n"
        f"ARC-Message-Signature: i={i}; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=test; h=from; bh="
        f"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n"
        f"ARC-Authentication-Results: i={i}; mx.example; spf=pass smtp.mailfrom=example.org\r\n"
    ).encode()


@target(_arc() + make_message(), _arc("pass", "2") + _arc() + make_message(), weight=2)
def arc_verify(octets: bytes) -> None:
    """Any message has one result for its chain."""
    found = run(arc.verify(octets, now=START), zone())
    jsonable(found)
    found.vouch("example.org", {"example.org"})


# --- DMARC -------------------------------------------------------------------------------------------------------

DMARC_RECORD = b"v=DMARC1; p=reject; sp=none; np=quarantine; rua=mailto:a@b.example!10m,x; fo=1:d; adkim=s; psd=u; t=y"


@target(DMARC_RECORD, b"v = DMARC1 ; P=none;; p=none; =", weight=30)
def dmarc_record(octets: bytes) -> None:
    """A record, a problem with words, or no record of DMARC."""
    found = dmarc.parse_record(octets)
    if found is not None:
        jsonable(found)
    if isinstance(found, dmarc.DmarcRecord):
        assert len(found.rua) <= 100


@target(b"a.b.example.org\nexample.org\n" + DMARC_RECORD + b"\n0\n1\n2\nv=DMARC1; p=none; psd=y", weight=4)
def dmarc_check(octets: bytes) -> None:
    """Any domain, any DNS: a result, in at most eight questions a walk and one for existence."""
    who, other, rest = _parts(octets, 3)
    world = Anything(rest)
    passed = run(dkim.verify(message(), now=START), zone())
    found = run(dmarc.check(decoded(who), dkim=passed), world)
    assert world.asked <= 8 * 3 + 1
    jsonable(found)
    one_line(found.detail)
    with contextlib.suppress(ValueError):  # neither a domain nor a record
        jsonable(run(dmarc.lint(decoded(other)), world))


# --- Authentication-Results and trust ----------------------------------------------------------------------------

RESULTS = (
    b"mx.example.net; spf=pass (x) smtp.mailfrom=a@b.example; dkim=pass header.d=example.org header.s=s; "
    b'dmarc=fail reason="x" header.from=example.org',
    b"mx.example.net 1; none",
    b"i=1; mx; arc=pass",
)


@target(*RESULTS, weight=30)
def results(octets: bytes) -> None:
    """A value is read, strictly or leniently; what was read strictly is written as something that reads the same."""
    authres.parse(octets, lenient=True)
    found = authres.parse(octets)
    if isinstance(found, authres.AuthenticationResults):
        with contextlib.suppress(ValueError):
            again = authres.parse_field(str(found))
            assert isinstance(again, authres.AuthenticationResults), again
            assert [(each.method, each.result) for each in again.results] == [
                (each.method, each.result) for each in found.results
            ]
    authres.parse(octets, arc=True)


@target(
    *[b"Authentication-Results: " + each + b"\r\n" + make_message() for each in RESULTS],
    b"\t\n\r\nAuthentication-Results:\rAuthentication-Results:\r\n",
    b"From x\n\tx\r\n\r\nAuthentication-Results: mx.example.net; a=b\r\n",
    weight=8,
)
def forged(octets: bytes) -> None:
    """What is left of a message is what stood there, and holds no field of ours any more."""
    cleaned = authres.remove_forged(octets, "mx.example.net")
    assert len(cleaned.message) <= len(octets)
    again = authres.remove_forged(cleaned.message, "mx.example.net")
    assert again.message == cleaned.message, (octets, cleaned)
    assert not again.removed
    for each in cleaned.removed:
        jsonable(each)


@target(*[b"Authentication-Results: " + each + b"\r\n" + make_message() for each in RESULTS], message(), weight=4)
def believed(octets: bytes) -> None:
    """Any message has a verdict on its author; without our field nothing is believed."""
    jsonable(trust.believe(octets, "mx.example.net"))
    nobody = trust.believe(octets)
    assert nobody.verdict != "verified"


@target(*MESSAGES, weight=1)
def author_verified(octets: bytes) -> None:
    """A verified author is the domain that the zone's key signs for."""
    verifier = trust.AuthorVerifier(now=START)
    verifier.feed(octets)
    found = run(verifier.finish(), zone())
    jsonable(found)
    if found.verdict == "verified":
        assert found.domain == "example.org"


# --- lists, names, greylisting -----------------------------------------------------------------------------------


@target(b"zen.example=127.0.0.[2..11;20]*-3", b"a.example=127.0.[0;1].&6*2#x", weight=30)
def rbl_rule(octets: bytes) -> None:
    """A rule reads as it is written, or is a `RuleError`."""
    with contextlib.suppress(rbl.RuleError):
        rule = rbl.Rule.parse(decoded(octets))
        assert rbl.Rule.parse(rule.notation) == rule


@target(b"192.0.2.1\n\x7f\0\0\2\nwords\n0", b"a@b.example\n\x7f\0\1\2\t\x7f\xff\xff\xfe\n\x1b[31m", weight=8)
def rbl_query(octets: bytes) -> None:
    """Any subject, any answers: a listing for each list, in words that can be shown."""
    subject, rest = _parts(octets, 2)
    world = Anything(rest)
    found = run(rbl.query(decoded(subject), ["bl.example", "zen.spamhaus.org", "b.example=127.0.0.2"]), world)
    assert len(found) == 3
    assert world.asked <= 6
    for listing in found:
        jsonable(listing)
        one_line(listing.text)


@target(b"a.example\tb.example\n\xc0\0\2\1\n0\n1", weight=8)
def reverse_name(octets: bytes) -> None:
    """Whatever PTR records hold: a result, in bounded questions."""
    for ip in (IP, IP6):
        world = Anything(octets)
        jsonable(run(iprev.check(ip), world))
        assert world.asked <= 50


@target(b"bounce-17-x=y.example@list.example\nBob+x@Example.NET", "prvs=1234abcdef=jörg@b\n".encode(), weight=30)
def greylist_keys(octets: bytes) -> None:
    """Keys of any addresses are short, of one line, and can be read again."""
    sender, recipient = decoded(octets).partition("\n")[::2]
    for ip in (IP, IP6):
        keys = keys_of(ip, sender, recipient, GreylistPolicy(), proven_domain=sender)
        for key in keys:
            assert len(key) < 1000
            assert "\n" not in key
            assert len(readable(key)) <= 3


@target(
    *[GreylistRecord(state, START, START + 300, 2, 1, 1_900_000_000).to_text().encode() for state in GreylistState],
    b"deferred nan inf 1 1 1 1",
    weight=30,
)
def greylist_record(octets: bytes) -> None:
    """What a store holds is a record, or a `ValueError`; a record is written as one that reads the same."""
    with contextlib.suppress(ValueError):
        record = GreylistRecord.from_text(decoded(octets))
        assert GreylistRecord.from_text(record.to_text()) == record


@target(b"/^a+$/\n192.0.2.0/24 # x\n.example.org\nbob@", b"/(/\n\xff", weight=8)
def whitelists(octets: bytes) -> None:
    """White lists of a site: every line counts or is refused by name."""
    words = decoded(octets)
    if re.search(r"[*+{?]", words):
        words = re.sub(r"[*+{?]", "", words)  # a site's own regular expressions may be slow; that is the site's
    ClientWhitelist.parse(words).match(IP, "a.example.org")
    RecipientWhitelist.parse(words).match("bob@example.net")
    with contextlib.suppress(SettingsError):
        patterns = Patterns.of(words.split("\n"))
        patterns.match_address("bob+x@a.example.org")
        patterns.match_name("a.example.org")


# --- protocols, files, pages -------------------------------------------------------------------------------------


@target(
    dns.message.make_response(dns.message.make_query("example.org", "TXT")).to_wire(),
    bytes.fromhex("000081800001000200000000") + b"\7example\3org\0\0\x10\0\1\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c",
    weight=3,
)
def dns_message(octets: bytes) -> None:
    """Octets that dnspython takes for a message have an answer for every question."""
    try:
        response = dns.message.from_wire(octets, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, NotImplementedError):
        return  # what dnspython refuses is a server failure (resolvers/system.py)
    for rtype in ("A", "AAAA", "MX", "PTR", "TXT", "CNAME"):
        answer = answer_of(response, Question("example.org", rtype))  # type: ignore[arg-type]
        assert len(answer.records) <= 1000


@target(b'$ORIGIN a.example.\n@ 60 IN TXT "v=spf1" " -all"\nb MX 10 c\n*.d CNAME b\n;!timeout x TXT\n', weight=2)
def master_file(octets: bytes) -> None:
    """A master file, or a `ZoneError` with the line."""
    with contextlib.suppress(ZoneError):
        found = ZoneResolver.from_text(decoded(octets))
        found.lookup_now(Question("b.a.example", "MX"))


def _packets(*packets: bytes) -> bytes:
    return b"".join(len(each).to_bytes(4, "big") + each for each in packets)


MILTER = _packets(
    b"O\0\0\0\6\0\0\1\xff\0\x1f\xff\xff", b"DCj\0mx\0", b"Cclient.example\x004\x30\x39192.0.2.1\0", b"Hmx\0",
    b"M<a@b>\0SIZE=1\0", b"R<c@d>\0", b"T", b"LSubject\0 x\0", b"N", b"Bbody\r\n", b"E", b"A", b"Q",
)  # fmt: skip


@target(MILTER, MILTER[:40], weight=8)
def milter(octets: bytes) -> None:
    """Any octets, in any cut, give the same events, or one `PeerError`."""
    everything = Wanted(MilterActions(0x1FF), MilterOptions.SKIP | MilterOptions.LEADING_SPACE)
    played = []
    for step in (max(1, len(octets) // 9), len(octets) or 1):
        codec, events = Codec(everything), []
        for start in range(0, len(octets), step):
            codec.feed(octets[start : start + step])
            while (event := codec.next_event()) is not None:
                events.append(event)
                if isinstance(event, PeerError):
                    break
                if isinstance(event, Negotiate):
                    codec.accept_offer()
                elif codec.reply_due:
                    with contextlib.suppress(MilterError):
                        codec.send(Continue())
            if events and isinstance(events[-1], PeerError):
                break
        played.append(events)
    assert played[0] == played[1]


POLICY = b"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.1\nsender=a@b\nrecipient=c@d\n\n"


@target(POLICY * 2, POLICY.replace(b"\n", b"\r\n"), b"a=b\n\n", weight=30)
def policy_request(octets: bytes) -> None:
    """Any octets, in any cut, give the same requests, or a `ProtocolError`."""
    played = []
    for step in (max(1, len(octets) // 9), len(octets) or 1):
        parser, found = RequestParser(), []
        with contextlib.suppress(ProtocolError):
            for start in range(0, len(octets), step):
                for request in parser.feed(octets[start : start + step]):
                    found.append(dict(request.attributes))  # noqa: PERF401 - those before an error count
        played.append(found)
    if b"\r\r" not in octets:
        assert played[0] == played[1]
    line = encode_action(decoded(octets))
    assert line.count(b"\n") == 2
    assert line.endswith(b"\n\n")


@target(b"a\r\n.b\r\n..\r\n.\r\nQUIT\r\n", b".\r\n", b"\r\n.\n.\r", weight=30)
def smtp_content(octets: bytes) -> None:
    """The end of the content is where RFC 5321 section 4.1.1.4 has it, in any cut."""
    ends = []
    for step in (max(1, len(octets) // 9), len(octets) or 1):
        content, rest = ContentReader(10_000), None
        for start in range(0, len(octets), step):
            rest = content.feed(octets[start : start + step])
            if rest is not None:
                ends.append((content.content, rest + octets[start + step :]))
                break
    assert len(set(ends)) <= 1
    bare_line_end(octets)


@target(b"<ann@example.org> SIZE=1", b'<@a,@b:"x y"@c>', b"<>", weight=40)
def smtp_path(octets: bytes) -> None:
    """A path, or None; no control character in it."""
    found = parse_path(decoded(octets))
    if found is not None:
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", found.address)


CONFIG = b"""hostname = "mx.example.net"
[resolver]
time_limit = "20s"
[[greylist.exempt]]
client = ["192.0.2.0/24"]
[restrictions]
client = ["reject_rbl"]
"""


@target(CONFIG, b"a = [1, {b=2}]\n[x]\n", weight=1)
def configuration(octets: bytes) -> None:
    """A configuration, or a `ConfigError` with lines."""
    try:
        parse_config(decoded(octets))
    except ConfigError as error:
        assert error.mistakes  # noqa: PT017


@target(b"sqlite:///a.db?time_limit=1", b"redis://u:p@h:1/0?x=y", b"memory:", b"postgresql://a:b@[::1]/c", weight=30)
def store_url(octets: bytes) -> None:
    """A URL, or a `ValueError` that does not show its password."""
    url = decoded(octets)
    with contextlib.suppress(ValueError):
        parse_url(url)
    redact(url)


# --- SRS ---------------------------------------------------------------------------------------------------------


@cache
def _srs() -> Srs:
    return Srs("forwarder.example", ["a long secret"])


@cache
def _rewritten() -> bytes:
    address = _srs().forward("ann@example.org", now=START).address
    assert address
    return address.encode()


@target(
    b"ann@example.org",
    b'"a b=c"@xn--mnchen-3ya.example',
    b"SRS1=aaaa=first.example==bbbb=K5=example.org=ann@other.example",
    _rewritten(),
    weight=20,
)
def srs(octets: bytes) -> None:
    """What is written turns back to itself; nothing that we did not write turns back at all."""
    address = decoded(octets)
    there = _srs().forward(address, now=START)
    if there.address is not None:
        assert len(there.address.encode("utf-8", "surrogateescape")) <= 254
        one_line(there.address)
        back = _srs().reverse(there.address, now=START)
        assert back.address is not None, there.address
    if octets.lower() != _rewritten().lower():
        found = _srs().reverse(address, now=START)
        # Brackets and a source route are passed over (RFC 5321 section 4.1.1.3): what is behind it was written by us.
        assert found.address is None or re.match(r"<?(@[^:]*:)?srs[01][=+-]", address, re.IGNORECASE), address
        one_line(found.detail)


@target(b"16:forward ann@a.org,", b"get ann%40a.org\nget x\n", b"0:,", b"9999:", weight=20)
def srs_lookups(octets: bytes) -> None:
    """Any octets in any cut: the same requests, bounded memory, and each reply is one netstring or one line."""
    for make in (SocketmapCodec, TcpTableCodec):
        whole, pieces = make(), make()
        assert _lookups(whole, [octets]) == _lookups(pieces, [octets[i : i + 3] for i in range(0, len(octets), 3)])
    reply = TcpTableCodec().reply(Status.FOUND, decoded(octets))
    assert reply.count(b"\n") == 1
    assert reply.isascii()
    assert SocketmapCodec().reply(Status.FOUND, decoded(octets)).endswith(b",")


def _lookups(codec: SocketmapCodec | TcpTableCodec, pieces: list[bytes]) -> list[object]:
    found: list[object] = []
    try:
        for piece in pieces:
            found += codec.feed(piece)
    except NoLookup:
        found.append("error")
    return found


# --- the whole ---------------------------------------------------------------------------------------------------


@cache
def _authenticator() -> Authenticator:
    return Authenticator("mx.example.net", rbl=["bl.example"], resolver=zone(), clock=lambda: START)


@target(*[b"mx.example\nann@example.org\n" + each for each in MESSAGES], b"\n\n" + _arc() + make_message(), weight=1)
def whole_check(octets: bytes) -> None:
    """Any envelope and message: a report in JSON, one header field, a page without anything that runs."""
    helo, sender, rest = _parts(octets, 3)
    report = _authenticator().check(
        rest, ip=IP, helo=decoded(helo), mail_from=decoded(sender), rcpt_to=["bob@example.net", decoded(sender)]
    )
    jsonable(report)
    field = report.authentication_results
    assert not re.search(rb"\r\n(?![ \t])|(?<!\r)\n|\r(?!\n)|\0", field[:-2]), field
    page = render_report(report, header=split(rest).header, now=START)
    assert "<script" not in page.lower()
    page.encode("utf-8")


@target(SPF_RECORDS[0] + b"\n" + DMARC_RECORD + b"\n0\na.example\n1\nv=STSv1; id=1\nv=BIMI1; l=https://x\n", weight=1)
def domain_check(octets: bytes) -> None:
    """Whatever a domain publishes: a report in JSON, and a page."""
    world = Anything(octets)
    report = run(domain.check(domain.DomainQuery("example.org", ("test",), (IP,), ("bl.example",), now=START)), world)
    jsonable(report)
    page = render_domain(report, now=START)
    assert "<script" not in page.lower()
    page.encode("utf-8")
