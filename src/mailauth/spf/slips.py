"""Slips of authors: corrections of words that are no terms, and of TXT records that are nearly SPF records.

Guesses for people; a guess is given only if it is valid. What a record means is never decided here.
"""

# SECURITY: the words come from TXT records. Each is looked at with patterns that run over it once, after it was cut to
# `MAX_WORD` characters; longer ones are no slip of a person's.

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, summarize_address_range
from typing import TypeAlias

from mailauth.mail.names import to_ascii
from mailauth.spf.parse import VERSION, has_version, parse_term
from mailauth.spf.problem import RecordError, TermError
from mailauth.spf.record import Record
from mailauth.spf.terms import UnknownModifier

MAX_WORD = 300
MAX_TEXT = 2_000
"""Characters of a TXT record that is looked at for being nearly an SPF record."""

Correction: TypeAlias = tuple[str, str]
"""Why it is wrong, in words, and what to write instead."""

# Word processors and web pages put these for the plain ones.
_TYPOGRAPHIC = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02", '"')
    | dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\uff07", "'")
    | dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\u3000", " ")
    | dict.fromkeys("\ufeff\u200b\u200c\u200d\u2060", "")
    | {"\uff1a": ":", "\uff1d": "=", "\uff0e": ".", "\uff0f": "/", "\u223c": "~", "\u02dc": "~"}
)
_ODD = re.compile("[\u0080-\U0010ffff]")

_WITH_ARGUMENT = "include|exists|ip4|ip6|ptr|mx|a"
_DIGITS = str.maketrans("OoIl", "0011")
# In front of these a blank may be missing; no name or address holds their ":" or "=".
_GLUED = re.compile(r"(?<=[a-z0-9.\]])(?=[-+?~]?(?:(?:include|exists|ip4|ip6):|redirect=))", re.IGNORECASE)
_GLUED_NAMES = re.compile(r"(?i)(?:[-+?~]?(?:ptr|mx|a)){2,4}\Z")
_GLUED_ALL = re.compile(r"(?i)(.*[^-+?~:=])([-+?~]all)\Z")
_DOTTED = r"\d{1,3}(?:\.\d{1,3}){3}"
_IS_IP4 = re.compile(rf"{_DOTTED}(?:/\d+)?\Z")
_IS_IP6 = re.compile(r"(?=(?:[^:]*:){2})[0-9A-Fa-f:.]+(?:/\d+)?\Z")
_IS_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*\.?\Z")
_NAMED = re.compile(r"([-+?~]?)([A-Za-z]+[46]?)([:=])(.*)\Z")
_UNNAMED = re.compile(
    rf"([-+?~]?)(include|exists|redirect|ip[46])[.;,-]?([A-Za-z0-9_][^:=]*|{_DOTTED}.*)\Z", re.IGNORECASE
)

_ALIASES = {
    "in": "include", "inc": "include", "incl": "include", "p": "ptr", "ipv4": "ip4", "ipv6": "ip6", "ip": "ip4",
    "i4": "ip4", "i6": "ip6", "host": "a", "aaaa": "a", "redir": "redirect",
}  # fmt: skip
_NAMES = ("all", "include", "exists", "ip4", "ip6", "ptr", "mx", "a", "redirect", "exp")
_SIGN_OF = {
    "deny": "-",
    "fail": "-",
    "hardfail": "-",
    "-": "-",
    "softfail": "~",
    "~": "~",
    "neutral": "?",
    "?": "?",
    "unknown": "?",
}


def correct_word(word: str) -> Correction | None:
    """What a word that is no term, or that receivers ignore, was probably meant to be; None without a good guess."""
    if len(word) > MAX_WORD:
        return None
    repaired, reasons = word, dict[str, None]()
    # A slip may hide another one: each correction is tried on what the last one made of the word.
    for _ in range(4):
        if are_terms(repaired):
            return ("; ".join(reasons), repaired) if repaired != word else None
        if " " in repaired:
            return _each_repaired(repaired, reasons)
        found = next((correction for rule in _RULES if (correction := rule(repaired)) is not None), None)
        if found is None:
            return None
        reasons[found[0]] = None
        repaired = found[1]
    return None


def _each_repaired(text: str, reasons: dict[str, None]) -> Correction | None:
    words = []
    for word in text.split():
        correction = ("", word) if are_terms(word) else correct_word(word)
        if correction is None:
            return None
        reasons |= {correction[0]: None} if correction[0] else {}
        words.append(correction[1])
    return "; ".join(reasons), " ".join(words)


