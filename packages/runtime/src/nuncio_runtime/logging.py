"""Logs: one JSON object per line on stderr, from our own events and from the libraries'."""

import logging
import sys
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from nuncio_runtime.calls import current_call
from nuncio_runtime.config import LogSettings

# Libraries that narrate at INFO what we count and log ourselves.
_CHATTY = ("alembic", "asyncio", "google", "grpc", "httpcore", "httpx", "hpack", "urllib3")


def configure_logging(settings: LogSettings, service: str, *, worker: int = 0) -> None:
    """Send structlog's events and stdlib's records to stderr in one form.

    Each line has `timestamp`, `level`, `logger`, `event` and `service`; from one of several workers
    its number as `worker`; and, while a call is served, `method`, `request_id` and `trace_id`.
    Replaces what was configured before.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        _add_process(service, worker),
        _add_call,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=_rendering(settings),
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _rendering(settings: LogSettings) -> list[Processor]:
    drop_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if settings.format == "console":
        # Plain tracebacks: the fancy ones show local variables, tokens among them.
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        return [drop_meta, console]
    return [
        drop_meta,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(serializer=_to_json),
    ]


def _to_json(event: EventDict, **_: Any) -> str:
    # What JSON has no form for is shown by repr, which secrets answer with a fingerprint.
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()


def _add_process(service: str, worker: int) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    process = {"service": service} | ({"worker": worker} if worker else {})

    def add(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        event.update(process)
        return event

    return add


def _add_call(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    call = current_call.get()
    if call is not None:
        event.setdefault("method", call.method)
        event.setdefault("request_id", call.request_id)
        event.setdefault("trace_id", call.trace_id)
    return event
