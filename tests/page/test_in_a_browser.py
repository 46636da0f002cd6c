"""The pages in a real Chromium: nothing runs, nothing overflows, everything can be reached and read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.browser import Browser, chromium
from tests.page import samples
from tests.page.test_domain_page import broken, page_of

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


FOREIGN = """
return [...document.querySelectorAll('*')].map(e => e.localName).filter(
  n => ['script','img','iframe','object','embed','form','input','link','base','b','i'].includes(n));
"""
HANDLERS = """
return [...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).map(a => a.name)
  .filter(n => n.startsWith('on') || n === 'style' || n === 'src' || n === 'srcdoc');
"""


@pytest.mark.parametrize("protected", [True, False], ids=["with the policy", "by escaping alone"])
@pytest.mark.parametrize("attack", samples.ATTACKS)
def test_a_hostile_message_runs_nothing(browser: Browser, attack: str, protected: bool) -> None:
    page = samples.hostile(attack)
    if not protected:
        page, removed = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
        assert removed == 1
    browser.open(page)
    assert browser.run("return window.hacked === undefined")
    assert browser.run(FOREIGN) == []
    assert browser.run(HANDLERS) == []
    assert browser.complaints() == []
    browser.run("document.querySelectorAll('summary').forEach(e => e.click())")
    assert browser.run("return window.hacked === undefined")
    assert browser.run("return document.body.innerText.includes('window.hacked')") or "hacked" not in attack


@pytest.mark.parametrize("attack", samples.ATTACKS)
def test_a_hostile_domain_runs_nothing(browser: Browser, attack: str) -> None:
    """Every record of the domain is the attack, and the policy of the page is taken out."""
    octets = attack.encode()
    prefixes = {
        "example.org": b"v=spf1 include:", "_dmarc.example.org": b"v=DMARC1; p=none; rua=mailto:",
        "s._domainkey.example.org": b"v=DKIM1; n=", "_smtp._tls.example.org": b"v=TLSRPTv1; rua=",
        "_mta-sts.example.org": b"v=STSv1; id=", "default._bimi.example.org": b"v=BIMI1; l=",
    }  # fmt: skip
    page, _ = page_of({(name, "TXT"): [prefix + octets] for name, prefix in prefixes.items()}, selectors=["s"])
    browser.open(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page))
    browser.run("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert browser.run("return window.hacked === undefined")
    assert browser.run(FOREIGN) == []
    assert browser.run(HANDLERS) == []
    assert browser.complaints() == []


def test_the_policy_stops_what_would_run(browser: Browser) -> None:
    """If escaping failed one day: the policy alone keeps scripts and pictures out, and these tests would see them."""
    page = samples.sample().replace(
        "</main>", "<script>window.hacked=1</script><img src='https://127.0.0.1:9/x'></main>"
    )
    browser.open(page)
    assert browser.run("return window.hacked === undefined")
    assert sum("Content Security Policy" in line for line in browser.complaints()) == 2
    browser.open(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page))
    assert browser.run("return window.hacked") == 1


@pytest.mark.parametrize("width", [320, 400, 700, 1280])
@pytest.mark.parametrize("which", ["sample", "hostile", "marks", "domain"])
def test_nothing_overflows(browser: Browser, width: int, which: str) -> None:
    pages = {"sample": samples.sample, "hostile": lambda: samples.hostile("W" * 200 + "<" * 300), "domain": broken}
    pages["marks"] = lambda: samples.hostile("Z" + "\u0301\u0336\u0489" * 400)
    browser.open(pages[which](), width=width)
    browser.run("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    outside = browser.run(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('thead, caption, svg'))"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []


def test_what_folds_opens_on_paper(browser: Browser) -> None:
    folded = (
        "return [...document.querySelectorAll('details:not([open])')]"
        ".map(e => e.querySelector(':scope > :not(summary)').checkVisibility({contentVisibilityAuto: true}))"
    )
    browser.open(samples.sample())
    assert set(browser.run(folded)) == {False}
    browser.open(samples.sample(), media="print")
    assert set(browser.run(folded)) == {True}
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert len(printed["data"]) > 10_000


CONTRAST = """
const light = c => { const p = c.match(/[\\d.]+/g).map(Number);
  const f = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  return .2126 * f(p[0]) + .7152 * f(p[1]) + .0722 * f(p[2]); };
const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!/, 0\\)$|transparent/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
const low = [];
for (const e of document.querySelectorAll('body *')) {
  if (!e.closest('svg') && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) {
    const a = light(getComputedStyle(e).color), b = light(ground(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) low.push([e.className, e.textContent.slice(0, 30), ratio]);
  }
}
return low;
"""


@pytest.mark.parametrize("page", [samples.sample, broken], ids=["message", "domain"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everything_can_be_read(browser: Browser, dark: bool, page: Callable[[], str]) -> None:
    """WCAG 2.2 success criterion 1.4.3: a contrast of 4.5 to 1, in both colour schemes."""
    browser.open(page(), dark=dark)
    paper = browser.run("return getComputedStyle(document.querySelector('section')).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is not dark
    browser.run("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert browser.run(CONTRAST) == []


def test_the_keyboard_reaches_all_that_folds_and_leads(browser: Browser) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.open(samples.sample())
    wanted = browser.run("return [...document.querySelectorAll('a, summary')].filter(e => e.checkVisibility()).length")
    body = browser.driver.find_element("css selector", "body")
    for _ in range(3):
        body.send_keys(Keys.TAB)
    assert browser.run("return document.activeElement.localName") == "a"
    first = browser.run(
        "const s = document.querySelector('details:not([open]) > summary'); s.focus(); return s.parentElement.open"
    )
    assert first is False
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.run("return document.activeElement.parentElement.open") is True
    assert wanted >= 10


def test_a_screen_reader_finds_its_way(browser: Browser) -> None:
    """Chromium's own accessibility tree: landmarks, headings, named pictures, tables with captions."""
    browser.open(samples.sample())
    browser.driver.execute_cdp_cmd("Accessibility.enable", {})
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    seen: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            seen.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    assert len(seen["main"]) == len(seen["navigation"]) == 1
    assert [name for name in seen["heading"] if "Rejected" in name]
    assert all(seen["image"])
    assert len(seen["image"]) == 2
    assert all(seen["table"])
    assert {name.split(" ")[0] for name in seen["region"]} >= {"DKIM", "DMARC", "SPF", "Questions"}
