"""What the domain asks of the storage of apps. The comments are the contract."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from nuncio_registry.domain.model import App


class Deletion(Enum):
    """What deleting an app did."""

    DELETED = auto()
    NOT_EMPTY = auto()
    UNKNOWN = auto()


class AppStore(Protocol):
    """Apps."""

    async def create(self, app: App) -> App:
        """Store the app unless its id is taken; give what is stored under the id then.

        It inherits nothing from an app with this id that was deleted: what is left of that is gone
        when it is there, and the positions in its change feed have expired.
        """

    async def get(self, app_id: str) -> App | None:
        """The app, None when there is none."""

    async def page(self, *, after: str, limit: int) -> list[App]:
        """Apps in order of their ids (by code point), those greater than `after`."""

    async def update(self, app_id: str, change: Callable[[App], App]) -> App | None:
        """Store what `change` makes of the locked app; None when there is none.

        Nothing is stored when `change` raises.
        """

    async def delete(self, app_id: str) -> Deletion:
        """Delete the app with its statistics unless it has installations."""

    async def deleted(self) -> list[str]:
        """The ids of apps that were deleted and not created again since."""

    async def clear(self, app_id: str, *, limit: int) -> int:
        """Delete what is left of a deleted app: its changes, and what came in behind its back.

        At most `limit` rows of each table; gives how many, 0 when nothing is left, or when there
        is such an app.
        """