def correct_name(word: str) -> Correction | None:
    """The same for a valid term whose name is none that a domain has: ``include:*.example.org``, ``a:x.org,y.org``."""
    correction = (_blanks(word) or _argument(word)) if len(word) <= MAX_WORD else None
    return correction if correction is not None and are_terms(correction[1]) else None


def are_terms(text: str) -> bool:
    """Whether these words are valid terms that receivers do not ignore; nothing at all is fine."""
    try:
        return not any(isinstance(parse_term(word), UnknownModifier) for word in text.split(" ") if word)
    except TermError:
        return False


def correct_pair(first: str, second: str) -> Correction | None:
    """What two words were meant to be that a blank tears apart: ``include: x``, ``ip4 192.0.2.1``, ``- all``."""
    if len(first) + len(second) > MAX_WORD:
        return None
    if first in ("-", "+", "?", "~") and are_terms(first + second):
        return "a blank stands behind the qualifier", first + second
    if first.lower() == "all" and second in ("-", "?", "~"):
        return "the qualifier stands in front of all", second + first
    if (second[:1] == "/" or (first[-1:] == "/" and second.isdigit())) and are_terms(first + second):
        return "a blank tears the prefix length off", first + second
    match = re.match(rf"(?i)([-+?~]?)({_WITH_ARGUMENT}|redirect|exp)([:=]?)\Z", first)
    if match is None:
        return None
    sign, name, colon = match.groups()
    argument = second.lstrip(":=;,").rstrip(";,") if name.lower() == "ip6" else second.strip(":=;,")
    if not (_IS_HOST.match(argument) or _IS_IP4.match(argument) or _IS_IP6.match(argument) or "%{" in argument):
        return None
    joined = f"{sign}{name}{'=' if name.lower() in ('redirect', 'exp') else ':'}{second.lstrip(':=')}"
    correction = ("", joined) if are_terms(joined) else correct_word(joined)
    if correction is None:
        return None
    right = "=" if name.lower() in ("redirect", "exp") else ":"
    if colon:
        return f'a blank stands behind "{colon}"', correction[1]
    return (
        f'a blank stands before "{second[0]}"' if second[:1] in (":", "=") else f'"{right}" is missing'
    ), correction[1]


# --- the rules, in the order in which they are tried -----------------------------------------------------------------


def _characters(word: str) -> Correction | None:
    plain = word.translate(_TYPOGRAPHIC)
    if plain != word:
        odd = ", ".join(dict.fromkeys(char for char in _ODD.findall(word) if char.translate(_TYPOGRAPHIC) != char))
        if not odd.isprintable():
            odd = ", ".join(f"U+{ord(char):04X}" for char in dict.fromkeys(word) if char not in plain)
        return f"{odd} is no character of a record", plain
    if any(quote in word for quote in "\"'`"):
        return "quotes do not belong into a record", re.sub("[\"'`]", "", word)
    if "\t" in word:
        return "a tab separates no terms", word.replace("\t", " ")
    if "\n" in word or "\r" in word:
        return "a line end separates no terms", re.sub("[\r\n]+", " ", word).strip()
    if word.startswith(("//", "#")):
        return "a record holds no comments", ""
    if re.match(r"(?i)v=dmarc1?;?\Z", word):
        return "a DMARC record stands at _dmarc. and the domain", ""
    parts = [part for part in re.split("[;,|]", word) if part]
    if len(parts) > 1 and all(are_terms(part) or correct_word(part) for part in parts):
        if not word.lower().startswith(("ip4", "ip6")) or any(":" in part for part in parts[1:]):
            return "only blanks separate terms", " ".join(parts)
    bare = word.strip(";,|")
    if bare != word:
        return "only blanks separate terms", bare
    bare = word.replace("\\", "").rstrip("/.")
    if bare != word and "://" not in word and are_terms(bare):
        return f"{word[-1] if word[-1] in '/.' else 'a backslash'} does not belong here", bare
    mask = re.match(rf"(.*)/({_DOTTED})\Z", word)
    if mask is not None and (length := _mask_length(mask[2])) is not None:
        return "a prefix length stands behind the slash, no mask", f"{mask[1]}/{length}"
    if re.match(r"(?i)v[=:]spf\d?\Z", word):
        return "the version stands twice; take it out", ""
    if not word.isascii():
        head, colon, name = word.partition("=" if word.lower().startswith(("redirect", "exp")) else ":")
        ascii_name = to_ascii(name) if head.isascii() else None
        if ascii_name is not None:
            return "a domain stands in a record as A-labels (RFC 8616 section 4)", head + colon + ascii_name
    return None


