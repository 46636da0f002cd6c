"""`facade`: each test runs under sync, asyncio and trio.

The fixtures that all tests of the facade share.
"""

from __future__ import annotations

import pytest

from tests.facade.world import FACADES, Facade


@pytest.fixture(params=FACADES, ids=lambda facade: facade.name)
def facade(request: pytest.FixtureRequest) -> Facade:
    found: Facade = request.param
    return found
