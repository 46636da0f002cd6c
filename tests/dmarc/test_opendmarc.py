"""OpenDMARC beside us: a table of messages, and each difference with the RFC that explains it.

OpenDMARC 1.4 follows RFC 7489 (the public suffix list); we follow RFC 9989. It runs in its test mode (``-t``), over the
same DNS data, with the results of SPF and DKIM in an Authentication-Results field that it trusts.
"""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple

import pytest

from mailauth.dmarc import check
from mailauth.mail.author import read_author
from mailauth.mail.header import Splitter
from mailauth.plan import run
from tests.dmarc.world import Dkim, Spf, zone
from tests.dnsserver import ZoneServer
from tests.postfix import free_nameserver
from tests.servers import need

pytestmark = pytest.mark.server

ZONE = zone(
    {
        "example.org": "v=DMARC1; p=reject; sp=quarantine; rua=mailto:agg@example.org",
        "strict.org": "v=DMARC1; p=quarantine; adkim=s; aspf=s",
        "none.org": "v=DMARC1; p=none",
        "own.example.org": "v=DMARC1; p=none",
        "below.none.org": "v=DMARC1; p=reject",
        "plain.org": "v=DMARC1; p=reject",
        "two.org": ["v=DMARC1; p=reject", "v=DMARC1; p=none"],
        "foreign.org": ["v=spf1 -all", "v=DMARC1; p=reject"],
        "test.org": "v=DMARC1; p=reject; t=y",
        "capitals.org": "v=DMARC1; p=REJECT",
        "spaces.org": "v=DMARC1 ; p = reject ;",
        "bad.org": "v=DMARC1; p=monitor",
        "badrua.org": "v=DMARC1; p=monitor; rua=mailto:a@badrua.org",
        "wrong.org": "v=DMARC2; p=reject",
        "nopolicy.org": "v=DMARC1; rua=mailto:a@nopolicy.org",
        "late.org": "v=DMARC1; sp=none; p=reject",
        "org.org": "v=DMARC1; p=reject; psd=n",
        "division.org.org": "v=DMARC1; p=none; psd=n",
    }
)


class Case(NamedTuple):
    """A message: From, what passed, and what is expected: the result and the policy, ours and OpenDMARC's."""

    name: str
    author: str
    spf: Spf | None
    dkim: list[Dkim]
    ours: str
    theirs: str = ""  # "" where both agree
    why: str = ""


def spf(domain: str, result: str = "pass") -> Spf:
    return Spf(domain, result)


STRICT = "strict alignment is equality (RFC 7489 section 3.1.1, RFC 9989 section 4.4)"
CASES = [
    Case("both", "a@example.org", spf("example.org"), [Dkim("example.org")], "pass"),
    Case("spf alone", "a@example.org", spf("example.org"), [], "pass"),
    Case("dkim alone", "a@example.org", None, [Dkim("example.org")], "pass"),
    Case("nothing", "a@example.org", None, [], "fail reject"),
    Case("spf of a subdomain", "a@example.org", spf("bounce.example.org"), [], "pass"),
    Case("dkim of a subdomain", "a@example.org", None, [Dkim("mail.example.org")], "pass"),
    Case("spf of a parent", "a@sub.example.org", spf("example.org"), [], "pass"),
    Case("dkim of a parent", "a@sub.example.org", None, [Dkim("example.org")], "pass"),
    Case("siblings", "a@x.example.org", spf("y.example.org"), [], "pass"),
    Case("strangers", "a@example.org", spf("other.org"), [Dkim("mailer.org")], "fail reject"),
    Case("a name that ends alike", "a@example.org", spf("notexample.org"), [], "fail reject"),
    Case("spf failed", "a@example.org", spf("example.org", "fail"), [], "fail reject"),
    Case("spf softfail", "a@example.org", spf("example.org", "softfail"), [], "fail reject"),
    Case("dkim failed", "a@example.org", None, [Dkim("example.org", "fail")], "fail reject"),
    Case("one good signature of two", "a@example.org", None, [Dkim("x.org"), Dkim("example.org")], "pass"),
    Case("one broken signature of two", "a@example.org", None, [Dkim("example.org", "fail"),
         Dkim("example.org")], "pass"),
    Case("a subdomain takes sp", "a@sub.example.org", None, [], "fail quarantine"),
    Case("a deep subdomain takes sp", "a@a.b.c.example.org", None, [], "fail quarantine"),
    Case("a record of its own", "a@own.example.org", None, [], "fail none"),
    Case("its own record and the parent's signature", "a@own.example.org", None, [Dkim("example.org")], "pass"),
    Case("strict, equal", "a@strict.org", spf("strict.org"), [], "pass"),
    Case("strict, spf of a subdomain", "a@strict.org", spf("bounce.strict.org"), [], "fail quarantine", "pass", STRICT),
    Case("strict, dkim of a subdomain", "a@strict.org", None, [Dkim("mail.strict.org")], "fail quarantine", "pass",
         STRICT),
    Case("strict, a subdomain's own", "a@mail.strict.org", spf("mail.strict.org"), [], "pass"),
    Case("p=none", "a@none.org", None, [], "fail none"),
    Case("p=none, aligned", "a@none.org", spf("none.org"), [], "pass"),
    Case("a stricter subdomain", "a@below.none.org", None, [], "fail reject"),
    Case("no record", "a@nothing.org", spf("nothing.org"), [], "none"),
    Case("another version", "a@wrong.org", spf("wrong.org"), [], "none", "permerror",
         "RFC 9989 section 4.7: ignored as a whole"),
    Case("another record beside it", "a@foreign.org", None, [], "fail reject", "none",
         "RFC 9989 section 4.10 step 2: records of something else are discarded"),
    Case("capitals in the value", "a@capitals.org", None, [], "fail reject"),
    Case("capitals in the address", "a@EXAMPLE.org", spf("Example.ORG"), [], "pass"),
    Case("spaces", "a@spaces.org", None, [], "fail reject"),
    Case("p is not second", "a@late.org", None, [], "fail reject"),
    Case("a display name", '"bank@bank.org" <a@example.org>', None, [], "fail reject"),
    Case("a subdomain without sp", "a@sub.plain.org", None, [], "fail reject"),
    Case("test mode", "a@test.org", None, [], "fail quarantine", "fail reject", "t= is new in RFC 9989 section 4.7"),
    Case("several records", "a@two.org", None, [], "none", "fail", "RFC 9989 section 4.10 step 2: all are discarded"),
    Case("a bad p without rua", "a@bad.org", None, [], "none", "permerror", "RFC 9989 section 4.10.1: no processing"),
    Case("a bad p with rua", "a@badrua.org", None, [], "fail none", "permerror", "RFC 9989 section 4.10.1: as p=none"),
    Case("no p", "a@nopolicy.org", None, [], "fail none", "permerror",
         "RFC 9989 section 4.7: p= is no longer required"),
    Case("an organization below", "a@division.org.org", None, [Dkim("org.org")], "fail none", "pass",
         "psd=n makes two organizations of what the public suffix list calls one (RFC 9989 section 4.10.2)"),
    Case("two addresses of one domain", "a@example.org, b@example.org", None, [], "fail reject"),
]  # fmt: skip