def _blanks(word: str) -> Correction | None:
    if " " in word:
        return None
    match = _GLUED_ALL.match(word)
    if match is not None:
        return f"a blank is missing before {match[2]}", f"{match[1]} {match[2]}"
    if _GLUED_NAMES.match(word):
        return "a blank is missing between two terms", " ".join(re.findall(r"(?i)[-+?~]?(?:ptr|mx|a)", word))
    split = _GLUED.sub(" ", word)
    if split != word:
        return "a blank is missing between two terms", split
    return None


def _all(word: str) -> Correction | None:
    match = re.match(r"(?i)(?:all|default)[:=]([-~?]|[a-z]+)\Z", word)
    if match is not None and match[1].lower() in _SIGN_OF:
        return "the qualifier stands in front of all", f"{_SIGN_OF[match[1].lower()]}all"
    match = re.match(r"(?i)([-~?+])\1+all\Z", word) or re.match(
        r"(?i)([-~?+]?)(?:al|alll|all1|a11|aii|a1l|al1)\Z", word
    )
    if match is not None:
        return "the mechanism is called all", f"{match[1]}all"
    match = re.match(r"(?i)([-~?+]all)(?:[?!*]+|/\d*)\Z", word)
    if match is not None:
        return "nothing stands behind all", match[1]
    if re.match(r"(?i)[!_=.,\u00ac]+all\Z", word):
        return f"{word[0]} is no qualifier", f"-{word.lstrip('!_=.,' + chr(0xAC))}"
    match = re.match(r"(?i)[-~?]?(softfail|hardfail|fail|deny|neutral|none|any|everyone|everybody)\Z", word)
    if match is not None:
        sign = word[0] if word[0] in "-~?" else _SIGN_OF.get(match[1].lower(), "-")
        return "the mechanism for everybody is called all", f"{sign}all"
    match = re.match(r"(?i)all([-~?+])\Z", word)
    return None if match is None else ("the qualifier stands in front of all", f"{match[1]}all")


def _name(word: str) -> Correction | None:
    match = _NAMED.match(word)
    if match is None:
        return _no_name(word)
    sign, name, colon, argument = match.groups()
    known = name.lower()
    if known not in _NAMES:
        known = _ALIASES.get(known) or next(iter(get_close_matches(known, _NAMES, n=1, cutoff=0.7)), "")
        if colon == "=" and name.lower() not in _ALIASES:
            # Modifiers may have any name.
            close = get_close_matches(name.lower(), ("redirect", "include", "exists"), n=1, cutoff=0.8)
            return (f"{close[0]} was meant", f"{sign}{close[0]}={argument}") if close else None
        if not known:
            return None
        return f"no mechanism is called {name}", f"{sign}{known}:{argument}"
    right = "=" if known in ("redirect", "exp") else ":"
    if colon != right:
        kind = "modifier" if right == "=" else "mechanism"
        return f'{known} is a {kind}: "{right}" stands behind its name', f"{sign}{name}{right}{argument}"
    if sign and right == "=":
        return "a modifier has no qualifier", word[1:]
    return None


def _no_name(word: str) -> Correction | None:
    sign, bare = (word[0], word[1:]) if word[:1] in ("-", "+", "?", "~") else ("", word)
    if _IS_IP4.match(bare):
        return "an address needs its mechanism", f"{sign}ip4:{bare}"
    if _IS_IP6.match(bare):
        return "an address needs its mechanism", f"{sign}ip6:{bare}"
    match = _UNNAMED.match(word.replace("/", ";", 1) if re.match(r"(?i)[-+?~]?ip[46]/", word) else word)
    if match is not None:
        sign, name, argument = match.groups()
        return "the colon is missing", f"{sign}{name}{'=' if name.lower() == 'redirect' else ':'}{argument}"
    if _IS_HOST.match(bare.partition("/")[0]):
        name = "include" if bare.lower().startswith(("_", "spf.", "spf-")) else "a"
        return "a name needs its mechanism: a: for its addresses, include: for its record", f"{sign}{name}:{bare}"
    return None


