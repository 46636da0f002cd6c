"""Rules: which list to ask, which of its answers count, and for how much.

One line of an administrator's list configuration as a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from mailauth.mail.names import is_fqdn, to_ascii
from mailauth.rbl.catalogue import Kind, KnownList, Sense, State, find
from mailauth.rbl.pattern import Pattern, RuleError
from mailauth.rbl.secrets import hide, secret_labels

MAX_RULE_CHARACTERS = 1024
MAX_WEIGHT = 1_000_000_000
"""Weights are small numbers; the bound keeps sums and their text short."""


class Action(StrEnum):
    """What a listing does to the verdict (`judge`)."""

    SCORE = "score"  # its weight counts, as postscreen counts it
    REJECT = "reject"  # it rejects, whatever the others say, as reject_rbl_client does
    ALLOW = "allow"  # it ends the matter, as permit_dnswl_client does


@dataclass(frozen=True, slots=True, repr=False)
class Rule:
    """One list and how to judge its answers. Immutable; `str` and `repr` show keys in the zone name masked.

    Several rules of one zone tell its sublists apart (RFC 5782 section 6); the zone is asked once.

    `zone` is the real name, A-labels in lower case, with the key if it has one. `filter` says which answers count;
    without one, those count that the catalogue gives for the list, and of a list that is not in it all but 127.0.0.1
    and those in 127.0.4.0/24 (scores).
    `weight` is what a listing adds to the score; None stands for 1, or -1 for a list of good senders. `kind` says
    what the list can be asked about; without it the catalogue does, and a list that is not in it takes addresses and
    domains.
    `secrets` are labels of the zone that must not be shown, besides those that look like keys.

    Raises `RuleError` (a `ValueError`) for a zone that is no domain name, `TypeError` for a value of the wrong type.
    """

    zone: str
    filter: Pattern | None = None
    weight: int | None = None
    action: Action = Action.SCORE
    kind: Kind | None = None
    secrets: tuple[str, ...] = ()
    known: KnownList | None = field(init=False, compare=False)  # the zone's entry in the catalogue; None without one

    def __post_init__(self) -> None:
        self._check_types()
        zone = to_ascii(self.zone)
        if zone is None or not is_fqdn(zone):
            raise RuleError("the zone is no domain name", hide(self.zone, self.secrets))
        known = find(zone)
        guessed = secret_labels(zone, keyed=known is not None and known.keyed and zone != known.zone)
        set_once = object.__setattr__
        set_once(self, "zone", zone)
        set_once(self, "known", known)
        set_once(self, "action", Action(self.action))
        set_once(self, "kind", Kind(self.kind) if self.kind is not None else known.kind if known else None)
        set_once(self, "secrets", tuple(dict.fromkeys((*guessed, *self.secrets))))
        if self.weight is None:
            set_once(self, "weight", self._usual_weight())
        if abs(self.points) > MAX_WEIGHT:
            raise RuleError(f"a weight is at most {MAX_WEIGHT}", str(self))

    def _check_types(self) -> None:
        if not isinstance(self.zone, str):
            raise TypeError(f"the zone is text, not {type(self.zone).__name__}")
        if not isinstance(self.filter, Pattern | None):
            raise TypeError("the filter is a Pattern: Pattern.parse reads the notation")
        if not isinstance(self.weight, int | None):
            raise TypeError(f"the weight is a whole number, not {type(self.weight).__name__}")
        # One string would be a tuple of its letters, and an empty label is everywhere.
        secrets: object = self.secrets
        if not isinstance(secrets, tuple) or not all(isinstance(one, str) and one for one in secrets):
            raise TypeError("secrets is a tuple of labels")

    def __hash__(self) -> int:
        # Rules of one zone are few, and a string caches its hash.
        return hash(self.zone)

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Read ``zone=pattern*weight action``, all but the zone optional. Raises `RuleError`, which says where.

        This is Postfix's notation (postscreen_dnsbl_sites; without a weight, reject_rbl_client), followed by a word
        for the action: ``score`` (the default), ``reject`` or ``allow``. Bit masks are an addition: ``127.0.0.[&8]``.
        """
        if len(text) > MAX_RULE_CHARACTERS:
            raise RuleError("too long for a rule", text)
        return _parse(text)

    @property
    def sense(self) -> Sense:
        """Whether the list is one of good senders or, as all that are not in the catalogue, of bad ones."""
        return Sense.BAD if self.known is None else self.known.sense

    def _usual_weight(self) -> int:
        return -1 if self.sense is Sense.GOOD else 1

    @property
    def points(self) -> int:
        """The weight as a number, whether it was given or follows from the catalogue."""
        return 1 if self.weight is None else self.weight

    @property
    def dead(self) -> bool:
        """Whether the catalogue says that the list is gone; it is then never asked."""
        return self.known is not None and self.known.state is State.DEAD

    @property
    def shown_zone(self) -> str:
        """The zone as people may see it: keys are masked."""
        return self.hide(self.zone)

    def hide(self, text: str) -> str:
        """The text with the zone's keys masked."""
        return hide(text, self.secrets)

    @property
    def notation(self) -> str:
        """The rule in the notation that `parse` reads, with the real zone: keep it to yourself."""
        pattern = "" if self.filter is None else f"={self.filter}"
        action = "" if self.action is Action.SCORE else f" {self.action}"
        weight = "" if self.points == self._usual_weight() else f"*{self.points}"
        return f"{self.zone}{pattern}{weight}{action}"

    def __str__(self) -> str:
        return self.hide(self.notation)

    def __repr__(self) -> str:
        return f"<Rule {self}>"


# rule   = zone [ "=" pattern ] [ "*" weight ] [ 1*WSP action ]
# weight = [ "-" / "+" ] 1*9DIGIT
# action = "score" / "reject" / "allow"
_RULE = re.compile(
    r"[ \t]*(?P<zone>[^=* \t]+)(?:=(?P<pattern>[^* \t]*))?(?:\*(?P<weight>[^ \t]*))?"
    r"(?:[ \t]+(?P<action>[^ \t]+))?[ \t]*"
)
_WEIGHT = re.compile(r"[-+]?[0-9]{1,9}", re.ASCII)


@lru_cache(maxsize=1024)
def _parse(text: str) -> Rule:
    found = _RULE.fullmatch(text)
    if found is None:
        raise RuleError("expected zone=pattern*weight action", text)
    pattern, weight, action = found.group("pattern", "weight", "action")
    if weight is not None and not _WEIGHT.fullmatch(weight):
        raise RuleError("the weight is no whole number", text)
    if action is not None and action not in set(Action):
        raise RuleError(f"the action is one of {', '.join(Action)}", text)
    return Rule(
        found["zone"],
        filter=None if pattern is None else Pattern.parse(pattern),
        weight=None if weight is None else int(weight),
        action=Action(action or Action.SCORE),
    )


def parse_rules(text: str) -> list[Rule]:
    """Read a file of rules: one a line, ``#`` begins a comment. Raises `RuleError`, which names the line."""
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].strip()
        if words:
            try:
                rules.append(Rule.parse(words))
            except RuleError as error:
                raise RuleError(f"line {number}: {error.problem}", error.text, error.position) from None
    return rules


def as_rule(zone: str | Rule) -> Rule:
    """The rule that the caller means. Raises `RuleError` or `TypeError`."""
    if isinstance(zone, Rule):
        return zone
    if isinstance(zone, str):
        return Rule.parse(zone)
    raise TypeError(f"a list is named by a string or a Rule, not {type(zone).__name__}")
