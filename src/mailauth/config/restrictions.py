"""Restrictions by their Postfix-like names and words.

One item of a restriction list, text such as "reject_rbl zen.example*3 threshold=3", read into a restriction. Which
restrictions there are and what each takes is read from their signatures, so that nothing is written down twice. The
text is the administrator's: only names in the table below are looked up.
"""

#   item   = ["warn_if_reject" SP] name *( SP ( word / option ) )
#   option = key "=" value                      value of a list: word *( "," word )

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mailauth import restrictions
from mailauth.config.errors import propose
from mailauth.config.schema import Config
from mailauth.rbl import DEFAULT_THRESHOLD, Kind, Rule, rules_of
from mailauth.rbl import Action as ListAction
from mailauth.rbl.secrets import hide_guessed
from mailauth.restrictions import Restriction, warn_if_reject
from mailauth.transaction.checks import lists_by_kind

WARN = "warn_if_reject"

# Postfix's own names (postconf(5)) for what has another name, or one name for all, here.
_ALIASES: dict[str, tuple[str, dict[str, str]]] = {
    "permit_sasl_authenticated": ("permit_authenticated", {}),
    "reject_rbl_client": ("reject_rbl", {}),
    "reject_rhsbl_sender": ("reject_rhsbl", {"of": "sender"}),
    "reject_rhsbl_helo": ("reject_rhsbl", {"of": "helo"}),
    "reject_rhsbl_client": ("reject_rhsbl", {"of": "client"}),
    "reject_rhsbl_reverse_client": ("reject_rhsbl", {"of": "reverse_client"}),
}


class NotSet(ValueError):
    """A restriction goes by a key that is not set; `path` is that key."""

    def __init__(self, words: str, path: tuple[str, ...]) -> None:
        super().__init__(words)
        self.path = path


@dataclass(frozen=True)
class Form:
    """How a restriction is written: what its words are called (empty: none), and the type of each option."""

    make: Callable[..., Restriction]
    words: str
    options: Mapping[str, Any]


@cache
def forms() -> dict[str, Form]:
    """Each restriction by its name here."""
    offered = {name: getattr(restrictions, name) for name in sorted(restrictions.__all__) if name != WARN}
    return {name: _form(make) for name, make in offered.items() if _makes_a_restriction(make)}


def _makes_a_restriction(make: Any) -> bool:
    return inspect.isfunction(make) and get_type_hints(make).get("return") is Restriction


def _form(make: Callable[..., Restriction]) -> Form:
    hints = get_type_hints(make)
    words, options = "", {}
    for parameter in inspect.signature(make).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            words = parameter.name
        else:
            options[parameter.name] = hints[parameter.name]
    return Form(make, words, options)


def known_names() -> list[str]:
    """Every name that may stand in a list."""
    return sorted({*forms(), *_ALIASES, WARN})


def read_restriction(text: str, config: Config) -> Restriction:
    """One item of a list. Raises `ValueError`, whose words say what would do."""
    name, _, rest = text.strip().partition(" ")
    if name == WARN:
        if not rest.strip():
            raise ValueError(f"{WARN} stands before the restriction that it softens: {WARN} reject_rbl")
        return warn_if_reject(read_restriction(rest, config))
    real, preset = _ALIASES.get(name, (name, {}))
    form = forms().get(real)
    if form is None:
        raise ValueError(f"unknown restriction {name!r}{propose(name, known_names())}")
    words, options = _split(name, form, rest.split(), preset)
    return form.make(*_given(name, form, words, config), **{**_defaults(real, config), **options})


def lists_in(text: str, config: Config) -> tuple[list[Rule], Sequence[Kind], int]:
    """The lists that an item names itself, what it asks them about, and its threshold. The item can be read."""
    name, _, rest = text.strip().removeprefix(WARN).strip().partition(" ")
    real, preset = _ALIASES.get(name, (name, {}))
    if real not in _ASKS:
        return [], (), DEFAULT_THRESHOLD
    words, options = _split(name, forms()[real], rest.split(), preset)
    threshold = {**_defaults(real, config), **options}.get("threshold", DEFAULT_THRESHOLD)
    return rules_of(words), _ASKS[real], threshold


