"""Postfix's policy service: SPF, block lists and greylisting before a message is accepted.

`PolicyService` answers the requests of Postfix's ``check_policy_service`` by the restrictions of an `Authenticator`;
`mailauth policyd --config FILE` runs it. Reading order: protocol.py (the octets, without I/O), settings.py, service.py.
"""

from __future__ import annotations

from mailauth.policyd.protocol import ProtocolError, Request, RequestParser, encode_action
from mailauth.policyd.service import PolicyService
from mailauth.policyd.settings import PolicySettings

__all__ = ["PolicyService", "PolicySettings", "ProtocolError", "Request", "RequestParser", "encode_action"]