def _argument(word: str) -> Correction | None:
    empty = re.match(r"(?i)([-+?~]?(?:a|mx|ptr)):(/.*)?\Z", word)
    if empty is not None:
        return "without a domain there is no colon", f"{empty[1]}{empty[2] or ''}"
    six = re.match(r"(?i)(.*/\d+)(/\d+)\Z", word)
    if six is not None and not word.lower().lstrip("+-?~").startswith("ip"):
        return "the prefix length of IPv6 stands behind //", f"{six[1]}/{six[2]}"
    match = _NAMED.match(word)
    if match is None:
        return None
    sign, name, colon, argument = match.groups()
    head = f"{sign}{name}{colon}"
    if argument[:1] in (":", "="):
        return f'"{colon}" stands twice', head + argument[1:]
    kind = name.lower()
    found = _network(kind, argument) if kind in ("ip4", "ip6") else _host(kind, argument)
    if found is None:
        return None
    words, repaired = found
    return words, " ".join(f"{sign}{each}" if each.startswith(_TERMS) else head + each for each in repaired)


_TERMS = tuple(f"{name}:" for name in _NAMES)


def _network(kind: str, argument: str) -> tuple[str, list[str]] | None:
    """What is wrong with an address, and the arguments, or whole terms, in its place."""
    found = _writing_of_address(kind, argument)
    if found is not None:
        return found
    parts = [part for part in re.split("[,;]", argument) if part]
    if kind == "ip4" and re.match(r"\d{1,3}(?:,\d{1,3}){3}(?:/\d+)?\Z", argument):
        return "points stand between the numbers of an address", [argument.replace(",", ".")]
    zeros = re.sub(r"(?<![0-9])0+(?=[0-9])", "", argument.partition("/")[0])
    if kind == "ip4" and _IS_IP4.match(argument) and zeros != argument.partition("/")[0]:
        return "numbers have no zeros in front", [zeros + "".join(argument.partition("/")[1:])]
    groups = re.match(r"([0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){1,6}):?\Z", argument)
    if kind == "ip6" and groups is not None:
        return "a network of IPv6 ends in :: and has a prefix length", [
            f"{groups[1]}::/{16 * groups[1].count(':') + 16}"
        ]
    if len(parts) > 1 or argument.endswith((",", ";")):
        return "each network needs a term of its own", [f"{kind}:{part}" for part in parts]
    literal = re.match(r"\[(?:IPv6:)?([0-9A-Fa-f:.]+)\](/\d+)?\Z", argument)
    if literal is not None:
        return "no brackets stand around an address", [literal[1] + (literal[2] or "")]
    ends = re.match(rf"({_DOTTED})-({_DOTTED})\Z", argument)
    if kind == "ip4" and ends is not None and (inside := _range(ends[1], ends[2])):
        return "networks are written with a prefix length", [str(net).removesuffix("/32") for net in inside]
    if kind == "ip4" and _IS_IP6.match(argument):
        return "this is an IPv6 address", [f"ip6:{argument}"]
    if kind == "ip6" and _IS_IP4.match(argument):
        return "this is an IPv4 address", [f"ip4:{argument}"]
    address, slash, length = argument.partition("/")
    if slash and (not length or (length.isdigit() and length != length.lstrip("0") and int(length))):
        return "the prefix length is wrong", [f"{address}/{length.lstrip('0')}" if length else address]
    if _IS_HOST.match(argument):
        return f"{kind} takes no name; a: does", [f"a:{argument}"]
    if kind == "ip6" and slash and _IS_IP6.match(address) and length.isdigit() and int(length[:4]) > 128:
        return "a prefix length is at most 128 here", [f"{address}/128"]
    if kind == "ip4" and slash and re.match(_DOTTED + r"\Z", address) and length.isdigit() and int(length[:4]) > 32:
        return "a prefix length is at most 32 here", [f"{address}/32" if length != "64" else address]
    short = re.match(r"(\d{1,3}(?:\.\d{1,3}){0,2})\.?(?:/(\d+))?\Z", argument)
    if kind == "ip4" and short is not None:
        given = short[1].split(".")
        whole = ".".join(given + ["0"] * (4 - len(given)))
        return "an IPv4 address has four parts (RFC 7208 section 5.6)", [f"{whole}/{short[2] or 8 * len(given)}"]
    stars = re.match(r"((?:\d{1,3}\.){1,3})\*(?:\.\*)*\Z", argument)
    if kind == "ip4" and stars is not None:
        given = stars[1].rstrip(".").split(".")
        return "a network has a prefix length", [".".join(given + ["0"] * (4 - len(given))) + f"/{8 * len(given)}"]
    return None


