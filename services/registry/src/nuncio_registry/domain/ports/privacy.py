"""What the domain asks of the storage to erase and to tell what is kept. The comments are the
contract.
"""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from enum import Enum, IntEnum, auto
from typing import NamedTuple, Protocol, TypeAlias
from uuid import UUID


class ErasureSubject(IntEnum):
    """Whom an erasure was for."""

    USER = 1
    INSTALLATION = 2


class Erasure(NamedTuple):
    """The proof of an erasure. Names nobody.

    removed: rows by the name of their table. principal: empty when callers are not told apart.
    """

    erasure_id: UUID
    app_id: str
    subject: ErasureSubject
    subject_hash: bytes
    removed: Mapping[str, int]
    principal: str
    erased_at: datetime


class ErasureMark(NamedTuple):
    """A place among the proofs, by time and then by their ids."""

    erased_at: datetime
    erasure_id: UUID


# A row by the names of its columns. Attributes are typed: {"age": {"number": 7.0}}.
StoredRow: TypeAlias = Mapping[str, object]


class RecordKind(Enum):
    """What a row that is kept of a user tells. CONSENT: of the ledger. CHANGE: of the feed."""

    INSTALLATION = auto()
    CONSENT = auto()
    CHANGE = auto()
    INVALIDATION = auto()


class UserRecords(Protocol):
    """What is kept of a user."""

    def records(
        self, app_id: str, user_id: str
    ) -> AsyncGenerator[tuple[RecordKind, StoredRow], None]:
        """Everything that is kept of the user at one moment but the sealed tokens, row by row.

        In the order of kinds, each kind in key order: all installations come before their history.
        Few rows are in memory at a time. Close it to end before the last one: until then it has a
        connection to itself.
        """


class PersonalData(Protocol):
    """What is kept of people, over all tables. Every call is one transaction."""

    async def erase_user(self, user_id: str, proof: Erasure) -> Erasure:
        """Remove all installations that the user has now, and their history, from every table.

        Appends an ERASED change for each, stores the proof with what was removed, and gives it.
        A registration at the same time comes before, and is gone, or after, and is new.
        """

    async def erase_installation(self, installation_id: UUID, proof: Erasure) -> Erasure:
        """Remove one installation and its history in the same way; what is left of one that is
        gone, too. Without the installation there is no ERASED change.
        """

    async def erasures(
        self, app_id: str, *, subject_hash: bytes | None, before: ErasureMark | None, limit: int
    ) -> list[Erasure]:
        """Proofs of the app, of one subject or of all, newest first, those before the mark."""
