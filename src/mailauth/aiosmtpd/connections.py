"""`Connections`: how many there are, and whether one more is welcome.

Counting connections, in all and of each client. No sockets.
"""

from __future__ import annotations

from collections import Counter

from mailauth.plan import IPAddress


class Connections:
    """Counts the connections of all servers that share it. For one event loop."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._by_client: Counter[IPAddress | None] = Counter()
        self.total = 0

    def enter(self, client: IPAddress | None, *, exempt: bool = False) -> bool:
        """Count one more; False where that is one too many. `exempt` clients have no bound of their own."""
        self.total += 1
        self._by_client[client] += 1
        return self.total <= self._most and (exempt or self._by_client[client] <= self._most_per_client)

    def leave(self, client: IPAddress | None) -> None:
        """A connection that was counted is over."""
        self.total -= 1
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]
