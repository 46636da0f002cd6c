"""What Gmail, Yahoo and Microsoft demand of senders, checked on one message.

Facts as of `AS_OF`, from the providers' own pages. What a message cannot show is not checked: how many complaints
there are, whether TLS was used, how much is sent.
"""

# https://support.google.com/a/answer/81126 (all senders: SPF or DKIM, forward and reverse DNS, one of each field of RFC
# 5322; over 5,000 messages a day: SPF and DKIM, DMARC, alignment, one-click unsubscription for marketing mail)
# https://senders.yahooinc.com/best-practices/ (the same demands)
# https://techcommunity.microsoft.com/blog/microsoftdefenderforoffice365blog/4399730 (over 5,000 messages a day: SPF,
# DKIM and DMARC pass, with an identifier that is aligned)
#
# SECURITY: the header is the peer's. Each field is looked at once, cut to a bound.

from __future__ import annotations

import re
from collections.abc import Iterator

from mailauth.dkim import Result as DkimResult
from mailauth.dkim import Signature
from mailauth.domain.finding import Area, Finding, error, note, unknown, warning
from mailauth.mail.header import Header
from mailauth.mail.text import printable
from mailauth.transaction.report import Report

AS_OF = "2026-11"

ALL = "Gmail, Yahoo"
BULK = "Gmail, Yahoo and Microsoft, of bulk senders"
MARKETING = "Gmail and Yahoo, of marketing and subscribed mail"

_MAX_FIELD_OCTETS = 8192
_ONCE = ("from", "date", "message-id", "subject", "to", "cc", "bcc", "reply-to", "sender")
_REQUIRED = ("date", "message-id")


def sender_findings(report: Report, header: Header) -> Iterator[Finding]:
    """What the large providers would find wrong with this message."""
    yield from _authentication(report)
    yield from _client(report)
    yield from _fields(header)
    yield from _unsubscription(report.dkim, header)


def _authentication(report: Report) -> Iterator[Finding]:
    """SPF and DKIM pass, one of them is aligned, and a DMARC record is there."""
    spf = None if report.spf is None else report.spf.result.value
    passing = [signature for signature in report.dkim if signature.result is DkimResult.PASS]
    sender = report.mail_from or "the null sender"
    if report.spf is None:
        advice = "name it with --mail-from, or keep the Return-Path field of the message"
        words = "SPF was not checked: nobody said what MAIL FROM was"
        yield warning("sender.spf", "MAIL FROM", words, f"{BULK}; RFC 7208 section 2.4", advice)
    elif spf == "temperror":
        yield unknown(Area.SENDER, sender, report.spf.detail, "SPF")
    elif spf != "pass":
        words = f"SPF does not pass for MAIL FROM ({spf}: {report.spf.detail})"
        yield error("sender.spf", sender, words, f"{BULK}; RFC 7208 section 2.6", "add the client to the SPF record")
    waiting = next((each for each in report.dkim if each.result is DkimResult.TEMPERROR), None)
    if not passing and waiting is not None:
        yield unknown(Area.SENDER, waiting.domain or sender, waiting.detail, "the DKIM key")
    elif not passing:
        found = ", ".join(f"{each.domain or '?'}: {each.detail or each.result}" for each in report.dkim[:5])
        words = f"no DKIM signature passes ({found or 'there is none'})"
        yield error(
            "sender.dkim", sender, words, f"{BULK}; RFC 6376 section 6.1", "sign with a key of the author's domain"
        )
    for each in passing:
        if each.algorithm and each.algorithm.startswith("rsa") and (each.key_bits or 0) < 2048:
            words = f"the key of {each.selector}._domainkey.{each.domain} has {each.key_bits} bits"
            yield note(
                "sender.key-size", each.domain or "", words, "Gmail; RFC 8301 section 3.2", "make one of 2048 bits"
            )
    yield from _dmarc(report)


