"""Which registrations are taken for the same content, and which are held against what is stored."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api.rows import repeat_of
from nuncio_registry.api.values import timestamp_of
from nuncio_registry.domain.apps import TRUSTED_FOR, Apps
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.model import App, RegistrationOutcome
from nuncio_registry.domain.ports.registration import Registered, Repeat
from nuncio_registry.domain.repeats import Repeats
from nuncio_registry.domain.rules import CLOCK_TOLERANCE
from nuncio_registry.domain.sealing import KEY_BYTES, KeyRing
from nuncio_runtime.clock import ManualClock
from tests.unit.registry.builders import APP, NOW, app, key, key_ring

# Protobuf has two classes for it, one in C.
Field: TypeAlias = Any

SECOND = timedelta(seconds=1)
TIMES = frozenset({"observed_at", "facts.last_seen"})
SCALARS: dict[int, tuple[object, object]] = {
    FieldDescriptor.TYPE_STRING: ("ab", "cd"),
    FieldDescriptor.TYPE_BYTES: (b"ab", b"cd"),
    FieldDescriptor.TYPE_ENUM: (1, 2),
    FieldDescriptor.TYPE_DOUBLE: (1.0, 2.0),
    FieldDescriptor.TYPE_BOOL: (True, False),
    FieldDescriptor.TYPE_INT64: (1, 2),
    FieldDescriptor.TYPE_INT32: (1, 2),
}


class Stored:
    """Takes every registration that it is asked about for a repetition."""

    def __init__(self) -> None:
        self.asked: list[Repeat] = []

    async def move_times_on(
        self, app_id: str, repeats: Sequence[Repeat], *, key_id: int, now: datetime
    ) -> dict[int, datetime]:
        assert (app_id, key_id) == (APP, key_ring().newest)
        self.asked += repeats
        return dict.fromkeys(range(len(repeats)), now)


class OneApp:
    """The storage of apps, which has the app of the tests."""

    async def get(self, app_id: str) -> App | None:
        return app() if app_id == APP else None


class Scene:
    """The use case with a storage that tells what it was asked."""

    def __init__(self, *, hosts: Sequence[str] = (), keys: KeyRing | None = None) -> None:
        self.clock = ManualClock(NOW)
        self.stored = Stored()
        self.apps = Apps(OneApp(), self.clock)  # type: ignore[arg-type] # only this part is asked
        self.repeats = Repeats(
            self.stored,  # type: ignore[arg-type] # only this part is asked
            self.apps,
            keys=keys or key_ring(),
            guard=EndpointGuard(hosts=hosts),
            clock=self.clock,
        )

    def content_hash(self, row: pb.Registration) -> bytes:
        repeat = self.repeats.read(row, repeat_of)
        assert repeat is not None
        return repeat.content_hash

    async def answers(self, *rows: Repeat) -> list[Registered | None]:
        await self.apps.require(APP)
        return await self.repeats.page(APP, rows)


def plain_row(number: int = 1) -> pb.Registration:
    return pb.Registration(
        installation_id=str(key(number)),
        platform=provider_pb2.PLATFORM_IOS,
        token=token_pb2.Token(apns="ab"),
        facts=installation_pb2.InstallationFacts(language="de"),
    )


def repeat(
    number: int = 1, *, observed: timedelta | None = None, seen: timedelta | None = None
) -> Repeat:
    observed_at = None if observed is None else NOW + observed
    return Repeat(key(number), b"h" * 16, observed_at, None if seen is None else NOW + seen)


def is_map(field: Field) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def is_there(message: Message, field: Field) -> bool:
    """In a full message all are, but for the other members of a oneof."""
    return not field.has_presence or message.HasField(field.name)


def fill(message: Message) -> None:
    """Set every field; of a oneof the last one stays."""
    for field in message.DESCRIPTOR.fields:
        put(message, field)


def put(message: Message, field: Field, which: int = 0) -> None:
    """Set the field to its first or second value, or give it one more."""
    place = getattr(message, field.name)
    if is_map(field):
        fill(place["ab" if which == 0 else "cd"])
    elif field.message_type is not None:
        fill(place.add() if field.is_repeated else place)
    elif field.is_repeated:
        place.append(SCALARS[field.type][which])
    else:
        setattr(message, field.name, SCALARS[field.type][which])


def full_row() -> pb.Registration:
    """Every field is there."""
    row = pb.Registration()
    fill(row)
    row.installation_id = str(key(1))
    return row


def places(message: Message, path: str = "") -> Iterator[tuple[str, Message, Field]]:
    """The fields of the message and of those in it: path, message with the field, field."""
    for field in message.DESCRIPTOR.fields:
        name, place = f"{path}{field.name}", getattr(message, field.name)
        if name in TIMES:
            continue
        yield name, message, field
        if is_map(field):
            yield from places(place["ab"], f"{name}.")
        elif field.message_type is not None and is_there(message, field):
            yield from places(place[0] if field.is_repeated else place, f"{name}.")


PLACES = list(places(full_row()))
PATHS = [path for path, _, _ in PLACES]
VALUES = [path for path, _, field in PLACES if field.message_type is None or field.is_repeated]
# Without its id a row repeats nothing.
PRESENT = [path for path, *place in PLACES if is_there(*place) and path != "installation_id"]


def place_of(row: pb.Registration, path: str) -> tuple[Message, Field]:
    return next((message, field) for name, message, field in places(row) if name == path)


def test_the_fields_of_all_messages_are_gone_over() -> None:
    """What follows would pass without them."""
    for message, prefix in ((pb.Registration, ""), (installation_pb2.InstallationFacts, "facts.")):
        fields = {f"{prefix}{field.name}" for field in message.DESCRIPTOR.fields}
        assert fields - TIMES <= set(PATHS)
    assert {"token.web_push.auth", "consents.actor", "facts.attributes.version"} <= set(PATHS)


@pytest.mark.parametrize("path", VALUES)
def test_another_value_is_another_content(path: str) -> None:
    scene, row = Scene(), full_row()
    put(*place_of(row, path), 1)
    if path == "installation_id":
        row.installation_id = str(key(2))
    assert scene.content_hash(row) != scene.content_hash(full_row())


@pytest.mark.parametrize("path", PRESENT)
def test_what_is_not_told_is_another_content(path: str) -> None:
    scene, row = Scene(), full_row()
    message, field = place_of(row, path)
    message.ClearField(field.name)
    assert scene.content_hash(row) != scene.content_hash(full_row())


def test_a_field_that_is_empty_is_another_content_than_one_that_is_not_there() -> None:
    """An empty model is taken away, one that is not told stays."""
    plain, emptied, no_topics = plain_row(), plain_row(), plain_row()
    emptied.facts.device_model = ""
    no_topics.facts.topics.SetInParent()
    scene = Scene()
    assert len({scene.content_hash(row) for row in (plain, emptied, no_topics)}) == 3


@pytest.mark.parametrize("observed", [None, NOW, NOW - 400 * SECOND, NOW + 60 * SECOND])
@pytest.mark.parametrize("seen", [None, NOW, NOW - 400 * SECOND])
def test_times_are_no_content(observed: datetime | None, seen: datetime | None) -> None:
    row = plain_row()
    if observed is not None:
        row.observed_at.CopyFrom(timestamp_of(observed))
    if seen is not None:
        row.facts.last_seen.CopyFrom(timestamp_of(seen))
    scene = Scene()
    told = scene.repeats.read(row, repeat_of)
    assert told == Repeat(key(1), scene.content_hash(plain_row()), observed, seen)


def test_facts_that_are_not_there_are_not_made_by_a_time() -> None:
    row = plain_row()
    row.ClearField("facts")
    scene = Scene()
    usual = scene.content_hash(row)
    row.observed_at.CopyFrom(timestamp_of(NOW))
    assert scene.content_hash(row) == usual


def test_maps_are_equal_in_whatever_order_they_were_filled() -> None:
    names = [f"a{number}" for number in range(20)]
    rows = [plain_row(), plain_row()]
    for row, order in zip(rows, (names, reversed(names)), strict=True):
        for name in order:
            row.facts.attributes[name].flag = True
    scene = Scene()
    assert scene.content_hash(rows[0]) == scene.content_hash(rows[1])


@pytest.mark.parametrize("has_facts", [True, False])
@pytest.mark.parametrize("has_times", [True, False])
def test_the_request_is_left_as_it_is(*, has_facts: bool, has_times: bool) -> None:
    """What it does not have is not in it afterwards either: facts that are there are checked."""
    row = plain_row()
    if not has_facts:
        row.ClearField("facts")
    if has_times:
        row.observed_at.CopyFrom(timestamp_of(NOW))
    if has_times and has_facts:
        row.facts.last_seen.CopyFrom(timestamp_of(NOW))
    before = pb.Registration()
    before.CopyFrom(row)
    assert Scene().repeats.read(row, repeat_of) is not None
    assert row == before
    assert row.HasField("facts") == has_facts


@pytest.mark.parametrize(
    "bad",
    [
        pb.Registration(installation_id="1"),
        pb.Registration(observed_at=Timestamp(seconds=10**15)),
        pb.Registration(observed_at=Timestamp(nanos=-1)),
        pb.Registration(
            facts=installation_pb2.InstallationFacts(last_seen=Timestamp(seconds=-(10**15)))
        ),
    ],
)
def test_a_row_that_cannot_be_right_repeats_nothing(bad: pb.Registration) -> None:
    row = plain_row()
    row.MergeFrom(bad)
    assert Scene().repeats.read(row, repeat_of) is None
    assert Scene().repeats.read(pb.Registration(), repeat_of) is None


def test_contents_are_told_apart_by_the_key_and_by_the_rules_that_let_them_in() -> None:
    other_key = KeyRing(seal_keys={1: b"s" * KEY_BYTES}, lookup_key=b"m" * KEY_BYTES)
    scenes = [Scene(), Scene(hosts=["push.example.com"]), Scene(hosts=["a", "b"])]
    hashes = [scene.content_hash(plain_row()) for scene in [*scenes, Scene(keys=other_key)]]
    assert len(set(hashes)) == 4
    assert {len(content_hash) for content_hash in hashes} == {16}
    assert Scene(hosts=["b", "a"]).content_hash(plain_row()) == hashes[2]


async def test_what_repeats_is_refreshed_at_the_time_that_is_stored() -> None:
    scene = Scene()
    assert (
        await scene.answers(repeat(1), repeat(2))
        == [Registered(RegistrationOutcome.REFRESHED, NOW)] * 2
    )
    assert scene.stored.asked == [repeat(1), repeat(2)]


@pytest.mark.parametrize("time", ["observed", "seen"])
async def test_a_row_whose_time_is_too_far_ahead_repeats_nothing(time: str) -> None:
    scene = Scene()
    ahead, still = CLOCK_TOLERANCE + timedelta(microseconds=1), CLOCK_TOLERANCE
    answers = await scene.answers(repeat(1, **{time: ahead}), repeat(2, **{time: still}))
    assert [answer is not None for answer in answers] == [False, True]
    assert [row.installation_id for row in scene.stored.asked] == [key(2)]


async def test_a_clock_that_is_a_little_ahead_means_now() -> None:
    """Of observed_at alone: who is seen later stays longer, and outdates nothing."""
    scene = Scene()
    await scene.answers(repeat(1, observed=SECOND, seen=SECOND), repeat(2, observed=-SECOND))
    assert scene.stored.asked == [repeat(1, seen=SECOND), repeat(2, observed=-SECOND)]


async def test_an_app_that_was_not_seen_lately_is_not_asked_for() -> None:
    scene = Scene()
    assert await scene.repeats.page(APP, [repeat()]) == [None]
    await scene.apps.require(APP)
    scene.clock.advance(TRUSTED_FOR)
    assert await scene.repeats.page(APP, [repeat()]) != [None]
    scene.clock.advance(1)
    assert await scene.repeats.page(APP, [repeat()]) == [None]
    assert await scene.repeats.page("other", [repeat()]) == [None]
    assert len(scene.stored.asked) == 1


def test_what_is_asked_prints_no_token_and_no_user() -> None:
    row = plain_row()
    row.user_id = "ada@example.com"
    row.token.apns = "abcd1234"
    printed = repr(Scene().repeats.read(row, repeat_of))
    assert "ada" not in printed
    assert "abcd1234" not in printed
