"""Reading and checking configuration files.

A configuration is read as it is meant, or every mistake in it is named at once, each with the line and key where it
stands and with what would do.
"""

from __future__ import annotations

import asyncio
import contextlib
import tomllib
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth import sync
from mailauth.config import Config, ConfigError, async_authenticator, authenticator, lists_of, load, parse
from mailauth.config.lists import read_lists
from mailauth.config.restrictions import known_names
from mailauth.plan import Answer, Outcome, Question
from mailauth.rbl import Action, Rule
from mailauth.resolvers import CachingResolver

HOST = 'hostname = "mx.here.example"\n'


def mistakes(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "mx.toml")
    assert str(caught.value) == "\n".join(map(str, caught.value.mistakes))
    return [(mistake.line, mistake.key, mistake.problem) for mistake in caught.value.mistakes]


def test_the_smallest_file() -> None:
    config = parse(HOST)
    assert config == Config("mx.here.example")
    assert lists_of(config).recipient == ("permit_authenticated", "check_spf")


def test_everything_at_once(tmp_path: Path) -> None:
    (tmp_path / "exempt.toml").write_text('[exempt]\nsenders = ["a@b.example"]\n')
    config = parse(
        HOST
        + """
domains = ["here.example", ".here.example", "bücher.example"]
networks = ["192.0.2.0/24", "2001:db8::/32", "192.0.2.7"]
delay_reject = false
deadlines = { evaluation = "10s", idle = "5m", data = 60, delivery = 1.5 }
[resolver]
nameservers = ["127.0.0.1", "::1"]
port = 5353
cache = 0
[rbl]
lists = ["zen.example=127.0.0.[2..11]*3 reject", "good.example*-2"]
threshold = 3
ask_text = false
not_public = ["10.0.0.0/8"]
[spf]
max_void_lookups = 5
[dkim]
min_rsa_bits = 2048
algorithms = ["rsa-sha256"]
[greylist]
store = "memory:"
settings = "exempt.toml"
on_error = "defer"
delay = "10m"
lifetime = "5w"
mode = "dry-run"
[restrictions]
client = ["permit_mynetworks", "reject_rbl"]
recipient = ["reject_unauth_destination", "greylist prove_by=spf,iprev"]
[listen]
port = 0
fields = ["received"]
""",
        folder=tmp_path,
    )
    assert config.networks == tuple(map(ip_network, ("192.0.2.0/24", "2001:db8::/32", "192.0.2.7")))
    assert config.rbl.lists[0] == Rule.parse("zen.example=127.0.0.[2..11]*3 reject")
    assert config.rbl.lists[0].action is Action.REJECT
    assert (config.rbl.threshold, config.rbl.policy.ask_text) == (3, False)
    assert config.rbl.policy.not_public == (ip_network("10.0.0.0/8"),)
    assert (config.deadlines.evaluation, config.deadlines.idle, config.deadlines.delivery) == (10.0, 300.0, 1.5)
    assert (config.greylist.policy.delay, config.greylist.policy.lifetime) == (600.0, 35 * 86400.0)
    assert (config.spf.max_void_lookups, config.dkim.algorithms) == (5, ("rsa-sha256",))
    auth = authenticator(config)
    assert auth.policy.rbl == config.rbl.lists
    assert auth.time_limit == 10.0
    assert not auth.policy.delay_reject
    assert [str(one) for one in auth.restrictions.recipient] == [
        "reject_unauth_destination here.example .here.example bücher.example",
        "greylist",
    ]
    assert async_authenticator(config).policy.rbl_policy == config.rbl.policy


