"""Tests of the services as programs: sockets, signals, logs, metrics, and beside a real Postfix."""
