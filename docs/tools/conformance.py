"""``python -m docs.tools.conformance``: what each RFC demands, what does it, and what shows it, as pages.

Read are docs/conformance/rfcNNNN.toml, one for each RFC; written are docs/conformance/rfcNNNN.md, and the list of them
at the end of docs/conformance.md. tests/docs/test_conformance.py fails when a statement has neither code and test nor a
reason, when what it names is not there or does not cite the section, and when a page is out of date.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from docs.tools.public_names import public_names

from mailauth.testing.conformance import cases

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "conformance"
OVERVIEW = ROOT / "docs" / "conformance.md"
MARK = "<!-- What follows is generated: make conformance -->"


# --- What the files say -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that an RFC demands."""

    id: str
    """The section and a number within it: "4.6.4-1"."""
    level: str
    """The keyword as the RFC has it, of several the strongest; "states" where the RFC says it without one."""
    says: str
    """What is demanded, in our own words."""
    by: tuple[str, ...] = ()
    """What does it: dotted paths of functions, classes or constants, where they are defined."""
    shown: tuple[str, ...] = ()
    """The tests that show it, as pytest names them, and cases by number: "spf/6.2-whose/02", or all of a group."""
    reason: str = ""
    """Why nothing here does it, or what we do instead; beside `by` and `shown`, a remark."""
    keywords: int = 1
    """How many of the RFC's keywords this is about; 0 for what the RFC says without one."""

    @property
    def section(self) -> str:
        """The section of the RFC."""
        return self.id.rpartition("-")[0]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Statements of one section that are addressed to others."""

    section: str
    count: int
    """How many keywords."""
    reason: str
    """Whom they concern."""


@dataclass(frozen=True, slots=True)
class Document:
    """One RFC: its statements, and how many keywords of RFC 2119 each section has (count_statements.py)."""

    rfc: int
    title: str
    keywords: dict[str, int]
    statements: tuple[Statement, ...]
    elsewhere: tuple[Elsewhere, ...]
    text: str = ""
    """Which text was read and counted, where it is not the RFC itself."""

    @property
    def covered(self) -> Counter[str]:
        """How many keywords of each section the entries are about."""
        found: Counter[str] = Counter()
        for statement in self.statements:
            found[statement.section] += statement.keywords
        for each in self.elsewhere:
            found[each.section] += each.count
        return found


def read(path: Path) -> Document:
    """One file. An unknown key, or one that is missing, is a TypeError or KeyError."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return Document(
        rfc=data.pop("rfc"),
        title=data.pop("title"),
        keywords=data.pop("keywords"),
        statements=tuple(_statement(each) for each in data.pop("statement")),
        elsewhere=tuple(Elsewhere(**each) for each in data.pop("elsewhere", ())),
        **data,
    )


def _statement(table: dict[str, Any]) -> Statement:
    lists = {key: tuple(table[key]) for key in ("by", "shown") if key in table}
    return Statement(**{**table, **lists})


def documents() -> list[Document]:
    """All of them, by number."""
    return sorted((read(path) for path in FOLDER.glob("rfc*.toml")), key=lambda document: document.rfc)


# --- What code and tests say ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """A definition in the source."""

    text: str
    """The definition with the comments above it, and the tables that its decorators name."""
    around: str
    """What stands at the heads of the classes around it, of its module and of its package."""

    def cites(self, rfc: int, section: str) -> bool:
        """Whether the section is named here, or the one above it, or one below it."""
        named = cited(f"{self.around}\n{self.text}")
        above = section.rpartition(".")[0]
        return any(
            number == rfc and (each in (section, above) or each.startswith(f"{section}."))
            for number, each in named
            if each
        )


@cache
def _parsed(path: Path) -> tuple[ast.Module, list[str]]:
    text = path.read_text(encoding="utf-8")
    return ast.parse(text), text.splitlines()


