"""What holds for all tests: no example of a property test fails by the clock, since machines are busy at times."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no-clock", deadline=None)
settings.load_profile("no-clock")
