# What belongs here: how SPF remembers what it has worked out from a text: parsed records, clients, questions.
#
# SECURITY: what is remembered is chosen by whoever sends mail. It is bounded in number and in the size of each.
"""`Remembered`: a function of a text that keeps its last results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K", str, bytes)
V = TypeVar("V")


class Remembered(dict[K, V]):
    """``remembered[text]`` is ``function(text)``, worked out once.

    A subscript of a dict, since a call takes longer than much of what is to be saved. There are two generations:
    what is asked for moves to the younger one; when that is full, the older one is forgotten. Threads may share it:
    at worst they work out the same twice.
    """

    def __init__(self, function: Callable[[K], V], number: int, length: int) -> None:
        """Keep at most `number` results, for texts of at most `length` characters or octets."""
        super().__init__()
        self._function: Callable[[K], V] = function
        self._generation = number // 2
        self._length = length
        self._older: dict[K, V] = {}

    def __missing__(self, text: K) -> V:
        older = self._older
        value = older[text] if text in older else self._function(text)
        if len(text) <= self._length:
            if len(self) >= self._generation:
                self._older = dict(self)
                self.clear()
            self[text] = value
        return value

    def forget(self) -> None:
        """Everything."""
        self._older = {}
        self.clear()
