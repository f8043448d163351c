"""In front of a provider: lets the script spoil an answer, and writes the ledger."""

from collections.abc import Callable
from typing import Final, Generic

import orjson

from nuncio_simulator.contract import Fault, FaultKind
from nuncio_simulator.faults import Faults
from nuncio_simulator.ledger import Ledger
from nuncio_simulator.provider import Provider, Result, V
from nuncio_simulator.tokens import Known
from nuncio_simulator.wire import Answer, GoAway, Request

REFUSED_STREAM: Final = 7
REFUSALS: Final = {FaultKind.ANSWER, FaultKind.CREDENTIAL, FaultKind.RETRY_AFTER}


class Front(Generic[V]):
    """One connection to one provider; a Conversation."""

    def __init__(self, provider: Provider[V], *, faults: Faults, ledger: Ledger) -> None:
        self._provider = provider
        self._faults = faults
        self._ledger = ledger
        self._visit = provider.open()

    @property
    def stream_limit(self) -> int:
        """The provider's limit for this connection."""
        return self._visit.stream_limit

    def answer(self, request: Request) -> Answer:
        """What the provider says, or what the script makes of it."""
        if self._faults:
            token = self._provider.addressee(request)
            fault = self._faults.pick(self._provider.name, token, self._visit)
            if fault is not None:
                return self._spoil(fault, request, token)
        return self._true_answer(request)

    def _true_answer(self, request: Request, *, later: float = 0.0) -> Answer:
        result = self._provider.answer(request, self._visit)
        self._note(result)
        return Answer(result.reply, result.delay + later)

    def _spoil(self, fault: Fault, request: Request, token: Known | None) -> Answer:
        if fault.kind in REFUSALS:
            result = self._provider.refuse(fault, token)
            self._note(result)
            return Answer(result.reply)
        if fault.kind is FaultKind.LATENCY:
            return self._true_answer(request, later=fault.latency_ms / 1_000)
        if fault.kind is FaultKind.GOAWAY:
            return self._go_away(fault, request, token)
        return self._withhold(fault, request, token)

    def _withhold(self, fault: Fault, request: Request, token: Known | None) -> Answer:
        """Give no answer, having taken the message or not."""
        if fault.after_accept and fault.kind is not FaultKind.REFUSED_STREAM:
            self._true_answer(request)
        else:
            self._note_silence(fault, token)
        return _SILENCES[fault.kind](fault)

    def _go_away(self, fault: Fault, request: Request, token: Known | None) -> Answer:
        debug = b"" if fault.reason is None else orjson.dumps({"reason": fault.reason})
        goaway = GoAway(debug=debug, last_stream_id=fault.last_stream_id)
        if fault.after_streams:
            return self._true_answer(request)._replace(goaway=goaway)
        self._note_silence(fault, token)
        return Answer(None, goaway=goaway)

    def _note(self, result: Result) -> None:
        name, status = self._provider.name, result.reply.status
        if result.reason:
            self._ledger.refuse(name, status=status, reason=result.reason, token=result.token)
            return
        if not result.accepted_id:
            self._ledger.validate(name, status=status)
            return
        self._ledger.accept(name, status=status, accepted_id=result.accepted_id, token=result.token)
        if result.plaintext is not None:
            self._ledger.read_plaintext(name, result.plaintext)

    def _note_silence(self, fault: Fault, token: Known | None) -> None:
        text = None if token is None else token.text
        self._ledger.refuse(self._provider.name, status=0, reason=fault.kind, token=text)


_SILENCES: Final[dict[FaultKind, Callable[[Fault], Answer]]] = {
    FaultKind.NO_ANSWER: lambda _fault: Answer(None),
    FaultKind.RESET: lambda fault: Answer(None, reset=fault.code),
    FaultKind.REFUSED_STREAM: lambda _fault: Answer(None, reset=REFUSED_STREAM),
    FaultKind.CLOSE: lambda _fault: Answer(None, disconnect=True),
}
