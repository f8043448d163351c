"""A client's side of HTTP/2, by hand: frames of any kind in, frames out."""

from hpack import Decoder, Encoder

from nuncio_simulator.h2frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEAD_SIZE,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    settings_frame,
)
from nuncio_simulator.h2server import H2Protocol, Profile
from tests.unit.simulator.connections import MemoryTransport, Talk

REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":path", b"/x"),
    (b":authority", b"localhost"),
]
Frame = tuple[int, int, int, bytes]
"""Type, flags, stream, payload."""


class RawClient:
    """Says anything; reads frames."""

    def __init__(
        self, talk: Talk, profile: Profile | None = None, settings: dict[int, int] | None = None
    ) -> None:
        self.transport = MemoryTransport()
        self.server = H2Protocol(talk, profile or Profile(), set())
        self.encoder, self.decoder = Encoder(), Decoder()
        self.server.connection_made(self.transport)
        self.say(PREFACE + settings_frame(settings or {}))

    def say(self, *said: bytes) -> list[Frame]:
        """What the server writes in answer."""
        self.server.data_received(b"".join(said))
        return self.hear()

    def hear(self) -> list[Frame]:
        """What was written since."""
        data, heard = bytes(self.transport.out), []
        self.transport.out.clear()
        while data:
            high, low, kind, flags, stream_id = HEAD.unpack_from(data)
            end = HEAD_SIZE + (high << 8 | low)
            heard.append((kind, flags, stream_id, data[HEAD_SIZE:end]))
            data = data[end:]
        return heard

    def block(self, *more: tuple[bytes, bytes]) -> bytes:
        """The field block of a request, with more fields."""
        return self.encoder.encode([*REQUEST, *more])

    def headers(self, stream_id: int, *more: tuple[bytes, bytes], ends: bool = False) -> bytes:
        flags = END_HEADERS | (END_STREAM if ends else 0)
        return frame(HEADERS, flags, stream_id, self.block(*more))

    def request(self, stream_id: int, body: bytes = b"{}") -> bytes:
        return self.headers(stream_id) + frame(DATA, END_STREAM, stream_id, body)


def code_of(heard: list[Frame]) -> tuple[str, int]:
    """What went wrong: ("connection" or "stream", error code)."""
    wrong = [(kind, payload) for kind, _, _, payload in heard if kind in {GOAWAY, RST_STREAM}]
    [(kind, payload)] = wrong
    if kind == GOAWAY:
        return "connection", int.from_bytes(payload[4:8])
    return "stream", int.from_bytes(payload)


def answered(heard: list[Frame]) -> list[int]:
    """The streams that ended with an answer."""
    return [i for kind, flags, i, _ in heard if kind in {DATA, HEADERS} and flags & END_STREAM]


def settings_in(heard: list[Frame]) -> list[bytes]:
    """The payloads of SETTINGS, acknowledgements as empty ones."""
    return [payload for kind, _, _, payload in heard if kind == SETTINGS]