def _writing_of_address(kind: str, argument: str) -> tuple[str, list[str]] | None:
    """The same for what stands around an address, or in place of its characters."""
    port = re.match(rf"({_DOTTED}|\[[0-9A-Fa-f:.]+\]):\d{{1,5}}\Z", argument)
    if port is not None:
        return "no port stands behind an address", [port[1].strip("[]")]
    zone = re.match(r"([0-9A-Fa-f:.]+)%\w+\Z", argument)
    if kind == "ip6" and zone is not None:
        return "no zone stands behind an address", [zone[1]]
    link = re.match(rf"(?i)https?://({_DOTTED})/*\Z", argument)
    if link is not None:
        return "an address stands here, nothing else", [link[1]]
    backslash = re.match(rf"({_DOTTED})[\\|]+(\d+)\Z", argument)
    if kind == "ip4" and backslash is not None:
        return "a / stands in front of the prefix length", [f"{backslash[1]}/{backslash[2]}"]
    last = re.match(r"((\d{1,3}\.\d{1,3}\.\d{1,3}\.)\d{1,3})-(\d{1,3})\Z", argument)
    # "203.0.113.0-24" may be a range, and may be a prefix length.
    is_length = last is not None and last[1].endswith(".0") and 8 <= int(last[3]) <= 32
    if kind == "ip4" and last is not None and not is_length and (inside := _range(last[1], last[2] + last[3])):
        return "networks are written with a prefix length", [str(net).removesuffix("/32") for net in inside]
    if kind == "ip4" and re.match(r"\d{1,3}(?:\.{1,2}\d{1,3}){3}(?:/\d+)?\Z", argument) and ".." in argument:
        return "one point stands between the numbers of an address", [argument.replace("..", ".")]
    digits = argument.translate(_DIGITS)
    if kind == "ip4" and digits != argument and _IS_IP4.match(digits):
        return "a letter stands in place of a digit", [digits]
    return None


def _mask_length(mask: str) -> int | None:
    try:
        return IPv4Network(f"0.0.0.0/{mask}").prefixlen
    except ValueError:
        return None


def _range(first: str, last: str) -> list[IPv4Network]:
    try:
        return list(summarize_address_range(IPv4Address(first), IPv4Address(last)))[:8]
    except ValueError:
        return []


def _host(kind: str, argument: str) -> tuple[str, list[str]] | None:
    """The same for the argument of a term that takes a name."""
    if kind != "exp" and _IS_IP4.match(argument):
        return f"{kind} takes a name, no address", [f"ip4:{argument}"]
    if kind != "exp" and _IS_IP6.match(argument):
        return f"{kind} takes a name, no address", [f"ip6:{argument}"]
    port = re.match(r"([A-Za-z0-9_.-]+):\d{1,5}\Z", argument)
    if port is not None:
        return "no port stands behind a name", [port[1]]
    inner = re.match(r"(?i)(include|exists|ip4|ip6|a|mx|ptr):(.+)\Z", argument)
    if inner is not None and kind != "exp":
        return "one mechanism stands in another", [f"{inner[1].lower()}:{inner[2]}"]
    sized = re.match(r"([A-Za-z0-9_.-]+)/\d+\Z", argument)
    if kind not in ("a", "mx") and sized is not None:
        return f"{kind} takes no prefix length", [sized[1]]
    bracketed = re.match(r"[\[<]([^\[\]<>]+)[\]>]\Z", argument)
    if bracketed is not None:
        return "no brackets stand around a name", [bracketed[1]]
    if "," in argument:
        parts = [part for part in argument.split(",") if part]
        return "each name needs a term of its own", [f"{kind}:{part}" for part in parts]
    link = re.match(r"(?i)(?:https?|mailto|spf)://?([^/\s]+)/*\Z", argument) or re.match(r"[^@]+@(.+)\Z", argument)
    if link is not None:
        return "a domain stands here, nothing else", [link[1]]
    macro = re.sub(r"%?[({<]([slodiphv]\d*r?)[)}>]|%([slodiphv])(?=\.|\Z)", r"%{\1\2}", argument)
    if macro != argument:
        return "a macro is written %{letter}", [macro]
    bare = re.sub(r"\A(?:\*\.|\.+)|(?<=\.)\.+", "", argument)
    if bare != argument:
        return "this is no name of a domain", [bare]
    return None


_RULES: Sequence[Callable[[str], Correction | None]] = (_characters, _all, _blanks, _name, _argument)


