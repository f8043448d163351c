"""Hostile and random peers. What must hold whatever they send is in plays.py."""

import random
from collections.abc import Sequence
from itertools import pairwise

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.dispatcher.http2.peer import Peer, exchange, raw, requests
from tests.unit.dispatcher.http2.plays import (
    GREETING_SIZE,
    Cancel,
    Play,
    Step,
    Wait,
    Write,
    recorded,
    steps_of,
)

patient = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])

SESSION = recorded()
BLOCKS = [
    b"\x88",
    b"\x20\x88",
    b"\x20\x8d\x5c\x0220",
    b"\x8d",
    b"\x89",
    b"\x08\x03410",
    b"\x08\x03100",
    b"\x5c\x011",
    b"\xbe",
    b"\x40\x01a\x01b",
    b"",
]

writes = st.builds(Write, exchange=st.integers(0, 1), rows=st.integers(0, 6))
waits = st.builds(Wait, st.floats(0, 12))
cancels = st.builds(Cancel, st.integers(0, 1))
streams = st.sampled_from([0, 1, 3, 5, 7, 9, 11, 2, 2**31 - 1, 2**31 + 1])
flags = st.sampled_from([0, 1, 4, 5, 8, 9, 0xD, 0x25, 0x2D, 0xFF])
numbers = st.sampled_from([0, 1, 2, 100, 16_384, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1])
quads = numbers.map(lambda number: number.to_bytes(4))
setting = st.tuples(st.integers(0, 7), numbers).map(
    lambda pair: pair[0].to_bytes(2) + pair[1].to_bytes(4)
)
payloads = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(BLOCKS),
    st.lists(st.sampled_from(BLOCKS), max_size=3).map(b"".join),
    quads,
    st.tuples(quads, quads).map(b"".join),
    st.lists(setting, max_size=3).map(b"".join),
    st.sampled_from([bytes(16_384), bytes(16_385)]),
)
any_frames = st.builds(raw, st.integers(0, 10), flags, streams, payloads)
# Of the right size and on the right kind of stream, so that a play goes on for longer.
open_streams = st.sampled_from([1, 3, 5, 7])
sound_frames = st.one_of(
    st.builds(raw, st.just(0), st.sampled_from([0, 1]), open_streams, st.binary(max_size=30)),
    st.builds(raw, st.just(1), st.sampled_from([4, 5]), open_streams, st.sampled_from(BLOCKS[:6])),
    st.builds(
        raw, st.just(3), st.just(0), open_streams, st.integers(0, 13).map(lambda n: n.to_bytes(4))
    ),
    st.builds(raw, st.just(4), st.just(0), st.just(0), setting),
    st.builds(raw, st.just(6), st.just(0), st.just(0), st.just(b"12345678")),
    st.builds(
        raw, st.just(7), st.just(0), st.just(0), st.integers(0, 9).map(lambda n: n.to_bytes(8))
    ),
    st.builds(raw, st.just(8), st.just(0), st.sampled_from([0, 1, 3, 5]), quads),
)
greeting = raw(4, 0, 0) + raw(4, 1, 0)


@patient
@given(st.lists(st.binary(max_size=60) | writes | waits, max_size=8), st.booleans())
def test_random_bytes(steps: list[Step], is_greeted: bool) -> None:
    Play().run([greeting, *steps] if is_greeted else steps)


@patient
@given(st.lists(any_frames | writes | waits | cancels, max_size=15))
@example([Write(0, 6), raw(1, 5, 1, b"\x20\x88"), raw(1, 5, 1, b"\x88")])
def test_random_frames(steps: list[Step]) -> None:
    Play().run([greeting, Write(0, 2), *steps])


@patient
@given(st.lists(st.one_of(sound_frames, sound_frames, writes, waits, cancels), max_size=30))
def test_random_frames_that_are_sound(steps: list[Step]) -> None:
    first_answer = raw(1, 5, 1, b"\x20\x88")
    Play().run([greeting, Write(0, 2), Write(1, 2), first_answer, *steps])


@patient
@given(st.binary(max_size=300))
def test_plays_made_of_bytes(data: bytes) -> None:
    Play().run(steps_of(data))


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A good session with some bytes changed, left out, or put in."""
    data = bytearray(SESSION)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data) - 1))
        size = draw(st.integers(0, 3))
        data[at : at + size] = draw(st.binary(max_size=3))
    return bytes(data)


def in_pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@patient
@given(mutations(), st.lists(st.integers(0, 10_000), max_size=6), st.data())
def test_sessions_that_went_wrong(session: bytes, cuts: list[int], data: st.DataObject) -> None:
    steps: list[Step] = [session[:GREETING_SIZE], Write(0, 2), Write(0, 3)]
    for piece in in_pieces(session[GREETING_SIZE:], cuts):
        steps += [piece, data.draw(writes)]
    Play().run(steps)


@given(st.lists(st.integers(0, 10_000), max_size=20))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    play = Play()
    head, rest = SESSION[:GREETING_SIZE], SESSION[GREETING_SIZE:]
    play.run([head, *[Write(0, 5)] * 4, *in_pieces(rest, cuts)])
    assert play.exchanges[0].statuses == [200, 204, 410, 200, 429, 0]
    assert play.peer.connection.fault is None


# --- a server of another house -------------------------------------------------------------------

answers = st.tuples(st.sampled_from([200, 204, 400, 410, 429, 503]), st.binary(max_size=2_000))


@settings(max_examples=60)
@given(
    bodies=st.lists(
        st.sampled_from([b"", b"{}", b"x" * 9_000, b"y" * 70_000]), min_size=1, max_size=6
    ),
    answers=st.lists(answers, min_size=6, max_size=6),
    window=st.sampled_from([0, 1_000, 65_535, 1_000_000]),
    limit=st.integers(1, 4),
    order=st.randoms(use_true_random=False),
    piece=st.integers(1, 500),
)
def test_hyper_h2_agrees(
    bodies: list[bytes],
    answers: list[tuple[int, bytes]],
    window: int,
    limit: int,
    order: random.Random,
    piece: int,
) -> None:
    server = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    server.initiate_connection()
    server.update_settings({3: limit, 4: window})
    client, of = Peer(is_settled=False), exchange(requests(bodies=bodies))
    server.receive_data(client.greeting)
    ready: list[int] = []
    rows: dict[int, int] = {}
    for _ in range(1_000):
        if not of.open:
            break
        client.write(of)
        for event in server.receive_data(client.connection.take_output()):
            if isinstance(event, RequestReceived):
                (path,) = [str(value) for name, value in event.headers if str(name) == ":path"]
                rows[event.stream_id] = int(path.rpartition("/")[2])
                if not window:
                    server.increment_flow_control_window(100_000, event.stream_id)
            elif isinstance(event, StreamEnded):
                ready.append(event.stream_id)
        order.shuffle(ready)
        if ready:
            stream = ready.pop()
            status, body = answers[rows[stream]]
            server.send_headers(stream, [(":status", str(status)), ("apns-id", "x")])
            server.send_data(stream, body, end_stream=True)
        else:
            server.increment_flow_control_window(100_000)
        for stream in rows:
            if stream in server.streams and server.streams[stream].open and window:
                server.increment_flow_control_window(50_000, stream)
        out = server.data_to_send()
        for at in range(0, len(out), piece):
            client.send(out[at : at + piece])
    assert client.connection.fault is None
    assert of.statuses == [answers[row][0] for row in range(len(bodies))]
    for row, reply in of.replies.items():
        assert reply.body == answers[row][1]
