"""docs/explanation/plans.md: its picture is that of a run."""

from __future__ import annotations

from docs.tools.rounds import plans, run, svg

from tests.docs.test_blocks import ROOT


def test_the_picture_is_that_of_a_run() -> None:
    picture = (ROOT / "docs/img/plan-rounds.svg").read_text(encoding="utf-8")
    assert picture == svg(), "draw it anew: python -m docs.tools.rounds docs/img"


def test_what_the_text_says_of_it() -> None:
    rounds, ended = run()
    chains = {name: sum(asked.plan == name for each in rounds for asked in each) for name in plans()}
    assert sum(chains.values()) == 8
    assert len(rounds) == max(chains.values()) == 4
    assert ended == {"spf.check_host": "pass", "iprev.check": "pass", "rbl.query": "listed"}
