"""The service's answers: phases, one session for each mail, fields, exemptions, and failures of our own."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth import aio
from mailauth import restrictions as r
from mailauth.plan import Answer, Question
from mailauth.policyd import PolicyService, PolicySettings, Request
from mailauth.restrictions import Restrictions
from mailauth.stores.memory import AsyncMemoryStore, MemoryStore
from mailauth.transaction.decision import Decision
from tests.facade.world import GOOD, HOSTNAME, LISTED, STRANGER, zone

BOB, EVE = "bob@mailbox.test", "eve@mailbox.test"


class Counting:
    """A resolver that counts each question."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    async def lookup_async(self, question: Question) -> Answer:
        self.asked[str(question)] += 1
        await asyncio.sleep(0)
        return zone().lookup_now(question)


def service(settings: PolicySettings | None = None, **options: Any) -> PolicyService:
    options.setdefault("resolver", zone())
    options.setdefault("rbl", ["bl.example"])
    networks = options.pop("networks", ())
    return PolicyService(aio.Authenticator(HOSTNAME, **options), settings, networks)


def request(protocol_state: str = "RCPT", client_address: str = GOOD, **attributes: str) -> Request:
    values = {
        "request": "smtpd_access_policy",
        "protocol_state": protocol_state,
        "client_address": client_address,
        "helo_name": "mx.example.org",
        "sender": "ann@example.org",
        "recipient": BOB,
        "instance": "1.2.3",
    }
    return Request({**values, **attributes})


def actions(policy: PolicyService, *requests: Request) -> list[str]:
    async def main() -> list[str]:
        replies = [await policy.answer(each) for each in requests]
        return ["closed" if reply is None else reply.decode()[len("action=") : -2] for reply in replies]

    return asyncio.run(main())


def greylist(clock: Any) -> Any:
    return aio.Greylist(AsyncMemoryStore(MemoryStore()), clock=clock)


def test_accepted_rejected_and_deferred() -> None:
    assert actions(service(PolicySettings(fields=())), request()) == ["DUNNO"]
    (listed,) = actions(service(), request(client_address=LISTED))
    assert listed.startswith("554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using bl.example")
    (failed,) = actions(service(), request(client_address=STRANGER))
    assert failed.startswith("550 5.7.23 ")
    (slow,) = actions(service(), request(sender="ann@slow.example"))
    assert slow.startswith("DEFER_IF_PERMIT 4.4.3 ")


def test_greylisting_defers_if_nothing_rejects_and_lets_the_retry_in() -> None:
    now = [1_800_000_000.0]
    policy = service(PolicySettings(fields=("x-greylist",)), greylist=greylist(lambda: now[0]), clock=lambda: now[0])
    (first,) = actions(policy, request())
    assert first.startswith("DEFER_IF_PERMIT 4.7.1 Greylisted; please try again in ")
    now[0] += 600
    (second,) = actions(policy, request(instance="4.5.6"))
    assert second.startswith(f"PREPEND X-Greylist: delayed 600 seconds by greylisting at {HOSTNAME}")


WHITELISTS = {"clients": "example.org\n192.0.2.10\n", "recipients": "eve@\n"}


def whitelisted(folder: Path, **options: Any) -> PolicyService:
    for name, text in WHITELISTS.items():
        (folder / name).write_text(text)
    files = {f"whitelist_{name}": (folder / name, folder / f"{name}.local") for name in WHITELISTS}
    settings = PolicySettings(fields=(), **files)
    return service(settings, greylist=greylist(lambda: 1_800_000_000.0), **options)


@pytest.mark.parametrize(
    ("attributes", "deferred"),
    [
        ({"client_name": "mx.example.org"}, False),
        ({"client_name": "unknown"}, True),
        ({}, True),
        ({"recipient": "eve+x@mailbox.test"}, False),
        ({"recipient": "<eve@mailbox.test>"}, False),
        ({"recipient": BOB}, True),
    ],
)
def test_whom_the_white_lists_of_postgrey_name_is_not_greylisted(
    tmp_path: Path, attributes: dict[str, str], deferred: bool
) -> None:
    (action,) = actions(whitelisted(tmp_path), request(**attributes))
    assert action.startswith("DEFER_IF_PERMIT 4.7.1 Greylisted" if deferred else "DUNNO")