_ASKS: dict[str, Sequence[Kind]] = {
    "reject_rbl": (Kind.ADDRESS, Kind.DKIM),
    "reject_rhsbl": (Kind.DOMAIN,),
    "reject_ebl_sender": (Kind.EMAIL,),
}


def _split(name: str, form: Form, parts: Sequence[str], preset: Mapping[str, str]) -> tuple[list[str], dict[str, Any]]:
    """Words and options. An option is known by its key, since the notation of block lists has a "=", too."""
    words: list[str] = []
    options: dict[str, Any] = dict(preset)
    for part in parts:
        key, equals, value = part.partition("=")
        if equals and key in form.options and key not in preset:
            options[key] = _option(key, form.options[key], value)
        elif form.words == "zones" and part in set(ListAction) and words:
            words[-1] += f" {part}"
        elif not form.words or (equals and "." not in key):
            takes = f"; {name} takes {_takes(form, preset)}"
            raise ValueError(f"{hide_guessed(part)!r} is not understood{takes}")
        else:
            words.append(part)
    return words, options


def _takes(form: Form, preset: Mapping[str, str]) -> str:
    own = [form.words] if form.words else []
    takes = own + [f"{key}={_value_words(kind)}" for key, kind in form.options.items() if key not in preset]
    return ", ".join(takes) or "nothing"


def _value_words(kind: Any) -> str:
    kind, choices, several = _option_type(kind)
    if kind is bool:
        return "true|false"
    return (",".join(choices) if several else "|".join(choices)) if choices else str(kind.__name__)


def _option_type(kind: Any) -> tuple[Any, tuple[str, ...], bool]:
    """The bare type of an option, its words if it has some, and whether it takes several."""
    if get_origin(kind) in (Union, UnionType):
        (kind,) = [member for member in get_args(kind) if member is not type(None)]
    several = get_origin(kind) in (Sequence, tuple)
    if several:
        kind = get_args(kind)[0]
    return kind, get_args(kind) if get_origin(kind) is Literal else (), several


def _option(key: str, kind: Any, text: str) -> Any:
    kind, choices, several = _option_type(kind)
    values = text.split(",") if several else [text]
    read = [_option_value(key, kind, choices, value) for value in values]
    return tuple(read) if several else read[0]


def _option_value(key: str, kind: Any, choices: tuple[str, ...], text: str) -> Any:
    if choices:
        if text not in choices:
            raise ValueError(f"{key}={text}: unknown word{propose(text, choices)}")
        return text
    if kind is bool:
        # TOML's words, and Postfix's.
        if text not in ("true", "false", "yes", "no"):
            raise ValueError(f"{key}={text}: expected true or false")
        return text in ("true", "yes")
    if kind is int:
        if not (text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() and len(text) < 10):
            raise ValueError(f"{key}={text}: expected a whole number")
        if key == "code" and not 400 <= int(text) <= 599:
            raise ValueError(f"{key}={text}: the code of a refusal is between 400 and 599")
        return int(text)
    return text


def _given(name: str, form: Form, words: Sequence[str], config: Config) -> Sequence[Any]:
    """The words, or what the file says once for all restrictions."""
    if words or not form.words:
        return words
    match form.words:
        case "networks" if not config.networks:
            raise NotSet(f"{name} has no networks: name them here, or set networks", ("networks",))
        case "networks":
            return config.networks
        case "domains" if not config.domains:
            raise NotSet(f"{name} has no domains: name them here, or set domains", ("domains",))
        case "domains":
            return config.domains
    if form.make is restrictions.reject_rhsbl:
        raise ValueError(f"{name} names no list: {name} dbl.example")
    lists = lists_by_kind(config.rbl.lists)
    if not (lists.email if form.make is restrictions.reject_ebl_sender else lists.client or lists.dkim):
        raise NotSet(f"{name} has no lists: name them here, or set lists in [rbl]", ("rbl", "lists"))
    return ()  # those of the Authenticator


def _defaults(name: str, config: Config) -> dict[str, Any]:
    return {"threshold": config.rbl.threshold} if name == "reject_rbl" else {}
