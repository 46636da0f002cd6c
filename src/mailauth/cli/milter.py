"""``mailauth milter``: the filter that verifies and signs, for Postfix's ``smtpd_milters``."""

from __future__ import annotations

import argparse

from mailauth.cli.services import configure_service


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    configure_service(parser, "milter")
