"""`RedisStore` and `AsyncRedisStore`: records in Redis or Valkey, shared by several hosts.

Each record is a string; one sorted set has all keys by the second from which they may be removed. The scripts only
compare, set and remove.
"""

# Redis could let keys run out by itself, but then by its own clock, and nobody would learn what was removed.
#
# SECURITY: keys hold what a peer sent; they reach the server as arguments with their length, never within a script.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from mailauth import MailAuthError
from mailauth.greylist import AsyncStore, Entry, Page, Record, Store, StoreError, StoreErrorReason
from mailauth.stores.urls import DEFAULT_TIME_LIMIT, redact, why

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

DEFAULT_PREFIX = "greylist:"

# KEYS: the record, the set. ARGV: expected text or "", new text or "", the member of the set, its score.
_COMPARE_AND_SET = """
local current = redis.call('GET', KEYS[1])
if (current or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[3])
else
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
  redis.call('SET', KEYS[1], ARGV[2])
end
return 1
"""
# KEYS: the set. ARGV: the prefix of records, the time, the limit. Returns keys and texts in turns.
_EXPIRE = """
local removed = {}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(due) do
  local text = redis.call('GET', ARGV[1] .. member)
  redis.call('DEL', ARGV[1] .. member)
  redis.call('ZREM', KEYS[1], member)
  if text then
    removed[#removed + 1] = member
    removed[#removed + 1] = text
  end
end
return removed
"""


def _driver() -> Any:
    try:
        import redis
    except ImportError:
        raise MailAuthError("the Redis store needs the package redis: pip install 'mailauth[redis]'") from None
    return redis


class _Wording:
    """What the sync and the async store have in common: names, arguments, answers and errors."""

    def __init__(self, url: str, prefix: str | None, time_limit: float) -> None:
        try:
            # Made, not connected: an option that the driver does not know would otherwise fail in a check.
            _driver().ConnectionPool.from_url(url).make_connection()
        except TypeError as error:
            option = str(error).rpartition("argument ")[2].strip("'")
            raise ValueError(f"{redact(url)}: there is no option {option}") from None
        except ValueError as error:
            raise ValueError(f"{redact(url)}: {why(url, error)}") from None
        self._url = url
        self._shown = redact(url)
        self._record_prefix = (DEFAULT_PREFIX if prefix is None else prefix) + "r:"
        self._set = (DEFAULT_PREFIX if prefix is None else prefix) + "expires"
        self._time_limit = time_limit

    def _options(self, retry: Any) -> dict[str, Any]:
        redis = _driver()
        # One more try at once, as a pooled connection may be older than the server's last start; none after a
        # timeout, which would double the time limit.
        once_more = retry.Retry(redis.backoff.NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,))
        return {
            "socket_timeout": self._time_limit,
            "socket_connect_timeout": self._time_limit,
            "retry": once_more,
            "decode_responses": True,
            "encoding_errors": "replace",  # anything that is not text is no record either
        }

    def _names(self, keys: Sequence[str]) -> list[str]:
        return [self._record_prefix + key for key in keys]

    def _swap(self, key: str, expected: Record | None, record: Record | None) -> tuple[list[str], list[Any]]:
        texts = ["" if value is None else value.to_text() for value in (expected, record)]
        return [self._record_prefix + key, self._set], [*texts, key, 0 if record is None else record.expires]

    def _pattern(self, prefix: str) -> str:
        special = str.maketrans({char: "\\" + char for char in "*?[]\\^"})
        return (self._record_prefix + prefix).translate(special) + "*"

    def _page(self, cursor: int, names: Sequence[str], texts: Sequence[str | None]) -> Page:
        keys = [name.removeprefix(self._record_prefix) for name in names]
        entries = [(key, self._record(text)) for key, text in zip(keys, texts, strict=True) if text is not None]
        return Page(entries, str(cursor) if cursor else "")

    def _records(self, texts: Sequence[str | None]) -> list[Record | None]:
        return [None if text is None else self._record(text) for text in texts]

    def _record(self, text: str) -> Record:
        try:
            return Record.from_text(text)
        except ValueError as error:
            raise StoreError(f"{self._shown}: not a record: {error}", StoreErrorReason.CORRUPT) from None

    def _entries(self, flat: Sequence[str]) -> list[Entry]:
        return [(key, self._record(text)) for key, text in zip(flat[::2], flat[1::2], strict=True)]

    def _store_error(self, error: Exception) -> StoreError:
        redis = _driver()
        words = f"{self._shown}: {error}"
        if isinstance(error, redis.exceptions.TimeoutError | TimeoutError):
            return StoreError(f"{self._shown}: no answer within {self._time_limit:g} s", StoreErrorReason.TIMED_OUT)
        if isinstance(error, redis.exceptions.ReadOnlyError):
            return StoreError(words, StoreErrorReason.READ_ONLY)
        if isinstance(error, redis.exceptions.OutOfMemoryError) or str(error).startswith("OOM "):
            return StoreError(words, StoreErrorReason.FULL)
        if isinstance(error, redis.exceptions.ConnectionError | OSError):
            return StoreError(words, StoreErrorReason.UNREACHABLE)
        return StoreError(words)