def test_white_lists_exempt_from_greylisting_only(tmp_path: Path) -> None:
    exempt, others = whitelisted(tmp_path), {"client_name": "mx.example.org"}
    assert actions(exempt, request(client_address=LISTED, **others))[0].startswith("554 5.7.1 Service unavailable")
    assert actions(exempt, request(client_address=STRANGER, instance="2", **others))[0].startswith("550 5.7.23 ")


def test_another_recipient_of_the_same_mail_is_greylisted(tmp_path: Path) -> None:
    replies = actions(whitelisted(tmp_path), request(recipient=EVE), request(recipient=BOB), request(recipient=EVE))
    assert [reply.split()[0] for reply in replies] == ["DUNNO", "DEFER_IF_PERMIT", "DUNNO"]


def test_new_settings_have_their_white_lists_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    policy = whitelisted(tmp_path)
    settings = policy.settings
    (tmp_path / "recipients").write_text("two words\n")
    (tmp_path / "recipients.local").write_text("bob@\n")
    policy.settings = replace(settings)
    assert f"white list: {tmp_path}/recipients:1: 'two words': an entry has no blanks" in caplog.text
    replies = actions(policy, request(recipient=EVE), request(recipient=BOB))
    assert [reply.split()[0] for reply in replies] == ["DEFER_IF_PERMIT", "DUNNO"]
    with pytest.raises(FileNotFoundError):
        policy.settings = replace(settings, whitelist_clients=(tmp_path / "nothing",))
    assert actions(policy, request(recipient="bob@example.com", instance="7")) == ["DUNNO"]


def test_fields_one_with_each_reply_once_a_message() -> None:
    policy = service(PolicySettings(fields=("received-spf", "authentication-results")))
    first, second, third, data = actions(
        policy, request(), request(recipient=EVE), request(recipient="x@mailbox.test"), request("DATA", recipient="")
    )
    assert first.startswith("PREPEND Received-SPF: pass (")
    assert second.startswith(f"PREPEND Authentication-Results: {HOSTNAME}; ")
    assert (third, data) == ("DUNNO", "DUNNO")
    assert "\n" not in first


def test_what_mail_found_is_not_asked_again_at_each_recipient() -> None:
    resolver = Counting()
    policy = service(resolver=resolver)
    actions(policy, *[request(recipient=f"r{number}@mailbox.test") for number in range(20)])
    assert set(resolver.asked.values()) == {1}
    assert sum(resolver.asked.values()) >= 3
    # Another mail is another session.
    actions(policy, request(instance="other"))
    assert max(resolver.asked.values()) == 2


def test_phases_in_other_lists() -> None:
    policy = service(PolicySettings(fields=()), delay_reject=False)
    assert actions(policy, request("CONNECT", LISTED, helo_name="", sender="", recipient=""))[0].startswith("554 5.7.1")
    phases = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE", "VRFY", "ETRN", "LATER", ""]
    assert actions(policy, *[request(phase, instance="9") for phase in phases]) == ["DUNNO"] * len(phases)
    # Several recipients: the last phases name none.
    assert actions(policy, request("END-OF-MESSAGE", recipient="", instance="9")) == ["DUNNO"]


@pytest.mark.parametrize(
    "attributes",
    [{"sasl_username": "ann"}, {"client_address": "10.1.2.3"}, {"client_address": "unknown"}, {"client_address": ""}],
)
def test_our_own_clients_and_unknown_addresses_are_not_judged(attributes: dict[str, str]) -> None:
    policy = service(networks=[ip_network("10.0.0.0/8")], restrictions=Restrictions(recipient=[refuse_all]))
    assert actions(policy, request(**attributes)) == ["DUNNO"]
    assert actions(policy, request(client_address=LISTED))[0].startswith("550")


def refuse_all(tx: Any) -> Decision:
    from mailauth.mail.reply import Reply
    from mailauth.transaction.decision import refuse

    return refuse("refuse_all", "no", Reply(550, "5.7.1", "no"))


def test_ok_is_said_only_where_it_is_asked_for() -> None:
    restrictions = Restrictions(recipient=[r.permit_mynetworks("192.0.2.0/24")])
    assert actions(service(PolicySettings(fields=()), restrictions=restrictions), request()) == ["DUNNO"]
    assert actions(service(PolicySettings(fields=(), ok=True), restrictions=restrictions), request()) == ["OK"]


