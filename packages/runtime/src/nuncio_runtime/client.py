"""Calls to other services: channels that keep deadlines, traces and errors intact."""

import json
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from itertools import starmap
from pathlib import Path
from typing import Any, Final

import grpc
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from nuncio_runtime.calls import REQUEST_ID, TRACEPARENT, current_call, remaining
from nuncio_runtime.config import ConfigError, UpstreamSettings, is_local_target
from nuncio_runtime.errors import FieldViolation, Kind, ServiceError
from nuncio_runtime.outage import Outage
from nuncio_runtime.tls import ClientTls, channel_credentials, client_tls
from nuncio_runtime.wire import DOMAIN, KIND_OF_STATUS, STATUS_DETAILS

__all__ = ["RemoteError", "connect", "connect_to", "remaining"]

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024

_OPTIONS: Final[list[tuple[str, int | str]]] = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A service that comes back is found within two seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Services call each other directly, whatever proxy the machine has for the web.
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # All addresses behind a name are used.
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
]


class RemoteError(ServiceError):
    """Another service could not do its part.

    Kind, reason, message and metadata are those that it sent, so that the error may be passed on
    as it is. Where no service of ours answered (none was reached, or time was up) there is no
    reason, and gRPC's own text stays in the cause: it names addresses.
    """

    def __init__(self, kind: Kind, status: status_pb2.Status | None = None) -> None:
        super().__init__(detail=kind.name)
        self.kind = kind
        self.reason = ""
        if status is not None:
            for detail in status.details:
                self._read(detail, message=status.message)

    def _read(self, detail: Any, *, message: str) -> None:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        broken = error_details_pb2.BadRequest()
        if detail.Unpack(info) and info.domain == DOMAIN:
            self.reason = info.reason
            self.metadata = dict(info.metadata)
            self.message = message
            self.args = (message,)
        elif detail.Unpack(retry):
            self.retry_after = retry.retry_delay.ToTimedelta()
        elif detail.Unpack(broken):
            rules = ((rule.field, rule.description) for rule in broken.field_violations)
            self.violations = tuple(starmap(FieldViolation, rules))


def connect(
    target: str,
    *,
    ca_file: Path | None = None,
    certificate_file: Path | None = None,
    key_file: Path | None = None,
) -> grpc.aio.Channel:
    """A channel for the generated stubs. It connects when first used, and again when lost.

    Calls carry the request id and the trace of the call being served. Unary calls without a
    timeout get `remaining()`. Failures are raised as RemoteError, for all four forms of calls.
    ca_file: PEM file with the authorities that the server's certificate is checked against;
    without one the connection is in clear text, on this machine only. certificate_file and
    key_file: PEM files with what we show to a server that asks who we are. Files are read now,
    only. Raises ConfigError for a target elsewhere without a ca_file, and for files that cannot
    be used.
    """
    return Channel(_opened(target, ClientTls(ca_file, certificate_file, key_file)))


def connect_to(upstream: UpstreamSettings) -> grpc.aio.Channel:
    """A channel to the service that the settings name, as `connect` makes it.

    When the service cannot be reached, the log says so once, with the reason.
    """
    tls = client_tls(upstream)
    return Channel(_opened(upstream.target, tls), Outage(upstream.target, tls))


def _opened(target: str, tls: ClientTls) -> grpc.aio.Channel:
    credentials = channel_credentials(tls)
    if credentials is not None:
        return grpc.aio.secure_channel(target, credentials, options=_OPTIONS)
    if not is_local_target(target):
        message = f"{target}: an address that is not loopback needs TLS: name a CA file"
        raise ConfigError(message)
    return grpc.aio.insecure_channel(target, options=_OPTIONS)


class Channel(grpc.aio.Channel):
    """A channel whose calls know where they come from, and raise RemoteError.

    outage: told how calls end.
    """

    def __init__(self, inner: grpc.aio.Channel, outage: Outage | None = None) -> None:
        self._inner = inner
        self._outage = outage

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _calling(self._inner.unary_unary(*args, **kwargs), self._outage, timed=True)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _calling(self._inner.unary_stream(*args, **kwargs), self._outage)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _calling(self._inner.stream_unary(*args, **kwargs), self._outage)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _calling(self._inner.stream_stream(*args, **kwargs), self._outage)

    async def close(self, grace: float | None = None) -> None:
        await self._inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._inner.channel_ready()

    async def __aenter__(self) -> "Channel":
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        return await self._inner.__aexit__(*exc_info)


class RemoteCall:
    """A running call: what gRPC gives (await, iterate, read, write), with other errors."""

    def __init__(self, call: Any, outage: Outage | None = None) -> None:
        self._call = call
        self._outage = outage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            answer = yield from self._call.__await__()
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error
        self._answered()
        return answer

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            async for message in self._call:
                self._answered()
                yield message
            self._answered()
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error

    async def read(self) -> Any:
        """The next message, or grpc.aio.EOF."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error
        self._answered()
        return message

    async def write(self, request: Any) -> None:
        """Send one message; returns when there is room for another."""
        try:
            await self._call.write(request)
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error

    def _answered(self) -> None:
        if self._outage is not None:
            self._outage.end()

    def _failed(self, error: grpc.aio.AioRpcError) -> RemoteError:
        remote = remote_error(error)
        if self._outage is not None:
            self._outage.learn(error)
        return remote


def remote_error(error: grpc.aio.AioRpcError) -> RemoteError:
    """The other service's error, from its status and the details that came with it."""
    kind = KIND_OF_STATUS[error.code()]
    details = (error.trailing_metadata() or {}).get(STATUS_DETAILS)
    if not isinstance(details, bytes):
        return RemoteError(kind)
    return RemoteError(kind, status_pb2.Status.FromString(details))


def _calling(
    start: Callable[..., Any], outage: Outage | None, *, timed: bool = False
) -> Callable[..., RemoteCall]:
    def call(
        request: Any = None,
        *,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        **kwargs: Any,
    ) -> RemoteCall:
        if timed and timeout is None:
            timeout = remaining()
        running = start(request, timeout=timeout, metadata=_traced(metadata), **kwargs)
        return RemoteCall(running, outage)

    return call


def _traced(metadata: Iterable[tuple[str, str | bytes]] | None) -> list[tuple[str, str | bytes]]:
    headers = list(metadata or ())
    served = current_call.get()
    if served is not None:
        headers += [(REQUEST_ID, served.request_id), (TRACEPARENT, served.traceparent)]
    return headers
