"""Programs that run for a long time: the policy service and the milter over one configuration file.

``mailauth policyd``, ``mailauth milter`` and ``mailauth serve`` run this. Reading order: listeners.py (sockets, also
systemd's), application.py (what a configuration sets up), running.py (one process: signals, an orderly end), workers.py
(several), notify.py, logs.py and metrics.py (what the world hears of it).
"""

from __future__ import annotations

from mailauth.service.application import Application, Kind
from mailauth.service.listeners import Listeners
from mailauth.service.running import once, serve
from mailauth.service.workers import supervise

__all__ = ["Application", "Kind", "Listeners", "once", "serve", "supervise"]
