# What belongs here: many questions at once for a synchronous caller, in the caller's own thread: a socket for each, and
# one selector that waits for all of them. What each packet means is said in shortway; what the short way cannot do is
# handed over, and comes back from another thread.
#
# SECURITY: see shortway. All questions of a resolver share its cap, whichever threads ask them. Batches that find no
# room take turns, so that none of them starves beside one with many questions.
"""`DnspythonBatch`: the questions that one synchronous caller has open."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import dns.exception
import dns.resolver

from mailauth.plan.dns import TIMED_OUT, Answer, Question, not_asked
from mailauth.resolvers.shortway import Attempt, Verdict, attempt, open_socket, receive
from mailauth.resolvers.wire import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    HandOver = Callable[[Question, "Verdict | None", float], Future[Answer]]

_LONGEST_WAIT = 86_400.0


class _Open(NamedTuple):
    """A question on its short way."""

    question: Question
    way: Attempt
    sock: socket.socket
    short_until: float
    until: float


class Room:
    """One permit for each question that may be in flight. Batches that find none stand in line for the next.

    Every permit is noted with the batch that has it, in one step: an exception that a signal handler raises in the
    midst of anything loses none, as long as the batch is closed.
    """

    def __init__(self, permits: int) -> None:
        self._permits = permits
        self._lock = threading.Lock()
        self._taken: dict[DnspythonBatch, int] = {}
        self._line: deque[DnspythonBatch] = deque()  # each batch once
        self._granted: set[DnspythonBatch] = set()  # who has a permit, and does not know it yet

    @property
    def free(self) -> int:
        """How many permits nobody has."""
        return self._permits - sum(self._taken.values())

    def take(self, batch: DnspythonBatch) -> bool:
        """Take a permit; if none is free, stand in line: the batch is woken when one is kept for it."""
        with self._lock:
            if batch in self._granted:
                self._granted.remove(batch)
                return True
            if self.free > 0:
                self._taken[batch] = self._taken.get(batch, 0) + 1
                return True
            if batch not in self._line:
                self._line.append(batch)
            return False

    def give_back(self, batch: DnspythonBatch) -> None:
        """Give one permit back."""
        with self._lock:
            self._taken[batch] -= 1
            self._pass_on(batch)

    def leave_line(self, batch: DnspythonBatch) -> None:
        """Wait for no more, and give back what was granted."""
        with self._lock:
            if batch in self._line:
                self._line.remove(batch)
            if batch in self._granted:
                self._granted.remove(batch)
                self._taken[batch] -= 1
                self._pass_on(batch)

    def leave(self, batch: DnspythonBatch) -> None:
        """Give everything back, and wait for no more."""
        self.leave_line(batch)
        with self._lock:
            self._taken.pop(batch, None)
            self._pass_on(batch)

    def _pass_on(self, giver: DnspythonBatch) -> None:
        while self._line and self.free > 0:
            first = self._line.popleft()
            self._taken[first] = self._taken.get(first, 0) + 1
            self._granted.add(first)
            if first is not giver:
                first.wake()


class DnspythonBatch:
    """What `mailauth.plan.Batch` demands, through dnspython. For one thread; close it in the same.

    `configured` returns the resolver to use, `room` the number of questions that may be in flight. What the
    short way cannot do is done by `hand_over`: the question, why (None: it was not tried), the seconds that are left.
    """

    def __init__(self, configured: Callable[[], dns.resolver.Resolver], room: Room, hand_over: HandOver) -> None:
        self._configured = configured
        self._room = room
        self._hand_over_to = hand_over
        self._over = False
        self._waiting: deque[tuple[Question, float | None]] = deque()
        # In the order of their time-outs, which is that of their start: all have the same.
        self._open: dict[socket.socket, _Open] = {}
        self._elsewhere: dict[Question, Future[Answer]] = {}
        self._back: deque[Question] = deque()
        self._done: list[tuple[Question, Answer]] = []
        self._selector: selectors.BaseSelector | None = None
        self._bell: _Bell | None = None

    def ask(self, question: Question, time_limit: float | None) -> None:
        """Ask one question, at once if there is room."""
        answer = not_asked(question)
        if answer is not None:
            self._done.append((question, answer))
            return
        self._waiting.append((question, None if time_limit is None else time.monotonic() + time_limit))
        self._begin_waiting()

    def wait(self, time_limit: float | None) -> list[tuple[Question, Answer]]:
        """What was answered since the last call; it may be nothing."""
        self._over = time_limit == 0
        if not self._over:
            self._find_room()
        if self._selector is not None and (self._open or self._elsewhere or self._waiting):
            for key, _ in self._selector.select(self._seconds(time_limit)):
                if key.data is None:
                    self._take_back()
                else:
                    self._read(key.data)
            self._hand_over_what_is_late()
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Give up what is open."""
        # First, since an interruption here would take the room from all others for ever.
        self._room.leave(self)
        self._waiting.clear()
        for future in reversed(self._elsewhere.values()):
            future.cancel()
        for sock in self._open:
            sock.close()
        if self._bell is not None:
            self._bell.close()
        if self._selector is not None:
            self._selector.close()

    def wake(self) -> None:
        """There is room for a question that waits; called in the thread that left it."""
        if self._bell is not None:
            self._bell.ring()

    def _find_room(self) -> None:
        self._begin_waiting()
        if not self._waiting or self._bell is not None:
            return
        # What waits for another thread must be woken by it.
        try:
            self._hang_up_bell()
        except OSError as error:
            # No more files, most likely.
            self._room.leave_line(self)
            self._done.extend((question, failure_of(error, question)) for question, _ in self._waiting)
            self._waiting.clear()
        else:
            # There may have been room before there was a bell to ring.
            self._begin_waiting()

    def _begin_waiting(self) -> None:
        while self._waiting and self._room.take(self):
            self._begin(*self._waiting.popleft())

    def _seconds(self, time_limit: float | None) -> float:
        """How long to wait for the sockets."""
        if self._done:
            return 0
        seconds = _LONGEST_WAIT if time_limit is None else min(time_limit, _LONGEST_WAIT)
        first = next(iter(self._open.values()), None)
        return seconds if first is None else max(0.0, min(seconds, first.short_until - time.monotonic()))

    # --- one question ------------------------------------------------------------------------------------------------

    def _begin(self, question: Question, deadline: float | None) -> None:
        now = time.monotonic()
        if deadline is not None and deadline <= now:
            self._finish(question, TIMED_OUT)
            return
        try:
            resolver = self._configured()
            way = attempt(resolver, question) if type(resolver) is dns.resolver.Resolver else None
        except (dns.exception.DNSException, OSError) as error:
            self._finish(question, failure_of(error, question))
            return
        until = now + resolver.lifetime if deadline is None else min(deadline, now + resolver.lifetime)
        if way is None:
            self._hand_over(question, None, until)
            return
        try:
            sock = open_socket(way)
        except OSError:
            self._hand_over(question, Verdict.ASK_AGAIN, until)
            return
        opened = _Open(question, way, sock, now + min(resolver.lifetime, way.timeout), until)
        try:
            sock.setblocking(False)
            sock.send(way.wire)
            self._watch(sock, opened)
        except OSError:
            sock.close()
            self._hand_over(question, Verdict.ASK_AGAIN, until)
        else:
            self._open[sock] = opened

    def _watch(self, sock: socket.socket, data: _Open | None) -> None:
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ, data)

    def _read(self, opened: _Open) -> None:
        verdict = receive(opened.sock, opened.way)
        if verdict is Verdict.WAIT:
            return
        self._end_short_way(opened)
        if isinstance(verdict, Verdict):
            self._hand_over(opened.question, verdict, opened.until)
        else:
            self._finish(opened.question, verdict)

    def _end_short_way(self, opened: _Open) -> None:
        del self._open[opened.sock]
        if self._selector is not None:
            self._selector.unregister(opened.sock)
        opened.sock.close()

    def _finish(self, question: Question, answer: Answer) -> None:
        self._room.give_back(self)
        self._done.append((question, answer))

    # --- what is done elsewhere --------------------------------------------------------------------------------------

    def _hand_over_what_is_late(self) -> None:
        now = time.monotonic()
        for opened in list(self._open.values()):
            if opened.short_until > now:
                break
            self._end_short_way(opened)
            self._hand_over(opened.question, Verdict.ASK_AGAIN, opened.until)

    def _hand_over(self, question: Question, verdict: Verdict | None, until: float) -> None:
        if self._over:
            self._finish(question, TIMED_OUT)
            return
        try:
            bell = self._bell or self._hang_up_bell()
            future = self._hand_over_to(question, verdict, until - time.monotonic())
        except OSError as error:
            # No more files, most likely.
            self._finish(question, failure_of(error, question))
            return
        self._elsewhere[question] = future
        future.add_done_callback(partial(self._comes_back, question, bell))

    def _hang_up_bell(self) -> _Bell:
        bell = _Bell()
        try:
            self._watch(bell.listener, None)
        except OSError:
            bell.close()
            raise
        self._bell = bell
        return bell

    def _comes_back(self, question: Question, bell: _Bell, future: Future[Answer]) -> None:
        """Called in the other thread."""
        self._back.append(question)
        bell.ring()

    def _take_back(self) -> None:
        if self._bell is not None:
            self._bell.silence()
        while self._back:
            question = self._back.popleft()
            self._finish(question, self._elsewhere.pop(question).result())


class _Bell:
    """Wakes the selector from another thread."""

    def __init__(self) -> None:
        self.listener, self._rope = socket.socketpair()
        self.listener.setblocking(False)
        self._rope.setblocking(False)
        # A socket that is closed while another thread writes to it may by then be somebody else's.
        self._lock = threading.Lock()

    def ring(self) -> None:
        with self._lock:
            try:
                if self._rope.fileno() >= 0:
                    self._rope.send(b"\0")
            except BlockingIOError:
                return  # it rings already

    def silence(self) -> None:
        try:
            self.listener.recv(4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        with self._lock:
            self._rope.close()
            self.listener.close()
