"""A message that is pushed in pieces.

What verifying and signing have in common: the header is taken off a message that comes in pieces, and its body is
hashed as it comes. It judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from mailauth.dkim.body import BodyHash
from mailauth.mail.header import MAX_HEADER_OCTETS, Header, Splitter


class MessageReader:
    """Takes a message in pieces; memory does not grow with it, and how it was cut does not matter.

    A subclass says in `_begin`, when the header is complete, what of the body is hashed (`_bodies`).
    """

    _bodies: Iterable[BodyHash] = ()
    _begun = False  # the header is complete, and `_begin` had no objection
    _ended = False
    _finished = False

    def __init__(self, max_header_octets: int = MAX_HEADER_OCTETS) -> None:
        self._splitter = Splitter(max_header_octets=max_header_octets)

    @property
    def header(self) -> Header | None:
        """The header of the message, as soon as it is complete."""
        return self._splitter.header

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next piece of the message. Raises `ValueError` for a message that was finished.

        To sign, a message that cannot be signed raises `SigningError` from the moment when its header is complete.
        """
        octets, start = data if isinstance(data, bytes) else bytes(memoryview(data)), 0
        if self._finished or self._ended:
            raise ValueError("the message was finished before")
        if not self._begun:
            if self._splitter.header is None:
                octets, start = self._splitter.take(octets)
            if self._splitter.header is not None:
                self._begin(self._splitter.header)  # raises the same for each piece
                self._begun = True
        for body in self._bodies:
            body.feed(octets, start)

    def _begin(self, header: Header) -> None:
        raise NotImplementedError

    def end_of_message(self) -> Header:
        """No more pieces come: the body is hashed to its end. It may be said again."""
        rest = self._splitter.close()
        header = self._splitter.header
        assert header is not None
        if not self._begun:
            self._begin(header)
            self._begun = True
        if not self._ended:
            self._ended = True
            for body in self._bodies:
                body.feed(rest)
                body.close()
        return header

    def _end(self) -> Header:
        """The message is at its end, and finished. Raises `ValueError` if it was before."""
        if self._finished:
            raise ValueError("the message was finished before")
        self._finished = True
        return self.end_of_message()
