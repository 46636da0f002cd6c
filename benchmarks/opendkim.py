"""libopendkim through ctypes.

As much of libopendkim's C interface (dkim.h) as it takes to sign and to verify one message, for the benchmark and for
the tests.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterable
from functools import cache
from itertools import chain
from typing import Any

CANONICALIZATIONS = {"simple": 0, "relaxed": 1}
RSA_SHA256, ED25519_SHA256 = 1, 2
ALL_OF_THE_BODY = -1
OK = 0

_LOOKUP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


@cache
def _library() -> Any:
    library = ctypes.CDLL(ctypes.util.find_library("opendkim") or "libopendkim.so.11")
    pointer = ctypes.c_void_p
    library.dkim_init.restype = pointer
    library.dkim_init.argtypes = [pointer, pointer]
    library.dkim_set_key_lookup.argtypes = [pointer, _LOOKUP]
    library.dkim_verify.restype = pointer
    library.dkim_verify.argtypes = [pointer, ctypes.c_char_p, pointer, ctypes.POINTER(ctypes.c_int)]
    library.dkim_sign.restype = pointer
    library.dkim_sign.argtypes = [
        pointer, ctypes.c_char_p, pointer, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int,
        ctypes.c_int, ctypes.c_int, ctypes.c_ssize_t, ctypes.POINTER(ctypes.c_int),
    ]  # fmt: skip
    library.dkim_chunk.argtypes = [pointer, ctypes.c_char_p, ctypes.c_size_t]
    library.dkim_eom.argtypes = [pointer, ctypes.POINTER(ctypes.c_bool)]
    library.dkim_getsighdr_d.argtypes = [
        pointer, ctypes.c_size_t, ctypes.POINTER(pointer), ctypes.POINTER(ctypes.c_size_t),
    ]  # fmt: skip
    library.dkim_free.argtypes = [pointer]
    library.dkim_libversion.restype = ctypes.c_uint32
    return library


class OpenDkim:
    """Signs and verifies with keys in memory: one record answers for every name.

    Raises `OSError` where the library is not installed (Debian: libopendkim11).
    """

    def __init__(self, record: str = "") -> None:
        self._record = record.encode("ascii")
        self._dkim = _library()
        self._handle = self._dkim.dkim_init(None, None)
        # The callback must live as long as the handle.
        self._lookup = _LOOKUP(self._answer)
        self._dkim.dkim_set_key_lookup(self._handle, self._lookup)

    @property
    def version(self) -> str:
        """As "2.11.0"; the library's number has an octet for each part, and one for the beta."""
        number = self._dkim.dkim_libversion()
        return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}"

    def _answer(self, _dkim: int, _signature: int, buffer: int, size: int) -> int:
        text = self._record + b"\0"
        assert len(text) <= size
        ctypes.memmove(buffer, text, len(text))
        return OK

    def verify(self, message: bytes) -> int:
        """dkim_eom's status: 0 if the signature is good."""
        return self.verify_blocks([message])

    def verify_blocks(self, blocks: Iterable[bytes]) -> int:
        """The same for a message that comes in blocks."""
        status = ctypes.c_int()
        dkim = self._dkim.dkim_verify(self._handle, b"test", None, ctypes.byref(status))
        assert dkim
        try:
            return self._run(dkim, blocks)
        finally:
            self._dkim.dkim_free(dkim)

    def _run(self, dkim: int, blocks: Iterable[bytes]) -> int:
        for octets in chain(blocks, [None]):
            status = self._dkim.dkim_chunk(dkim, octets, len(octets or b""))
            if status != OK:
                return int(status)
        testing = ctypes.c_bool()
        return int(self._dkim.dkim_eom(dkim, ctypes.byref(testing)))

    def sign(self, message: bytes, pem: bytes, header: str, body: str, algorithm: int = RSA_SHA256) -> bytes:
        """The signature field, with its CRLF."""
        status = ctypes.c_int()
        dkim = self._dkim.dkim_sign(
            self._handle, b"test", None, pem, b"sel", b"example.org", CANONICALIZATIONS[header],
            CANONICALIZATIONS[body], algorithm, ALL_OF_THE_BODY, ctypes.byref(status),
        )  # fmt: skip
        assert dkim, status.value
        try:
            assert self._run(dkim, [message]) == OK
            text, length = ctypes.c_void_p(), ctypes.c_size_t()
            found = self._dkim.dkim_getsighdr_d(dkim, len("DKIM-Signature: "), ctypes.byref(text), ctypes.byref(length))
            assert found == OK
            return b"DKIM-Signature: " + ctypes.string_at(text.value or 0, length.value) + b"\r\n"
        finally:
            self._dkim.dkim_free(dkim)
