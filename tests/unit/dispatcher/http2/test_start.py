"""How a connection begins. RFC 9113, section 3.4."""

import pytest
from hyperframe.frame import PingFrame, SettingsFrame, WindowUpdateFrame

from nuncio_dispatcher.http2.connection import OUR_WINDOW
from nuncio_dispatcher.http2.streams import MOST_STREAMS
from tests.unit.dispatcher.http2.peer import PREFACE, Peer, code_of, exchange, parse_frames


def test_the_preface_and_our_settings_come_first() -> None:
    greeting = Peer(is_settled=False).greeting
    assert greeting.startswith(PREFACE)
    first, second = parse_frames(greeting.removeprefix(PREFACE))
    assert isinstance(first, SettingsFrame)
    assert first.settings[SettingsFrame.HEADER_TABLE_SIZE] == 0
    assert first.settings[SettingsFrame.ENABLE_PUSH] == 0
    assert isinstance(second, WindowUpdateFrame)
    assert (second.stream_id, second.window_increment) == (0, OUR_WINDOW - 65_535)


def test_nothing_is_written_before_the_peers_settings() -> None:
    peer, of = Peer(is_settled=False), exchange()
    assert peer.connection.room == peer.connection.stream_limit == 0
    peer.send(SettingsFrame(0))
    assert peer.connection.room == MOST_STREAMS
    assert peer.write(of) == 1


def test_the_peers_settings_are_acknowledged() -> None:
    peer = Peer(is_settled=False)
    peer.send(SettingsFrame(0, settings={SettingsFrame.MAX_CONCURRENT_STREAMS: 7}))
    (ack,) = peer.frames()
    assert isinstance(ack, SettingsFrame)
    assert set(ack.flags) == {"ACK"}
    assert ack.settings == {}


@pytest.mark.parametrize(
    "first",
    [
        PingFrame(0, b"12345678"),
        WindowUpdateFrame(0, window_increment=1),
        SettingsFrame(0, flags=["ACK"]),
    ],
    ids=["PING", "WINDOW_UPDATE", "an acknowledgement"],
)
def test_the_peers_settings_are_its_first_frame(
    first: PingFrame | WindowUpdateFrame | SettingsFrame,
) -> None:
    peer = Peer(is_settled=False)
    peer.send(first)
    assert code_of(peer) == "PROTOCOL_ERROR"
    assert not peer.connection.is_settled


def test_a_peer_of_http_1_is_told_from_one_of_http_2() -> None:
    peer = Peer(is_settled=False)
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert code_of(peer) == "FRAME_SIZE_ERROR"


def test_a_greeting_may_come_in_any_pieces() -> None:
    peer = Peer(is_settled=False)
    settings = {SettingsFrame.MAX_CONCURRENT_STREAMS: 7, SettingsFrame.MAX_FRAME_SIZE: 20_000}
    for byte in SettingsFrame(0, settings=settings).serialize():
        assert not peer.connection.is_settled
        peer.send(bytes([byte]))
    assert peer.connection.room == 7