@pytest.mark.parametrize(
    ("on_error", "action"),
    [
        ("dunno", "DUNNO"),
        ("defer", "DEFER_IF_PERMIT 4.3.0 Temporary local problem; please try again later"),
        ("disconnect", "closed"),
    ],
)
def test_a_failure_of_our_own(on_error: Any, action: str, caplog: pytest.LogCaptureFixture) -> None:
    def broken(tx: Any) -> Decision:
        raise RuntimeError("out of order")

    policy = service(PolicySettings(on_error=on_error), restrictions=Restrictions(recipient=[broken]))
    counted: list[str] = []
    policy.count = counted.append
    assert actions(policy, request(queue_id="4F2A")) == [action]
    assert counted == ["failed", *([] if on_error == "disconnect" else [action.split(" ")[0]])]
    assert "4F2A: a request could not be answered: out of order" in caplog.text


def test_a_request_that_takes_too_long_is_a_failure() -> None:
    class Silent:
        async def lookup_async(self, question: Question) -> Answer:
            await asyncio.sleep(60)
            raise AssertionError

    policy = service(PolicySettings(time_limit=0.05, on_error="defer"), resolver=Silent())
    assert actions(policy, request())[0].startswith("DEFER_IF_PERMIT 4.3.0")


def test_the_mails_that_are_known_are_bounded() -> None:
    policy = service(PolicySettings(max_mails=10))
    actions(policy, *[request(instance=str(number)) for number in range(100)])
    assert len(policy._mails) == 10


def test_an_instance_of_another_client_is_another_mail() -> None:
    policy = service()
    first, second = actions(policy, request(), request(client_address=STRANGER))
    assert (first[:7], second[:3]) == ("PREPEND", "550")


def test_another_sender_under_the_same_instance_is_judged_for_itself() -> None:
    """After a refused MAIL the client may name another sender, and Postfix keeps the instance."""
    policy = service(PolicySettings(fields=()), restrictions=Restrictions(sender=[r.check_spf()]), delay_reject=False)
    good, bad = {"recipient": ""}, {"sender": "ann@mx.example.org", "recipient": ""}
    assert actions(policy, request("MAIL", **good)) == ["DUNNO"]
    assert actions(policy, request("MAIL", STRANGER, **good))[0].startswith("550 5.7.23")
    assert actions(policy, request("MAIL", **good), request("RCPT", sender="ann@slow.example"))[1].startswith("DEFER")
    assert actions(policy, request("RCPT", helo="other.example", sender="ann@example.org")) == ["DUNNO"]
    assert actions(policy, request("MAIL", **bad), request("MAIL", **good), request())[-2:] == ["DUNNO", "DUNNO"]


def test_asked_behind_rcpt_only_it_judges_there() -> None:
    policy = service(PolicySettings(fields=("received-spf",)), greylist=greylist(lambda: 1_800_000_000.0))
    assert actions(policy, request("DATA", STRANGER))[0].startswith("550 5.7.23")
    assert actions(policy, request("DATA", instance="2"))[0].startswith("DEFER_IF_PERMIT 4.7.1 Greylisted")
    # Several recipients: the client and the sender are judged; there is no triplet to greylist.
    assert actions(policy, request("DATA", LISTED, instance="3", recipient=""))[0].startswith("554 5.7.1")
    several = [request(state, instance="4", recipient="") for state in ("DATA", "END-OF-MESSAGE")]
    assert [action.split(":")[0] for action in actions(policy, *several)] == ["PREPEND Received-SPF", "DUNNO"]
    assert actions(policy, request("END-OF-MESSAGE", STRANGER, instance="5"))[0].startswith("550 5.7.23")


def test_the_delay_field_comes_with_the_recipient_that_waited() -> None:
    now = [1_800_000_000.0]
    policy = service(PolicySettings(fields=("x-greylist",)), greylist=greylist(lambda: now[0]), clock=lambda: now[0])
    actions(policy, request(recipient=EVE))
    now[0] += 600
    first, second = actions(policy, request(instance="2", recipient=BOB), request(instance="2", recipient=EVE))
    assert first.startswith("DEFER_IF_PERMIT 4.7.1")
    assert second.startswith("PREPEND X-Greylist: delayed 600 seconds")
    actions(policy, request(instance="3", recipient=BOB))
    now[0] += 600
    known, waited = actions(policy, request(instance="4", recipient=EVE), request(instance="4", recipient=BOB))
    assert known == "DUNNO"
    assert waited.startswith("PREPEND X-Greylist: delayed 600 seconds")


