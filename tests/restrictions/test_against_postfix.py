"""The table of cases, through Postfix and through `Authenticator.session`, sync and async.

On the same client, names, HELO, sender, recipient and zone, a real Postfix and our sessions say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailauth.resolvers import ZoneResolver
from tests.dnsserver import ZoneServer
from tests.postfix import free_nameserver
from tests.restrictions.ourside import run_aio, run_sync
from tests.restrictions.postfixside import PostfixSide
from tests.restrictions.table import LISTS, Case, read_cases, read_zone

CASES = read_cases()
CONFORMANCE = Path(__file__).parents[2] / "docs" / "conformance.md"

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def zone() -> ZoneResolver:
    return read_zone()


@pytest.fixture(scope="module")
def postfix(zone: ZoneResolver) -> Iterator[PostfixSide]:
    nameserver = free_nameserver()
    with ZoneServer(zone, nameserver, port=53), PostfixSide(CASES, nameserver) as postfix:
        yield postfix


@each_case
def test_we_say_what_the_table_says(case: Case, zone: ZoneResolver) -> None:
    assert run_sync(case, zone)[-1].short == case.expect
    assert run_aio(case, zone) == run_sync(case, zone)


@pytest.mark.server
@each_case
def test_postfix_says_what_the_table_says(case: Case, postfix: PostfixSide) -> None:
    spoken = postfix.run(case)[-1]
    assert spoken.short == (case.postfix or case.expect), spoken


def test_the_table_is_what_it_says() -> None:
    """Names are unique, each difference has its reason in docs/conformance.md, and each list has cases."""
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)
    headings = set(re.findall(r"^- \*\*(.+?)\.?\*\*", CONFORMANCE.read_text(encoding="utf-8"), re.MULTILINE))
    for case in CASES:
        assert bool(case.postfix) == bool(case.differs), case.name
        assert case.postfix != case.expect, case.name
        assert not case.differs or case.differs in headings, f"{case.name}: {case.differs!r} is not in conformance.md"
    assert {phase for case in CASES for phase in case.restrictions} == set(LISTS)


def test_each_restriction_that_postfix_has_is_in_the_table() -> None:
    items = [item for case in CASES for words in case.restrictions.values() for item in words]
    words = {item.removeprefix("warn_if_reject ").split()[0] for item in items}
    assert words >= {
        "permit_mynetworks",
        "reject_unauth_destination",
        "reject_rbl_client",
        "permit_dnswl_client",
        "reject_rhsbl_sender",
        "reject_rhsbl_helo",
        "reject_rhsbl_client",
        "reject_rhsbl_reverse_client",
        "reject_unknown_client_hostname",
        "reject_unknown_reverse_client_hostname",
        "reject_invalid_helo_hostname",
        "reject_non_fqdn_helo_hostname",
        "reject_unknown_sender_domain",
        "reject_non_fqdn_sender",
        "reject_unauth_pipelining",
    }  # fmt: skip
