"""Why do the signatures of a message not pass, and what would make them pass?

Verification first, as everywhere; then, for each signature that does not pass, the key, the header and the body, each
by itself. No clock and no DNS of its own: the keys are asked for by a plan, `clock` is an argument.
"""

# SECURITY: everything here comes from the peer. The message is bounded in memory, the search by `ExplainLimits`; the
# verifier's own verdict stands, whatever the search finds: an explanation is never a pass.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from mailauth.dkim.explanation.bounds import ExplainLimits
from mailauth.dkim.explanation.reading import read_field
from mailauth.dkim.explanation.result import Explanation
from mailauth.dkim.policy import DkimPolicy
from mailauth.dkim.result import Reason, Result, Signature
from mailauth.dkim.verification import Verifier, VerifyPlan
from mailauth.mail.lines import MessageSource, blocks, message_source
from mailauth.plan import Answer, Call, Gather, Plan, Question, ask_all

ExplainPlan: TypeAlias = Plan[list[Explanation]]
"""A plan that ends in one explanation for each signature of a message, top first."""

_DEFAULT_POLICY = DkimPolicy()
_DEFAULT_LIMITS = ExplainLimits()


def explain(
    message: MessageSource,
    *,
    now: float,
    policy: DkimPolicy = _DEFAULT_POLICY,
    limits: ExplainLimits = _DEFAULT_LIMITS,
    clock: Callable[[], float] | None = None,
    worker: Callable[[Callable[[], Any]], Any] | None = None,
) -> ExplainPlan:
    """A plan that says of every DKIM signature why it has its result, and what would make it pass; top first.

    `message`, `now` and `policy` are those of `verify`. `limits` bound the search; its seconds count by `clock` (such
    as `time.monotonic`), and not at all without one. `worker` may call the search elsewhere, in a thread for example,
    and may return an awaitable. No signature: an empty list. Raises as `verify` does.
    """
    explainer = Explainer(now=now, policy=policy, limits=limits, clock=clock, worker=worker)
    source = message_source(message)

    def read_and_explain() -> ExplainPlan:
        for block in blocks(source):
            explainer.feed(block)
        return (yield from explainer.finish())

    return read_and_explain()


class Explainer:
    """Explains a message that is pushed in pieces; up to `ExplainLimits.message_octets` of it are kept.

    Parameters as for `explain`; how the message was cut does not matter.
    """

    def __init__(
        self,
        *,
        now: float,
        policy: DkimPolicy = _DEFAULT_POLICY,
        limits: ExplainLimits = _DEFAULT_LIMITS,
        clock: Callable[[], float] | None = None,
        worker: Callable[[Callable[[], Any]], Any] | None = None,
    ) -> None:
        self._verifier = Verifier(now=now, policy=policy)
        self._limits, self._clock, self._worker = limits, clock, worker
        self._pieces: list[bytes] = []
        self._octets = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece of the message. Raises `ValueError` for a message that was finished."""
        self._verifier.feed(data)
        self._octets += len(data)
        if self._octets <= self._limits.message_octets:
            self._pieces.append(data)
        else:
            self._pieces.clear()

    def finish(self) -> ExplainPlan:
        """The message is at its end; return the plan that asks for the keys and returns the explanations."""
        return self._explain(self._verifier.finish())

    def _explain(self, verifying: VerifyPlan) -> ExplainPlan:
        answers: dict[Question, Answer] = {}
        signatures = yield from _noting(verifying, answers)
        header = self._verifier.header
        assert header is not None
        fields = [read_field(raw, header) for raw in header.octets_by_name.get("dkim-signature", ())]
        # The verifier does not ask for the keys of signatures that it refuses before.
        missing = dict.fromkeys(
            read.field.terms.question
            for read, signature in zip(fields, signatures, strict=True)
            if read is not None and to_search(signature) and read.field.terms.question not in answers
        )
        if missing:
            answers |= zip(missing, (yield from ask_all(missing)), strict=True)

        def work() -> list[Explanation]:
            from mailauth.dkim.explanation.case import Case  # with all that it needs to search, which takes time

            too_large = self._octets > self._limits.message_octets
            body = b"".join(self._pieces)[header.octets :]
            return Case(header, body, too_large, answers, self._limits, self._clock).explain(signatures, fields)

        explanations: list[Explanation] = yield Call(work) if self._worker is None else Call(self._worker, work)
        return explanations


def _noting(plan: VerifyPlan, answers: dict[Question, Answer]) -> VerifyPlan:
    """The same plan; what it is answered is kept."""
    received: Any = None
    while True:
        try:
            request = plan.send(received)
        except StopIteration as end:
            signatures: list[Signature] = end.value
            return signatures
        received = yield request
        if isinstance(request, Question):
            answers[request] = received
        elif isinstance(request, Gather):
            answers |= {
                part: answer for part, answer in zip(request.parts, received, strict=True) if isinstance(part, Question)
            }


def to_search(signature: Signature) -> bool:
    """Whether there may be more to say than the verifier did."""
    return signature.result is not Result.PASS and signature.reason is not Reason.TOO_MANY_SIGNATURES
