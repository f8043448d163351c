"""What is known about the call being served."""

import re
import time

import pytest

from nuncio_runtime.calls import Call, current_call, remaining

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_ids_of_the_caller_are_kept() -> None:
    call = Call(
        "a/B", request_id="req-1", traceparent=f"00-{TRACE}-b7ad6b7169203331-01", deadline=None
    )
    assert call.request_id == "req-1"
    assert call.trace_id == TRACE
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", call.traceparent)
    assert "b7ad6b7169203331" not in call.traceparent


@pytest.mark.parametrize("request_id", ["", "two words", "line\nbreak", "x" * 129, "é"])
def test_a_request_id_that_would_spoil_the_log_is_replaced(request_id: str) -> None:
    call = Call("a/B", request_id=request_id, deadline=None)
    assert re.fullmatch("[0-9a-f]{16}", call.request_id)


@pytest.mark.parametrize(
    "traceparent", ["", "00-abc-def-01", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{TRACE}-1-01"]
)
def test_a_trace_that_is_none_is_replaced(traceparent: str) -> None:
    call = Call("a/B", traceparent=traceparent, deadline=None)
    assert re.fullmatch("[0-9a-f]{32}", call.trace_id)
    assert call.trace_id != "0" * 32


def test_what_remains_is_the_callers_time_less_the_margin() -> None:
    token = current_call.set(Call("a/B", deadline=time.monotonic() + 10))
    try:
        assert 8 < remaining(margin=1) <= 9
        assert remaining(margin=60) == 0
    finally:
        current_call.reset(token)


def test_without_a_callers_deadline_the_default_remains() -> None:
    assert remaining(default=7) == 7
    token = current_call.set(Call("a/B", deadline=None))
    try:
        assert remaining(default=7) == 7
    finally:
        current_call.reset(token)
