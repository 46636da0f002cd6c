"""What differs between the message as it was signed and as it came, line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import SequenceMatcher

from mailauth.dkim.explanation.result import excerpt

MAX_LINES = 60
"""Lines of a diff that are kept."""

_MAX_COMPARED = 400  # lines in which likeness is looked for, which takes the square of their number
_MAX_OCTETS = 4 * 1024 * 1024
_LINE = 300  # characters of a line
_CONTEXT = 1


def difference(signed: bytes, came: bytes) -> tuple[str, ...]:
    """Lines that begin with "-" (as it was signed), "+" (as it came) or a blank; "@" begins a gap."""
    signed, came, cut = _around_the_first(signed, came)
    before, after = _lines(signed), _lines(came)
    start = 0
    shorter = min(len(before), len(after))
    while start < shorter and before[start] == after[start]:
        start += 1
    end = 0
    while end < shorter - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    if not old and not new:
        return ()
    lines = [_shown(" ", line) for line in before[max(0, start - _CONTEXT) : start]]
    lines += _compared(old, new)
    lines += [_shown(" ", line) for line in after[len(after) - end :][:_CONTEXT]]
    if cut:
        lines.append("@ the body is large: only its first difference is shown")
    if len(lines) > MAX_LINES:
        more = len(lines) - MAX_LINES
        lines = [*lines[:MAX_LINES], f"@ {more} more lines"]
    return tuple(lines)


def _around_the_first(signed: bytes, came: bytes) -> tuple[bytes, bytes, bool]:
    """Both whole; of large ones only the lines that differ, or the first of these, and whether there are more."""
    if max(len(signed), len(came)) <= _MAX_OCTETS:
        return signed, came, False
    most = min(len(signed), len(came))
    same = _longest(most, lambda some, more: memoryview(signed)[some:more] == memoryview(came)[some:more])
    # With the line before it, and with the line end of what stands before that.
    start = max(0, signed.rfind(b"\r\n", 0, max(0, signed.rfind(b"\r\n", 0, same))))
    one, other = len(signed), len(came)
    alike = _longest(
        most - same,
        lambda some, more: memoryview(signed)[one - more : one - some] == memoryview(came)[other - more : other - some],
    )
    # Up to the end of the last line that differs, and with the one behind it.
    end = signed.find(b"\r\n", one - alike)
    end = signed.find(b"\r\n", end + 2) if end >= 0 else -1
    kept = one - end - 2 if end >= 0 else 0
    before, after = signed[start : one - kept], came[start : other - kept]
    return before[:_MAX_OCTETS], after[:_MAX_OCTETS], max(len(before), len(after)) > _MAX_OCTETS


def _longest(most: int, alike: Callable[[int, int], bool]) -> int:
    """How many octets are alike. What is left is halved each time, so all of it takes twice the octets."""
    same = 0
    while same < most:
        half = (same + most + 1) // 2
        if alike(same, half):
            same = half
        else:
            most = half - 1
    return same


def _lines(octets: bytes) -> list[bytes]:
    return octets.removesuffix(b"\r\n").split(b"\r\n") if octets else []


def _compared(old: list[bytes], new: list[bytes]) -> Iterator[str]:
    if max(len(old), len(new)) > _MAX_COMPARED:
        half = MAX_LINES // 2 - 3  # with room for what says how many are left out, and for the lines around
        yield from (_shown("-", line) for line in old[:half])
        if len(old) > half:
            yield f"@ {len(old) - half} more lines of what was signed"
        yield from (_shown("+", line) for line in new[:half])
        if len(new) > half:
            yield f"@ {len(new) - half} more lines of what came"
        return
    for groups in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(_CONTEXT):
        if groups[0][1] or groups[0][3]:
            yield "@"
        for tag, i, j, k, m in groups:
            if tag == "equal":
                yield from (_shown(" ", line) for line in old[i:j])
            else:
                yield from (_shown("-", line) for line in old[i:j])
                yield from (_shown("+", line) for line in new[k:m])


def _shown(mark: str, line: bytes) -> str:
    return mark + excerpt(line, _LINE).replace("\n", "\\n")
