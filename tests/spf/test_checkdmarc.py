"""Beside checkdmarc: from the same zone, every finding of its is one of ours, or the reason stands here."""

from __future__ import annotations

import logging
import os
import re
import warnings
from typing import Any

import pytest
from dns.nameserver import Do53Nameserver

from tests.dnsserver import ZoneServer
from tests.spf.corpus import CASES, DOMAIN, Case


def checkdmarc() -> Any:
    """Its module; missing, the test is skipped, but not in CI, where the extra "dev" is installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import checkdmarc.spf
            import checkdmarc.utils
    except ModuleNotFoundError:
        if os.environ.get("CI"):
            raise
        pytest.skip("checkdmarc is not installed: pip install 'mailauth[dev]'")
    return checkdmarc


# What it says, and which of our codes says the same.
SAME = {
    r"An SPF record does not exist|The domain does not exist": {"no-record"},
    r"resembles an SPF record was discarded": {"nearly", "no-record"},
    r"SPF type DNS records found": {"type-99"},
    r"Sender ID record": {"nearly"},
    r"multiple SPF TXT records": {"several-records"},
    r"has no SPF record": {"no-record", "bad-domain", "dns-error"},
    r"not a fully-qualified domain name": {"bad-domain"},
    r"The domain .* does not exist|does not have any": {"void", "bad-domain", "odd-name"},
    r"Expected whitespace before 'all'": {"bad-network", "odd-name", "bad-term", "missing-argument"},
    r"is not a valid CIDR prefix length": {"bad-prefix-length", "missing-argument"},
    r"Expected (mechanism|end_of_statement)": {"torn-term", "bad-term", "bad-character", "unexpected-argument"},
    r"is not a valid SPF (mechanism|term)": {"unknown-mechanism"},
    r"is not a valid (IPv[46]|ip[46]) value": {"bad-network", "bad-prefix-length"},
    r"macros are not allowed in ip": {"bad-network"},
    r"Duplicate include": {"duplicate"},
    r"must have a value": {"missing-argument", "torn-term"},
    r"does not accept a value": {"unexpected-argument"},
    r"Invalid SPF macro|is only allowed in exp": {"bad-macro"},
    r"Qualifiers are not allowed on modifiers": {"bad-term"},
    r"Multiple (redirect|exp)": {"repeated-modifier"},
    r"The unknown modifier": {"ignored-modifier"},
    r"after the all mechanism|multiple all mechanisms": {
        "after-all",
        "torn-term",
        "bad-term",
        "ignored-modifier",
        "ignored-redirect",
    },
    r"redirect modifier was ignored": {"ignored-redirect"},
    r"ptr mechanism should not be used": {"ptr"},
    r"maximum DNS lookups": {"too-many-lookups"},
    r"maximum void DNS lookups": {"too-many-void-lookups"},
    r"[Ll]oop": {"loop"},
    r"more than 10 MX": {"too-many-mx-hosts"},
    r"lifetime expired|nameservers failed": {"dns-error"},
    r"exp value": {"explanation"},
    r"\d+ bytes": {"long-answer"},
}

# What we do not say, and why.
NOT_FOUND = {
    "010-capitals": "not an error by RFC 7208 section 12 and RFC 5234 section 2.3: literal text has no case",
    "025-null-mx-elsewhere": "not an error by RFC 7208 section 5.4: there is an MX record, it has no host that matches",
    "185-include-of-ptr": "not an error by RFC 7208 section 5.5: a ptr does not look for addresses of its target",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_finding_is_ours_too(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    module = checkdmarc()
    module.utils.DNS_CACHE.clear()
    caplog.set_level(logging.CRITICAL)
    with ZoneServer(case.zone) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nameservers = [Do53Nameserver(server.address, server.port)]
        # Only what the zone never answers is waited for.
        timeout = 0.2 if "timeout" in case.failures.values() else 10.0
        found = module.spf.check_spf(DOMAIN, nameservers=nameservers, timeout=timeout, retries=0)
    said = [*([found["error"]] if "error" in found else []), *found.get("warnings", ())]
    codes = {line.split()[1].rstrip(":") for line in case.findings}
    missing = [
        text for text in said if not any(re.search(words, text) and ours & codes for words, ours in SAME.items())
    ]
    assert bool(missing) == (case.name in NOT_FOUND), missing
