"""The other side of a Connection, made of hyperframe and hpack: none of it is nuncio's own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from struct import pack
from typing import TypeVar

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from nuncio_dispatcher.http2.connection import Connection
from nuncio_dispatcher.http2.exchange import Exchange, Failure, Field, Origin, Requests

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ORIGIN = Origin("push.example", 443)

F = TypeVar("F", bound=Frame)


@dataclass
class Request:
    """What a peer has read of a request."""

    fields: list[Field]
    body: bytes
    is_whole: bool

    def value(self, name: str) -> str:
        """The value of a field that is there once."""
        (value,) = [value for known, value in self.fields if known == name]
        return value


def raw(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame that hyperframe would refuse to make."""
    return pack(">HBBBL", len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def parse_frames(data: bytes) -> list[Frame]:
    """Whole frames, and nothing after them."""
    found = []
    while data:
        frame, size = Frame.parse_frame_header(memoryview(data[:9]), strict=True)
        assert len(data) >= 9 + size, "a frame is whole"
        frame.parse_body(memoryview(data[9 : 9 + size]))
        found.append(frame)
        data = data[9 + size :]
    return found


def fields_of(requests: Requests, row: int) -> list[Field]:
    """What a request says: the slow and obvious twin of the encoder."""
    fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", requests.origin.authority),
        (":path", requests.paths[row].decode()),
        ("content-length", str(len(requests.bodies[row]))),
        *requests.fields,
        *requests.passing_fields,
    ]
    if requests.own is not None:
        fields.append((requests.own[0], requests.own[1][row].decode()))
    return fields


def requests(
    count: int = 1,
    *,
    body: bytes = b"{}",
    bodies: Sequence[bytes] | None = None,
    paths: Sequence[bytes] | None = None,
    fields: tuple[Field, ...] = (("apns-topic", "example.app"),),
    passing_fields: tuple[Field, ...] = (("apns-priority", "10"),),
    own: tuple[str, Sequence[bytes]] | None = None,
) -> Requests:
    """Requests as a sender would make them."""
    bodies = [body] * count if bodies is None else bodies
    return Requests(
        origin=ORIGIN,
        fields=fields,
        passing_fields=passing_fields,
        paths=[b"/3/device/%d" % row for row in range(len(bodies))] if paths is None else paths,
        bodies=bodies,
        own=own,
    )


def exchange(of: Requests | None = None, *, answer_within: float = 60.0) -> Exchange:
    """One that nobody listens to."""
    return Exchange(of or requests(), answer_within=answer_within, heard=lambda *_: None)


