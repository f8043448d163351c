"""What happens around every call: context, deadline, validation, errors, metrics, access log.

Each method's handler is wrapped once, when it is added to the server; a call then costs a few
function calls, not a chain of interceptors that look it up again.
"""

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import grpc
import structlog
from google.protobuf.message import Message

from nuncio_runtime.calls import REQUEST_ID, TRACEPARENT, Call, current_call
from nuncio_runtime.interceptors.errors import refuse, service_error
from nuncio_runtime.interceptors.validation import Checked, check
from nuncio_runtime.metrics import CODES, calls_of
from nuncio_runtime.wire import STATUS_OF_KIND

log = structlog.get_logger(__name__)
_root: Final = logging.getLogger()

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

# Of statuses, the numbers are kept, as gRPC does: Python takes long to find a name's.
_CODE_OF_KIND: Final = {kind: status.value[0] for kind, status in STATUS_OF_KIND.items()}
_NUMBERS: Final = {name: number for number, name in CODES.items()}
_UNKNOWN: Final = _NUMBERS["UNKNOWN"]
_OURS_TO_BLAME: Final = frozenset({_UNKNOWN, _NUMBERS["INTERNAL"], _NUMBERS["DATA_LOSS"]})


class Pipeline:
    """Takes the handlers for a server, and puts each behind the runtime's rules.

    It stands in for the server where handlers are added: `add_XServicer_to_server(servicer,
    Pipeline(server, …))`. An interceptor would be asked anew for every call.

    default_deadline: seconds for unary calls that come without a deadline. self_checked: full names
    (`package.Service/Method`) of the methods whose messages the servicer checks itself.
    """

    def __init__(
        self,
        server: grpc.aio.Server,
        *,
        default_deadline: float,
        self_checked: frozenset[str] = frozenset(),
    ) -> None:
        self._server = server
        self._default_deadline = default_deadline
        self._self_checked = self_checked

    def add_generic_rpc_handlers(self, _handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Nothing: generated code adds the same ones as registered handlers."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Add the handlers of a service to the server, by the names of its methods."""
        wrapped = {name: self._wrap(f"{service}/{name}", each) for name, each in handlers.items()}
        # Not as registered methods: grpcio waits for each of these anew at every call.
        handler = grpc.method_handlers_generic_handler(service, wrapped)
        self._server.add_generic_rpc_handlers((handler,))

    def _wrap(self, method: str, handler: Any) -> Handler:
        make, form = _FORMS[handler.request_streaming, handler.response_streaming]
        around = _Method(
            method,
            form,
            getattr(handler, form),
            default_deadline=self._default_deadline,
            checks=method not in self._self_checked,
        )
        return make(around.answer, handler.request_deserializer, handler.response_serializer)


_FORMS: Final[dict[tuple[bool, bool], tuple[Callable[..., Handler], str]]] = {
    (False, False): (grpc.unary_unary_rpc_method_handler, "unary_unary"),
    (False, True): (grpc.unary_stream_rpc_method_handler, "unary_stream"),
    (True, False): (grpc.stream_unary_rpc_method_handler, "stream_unary"),
    (True, True): (grpc.stream_stream_rpc_method_handler, "stream_stream"),
}


class _Method:
    """One method of a service: what its calls share, and what happens around each.

    Hot path: every call. Benchmark: `nuncio bench register`.
    """

    def __init__(
        self,
        name: str,
        form: str,
        behavior: Callable[[Any, Context], Any],
        *,
        default_deadline: float,
        checks: bool,
    ) -> None:
        service, _, method = name.partition("/")
        self._name = name
        self._form: Callable[[Any, Context, Call], Awaitable[Any]] = getattr(self, f"_{form}")
        self._behavior = behavior
        self._generates = inspect.isasyncgenfunction(behavior)
        self._default_deadline = default_deadline
        self._checks = checks
        self._calls = calls_of(service, method)

    async def answer(self, request: Any, context: Context) -> Any:
        """Answer one call. request: the message, or an iterator of those that stream in."""
        began = time.monotonic()
        call = self._begin(context, began)
        code = _UNKNOWN
        try:
            answered = await self._form(request, context, call)
            code = _code_of(context)
        except grpc.aio.AbortError:
            code = _code_of(context)
            raise
        except asyncio.CancelledError:
            code = _broken_off_by(context)
            raise
        except Exception as error:  # noqa: BLE001 - this is where all of them end
            refusal = service_error(error)
            code = _CODE_OF_KIND[refusal.kind]
            await refuse(context, refusal, call=call)
        finally:
            self._end(code, time.monotonic() - began)
        return answered

    def _begin(self, context: Context, now: float) -> Call:
        self._calls.started += 1
        left: float | None = context.time_remaining()
        request_id: str | None = None
        traceparent = ""
        for name, value in context.invocation_metadata() or ():
            if name == REQUEST_ID:
                request_id = str(value)
            elif name == TRACEPARENT:
                traceparent = str(value)
        deadline = None if left is None else now + left
        call = Call(self._name, deadline, context, request_id or "", traceparent)
        # Never reset: gRPC gives each call a context of its own.
        current_call.set(call)
        if request_id is not None:
            # Who names a call gets the name back; errors always tell it. Sent with every answer,
            # it would cost both sides as much as a small message.
            context.set_trailing_metadata(((REQUEST_ID, call.request_id),))
        return call

    def _end(self, code: int, seconds: float) -> None:
        self._calls.ended(code, seconds)
        if code in _OURS_TO_BLAME:
            log.warning("call_ended", code=CODES[code], seconds=round(seconds, 6))
        elif _root.level <= logging.DEBUG:  # Structlog takes longer to find that out.
            log.debug("call_ended", code=CODES[code], seconds=round(seconds, 6))

    def _unary_unary(self, request: Message, context: Context, call: Call) -> Awaitable[Any]:
        if self._checks:
            check(request)
        if call.deadline is None:
            return self._in_time(request, context, call)
        answer: Awaitable[Any] = self._behavior(request, context)
        return answer  # gRPC keeps the caller's deadline.

    async def _in_time(self, request: Message, context: Context, call: Call) -> Any:
        call.deadline = time.monotonic() + self._default_deadline
        async with asyncio.timeout(self._default_deadline):
            return await self._behavior(request, context)

    def _unary_stream(self, request: Message, context: Context, _call: Call) -> Awaitable[None]:
        if self._checks:
            check(request)
        return self._write(request, context)

    def _stream_unary(
        self, requests: AsyncIterator[Message], context: Context, _call: Call
    ) -> Awaitable[Any]:
        answer: Awaitable[Any] = self._behavior(self._rows(requests), context)
        return answer

    def _stream_stream(
        self, requests: AsyncIterator[Message], context: Context, _call: Call
    ) -> Awaitable[None]:
        return self._write(self._rows(requests), context)

    async def _write(self, request: Any, context: Context) -> None:
        if not self._generates:
            await self._behavior(request, context)  # It writes to the context itself.
            return
        async with aclosing(self._behavior(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    def _rows(self, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        return Checked(requests) if self._checks else requests


def _code_of(context: Context) -> int:
    """The status that the call ends with; gRPC keeps it as a number, 0 until it is set."""
    code: Any = context.code()
    return code.value[0] if isinstance(code, grpc.StatusCode) else code or 0


def _broken_off_by(context: Context) -> int:
    """The caller's deadline, when it has passed; else somebody cancelled the call."""
    left: float | None = context.time_remaining()
    return _NUMBERS["CANCELLED" if left is None or left > 0 else "DEADLINE_EXCEEDED"]
