"""What holds for all tests: no property test fails by the clock, and one server of each kind serves a whole run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.dbservers import PostgresServer, RedisServer, Server, running_server

# There by installation as well; named here, they are those of this source.
pytest_plugins = ["mailauth.testing.plugin"]

# A machine that does other things, too, is slow at times; that is nothing to fail for.
settings.register_profile("no-clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# `make soak` (tests/soak.py): other input each time, and more of it; what failed is kept for the next run.
settings.register_profile("soak", settings.get_profile("no-clock"), max_examples=1000, print_blob=True)
# A change is judged by what it changes, not by luck: CI tries the same input again, `make soak` looks for other input.
settings.register_profile("same-input", settings.get_profile("no-clock"), derandomize=True, database=None)
settings.load_profile("same-input" if os.environ.get("CI") else "no-clock")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    with running_server(RedisServer) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    with running_server(PostgresServer) as server:
        yield server
