"""Log lines: one JSON object each, whoever wrote them, and no secrets in them."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from nuncio_runtime.calls import Call, current_call
from nuncio_runtime.config import LogSettings
from nuncio_runtime.logging import configure_logging
from nuncio_runtime.secret import Secret

pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture
def restored() -> Iterator[None]:
    """Whatever a test configures is gone after it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_events_and_records_have_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(), "rooms")
    structlog.get_logger("here").info("door_opened", number=7)
    logging.getLogger("there").warning("said %s", "so")
    ours, theirs = lines(capsys)
    assert ours["event"] == "door_opened"
    assert ours["number"] == 7
    assert theirs["event"] == "said so"
    for line, name in ((ours, "here"), (theirs, "there")):
        assert line["service"] == "rooms"
        assert line["logger"] == name
        assert line["level"] in {"info", "warning"}
        assert line["timestamp"].endswith("Z")


def test_the_call_being_served_is_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(), "rooms")
    call = Call("rooms.v1.Rooms/Open", request_id="req-1", deadline=None)
    token = current_call.set(call)
    try:
        structlog.get_logger("here").info("door_opened")
    finally:
        current_call.reset(token)
    (line,) = lines(capsys)
    assert (line["request_id"], line["trace_id"]) == ("req-1", call.trace_id)
    assert line["method"] == "rooms.v1.Rooms/Open"


def test_levels_below_the_chosen_one_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(level="warning"), "rooms")
    structlog.get_logger("here").info("door_opened")
    logging.getLogger("there").info("said so")
    assert lines(capsys) == []


@pytest.mark.parametrize("form", ["json", "console"])
def test_neither_fields_nor_tracebacks_show_secrets(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LogSettings(format="json" if form == "json" else "console"), "rooms")
    code = Secret("open sesame")
    word = code.reveal()
    try:
        raise LookupError(len(word))
    except LookupError:
        structlog.get_logger("here").exception("door_stuck", code=code)
    written = capsys.readouterr().err
    assert code.fingerprint in written
    assert "LookupError" in written
    assert "sesame" not in written
