"""How long an app is remembered."""

import pytest

from nuncio_runtime.clock import ManualClock
from nuncio_targeting.domain.apps import Apps
from nuncio_targeting.domain.errors import TargetingError


class NoSuchApp(TargetingError):
    """The registry does not know it."""


class Known:
    """A registry that knows some apps, and how often it was asked."""

    def __init__(self, *app_ids: str) -> None:
        self.app_ids = set(app_ids)
        self.asked: list[str] = []

    async def check_app(self, app_id: str) -> None:
        self.asked.append(app_id)
        if app_id not in self.app_ids:
            raise NoSuchApp


async def test_a_known_app_is_asked_for_once_in_thirty_seconds() -> None:
    known, clock = Known("shop"), ManualClock()
    apps = Apps(known.check_app, clock)
    await apps.check("shop")
    clock.advance(29.9)
    await apps.check("shop")
    assert known.asked == ["shop"]
    clock.advance(0.1)
    await apps.check("shop")
    assert known.asked == ["shop", "shop"]


async def test_an_unknown_app_is_never_remembered() -> None:
    known = Known()
    apps = Apps(known.check_app, ManualClock())
    with pytest.raises(NoSuchApp):
        await apps.check("shop")
    known.app_ids.add("shop")
    await apps.check("shop")
