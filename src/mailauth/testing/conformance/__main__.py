"""``python -m mailauth.testing.conformance``."""

from __future__ import annotations

import sys

from mailauth.testing.conformance.command import main

sys.exit(main())
