"""The documentation of the configuration file.

Docs/configuration.md has every key of the schema, with its type and default, and no other; its example can be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

from mailauth.config import Config, parse
from mailauth.config.reader import slots_of, table_class
from mailauth.config.restrictions import _ALIASES, _takes, forms
from mailauth.config.values import type_words

DOCUMENT = (Path(__file__).parent.parent.parent / "docs" / "configuration.md").read_text()
ROW = re.compile(r"^\| `([a-z0-9_.]+)` \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
MANY = 5


def documented() -> dict[str, tuple[str, str, str]]:
    return {key: (kind, default, words) for key, kind, default, words in ROW.findall(DOCUMENT)}


def schema(cls: type[Any] = Config, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Every key of the schema with its type and default in the words of the documentation."""
    for name, slot in slots_of(cls).items():
        kind = get_args(slot.kind)[0] if get_origin(slot.kind) is tuple else slot.kind
        inner = table_class(kind)
        if inner is not None:
            yield from schema(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, type_words(slot.kind), "required" if slot.required else shown(default_of(slot.field))


def default_of(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def shown(value: Any) -> str:
    """A default as the file would say it; "-" for none, "built in" for a long list."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "built in" if len(value) > MANY else "`[" + ", ".join(shown(item).strip("`") for item in value) + "]`"
    if isinstance(value, str | Enum):
        return f'`"{getattr(value, "value", value)}"`'
    return f"`{int(value)}`" if isinstance(value, float) and value.is_integer() else f"`{value}`"


def test_keys_types_and_defaults_agree() -> None:
    found = {key: (kind, default) for key, (kind, default, _) in documented().items()}
    expected = {key: (kind, default) for key, kind, default in schema()}
    assert found == expected


def test_every_key_says_what_it_does_and_where_its_default_comes_from() -> None:
    for key, (_, default, words) in documented().items():
        assert len(words) > 10, key
        if default not in ("-", "required", "`[]`"):
            assert re.search(r"RFC \d+|Postfix|postscreen|here:|aiosmtpd|OpenSSL|IANA", words), (
                f"{key}: what is the source?"
            )


def test_every_restriction_is_documented() -> None:
    listed = dict(re.findall(r"^\| `([a-z_]+)` \| (.+?) \|", DOCUMENT, re.MULTILINE))
    names = [*forms(), *_ALIASES, "warn_if_reject"]
    assert set(names) <= set(listed)
    for name, form in forms().items():
        for words in filter(None, _takes(form, {}).split(", ")):
            assert words == "nothing" or words.split("=")[0] in listed[name], f"{name}: {words}"


def test_the_example_can_be_read() -> None:
    (example,) = re.findall(r"```toml\n(hostname.*?)```", DOCUMENT, re.DOTALL)
    config = parse(example)
    assert config.listen is not None
    assert config.restrictions is not None
