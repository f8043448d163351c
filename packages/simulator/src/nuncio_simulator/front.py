"""In front of a provider: lets the script spoil an answer, and writes the ledger."""

from collections.abc import Callable
from typing import Final, Generic

import orjson

from nuncio_simulator.contract import Fault, FaultKind
from nuncio_simulator.faults import Faults, Strike
from nuncio_simulator.h2frames import Setting
from nuncio_simulator.h2malformed import HARMLESS
from nuncio_simulator.ledger import Ledger
from nuncio_simulator.provider import Provider, Result, V
from nuncio_simulator.tokens import Known
from nuncio_simulator.wire import PLAIN, Answer, Form, GoAway, Request

REFUSED_STREAM: Final = 7
REFUSALS: Final = {
    FaultKind.ANSWER,
    FaultKind.CREDENTIAL,
    FaultKind.RETRY_AFTER,
    FaultKind.SHUTDOWN,
    FaultKind.OVERSIZED,
    FaultKind.STALL,
}
TRAILER: Final = ((b"x-simulator-trailer", b"1"),)


class Front(Generic[V]):
    """One connection to one provider; a Conversation."""

    def __init__(
        self, provider: Provider[V], *, faults: Faults, ledger: Ledger, visit: V | None = None
    ) -> None:
        """visit: None for one by a client that showed no certificate."""
        self._provider = provider
        self._faults = faults
        self._ledger = ledger
        self._visit = provider.open() if visit is None else visit

    @property
    def stream_limit(self) -> int:
        """The provider's limit for this connection, or the script's."""
        forced = self._visit.forced_limit
        return self._visit.stream_limit if forced is None else forced

    def answer(self, request: Request) -> Answer:
        """What the provider says, or what the script makes of it."""
        if self._faults.concern(self._provider.name):
            token = self._provider.addressee(request)
            strike = self._faults.pick(self._provider.name, token, self._visit)
            if strike is not None:
                return self._spoil(strike, request, token)
        return self._true_answer(request)

    def answers_ping(self) -> bool:
        """Yes, unless the script says otherwise."""
        return not self._faults.silence_ping(self._provider.name)

    def _true_answer(self, request: Request, *, later: float = 0.0, form: Form = PLAIN) -> Answer:
        result = self._provider.answer(request, self._visit)
        self._note(result)
        return Answer(result.reply, result.delay + later, goaway=result.goaway, form=form)

    def _spoil(self, strike: Strike, request: Request, token: Known | None) -> Answer:
        fault = strike.fault
        if fault.kind in REFUSALS:
            return self._refuse(fault, token)
        if fault.kind in _FORMS:
            return self._true_answer(request, form=_FORMS[fault.kind](fault))
        if fault.kind is FaultKind.LATENCY:
            return self._true_answer(request, later=fault.latency_ms / 1_000)
        if fault.kind is FaultKind.GOAWAY:
            return self._go_away(strike, request, token)
        if fault.kind is FaultKind.SETTINGS:
            return self._change_settings(fault, request)
        if fault.kind is FaultKind.MALFORMED and fault.malformation in HARMLESS:
            return self._true_answer(request)._replace(malformed=fault.malformation)
        return self._withhold(fault, request, token)

    def _refuse(self, fault: Fault, token: Known | None) -> Answer:
        result = self._provider.refuse(fault, token)
        self._note(result)
        reply = result.reply
        if fault.kind is FaultKind.OVERSIZED:  # blanks: JSON stays JSON
            reply = reply._replace(body=reply.body.ljust(fault.body_bytes))
        return Answer(
            reply,
            fault.delay_ms / 1_000,
            goaway=_goaway(fault, result.reason) if fault.kind is FaultKind.SHUTDOWN else None,
            form=Form(stall=True) if fault.kind is FaultKind.STALL else PLAIN,
        )

    def _withhold(self, fault: Fault, request: Request, token: Known | None) -> Answer:
        """Give no answer, having taken the message or not."""
        if fault.after_accept and fault.kind is not FaultKind.REFUSED_STREAM:
            self._true_answer(request)
        else:
            self._note_silence(fault, token)
        return _SILENCES[fault.kind](fault)

    def _go_away(self, strike: Strike, request: Request, token: Known | None) -> Answer:
        fault = strike.fault
        goaway = _goaway(fault, fault.reason) if strike.final else None
        if fault.after_streams and not fault.unprocessed:
            return self._true_answer(request)._replace(goaway=goaway)
        self._note_silence(fault, token)
        return Answer(None, goaway=goaway)

    def _change_settings(self, fault: Fault, request: Request) -> Answer:
        changed = fault.settings
        if changed.max_concurrent_streams is not None:
            self._visit.forced_limit = changed.max_concurrent_streams
        values = {
            Setting.INITIAL_WINDOW_SIZE: changed.initial_window_size,
            Setting.MAX_FRAME_SIZE: changed.max_frame_size,
        }
        told = {int(name): value for name, value in values.items() if value is not None}
        return self._true_answer(request)._replace(settings=told)

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


def _goaway(fault: Fault, reason: str | None) -> GoAway:
    if fault.debug is not None:
        debug = fault.debug.encode()
    else:
        debug = b"" if reason is None else orjson.dumps({"reason": reason})
    return GoAway(fault.goaway_code, debug, fault.last_stream_id)


_FORMS: Final[dict[FaultKind, Callable[[Fault], Form]]] = {
    FaultKind.INFORMATIONAL: lambda _fault: Form(informational=True),
    FaultKind.TRAILERS: lambda _fault: Form(trailers=TRAILER),
    FaultKind.PADDING: lambda fault: Form(padding=fault.padding),
    FaultKind.SPLIT: lambda _fault: Form(split=True),
}
_SILENCES: Final[dict[FaultKind, Callable[[Fault], Answer]]] = {
    FaultKind.NO_ANSWER: lambda _fault: Answer(None),
    FaultKind.RESET: lambda fault: Answer(None, reset=fault.code),
    FaultKind.REFUSED_STREAM: lambda _fault: Answer(None, reset=REFUSED_STREAM),
    FaultKind.CLOSE: lambda _fault: Answer(None, disconnect=True),
    FaultKind.MALFORMED: lambda fault: Answer(None, malformed=fault.malformation),
}
