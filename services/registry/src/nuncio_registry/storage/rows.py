"""Rows of the tables as values of the domain, and pages of the domain as columns."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from nuncio_registry.domain.model import (
    App,
    ConsentChange,
    ConsentState,
    Environment,
    Facts,
    Installation,
    Permission,
    Platform,
    Provider,
    Registration,
    Suppression,
    TokenState,
)
from nuncio_registry.domain.ports.registration import Known, NewRow
from nuncio_registry.domain.ports.selection import SelectedRows
from nuncio_registry.storage.attributes import from_json, to_json

_WORDS: Final = " "


def app_from(row: Record) -> App:
    """A row of `app`."""
    return App(
        app_id=row["app_id"],
        display_name=row["display_name"],
        stale_after=row["stale_after"],
        created_at=row["created_at"],
    )


def known_from(row: Record) -> Known:
    """A row of `lock_touched`."""
    id_, platform, environment, token_hash, key_id, state, registered_at, *told = row
    observed_at, permission, user_id, names = told
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
        frozenset(names),
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
    )


def installation_columns(
    rows: Sequence[Registration], new: Sequence[NewRow], hashes: Sequence[bytes]
) -> list[Sequence[Any]]:
    """The columns of `insert_installations` and `refresh_installations`, from $3 on."""
    page = [rows[n.row] for n in new]
    facts = [row.facts for row in page]
    return [
        [row.installation_id for row in page],
        [row.platform for row in page],
        [row.provider for row in page],
        [row.environment for row in page],
        [n.sealed for n in new],
        [n.key_id for n in new],
        [hashes[n.row] for n in new],
        [row.vapid_key_id for row in page],
        [row.observed_at for row in page],
        [row.user_id for row in page],
        [fact.permission for fact in facts],
        [fact.language for fact in facts],
        [fact.country for fact in facts],
        [fact.time_zone for fact in facts],
        [fact.app_version for fact in facts],
        [fact.os_version for fact in facts],
        [fact.device_model for fact in facts],
        [fact.sdk_version for fact in facts],
        [None if fact.topics is None else _WORDS.join(fact.topics) for fact in facts],
        [attributes_to_json(fact) for fact in facts],
        [fact.last_seen for fact in facts],
        [purposes(row.consents, ConsentState.GRANTED) for row in page],
        [purposes(row.consents, ConsentState.DENIED) for row in page],
    ]


def attributes_to_json(facts: Facts) -> dict[str, Any] | None:
    """The attributes to set, None when there are none."""
    if not facts.attributes:
        return None
    return {name: to_json(value) for name, value in facts.attributes.items()}


def purposes(changes: Sequence[ConsentChange], state: ConsentState) -> str | None:
    """The purposes that change to the state, as words; None when nothing changes at all."""
    if not changes:
        return None
    return _WORDS.join(sorted(change.purpose for change in changes if change.state == state))


def selected_from(rows: Sequence[Record]) -> SelectedRows:
    """Rows of `select_targets` as columns of those that may be reached."""
    reasons = Counter(row[0] for row in rows)
    live = [row for row in rows if row[0] == 0]
    # A page without targets has the same ten columns, all of them empty.
    _, ids, refs, platforms, providers, environments, sealed, key_ids, vapid, registered_at = (
        zip(*live, strict=True) if live else ((),) * 10
    )
    return SelectedRows(
        ids=ids,
        token_refs=refs,
        platforms=platforms,
        providers=providers,
        environments=environments,
        sealed=sealed,
        key_ids=key_ids,
        vapid_key_ids=vapid,
        registered_at=registered_at,
        suppressed={Suppression(reason): n for reason, n in sorted(reasons.items()) if reason},
        matched=len(rows),
        cursor=UUID(bytes=rows[-1][1]),
    )