def results(case: Case) -> str:
    """What the server before it found, as an Authentication-Results field."""
    parts = [f"spf={case.spf.result} smtp.mailfrom={case.spf.domain}" if case.spf else "spf=none"]
    parts += [f"dkim={each.result} header.d={each.domain} header.s=sel" for each in case.dkim] or ["dkim=none"]
    return f"mx.test; {'; '.join(parts)}"


SCRIPT = """
mt.startfilter("{program}", "-f", "-c", "{place}/conf", "-p", "{socket}")
mt.sleep(1)
for name, case in ipairs({{{cases}}}) do
    conn = mt.connect("{socket}", 40, 0.1)
    mt.conninfo(conn, "client.test", "192.0.2.1")
    mt.helo(conn, "client.test")
    mt.mailfrom(conn, case[1])
    mt.rcptto(conn, "<bob@x.test>")
    mt.header(conn, "Authentication-Results", case[2])
    mt.header(conn, "From", case[3])
    mt.header(conn, "Date", "Fri, 27 Nov 2026 10:00:00 +0000")
    mt.eoh(conn)
    mt.eom(conn)
    mt.echo("CASE " .. name .. "|" .. tostring(mt.getheader(conn, "Authentication-Results", 0)))
    mt.disconnect(conn)
end
"""


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.fixture(scope="module")
def opendmarc(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What OpenDMARC says of each case: the result, and p=."""
    program, play = need("opendmarc", "opendmarc"), need("miltertest", "miltertest")
    unshare = need("unshare", "util-linux")
    place, nameserver = tmp_path_factory.mktemp("opendmarc"), free_nameserver()
    (place / "suffixes").write_text("org\ntest\n")
    (place / "resolv.conf").write_text(f"nameserver {nameserver}\n")
    (place / "conf").write_text(
        f"AuthservID mx.test\nTrustedAuthservIDs mx.test\nPublicSuffixList {place}/suffixes\nRejectFailures false\n"
        "SPFSelfValidate false\nSoftwareHeader false\nSyslog false\n"
    )
    cases = ",".join(
        f"[{number + 1}]={{{quoted(f'<a@{case.spf.domain}>' if case.spf else '<>')},"
        f"{quoted(results(case))},{quoted(case.author)}}}"
        for number, case in enumerate(CASES)
    )
    script = SCRIPT.format(program=program, place=place, socket=f"unix:{place}/socket", cases=cases)
    (place / "script").write_text(script)
    with ZoneServer(ZONE, nameserver, port=53):
        command = f"mount --bind {place}/resolv.conf /etc/resolv.conf && exec {play} -s {place}/script"
        done = subprocess.run([unshare, "-m", "sh", "-c", command], capture_output=True, text=True, timeout=120)
    said = re.findall(r"^CASE (\d+)\|(.*)$", done.stdout, re.MULTILINE)
    assert len(said) == len(CASES), done.stdout[-2000:] + done.stderr[-2000:]
    found = {}
    for number, text in said:
        verdict = re.search(r"dmarc=(\w+)(?: \(p=(\w+))?", text)
        found[CASES[int(number) - 1].name] = f"{verdict[1]} {verdict[2]}" if verdict else text
    return found


def by_us(case: Case) -> str:
    splitter = Splitter()
    splitter.feed(f"From: {case.author}\r\n\r\n".encode())
    result = run(check(read_author(splitter.finish()), spf=case.spf, dkim=case.dkim), ZONE)
    return f"{result.result} {result.disposition}" if result.result == "fail" else str(result.result)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_table(case: Case, opendmarc: dict[str, str]) -> None:
    assert by_us(case) == case.ours
    result, _, policy = opendmarc[case.name].partition(" ")
    expected = case.theirs or case.ours
    # The policy is that of the record; "a subdomain takes sp" shows that it is sp= where that applies.
    assert f"{result} {policy}".startswith(expected), opendmarc[case.name]
    assert bool(case.theirs) is bool(case.why)
