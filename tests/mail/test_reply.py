"""SMTP replies.

Whatever the text, a reply is one SMTP reply with the code given, on lines that SMTP allows.
"""

from __future__ import annotations

import json
import smtplib
import socket
import threading
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.mail.reply import MAX_LINE_OCTETS, MAX_TEXT_CHARACTERS, Reply


def test_a_reply() -> None:
    """RFC 7372 section 3.2 has this code."""
    reply = Reply(550, "5.7.23", "SPF validation failed")
    assert str(reply) == "550 5.7.23 SPF validation failed"
    assert reply.lines() == ("550 5.7.23 SPF validation failed",)
    assert reply.to_bytes() == b"550 5.7.23 SPF validation failed\r\n"
    assert (reply.permanent, reply.temporary) == (True, False)
    assert Reply(451, "4.4.3", "x").temporary
    assert json.loads(json.dumps(reply.to_dict())) == {
        "code": 550,
        "enhanced": "5.7.23",
        "text": "SPF validation failed",
    }


@pytest.mark.parametrize(
    ("reply", "lines", "words"),
    [
        (Reply(220, "", "mx.example.net ESMTP"), ("220 mx.example.net ESMTP",), "220 mx.example.net ESMTP"),
        (Reply(354, "", "go ahead"), ("354 go ahead",), "354 go ahead"),
        (Reply(250, "2.0.0"), ("250 2.0.0",), "250 2.0.0"),
        (Reply(250), ("250 ",), "250"),  # RFC 5321 section 4.2.1: the blank is sent even so
    ],
)
def test_forms(reply: Reply, lines: tuple[str, ...], words: str) -> None:
    assert (reply.lines(), str(reply)) == (lines, words)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\r\n250 ok", "a 250 ok"),
        ("a\n\tb\r c ", "a b c"),
        ("a\0b\x7fc\x1b[0m\u00fc\u2028\U0001f600\udc80", "a?b?c?[0m????"),
        ("100%s %n %% %{d}", "100%s %n %% %{d}"),
        (' "quoted" \\ ', '"quoted" \\'),
    ],
)
def test_text_is_made_safe(given: str, kept: str) -> None:
    assert Reply(550, "5.7.1", given).text == kept


def test_long_text_is_cut_and_folded() -> None:
    reply = Reply(550, "5.7.1", "word " * 10_000)
    assert len(reply.text) == MAX_TEXT_CHARACTERS
    assert reply.text.endswith("[...]")
    first, second = reply.lines()[:2]
    assert first.startswith("550-5.7.1 word")
    assert first.endswith("word")
    assert len(first) + 2 <= MAX_LINE_OCTETS < len(first) + 2 + len(" word")
    assert second.startswith(("550-5.7.1 word", "550 5.7.1 word"))
    assert reply.lines()[-1].startswith("550 5.7.1 ")


@pytest.mark.parametrize("code", [0, 99, 100, 199, 260, 600, 5500, -550, 55])
def test_codes_that_are_none(code: int) -> None:
    with pytest.raises(ValueError, match="reply code"):
        Reply(code, "", "x")


@pytest.mark.parametrize(
    "enhanced",
    [
        "5",
        "5.7",
        "5.7.",
        "5.7.1.1",
        "5.07.1",
        "5.7.01",
        "5.7.1000",
        "5.7.1 ",
        "5.7.1\n",
        "3.0.0",
        "\u0665.7.1",
        "5.7.x",
        " ",
    ],
)
def test_enhanced_codes_that_are_none(enhanced: str) -> None:
    with pytest.raises(ValueError, match="enhanced status code"):
        Reply(550, enhanced, "x")


@pytest.mark.parametrize(("code", "enhanced"), [(550, "4.7.1"), (450, "5.7.1"), (250, "5.0.0"), (354, "2.0.0")])
def test_codes_that_contradict_each_other(code: int, enhanced: str) -> None:
    with pytest.raises(ValueError, match="contradict"):
        Reply(code, enhanced, "x")


@pytest.mark.parametrize("arguments", [("550",), (True,), (550, None), (550, "5.7.1", b"x"), (550.0,)])
def test_wrong_types(arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        Reply(*arguments)  # type: ignore[arg-type]


def test_enumerations_become_plain_values() -> None:
    class Code(IntEnum):
        REJECT = 550

    reply = Reply(Code.REJECT, "5.7.1")
    assert (type(reply.code), str(reply)) == (int, "550 5.7.1")
    assert reply == Reply(550, "5.7.1")
    assert len({reply, Reply(550, "5.7.1")}) == 1


CODES = [(550, "5.7.1"), (451, "4.4.3"), (250, "2.100.999"), (554, ""), (354, "")]
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from(["a" * 300, " ", "\r\n", "250 ok", "\0", "\u00fc", "%s", "-", "word "]), max_size=30).map(
        "".join
    ),
)


@given(st.sampled_from(CODES), TEXTS)
def test_any_text_gives_one_reply(codes: tuple[int, str], text: str) -> None:
    """Any text: lines of the grammar of RFC 5321 section 4.2, with the code and enhanced code on each of them."""
    code, enhanced = codes
    reply = Reply(code, enhanced, text)
    *others, last = reply.to_bytes().decode("ascii").removesuffix("\r\n").split("\r\n")
    assert all(line.startswith(f"{code}-{enhanced}") for line in others)
    assert last.startswith(f"{code} {enhanced}")
    for line in (*others, last):
        assert len(line) + 2 <= MAX_LINE_OCTETS
        assert all(" " <= character <= "~" for character in line)
    said = [line[4:].removeprefix(enhanced).strip(" ") for line in (*others, last)]
    assert "".join(said).replace(" ", "") == reply.text.replace(" ", "")
    assert Reply(code, enhanced, reply.text) == reply
    assert len(reply.text) <= MAX_TEXT_CHARACTERS
    assert "\n" not in str(reply)


@pytest.mark.parametrize("text", ["plain", "word " * 300, "x" * 5000, "a\r\n250 2.0.0 injected", "100%s"])
def test_a_client_reads_it(text: str) -> None:
    """smtplib as the other side: it hears one greeting with this code, and all of the text."""
    reply = Reply(554, "5.7.1", text)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        ours.sendall(reply.to_bytes())
        ours.close()

    class Client(smtplib.SMTP):
        def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
            return theirs

    thread = threading.Thread(target=serve)
    thread.start()
    client = Client(timeout=20)
    code, said = client.connect("mx.example.net", 25)
    thread.join()
    client.close()
    assert code == 554
    lines = [line.removeprefix("5.7.1 ") for line in said.decode("ascii").split("\n")]
    assert len(lines) == len(reply.lines())
    assert "".join(lines).replace(" ", "") == reply.text.replace(" ", "")
