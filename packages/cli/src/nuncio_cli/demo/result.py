"""What the demo showed, and whether it is what it should be."""

from dataclasses import dataclass, field
from typing import Any

from nuncio_cli.demo.funnel import Funnel


@dataclass
class Result:
    """Filled in as the story goes."""

    installations: int
    """How many were registered."""
    dispatches: list[tuple[str, Funnel]] = field(default_factory=list)
    """By id, in order."""
    invalidated: int = 0
    """Dead tokens that the registry retired."""
    kept: int = 0
    """Tokens that were called dead and kept, because they were registered after that."""
    returned: int = 0
    """Tokens that the demo registered again after their death."""
    seconds: float = 0.0

    def checks(self) -> dict[str, bool]:
        """What has to hold, in words, and whether it does."""
        (_, first), (_, second) = self.dispatches
        newly_inactive = second.suppressed.get("INACTIVE_TOKEN", 0) - first.suppressed.get(
            "INACTIVE_TOKEN", 0
        )
        return {
            "the books of both dispatches are closed": first.closed and second.closed,
            "messages were accepted": min(first.accepted, second.accepted) > 0,
            "every dead token was looked at": self.invalidated + self.kept == first.dead,
            "tokens registered again were kept": self.kept == self.returned,
            "the invalidated ones are no longer targeted": newly_inactive == self.invalidated,
            "the second campaign meets no dead token": second.dead == 0,
        }

    @property
    def holds(self) -> bool:
        """Whether everything is as it should be."""
        return all(self.checks().values())

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "installations": self.installations,
            "dispatches": [
                {"dispatch_id": dispatch_id, "books": funnel.document(), "closed": funnel.closed}
                for dispatch_id, funnel in self.dispatches
            ],
            "invalidated": self.invalidated,
            "kept": self.kept,
            "checks": self.checks(),
            "seconds": round(self.seconds, 2),
        }
