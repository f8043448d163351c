"""What each provider accepted and refused; tokens and messages are kept as hashes."""

import hashlib
from collections import Counter
from typing import Final, TypeVar

from nuncio_simulator.contract import (
    AnswerCount,
    LedgerSummary,
    LedgerView,
    ProviderName,
    TokenCount,
)

VALIDATED: Final = "validate_only"
"""Stands for the reason where a good message was not to be taken."""
ROOM: Final = 1_000_000
"""Different ids, and different tokens, that a book tells apart; what is beyond is only counted."""

Key = TypeVar("Key", str, bytes)


def token_hash(token: str) -> str:
    """The name of a token or endpoint in the ledger: SHA-256, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


class _Book:
    def __init__(self) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.taken = 0
        self.overflowed = 0
        self.accepted_ids: dict[str, int] = {}
        self.accepted: dict[bytes, int] = {}  # by the digest of the token
        self.refused: dict[bytes, int] = {}
        self.plaintexts: dict[bytes, int] = {}


class Ledger:
    """One book per provider."""

    def __init__(self, *, room: int = ROOM) -> None:
        self._room = room
        self._books: dict[ProviderName, _Book] = {}
        self.reset()

    def reset(self) -> None:
        """Start new books."""
        self._books = {provider: _Book() for provider in ProviderName}

    def accept(
        self, provider: ProviderName, *, status: int, accepted_id: str, token: str | None
    ) -> None:
        """Note an accepted message."""
        book = self._books[provider]
        book.answers[status, ""] += 1
        book.taken += 1
        fits = self._count(book.accepted_ids, accepted_id)
        if token is not None:
            fits &= self._count(book.accepted, _digest(token))
        book.overflowed += not fits

    def validate(self, provider: ProviderName, *, status: int) -> None:
        """Note that a message was found good; it is not accepted, and counts for no token."""
        self._books[provider].answers[status, VALIDATED] += 1

    def refuse(
        self, provider: ProviderName, *, status: int, reason: str, token: str | None
    ) -> None:
        """Note a refusal, or with status 0 that no answer was given."""
        book = self._books[provider]
        book.answers[status, reason] += 1
        if token is not None:
            self._count(book.refused, _digest(token))

    def read_plaintext(self, provider: ProviderName, plaintext: bytes) -> None:
        """Note what a device would have decrypted."""
        self._count(self._books[provider].plaintexts, hashlib.sha256(plaintext).digest())

    def summary(self, provider: ProviderName) -> LedgerSummary:
        """What proves that nothing was lost and nothing doubled."""
        book = self._books[provider]
        return LedgerSummary(
            provider=provider,
            accepted=book.taken,
            ids=len(book.accepted_ids),
            tokens=len(book.accepted),
            most_for_one_id=max(book.accepted_ids.values(), default=0),
            most_for_one_token=max(book.accepted.values(), default=0),
            overflowed=book.overflowed,
        )

    def view(self, provider: ProviderName, *, detail: bool) -> LedgerView:
        """The provider's book; without detail only the counts."""
        book = self._books[provider]
        view = LedgerView(
            provider=provider,
            accepted=book.taken,
            overflowed=book.overflowed,
            answers=[
                AnswerCount(status=status, reason=reason, count=count)
                for (status, reason), count in sorted(book.answers.items())
            ],
        )
        if not detail:
            return view
        return view.model_copy(
            update={
                "accepted_ids": dict(book.accepted_ids),
                "plaintexts": {digest.hex(): n for digest, n in book.plaintexts.items()},
                "tokens": {
                    digest.hex(): TokenCount(
                        accepted=book.accepted.get(digest, 0), refused=book.refused.get(digest, 0)
                    )
                    for digest in book.accepted.keys() | book.refused.keys()
                },
            }
        )

    def _count(self, counts: dict[Key, int], key: Key) -> bool:
        """Count one more of the key, if it is known or there is room."""
        count = counts.get(key, 0)
        if not count and len(counts) >= self._room:
            return False
        counts[key] = count + 1
        return True


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
