"""Helpers of the SPF tests.

How the SPF tests run a check: a zone from a master file, the plan, the drivers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from mailauth.plan import run, run_async
from mailauth.resolvers import ZoneResolver
from mailauth.spf import SpfResult, check_helo, check_host


def world(records: str, failures: Mapping[tuple[str, str], Any] | None = None) -> ZoneResolver:
    return ZoneResolver.from_text("$TTL 300\n" + records, failures=failures)


def check(zone: Any, ip: str = "192.0.2.1", mail_from: str = "ann@example.org", **options: Any) -> SpfResult:
    options.setdefault("helo", "mx.example.org")
    return run(check_host(ip, mail_from=mail_from, **options), zone)


def helo(zone: Any, name: str | None, ip: str = "192.0.2.1", **options: Any) -> SpfResult:
    return run(check_helo(ip, name, **options), zone)


def record(text: str, ip: str = "192.0.2.1", more: str = "", **options: Any) -> SpfResult:
    """What a record at example.org says."""
    strings = " ".join(f'"{text[i : i + 200]}"' for i in range(0, len(text), 200))
    return check(world(f"example.org. TXT {strings}\n{more}"), ip, **options)


def check_async(zone: Any, ip: str = "192.0.2.1", mail_from: str = "ann@example.org", **options: Any) -> SpfResult:
    options.setdefault("helo", "mx.example.org")
    return asyncio.run(run_async(check_host(ip, mail_from=mail_from, **options), zone))
