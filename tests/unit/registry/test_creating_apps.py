"""Creating an app: what is left of an earlier one goes first, in short steps."""

from nuncio_registry.domain.apps import CLEARED_AT_ONCE, Apps, Policies
from nuncio_registry.domain.model import App
from nuncio_runtime.clock import ManualClock
from tests.unit.registry.builders import APP, NOW


class Store:
    """Has so many rows left of an earlier app. left_at_creation: how many there were then."""

    def __init__(self, left: int) -> None:
        self._left = left
        self.left_at_creation: int | None = None

    async def clear(self, app_id: str, *, limit: int) -> int:
        assert (app_id, limit) == (APP, CLEARED_AT_ONCE)
        cleared = min(self._left, limit)
        self._left -= cleared
        return cleared

    async def create(self, app: App) -> App:
        self.left_at_creation = self._left
        return app


async def test_what_is_left_of_an_earlier_app_goes_in_batches_before() -> None:
    store = Store(left=2 * CLEARED_AT_ONCE + 1)
    apps = Apps(store, ManualClock(NOW))  # type: ignore[arg-type] # only this part is asked
    created = await apps.create(app_id=APP, display_name="Shop", policies=Policies())
    assert created.app_id == APP
    assert store.left_at_creation == 0
