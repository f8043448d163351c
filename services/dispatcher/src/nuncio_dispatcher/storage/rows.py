"""Rows of the database as values of the domain."""

from collections import Counter
from typing import Final, TypeAlias

import asyncpg

from nuncio_dispatcher.domain.books import Books, Entries, Entry, Outcome
from nuncio_dispatcher.domain.dispatch import (
    Audience,
    DeliveryPolicy,
    Dispatch,
    DispatchState,
    KeyRange,
    Work,
)
from nuncio_dispatcher.domain.pages import Lease, Outcomes, OutcomesOf, Page, Rows, Shard
from nuncio_dispatcher.storage.packing import (
    known,
    message_from,
    unpack_environments,
    unpack_reasons,
    unpack_times,
)

Row: TypeAlias = asyncpg.Record

_WALKED: Final = 2


def dispatch_from(row: Row) -> Dispatch:
    """A row of get_dispatch or list_dispatches."""
    return Dispatch(
        dispatch_id=row["dispatch_id"],
        app_id=row["app_id"],
        client_ref=row["client_ref"],
        content_digest=row["content_digest"],
        campaign=row["campaign"],
        purpose=row["purpose"],
        test=row["test"],
        delivery=_delivery(row),
        state=_state(row),
        failure=row["failure"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        expires_at=row["expires_at"],
        books=_books(row),
    )


def shard_from(row: Row) -> Shard:
    """A row of claim_shards."""
    return Shard(
        lease=Lease(row["dispatch_id"], row["shard_no"], row["epoch"]),
        work=Work(
            dispatch_id=row["dispatch_id"],
            app_id=row["app_id"],
            campaign=row["campaign"],
            purpose=row["purpose"],
            test=row["test"],
            delivery=_delivery(row),
            message=message_from(row["message"]),
            audience=Audience(
                expression=row["audience_expression"],
                installation_ids=row["audience_installations"],
                user_ids=tuple(row["audience_users"]),
            ),
            expires_at=row["expires_at"],
        ),
        keys=KeyRange(row["key_low"], row["key_high"]),
        cursor=row["cursor"],
        walked=row["state"] >= _WALKED,
    )


def page_from(row: Row) -> Page:
    """A row of pages_in_doubt or due_page."""
    return Page(
        number=row["page_no"],
        rows=_rows(row),
        tries=row["tries"],
        sent_before=row["sent_before"],
        in_doubt=row["in_doubt"],
        opened_at=row["opened_at"],
        cursor=row["cursor_after"],
    )


def outcomes_from(row: Row) -> Outcomes:
    """A row of take_outcomes, without the targets that follow up."""
    count = len(row["verdicts"])
    return Outcomes(
        of=OutcomesOf(row["dispatch_id"], row["app_id"], row["campaign"], row["test"]),
        shard_no=row["shard_no"],
        number=row["page_no"],
        rows=_rows(row),
        verdicts=row["verdicts"],
        reasons=unpack_reasons(row["reasons"]),
        reason_names=row["reason_names"],
        sent_at=unpack_times(row["sent_at"], count=count),
        dead_since=unpack_times(row["dead_since"], count=count),
        environments=unpack_environments(row["environments"], count=count),
    ).final()


def _rows(row: Row) -> Rows:
    return Rows(
        installation_ids=row["installation_ids"],
        token_refs=row["token_refs"],
        platforms=row["platforms"],
        providers=row["providers"],
    )


def _delivery(row: Row) -> DeliveryPolicy:
    """A policy that only a newer release knows is kept on the safe side: nothing twice."""
    return known(DeliveryPolicy, row["delivery_policy"], otherwise=DeliveryPolicy.AT_MOST_ONCE)


def _state(row: Row) -> DispatchState:
    """Of a state that only a newer release knows, what matters is whether it is the end."""
    ended = row["finished_at"] is not None
    otherwise = DispatchState.COMPLETED if ended else DispatchState.RUNNING
    return known(DispatchState, row["state"], otherwise=otherwise)


def _books(row: Row) -> Books:
    """Four columns of equal length; None stands for no lines at all.

    Outcomes that only a newer release knows count as unknown, so that the books add up.
    """
    columns = [row[name] or () for name in ("outcomes", "providers", "reasons", "counts")]
    counts: Entries = Counter()
    for number, provider, why, count in zip(*columns, strict=True):
        outcome = known(Outcome, number, otherwise=Outcome.UNKNOWN)
        counts[Entry(outcome, provider, why)] += count
    return Books(counts)
