"""SPF and DMARC of a domain: what their linters find, in this report's words, and what only shows beside others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailauth import dmarc, spf
from mailauth.dmarc import Policy, Visit
from mailauth.dmarc.destinations import MAX_HOSTS, host_of
from mailauth.domain.finding import Area, Finding, Severity, error, not_answered, note, unknown, warning
from mailauth.mail.text import printable
from mailauth.plan import IPAddress, Outcome, Plan, Question, ask_all, run_all
from mailauth.spf import SpfResult

# --- SPF ------------------------------------------------------------------------------------------------------------

# Code: the section that says so, and what to do where the linter proposes nothing.
_SPF: dict[str, tuple[str, str]] = {
    "no-record": ("RFC 7208 section 3", 'publish one; for a domain that sends no mail "v=spf1 -all"'),
    "several-records": ("RFC 7208 section 3.2", "leave one: join the terms of all in it"),
    "too-many-lookups": (
        "RFC 7208 section 4.6.4",
        "take out includes that nobody needs any more, or write their networks: mailauth spf flatten",
    ),
    "too-many-void-lookups": ("RFC 7208 section 4.6.4", "take out the terms that find nothing"),
    "too-many-mx-hosts": ("RFC 7208 section 4.6.4", "name the hosts by a: or by networks"),
    "void": ("RFC 7208 section 4.6.4", "take the term out, or publish what it names"),
    "loop": ("RFC 7208 section 4.6.4", "take the include or redirect out"),
    "no-all": ("RFC 7208 section 4.7", "end the record with -all or ~all"),
    "pass-all": ("RFC 7208 section 5.1", "end the record with -all or ~all, and name the hosts that send"),
    "neutral-all": ("RFC 7208 section 8.2", "end the record with ~all or -all"),
    "after-all": ("RFC 7208 section 5.1", "put it in front of all, or take it out"),
    "ignored-redirect": ("RFC 7208 section 6.1", "take out the redirect, or the all"),
    "early-redirect": ("RFC 7208 section 6.1", "write it at the end"),
    "ptr": ("RFC 7208 section 5.5", "name the networks in place of ptr"),
    "duplicate": ("RFC 7208 section 4.6", "leave it once"),
    "covered": ("RFC 7208 section 4.6", "take it out"),
    "mapped": ("RFC 7208 section 5", "write it as ip4:"),
    "host-bits": ("RFC 7208 section 5.6", "write the network's first address"),
    "long-string": ("RFC 7208 section 3.3", "see that the zone has it in several strings of at most 255 octets"),
    "long-record": ("RFC 7208 section 3.4", "move terms into an include"),
    "long-answer": ("RFC 7208 section 3.4", "move terms into an include, or other TXT records to other names"),
    "broad": ("RFC 7208 section 11.4", "name only the networks that send"),
    "everybody": ("RFC 7208 section 11.4", "name only the networks that send"),
    "free-mail": ("RFC 7208 section 11.4", "name the servers that send mail of the domain"),
    "shared-servers": ("RFC 7208 section 11.4", "name the servers that send mail of the domain"),
    "private": ("RFC 6890", "name the address that the Internet sees"),
    "nobody": ("RFC 7208 section 2.6", "see that the terms name the hosts that send"),
    "adds-nobody": ("RFC 7208 section 4.6.4", "take it out, and spare its lookups"),
    "twice": ("RFC 7208 section 4.6", "leave it once"),
    "unreachable": ("RFC 7208 section 4.6.2", "take it out, or put it in front"),
    "not-followed": ("RFC 7208 section 7", "see that the name has a record whatever the client is"),
    "explanation": ("RFC 7208 section 6.2", "publish one TXT record in US-ASCII there, or take exp= out"),
    "ignored-modifier": ("RFC 7208 section 6", "correct the word, or take it out"),
    "odd-name": ("RFC 7208 section 4.8", "correct the name, or take the term out"),
    "nearly": ("RFC 7208 section 4.5", "correct it, or take it out"),
    "type-99": ("RFC 7208 section 3.1", "publish it as TXT"),
    "not-all-seen": ("RFC 7208 section 4.6.4", "shorten the tree"),
    "bad-domain": ("RFC 7208 section 4.8", "correct the name, or take the term out"),
    "unknown-mechanism": ("RFC 7208 section 4.6.1", "correct the word, or take the term out"),
    "no-version": ("RFC 7208 section 4.5", "begin the record with v=spf1 and a blank"),
}
_SPF_ANY = ("RFC 7208 section 12", "correct the term")


def spf_findings(found: spf.LintReport) -> Iterator[Finding]:
    """What the linter found, in the words of this report."""
    for each in found.findings:
        subject = each.domain or found.domain
        if each.code == "dns-error":
            yield not_answered(Area.SPF, subject, each.words)
            continue
        source, advice = _SPF.get(each.code, _SPF_ANY)
        advice = f"write {each.proposal}" if each.proposal else advice
        # `mailauth spf lint` points at the term in the record; here it has to be named.
        at = "" if not each.term or each.term in each.words else f"{printable(each.term, 80)}: "
        yield Finding(Severity(each.severity.value), f"spf.{each.code}", subject, at + each.words, source, advice)


def spf_of_clients(domain: str, clients: Sequence[IPAddress], now: float) -> Plan[list[SpfResult]]:
    """A plan of what SPF says of mail of the domain from each of its own clients."""
    sender = f"postmaster@{domain}"
    return run_all([spf.check_host(ip, mail_from=sender, helo=domain, now=now, trace=True) for ip in clients])


def client_findings(results: Sequence[SpfResult]) -> Iterator[Finding]:
    """Clients of the domain that its own record does not let pass."""
    for each in results:
        if each.result == "temperror":
            yield unknown(Area.SPF, str(each.ip), each.detail, "whether it may send")
        elif each.result != "pass" and each.reason not in ("no-record", "no-such-domain"):
            words = f"mail of {each.domain} from {each.ip} gets {each.result}: {each.detail}"
            severe = error if each.result in ("fail", "permerror") else warning
            advice = f"add ip{each.ip.version}:{each.ip} to the record, or a network or name that holds it"
            if each.result == "permerror":
                advice = "correct the record: as it is, it lets no client pass that comes to the error"
            yield severe("spf.client-not-allowed", str(each.ip), words, "RFC 7208 section 2.6", advice)


# --- DMARC ----------------------------------------------------------------------------------------------------------

_DMARC: dict[str, tuple[str, str]] = {
    "no-record": ("RFC 9989 section 4.10.1", "publish one"),
    "several-records": ("RFC 9989 section 4.10", "leave one"),
    "misplaced": ("RFC 9989 section 4.5", "move it"),
    "inherited": ("RFC 9989 section 4.10.1", "nothing needs to be done"),
    "inherited-from-suffix": ("RFC 9989 section 4.10.1", "publish a record of your own"),
    "not-authorised": ("RFC 9990 section 4", "have the destination agree, or send reports elsewhere"),
    "no-host": ("RFC 9990 section 4", "write mailto: and an address with a domain"),
    "weaker-subdomains": ("RFC 9989 section 4.7, sp= and np=", "make it as strict as p=, or take it out"),
    "weaker-domain": ("RFC 9989 section 4.7, p=", "make p= as strict as sp="),
    "not-inherited": ("RFC 9989 section 4.10.1", "take it out here, and set it at the organizational domain"),
    "no-reports": ("RFC 9989 section 4.7, rua=", "add rua=mailto:ADDRESS"),
    "test-mode": ("RFC 9989 section 4.7, t=", "take t=y out when the test is over"),
    "public-suffix": ("RFC 9989 section 4.7, psd=", "take psd=y out, unless you run a registry"),
    "suffix-failure-reports": ("RFC 9989 section 10.2", "leave ruf= out"),
    "top-level-record": ("RFC 9989 section 4.10.2", "publish psd=n at your own domain"),
    "strict": ("RFC 9989 section 4.7, adkim= and aspf=", "nothing needs to be done, if all mail is so"),
    "removed-tag": ("RFC 9989 section 9.3", "leave it out"),
    "obsolete-size": ("RFC 9989 section 4.8", "leave the size out"),
    "bad-uri": ("RFC 9989 section 4.7, rua= and ruf=", "write mailto:ADDRESS"),
    "other-text": ("RFC 9989 section 4.10", "take it out; where it is a wildcard's, publish a DMARC record here"),
    "nearly": ("RFC 9989 section 4.8", 'begin it with "v=DMARC1;"'),
    "no-policy": ("RFC 9989 section 4.10.1", "add p=none, p=quarantine or p=reject"),
    "no-dmarc": ("RFC 9989 section 4.10.1", "correct p=, or add rua="),
    "duplicate-tag": ("RFC 6376 section 3.2, RFC 9989 section 4.7", "leave the tag once"),
}
_DMARC_ANY = ("RFC 9989 section 4.7", "correct the tag, or leave it out")


def dmarc_findings(domain: str, found: dmarc.LintReport) -> Iterator[Finding]:
    """What the linter found, and what can be said of the text beside it."""
    name = f"_dmarc.{domain}"
    of_text = [] if found.walk is None else list(_of_text(found.walk.visits[0]))
    blank = any(each.code == "dmarc.blank-in-front" for each in of_text)
    for each in found.findings:
        if each.code == "nearly" and blank:
            continue
        if each.code == "dns-error":
            yield not_answered(Area.DMARC, name, each.words)
            continue
        source, advice = _DMARC.get(each.code, _DMARC_ANY)
        severity = Severity(each.severity.value)
        yield Finding(severity, f"dmarc.{each.code}", name, each.words, source, each.proposal or advice)
    applied = applied_policy(found)
    if applied is not None and applied[1] is Policy.NONE:
        words = f"{applied[0]} asks for nothing: mail that fails is delivered"
        advice = "go on to quarantine and reject, once the reports show that your own mail passes"
        yield note("dmarc.not-enforced", name, words, "RFC 9989 section 4.7, p=", advice)
    yield from of_text


def applied_policy(found: dmarc.LintReport) -> tuple[str, Policy] | None:
    """The tag and the policy that apply to the domain (RFC 9989 section 4.10.1), None where none does."""
    if found.record is not None:
        return ("p=none", Policy.NONE) if found.record.p is Policy.NONE else _pair("p", found.record.p)
    walk = found.walk
    if walk is None or walk.organizational_domain is None:
        return None
    record = walk.record_at(walk.organizational_domain)
    if record is None and walk.public_suffix is not None:
        record = walk.public_suffix.record
    return None if record is None else _pair(*record.policy_for_subdomains(exists=True))


def _pair(tag: str, policy: Policy | None) -> tuple[str, Policy] | None:
    return None if policy is None else (f"{tag}={policy}", policy)


def _of_text(visit: Visit) -> Iterator[Finding]:
    """What the text of the record says to readers that are older, or less patient, than RFC 9989."""
    name = f"_dmarc.{visit.name}"
    for octets in visit.answer.texts if visit.answer.found else ():
        text = octets.decode("utf-8", "replace")
        if not text.lstrip().upper().startswith("V=DMARC1"):
            if visit.why != "no-record":
                words = f"another TXT record stands beside the DMARC record: {printable(text, 60)!r}"
                advice = "take it out: some receivers do not expect it"
                yield note("dmarc.other-text", name, words, "RFC 9989 section 4.10", advice)
            continue
        if text != text.lstrip():
            words = "a blank stands in front of v=DMARC1: the record is ignored"
            yield error("dmarc.blank-in-front", name, words, "RFC 9989 section 4.8", "take the blank out")
        tags = [tag.partition("=")[0].strip().lower() for tag in text.split(";")]
        if "p" in tags[2:]:
            words = "p= is not the second tag, as RFC 7489 demanded: old receivers may ignore the record"
            yield note("dmarc.p-not-second", name, words, "RFC 7489 section 6.3", "write p= next to v=DMARC1")


def report_destinations(found: dmarc.LintReport) -> Plan[list[Finding]]:
    """A plan of what is wrong with the hosts that reports go to: whether they take mail, and how many there are."""
    if found.record is None or found.domain is None:
        return []
    name = f"_dmarc.{found.domain}"
    findings: list[Finding] = []
    hosts: dict[str, str] = {}
    for tag, uris in (("rua", found.record.rua), ("ruf", found.record.ruf)):
        if len(uris) > 2:
            words = f"{tag}= has {len(uris)} destinations; some reporters send to the first two only"
            findings.append(note("dmarc.many-destinations", name, words, "RFC 7489 section 6.2", "name two at most"))
        for uri in uris:
            if uri.lower().startswith("mailto:"):
                hosts.setdefault(host_of(uri) or "", f"{tag}={printable(uri, 80)}")
            else:
                words = f"{tag}= has {printable(uri, 80)}; receivers need to support mailto: only"
                source = "RFC 9989 section 4.7, rua="
                findings.append(note("dmarc.not-mailto", name, words, source, "add a mailto: address"))
    hosts.pop("", None)
    asked = list(hosts)[:MAX_HOSTS]
    questions = [Question(host, rtype) for host in asked for rtype in ("MX", "A", "AAAA")]
    answers = (yield from ask_all(questions)) if questions else []
    for index, host in enumerate(asked):
        mx, *addresses = answers[3 * index : 3 * index + 3]
        null = mx.found and all(not each.host for each in mx.exchanges)
        # RFC 5321 section 5.1: without MX records an address will do.
        if null or (mx.void and all(answer.void for answer in addresses)):
            what = "says by a null MX that it takes no mail" if null else "has neither an MX record nor an address"
            words = f"{hosts[host]}: {host} {what}, so reports are lost"
            if mx.outcome is Outcome.NO_SUCH_NAME:
                words = f"{hosts[host]}: {host} does not exist, so reports are lost"
            advice = "name an address that takes mail"
            findings.append(error("dmarc.unreachable-destination", name, words, "RFC 9990 section 3.5", advice))
    return findings


def enforced(found: dmarc.LintReport) -> bool:
    """Whether mail that fails is to be quarantined or rejected, that of subdomains as well."""
    applied, record = applied_policy(found), found.record
    if applied is None or applied[1] is Policy.NONE:
        return False
    return record is None or not (record.t or record.sp is Policy.NONE)
