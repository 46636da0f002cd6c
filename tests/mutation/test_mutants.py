"""The mutants of a source: what is changed, and what is left out."""

from __future__ import annotations

import pytest

pytest.importorskip("mutmut", reason="needs mutmut: pip install 'mailauth[mutation]'")

from tests.mutation.mutants import File, Mutant

SOURCE = '''
"""Words about the module."""
from functools import lru_cache

LIMIT = 10


class Reader:
    """Words."""

    strict: bool = True

    def read(self, value: str, most: int = 7) -> str:
        """Words."""
        assert value is not None
        if len(value) > most:
            raise ValueError("the value is too long")
        return "a long text" if value else "another text"

    def pairs(self, value: list[int]) -> list[tuple[int, int]]:
        return list(zip(value, value, strict=True))


@lru_cache(maxsize=5)
def reason(code: int) -> str:
    return "timed-out" if code < 3 else f"failed with {code}"
'''


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> list[Mutant]:
    folder = tmp_path_factory.mktemp("source")
    (folder / "reader.py").write_text(SOURCE, "utf-8")
    file = File(folder, "reader.py")
    return [mutant for number in range(len(file)) if (mutant := file.mutant(number)) is not None]


def changes(mutants: list[Mutant], scope: str) -> set[str]:
    return {mutant.after.strip() for mutant in mutants if mutant.scope == scope}


def test_limits_of_modules_and_values_of_classes_are_changed(mutants: list[Mutant]) -> None:
    assert {"LIMIT = 11", "LIMIT = None"} <= changes(mutants, "")
    assert {"strict: bool = False"} <= changes(mutants, "Reader")


def test_conditions_defaults_and_codes_are_changed(mutants: list[Mutant]) -> None:
    assert {"if len(value) >= most:"} <= changes(mutants, "Reader.read")
    assert any("most: int = 8" in after for after in changes(mutants, "Reader.read"))
    assert any("XXtimed-outXX" in after for after in changes(mutants, "reason"))
    assert any("code <= 3" in after for after in changes(mutants, "reason"))


def test_wording_annotations_assertions_and_caches_are_left_alone(mutants: list[Mutant]) -> None:
    after = "".join(mutant.after for mutant in mutants)
    for left_alone in (
        "XXthe value",
        "THE VALUE",
        "XXWords",
        "WORDS",
        "is None",
        "maxsize=6",
        "ValueError(None)",
        "strict=False",
        'or True else "another',
    ):
        assert left_alone not in after
    # Each is a source of its own, and differs from the original.
    assert all(mutant.source(SOURCE) != SOURCE for mutant in mutants)


def test_what_runs_at_import_is_told_apart(mutants: list[Mutant]) -> None:
    where = {mutant.after.strip(): mutant.function for mutant in mutants}
    assert where["LIMIT = 11"] is None
    found = where["if len(value) >= most:"]
    assert found is not None
    assert found.name == "Reader.read"
    [default] = [mutant for mutant in mutants if "most: int = 8" in mutant.after]
    assert default.function is None
    assert default.names == ("read",)
