"""What each row of a page does to what is stored.

`decide` is pure. It sees the stored rows that the page touches, all of them locked, and walks
through the page in order, so that rows which touch the same installation or the same token do to
each other what they would do one after the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from nuncio_registry.domain.limits import (
    PURPOSES_RULE,
    attribute_sizes,
    broken_limit,
    too_many_purposes,
)
from nuncio_registry.domain.model import (
    Change,
    ChangeKind,
    ConsentState,
    Environment,
    Facts,
    Permission,
    Registration,
    RegistrationOutcome,
    TokenState,
)
from nuncio_registry.domain.ports.registration import (
    Known,
    NewRow,
    Plan,
    Registered,
    Result,
    Round,
)
from nuncio_runtime.errors import FieldViolation


def decide(
    rows: Sequence[Registration],
    hashes: Sequence[bytes],
    *,
    known: Iterable[Known],
    now: datetime,
) -> Plan:
    """Say what each row does, and in which rounds of writing.

    rows and hashes: the page, row by row. known: the installations that the page names and the
    live owners of its tokens, as stored. A row is STALE when its installation, or the live owner
    of its token, was observed later; it is refused when its attributes or purposes and those
    that are stored are too many. Of a row that was observed before another call changed its
    installation, what that call was about does not count.
    """
    state = _State(known)
    results = [state.register(i, row, hashes[i], now) for i, row in enumerate(rows)]
    return Plan(results, state.rounds, state.changes, state.rows)


class _State:
    """What is stored, as it will be after the rows so far."""

    def __init__(self, known: Iterable[Known]) -> None:
        self._known = {row.installation_id: row for row in known}
        self._owners: dict[tuple[Environment, bytes], UUID] = {
            (row.environment, row.token_hash): row.installation_id
            for row in self._known.values()
            if row.live
        }
        self.rounds: list[Round] = []
        self.changes: list[Change] = []
        self.rows: list[Registration] = []
        self._written: set[UUID] = set()

    def register(self, index: int, row: Registration, token_hash: bytes, now: datetime) -> Result:
        key = (row.environment, token_hash)
        mine = self._known.get(row.installation_id)
        owner_id = self._owners.get(key)
        owner = self._known[owner_id] if owner_id and owner_id != row.installation_id else None
        row = _in_time(row, mine)
        self.rows.append(row)
        for stored in (mine, owner):
            if stored and row.observed_at and row.observed_at < stored.observed_at:
                return Registered(RegistrationOutcome.STALE, stored.registered_at)
        attributes = _attributes(row, mine)
        if row.facts.attributes and (broken := broken_limit(attributes)) is not None:
            return broken
        purposes = _purposes(row, mine)
        if too_many_purposes(len(purposes), before=len(mine.purposes) if mine else 0):
            return FieldViolation("consents", PURPOSES_RULE)
        same = mine is not None and (mine.environment, mine.token_hash) == key
        round_ = self._round_for(row.installation_id, owner)
        if owner is not None:
            self._replace(owner, round_)
        if mine is not None and mine.live and not same:
            round_.released.append((mine.installation_id, mine.token_hash, mine.environment))
            del self._owners[mine.environment, mine.token_hash]
        round_.rows.append(
            NewRow(
                index,
                is_new=mine is None,
                takes_token=not (same and mine is not None and mine.live),
                key_id=mine.key_id if mine and same else None,
            )
        )
        self.changes += _changes(row, mine, same=same)
        outcome = _outcome(mine, owner, same=same)
        return self._keep(row, key, attributes, purposes, mine=mine, now=now, outcome=outcome)

    def _round_for(self, installation_id: UUID, owner: Known | None) -> Round:
        """A round is written in any order, so what depends on a row of it starts the next one."""
        depends = installation_id in self._written or (
            owner is not None and owner.installation_id in self._written
        )
        if depends or not self.rounds:
            self.rounds.append(Round([], [], []))
            self._written.clear()
        return self.rounds[-1]

    def _replace(self, owner: Known, round_: Round) -> None:
        """The live owner of a token loses it."""
        round_.released.append((owner.installation_id, owner.token_hash, owner.environment))
        round_.replaced.append(owner.installation_id)
        self._known[owner.installation_id] = owner._replace(state=TokenState.REPLACED)
        self.changes.append(Change(owner.installation_id, ChangeKind.REPLACED, owner.platform))

    def _keep(
        self,
        row: Registration,
        key: tuple[Environment, bytes],
        attributes: Mapping[str, int],
        purposes: frozenset[str],
        *,
        mine: Known | None,
        now: datetime,
        outcome: RegistrationOutcome,
    ) -> Registered:
        observed_at, registered_at = row.observed_at or now, now
        if mine is not None:
            # Clocks of replicas differ a little; what is stored never goes back.
            observed_at = max(observed_at, mine.observed_at)
            registered_at = max(registered_at, mine.registered_at)
        self._known[row.installation_id] = Known(
            row.installation_id,
            row.platform,
            *key,
            None,
            TokenState.ACTIVE,
            registered_at,
            observed_at,
            row.facts.permission or (mine.permission if mine else Permission.UNDETERMINED),
            (mine.user_id if mine else "") if row.user_id is None else row.user_id,
            attributes,
            purposes,
            *((mine.identified_at, mine.facts_updated_at, mine.consents_set_at) if mine else ()),
        )
        self._owners[key] = row.installation_id
        self._written.add(row.installation_id)
        return Registered(outcome, registered_at)


def _in_time(row: Registration, mine: Known | None) -> Registration:
    """The row without what another call has overtaken since it was observed.

    So a registration that waited in a queue brings no old login back. A refusal counts whenever it
    comes: nothing tells which purposes the other call was about, and no consent is the safe side.
    """
    at = row.observed_at
    if mine is None or at is None:
        return row
    counts = row
    if mine.identified_at is not None and at < mine.identified_at:
        counts = counts._replace(user_id=None)
    if mine.facts_updated_at is not None and at < mine.facts_updated_at:
        counts = counts._replace(facts=Facts(last_seen=row.facts.last_seen))
    if mine.consents_set_at is not None and at < mine.consents_set_at:
        refused = tuple(said for said in row.consents if said.state == ConsentState.DENIED)
        counts = counts._replace(consents=refused)
    return row if counts == row else counts._replace(content_hash=None)


def _attributes(row: Registration, mine: Known | None) -> Mapping[str, int]:
    """The bytes of each attribute that the installation has after the row."""
    told = row.facts.attributes
    stored: Mapping[str, int] = mine.attributes if mine is not None else {}
    return {**stored, **attribute_sizes(told)} if told else stored


def _purposes(row: Registration, mine: Known | None) -> frozenset[str]:
    """The purposes that the installation has after the row."""
    stored: frozenset[str] = mine.purposes if mine is not None else frozenset()
    return stored.union(said.purpose for said in row.consents) if row.consents else stored


def _changes(row: Registration, mine: Known | None, *, same: bool) -> list[Change]:
    """What the row is for the change feed; a mere refreshment is nothing.

    Consents are not here: the storage compares them with the ledger.
    """

    def change(kind: ChangeKind, value: int = 0, detail: str = "") -> None:
        changes.append(Change(row.installation_id, kind, row.platform, value, detail))

    changes: list[Change] = []
    if mine is None:
        change(ChangeKind.REGISTERED)  # Which says all that there is to know of it.
        return changes
    if not same:
        change(ChangeKind.ROTATED)
    elif not mine.live:
        change(ChangeKind.RESTORED)
    if row.facts.permission and row.facts.permission != mine.permission:
        change(ChangeKind.PERMISSION_CHANGED, row.facts.permission)
    if row.user_id is not None and row.user_id != mine.user_id:
        change(ChangeKind.IDENTIFIED)
    return changes


def _outcome(mine: Known | None, owner: Known | None, *, same: bool) -> RegistrationOutcome:
    if owner is not None:
        return RegistrationOutcome.REASSIGNED
    if mine is None:
        return RegistrationOutcome.CREATED
    return RegistrationOutcome.REFRESHED if same else RegistrationOutcome.ROTATED