def test_ok_goes_before_a_field() -> None:
    restrictions = Restrictions(recipient=[r.check_spf(), r.permit_mynetworks("192.0.2.0/24")])
    policy = service(PolicySettings(ok=True), restrictions=restrictions)
    assert actions(policy, request(), request("DATA"))[0] == "OK"


def test_a_field_that_is_too_long_for_a_line_is_left_out_whole(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mailauth.policyd.service.MAX_FIELD_OCTETS", 60)
    policy = service(PolicySettings(fields=("received-spf", "authentication-results")))
    assert actions(policy, request(queue_id="4F2A")) == ["DUNNO"]
    assert "4F2A: left out, since it is too long for a line: received-spf" in caplog.text


def test_one_deadline_for_all_phases() -> None:
    """Name servers that never answer, in each phase: the mail is deferred, and not let in by `on_error`."""

    class Silent:
        async def lookup_async(self, question: Question) -> Answer:
            await asyncio.sleep(60)
            raise AssertionError

    restrictions = Restrictions(
        client=[r.reject_rbl("bl.example"), r.reject_unknown_client_hostname()],
        helo=[r.reject_rhsbl("bl.example", of="helo")],
        sender=[r.reject_unknown_sender_domain()],
        recipient=[r.check_spf()],
    )
    policy = service(PolicySettings(time_limit=0.5), restrictions=restrictions, resolver=Silent(), time_limit=0.2)
    assert actions(policy, request())[0].startswith("DEFER_IF_PERMIT 4")


def test_what_is_kept_of_mails_is_bounded_in_octets_and_recipients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailauth.policyd.service.MAIL_OCTETS", 100)
    policy = service(PolicySettings(max_mails=100, fields=()), restrictions=Restrictions(recipient=[]))
    actions(policy, *[request(instance=str(number), sender="x" * 1000) for number in range(50)])
    assert len(policy._mails) == 9
    assert policy._octets == sum(mail.octets for mail in policy._mails.values()) <= 100 * 100
    monkeypatch.setattr("mailauth.policyd.service.MAX_RECIPIENTS", 10)
    actions(policy, *[request(recipient=f"r{number}@mailbox.test") for number in range(25)])
    assert len(policy._mails["1.2.3"].answers) == 5
    assert policy._octets == sum(mail.octets for mail in policy._mails.values())


TEXT = st.binary(max_size=60).map(lambda octets: octets.replace(b"\n", b"").decode("utf-8", "surrogateescape"))
WORDS = st.sampled_from(
    ["ann@example.org", "<>", "", "mx.example.org", "unknown", "\u00fc@b\u00fccher.example", "a" * 3000]
)


@settings(max_examples=80)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "protocol_state": st.sampled_from(["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE", "x"]),
                "client_address": st.sampled_from([GOOD, LISTED, STRANGER, "::ffff:192.0.2.1", "2001:db8::1%1", "x"]),
                "instance": st.sampled_from(["", "1", "2"]),
            },
            optional=dict.fromkeys(("helo_name", "sender", "recipient", "client_name", "queue_id"), TEXT | WORDS),
        ),
        max_size=8,
    )
)
def test_whatever_the_attributes_hold_each_request_has_its_answer(requests: list[dict[str, str]]) -> None:
    """Any octets in any attribute: an action that Postfix knows, on one line, and no failure of our own."""
    restrictions = Restrictions(
        client=[r.reject_rbl("bl.example"), r.reject_unknown_client_hostname()],
        helo=[r.reject_invalid_helo_hostname(), r.reject_rhsbl("bl.example", of="helo")],
        sender=[r.reject_unknown_sender_domain()],
        recipient=[r.check_spf(), r.greylist()],
    )
    chosen = PolicySettings(fields=("received-spf", "x-greylist", "authentication-results"), on_error="disconnect")
    with TemporaryDirectory() as folder:
        store = aio.Greylist(f"sqlite:{folder}/greylist.db", clock=lambda: 1_800_000_000.0)
        policy = service(chosen, restrictions=restrictions, greylist=store)
        for action in actions(policy, *[request(**attributes) for attributes in requests]):
            assert action.split(" ")[0] in ("DUNNO", "PREPEND", "DEFER_IF_PERMIT", "550", "554", "501", "504"), action
            assert action.isprintable()
        asyncio.run(store.close())


