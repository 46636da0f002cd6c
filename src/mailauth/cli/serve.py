"""``mailauth serve``: the policy service and the milter in one process."""

from __future__ import annotations

import argparse

from mailauth.cli.services import configure_service


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    configure_service(parser, "policyd", "milter")
