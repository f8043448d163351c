"""What a provider is to its lane: it turns rows into requests, and answers into what they mean."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from nuncio_dispatcher.domain.model import Message, TargetColumns
from nuncio_dispatcher.http2.exchange import Reply, Requests
from nuncio_dispatcher.providers.answers import Answer
from nuncio_dispatcher.providers.lane.gate import Parts


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that share an origin, their constant fields and the parts of the lane they go through.

    rows: their numbers in the send, in the order of the requests.
    """

    rows: Sequence[int]
    parts: Parts
    requests: Requests


class Job(Protocol):
    """One message to the rows of one send, with the credentials of this moment."""

    def batches(self, rows: Sequence[int]) -> Iterable[Batch | tuple[int, Answer]]:
        """The requests of these rows; alone, a row that must not be sent, with the answer for it.

        May be left off between two of them, so that preparing rows holds up nothing else for long.
        """

    def read(self, row: int, reply: Reply) -> Answer:
        """What an answer means. Does what it asks of the credential; a cure that cannot help makes
        it MISCONFIGURED."""


class Client(Protocol):
    """The provider's part of a lane."""

    async def prepare(
        self, message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> Job | Answer:
        """What to send, or the answer for all rows when nothing can be sent."""