class RedisStore(_Wording, Store):
    """Records in Redis 5 or newer, or Valkey. Not for a cluster: a record and the set of keys are in two slots.

    What is acknowledged survives this process. Whether it survives the server's is the server's setting: switch on
    its append-only file.
    """

    def __init__(self, url: str, *, prefix: str | None = None, time_limit: float = DEFAULT_TIME_LIMIT) -> None:
        super().__init__(url, prefix, time_limit)
        redis = _driver()
        self._client = redis.Redis.from_url(url, **self._options(redis.retry))
        self._compare_and_set = self._client.register_script(_COMPARE_AND_SET)
        self._expire = self._client.register_script(_EXPIRE)

    def _guarded(self, function: Callable[[], T]) -> T:
        try:
            return function()
        except (_driver().exceptions.RedisError, OSError) as error:
            raise self._store_error(error) from error

    def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return self._records(self._guarded(lambda: self._client.mget(self._names(keys))))

    def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        names, values = self._swap(key, expected, record)
        return bool(self._guarded(lambda: self._compare_and_set(keys=names, args=values)))

    def expire(self, now: float, limit: int) -> Sequence[Entry]:
        values = [self._record_prefix, repr(now), limit]
        return self._entries(self._guarded(lambda: self._expire(keys=[self._set], args=values)))

    def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        """See `mailauth.greylist.Store`; in no order, and a record may come twice while others write."""
        place, names = self._guarded(
            lambda: self._client.scan(int(cursor or 0), match=self._pattern(prefix), count=limit)
        )
        texts = self._guarded(lambda: self._client.mget(names)) if names else []
        return self._page(place, names, texts)

    def close(self) -> None:
        self._client.close()


class AsyncRedisStore(_Wording, AsyncStore):
    """`RedisStore` for asyncio. Connections belong to an event loop; another loop gets its own."""

    def __init__(self, url: str, *, prefix: str | None = None, time_limit: float = DEFAULT_TIME_LIMIT) -> None:
        super().__init__(url, prefix, time_limit)
        _driver()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None

    def _connected(self) -> Any:
        """The client of the running loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            import redis.asyncio

            self._client = redis.asyncio.Redis.from_url(self._url, **self._options(redis.asyncio.retry))
            self._compare_and_set = self._client.register_script(_COMPARE_AND_SET)
            self._expire = self._client.register_script(_EXPIRE)
            self._loop = loop
        return self._client

    async def _guarded(self, function: Callable[[Any], Any]) -> Any:
        try:
            return await function(self._connected())
        except (_driver().exceptions.RedisError, OSError) as error:
            raise self._store_error(error) from error

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return self._records(await self._guarded(lambda client: client.mget(self._names(keys))))

    async def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        names, values = self._swap(key, expected, record)
        return bool(await self._guarded(lambda _: self._compare_and_set(keys=names, args=values)))

    async def expire(self, now: float, limit: int) -> Sequence[Entry]:
        values = [self._record_prefix, repr(now), limit]
        return self._entries(await self._guarded(lambda _: self._expire(keys=[self._set], args=values)))

    async def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        """See `mailauth.greylist.Store`; in no order, and a record may come twice while others write."""
        pattern = self._pattern(prefix)
        place, names = await self._guarded(lambda client: client.scan(int(cursor or 0), match=pattern, count=limit))
        texts = await self._guarded(lambda client: client.mget(names)) if names else []
        return self._page(place, names, texts)

    async def close(self) -> None:
        client, self._client, self._loop = self._client, None, None
        if client is not None:
            await client.aclose()