def _defined(body: list[ast.stmt], name: str) -> ast.stmt | None:
    """The statement of a body that defines a name."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return node
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node
    return None


def _above(lines: list[str], first: int) -> int:
    """The line (from 0) where the comments above a definition begin."""
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return first


def _source(path: Path, node: ast.stmt, body: list[ast.stmt]) -> str:
    """A definition with the comments above it; a constant with the docstring below it."""
    _, lines = _parsed(path)
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    last = node.end_lineno or node.lineno
    following = body.index(node) + 1
    if following < len(body) and not decorators:
        after = body[following]
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            last = after.end_lineno or last
    return "\n".join(lines[_above(lines, first) : last])


def _head(path: Path) -> str:
    """The docstring of a module, and the comments above it."""
    tree, lines = _parsed(path)
    comments = "\n".join(line for line in lines[:20] if line.startswith("#"))
    return f"{comments}\n{ast.get_docstring(tree) or ''}"


def find(path: Path, names: list[str]) -> Place | None:
    """A definition in a file, by the names that lead to it; None if it is not there."""
    tree, lines = _parsed(path)
    package = path.parent / "__init__.py"
    around = [_head(package) if package.exists() else "", _head(path)]
    if not names:
        return Place("\n".join(lines), "\n".join(around))
    body = tree.body
    node: ast.stmt | None = None
    for name in names:
        if isinstance(node, ast.ClassDef):
            around.append(ast.get_docstring(node) or "")
        elif node is not None:
            around.append(_source(path, node, tree.body) if node in tree.body else "")
        siblings, node = body, _defined(body, name)
        if node is None:
            return None
        body = getattr(node, "body", [])
    assert node is not None
    text = [_source(path, node, siblings)]
    for decorator in getattr(node, "decorator_list", []):
        for each in ast.walk(decorator):
            table = _defined(tree.body, each.id) if isinstance(each, ast.Name) else None
            if table is not None:
                text.append(_source(path, table, tree.body))
    return Place("\n".join(text), "\n".join(around))


def code(dotted: str) -> Place | None:
    """What a dotted path leads to, private names included; None if it leads nowhere."""
    words = dotted.split(".")
    for length in range(len(words), 0, -1):
        path = ROOT / "src" / Path(*words[:length])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return find(file, words[length:])
    return None


def test(node_id: str) -> Place | None:
    """What a pytest node id leads to, whatever its parameters; None if it leads nowhere."""
    file, *names = node_id.partition("[")[0].split("::")
    path = ROOT / file
    return find(path, names) if names and path.is_file() else None


def shown(name: str) -> Place | None:
    """The test or the numbered cases that a statement names; None if there are none."""
    if "::" in name:
        return test(name)
    found = [case for case in cases() if name == case.id or case.id.startswith(f"{name}/")]
    return Place("\n".join({case.section: None for case in found}), "") if found else None


_NUMBER = r"(?:[0-9]+(?:\.[0-9]+)*|[A-Z](?:\.[0-9]+)*)\b"
_LIST = rf"{_NUMBER}(?:(?:, and|,| and| or| to|-) ?{_NUMBER})*"
_REFERENCE = re.compile(
    rf"RFC (?P<rfc>[0-9]+)(?:,? (?P<direct>{_LIST}))?"
    rf"|(?:[Ss]ections?|[Aa]ppendix|[Aa]ppendices|§) ?(?P<sections>{_LIST})"
)
_TEST_NAME = re.compile(r"^ *(?:async )?def test_([0-9]+(?:_[0-9]+)*)_", re.MULTILINE)


def cited(text: str) -> set[tuple[int, str]]:
    """The sections that a text names, each with its RFC: "RFC 7208 sections 4.6.4 and 5.5", "RFC 7208, 4.6.4".

    A section without an RFC is one of the RFC named last, or of the one that is named first; so is the one that a test
    has in its name (``test_4_6_4_ten_lookups``).
    """
    names = {number.replace("_", ".") for number in _TEST_NAME.findall(text)}
    words = re.sub(r"\s+", " ", re.sub(r"^\s*#:?", " ", text, flags=re.MULTILINE))
    found: set[tuple[int, str]] = set()
    first = re.search(r"RFC ([0-9]+)", words)
    main = {int(first[1])} if first else set()
    found |= {(number, section) for number in main for section in names}
    last = main
    for reference in _REFERENCE.finditer(words):
        if reference["rfc"]:
            last = {int(reference["rfc"])}
        sections = reference["direct"] or reference["sections"]
        numbers = last if reference["rfc"] else last | main
        found |= {(number, section) for number in numbers for section in _each(sections or "")}
    return found


def _each(sections: str) -> Iterator[str]:
    """The sections of a list; "2 to 4" has three."""
    yield from re.findall(_NUMBER, sections)
    for start, end in re.findall(rf"({_NUMBER})(?: to |-)({_NUMBER})", sections):
        prefix, _, number = start.rpartition(".")
        last = end.rpartition(".")[2]
        if number.isdecimal() and last.isdecimal():
            for between in range(int(number), int(last) + 1):
                yield f"{prefix}.{between}" if prefix else str(between)


# --- The pages --------------------------------------------------------------------------------------------------------


def page(document: Document) -> str:
    """The page of one RFC."""
    lines = [
        f"<!-- Generated from rfc{document.rfc}.toml: make conformance -->",
        "",
        f"# RFC {document.rfc}: {document.title}",
        "",
        _introduction(document),
        "",
    ]
    rows = sorted(
        [(_order(each.section), 1, _row(each)) for each in document.statements]
        + [(_order(each.section), 2, _row_elsewhere(each)) for each in document.elsewhere],
        key=lambda row: row[:2],
    )
    for chapter, group in groupby(rows, key=lambda row: row[0][0][1]):
        kind = "Section" if chapter.isdecimal() else "Appendix"
        lines += [
            f"## {kind} {chapter}",
            "",
            '<div class="statements" markdown="1">',
            "",
            "| Section | Level | Statement | Done by | Shown by |",
            "|---|---|---|---|---|",
            *(row for _, _, row in group),
            "",
            "</div>",
            "",
        ]
    return "\n".join(lines)


def _introduction(document: Document) -> str:
    keywords, others = sum(document.keywords.values()), sum(each.count for each in document.elsewhere)
    done = sum(1 for statement in document.statements if statement.by)
    reasons = len(document.statements) - done
    link = f"[RFC {document.rfc}](https://www.rfc-editor.org/rfc/rfc{document.rfc})"
    sentences = [
        f"{link} has {keywords} of the keywords of RFC 2119"
        f"{f', {others} of them addressed to others than software like this' if others else ''}.",
        f"{done} statements have the code that does them and the tests that show them.",
    ]
    if reasons:
        sentences.append(f"{reasons} {'has' if reasons == 1 else 'have'} a reason instead.")
    if document.text:
        sentences.append(document.text)
    if any(not statement.keywords for statement in document.statements):
        sentences.append("What the RFC says without a keyword has the level *states*.")
    sentences.append("How the choices are meant that the RFC leaves: [Conformance](../conformance.md).")
    return " ".join(sentences)


def _order(section: str) -> tuple[tuple[int, str], ...]:
    """Sections in the order of an RFC: 9 before 10, appendices last."""
    return tuple((int(part) if part.isdecimal() else 1000, part) for part in section.split("."))


def _row(statement: Statement) -> str:
    remark = f"<br>*{_cell(statement.reason)}*" if statement.reason else ""
    by = "<br>".join(_linked(dotted) for dotted in statement.by) or "*no*"
    shown = f" {_tests(statement.shown)} " if statement.shown else " "
    return f"| {statement.id} | {statement.level} | {_cell(statement.says)}{remark} | {by} |{shown}|"


def _row_elsewhere(each: Elsewhere) -> str:
    number = "one keyword" if each.count == 1 else f"{each.count} keywords"
    return f"| {each.section} | {number} | {_cell(each.reason)} | *others* | |"


def _cell(text: str) -> str:
    """A text in a table; angle brackets outside of code are no tags."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_") for part in parts[::2]]
    return "`".join(parts)


