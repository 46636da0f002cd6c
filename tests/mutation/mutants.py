"""The mutants of a source file: mutmut's operators, without the changes that cannot matter to a user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_arg_removal, operator_assignment

# What is left out. The wording of a text is free: two words with a blank between them. Reason codes, names of tags,
# patterns and everything else that a program reads have none.
_WORDS = re.compile(r"[A-Za-z0-9)}\]'\",;:.%] +[A-Za-z({\['\"]")
# These are for readers and for type checkers, or keep results of pure functions.
_NAMES_LEFT_OUT = {"__slots__", "__all__"}
_CALLS_LEFT_OUT = {"cast", "TypeVar", "lru_cache"}
_CODECS = {"utf-8", "ascii", "latin-1", "utf-16-le"}
_DEFINITIONS_LEFT_OUT = {"__repr__"}


@dataclass(frozen=True, slots=True)
class Function:
    """Where the function stands that holds a mutant: a name as `co_qualname`, the lines at which it can begin."""

    name: str
    first_lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mutant:
    """Some lines of a file, and what stands there instead."""

    path: str  # below src/mailauth
    line: int
    scope: str  # the qualified name of the function or class; empty in the module's own lines
    function: Function | None  # None: it runs when the module is imported
    names: tuple[str, ...]  # what the statement defines, where it runs at import
    kind: str  # the operator
    first: int  # lines [first, last) are replaced
    last: int
    before: str
    after: str

    def source(self, text: str) -> str:
        lines = text.splitlines(keepends=True)
        lines[self.first : self.last] = [self.after]
        return "".join(lines)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it, wherever the lines move to."""
        return self.path, self.scope, squeezed(self.before), squeezed(self.after)

    def __str__(self) -> str:
        change = f"    - {squeezed(self.before)}\n    + {squeezed(self.after)}"
        return f"{self.path}:{self.line} {self.scope or '(module)'}\n{change}"


def squeezed(text: str) -> str:
    return " ".join(text.split())


@dataclass(frozen=True, slots=True)
class Place:
    """A mutant that is not written out yet."""

    node: cst.CSTNode
    mutated: cst.CSTNode
    line: int
    scope: str
    function: Function | None
    names: tuple[str, ...]
    kind: str
    left_out: bool


class File:
    """The mutants of one file."""

    def __init__(self, root: Path, path: str) -> None:
        self.path = path
        self.text = (root / path).read_text("utf-8")
        wrapper = MetadataWrapper(cst.parse_module(self.text))
        finder = _Finder()
        self._module = wrapper.module
        wrapper.visit(finder)
        self._places = finder.places

    def __len__(self) -> int:
        """All places, those that are left out among them: what is left out later moves no other one in a sample."""
        return len(self._places)

    @property
    def total(self) -> int:
        """How many mutants there are."""
        return sum(not place.left_out for place in self._places)

    def mutant(self, number: int) -> Mutant | None:
        """The mutant of that number; None if it is left out, its source cannot be compiled, or is the same."""
        place = self._places[number]
        if place.left_out:
            return None
        try:
            mutated = self._module.deep_replace(place.node, place.mutated).code
            compile(mutated, self.path, "exec")
        except (SyntaxError, cst.CSTValidationError, ValueError):
            return None
        old, new = self.text.splitlines(keepends=True), mutated.splitlines(keepends=True)
        first = _common(old, new)
        last = _common(old[first:][::-1], new[first:][::-1])
        if first + last == len(old) == len(new):
            return None
        before, after = "".join(old[first : len(old) - last]), "".join(new[first : len(new) - last])
        return Mutant(
            path=self.path, line=place.line, scope=place.scope, function=place.function, names=place.names,
            kind=place.kind, first=first, last=len(old) - last, before=before, after=after,
        )  # fmt: skip


def _common(old: list[str], new: list[str]) -> int:
    pairs = enumerate(zip(old, new, strict=False))
    return next((number for number, (one, other) in pairs if one != other), min(len(old), len(new)))


