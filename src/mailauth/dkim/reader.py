"""A message that is pushed in pieces.

What verifying and signing have in common before they differ: the header is taken off a message that comes in pieces,
and its body is hashed as it comes. No judgement.
"""

from __future__ import annotations

from collections.abc import Iterable

from mailauth.dkim.body import BodyHash
from mailauth.mail.header import MAX_HEADER_OCTETS, Header, Splitter, usual_header


class MessageReader:
    """Takes a message in pieces; memory does not grow with it, and how it was cut does not matter.

    Whoever inherits says in `_begin`, when the header is complete, what of the body is hashed (`_bodies`).
    """

    _max_header_octets = MAX_HEADER_OCTETS
    _bodies: Iterable[BodyHash] = ()
    _header: Header | None = None
    _splitter: Splitter | None = None  # not needed where the header comes whole, in the usual form
    _begun = False  # the header is complete, and nothing is wrong with it
    _finished = False

    @property
    def header(self) -> Header | None:
        """The header of the message, as soon as it is complete."""
        return self._header

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next piece of the message. Raises `ValueError` for a message that was finished.

        To sign, a message that cannot be signed raises `SigningError` from the moment when its header is complete.
        """
        octets, start = data if isinstance(data, bytes) else bytes(data), 0
        if self._finished:
            raise ValueError("the message was finished before")
        if not self._begun:
            octets, start = self._take(octets)
        for body in self._bodies:
            body.feed(octets, start)

    def _take(self, octets: bytes) -> tuple[bytes, int]:
        """Octets in the header; where in which octets the body begins, if it does."""
        if self._header is not None:
            self._start(self._header)  # which says again what is wrong with it
        if self._splitter is None:
            header = usual_header(octets, self._max_header_octets)
            if header is not None:
                self._start(header)
                return octets, len(header.raw) + len(header.separator)
            self._splitter = self._new_splitter()
        octets, start = self._splitter.take(octets)
        if self._splitter.header is not None:
            self._start(self._splitter.header)
        return octets, start

    def _start(self, header: Header) -> None:
        self._header = header
        self._begin(header)
        self._begun = True

    def _new_splitter(self) -> Splitter:
        return Splitter(max_header_octets=self._max_header_octets)

    def _begin(self, header: Header) -> None:
        raise NotImplementedError

    def _end(self) -> Header:
        """The message is at its end. Raises `ValueError` if it was before."""
        if self._finished:
            raise ValueError("the message was finished before")
        self._finished = True
        if not self._begun:
            self._end_early()
        for body in self._bodies:
            body.close()
        assert self._header is not None
        return self._header

    def _end_early(self) -> None:
        """It ends before its header did, or something is wrong with that."""
        splitter = self._splitter or self._new_splitter()
        rest = splitter.close()
        header = self._header or splitter.header
        assert header is not None
        self._start(header)
        for body in self._bodies:
            body.feed(rest)
