"""Reports as pages: one self-contained HTML file each, in which nothing loads, runs or is sent.

`render_report` shows what came of one message (`mailauth.transaction.report.Report`): the verdict first, then its way,
each check with its evidence, and the questions that were asked; `render_domain` does it for a domain
(`mailauth.domain.DomainReport`). Functions of values: nothing here asks or reads.

To read: `html` (the one place where text becomes markup), `document` (the file around it), `parts`, then a module for
each section; `message` puts them together, `picture` draws.
"""

from __future__ import annotations

from mailauth.page.domain import render_domain
from mailauth.page.message import render_report

__all__ = ["render_domain", "render_report"]