def _code(text: str) -> str:
    """Code that may be broken where it has a joint."""
    escaped = escape(" ".join(text.split()), quote=False)
    # What Markdown would take for its own.
    escaped = re.sub(r"(?<!\w)_|[|*`\\]", lambda found: f"&#{ord(found[0])};", escaped)
    return f"<code>{re.sub(r'(?<=[/._])(?=[^/._])|(?=::)', '<wbr>', escaped)}</code>"


def _tests(nodes: tuple[str, ...]) -> str:
    """Tests as pytest names them, each file once; and cases."""
    files: dict[str, list[str]] = {}
    numbered = [f"case {_code(node)}" for node in nodes if "::" not in node]
    for node in nodes:
        file, colons, names = node.partition("::")
        if colons:
            files.setdefault(file, []).append(f"::{names}")
    tests = [_code(part) for file, names in files.items() for part in (file, *names)]
    return "<br>".join([*numbered, *tests])


def _linked(dotted: str) -> str:
    """A path as code, linked to its entry in the reference if it is public."""
    label = _code(dotted.removeprefix("mailauth."))
    entry = _entries().get(dotted)
    parent, _, name = dotted.rpartition(".")
    if entry is None and parent in _entries() and not name.startswith("_"):
        entry = f"{_entries()[parent]}.{name}"
    return f"[{label}](../reference/{entry.split('.')[1]}.md#{entry})" if entry else label


@cache
def _entries() -> dict[str, str]:
    """The entries of public names in the reference, by where the names are defined."""
    modules = ROOT / "src"
    return {
        # Where a module has the name, too, the entry is that of the definition.
        home: home if (modules / f"{name.replace('.', '/')}.py").exists() else name
        for name, home in public_names()
        if home.startswith("mailauth.")
    }


def overview(found: list[Document]) -> str:
    """docs/conformance.md: what is written by hand, then the list of the pages."""
    by_hand, _, _ = OVERVIEW.read_text(encoding="utf-8").partition(MARK)
    lines = [
        by_hand.rstrip(),
        "",
        MARK,
        "",
        "## Statement by statement",
        "",
        "Each page has what one RFC demands with the keywords of RFC 2119 (and some of what it says without),",
        "what does it, and which test shows it. Of several keywords in a statement the strongest is its level.",
        "A test compares the pages with code, tests and the number of keywords in the RFC.",
        "",
        "| RFC | Keywords | Statements, done and shown | With a reason | Keywords addressed to others |",
        "|---|---|---|---|---|",
    ]
    for document in found:
        done = sum(1 for statement in document.statements if statement.by)
        others = sum(each.count for each in document.elsewhere)
        counts = (sum(document.keywords.values()), done, len(document.statements) - done, others)
        link = f"[{document.rfc}](conformance/rfc{document.rfc}.md): {document.title}"
        lines.append(f"| {link} | {' | '.join(str(count) for count in counts)} |")
    return "\n".join([*lines, ""])


def pages() -> dict[Path, str]:
    """All that is generated, by file."""
    found = documents()
    written = {FOLDER / f"rfc{document.rfc}.md": page(document) for document in found}
    return {**written, OVERVIEW: overview(found)}


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
