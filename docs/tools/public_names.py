"""``python -m docs.tools.public_names SITE``: fail for a public name that the built reference does not describe.

A name is public if it stands in the ``__all__`` of a package or of `mailauth.sync` and `mailauth.aio`.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import mailauth

_HEADER_LINES = 4  # of objects.inv, Sphinx's inventory format, version 2


def public_names() -> Iterator[tuple[str, str]]:
    """Every public name with the module that offers it, and where it is defined."""
    for module in iter_modules(mailauth.__path__):
        if module.name.startswith("_") or module.name == "aio":  # aio has the names of sync; a test compares them
            continue
        name = f"mailauth.{module.name}"
        for each in getattr(import_module(name), "__all__", ()):
            found = getattr(import_module(name), each)
            home = f"{getattr(found, '__module__', name)}.{getattr(found, '__qualname__', each)}"
            yield f"{name}.{each}", getattr(found, "__name__", home) if isinstance(found, ModuleType) else home


def described(site: Path) -> set[str]:
    """The names that have an entry in the site."""
    octets = (site / "objects.inv").read_bytes()
    *_, packed = octets.split(b"\n", _HEADER_LINES)
    return {line.split(" ", 1)[0] for line in zlib.decompress(packed).decode().splitlines()}


def main() -> int:
    """Print what is missing; the exit status says whether anything is."""
    known = described(Path(sys.argv[1]))
    missing = [name for name, home in sorted(public_names()) if not known & {name, home}]
    for name in missing:
        print(f"{name} has no entry in the reference")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
