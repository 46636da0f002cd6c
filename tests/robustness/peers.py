"""Other implementations, asked many questions: pyspf, dkimpy, and Mail::DKIM in one perl process."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mailauth.plan import IPAddress, Question
from tests.servers import missing, need

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import dkim as dkimpy
    import spf as pyspf


def by_pyspf(zone: Any, ip: IPAddress, sender: str, helo: str) -> tuple[str, str]:
    """Result and words of pyspf, whose DNS is the zone. What it raises is the result "raised"."""

    def lookup(name: str, rtype: str, *_: Any, **__: Any) -> list[Any]:
        answer = zone.lookup(Question(name.rstrip(".").lower(), rtype))  # type: ignore[arg-type]
        if answer.failed:
            raise pyspf.TempError(f"DNS {answer.outcome}")
        return [((name, rtype), _value(rtype, record)) for record in answer.records]

    before = pyspf.DNSLookup
    pyspf.DNSLookup = lookup
    try:
        result, words = pyspf.check2(str(ip), sender, helo)
    except Exception as error:  # noqa: BLE001 - whatever it raises is its result
        return "raised", f"{type(error).__name__}: {error}"
    finally:
        pyspf.DNSLookup = before
    return result, words


def _value(rtype: str, record: Any) -> Any:
    if rtype == "MX":
        return record.preference, record.host
    return (record,) if rtype in ("TXT", "SPF") else str(record)


def by_dkimpy(message: bytes, record: bytes) -> bool:
    """Whether dkimpy verifies the first signature; what it raises is a no."""
    try:
        return bool(dkimpy.verify(message, dnsfunc=lambda *_, **__: record))
    except Exception:  # noqa: BLE001 - whatever it raises is its result
        return False


class MailDkim:
    """Mail::DKIM in a process that lives on."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def verify(self, message: bytes, record: bytes) -> str:
        """Its result with details, such as ``pass`` or ``fail (body has been altered)``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for octets in (record, message):
            self._process.stdin.write(b"%d\n%s" % (len(octets), octets))
        self._process.stdin.flush()
        return self._process.stdout.readline().decode("latin-1").strip()


@contextmanager
def mail_dkim() -> Iterator[MailDkim]:
    """Start it; where it is not installed the test is skipped, in CI it fails."""
    perl = need("perl", "perl")
    if subprocess.run([perl, "-MMail::DKIM", "-e", "1"], capture_output=True).returncode:
        missing("Mail::DKIM is not installed (Debian: apt-get install libmail-dkim-perl)")
    program = Path(__file__).with_name("maildkim.pl")
    with subprocess.Popen(
        [perl, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        yield MailDkim(process)
        assert process.stdin is not None
        process.stdin.close()
