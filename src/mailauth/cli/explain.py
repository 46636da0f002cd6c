"""What ``mailauth dkim explain`` prints: the explanation of each signature, for people.

Lines only; the search is in mailauth.dkim.explanation.
"""

# SECURITY: the lines hold what peers wrote. Each passes through `one_line` before it reaches the terminal.

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from mailauth import dkim
from mailauth.cli.common import Paint, one_line
from mailauth.dkim.explanation.canonical import BLANK, TAB, CanonicalForm
from mailauth.dkim.explanation.result import Half, Key

_WIDTH = 100
_LABEL = 10
_DIFF_LINES = 24
_DIFF_COLUMNS = 120
_STYLES = {"pass": "good", "fail": "bad", "permerror": "bad", "policy": "bad"}
_MARKS = {"-": "bad", "+": "good", "@": "dim"}


def print_explanations(explanations: list[dkim.Explanation], *, verbose: bool = False) -> None:
    """Print them all, in colour on a terminal."""
    paint = Paint()
    if not explanations:
        print(paint("none", "doubt") + "  the message has no DKIM signature")
    for number, explanation in enumerate(explanations):
        if number:
            print()
        _print(explanation, paint, verbose=verbose)


def _print(explanation: dkim.Explanation, paint: Paint, *, verbose: bool) -> None:
    signature = explanation.signature
    result = paint(f"{signature.result:9}", _STYLES.get(signature.result, "doubt"))
    place = f"{signature.selector or '?'}._domainkey.{signature.domain or '?'}"
    print(f"{result} {paint(one_line(place), 'strong')}  {signature.reason}")
    if explanation.passes:
        return
    _paragraph("why", [_sentence(explanation.summary)])
    for name, half in (("header", explanation.header), ("body", explanation.body)):
        _paragraph(name, _half(half))
        for line in _difference(half, verbose=verbose):
            print(" " * _LABEL + paint(line, _MARKS.get(line[:1], "dim")))
    _print_key(explanation.key)
    _paragraph("advice", [f"- {line}" for line in explanation.advice])
    for name, half in (("header", explanation.header), ("body", explanation.body)):
        if half.tried:
            _paragraph("tried", _tried(name, half))


def _sentence(text: str) -> str:
    # The name of a tag stays as it is.
    return f"{text if text[1:2] == '=' or text[2:3] == '=' else text[:1].upper() + text[1:]}."


def _paragraph(label: str, texts: Iterable[str]) -> None:
    """Wrapped, with the label in the margin."""
    for text in texts:
        hanging = " " * (_LABEL + 2) if text.startswith("- ") else " " * _LABEL
        lines = textwrap.wrap(
            one_line(text),
            _WIDTH,
            initial_indent=f"{label:{_LABEL}}",
            subsequent_indent=hanging,
            break_on_hyphens=False,
            break_long_words=False,
        )
        print("\n".join(lines))
        label = ""


def _difference(half: Half, *, verbose: bool) -> Iterator[str]:
    """The lines of the diff, tabs and blanks at line ends made visible."""
    for line in half.diff if verbose else half.diff[:_DIFF_LINES]:
        text = line[1:].rstrip(" ")
        text = one_line((line[:1] + text + BLANK * (len(line) - 1 - len(text))).replace("\t", TAB))
        yield text if verbose or len(text) <= _DIFF_COLUMNS else text[:_DIFF_COLUMNS] + "\N{HORIZONTAL ELLIPSIS}"
    if len(half.diff) > _DIFF_LINES and not verbose:
        yield f"@ and {len(half.diff) - _DIFF_LINES} more: --verbose"


def _half(half: Half) -> list[str]:
    words = {
        dkim.HalfState.INTACT: "as it was signed",
        dkim.HalfState.EXPLAINED: "altered (- as it was signed, + as it came):",
        dkim.HalfState.ALTERED: "altered, and nothing that was tried explains it",
        dkim.HalfState.UNKNOWN: "not known",
    }[half.state]
    if half.state is dkim.HalfState.INTACT and half.detail and not half.alterations:
        return [half.detail]  # nothing proves it
    return [f"{words}; {half.detail}" if half.detail else words]


def _print_key(key: Key) -> None:
    if key.state is dkim.KeyState.NOT_ASKED:
        return
    _paragraph("key", [key.detail or key.state])
    if key.repaired:
        proof = ", which fits the signature" if key.proved else ""
        _paragraph("", [f"the record as it should be{proof}:"])
        print(" " * _LABEL + one_line(key.repaired))  # in one line, to be copied


def _tried(name: str, half: Half) -> Iterator[str]:
    end = ", until the bounds were reached" if half.exhausted else ""
    yield f"{name}, {half.attempts} attempts{end}: {'; '.join(half.tried)}"


def print_canonical(forms: list[CanonicalForm]) -> None:
    """Print exactly the octets that were hashed, blanks made visible."""
    paint = Paint()
    if not forms:
        print(paint("none", "doubt") + "  the message has no DKIM signature that can be read")
    for number, form in enumerate(forms):
        if number:
            print()
        how = f"{form.header_canonicalization}/{form.body_canonicalization}"
        print(paint(f"{form.selector}._domainkey.{form.domain}", "strong") + f"  {how}")
        for name, text, digest in (
            ("header", form.header, form.header_digest),
            ("body", form.body, form.body_digest),
        ):
            print(paint(f"{name}, SHA-256 {digest}", "dim"))
            print(text)
