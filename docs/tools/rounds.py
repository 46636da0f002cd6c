"""``python -m docs.tools.rounds FOLDER``: three plans and their driver as a picture, drawn from a run.

The picture is of what the plans yield and what they are sent, round by round; a test compares it with a run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from mailauth import iprev, rbl, spf
from mailauth.plan import Answer, Exchange, Execution, Gather, Plan, Question
from mailauth.resolvers import ZoneResolver

IP = "192.0.2.1"
ZONE = ZoneResolver(
    {
        ("example.org", "TXT"): ["v=spf1 include:_spf.example.net -all"],
        ("_spf.example.net", "TXT"): ["v=spf1 mx -all"],
        ("_spf.example.net", "MX"): ["10 mail.example.net"],
        ("mail.example.net", "A"): ["192.0.2.1"],
        ("mx.example.org", "A"): ["192.0.2.1"],
        ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org"],
        ("1.2.0.192.bl.example", "A"): ["127.0.0.2"],
        ("1.2.0.192.bl.example", "TXT"): ["Spam since yesterday"],
    }
)


class Asked(NamedTuple):
    """A question that a plan had asked."""

    plan: str
    question: Question
    answer: Answer


def plans() -> dict[str, Callable[[], Plan[Any]]]:
    """The plans of the picture."""
    return {
        "spf.check_host": lambda: spf.check_host(IP, helo="mx.example.org", mail_from="ann@example.org"),
        "iprev.check": lambda: iprev.check(IP),
        "rbl.query": lambda: rbl.query(IP, ["bl.example"]),
    }


def run() -> tuple[list[list[Asked]], dict[str, str]]:
    """Run the plans side by side: what is asked in each round, and what each plan comes to."""
    whose: dict[Question, str] = {}
    ended: dict[str, str] = {}

    def noted(name: str, plan: Plan[Any]) -> Plan[Any]:
        sent: Any = None
        while True:
            try:
                request = plan.send(sent)
            except StopIteration as end:
                return end.value
            if isinstance(request, Question):
                whose[request] = name
            elif isinstance(request, Gather):
                parts = list(request.parts)
                whose.update((part, name) for part in parts if isinstance(part, Question))
                request = Gather(part if isinstance(part, Question) else noted(name, part) for part in parts)
            sent = yield request

    def whole(name: str, plan: Plan[Any]) -> Plan[None]:
        result = yield from noted(name, plan)
        ended[name] = str(result[0].result if isinstance(result, list) else result.result)

    def root() -> Plan[None]:
        yield Gather(whole(name, make()) for name, make in plans().items())

    rounds: list[list[Asked]] = []
    execution = Execution(root())
    questions = execution.start()
    while not execution.finished:
        asked = [(question, ZONE.lookup(question)) for question in questions if isinstance(question, Question)]
        rounds.append([Asked(whose[question], question, answer) for question, answer in asked])
        questions = [each for question, answer in asked for each in execution.answer(question, answer)]
    return rounds, ended


WIDTH, LINE, TOP = 900, 26, 30
DRIVER, RESOLVER = 520, 840
_FONT = 'font-family="Helvetica, Arial, sans-serif"'


def svg() -> str:
    """The picture."""
    rounds, ended = run()
    lanes = {name: 120 + 130 * number for number, name in enumerate(plans())}
    columns = {**lanes, "driver": DRIVER, "resolver": RESOLVER}
    bands: list[str] = []
    body: list[str] = []
    y = TOP + 34
    for number, asked in enumerate(rounds, start=1):
        bands.append(_band(y - 18, LINE * (2 * len(asked)) + 16, f"round {number}"))
        for each in asked:
            body += _arrow(lanes[each.plan], DRIVER, y, "")
            body += _arrow(DRIVER, RESOLVER, y, f"{each.question}")
            y += LINE
        for each in asked:
            body += _arrow(RESOLVER, DRIVER, y, _shown(each.answer))
            body += _arrow(DRIVER, lanes[each.plan], y, "")
            y += LINE
        y += 26
    for name, x in lanes.items():
        body.append(_box(x, y + 4, f"returns: {ended[name]}", 118))
    height = y + 40
    lines = [f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{y}" stroke="#9fb3c8"/>' for x in columns.values()]
    heads = [_box(x, TOP - 20, name, 118) for name, x in lanes.items()]
    heads += [_box(DRIVER, TOP - 20, "run, run_async", 118), _box(RESOLVER, TOP - 20, "resolver", 100)]
    marker = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    )
    marker += '<path d="M0 0L8 4L0 8z" fill="#335577"/></marker></defs>'
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    background = f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    start = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} {_FONT} font-size="13">', marker, background]
    return "\n".join([*start, *bands, *lines, *heads, *body, "</svg>", ""])


def _shown(answer: Answer) -> str:
    return " ".join(_record(each) for each in answer.records) if answer.found else str(answer.outcome)


def _record(record: Any) -> str:
    match record:
        case bytes():
            return record.decode()
        case Exchange():
            return f"{record.preference} {record.host}"
        case _:
            return str(record)


def _band(y: int, height: int, words: str) -> str:
    text = f'<text x="8" y="{y + 14}" fill="#66788a" font-size="11">{words}</text>'
    return f'<rect x="2" y="{y}" width="{WIDTH - 4}" height="{height}" fill="#f3f6fa" rx="6"/>{text}'


def _box(x: int, y: int, words: str, width: int) -> str:
    rect = f'<rect x="{x - width // 2}" y="{y}" width="{width}" height="26" rx="5" fill="#eef3f8" stroke="#557799"/>'
    return f'{rect}<text x="{x}" y="{y + 17}" text-anchor="middle">{escape(words)}</text>'


def _arrow(start: int, end: int, y: int, words: str) -> list[str]:
    dashed = ' stroke-dasharray="5 3"' if end < start else ""
    line = f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" stroke="#335577" marker-end="url(#tip)"{dashed}/>'
    text = f'<text x="{(start + end) // 2}" y="{y - 5}" text-anchor="middle" font-size="12">{escape(words)}</text>'
    return [line, text] if words else [line]


def main() -> None:
    """Write ``plan-rounds.svg`` into the folder."""
    (Path(sys.argv[1]) / "plan-rounds.svg").write_text(svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
