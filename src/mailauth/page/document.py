"""The document around a page: one file that needs nothing else, and in which nothing can run."""

# SECURITY: the content security policy forbids all loading, all scripts, frames and forms; the one style sheet is
# allowed by its hash. It is the second line of defence behind html.py, for a page that is opened from an attachment.

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from mailauth.page.html import Html, element, text


@cache
def _style() -> tuple[str, str]:
    """The style sheet, and the source expression that allows it (Content Security Policy level 3 section 8.4)."""
    css = files("mailauth.page").joinpath("style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode("utf-8")).digest()).decode("ascii")
    return css, f"'sha256-{digest}'"


def document(title: str, body: Html) -> str:
    """The whole file as text, to be written as UTF-8."""
    css, source = _style()
    policy = f"default-src 'none'; style-src {source}; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="robots" content="noindex">\n'
        '<meta name="format-detection" content="telephone=no, date=no, address=no, email=no">\n'
        f"{element('title', text(title, 200))}\n<style>{css}</style>\n</head>\n{element('body', body)}\n</html>\n"
    )
