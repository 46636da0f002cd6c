"""The rules of the code base, checked by reading its source.

The arrows of the design point one way, nothing heavy loads at import, and no plan is called in vain.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "mailauth"
MODULES = sorted(SOURCE.rglob("*.py"))

# The layers of docs/design.md, the lowest first. A part may import what stands below its own layer, and the parts of
# its own layer where `SIBLINGS` says so. Each part of the package stands here once.
LAYERS = {
    "foundation": {"plan", "mail"},
    "protocols": {"spf", "dkim", "dmarc", "rbl", "iprev", "greylist", "authres", "srs"},
    "adapters": {"resolvers", "stores"},
    "above protocols": {"arc", "trust"},
    "transaction": {"transaction", "restrictions", "domain"},
    "front doors": {"sync", "aio"},
    "programs": {"config", "cli", "policyd", "milter", "srsd", "service", "aiosmtpd", "page", "testing", "__main__"},
}
# Protocols never import each other; adapters implement what the layers below define.
SIBLINGS = {"foundation", "transaction", "programs"}
ROOT = ""  # mailauth/__init__.py: the version and the root of the errors, for everybody


def allowed(part: str) -> set[str]:
    """The parts that `part` may import."""
    below = {ROOT}
    for name, parts in LAYERS.items():
        if part in parts:
            return below | (parts if name in SIBLINGS else {part})
        # resolvers know no protocol; stores implement the interface that greylist defines.
        below |= parts
    raise AssertionError(f"which layer is {part}? say so in this test and in docs/design.md")


# Third-party and heavy modules, and the only places that may import them.
CONFINED = {
    "dns": ("resolvers/", "testing/dnsserver.py", "testing/conformance/cases.py"),
    "pycares": ("resolvers/",),
    "cryptography": ("dkim/crypto.py",),
    "hypothesis": ("testing/strategies.py",),
    "pytest": ("testing/plugin.py",),
    "idna": ("mail/names.py",),
    "sqlite3": ("stores/",),
    "redis": ("stores/",),
    "psycopg": ("stores/",),
    "psycopg_pool": ("stores/",),
    "trio": ("plan/drivers.py", "stores/", "resolvers/", "aio"),
    "asyncio": (
        "plan/drivers.py",
        "stores/",
        "resolvers/",
        "aio",
        "cli/",
        "policyd/",
        "milter/",
        "srsd/",
        "service/",
        "aiosmtpd",
    ),
    "aiosmtpd": ("aiosmtpd",),
}
MAX_FUNCTION_LINES = 45


def part_of(path: Path) -> str:
    relative = path.relative_to(SOURCE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem.replace("__init__", "")


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where an arrow points"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def own_part(imported: str) -> str | None:
    if not (imported + ".").startswith("mailauth."):
        return None
    words = imported.split(".")
    name = words[1] if len(words) > 1 else ""
    return "" if name in {"MailAuthError", "__version__"} else name


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_arrows_point_one_way(path: Path) -> None:
    part = part_of(path)
    if part == ROOT:
        return
    may_import = allowed(part)
    for line, imported in imports(ast.parse(path.read_text())):
        target = own_part(imported)
        if target is not None:
            assert target in may_import, f"{path}:{line}: {part} may not import {imported}"


def test_resolvers_know_no_protocol() -> None:
    for path in sorted((SOURCE / "resolvers").rglob("*.py")):
        for line, imported in imports(ast.parse(path.read_text())):
            assert own_part(imported) in {None, ROOT, "plan", "mail", "resolvers"}, f"{path}:{line}: {imported}"


def module_graph() -> dict[str, set[str]]:
    """Which module imports which, late imports and those for type checkers included."""
    names = {".".join(("mailauth", *path.relative_to(SOURCE).with_suffix("").parts)): path for path in MODULES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = {}
    for name, path in names.items():
        found = {
            imported if imported in names else imported.rpartition(".")[0]
            for _, imported in imports(ast.parse(path.read_text()))
        }
        graph[name] = {target for target in found if target in names and target not in {name, "mailauth"}}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other, directly or by way of others."""
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as error:
        ring: list[str] = error.args[1]
        return [
            ring,
            *circles({name: targets - ({ring[0]} if name == ring[1] else set()) for name, targets in graph.items()}),
        ]
    return []