def _dmarc(report: Report) -> Iterator[Finding]:
    found = report.dmarc
    if found is None or found.author_domain is None:
        detail = "the message has no readable author" if found is None else found.detail
        advice = "write one From field with one address"
        yield error("sender.no-author", "From", detail, f"{BULK}; RFC 9989 section 5.3.1", advice)
        return
    author = found.author_domain
    if found.result == "temperror":
        # Whether it passes is not known; that it does not is said by nobody.
        yield unknown(Area.SENDER, author, found.detail, "DMARC")
        return
    if found.record is None:
        advice = f'publish _dmarc.{author}. TXT "v=DMARC1; p=none; rua=mailto:ADDRESS"'
        yield error("sender.no-dmarc", author, found.detail, f"{BULK}; RFC 9989 section 4.7", advice)
    if found.result == "pass":
        both = found.spf_aligned and found.dkim_aligned
        if not both:
            missing = "SPF" if found.dkim_aligned else "DKIM"
            words = f"only {'DKIM' if found.dkim_aligned else 'SPF'} is aligned with {author}; {missing} is not"
            advice = f"align {missing} as well: forwarding breaks SPF, changes break DKIM"
            yield note("sender.one-aligned", author, words, "Gmail and Microsoft recommend both", advice)
    elif found.record is not None:
        words = f"DMARC does not pass: {found.detail}"
        advice = f"sign with d={author}, or send with a MAIL FROM of {found.organizational_domain or author}"
        yield error("sender.not-aligned", author, words, f"{BULK}; RFC 9989 section 5.3.4", advice)


def _client(report: Report) -> Iterator[Finding]:
    if report.iprev is not None and report.iprev.result == "temperror":
        yield unknown(Area.SENDER, str(report.ip), report.iprev.detail, "the client's reverse name")
    elif report.iprev is not None and report.iprev.result in ("fail", "permerror"):
        advice = "have the provider of the address publish a PTR record whose name leads back to it"
        words = f"the client's reverse name: {report.iprev.detail}"
        yield error("sender.reverse-name", str(report.ip), words, f"{ALL}; RFC 8601 section 3", advice)


def _title(name: str) -> str:
    """The name of a field as people write it."""
    return name.title().replace("-Id", "-ID")


def _fields(header: Header) -> Iterator[Finding]:
    """RFC 5322 section 3.6: From, Date and others stand once."""
    source = f"{ALL}; RFC 5322 section 3.6"
    for name in _ONCE:
        number = len(header.all(name))
        if number > 1:
            words = f"there are {number} {_title(name)} fields"
            yield error("sender.repeated-field", _title(name), words, source, "leave one")
        elif number == 0 and name in _REQUIRED:
            yield warning("sender.missing-field", _title(name), f"there is no {_title(name)} field", source, "add it")
    if not header.all("from"):
        yield error("sender.missing-field", "From", "there is no From field", source, "add it")


_ONE_CLICK = re.compile(rb"\s*List-Unsubscribe\s*=\s*One-Click\s*\Z", re.IGNORECASE)
_URI = re.compile(rb"<([^<>]*)>")


def _unsubscription(signatures: tuple[Signature, ...], header: Header) -> Iterator[Finding]:
    """RFC 8058: a one-click link by https, and both fields signed by a signature that passes."""
    field, post = header.first("list-unsubscribe"), header.first("list-unsubscribe-post")
    source = f"{MARKETING}; RFC 8058"
    if field is None:
        advice = "if this is marketing or subscribed mail, add List-Unsubscribe with an https: link, and -Post"
        yield warning(
            "sender.no-unsubscribe",
            "List-Unsubscribe",
            "there is no List-Unsubscribe field",
            f"{source} section 3",
            advice,
        )
        return
    uris = _URI.findall(field.unfolded[:_MAX_FIELD_OCTETS])
    if not any(uri.strip().lower().startswith(b"https://") for uri in uris):
        shown = printable(field.unfolded.decode("utf-8", "replace"), 80)
        words = f"List-Unsubscribe has no https: link: {shown!r}"
        yield warning(
            "sender.no-https-unsubscribe", "List-Unsubscribe", words, f"{source} section 3.1", "add <https://...>"
        )
    if post is None or not _ONE_CLICK.match(post.unfolded[:_MAX_FIELD_OCTETS]):
        words = "there is no List-Unsubscribe-Post field that says List-Unsubscribe=One-Click"
        advice = "add List-Unsubscribe-Post: List-Unsubscribe=One-Click"
        yield warning("sender.no-one-click", "List-Unsubscribe-Post", words, f"{source} section 3.1", advice)
    wanted = {"list-unsubscribe", "list-unsubscribe-post"} if post is not None else {"list-unsubscribe"}
    signed = [set(each.signed_fields) for each in signatures if each.result is DkimResult.PASS]
    if not any(wanted <= names for names in signed):
        words = "no DKIM signature that passes covers " + " and ".join(sorted(_title(name) for name in wanted))
        advice = "name both fields in h= of the signature"
        yield warning("sender.unsubscribe-not-signed", "List-Unsubscribe", words, f"{source} section 4", advice)