# --- records that are none -------------------------------------------------------------------------------------------

_SENDER_ID = re.compile(r"(?i)spf2\.0/[a-z,]+")
# What people write for "v=spf1", with what stands around it.
_VERSION_MEANT = re.compile(
    r"(?i)(?:spf\s*[:=]\s*)?(?:v\s*[=:-]?\s*)?(?:spf|sfp|psf)\s*v?[1i]?(?:\.0)?(?![0-9a-z_.])[\s;,:.|]*"
    r"|v=spf1(?=[-+?~]?(?:include:|ip4:|ip6:|exists:|redirect=|mx|a\b|all))"
)
# What of a zone file's line, or of a form, is put into the text.
_AROUND = re.compile(
    r"(?i)(?:[(<\[{]|txt\s*[=:]|spf\s*record\s*[=:]|(?:[a-z0-9_.@-]+\s+)?(?:\d+\s+)?(?:in\s+)?(?:txt|spf)(?=[\s\"'`]))[\s\"'`]*(?=v=spf1)"
)
_HINT = re.compile(rb"(?i)spf|sfp|psf")


def nearly(octets: bytes) -> Correction | None:
    """Why a TXT record is no SPF record (RFC 7208 section 4.5) though it was meant as one, and what to write.

    None for a record of something else, and for one that has the version. What to write is empty without a good guess.
    """
    if len(octets) > MAX_TEXT or not _HINT.search(octets[:80]):
        return None
    text = decoded(octets)
    if has_version(text):
        return None
    if _SENDER_ID.match(text):
        words = "a Sender ID record (RFC 4406), which SPF does not read"
        return words, _repaired(_SENDER_ID.sub("", text, count=1).strip())
    plain = text.translate(_TYPOGRAPHIC)
    bare = plain.strip().strip("\"'`").lstrip()
    around = _AROUND.match(bare)
    if around is not None:
        return _of_zone_file(bare, around)
    match = _VERSION_MEANT.match(bare) or re.match(r"(?i)v=spf[\w.]*", bare)
    if match is None:
        return None
    repaired = _repaired(bare[match.end() :])
    if not repaired and not bare.lower().startswith("v=spf"):
        return None
    return _why_no_record(text, plain, bare), repaired


def _of_zone_file(text: str, around: re.Match[str]) -> Correction | None:
    """A record with what stands around it in a zone file, a form or a page."""
    rest = re.sub("[\"'`]", "", text[around.end() :]).strip()
    behind = rest[len(VERSION) : len(VERSION) + 1]
    shown = around[0].strip().strip("\"'`").strip()
    if not rest.lower().startswith(VERSION) or not (behind in ("", " ") and shown.isascii() and shown.isprintable()):
        return None
    closing = {"(": ")", "<": ">", "[": "]", "{": "}"}.get(shown[-1:], "")
    return f'"{shown[:40]}" stands before the version', _repaired(rest[len(VERSION) :].rstrip(closing))


def _why_no_record(text: str, plain: str, bare: str) -> str:
    if text[:1] == "\ufeff":
        return "a byte-order mark stands before the version"
    if plain.strip()[:1] in ('"', "'", "`"):
        return "the quotes are part of the text"
    if plain[:1].isspace():
        return "a blank stands before the version"
    if bare.lower().startswith(VERSION):
        behind = plain[len(VERSION) : len(VERSION) + 1]
        if behind == "\t":
            return "a tab stands behind the version, where only a blank may"
        if behind.isdigit() or behind == ".":
            return f'the version is not exactly "{VERSION}"'
        if behind.isalpha() or behind in "-+?~":
            return "the blank behind the version is missing, as where strings are put together without one"
        shown = behind if behind.isprintable() and behind != " " else f"U+{ord(text[len(VERSION)]):04X}"
        return f'"{shown}" stands behind the version, where only a blank may'
    return f'it does not begin with "{VERSION}"'


def _repaired(rest: str) -> str:
    """A valid record of these words, as they stand or repaired; empty if they cannot be."""
    words = []
    for word in rest.strip().rstrip("\"'`").split():
        correction = None if are_terms(word) else correct_word(word)
        words += (word if correction is None else correction[1]).split()
    text = " ".join([VERSION, *words])
    try:
        record = Record.parse(text)
    except RecordError:
        return ""
    return text if record.terms else ""


def decoded(octets: bytes) -> str:
    """A TXT record as its author sees it: UTF-8 if it is, else an octet a character."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")