def test_no_circle_of_imports() -> None:
    assert circles(module_graph()) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert not circles({"a": {"b", "c"}, "b": {"c"}, "c": set()})


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_heavy_modules_stay_in_their_place(path: Path) -> None:
    where = str(path.relative_to(SOURCE))
    for line, imported in imports(ast.parse(path.read_text())):
        places = CONFINED.get(imported.split(".")[0])
        if places is not None:
            assert where.startswith(places), f"{path}:{line}: {imported} belongs to {places}"


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_functions_are_short(path: Path) -> None:
    for function in functions(ast.parse(path.read_text())):
        body = function.body[1:] if ast.get_docstring(function) else function.body
        if body:
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{path}:{function.lineno} {function.name} has {lines} lines"


def _plan_functions(tree: ast.AST) -> set[str]:
    """The names of the functions that return a plan."""
    return {
        function.name
        for function in functions(tree)
        if function.returns is not None and "Plan" in ast.unparse(function.returns)
    }


PLANS = {name for path in MODULES for name in _plan_functions(ast.parse(path.read_text()))}


def _suspects(node: ast.AST) -> list[ast.expr]:
    """Expressions whose value is dropped, or only tested for truth."""
    if isinstance(node, ast.Expr):
        return [node.value]
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        return [node.test]
    if isinstance(node, ast.BoolOp):
        return node.values
    return [node.operand] if isinstance(node, ast.UnaryOp) else []


def _is_dropped_plan(call: ast.Call, modules: set[str], own_plans: set[str]) -> bool:
    """Whether the call makes a plan. What is neither imported from us nor defined here may have a plan's name only."""
    match call.func:
        case ast.Name(name):
            return name in own_plans or (name in modules and name in PLANS)
        case ast.Attribute(ast.Name("self"), name):
            return name in own_plans
        case ast.Attribute(ast.Name(module), name):
            return module in modules and name in PLANS
    return False


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_plan_is_called_without_yield_from(path: Path) -> None:
    """A plan that is called as a statement, or tested as a condition, never runs: a forgotten `yield from`."""
    tree = ast.parse(path.read_text())
    modules = {imported.split(".")[-1] for _, imported in imports(tree) if own_part(imported) is not None}
    own_plans = _plan_functions(tree)
    for node in ast.walk(tree):
        for call in _suspects(node):
            if isinstance(call, ast.Call):
                dropped = _is_dropped_plan(call, modules, own_plans)
                assert not dropped, f"{path}:{call.lineno}: {ast.unparse(call)} without 'yield from'"


def test_the_yield_from_trap_is_seen() -> None:
    """The check above finds what it looks for."""
    tree = ast.parse("def f():\n    ask_all([])\n    if not self._ask(x): pass\n    key.verify(y)\n")
    calls = [call for node in ast.walk(tree) for call in _suspects(node) if isinstance(call, ast.Call)]
    assert [_is_dropped_plan(call, {"key", "ask_all"}, {"_ask"}) for call in calls].count(True) == 3
    assert [_is_dropped_plan(call, {"ask_all"}, set()) for call in calls].count(True) == 1
    assert not any(_is_dropped_plan(call, set(), set()) for call in calls)
    assert {"ask_all", "check_host"} <= PLANS


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, f"{path} has no docstring"
    assert not path.read_text().startswith("# What belongs here"), f"{path}: help() does not show a comment"


@pytest.mark.parametrize(
    "module", ["mailauth", "mailauth.plan", "mailauth.spf", "mailauth.dkim", "mailauth.sync", "mailauth.aio"]
)
def test_import_loads_nothing_heavy(module: str) -> None:
    heavy = {"dns", "cryptography", "idna", "pycares", "asyncio", "trio", "sqlite3", "redis", "psycopg", "concurrent"}
    program = f"import sys, {module}; print(*sys.modules)"
    # The coverage of programs that tests start is measured, too; here it would be one of the modules.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environment = {**kept, "PYTHONPATH": str(SOURCE.parent)}
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    loaded = {name.split(".")[0] for name in output.split()}
    assert "mailauth" in loaded
    assert not loaded & heavy
