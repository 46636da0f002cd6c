"""``python -m docs.tools.count_statements FILE [--list]``: the normative keywords of an RFC, counted by section.

FILE is the plain text of an RFC, which is no part of the repository. Printed is the ``[keywords]`` table that
docs/conformance/rfcNNNN.toml holds; with ``--list``, each keyword with its section and the sentence around it.

Counted are the words of RFC 2119 in capitals. The heads and feet of pages are left out, and the sentence that says
what those words mean.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KEYWORD = re.compile(
    r"\b(MUST NOT|MUST|REQUIRED|SHALL NOT|SHALL|SHOULD NOT|SHOULD|NOT RECOMMENDED|RECOMMENDED|MAY|OPTIONAL)\b"
)
# Text is indented, headings are not: "4.6.4.  DNS Lookup Limits", "Appendix A.  Extended Examples", "A.1.  Simple".
HEADING = re.compile(r"(?:Appendix )?(?P<section>[0-9]+(?:\.[0-9]+)*|[A-Z](?:\.[0-9]+)*)\.?(?: {1,3}|$)(?=\S|$)")
PAGE_FOOT = re.compile(r".*\[Page [0-9]+\]$")
SENTENCE_END = re.compile(r"(?<=[.:])\s+(?=[A-Z\"(])")


@dataclass(frozen=True, slots=True)
class Keyword:
    """A normative keyword: the section it stands in, the word, and the sentence around it."""

    section: str
    word: str
    sentence: str


def lines_of(text: str) -> Iterator[str]:
    """The lines without the heads and feet of pages."""
    head = False
    for line in text.replace("\f", "\n\f").split("\n"):
        if PAGE_FOOT.match(line):
            continue
        if line.startswith("\f"):
            head = True
            line = line[1:]
        # The head is the first line of a page that holds anything.
        if head and line.strip():
            head = False
            continue
        yield line.rstrip()


def sections_of(text: str) -> dict[str, str]:
    """The text of each section, in the order of the RFC. What stands before the first heading is under ""."""
    parts: dict[str, list[str]] = {"": []}
    section = ""
    for line in lines_of(text):
        heading = HEADING.match(line)
        if heading is not None:
            section = heading["section"]
            parts.setdefault(section, [])
        else:
            parts[section].append(line)
    return {section: "\n".join(lines) for section, lines in parts.items()}


def keywords_of(text: str) -> Iterator[Keyword]:
    """The normative keywords in order."""
    for section, part in sections_of(text).items():
        # A sentence may go on over an empty line, where a page ends; a paragraph that ends with a stop does not.
        words = re.sub(r"\s+", " ", part)
        for sentence in SENTENCE_END.split(words):
            if '"MUST", "MUST NOT"' in sentence:
                continue
            for keyword in KEYWORD.finditer(sentence):
                yield Keyword(section, keyword[1], sentence.strip())


def main() -> None:
    """Print the table, or the list."""
    [file] = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    found = list(keywords_of(Path(file).read_text(encoding="utf-8-sig")))
    if "--list" in sys.argv:
        for each in found:
            print(f"{each.section}\t{each.word}\t{each.sentence}")
        return
    print("[keywords]")
    for section, count in Counter(each.section for each in found).items():
        print(f'"{section}" = {count}')
    print(f"# {len(found)} in all")


if __name__ == "__main__":
    main()
