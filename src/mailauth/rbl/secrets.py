"""Keys in zone names: several lists give each customer a zone whose first label is the customer's key.

Which labels of a zone name are somebody's key, and how to hide them in what people see.
"""

from __future__ import annotations

import re

MASK = "***"

# Keys are long runs of letters and digits (26 to 32 characters at the lists that use them), words in zone names are
# short or hyphenated. A label counts as a key from this length on, if it has a digit; any label from 24 on.
MIN_KEY_CHARACTERS = 16
_KEY = rf"(?:(?=[a-z0-9]*[0-9])[a-z0-9]{{{MIN_KEY_CHARACTERS},}}|[a-z0-9]{{24,}})(?![a-z0-9])"
_KEY_LABEL = re.compile(rf"{_KEY}\Z", re.ASCII | re.IGNORECASE)
_KEY_WORD = re.compile(rf"(?<![a-z0-9]){_KEY}", re.ASCII | re.IGNORECASE)


def secret_labels(zone: str, *, keyed: bool = False) -> tuple[str, ...]:
    """The labels of the zone that look like keys; of a zone that is known to be `keyed` the first label at least."""
    labels = zone.split(".")
    found = tuple(label for label in labels[:-1] if _KEY_LABEL.match(label))
    if keyed and labels[0] not in found:
        return (labels[0], *found)
    return found


def hide(text: str, secrets: tuple[str, ...]) -> str:
    """The text with every occurrence of a secret replaced, in whatever case it stands."""
    if not secrets:
        return text
    # The longest first: a secret may begin with another one.
    words = "|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True))
    return re.sub(words, MASK, text, flags=re.IGNORECASE)


def hide_guessed(text: str) -> str:
    """The text of a rule that is wrong, whatever is wrong with it, with every word that looks like a key replaced."""
    return _KEY_WORD.sub(MASK, text)
