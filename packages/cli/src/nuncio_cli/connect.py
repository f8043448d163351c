"""Finding the services: options, then the environment, then a running suite, then the defaults."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import grpc
import orjson

from nuncio.dispatcher.v1.dispatcher_service_pb2_grpc import DispatcherServiceStub
from nuncio.feedback.v1.feedback_service_pb2_grpc import FeedbackServiceStub
from nuncio.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from nuncio.targeting.v1.targeting_service_pb2_grpc import TargetingServiceStub
from nuncio_cli.errors import ServiceUnreachable
from nuncio_cli.stubs import DispatcherStub, FeedbackStub, RegistryStub, TargetingStub
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.errors import Kind, ServiceError
from nuncio_runtime.outage import tls_problem
from nuncio_runtime.tls import ClientTls

T = TypeVar("T")

STATE_FILE: Final = "nuncio.json"
PATIENCE_SECONDS: Final = 10.0
CLEAR_TEXT: Final = ClientTls()

PORTS: Final[Mapping[str, int]] = {
    "registry": 7411, "targeting": 7412, "dispatcher": 7413, "feedback": 7414,
}  # fmt: skip


class Addresses(NamedTuple):
    """Where the four services listen, as host:port."""

    registry: str = f"127.0.0.1:{PORTS['registry']}"
    targeting: str = f"127.0.0.1:{PORTS['targeting']}"
    dispatcher: str = f"127.0.0.1:{PORTS['dispatcher']}"
    feedback: str = f"127.0.0.1:{PORTS['feedback']}"


def default_data_folder() -> Path:
    """/var/lib/nuncio for root, ~/.local/share/nuncio for others."""
    return Path("/var/lib/nuncio") if os.geteuid() == 0 else Path.home() / ".local/share/nuncio"


def find_addresses(
    data: Path | None = None,
    *,
    registry: str = "",
    targeting: str = "",
    dispatcher: str = "",
    feedback: str = "",
) -> Addresses:
    """Addresses given here win; the others are those of the suite that runs on the folder, or
    the defaults."""
    given = {
        "registry": registry,
        "targeting": targeting,
        "dispatcher": dispatcher,
        "feedback": feedback,
    }
    running = running_addresses(data or default_data_folder())
    return running._replace(**{name: address for name, address in given.items() if address})


def running_addresses(data: Path) -> Addresses:
    """What the suite wrote down that runs on the folder; the defaults when none does."""
    try:
        state = orjson.loads((data / STATE_FILE).read_bytes())
        return Addresses(**{name: state["addresses"][name] for name in Addresses._fields})
    except (OSError, ValueError, KeyError, TypeError):
        return Addresses()


class Clients:
    """Stubs of the four services. Channels connect when they are first used.

    Raises ConfigError for addresses and files that cannot be used.
    """

    def __init__(self, addresses: Addresses, tls: ClientTls) -> None:
        self._channels = [connect(target, **tls._asdict()) for target in addresses]
        registry, targeting, dispatcher, feedback = self._channels
        self.registry: RegistryStub = RegistryServiceStub(registry)
        self.targeting: TargetingStub = TargetingServiceStub(targeting)
        self.dispatcher: DispatcherStub = DispatcherServiceStub(dispatcher)
        self.feedback: FeedbackStub = FeedbackServiceStub(feedback)

    def channel(self, service: str) -> grpc.aio.Channel:
        """The channel of a service, by its name."""
        return self._channels[Addresses._fields.index(service)]

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels:
            await channel.close()


@asynccontextmanager
async def clients(addresses: Addresses, tls: ClientTls = CLEAR_TEXT) -> AsyncIterator[Clients]:
    """Stubs that are closed at the end. Raises ServiceUnreachable where no service answers."""
    stubs = Clients(addresses, tls)
    try:
        yield stubs
    except RemoteError as error:
        # An answer of a service has a reason.
        if error.kind is not Kind.UNAVAILABLE or error.reason:
            raise
        raise _unreachable(stubs, addresses, hint=_hint(error, tls)) from error
    finally:
        await stubs.close()


def _hint(error: RemoteError, tls: ClientTls) -> str:
    """What may be wrong with TLS; when nothing is known, what is forgotten most often."""
    cause = error.__cause__
    known = tls_problem(cause, tls) if isinstance(cause, grpc.aio.AioRpcError) else ""
    return known or "is `nuncio up` running?"


def _unreachable(stubs: Clients, addresses: Addresses, *, hint: str) -> ServiceUnreachable:
    """Names the services that have been called, and are not connected."""
    settled = (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.READY)
    lost = {
        name: address
        for name, address in addresses._asdict().items()
        if stubs.channel(name).get_state() not in settled
    }
    named = ", ".join(f"{name} at {address}" for name, address in lost.items())
    return ServiceUnreachable(detail=f"{named or 'it'}; {hint}", **lost)


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call; while the service asks to come back in a moment, do so, for ten seconds.

    That is UNAVAILABLE with RetryInfo, as when a service behind it starts again. All calls of
    nuncio are safe to repeat. Other errors, and services that do not answer, are raised at once.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await call()
        except ServiceError as error:
            wait = error.retry_after
            if error.kind is not Kind.UNAVAILABLE or wait is None or time.monotonic() > until:
                raise
            await asyncio.sleep(wait.total_seconds())