def test_slow_senders_do_not_stop_others() -> None:
    """Two hundred mails whose name servers take their time: another one is answered at once."""

    class Slow:
        async def lookup_async(self, question: Question) -> Answer:
            if question.name.endswith("slow.example"):
                await asyncio.sleep(30)
            return zone().lookup_now(question)

    async def main() -> float:
        policy = service(resolver=Slow())
        others = [
            asyncio.create_task(policy.answer(request(sender="a@slow.example", instance=str(i)))) for i in range(200)
        ]
        await asyncio.sleep(0.2)
        start = asyncio.get_running_loop().time()
        await policy.answer(request(instance="quick"))
        taken = asyncio.get_running_loop().time() - start
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return taken

    assert asyncio.run(main()) < 5


@pytest.mark.parametrize(
    "wrong", [{"fields": ("x",)}, {"on_error": "x"}, {"time_limit": 0}, {"time_limit": 100}, {"max_mails": 0}]
)
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        PolicySettings(**wrong)


def test_a_connection_carries_many_requests_and_ends_at_nonsense() -> None:
    async def main() -> tuple[bytes, int]:
        policy = service()
        server = await asyncio.start_server(policy.handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(3):
            lines = [f"{name}={value}" for name, value in request(instance=str(number)).attributes.items()]
            writer.write("\n".join([*lines, "", ""]).encode())
        writer.write(b"nonsense\n\n")
        octets = await reader.read(-1)
        writer.close()
        server.close()
        await asyncio.sleep(0)
        return octets, policy.open

    octets, open_connections = asyncio.run(main())
    assert octets.count(b"action=PREPEND Received-SPF") == 3
    assert open_connections == 0


def octets_of(request: Request) -> bytes:
    return "\n".join([*(f"{name}={value}" for name, value in request.attributes.items()), "", ""]).encode()


@asynccontextmanager
async def listening(policy: PolicyService) -> AsyncIterator[Callable[[], Any]]:
    """The service at a port, and what opens a connection to it."""
    connections: list[asyncio.StreamWriter] = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        connections.append(writer)
        return reader, writer

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # little is needed to fill it
    server = await asyncio.start_server(policy.handle, sock=listener)
    try:
        yield connect
    finally:
        for writer in connections:
            writer.close()
        server.close()
        async with asyncio.timeout(10):
            while policy.open:
                await asyncio.sleep(0.01)


def test_what_is_in_hand_is_finished() -> None:
    """At the end idle connections are closed at once, and each request that has begun to come is answered."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    class Waiting:
        async def lookup_async(self, question: Question) -> Answer:
            asked.set()
            await go_on.wait()
            return zone().lookup_now(question)

    async def main() -> None:
        policy = service(PolicySettings(fields=()), resolver=Waiting())
        async with listening(policy) as connect:
            idle, busy, half, late = [await connect() for _ in range(4)]
            for _, writer in (busy, half, late):
                writer.write(octets_of(request(sasl_username="ann")))
            for reader, _ in (busy, half, late):
                assert await reader.readuntil(b"\n\n") == b"action=DUNNO\n\n"
            busy[1].write(octets_of(request()))
            half[1].write(octets_of(request(sasl_username="ann"))[:-1])
            await asked.wait()
            late[1].write(octets_of(request(sasl_username="ann")))
            policy.finish()
            assert await idle[0].read() == b""
            assert await late[0].read() == b"action=DUNNO\n\n"
            assert policy.open == 2
            go_on.set()
            assert await busy[0].read() == b"action=DUNNO\n\n"
            half[1].write(b"\n")
            assert await half[0].read() == b"action=DUNNO\n\n"

    asyncio.run(main())


def test_a_connection_that_says_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailauth.policyd.service.IDLE_SECONDS", 0.05)

    async def main() -> None:
        async with listening(service()) as connect:
            (silent, _), (half, writer) = await connect(), await connect()
            writer.write(b"request=smtpd")
            assert await silent.read() == b""
            assert await half.read() == b""

    asyncio.run(main())


def test_replies_that_nobody_reads_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailauth.policyd.service.WRITE_SECONDS", 0.05)

    async def flood(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"request=smtpd_access_policy\n\n" * 1000)
            await writer.drain()

    async def main() -> None:
        policy = service()
        async with listening(policy) as connect:
            (_, unread), (reader, writer) = await connect(), await connect()
            unread.transport.pause_reading()
            with pytest.raises(ConnectionError):
                await flood(unread)
            writer.write(octets_of(request(sasl_username="ann")))
            assert await reader.readuntil(b"\n\n") == b"action=DUNNO\n\n"
            assert policy.open == 1

    asyncio.run(main())
