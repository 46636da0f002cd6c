# What belongs here: nothing but the call, for `python -m mailauth.cli`.
from __future__ import annotations

import sys

from mailauth.cli import main

sys.exit(main())
