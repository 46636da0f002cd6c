"""SPF for many clients at once, in an event loop of one's own, without threads.

python examples/own_event_loop.py NAMESERVER[:PORT] IP,SENDER ...

How a program with an event loop of its own, here one of selectors, runs mailauth's plans in it. Loop, timers and
sockets are the program's; mailauth only says what to ask, and takes the answers. The DNS client is as small as can
be: a program that has an event loop has a better one.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import dns.flags
import dns.message
import dns.rcode

from mailauth.plan import Answer, Call, Execution, Outcome, Plan, Question, not_asked
from mailauth.resolvers.wire import answer_of, query_name
from mailauth.spf import check_host

T = TypeVar("T")
Done = Callable[[Answer], None]
TIME_LIMIT = 20.0  # seconds for one evaluation (RFC 7208 section 4.6.4)


class Check(Generic[T]):
    """A plan on its way. This class is all that it takes to run plans in a loop of one's own."""

    def __init__(self, plan: Plan[T], ask: Callable[[Question, Done], None], done: Callable[[T], None]) -> None:
        self.execution = Execution(plan)
        self.ask, self.done = ask, done
        self.go_on(self.execution.start())

    def go_on(self, requests: list[Question | Call]) -> None:
        """Ask what is to be asked now; the answers may come in any order. The protocols' plans make no calls."""
        for question in requests:
            assert isinstance(question, Question)
            self.ask(question, lambda answer, question=question: self.take_in(question, answer))  # type: ignore[misc]
        if self.execution.finished:
            self.done(self.execution.result)

    def take_in(self, question: Question, answer: Answer) -> None:
        """An answer, unless it comes after the time is over."""
        if not self.execution.finished:
            self.go_on(self.execution.answer(question, answer))

    def time_is_over(self) -> None:
        """What is open, and whatever follows from it, has timed out."""
        if not self.execution.finished:
            self.execution.expire()
            self.done(self.execution.result)


class Dns:
    """Asks one name server over one UDP socket.

    What is lost is not sent again, and what does not fit into UDP is not asked again over TCP: both are DNS errors,
    which is a result, too.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(address)
        self.socket.setblocking(False)
        self.open: dict[int, tuple[Question, dns.message.Message, Done]] = {}

    def ask(self, question: Question, done: Done) -> None:
        """Send the question; `done` will get the answer."""
        impossible = not_asked(question)
        if impossible is not None:
            done(impossible)
            return
        query = dns.message.make_query(query_name(question.name), question.type, use_edns=0)
        while query.id in self.open:
            query.id = (query.id + 1) % 65_536
        self.open[query.id] = question, query, done
        self.socket.send(query.to_wire())

    def receive(self) -> None:
        """The socket has a packet."""
        try:
            response: Any = dns.message.from_wire(self.socket.recv(65_535), ignore_trailing=True)
        except Exception:  # noqa: BLE001 - dnspython raises many kinds for octets that are not a DNS packet
            return
        if response.id in self.open:
            question, query, done = self.open[response.id]
            if query.is_response(response):
                del self.open[response.id]
                done(_answer(response, question))


def _answer(response: Any, question: Question) -> Answer:
    if response.flags & dns.flags.TC:
        return Answer(Outcome.SERVER_FAILURE, detail="the answer does not fit into UDP")
    if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return answer_of(response, question)
    return Answer(Outcome.REFUSED if response.rcode() == dns.rcode.REFUSED else Outcome.SERVER_FAILURE)


def run_all(plans: list[Plan[T]], address: tuple[str, int], done: Callable[[int, T], None]) -> None:
    """The event loop: run all plans at the same time; `done` gets the number of each and its result."""
    client, selector, finished = Dns(address), selectors.DefaultSelector(), set[int]()

    def finish(number: int, result: T) -> None:
        finished.add(number)
        done(number, result)

    deadline = time.monotonic() + TIME_LIMIT
    with client.socket, selector:
        selector.register(client.socket, selectors.EVENT_READ, client.receive)
        checks = [
            Check(plan, client.ask, lambda result, number=number: finish(number, result))  # type: ignore[misc]
            for number, plan in enumerate(plans)
        ]
        while len(finished) < len(plans):
            for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                key.data()
            if time.monotonic() >= deadline:
                for check in checks:
                    check.time_is_over()


def main(arguments: list[str]) -> int:
    """Check each client; print results as they come."""
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    host, _, port = arguments[0].partition(":")
    clients = arguments[1:]
    plans = [check_host(ip, mail_from=sender, now=time.time()) for ip, _, sender in (c.partition(",") for c in clients)]
    run_all(plans, (host, int(port or 53)), lambda number, result: print(f"{clients[number]}: {result}", flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
