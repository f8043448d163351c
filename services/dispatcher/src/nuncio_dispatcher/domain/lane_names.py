"""What a lane is called, in logs and towards feedback."""

from collections.abc import Sequence
from typing import Final

from nuncio_dispatcher.domain.model import Environment, Provider
from nuncio_dispatcher.domain.pages import Outcomes

PROVIDER_NAMES: Final = {
    Provider.APNS: "apns",
    Provider.FCM: "fcm",
    Provider.WEB_PUSH: "web_push",
}


def lane_name(app_id: str, kind: tuple[Provider, Environment]) -> str:
    """Provider, app and environment, such as "apns/shop/production"; only APNs has a sandbox."""
    provider, environment = kind
    sandbox = provider is Provider.APNS and environment is Environment.SANDBOX
    world = Environment.SANDBOX if sandbox else Environment.PRODUCTION
    return f"{PROVIDER_NAMES[provider]}/{app_id}/{world.name.lower()}"


def lanes_of(page: Outcomes) -> tuple[Sequence[int], Sequence[str]]:
    """Each row's place in the list of names, and the names; both empty when nothing was sent."""
    if not page.environments:
        return (), ()
    kinds = list(zip(page.rows.providers, page.environments, strict=True))
    places = {kind: place for place, kind in enumerate(dict.fromkeys(kinds))}
    return [places[kind] for kind in kinds], [_name(page.of.app_id, *kind) for kind in places]


def _name(app_id: str, provider: int, environment: int) -> str:
    """Empty for a provider that only a newer registry knows: nothing was sent to it."""
    if provider not in PROVIDER_NAMES:
        return ""
    sandbox = environment == Environment.SANDBOX
    world = Environment.SANDBOX if sandbox else Environment.PRODUCTION
    return lane_name(app_id, (Provider(provider), world))
