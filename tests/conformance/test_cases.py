"""Every case that is shipped holds here, to the letter; and the cases are well-made."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from mailauth.testing.conformance import PROTOCOLS, Case, Status, cases, judged
from tests.conformance.make import documents
from tests.conformance.ours import reply


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_the_case(case: Case) -> None:
    outcome = judged(case, reply(case.protocol, case.request), strict=True)
    assert outcome.status is Status.PASS, f"{case.section}: {case.about}\n{outcome.detail}"


def test_the_cases_are_several_hundred_with_a_section_each() -> None:
    counts = Counter(case.protocol for case in cases())
    assert list(counts) == list(PROTOCOLS)
    assert counts["spf"] >= 500
    assert sum(counts.values()) >= 1250
    assert len({case.id for case in cases()}) == sum(counts.values())
    for case in cases():
        assert case.id.startswith(f"{case.protocol}/")
        assert re.fullmatch(r"RFC \d{4} (section|appendix) [A-Z0-9]+(\.\d+)*", case.section), case
        assert len(case.about) > 2


def test_several_right_results_have_a_reason() -> None:
    for case in cases():
        several = [name for name, value in case.expect.items() if isinstance(value, dict) and "any" in value]
        assert bool(several) == bool(case.choice), case.id
        for name in several:
            right = case.expect[name]["any"]
            assert len(right) > 1
            assert all(right.count(each) == 1 for each in right)


def test_a_protocol_without_cases() -> None:
    with pytest.raises(ValueError, match="there are spf, dkim"):
        cases("smtp")


def test_the_files_that_are_made_are_what_is_made() -> None:
    """``python -m tests.conformance.make`` writes them."""
    for path, text in documents().items():
        assert path.read_text() == text, path.name
