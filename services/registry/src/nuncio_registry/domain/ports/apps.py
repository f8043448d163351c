"""What the domain asks of the storage of apps. The comments are the contract."""

from typing import Protocol

from nuncio_registry.domain.model import App


class AppStore(Protocol):
    """Apps."""

    async def create(self, app: App) -> App:
        """Store the app unless its id is taken; give what is stored under the id then."""

    async def get(self, app_id: str) -> App | None:
        """The app, None when there is none."""

    async def page(self, *, after: str, limit: int) -> list[App]:
        """Apps in order of their ids (by code point), those greater than `after`."""