class Peer:
    """A server before a Connection that it talks to in frames."""

    def __init__(self, settings: dict[int, int] | None = None, *, is_settled: bool = True) -> None:
        """settings: those of its first frame. is_settled: its SETTINGS and its ACK are sent."""
        self.connection = Connection(now=0.0)
        self.now = 0.0
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.greeting = self.connection.take_output()
        self.requests: dict[int, Request] = {}
        self._block = b""
        if is_settled:
            self.send(SettingsFrame(0, settings=settings or {}))
            self.acknowledge()
            self.frames()

    # --- what it says ----------------------------------------------------------------------------

    def send(self, *frames: Frame | bytes) -> None:
        """Frames, or bytes in their place."""
        parts = [frame if isinstance(frame, bytes) else frame.serialize() for frame in frames]
        self.connection.receive(b"".join(parts), at=AT, now=self.now)

    def set(self, settings: dict[int, int]) -> None:
        """New settings."""
        self.send(SettingsFrame(0, settings=settings))

    def acknowledge(self) -> None:
        """Take the client's settings: from now on there is no table."""
        self.encoder.header_table_size = 0
        self.send(SettingsFrame(0, flags=["ACK"]))

    def answer(
        self,
        *streams: int,
        status: int | str = 200,
        fields: Iterable[Field] = (),
        body: bytes = b"",
        ends: bool = True,
    ) -> None:
        """The same answer on each of the streams."""
        for stream in streams:
            block = self.block([(":status", str(status)), *fields])
            frames: list[Frame] = [HeadersFrame(stream, block, flags=["END_HEADERS"])]
            frames += [DataFrame(stream, piece) for piece in pieces(body)]
            if ends:
                frames[-1].flags.add("END_STREAM")
            self.send(*frames)

    def block(self, fields: Iterable[Field]) -> bytes:
        """A header block."""
        return self.encoder.encode(list(fields))

    def data(self, stream: int, body: bytes = b"", *, ends: bool = False) -> None:
        """DATA."""
        self.send(DataFrame(stream, body, flags=["END_STREAM"] if ends else []))

    def reset(self, stream: int, code: int) -> None:
        """RST_STREAM."""
        self.send(RstStreamFrame(stream, error_code=code))

    def goaway(self, last_stream: int, code: int = 0, debug: bytes = b"") -> None:
        """GOAWAY."""
        self.send(GoAwayFrame(0, last_stream, code, debug))

    def widen(self, stream: int, increment: int) -> None:
        """WINDOW_UPDATE."""
        self.send(WindowUpdateFrame(stream, increment))

    # --- what it hears ---------------------------------------------------------------------------

    def frames(self) -> list[Frame]:
        """What the client has written since, requests being read."""
        found = parse_frames(self.connection.take_output())
        for frame in found:
            self._read(frame)
        return found

    def only(self, kind: type[F]) -> list[F]:
        """Those of a kind; the others are read as well."""
        return [frame for frame in self.frames() if isinstance(frame, kind)]

    def streams(self) -> list[int]:
        """The streams that the client has opened since."""
        return [frame.stream_id for frame in self.only(HeadersFrame)]

    def resets(self) -> list[tuple[int, int]]:
        """The streams that the client has reset since, and why."""
        return [(frame.stream_id, frame.error_code) for frame in self.only(RstStreamFrame)]

    def pings(self) -> list[PingFrame]:
        """The client's questions, not its answers."""
        return [frame for frame in self.only(PingFrame) if "ACK" not in frame.flags]

    def write(self, *exchanges: Exchange, count: int | None = None) -> int:
        """Let the connection write what it has room for; how many rows it wrote."""
        written = 0
        for one in exchanges:
            room = self.connection.room if count is None else count
            written += self.connection.write(one, room, at=AT, now=self.now)
        return written

    def _read(self, frame: Frame) -> None:
        if isinstance(frame, HeadersFrame | ContinuationFrame):
            self._block += frame.data
            if isinstance(frame, HeadersFrame):
                is_whole = "END_STREAM" in frame.flags
                assert frame.stream_id not in self.requests, "a stream is used once"
                self.requests[frame.stream_id] = Request([], b"", is_whole)
            if "END_HEADERS" in frame.flags:
                self.requests[frame.stream_id].fields = decoded(self._block, self.decoder)
                self._block = b""
        else:
            assert not self._block, "a header block is not interrupted"
        if isinstance(frame, DataFrame):
            request = self.requests[frame.stream_id]
            assert not request.is_whole, "nothing follows the end of a request"
            request.body += frame.data
            request.is_whole = "END_STREAM" in frame.flags


def decoded(block: bytes, decoder: Decoder) -> list[Field]:
    """The fields of a header block."""
    return [(str(name), str(value)) for name, value in decoder.decode(block)]


def pieces(body: bytes) -> list[bytes]:
    """A body in frames as long as they may be."""
    return [body[at : at + 16_384] for at in range(0, len(body), 16_384)]


def started(count: int = 1, *, body: bytes = b"{}") -> tuple[Peer, Exchange]:
    """A peer that has settled and read so many requests: streams 1, 3, 5 and so on."""
    peer, of = Peer(), exchange(requests(count, body=body))
    assert peer.write(of) == count
    peer.frames()
    return peer, of


def knowing() -> tuple[Peer, Exchange]:
    """A peer whose first answer, on stream 1, is read: stream 3 waits for its own."""
    peer, of = started(2)
    peer.answer(1)
    peer.frames()
    return peer, of


def outcome(of: Exchange, row: int = 0) -> tuple[int, Failure | None, bool]:
    """Status, failure, and whether the row counts as written."""
    return of.statuses[row], of.failures.get(row), of.written_at[row] is not None


def code_of(peer: Peer) -> str | None:
    """The code of the fault that ended the connection."""
    return None if peer.connection.fault is None else peer.connection.fault.code.name