class _Finder(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.places: list[Place] = []
        self._scopes: list[str] = []
        self._functions: list[Function] = []
        self._signature: cst.Parameters | None = None
        self._names: list[tuple[str, ...]] = []
        self._assertions: set[cst.CSTNode] = set()

    def on_visit(self, node: cst.CSTNode) -> bool:
        if _left_out(node):
            return False
        if isinstance(node, cst.Parameters) and node is self._signature:
            self._names.append((self._scopes[-1].rpartition(".")[2],))
        if not isinstance(node, cst.FunctionDef | cst.ClassDef):
            if isinstance(node, cst.Assign | cst.AnnAssign) and not self._functions:
                self._names.append(tuple(_targets(node)))
            self._add(node)
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value == "zip":
            # zip(..., strict=True) asserts what is known.
            self._assertions |= {argument.value for argument in node.args if argument.keyword is not None}
        if isinstance(node, cst.FunctionDef):
            name = ".".join([*self._scopes[-1:], *(["<locals>"] if self._functions else []), node.name.value])
            self._scopes.append(name)
            begins = [self._line(item) for item in (node, *node.decorators)]
            self._functions.append(Function(name, tuple(begins)))
            if len(self._functions) == 1:
                self._signature = node.params
        elif isinstance(node, cst.ClassDef):
            self._scopes.append(".".join([*self._scopes[-1:], node.name.value]))
        return True

    def on_leave(self, node: cst.CSTNode) -> None:
        if isinstance(node, cst.Parameters) and node is self._signature:
            self._names.pop()
            self._signature = None
        if isinstance(node, cst.Assign | cst.AnnAssign) and not self._functions and not _left_out(node):
            self._names.pop()
        if isinstance(node, cst.FunctionDef | cst.ClassDef) and not _left_out(node):
            self._scopes.pop()
            if isinstance(node, cst.FunctionDef):
                self._functions.pop()

    def _line(self, node: cst.CSTNode) -> int:
        return int(self.get_metadata(PositionProvider, node).start.line)

    def _add(self, node: cst.CSTNode) -> None:
        scope = self._scopes[-1] if self._scopes else ""
        function = self._functions[0] if self._functions and self._signature is None else None
        names = self._names[-1] if self._names and function is None else ()
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                if self.get_metadata(PositionProvider, node, None) is None:
                    continue
                if operator is operator_assignment and _is_wording(node.value):
                    continue
                for mutated in operator(node):
                    if operator is operator_arg_removal and _only_words(node, mutated):
                        continue
                    name = operator.__name__.removeprefix("operator_")
                    left_out = node in self._assertions or _says_the_same(node, mutated)
                    self.places.append(Place(node, mutated, self._line(node), scope, function, names, name, left_out))


def _targets(node: cst.Assign | cst.AnnAssign) -> Iterator[str]:
    targets = [node.target] if isinstance(node, cst.AnnAssign) else [target.target for target in node.targets]
    for target in targets:
        if isinstance(target, cst.Name):
            yield target.value
        elif isinstance(target, cst.Tuple):
            yield from (item.value.value for item in target.elements if isinstance(item.value, cst.Name))


def _left_out(node: cst.CSTNode) -> bool:
    """Nothing in this node is changed."""
    match node:
        case cst.Annotation() | cst.Import() | cst.ImportFrom() | cst.Decorator() | cst.Assert():
            return True
        case cst.If(test=cst.Name(value="TYPE_CHECKING")):
            return True
        case cst.FunctionDef(name=cst.Name(value=name)):
            return name in _DEFINITIONS_LEFT_OUT
        case cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString()):
            return True
        case cst.AnnAssign(annotation=cst.Annotation(annotation=cst.Name(value="TypeAlias"))):
            return True
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))]):
            return name in _NAMES_LEFT_OUT
        case cst.Call(func=cst.Name(value=name)):
            return name in _CALLS_LEFT_OUT
        case cst.SimpleString() | cst.FormattedString() | cst.ConcatenatedString():
            return _is_wording(node)
        case _:
            return False


def _is_wording(node: cst.CSTNode | None) -> bool:
    match node:
        case cst.IfExp():
            return _is_wording(node.body) or _is_wording(node.orelse)
        case cst.BinaryOperation(operator=cst.Add()):
            return _is_wording(node.left) or _is_wording(node.right)
        case cst.SimpleString():
            # A pattern is no wording, whatever blanks are in it.
            return "r" not in node.prefix and bool(_WORDS.search(node.raw_value))
        case cst.FormattedString():
            text = "".join(part.value if isinstance(part, cst.FormattedStringText) else "{0}" for part in node.parts)
            return bool(_WORDS.search(text))
        case cst.ConcatenatedString():
            return _is_wording(node.left) or _is_wording(node.right)
        case _:
            return False


def _says_the_same(node: cst.CSTNode, mutated: cst.CSTNode) -> bool:
    """Which of two wordings is taken; a number too large for one more; an assertion of `zip`; a codec in capitals."""
    match node:
        case cst.SimpleString():
            value = node.raw_value.lower()
            return value in _CODECS and isinstance(mutated, cst.SimpleString) and mutated.raw_value.lower() == value
        case cst.IfExp():
            return isinstance(mutated, cst.IfExp) and _is_wording(node)
        case cst.Float():
            return bool(node.evaluated_value + 1 == node.evaluated_value)
        case cst.Call(func=cst.Name(value="zip")):
            kept = {id(argument) for argument in mutated.args} if isinstance(mutated, cst.Call) else set()
            return any(one.keyword is not None and id(one) not in kept for one in node.args)
        case _:
            return False


def _only_words(node: cst.CSTNode, mutated: cst.CSTNode) -> bool:
    """An argument is taken away that holds nothing but wording."""
    assert isinstance(node, cst.Call)
    assert isinstance(mutated, cst.Call)
    kept = {id(argument) for argument in mutated.args}
    return any(_is_wording(argument.value) for argument in node.args if id(argument) not in kept)
