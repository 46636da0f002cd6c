"""postgrey's white lists: entry by entry, any text, Debian's own files, and postgrey's own verdicts."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth.greylist import ClientWhitelist, Reason, RecipientWhitelist, Whitelists
from tests.servers import free_port, missing, need, running, wait_for_tcp

SHIPPED = Path("/etc/postgrey")


@pytest.mark.parametrize(
    ("number", "entry", "ip", "name", "holds"),
    [
        (1, "example.org", "203.0.113.1", "example.org", True),
        (2, "example.org", "203.0.113.1", "mail.out.Example.ORG", True),
        (3, "Example.org", "203.0.113.1", "badexample.org", False),
        (4, "example.org", "203.0.113.1", "example.org.evil.test", False),
        (5, "example.org", "203.0.113.1", "unknown", False),
        (6, "example.org", "203.0.113.1", None, False),
        (7, "192.0.2.1", "192.0.2.1", "unknown", True),
        (8, "192.0.2.1", "192.0.2.10", "unknown", False),
        (9, "192.0.2", "192.0.2.77", None, True),
        (10, "192.0.2", "192.0.3.77", None, False),
        (11, "192.0", "192.0.99.77", None, True),
        (12, "192.0.2.0/28", "192.0.2.15", None, True),
        (13, "192.0.2.0/28", "192.0.2.16", None, False),
        (14, "192.0.2.5/24", "192.0.2.200", None, True),
        (15, "2001:db8::/32", "2001:db8:5::1", None, True),
        (16, "2001:db8::1", "2001:db8::1", None, True),
        (17, "2001:db8::1", "2001:db8::2", None, False),
        (18, r"/^mail\d+\.example\.de$/", "203.0.113.1", "MAIL42.example.de", True),
        (19, r"/^mail\d+\.example\.de$/", "203.0.113.1", "mail.example.de", False),
        (20, r"/pool/", "203.0.113.1", "host.pool7.example", True),
        (21, r"/^192\./", "192.0.2.1", "unknown", False),  # the name alone is matched
        (22, "  example.org  # why", "203.0.113.1", "mx.example.org", True),
        (23, "# example.org", "203.0.113.1", "example.org", False),
        (24, "example.org\r", "203.0.113.1", "example.org", True),
        (25, "b\u00fccher.example", "203.0.113.1", "mx.xn--bcher-kva.example", True),
        (26, "my_host.example.org", "203.0.113.1", "my_host.example.org", True),
    ],
)
def test_clients(number: int, entry: str, ip: str, name: str | None, holds: bool) -> None:
    whitelist = ClientWhitelist.parse(entry)
    assert whitelist.refused == ()
    assert bool(whitelist.match(ip_address(ip), name)) is holds


@pytest.mark.parametrize(
    ("number", "entry", "address", "holds"),
    [
        (1, "example.org", "ann@example.org", True),
        (2, "example.org", "ann@Sub.Example.org", True),
        (3, "example.org", "ann@badexample.org", False),
        (4, "postmaster@", "Postmaster@anywhere.example", True),
        (5, "postmaster@", "postmaster+x@anywhere.example", True),
        (6, "postmaster@", "postmaster+@anywhere.example", False),
        (7, "postmaster@", "notpostmaster@anywhere.example", False),
        (8, "postmaster@", "postmaster-x@anywhere.example", False),
        (9, "ann@example.org", "ANN@example.org", True),
        (10, "ann@example.org", "ann+news+daily@example.org", True),
        (11, "ann@example.org", "ann@sub.example.org", False),
        (12, "ann@example.org", "ann@example.com", False),
        (13, "ann+news@example.org", "ann+news+daily@example.org", True),
        (14, "ann+news@example.org", "ann@example.org", False),
        (15, "/^(abuse|noc)@/", "NOC@example.org", True),
        (16, "/^(abuse|noc)@/", "x-noc@example.org", False),
        (17, "/example/", "ann@example.org", True),
        (18, "ann@[192.0.2.1]", "ann@[192.0.2.1]", True),
        (19, "example.org", "example.org", False),
        (20, "/^$/", "", True),
    ],
)
def test_recipients(number: int, entry: str, address: str, holds: bool) -> None:
    whitelist = RecipientWhitelist.parse(entry)
    assert whitelist.refused == ()
    assert bool(whitelist.match(address)) is holds


def test_the_entry_that_holds_is_told() -> None:
    clients = ClientWhitelist.parse("192.0.2\nexample.org\n/^mx/\n")
    assert clients.match(ip_address("192.0.2.9"), None) == "192.0.2.0/24"
    assert clients.match(ip_address("192.0.9.9"), "mail.example.org") == "example.org"
    assert clients.match(ip_address("192.0.9.9"), "mx.example.net") == "/^mx/"
    recipients = RecipientWhitelist.parse("abuse@\nann@example.org\nexample.net\n/x/\n")
    found = [recipients.match(each) for each in ("Abuse+1@a.test", "ann+1@example.org", "b@c.example.net", "x@a.test")]
    assert found == ["abuse@", "ann@example.org", "example.net", "/x/"]


def test_all_lists_of_a_site() -> None:
    lists = Whitelists(
        (ClientWhitelist.parse("192.0.2"), ClientWhitelist.parse("example.org")),
        (RecipientWhitelist.parse("abuse@"), RecipientWhitelist.parse("noc@")),
    )
    ours, other = ip_address("192.0.2.1"), ip_address("203.0.113.1")
    assert lists.exemption(ours, None, "x@a.test") == (Reason.EXEMPT_CLIENT, "192.0.2.0/24")
    assert lists.exemption(other, "mx.example.org", "x@a.test") == (Reason.EXEMPT_CLIENT, "example.org")
    assert lists.exemption(other, "unknown", "noc@a.test") == (Reason.EXEMPT_RECIPIENT, "noc@")
    assert lists.exemption(other, "unknown", "x@a.test") is None


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("two words", "an entry has no blanks"),
        ("300.1.1.1", "does not appear to be an IPv4"),
        ("192.0.2.0/40", "does not appear to be an IPv4"),
        ("a:b:c", "does not appear to be an IPv4 or IPv6"),
        ("/(/", "not a regular expression of Python: missing )"),
        ("/[[:digit:]]/", "not a regular expression of Python: Possible nested set"),
        ("/unfinished", "neither a name, an address nor /an expression/"),
        (".example.org", "neither a name, an address nor /an expression/"),
        ("ann@example.org", "neither a name, an address nor /an expression/"),
    ],
)
def test_a_line_that_cannot_be_understood_is_told_and_the_others_hold(entry: str, why: str) -> None:
    whitelist = ClientWhitelist.parse(f"example.com\n{entry}  # comment\nexample.org\n", "clients")
    (line,) = whitelist.refused
    assert str(line).startswith(f"clients:2: {entry!r}: ")
    assert why in str(line)
    assert whitelist.names == {"example.com", "example.org"}


def test_a_domain_of_recipients_has_no_at_sign() -> None:
    (line,) = RecipientWhitelist.parse("@example.org").refused
    assert line.why == "no local part; a domain is written example.org"


LINES = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40) | st.text("/@.+#:[]()*?\\ 12ae", max_size=12)
EXPRESSIONS = st.text("abc@.^$", max_size=8).map(lambda text: f"/{text}/")


@given(st.lists(LINES | EXPRESSIONS, max_size=8).map("\n".join), st.text(max_size=400), st.ip_addresses())
def test_any_text_is_a_list_and_any_name_has_an_answer(text: str, subject: str, ip: object) -> None:
    """Any text is a list with refused lines named, and any name and address has an answer."""
    clients, recipients = ClientWhitelist.parse(text), RecipientWhitelist.parse(text)
    for found in (clients.match(ip, subject), recipients.match(subject)):  # type: ignore[arg-type]
        assert found is None or found


def test_no_expression_sees_more_than_a_name_or_an_address() -> None:
    clients, recipients = ClientWhitelist.parse("/x/\nexample.org"), RecipientWhitelist.parse("/x/\nexample.org\nann@")
    assert clients.match(ip_address("192.0.2.1"), "x" * 300 + ".example.org") is None
    assert recipients.match("x" * 320 + "@example.org") is None
    assert recipients.match("ann" + "+" * 100_000 + "@example.org") is None


def shipped(name: str) -> str:
    path = SHIPPED / name
    if not path.exists():
        missing(f"{path} is not there (Debian: apt-get install postgrey)")
    return path.read_text("utf-8")


def test_the_lists_that_debian_ships_are_understood() -> None:
    clients = ClientWhitelist.parse(shipped("whitelist_clients"))
    assert clients.refused == ()
    assert len(clients.names) > 80
    assert len(clients.expressions) > 30
    assert clients.match(ip_address("203.0.113.1"), "o12.ntdc.magisto.com")
    assert clients.match(ip_address("51.4.80.9"), "unknown") == "51.4.80.0/27"
    recipients = RecipientWhitelist.parse(shipped("whitelist_recipients"))
    assert recipients.refused == ()
    assert recipients.match("abuse@example.net")
    assert not recipients.match("ann@example.net")


# --- beside postgrey ------------------------------------------------------------------------------------------

IPS = st.sampled_from(
    """192.0.2.1 192.0.2.2 192.0.21.1 198.51.100.1 198.51.10.1 203.0.113.127 203.0.113.128 203.0.113.255 203.0.113.8
    203.0.113.11 203.0.113.12 2001:db8:1::5 2001:db8:1:ffff::1 2001:db8:2::1 ::1 10.0.0.1""".split()  # noqa: SIM905
)
CLIENTS = r"""
example.org
192.0.2.1
198.51.100
203.0.113.128/25
203.0.113.9/30
2001:db8:1::/48
/^m[xy]\d+\.example\.(net|com)$/
/pool/
under_score.example.de
"""
RECIPIENTS = r"""
postmaster@
ann@example.org
bob+news@example.org
example.net
/^(?:noc|abuse)\d*@/
"""
LABELS = st.from_regex(r"mail|mx|m[xyz][0-9]{1,2}|pool7|EXAMPLE|xexample|a|-|_", fullmatch=True)
DOMAINS = st.sampled_from(
    ["example.org", "EXAMPLE.net", "example.com", "xexample.org", "under_score.example.de", "unknown"]
)


def all_labels(name: str) -> bool:
    """Whether it can be a name of the DNS: no label is empty."""
    return all(name.split("."))


NAMES = (
    st.tuples(st.lists(LABELS, max_size=2).map(".".join), st.sampled_from([".", ".", "", "-"]), DOMAINS)
    .map("".join)
    .filter(all_labels)
)
LOCAL_PARTS = st.from_regex(
    r"(x|-)?(postmaster|ann|bob|bob[+]news|noc|ABUSE[0-9]|Ann)([+.-]{0,2}x?){0,2}", fullmatch=True
)
ADDRESSES = st.tuples(LOCAL_PARTS, NAMES | st.just("example.org")).map("@".join)
# Each alone, since who is on one list is not looked up in the others.
REQUESTS = (
    st.tuples(IPS, st.just("unknown"), st.just("x@a.test"))
    | st.tuples(st.just("10.0.0.1"), NAMES, st.just("x@a.test"))
    | st.tuples(st.just("10.0.0.1"), st.just("unknown"), ADDRESSES)
)


@pytest.fixture(scope="module")
def postgrey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[socket.socket]:
    """A connection to postgrey with these lists; whoever is not on them is greylisted for an hour."""
    program = need("postgrey", "postgrey")
    folder, port = tmp_path_factory.mktemp("postgrey"), free_port()
    (folder / "clients").write_text(shipped("whitelist_clients") + CLIENTS)
    (folder / "recipients").write_text(RECIPIENTS)
    command = [program, f"--inet=127.0.0.1:{port}", f"--dbdir={folder}", "--user=root", "--group=root", "--delay=3600"]
    lists = [f"--whitelist-clients={folder / 'clients'}", f"--whitelist-recipients={folder / 'recipients'}"]
    with running([*command, *lists, "--auto-whitelist-clients=0"], folder / "log") as process:
        wait_for_tcp(port)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            yield connection
        process.kill()  # it may take ten seconds to hear SIGTERM


@cache
def lists_of_postgrey() -> Whitelists:
    clients = ClientWhitelist.parse(shipped("whitelist_clients") + CLIENTS)
    return Whitelists((clients,), (RecipientWhitelist.parse(RECIPIENTS),))


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attempt=REQUESTS)
def test_postgrey_decides_the_same(postgrey: socket.socket, attempt: tuple[str, str, str]) -> None:
    """postgrey's own list lets through whom our reading of it lets through."""
    ip, name, address = attempt
    assert (lists_of_postgrey().exemption(ip_address(ip), name, address) is not None) is asked(
        postgrey, ip, name, address
    )


def asked(connection: socket.socket, ip: str, name: str, address: str) -> bool:
    """Whether postgrey lets it pass at once."""
    lines = f"client_address={ip}\nclient_name={name}\nsender=s@a.test\nrecipient={address}\ninstance={time.time()}"
    connection.sendall(f"request=smtpd_access_policy\n{lines}\n\n".encode())
    reply = b""
    while not reply.endswith(b"\n\n"):
        octets = connection.recv(4096)
        assert octets, "postgrey closed the connection"
        reply += octets
    assert reply.startswith((b"action=DUNNO", b"action=DEFER_IF_PERMIT"))
    return reply.startswith(b"action=DUNNO")
