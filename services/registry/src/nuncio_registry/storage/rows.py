"""Rows of the tables as values of the domain, and pages of the domain as columns."""

import struct
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from nuncio_registry.domain.model import (
    App,
    ConsentChange,
    ConsentEvent,
    ConsentState,
    Environment,
    Facts,
    FactsChange,
    Installation,
    Permission,
    Platform,
    Provider,
    Registration,
    Suppression,
    TokenState,
)
from nuncio_registry.domain.ports.installations import ReachCount
from nuncio_registry.domain.ports.registration import Known, NewRow
from nuncio_registry.domain.ports.selection import SelectedRows
from nuncio_registry.storage.attributes import from_json, size_of, to_json
from nuncio_registry.storage.looking import is_sparse

_WORDS: Final = " "


def app_from(row: Record) -> App:
    """A row of `app`."""
    return App(
        app_id=row["app_id"],
        display_name=row["display_name"],
        stale_after=row["stale_after"],
        expire_after=row["expire_after"],
        retention=row["retention"],
        created_at=row["created_at"],
    )


def known_from(row: Record) -> Known:
    """A row of `lock_touched`."""
    id_, platform, environment, token_hash, key_id, state, registered_at, *told = row
    observed_at, permission, user_id, attributes, purposes, *overtaken_at = told
    return Known(
        id_,
        Platform(platform),
        Environment(environment),
        token_hash,
        key_id,
        TokenState(state),
        registered_at,
        observed_at,
        Permission(permission),
        user_id,
        {name: size_of(name, told) for name, told in attributes.items()} if attributes else {},
        frozenset(purposes or ()),
        *overtaken_at,
    )


def installation_from(row: Record) -> Installation:
    """A row of `installation`."""
    return Installation(
        installation_id=row["installation_id"],
        platform=Platform(row["platform"]),
        provider=Provider(row["provider"]),
        environment=Environment(row["environment"]),
        user_id=row["user_id"] or "",
        token_state=TokenState(row["token_state"]),
        token_state_reason=row["token_state_reason"],
        token_hash=row["token_hash"],
        facts=_facts_from(row),
        consents=consents_from(row),
        created_at=row["created_at"],
        registered_at=row["registered_at"],
        token_changed_at=row["token_changed_at"],
        last_opened_at=row["last_opened_at"],
        died_at=row["died_at"],
        vapid_key_id=row["vapid_key_id"],
    )


def update_columns(change: FactsChange) -> list[Any]:
    """The arguments of `update_installation`, from $3 on."""
    facts = change.facts
    return [
        *_single_facts(facts),
        facts.topics,
        facts.tags,
        attributes_to_json(facts),
        change.add_topics,
        change.remove_topics,
        change.add_tags,
        change.remove_tags,
        change.remove_attributes,
        facts.last_seen,
    ]


def consent_event_from(row: Record) -> ConsentEvent:
    """A row of `consent_events`."""
    event_id, purpose, state, source, prompt_strategy, policy_version, actor, changed_at = row
    change = ConsentChange(
        purpose, ConsentState(state), source, prompt_strategy, policy_version, actor
    )
    return ConsentEvent(event_id, change, changed_at)


def reach_count_from(row: Record) -> ReachCount:
    """A row of `reachability`."""
    user_id, provider, platform, reason, count, last_seen = row
    return ReachCount(
        user_id,
        Provider(provider),
        Platform(platform),
        Suppression(reason) if reason else None,
        count,
        last_seen,
    )


def consents_from(row: Record) -> dict[str, ConsentState]:
    """The latest state of each purpose."""
    granted = dict.fromkeys(row["consents_granted"], ConsentState.GRANTED)
    return granted | dict.fromkeys(row["consents_denied"], ConsentState.DENIED)


def _facts_from(row: Record) -> Facts:
    return Facts(
        permission=Permission(row["permission"]),
        language=row["language"],
        country=row["country"],
        time_zone=row["time_zone"],
        app_version=row["app_version"],
        os_version=row["os_version"],
        device_model=row["device_model"],
        sdk_version=row["sdk_version"],
        topics=tuple(row["topics"]),
        attributes={name: from_json(value) for name, value in row["attributes"].items()},
        last_seen=row["last_seen_at"],
        tags=tuple(row["tags"]),
    )


def registration_row(row: Registration, new: NewRow, token_hash: bytes) -> tuple[Any, ...]:
    """An element of the type `registration`."""
    facts = row.facts
    return (
        new.is_new,
        row.installation_id,
        row.platform,
        row.provider,
        row.environment,
        new.sealed,
        new.key_id,
        token_hash,
        row.vapid_key_id,
        row.observed_at,
        row.user_id,
        *_single_facts(facts),
        None if facts.topics is None else _WORDS.join(facts.topics),
        None if facts.tags is None else _WORDS.join(facts.tags),
        attributes_to_json(facts),
        facts.last_seen,
        *_purposes(row.consents),
        row.content_hash,
        list(map(tuple, row.consents)) if row.consents else None,
    )


def _single_facts(facts: Facts) -> tuple[Any, ...]:
    """Those with one value each, in the order in which all statements take them."""
    return (
        facts.permission,
        facts.language,
        facts.country,
        facts.time_zone,
        facts.app_version,
        facts.os_version,
        facts.device_model,
        facts.sdk_version,
    )


def attributes_to_json(facts: Facts) -> dict[str, Any] | None:
    """The attributes to set, None when there are none."""
    if not facts.attributes:
        return None
    return {name: to_json(value) for name, value in facts.attributes.items()}


def _purposes(changes: Sequence[ConsentChange]) -> tuple[str | None, str | None]:
    """The purposes granted and those denied, as words; None twice when nothing changes at all."""
    if not changes:
        return None, None
    granted: list[str] = []
    denied: list[str] = []
    for change in sorted(changes):
        purposes = granted if change.state == ConsentState.GRANTED else denied
        purposes.append(change.purpose)
    return _WORDS.join(granted), _WORDS.join(denied)


def scanned_from(row: Record, *, limit: int, keys: int) -> SelectedRows:
    """A row of `scan_targets`, asked for `limit` matches among so many keys."""
    matched, boundary = row["matched"], row["boundary"]
    return selected_from(row, cursor=boundary or row["last_id"])._replace(
        ended=boundary is None and matched < limit,
        sparse=boundary is not None and is_sparse(matched, keys=keys),
    )


def selected_from(row: Record, *, cursor: UUID | None) -> SelectedRows:
    """The columns of `scan_targets` and `targets_among`; without targets they are NULL."""
    key_ids = row["key_ids"] or b""
    # Two bytes each, of which the second one counts.
    reasons = (row["suppressions"] or b"")[1::2]
    counts = {reason: reasons.count(reason) for reason in Suppression}
    return SelectedRows(
        ids=row["ids"] or b"",
        token_refs=row["token_refs"] or b"",
        platforms=(row["platforms"] or b"")[1::2],
        providers=(row["providers"] or b"")[1::2],
        environments=(row["environments"] or b"")[1::2],
        sealed=row["sealed"] or (),
        key_ids=struct.unpack(f">{len(key_ids) // 2}h", key_ids),
        vapid_key_ids=row["vapid_key_ids"] or (),
        registered_at=row["registered_at"] or b"",
        suppressed={reason: count for reason, count in counts.items() if count},
        cursor=cursor,
    )
