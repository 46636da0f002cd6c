"""The page of one message: what it says, that it is whole, and that no message makes it anything else."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth.arc import ArcResult, ArcSet
from mailauth.arc.result import Reason as ArcReason
from mailauth.authres import AuthenticationResults, MethodResult
from mailauth.cli import main
from mailauth.page import render_report
from mailauth.page.html import ELEMENTS
from mailauth.page.parts import moment, span
from mailauth.page.picture import Box, ladder
from mailauth.resolvers import ZoneResolver
from mailauth.sync import Authenticator
from tests.page import samples
from tests.page.test_html import Reader

ROOT = Path(__file__).parents[2]
FRAME = {"html", "head", "meta", "style", "title", "body"}


@pytest.fixture(scope="module")
def page() -> str:
    return samples.sample()


@pytest.fixture(scope="module")
def text(page: str) -> str:
    return " ".join(Reader(page).text.split())


def test_the_verdict_comes_first(page: str, text: str) -> None:
    body = page[page.index("<body>") :]
    assert re.search(r"<h1>.*?</h1>", body)
    assert body.index("Rejected") < body.index("SMTP reply: ") < body.index("<nav") < body.index("<main>")
    assert "decided by reject_rbl, reason rbl-score" in text
    assert "Your offers – 20 percent off" in text


def test_the_way_has_its_delays(text: str) -> None:
    assert "14 min 31 s from the first to the last" in text
    assert "app3.news.example.org (198.51.100.77) → relay.lists.example" in text
    assert "with esmtpsa (TLS)" in text
    assert text.index("→ relay.lists.example") < text.index("+14 min 31 s") < text.index("→ out7.mailer.example")


def test_spf_is_a_tree_with_its_lookups(page: str, text: str) -> None:
    # RFC 7208 section 4.6.4: include, include inside it, a.
    assert "3 of 10 lookups, 1 of 2 void ones" in text
    assert "include:_spf.mailer.example –no match lookup 1 of 10" in text
    assert "include:_a.mailer.example –no match lookup 2 of 10" in text
    assert "a:gone.example.org –no match lookup 3 of 10" in text
    tree = page[page.index('id="spf"') : page.index('id="dkim"')]
    assert tree.count("<details") == tree.count("</details>") >= 3


def test_each_signature_has_its_card(text: str) -> None:
    assert "k1._domainkey.mailer.example ✓passThe signature verifies" in text
    assert "k1._domainkey.news.example.org ✗failThe body is not the one that was signed" in text
    assert "1 of 2 pass" in text


def test_a_failing_signature_is_explained_with_the_difference(page: str, text: str) -> None:
    assert "Body !altered, and it is known how" in text
    assert re.search(r"Text was added at the end ?\(line \d+\) text-added-at-end", text)
    assert '<ins class="line">-- </ins><ins class="line">The list</ins>' in page
    assert page.count('class="why"') == 1  # nothing is to be explained of the signature that passes


def test_dmarc_in_pictures_and_in_words(page: str, text: str) -> None:
    assert "sp=quarantine of _dmarc.example.org" in text
    pictures = re.findall(r'<svg viewBox="[^"]*" class="picture" role="img" aria-label="([^"]*)"', page)
    assert len(pictures) == 2
    assert "_dmarc.news.example.org: no record; _dmarc.example.org: p=reject sp=quarantine" in pictures[0]
    assert "mailer.example: pass, not aligned (relaxed)" in pictures[1]


def test_lists_say_where_to_ask_for_removal(page: str, text: str) -> None:
    assert "CSS: low-reputation senders" in text
    assert "The list says: https://www.spamhaus.org/query/ip/203.0.113.7" in text
    assert set(re.findall(r'href="(https[^"]*)"', page)) == {"https://check.spamhaus.org/"}


def test_keys_of_lists_are_masked(page: str) -> None:
    """A zone with a key in it is a secret, in the questions as well."""
    assert "secretkey" not in page
    assert "7.113.0.203.***.zen.dq.spamhaus.net" in page


def test_questions_stand_in_their_order(text: str) -> None:
    questions = text[text.index("Questions to the DNS") :]
    assert questions.index("7.113.0.203.in-addr.arpa PTR") < questions.index("out7.mailer.example A")
    assert "timed out" in questions
    assert "1 without an answer" in questions


def test_the_page_is_whole_and_allows_nothing(page: str) -> None:
    css = page[page.index("<style>") + 7 : page.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in page
    assert "url(" not in css
    assert "@import" not in css
    seen = Reader(page)
    assert set(seen.elements) <= ELEMENTS | FRAME
    assert not {name for name, _ in seen.attributes} & {"src", "style", "action", "srcset", "data"}


def test_ids_are_there_once_and_links_lead_somewhere(page: str) -> None:
    ids = [value for name, value in Reader(page).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)


@pytest.mark.parametrize("attack", samples.ATTACKS)
def test_a_hostile_message_adds_no_element(attack: str) -> None:
    """The same page with the attack as with plain words: the same elements, the same attributes."""
    seen = Reader(samples.hostile(attack))
    assert set(seen.elements) <= ELEMENTS | FRAME
    assert seen.elements.count("meta") == 7
    names = {name for name, _ in seen.attributes}
    assert not any(name.startswith("on") or name in ("style", "src", "srcdoc") for name in names)
    links = [value for name, value in seen.attributes if name == "href"]
    assert all(link and link.startswith(("#", "https://check.spamhaus.org/")) for link in links)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from(["Received", "From", "Subject", "DKIM-Signature", "X"]), st.binary(max_size=80))
    ),
    st.text(max_size=40),
    st.text(max_size=40),
)
def test_any_message_has_a_page(fields: list[tuple[str, bytes]], helo: str, mail_from: str) -> None:
    """Any octets in any field: a page of the same kind, never an exception."""
    message = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in fields) + b"\r\nbody\r\n"
    page, _ = samples.check(message, ZoneResolver(), helo=helo, mail_from=mail_from)
    assert set(Reader(page).elements) <= ELEMENTS | FRAME
    page.encode("utf-8")


@pytest.mark.parametrize(
    "subject",
    [
        "=?\u00e9?q?x?=",
        "=?\0?q?x?=",
        "=?hex?q?zz?=",
        "=?undefined?b?AAAA?=",
        "=?utf-8?b?A?=",
        "=?utf-7?q?+AAA?=",
        "=??q?x?=",
        # Python's notation of strings is no character set of mail; reading it may warn.
        "=?unicode_escape?q?=5Cd?=",
        "=?Unicode-Escape?q?=5Cd?=",
        "=?raw_unicode_escape?q?=5Cu0041?=",
    ],
)
def test_encoded_words_that_cannot_be_read_stay_as_they_are(subject: str) -> None:
    message = f"Subject: {subject}\r\nFrom: {subject} <a@example.org>\r\n\r\n".encode()
    page, _ = samples.check(message, ZoneResolver(), helo="h", mail_from="")
    assert "Subject" in Reader(page).text


def test_text_beside_encoded_words_is_shown_as_it_stands() -> None:
    """RFC 2047 section 6.2: the blanks between two encoded words are not shown, those beside other text are."""
    message = b"Subject: Re: =?utf-8?q?Caf=C3=A9?= =?iso-8859-1?q?_=E9t=E9?= (new)\r\nFrom: a@example.org\r\n\r\n"
    page, _ = samples.check(message, ZoneResolver(), helo="h", mail_from="")
    assert "Re: Café été (new)" in Reader(page).text


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["=?", "?", "?=", "q", "b", "utf-8", "hex", "\u00e9", "\ud800", "=", "A", " ", "\0"])))
def test_any_encoded_word_has_a_page(pieces: list[str]) -> None:
    """A page is made whatever stands between =? and ?=."""
    message = b"Subject: " + "".join(["=?", *pieces, "?="]).encode("utf-8", "surrogatepass") + b"\r\n\r\n"
    samples.check(message, ZoneResolver(), helo="h", mail_from="")


def test_all_of_several_authors_are_shown() -> None:
    """Readers differ in which From field they show; so whoever looks at the page has to see all."""
    message = b"From: a@bank.example\r\nFrom: b@evil.example\r\n" + b"Subject: x\r\n" * 9 + b"\r\n"
    page, _ = samples.check(message, ZoneResolver(), helo="h", mail_from="")
    about = " ".join(Reader(page.partition("</header>")[0]).text.split())
    assert "a@bank.exampleb@evil.example✗2 fields; one is allowed" in about
    assert "and 4 more✗9 fields; one is allowed" in about


def test_a_long_field_does_not_push_everything_else_down() -> None:
    message = b"Subject: Z" + "\u0301".encode() * 3000 + b"\r\nFrom: a@b.example\r\n\r\n"
    page, _ = samples.check(message, ZoneResolver(), helo="h", mail_from="")
    about = page.partition("<body>")[2].partition("</header>")[0]
    assert about.count("\\u0301") <= 500
    assert "more characters" in about


def test_the_size_of_a_page_is_bounded() -> None:
    """A thousand fields of any length do not make a page that no browser opens."""
    huge = b"Received: from " + b"<" * 50_000 + b" by x; Sun, 29 Nov 2026 18:02:41 +0000\r\n"
    message = huge * 20 + b"Received: by y\r\n" * 3000 + b"Subject: " + b"&" * 100_000 + b"\r\n\r\n"
    page, _ = samples.check(message, ZoneResolver(), helo="h", mail_from="")
    assert len(page) < 4_000_000
    assert "more are not shown" in page


def test_a_sealed_message_shows_its_chain() -> None:
    _, report = samples.check(samples.letter(), samples.zone(), helo="out7.mailer.example", mail_from="")
    said = AuthenticationResults("lists.example", (MethodResult("dmarc", "pass"),))
    chain = ArcResult(ArcReason.VERIFIED, sets=(ArcSet(1, "lists.example", "k1", "none", 1_796_061_000, None, said),))
    text = " ".join(Reader(render_report(replace(report, arc=chain))).text.split())
    assert "the chain is whole" in text
    assert "1lists.examplenone2026-11-30 17:50:00 UTCdmarc=pass" in text
    broken = ArcResult(ArcReason.SEAL, "<b>the seal differs", 1, chain.sets)
    page = render_report(replace(report, arc=broken))
    assert "&lt;b&gt;the seal differs" in page


def test_who_wrote_it(text: str) -> None:
    assert "Who wrote itoffers@news.example.org ✗contradicted" in text


def test_a_session_without_a_message_has_a_page() -> None:
    """A client that was refused at RCPT: no header, no signatures, and it says why."""
    session = Authenticator("mx.example.net", rbl=["zen.spamhaus.org"], resolver=samples.zone()).session(samples.IP)
    session.helo("out7.mailer.example", now=samples.NOW)
    session.mail("bounce@news.example.org", now=samples.NOW)
    assert session.rcpt("bob@example.net", now=samples.NOW).refused
    page = render_report(session.report())
    text = " ".join(Reader(page).text.split())
    assert "Rejected" in text
    assert "DKIM –not checked" in text
    assert "DMARC –not checked" in text
    assert "The way of the message" not in text


@pytest.mark.parametrize(
    ("letter", "words"),
    [
        ("list", ("Subject: [announce] Office closed on Friday", "subject-prefix", "text-added-at-end")),
        ("banner", ("part 2 text/html", "text-added-in-part")),
        ("record", ("Take out the quotes", "The record as it should be; the signature fits its key:")),
        ("eight-bit", ("sch=C3=B6ne Gr=C3=BC=C3=9Fe", "encoding-changed")),
        ("rotated", ("another key, or b= is damaged", "Compare the private key with")),
    ],
)
def test_explanations_stand_on_the_page(letter: str, words: tuple[str, ...], tmp_path: Path) -> None:
    """The letters of docs/why.md, section "When it is the signature", through the command."""
    page = tmp_path / "page.html"
    place = ROOT / "examples" / "why"
    arguments = ["--zone", str(place / "zone"), "--ip", "192.0.2.1", "--hostname", "mx.example.net"]
    main(["check", *arguments, "--html", str(page), str(place / f"{letter}.eml")])
    text = " ".join(Reader(page.read_text(encoding="utf-8")).text.split())
    for each in words:
        assert each in text


def test_long_names_are_cut_in_the_middle_of_the_picture_alone(text: str) -> None:
    name = "a" * 60 + "." + "b" * 60 + ".example.org"
    drawn = ladder("walk", [Box(name, "no record")])
    seen = Reader(drawn)
    assert f"{name}: no record" in (dict(seen.attributes).get("aria-label") or "")
    assert re.search(r"a{10,}…b+\.example\.org", seen.text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.6, "1 min"), (3725, "1 h 2 min"), (90_061, "1 d 1 h"), (-2.4, "−2 s"), (1e9, "11,574 d 1 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_the_tag_of_the_first_box_is_inside_the_picture() -> None:
    """Its letters are 10.5 units high, and stand above the box."""
    picture = ladder("walk", [Box("_dmarc.example.org", "p=reject", "good", "this policy applies", True)])
    [y] = re.findall(r'y="(\d+)" class="tag"', picture)
    assert int(y) >= 11


def test_moments_that_no_calendar_has() -> None:
    assert moment(None) == ""
    assert moment(0) == "1970-01-01 00:00:00 UTC"
    assert moment(1e300).endswith("s after 1970")
