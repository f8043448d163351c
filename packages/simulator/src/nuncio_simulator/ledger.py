"""What each provider accepted and refused; tokens and messages are kept as hashes."""

import hashlib
from collections import Counter
from typing import Final

from nuncio_simulator.contract import AnswerCount, LedgerView, ProviderName, TokenCount

VALIDATED: Final = "validate_only"
"""Stands for the reason where a good message was not to be taken."""


def token_hash(token: str) -> str:
    """The name of a token or endpoint in the ledger: SHA-256, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


class _Book:
    def __init__(self) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.accepted_ids: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.plaintexts: Counter[str] = Counter()


class Ledger:
    """One book per provider."""

    def __init__(self) -> None:
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
        book.accepted_ids[accepted_id] += 1
        if token is not None:
            book.accepted[token_hash(token)] += 1

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
            book.refused[token_hash(token)] += 1

    def read_plaintext(self, provider: ProviderName, plaintext: bytes) -> None:
        """Note what a device would have decrypted."""
        self._books[provider].plaintexts[hashlib.sha256(plaintext).hexdigest()] += 1

    def view(self, provider: ProviderName, *, detail: bool) -> LedgerView:
        """The provider's book; without detail only the counts."""
        book = self._books[provider]
        view = LedgerView(
            provider=provider,
            accepted=book.accepted_ids.total(),
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
                "plaintexts": dict(book.plaintexts),
                "tokens": {
                    token: TokenCount(accepted=book.accepted[token], refused=book.refused[token])
                    for token in book.accepted.keys() | book.refused.keys()
                },
            }
        )
