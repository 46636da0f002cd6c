"""``python -m docs.tools.house FOLDER``: the layers of the code as a picture, drawn from the imports.

The picture is drawn by Graphviz (``dot``); a test compares its arrows with the code.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent.parent.parent / "src" / "mailauth"

# From the outermost to the foundation; tests/test_architecture.py has the same parts.
ROWS = (
    ("cli", "service", "config"),
    ("policyd", "milter", "aiosmtpd", "page", "testing"),
    ("sync", "aio"),
    ("transaction", "restrictions", "trust", "domain"),
    ("resolvers", "stores"),
    ("spf", "dkim", "dmarc", "arc", "rbl", "iprev", "greylist", "authres"),
    ("plan", "mail"),
)


def part_of(module: str) -> str | None:
    """The part of the package that a module belongs to; None for the root and for other packages."""
    words = module.split(".")
    return words[1] if len(words) > 1 and words[0] == "mailauth" else None


def arrows() -> set[tuple[str, str]]:
    """Which part imports which, late imports included."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        relative = path.relative_to(SOURCE)
        part = relative.parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                modules = [f"{node.module}.{alias.name}" for alias in node.names]
                found |= {(part, target) for target in map(part_of, modules) if target is not None}
    known = {part for row in ROWS for part in row}
    return {(source, target) for source, target in found if {source, target} <= known and source != target}


def direct() -> set[tuple[str, str]]:
    """The arrows that no way through a row between says already: a picture of all would be black."""
    every = arrows()
    row = {part: number for number, parts in enumerate(ROWS) for part in parts}

    def implied(source: str, target: str) -> bool:
        between = (part for part in row if row[source] < row[part] < row[target])
        return any((source, way) in every and (way, target) in every for way in between)

    return {(source, target) for source, target in every if not implied(source, target)}


def dot() -> str:
    """The picture in Graphviz's language."""
    lines = [
        "digraph {",
        "  rankdir=TB; bgcolor=white; nodesep=0.3; ranksep=0.55;",
        '  node [shape=box style="rounded,filled" fillcolor="#eef3f8" fontname="Helvetica" fontsize=13];',
        '  edge [color="#557799" arrowsize=0.7];',
    ]
    lines += ["  { rank=same; " + " ".join(f'"{part}";' for part in row) + " }" for row in ROWS]
    lines += [f'  "{source}" -> "{target}";' for source, target in sorted(direct())]
    return "\n".join([*lines, "}", ""])


def main() -> None:
    """Write ``house.svg`` into the folder."""
    folder = Path(sys.argv[1])
    picture = subprocess.run(["dot", "-Tsvg"], input=dot(), capture_output=True, text=True, check=True).stdout
    (folder / "house.svg").write_text(picture)


if __name__ == "__main__":
    main()
