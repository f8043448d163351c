"""How values of the domain are kept in columns: a page in a few byte strings, a message in JSON."""

import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Final, TypeVar

from nuncio_dispatcher.domain.books import Entries
from nuncio_dispatcher.domain.model import Message, Priority
from nuncio_dispatcher.domain.pages import FollowUp, Rows, Settled, has_final
from nuncio_dispatcher.storage.overrides import (
    apns_from,
    apns_json,
    fcm_from,
    fcm_json,
    web_push_from,
    web_push_json,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FOLLOW_UP_COLUMNS: Final = 9
_IN_ANOTHER_SHAPE: Final = {"time_to_live", "priority", "apns", "fcm", "web_push"}
_AS_THEY_ARE: Final = {each.name for each in fields(Message)} - _IN_ANOTHER_SHAPE
"""Parts of a message that JSON keeps as they are."""

E = TypeVar("E", bound=IntEnum)


def pack_times(times: Sequence[datetime | None]) -> bytes:
    """Microseconds since 1970 UTC, eight bytes each, 0 for None; empty when all are None."""
    if not any(times):
        return b""
    micros = array("q", [0 if at is None else (at - _EPOCH) // _MICROSECOND for at in times])
    return _little_endian(micros).tobytes()


def unpack_times(packed: bytes, *, count: int) -> Sequence[int]:
    """Microseconds since 1970 UTC, 0 for none."""
    return _unpacked("q", packed) if packed else [0] * count


def pack_environments(environments: bytes) -> bytes:
    """One byte per row; one in all when it is the same for every row, as it nearly always is."""
    same = environments == environments[:1] * len(environments)
    return environments[:1] if same else environments


def unpack_environments(packed: bytes, *, count: int) -> bytes:
    """One byte per row, or none when they are not known."""
    return packed * count if len(packed) == 1 else packed


def pack_reasons(reasons: Sequence[str]) -> tuple[bytes, list[str]]:
    """An index of two bytes per row, and the names that it points into."""
    places = {name: place for place, name in enumerate(dict.fromkeys(reasons))}
    indexes = array("H", [places[name] for name in reasons])
    return _little_endian(indexes).tobytes(), list(places)


def unpack_reasons(packed: bytes) -> Sequence[int]:
    """The index of each row."""
    return _unpacked("H", packed)


def _unpacked(form: str, packed: bytes) -> "array[int]":
    numbers = array(form)
    numbers.frombytes(packed)
    return _little_endian(numbers)


def _little_endian(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def entry_columns(entries: Entries) -> tuple[list[int], list[int], list[str], list[int]]:
    """outcomes, providers, reasons, counts; in the order of their keys, so that locks agree."""
    rows = sorted(entries.items())
    return (
        [entry.outcome for entry, _ in rows],
        [entry.provider for entry, _ in rows],
        [entry.reason for entry, _ in rows],
        [count for _, count in rows],
    )


def row_columns(rows: Rows) -> tuple[int, bytes, bytes, bytes, bytes]:
    """target_count, installation_ids, token_refs, platforms, providers."""
    return (len(rows), rows.installation_ids, rows.token_refs, rows.platforms, rows.providers)


def settled_columns(settled: Settled) -> tuple[bytes, bytes, list[str], bytes, bytes, bool]:
    """verdicts, reasons, reason_names, sent_at, dead_since, reported.

    A page without targets has nothing to report, which is as good as reported.
    """
    reasons, names = pack_reasons(settled.reasons)
    return (
        settled.verdicts,
        reasons,
        names,
        pack_times(settled.sent_at),
        pack_times(settled.dead_since),
        not has_final(settled.verdicts),
    )


def follow_up_row(page: FollowUp) -> tuple[Any, ...]:
    """due_at, tries, sent_before, in_doubt and the row columns."""
    return (page.due_at, page.tries, page.sent_before, page.in_doubt, *row_columns(page.rows))


def follow_up_columns(pages: Sequence[FollowUp]) -> tuple[Sequence[Any], ...]:
    """The columns of `follow_up_row`, one element per page."""
    rows = [follow_up_row(page) for page in pages]
    return tuple(zip(*rows, strict=True)) or ((),) * _FOLLOW_UP_COLUMNS


def message_json(message: Message) -> dict[str, Any]:
    """What JSON keeps of a message. Names of parts never change; new ones may be absent."""
    return {
        "title": message.title,
        "body": message.body,
        "image": message.image,
        "sound": message.sound,
        "badge": message.badge,
        "link": message.link,
        "data": dict(message.data),
        "time_to_live_ms": message.time_to_live // timedelta(milliseconds=1),
        "collapse_key": message.collapse_key,
        "priority": int(message.priority),
        "category": message.category,
        "thread": message.thread,
        "apns": apns_json(message.apns),
        "fcm": fcm_json(message.fcm),
        "web_push": web_push_json(message.web_push),
    }


def message_from(kept: Mapping[str, Any]) -> Message:
    """The message that `message_json` kept. What only a newer release knows is left out."""
    parts = {name: value for name, value in kept.items() if name in _AS_THEY_ARE}
    life = timedelta(milliseconds=kept["time_to_live_ms"])
    priority = known(Priority, kept["priority"], otherwise=Priority.HIGH)
    return Message(
        time_to_live=life,
        priority=priority,
        apns=apns_from(kept.get("apns")),
        fcm=fcm_from(kept.get("fcm")),
        web_push=web_push_from(kept.get("web_push")),
        **parts,
    )


def known(kind: type[E], number: int, *, otherwise: E) -> E:
    """The member of an enum; `otherwise` for a number that only a newer release knows."""
    try:
        return kind(number)
    except ValueError:
        return otherwise
