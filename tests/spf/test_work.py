"""Work is linear in what hostile records, senders and header fields hold.

What a peer sends costs time in proportion to its length. Shown by the ratio of two sizes, with a wide margin: eight
times the size may take up to forty times as long, quadratic work would take sixty-four times.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

import pytest

from mailauth.plan import Plan, run
from mailauth.resolvers import ZoneResolver
from mailauth.spf import Record, RecordError, Result, flatten, lint, lint_text, parse_received_spf
from mailauth.spf.check import check_host
from mailauth.spf.macros import expand_name, expand_text, parse_macro_string
from tests.spf.world import record

SIZE = 8_000  # eight times this is a whole TXT record


def parse(text: str) -> None:
    with contextlib.suppress(RecordError):
        Record.parse(text)


@pytest.mark.parametrize(
    "shape",
    [
        lambda n: "v=spf1 " + "ip4:1.2.3.4 " * (n // 12),
        lambda n: "v=spf1 " + "a " * (n // 2),
        lambda n: "v=spf1 " + " " * n,
        lambda n: "v=spf1 a:" + "x" * n,
        lambda n: "v=spf1 a:" + "x." * (n // 2) + "1",
        lambda n: "v=spf1 a:" + "1" * n,
        lambda n: "v=spf1 a:" + "-" * n,
        lambda n: "v=spf1 a" + "/" * n,
        lambda n: "v=spf1 a" + "/24" * (n // 3) + "x",
        lambda n: "v=spf1 a:%{" + "9" * n,
        lambda n: "v=spf1 a:%{d" + "9" * n + "}",
        lambda n: "v=spf1 a:" + "%{d}" * (n // 4) + "%",
        lambda n: "v=spf1 a:" + "%%" * (n // 2) + "\x00",
        lambda n: "v=spf1 ip6:" + ":" * n,
        lambda n: "v=spf1 ip4:" + "1." * (n // 2),
        lambda n: "v=spf1 " + "x" * n,
        lambda n: "v=spf1 " + "x=" * (n // 2),
        lambda n: "v=spf1 " + "redirect=a.b " * (n // 13),
        lambda n: "v=spf1 " + "exp=a.b redirect=a.b " * (n // 21),
        lambda n: "v=spf1 " + "- all " * (n // 6),
        lambda n: "v=spf1 " + "include: a.b " * (n // 13),
        lambda n: "v=spf1 " + "ip4=1.2.3.4 " * (n // 12),
        lambda n: "v=spf1 " + "ip4:1.2.3.4,ip4:1.2.3 " * (n // 22),
        lambda n: "v=spf1 " + "ip4:" + "1.2.3.4," * (n // 8),
        lambda n: "v=spf1 " + "include:a.b" * (n // 11),
        lambda n: "v=spf1 include:" + "*." * (n // 2) + "org",
    ],
)
@pytest.mark.parametrize("work", [parse, lint_text])
def test_records(shape: Callable[[int], str], work: Callable[[str], object]) -> None:
    assert ratio(work, shape(SIZE), shape(8 * SIZE)) < 40


@pytest.mark.parametrize(
    "shape",
    [
        lambda n: "pass " + "(" * n,
        lambda n: "pass " + "()" * (n // 2),
        lambda n: "pass (" + "\\" * n,
        lambda n: 'pass a="' + "x" * n,
        lambda n: 'pass a="' + '\\"' * (n // 2),
        lambda n: "pass " + "a=b;" * (n // 4),
        lambda n: "pass " + "\r\n " * (n // 3),
        lambda n: "pass a" + "=" * n,
    ],
)
def test_received_spf(shape: Callable[[int], str]) -> None:
    assert ratio(parse_received_spf, shape(1_900), shape(8 * 1_900)) < 40


def networks(first: int, count: int) -> str:
    return " ".join(f"ip4:10.{n >> 8}.{n & 255}.1" for n in range(first, first + count))


def one_record(size: int) -> dict[str, str]:
    return {"example.org": f"v=spf1 {networks(0, 50 * size)} -all"}


def behind_everybody(size: int) -> dict[str, str]:
    return {"example.org": f"v=spf1 ip4:0.0.0.0/0 ip6:::/0 {networks(0, 50 * size)}"}


def many_records(size: int) -> dict[str, str]:
    names = [f"r{n}.example.org" for n in range(size)]
    top = " ".join(f"include:{name}" for name in names)
    return {"example.org": f"v=spf1 {top} -all"} | {
        name: f"v=spf1 {networks(100 * n, 50)} -all" for n, name in enumerate(names)
    }


@pytest.mark.parametrize("shape", [one_record, behind_everybody, many_records])
@pytest.mark.parametrize("work", [lint, flatten])
def test_trees(shape: Callable[[int], dict[str, str]], work: Callable[[str], Plan[object]]) -> None:
    """Eight times as many networks, in one record or in many. Calls are counted: no clock has a say."""

    def calls(size: int) -> int:
        zone = ZoneResolver({(name, "TXT"): [text] for name, text in shape(size).items()})
        count = 0

        def counted(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += 1

        run(work("example.org"), zone)  # what is loaded when it is first needed
        sys.setprofile(counted)
        try:
            run(work("example.org"), zone)
        finally:
            sys.setprofile(None)
        return count

    assert calls(40) < 12 * calls(5)


def test_expansion_does_not_grow_with_the_record() -> None:
    """Ten thousand macros, each of a thousand characters: the parts that can matter are put together, and no more."""
    values = {"l": "y" * 1000}
    expansions = 0

    class Counted(dict[str, str]):
        def __getitem__(self, letter: str) -> str:
            nonlocal expansions
            expansions += 1
            return values[letter]

    parts = parse_macro_string("%{l}." * 10_000)
    assert len(expand_name(parts, Counted())) < 3000
    assert len(expand_text(parts, Counted(), 400)) == 400
    assert expansions <= 4


def test_words_do_not_grow_with_the_record() -> None:
    for text in ("include:" + "x." * 9000 + "org", "a:" + "x" * 9000, "y" * 9000, "exists:" + "%{d}" * 9000):
        assert len(record(f"v=spf1 {text}").detail) < 600


def test_a_long_sender_is_no_domain() -> None:
    assert record("v=spf1 -all", mail_from="x" * 2_000_000 + "@example.org").result is Result.NONE
    check_host("192.0.2.1", helo="x" * 2_000_000, mail_from="").close()


def ratio(work: Callable[[str], object], small: str, large: str) -> float:
    return best(work, large) / best(work, small)


def best(work: Callable[[str], object], text: str) -> float:
    times = []
    for _ in range(5):
        # The processor's time of this thread: others may use the machine meanwhile.
        start = time.thread_time()
        work(text)
        times.append(time.thread_time() - start)
    return max(min(times), 20e-6)