CASES = {
    "text without quotes": ("hostname = mx.a.example", (1, "", 'Invalid value at column 12; text stands in quotes')),
    "not TOML": ("a = = 1", (1, "", "not TOML: Invalid value at column 5")),
    "no hostname": ("\n\ndelay_reject = true", (1, "", "the key 'hostname' is missing")),
    "a key that is none": (HOST + "netwoks = []", (2, "netwoks", "unknown key; did you mean 'networks'?")),
    "a table that is none": (HOST + "[greylst]\n", (2, "greylst", "unknown key; did you mean 'greylist'?")),
    "a key that is none in a table": (HOST + "[spf]\n\nmax_lookup = 3", (4, "spf.max_lookup", "mean 'max_lookups'")),
    "no table": (HOST + "spf = 3", (2, "spf", "expected a table: [spf]")),
    "no list": (HOST + 'domains = "a.example"', (2, "domains", 'expected a list of: domain; write ["a.example"]')),
    "no host name": ('hostname = "here"', (1, "hostname", "'here' is no fully qualified host name")),
    "no network": (HOST + 'networks = [\n "192.0.2.1/24"]', (3, "networks[0]", "did you mean 192.0.2.0/24")),
    "no network at all": (HOST + 'networks = ["x"]', (2, "networks[0]", "'x' is no network")),
    "no domain": (HOST + 'domains = ["a b"]', (2, "domains[0]", "'a b' is no domain")),
    "no number": (HOST + '[dkim]\nmax_keys = "3"', (3, "dkim.max_keys", "expected whole number, not '3'")),
    "a boolean is no number": (HOST + "[dkim]\nmax_keys = true", (3, "dkim.max_keys", "whole number, not true")),
    "a number is no boolean": (HOST + "delay_reject = 1", (2, "delay_reject", "expected true or false, not 1")),
    "no duration": (HOST + '[greylist]\ndelay = "5 min"', (3, "greylist.delay", '"90s", "5m", "1h", "35d"')),
    "no duration but nan": (HOST + "[greylist]\ndelay = nan", (3, "greylist.delay", "expected a number of seconds")),
    "a policy that contradicts itself": (
        HOST + '[greylist]\ndelay = "2h"\nretry_window = "1h"',
        (4, "greylist.retry_window", "at least 60 s longer than delay"),
    ),
    "what the RFC forbids": (HOST + "[dkim]\nmin_rsa_bits = 512", (3, "dkim.min_rsa_bits", "at least 1024")),
    "no algorithm": (HOST + '[dkim]\nalgorithms = ["rsa-sha1"]', (3, "dkim.algorithms", "rsa-sha1")),
    "no rule": (
        HOST + '[rbl]\nlists = [\n  "a.example",\n  "b.example=127.0.0.[2..",\n]',
        (5, "rbl.lists[1]", "expected a number from 0 to 255"),
    ),
    "no action": (HOST + '[rbl]\nlists = ["a.example permit"]', (3, "rbl.lists[0]", "score, reject, allow")),
    "no store": (HOST + '[greylist]\nstore = "mysql://x"', (3, "greylist.store", "names no store; there are memory:")),
    "no option of the store": (HOST + '[greylist]\nstore = "sqlite:a?x=1"', (3, "greylist.store", "has no option 'x'")),
    "no word": (HOST + '[greylist]\non_error = "except"', (3, "greylist.on_error", "did you mean 'accept'?")),
    "no name server": (HOST + '[resolver]\nnameservers = ["dns.example"]', (3, "resolver.nameservers[0]", "no IP")),
    "no port": (HOST + "[resolver]\nport = 70000", (3, "resolver.port", "between 0 (any that is free) and 65535")),
    "no zone file": (HOST + '[resolver]\nzone = "/nowhere"', (3, "resolver.zone", "/nowhere: No such file")),
    "zone and name servers": (
        HOST + '[resolver]\nzone = "/dev/null"\nnameservers = ["127.0.0.1"]',
        (4, "resolver.nameservers", "leave out one of the two"),
    ),
    "settings without a store": (HOST + '[greylist]\nsettings = "/dev/null"', (3, "greylist.settings", "set store")),
    "a store that nobody asks": (
        HOST + '[greylist]\nstore = "memory:"\n[restrictions]\n',
        (3, "greylist.store", "nothing is greylisted"),
    ),
    "reports in the greylist's file": (
        HOST + '[greylist]\nstore = "sqlite:/tmp/a.db?durability=full"\n[dmarc]\nreports = "sqlite:///tmp/a.db"',
        (5, "dmarc.reports", "the greylist's file"),
    ),
    "no restriction": (
        HOST + '[restrictions]\nclient = ["reject_rlb x.example"]',
        (3, "restrictions.client[0]", "unknown restriction 'reject_rlb'; did you mean 'reject_rbl'?"),
    ),
    "a restriction with a word too many": (
        HOST + '[restrictions]\nhelo = ["reject_invalid_helo_hostname now"]',
        (3, "restrictions.helo[0]", "'now' is not understood; reject_invalid_helo_hostname takes nothing"),
    ),
    "an option that is none": (
        HOST + '[restrictions]\nrecipient = ["check_spf on_fail=reject"]',
        (3, "restrictions.recipient[0]", "'on_fail=reject' is not understood; check_spf takes identity=mailfrom|helo"),
    ),
    "an option's word that is none": (
        HOST + '[restrictions]\nrecipient = [\n"check_spf fail=rejekt"]',
        (4, "restrictions.recipient[0]", "fail=rejekt: unknown word; did you mean 'reject'?"),
    ),
    "an option's number that is none": (
        HOST + '[restrictions]\nclient = ["reject_rbl a.example threshold=x"]',
        (3, "restrictions.client[0]", "threshold=x: expected a whole number"),
    ),
    "a code that refuses nothing": (
        HOST + '[restrictions]\nclient = ["reject_unknown_client_hostname code=250"]',
        (3, "restrictions.client[0]", "the code of a refusal is between 400 and 599"),
    ),
    "a bad rule in a restriction": (
        HOST + '[restrictions]\nclient = ["reject_rbl a.example=127.0.0.300"]',
        (3, "restrictions.client[0]", "0 to 255"),
    ),
    "no networks for a restriction": (
        HOST + '[restrictions]\nclient = ["permit_mynetworks"]',
        (3, "restrictions.client[0]", "has no networks: name them here, or set networks"),
    ),
    "a bad network in a restriction": (
        HOST + '[restrictions]\nclient = ["permit_mynetworks 10.0.0.1/8"]',
        (3, "restrictions.client[0]", "host bits set"),
    ),
    "no lists for a restriction": (
        HOST + '[restrictions]\nclient = ["reject_rbl"]',
        (3, "restrictions.client[0]", "set lists in [rbl]"),
    ),
    "no list of domains": (
        HOST + '[restrictions]\nsender = ["reject_rhsbl_sender"]',
        (3, "restrictions.sender[0]", "reject_rhsbl_sender names no list"),
    ),
    "greylisting without a store": (
        HOST + '[restrictions]\nrecipient = ["greylist"]',
        (3, "restrictions.recipient[0]", "set store in [greylist]"),
    ),
    "warn of nothing": (
        HOST + '[restrictions]\nrecipient = ["warn_if_reject"]',
        (3, "restrictions.recipient[0]", "stands before the restriction"),
    ),
    "a server for nobody": (HOST + "[listen]\n", (1, "domains", "set domains")),
    "an open relay": (
        HOST + '[listen]\n[restrictions]\nrecipient = ["check_spf"]',
        (4, "restrictions.recipient", "anybody could relay"),
    ),
    "an open relay that is warned of": (
        HOST + '[listen]\n[restrictions]\nrecipient = ["warn_if_reject reject_unauth_destination a.example"]',
        (4, "restrictions.recipient", "anybody could relay"),
    ),
    "everybody is ours": (
        HOST + 'networks = ["127.0.0.1", "0.0.0.0/0"]\ndomains = ["a.example"]\n[listen]\n',
        (2, "networks[1]", "anybody could relay"),
    ),
    "everybody is ours by IPv6": (
        HOST + 'networks = ["::/0"]\ndomains = ["a.example"]\n[listen]\n',
        (2, "networks[0]", "anybody could relay"),
    ),
    "no delivery": (
        HOST + 'domains = ["a.example"]\n[listen]\ndeliver_to = "mbox:/x"',
        (4, "listen.deliver_to", "expected smtp://host:port"),
    ),
    "no certificate": (
        HOST + 'domains = ["a.example"]\n[listen]\ntls_certificate = "/nowhere"',
        (4, "listen.tls_certificate", "cannot use the certificate"),
    ),
    "no field": (
        HOST + 'domains = ["a.example"]\n[listen]\nfields = ["recieved"]',
        (4, "listen.fields[0]", "did you mean 'received'?"),
    ),
    "no selector": (
        HOST + '[[signing]]\nsenders = ["a.example"]\nselector = "a;b"\nkey = "k"',
        (4, "signing[0].selector", "'a;b' is no selector"),
    ),
    "no key": (
        HOST + '[[signing]]\nsenders = ["a.example"]\nselector = "a"\nkey = "/dev/null"',
        (5, "signing[0].key", ""),
    ),
    "a signing table without its key": (
        HOST + '[[signing]]\nsenders = ["a.example"]\nselector = "a"\n',
        (2, "signing[0]", "the key 'key' is missing"),
    ),
    "a signing table that is not there": (
        HOST + 'signing_table = "/nowhere.toml"\n',
        (2, "signing_table", "cannot read /nowhere.toml"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_mistakes(text: str, expected: tuple[int, str, str]) -> None:
    found = mistakes(text)
    assert any((line, key) == expected[:2] and expected[2] in problem for line, key, problem in found), found


def test_one_mistake_is_told_once() -> None:
    """What follows from a mistake is not one of its own."""
    for name, (text, _) in CASES.items():
        if name != "an open relay that is warned of":
            assert len(mistakes(text)) == 1, name


def test_all_mistakes_are_told_at_once() -> None:
    found = mistakes(
        'hostname = "x"\nnetworks = ["a", "192.0.2.0/24", "b"]\n[restrictions]\nclient = ["permit_mynetworks", "nix"]\n'
        '[rbl]\nthreshold = "a"\nlists = [1]\n[greylist]\nstor = "x"\n[dkim]\nmax_keys = 0\n'
    )
    assert [(line, key) for line, key, _ in found] == [
        (1, "hostname"), (2, "networks[0]"), (2, "networks[2]"), (4, "restrictions.client[1]"), (6, "rbl.threshold"),
        (7, "rbl.lists[0]"), (9, "greylist.stor"), (11, "dkim.max_keys"),
    ]  # fmt: skip


def test_a_password_is_never_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(HOST + '[greylist]\nstore = "postgresql://me:hunter2@h/d?durability=none"')
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        parse(HOST + '[rbl]\nlists = ["abcdefghijklmnopqrstuvwxyz012345.zen.dq.spamhaus.net=1"]')
    assert "abcdefghij" not in str(caught.value)


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "mx.toml"
    with pytest.raises(OSError, match=r"mx\.toml"):
        load(file)
    file.write_bytes(b"\xef\xbb\xbf" + HOST.encode())
    assert load(file).hostname == "mx.here.example"
    file.write_bytes(HOST.encode() + b"# \xff\n")
    with pytest.raises(ConfigError, match=r"mx.toml:2: not UTF-8"):
        load(file)
    file.write_bytes(b"a = " + b"[" * 100_000)
    with pytest.raises(ConfigError, match=r"nested too deeply|not TOML"):
        load(file)
    (tmp_path / "zone").write_text("a.example. 60 IN A 192.0.2.1\n")
    file.write_text(HOST + '[resolver]\nzone = "zone"\n')
    resolver = authenticator(load(file)).resolver
    assert resolver is not None
    assert resolver.lookup(Question("a.example", "A")).found


def test_as_many_answers_are_kept_as_the_file_says() -> None:
    """Of usual size: the bound on octets grows with the number. Those of a peer that makes each large do not fit."""
    resolver = authenticator(parse(HOST + "[resolver]\ncache = 60_000")).resolver
    assert isinstance(resolver, CachingResolver)
    record = Answer(Outcome.FOUND, (b"v=spf1 ip4:192.0.2.0/24 include:_spf.example.net -all",), ttl=3600)
    for number in range(60_000):
        resolver.cache.put(Question(f"host{number}.example.org", "TXT"), record)
    assert len(resolver.cache) == 60_000
    large = Answer(Outcome.FOUND, (b"x" * 60_000,), ttl=3600)
    for number in range(1_100):
        resolver.cache.put(Question(f"large{number}.example.org", "TXT"), large)
    assert len(resolver.cache) < 1_000


def test_default_lists_follow_what_is_set() -> None:
    config = parse(
        HOST + 'networks = ["192.0.2.0/24"]\ndomains = ["a.example"]\n[rbl]\nlists = ["b.example"]\n'
        '[greylist]\nstore = "memory:"\n[listen]\n'
    )
    lists = lists_of(config)
    assert lists.client == ("permit_mynetworks", "permit_authenticated", "reject_rbl")
    assert lists.recipient == (
        "permit_mynetworks", "permit_authenticated", "reject_unauth_destination", "check_spf", "greylist",
    )  # fmt: skip
    assert read_lists(config)[1] == []


@pytest.mark.parametrize(("word", "verdict"), [("true", "reject"), ("yes", "reject"), ("false", "accept")])
def test_an_option_is_true_in_the_words_of_the_file_and_of_postfix(tmp_path: Path, word: str, verdict: str) -> None:
    (tmp_path / "zone").write_text('$ORIGIN .\n$TTL 60\n_dmarc.strict.example. TXT "v=DMARC1; p=reject"\n')
    lists = f'[resolver]\nzone = "{tmp_path}/zone"\n[restrictions]\ndata = ["check_dmarc reject={word}"]\n'
    report = authenticator(parse(HOST + lists)).check(b"From: a@strict.example\r\n\r\nx\r\n", ip="192.0.2.1")
    assert report.verdict == verdict


def test_an_option_that_is_neither() -> None:
    assert mistakes(HOST + '[restrictions]\ndata = ["check_dmarc reject=maybe"]\n') == [
        (3, "restrictions.data[0]", "reject=maybe: expected true or false")
    ]


def test_every_restriction_has_its_name_in_the_file() -> None:
    from mailauth import restrictions

    names = {
        name for name in restrictions.__all__ if name.startswith(("reject_", "permit_", "check_", "warn_", "greylist"))
    }
    assert len(names) > 10
    assert names <= set(known_names())


def test_what_is_configured_is_what_decides() -> None:
    """The same file for both kinds of callers, and the same verdict."""
    text = HOST + 'domains = ["here.example"]\n[restrictions]\nrecipient = ["reject_unauth_destination"]\n'
    session = authenticator(parse(text)).session("192.0.2.1")
    other = async_authenticator(parse(text)).session("192.0.2.1")
    session.helo("x.example")
    session.mail("a@x.example")
    expected = session.rcpt("b@elsewhere.example")

    async def awaited() -> sync.Decision:
        await other.helo("x.example")
        await other.mail("a@x.example")
        return await other.rcpt("b@elsewhere.example")

    assert asyncio.run(awaited()) == expected
    assert expected.reason == "relay-denied"


# --- any text -------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["hostname", "networks", "domains", "rbl", "lists", "spf", "dkim", "greylist", "store", "restrictions", "client",
     "listen", "port", "deadlines", "idle", "signing", "key", "selector", "domain", "resolver", "zone", "x", "mode"]
)  # fmt: skip
VALUES = st.recursive(
    st.none().map(lambda _: "mx.here.example")
    | st.sampled_from(["", "x", "memory:", "reject_rbl a.example", "check_spf fail=pass", "5m", "127.0.0.1", "on"])
    | st.text(max_size=5) | st.integers(-5, 70000) | st.floats() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def toml(value: object) -> str:
    """A value in TOML's notation."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return (
            '"'
            + "".join(char if char.isalnum() or char in " .:/=_-" else f"\\U{ord(char):08x}" for char in value)
            + '"'
        )
    if isinstance(value, list):
        return "[" + ",\n".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + "}"
    return repr(value)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_any_document_is_a_configuration_or_a_list_of_mistakes(document: dict[str, object]) -> None:
    """Never another exception; each mistake names a line of the text, and a key that stands on it or above."""
    text = "".join(f"{name} = {toml(value)}\n" for name, value in document.items())
    tomllib.loads(text)
    try:
        config = parse(text)
    except ConfigError as error:
        for mistake in error.mistakes:
            assert 1 <= mistake.line <= text.count("\n") + 1
            assert mistake.problem
    else:
        assert config.hostname


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    """Any text is a configuration or an error with its mistakes; nothing else raises."""
    with contextlib.suppress(ConfigError):
        parse(text)
