"""Checking an expression without using it."""

from typing import NamedTuple

from nuncio_targeting.domain.apps import Apps
from nuncio_targeting.domain.audiences import Audiences
from nuncio_targeting.domain.condition import Condition
from nuncio_targeting.domain.errors import AudienceError, Problem
from nuncio_targeting.domain.language.canonical import canonical


class Validation(NamedTuple):
    """Either problems, or the canonical form and the condition."""

    problems: tuple[Problem, ...] = ()
    canonical: str = ""
    condition: Condition | None = None


class Validate:
    """Says all that is wrong with an expression, or what it comes down to."""

    def __init__(self, apps: Apps, audiences: Audiences) -> None:
        self._apps = apps
        self._audiences = audiences

    async def validation(self, app_id: str, text: str) -> Validation:
        """Check an expression of the app; its segments too. Raises the registry's APP_NOT_FOUND."""
        await self._apps.check(app_id)
        try:
            expression, condition = await self._audiences.understand(app_id, text)
        except AudienceError as error:
            return Validation(error.problems)
        return Validation((), canonical(expression), condition)
