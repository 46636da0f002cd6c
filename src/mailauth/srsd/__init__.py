"""The tables of SRS for Postfix's canonical maps, over sockets (socketmap_table(5), tcp_table(5)); asyncio."""

from __future__ import annotations

from mailauth.srsd.service import SrsService

__all__ = ["SrsService"]
