"""Runs the command: ``python -m mailauth.cli``."""

from __future__ import annotations

import sys

from mailauth.cli import main

sys.exit(main())
