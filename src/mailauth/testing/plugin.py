"""Fixtures for pytest, there as soon as mailauth is installed: ``mailauth_zone``, ``mailauth_dns``, ``mailauth_clock``.

Nothing of mailauth is imported before a test asks for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mailauth.testing.clock import Clock
    from mailauth.testing.dnsserver import ZoneServer
    from mailauth.testing.zone import Zone


@pytest.fixture
def mailauth_zone() -> Zone:
    """An empty DNS for this test: `mailauth.testing.Zone`."""
    from mailauth.testing.zone import Zone

    return Zone()


@pytest.fixture
def mailauth_dns(mailauth_zone: Zone) -> Iterator[ZoneServer]:
    """A DNS server on loopback, UDP and TCP (`address`, `port`), that answers from `mailauth_zone` as it is by then."""
    from mailauth.testing.dnsserver import ZoneServer

    with ZoneServer(mailauth_zone) as server:
        yield server


@pytest.fixture
def mailauth_clock() -> Clock:
    """A clock that stands still until it is turned: `mailauth.testing.Clock`."""
    from mailauth.testing.clock import Clock

    return Clock()
