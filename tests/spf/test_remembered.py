# Invariant: `Remembered` is the function that it was given, asked seldom, with bounded memory.
"""The memory of SPF."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.spf.remembered import Remembered


class Function:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str) -> str | None:
        self.asked.append(text)
        if text == "bad":
            raise ValueError(text)
        return text.upper() or None


def test_asked_once() -> None:
    function = Function()
    remembered = Remembered(function, 10, 5)
    assert [remembered[text] for text in ("a", "b", "a", "", "")] == ["A", "B", "A", None, None]
    assert function.asked == ["a", "b", ""]
    remembered.forget()
    assert remembered["a"] == "A"
    assert function.asked == ["a", "b", "", "a"]


def test_long_texts_and_errors_are_not_kept() -> None:
    function = Function()
    remembered = Remembered(function, 10, 3)
    for _ in range(2):
        assert remembered["abcd"] == "ABCD"
        with pytest.raises(ValueError, match="bad"):
            remembered["bad"]
    assert function.asked == ["abcd", "bad"] * 2
    assert len(remembered) == 0


def test_what_is_used_stays_while_others_come_and_go() -> None:
    function = Function()
    remembered = Remembered(function, 10, 5)
    for i in range(100):
        assert remembered["often"] == "OFTEN"
        assert remembered[str(i)] == str(i)
    assert function.asked.count("often") == 1


@given(st.lists(st.text(alphabet="abc", max_size=3), max_size=200), st.integers(2, 20))
def test_any_texts(texts: list[str], number: int) -> None:
    """Any texts: the function's values, and at most so many of them are held."""
    remembered = Remembered(Function(), number, 2)
    for text in texts:
        assert remembered[text] == (text.upper() or None)
        assert len(remembered) + len(remembered._older) <= number
        assert all(len(text) <= 2 for text in remembered)
