"""Exchanges: what is told to whom, and what is taken back."""

import pytest

from nuncio_dispatcher.http2.exchange import Exchange, Failure, Origin
from tests.unit.dispatcher.http2.peer import Peer, exchange, requests


@pytest.mark.parametrize(
    ("text", "origin", "authority"),
    [
        ("https://push.example", Origin("push.example", 443), "push.example"),
        ("https://push.example:443/", Origin("push.example", 443), "push.example"),
        ("https://Push.Example:2197", Origin("push.example", 2197), "push.example:2197"),
        ("https://[::1]:8443", Origin("::1", 8443), "[::1]:8443"),
    ],
)
def test_an_origin_is_read(text: str, origin: Origin, authority: str) -> None:
    assert Origin.parse(text) == origin
    assert origin.authority == authority
    assert str(origin) == f"https://{authority}"


@pytest.mark.parametrize(
    "text",
    [
        "http://push.example",
        "push.example",
        "https://",
        "https://push.example/path",
        "https://push.example?query",
        "https://me@push.example",
        "https://push.example:70000",
        "https://push.example:0",
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whichever of its parts is wrong
        Origin.parse(text)


def test_rows_are_told_once_and_those_with_a_2xx_not_at_all() -> None:
    calls: list[list[int]] = []
    of = Exchange(requests(4), answer_within=60, heard=lambda _, rows: calls.append(list(rows)))
    peer = Peer()
    peer.write(of)
    peer.frames()
    peer.answer(1, 5)
    of.tell()
    peer.answer(3, status=410)
    of.tell()
    assert not of.ended.is_set()
    peer.answer(7)
    of.tell()
    assert calls == [[], [1], []]
    assert of.ended.is_set()


def test_what_was_withdrawn_counts_as_ended_and_is_not_told() -> None:
    calls: list[list[int]] = []
    of = Exchange(requests(3), answer_within=60, heard=lambda _, rows: calls.append(list(rows)))
    peer = Peer()
    peer.write(of, count=1)
    assert of.withdraw() == (1, 2)
    assert of.withdraw() == ()
    assert of.failures == {1: Failure.NOT_SENT, 2: Failure.NOT_SENT}
    assert not of.ended.is_set()
    peer.answer(1)
    of.tell()
    assert of.ended.is_set()
    assert calls == [[]]


def test_an_exchange_that_is_withdrawn_before_it_is_written_has_ended() -> None:
    of = exchange(requests(3))
    of.withdraw()
    assert of.ended.is_set()
    assert of.open == 0


def test_what_is_shown_of_requests_holds_nothing_of_theirs() -> None:
    of = exchange(
        requests(
            2, paths=[b"/token"] * 2, passing_fields=(("authorization", "key"),), bodies=[b"a"] * 2
        )
    )
    for shown in (repr(of), repr(of.requests), str(of.requests)):
        assert "token" not in shown
        assert "key" not in shown
