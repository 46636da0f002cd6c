"""``mailauth policyd``: the policy service for Postfix's ``check_policy_service``."""

from __future__ import annotations

import argparse

from mailauth.cli.services import configure_service


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    configure_service(parser, "policyd")
    parser.add_argument(
        "--once", action="store_true", help="serve one connection on standard input and output, for spawn(8)"
    )
