"""Where a frame that says nothing may be put into what is read."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, UnknownFrameReceived
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
)

from nuncio_dispatcher.providers.reference.network import NOTHING, FrameBoundaries


def frames() -> list[tuple[Frame, bool]]:
    """Frames as a server sends them, and whether another may follow each."""
    return [
        (SettingsFrame(0), True),
        (HeadersFrame(1, b"x" * 10), False),
        (ContinuationFrame(1, b"y" * 300), False),
        (ContinuationFrame(1, b"z", flags=["END_HEADERS"]), True),
        (DataFrame(1, b"d" * 70_000), True),
        (HeadersFrame(3, b"h", flags=["END_HEADERS"]), True),
        (PingFrame(0, b"12345678"), True),
        (DataFrame(3, b"", flags=["END_STREAM"]), True),
    ]


@pytest.mark.parametrize("piece", [1, 2, 7, 9, 10, 1_000, 1_000_000])
def test_boundaries_are_found_whatever_the_pieces(piece: int) -> None:
    boundaries = FrameBoundaries()
    for frame, may_follow in frames():
        raw = frame.serialize()
        for at in range(0, len(raw), piece):
            boundaries.feed(raw[at : at + piece])
            if at + piece < len(raw):
                assert not boundaries.is_between
        assert boundaries.is_between is may_follow


def test_several_frames_may_come_in_one_piece() -> None:
    boundaries = FrameBoundaries()
    boundaries.feed(b"".join(frame.serialize() for frame, _ in frames()))
    assert boundaries.is_between


def test_a_client_ignores_the_frame_that_says_nothing() -> None:
    client = H2Connection(H2Configuration(client_side=True))
    server = H2Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    head = [(":method", "POST"), (":scheme", "https"), (":authority", "a"), (":path", "/")]
    client.send_headers(1, head, end_stream=True)
    server.receive_data(client.data_to_send())
    server.send_headers(1, [(":status", "200")])
    events = client.receive_data(server.data_to_send() + NOTHING)
    server.send_data(1, b"body", end_stream=True)
    events += client.receive_data(server.data_to_send())
    kinds = [type(event) for event in events]
    assert kinds.index(ResponseReceived) < kinds.index(UnknownFrameReceived)
    assert kinds.index(UnknownFrameReceived) < kinds.index(DataReceived)
