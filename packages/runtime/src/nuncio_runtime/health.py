"""Health, as gRPC and HTTP clients ask for it.

Source: gRPC Health Checking Protocol (grpc/doc/health-checking.md), grpc.health.v1.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1 import health_pb2

from nuncio_runtime.metrics import DEPENDENCY_UP

CHECK_EVERY: Final = 2.0
CHECK_SECONDS: Final = 3.0

Check = Callable[[], Awaitable[bool]]

log = structlog.get_logger(__name__)

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """The state of each service, of each dependency (`dependency/name`), and of the whole ("").

    A dependency that fails its check takes the services down with it, until it is back; one that
    is `dispensable` is only told of.
    """

    def __init__(
        self,
        services: Sequence[str],
        checks: Mapping[str, Check],
        *,
        dispensable: Collection[str] = (),
    ) -> None:
        self._services = ("", *services)
        self._checks = checks
        self._needed = checks.keys() - set(dispensable)
        self._draining = False
        self._states = dict.fromkeys(self._services, _NOT_SERVING)
        self._states |= {f"dependency/{name}": _NOT_SERVING for name in checks}
        self._changed = asyncio.Condition()

    @property
    def serving(self) -> bool:
        """Whether the services take calls."""
        return bool(self._states[""] == _SERVING)

    async def keep_checking(self) -> None:
        """Ask the dependencies again and again, until cancelled."""
        while True:
            await self.check_once()
            await asyncio.sleep(CHECK_EVERY)

    async def check_once(self) -> None:
        """Ask all dependencies at once, and set the states by their answers."""
        answers = await asyncio.gather(*map(_passes, self._checks.values()))
        found = dict(zip(self._checks, answers, strict=True))
        for name, up in found.items():
            DEPENDENCY_UP.labels(name).set(up)
        states = {f"dependency/{name}": _state(up) for name, up in found.items()}
        up = all(found[name] for name in self._needed) and not self._draining
        await self._set(states | dict.fromkeys(self._services, _state(up)))

    async def drain(self) -> None:
        """The services take no more calls, for good. Those who watch are told, and let go."""
        self._draining = True
        await self._set(dict.fromkeys(self._services, _NOT_SERVING))

    async def Check(  # noqa: N802 - the protocol's name
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> health_pb2.HealthCheckResponse:
        """The state now. NOT_FOUND for services that are not here, as the protocol has it."""
        state = self._states.get(request.service)
        if state is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return health_pb2.HealthCheckResponse(status=state)

    async def List(  # noqa: N802
        self, _request: health_pb2.HealthListRequest, _context: Any
    ) -> health_pb2.HealthListResponse:
        """All states at once."""
        states = {
            name: health_pb2.HealthCheckResponse(status=state)
            for name, state in self._states.items()
        }
        return health_pb2.HealthListResponse(statuses=states)

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, _context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state now and after each change, until the server drains."""
        last = None
        while True:
            state = self._states.get(request.service, _UNKNOWN)
            if state != last:
                last = state
                yield health_pb2.HealthCheckResponse(status=state)
            if self._draining:
                return
            await self._news(request.service, last)

    async def _news(self, service: str, last: int | None) -> None:
        def happened() -> bool:
            return self._draining or self._states.get(service, _UNKNOWN) != last

        async with self._changed:
            await self._changed.wait_for(happened)

    async def _set(self, states: Mapping[str, Any]) -> None:
        async with self._changed:
            for name, state in states.items():
                if self._states[name] != state:
                    log.info("health_changed", name=name, serving=state == _SERVING)
            self._states |= states
            self._changed.notify_all()


async def _passes(check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except Exception as error:  # noqa: BLE001 - a check that fails in any way has failed
        log.warning("dependency_check_failed", error=type(error).__name__)
        return False


def _state(up: bool) -> Any:
    return _SERVING if up else _NOT_SERVING
