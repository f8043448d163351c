"""Synthetic installations that look like an app's: the same ones for the same seed."""

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.common.v1.provider_pb2 import (
    ENVIRONMENT_PRODUCTION,
    PLATFORM_ANDROID,
    PLATFORM_IOS,
    PLATFORM_WEB,
    Platform,
)
from nuncio.registry.v1.installation_pb2 import (
    CONSENT_STATE_DENIED,
    CONSENT_STATE_GRANTED,
    PERMISSION_DENIED,
    PERMISSION_GRANTED,
    PERMISSION_PROVISIONAL,
    PERMISSION_UNDETERMINED,
    AttributeValue,
    ConsentChange,
    InstallationFacts,
    Permission,
    TopicSet,
)
from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio.registry.v1.token_pb2 import Token

T = TypeVar("T")


class Home(NamedTuple):
    """Where people live, and how they set their phones."""

    share: int
    country: str
    languages: tuple[str, ...]
    time_zones: tuple[str, ...]


# Shares are made up; language, country and time zone go together.
HOMES: Final = (
    Home(16, "US", ("en-US", "en-US", "en-US", "es-US"), (
        "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles")),
    Home(12, "DE", ("de-DE", "de-DE", "en-DE", "tr-DE"), ("Europe/Berlin",)),
    Home(9, "CH", ("de-CH", "de-CH", "fr-CH", "it-CH"), ("Europe/Zurich",)),
    Home(9, "GB", ("en-GB",), ("Europe/London",)),
    Home(8, "FR", ("fr-FR",), ("Europe/Paris",)),
    Home(8, "BR", ("pt-BR",), ("America/Sao_Paulo", "America/Manaus")),
    Home(7, "JP", ("ja-JP",), ("Asia/Tokyo",)),
    Home(7, "IN", ("en-IN", "hi-IN"), ("Asia/Kolkata",)),
    Home(6, "ES", ("es-ES", "ca-ES"), ("Europe/Madrid", "Atlantic/Canary")),
    Home(5, "IT", ("it-IT",), ("Europe/Rome",)),
    Home(4, "AT", ("de-AT",), ("Europe/Vienna",)),
    Home(4, "PL", ("pl-PL",), ("Europe/Warsaw",)),
    Home(3, "CA", ("en-CA", "fr-CA"), ("America/Toronto", "America/Vancouver")),
    Home(2, "AU", ("en-AU",), ("Australia/Sydney", "Australia/Perth")),
)  # fmt: skip

PLATFORM_SHARES: Final[Mapping[Platform.ValueType, int]] = {
    PLATFORM_ANDROID: 52,
    PLATFORM_IOS: 36,
    PLATFORM_WEB: 12,
}
MODELS: Final[Mapping[Platform.ValueType, tuple[str, ...]]] = {
    PLATFORM_IOS: ("iPhone14,5", "iPhone15,3", "iPhone16,1", "iPhone17,2", "iPad13,18"),
    PLATFORM_ANDROID: ("Pixel 8", "Pixel 9a", "SM-S921B", "SM-A556B", "23129RAA4G", "CPH2609"),
    PLATFORM_WEB: ("Firefox", "Chrome", "Edge", "Safari"),
}
SYSTEMS: Final[Mapping[Platform.ValueType, tuple[str, ...]]] = {
    PLATFORM_IOS: ("17.7.2", "18.6", "26.0", "26.1"),
    PLATFORM_ANDROID: ("13", "14", "15", "16"),
    PLATFORM_WEB: ("128.0", "139.0", "144.0", "145.0"),
}
APP_VERSIONS: Final = (("4.2.1", 55), ("4.2.0", 20), ("4.1.3", 12), ("4.0.0", 8), ("3.9.7", 5))
TOPICS: Final = (("news", 62), ("offers", 38), ("sport", 30), ("weather", 24), ("releases", 10))
PLANS: Final = (("free", 70), ("plus", 22), ("business", 8))
PERMISSIONS: Final[Mapping[Platform.ValueType, Sequence[tuple[Permission.ValueType, int]]]] = {
    PLATFORM_IOS: (
        (PERMISSION_GRANTED, 58), (PERMISSION_PROVISIONAL, 12),
        (PERMISSION_DENIED, 22), (PERMISSION_UNDETERMINED, 8),
    ),
    PLATFORM_ANDROID: (
        (PERMISSION_GRANTED, 72), (PERMISSION_DENIED, 18), (PERMISSION_UNDETERMINED, 10),
    ),
    PLATFORM_WEB: ((PERMISSION_GRANTED, 96), (PERMISSION_DENIED, 4)),
}  # fmt: skip
PURPOSE: Final = "marketing"

ANONYMOUS_SHARE: Final = 0.2
SECOND_INSTALLATION_SHARE: Final = 0.3
CONSENT_SHARE: Final = 0.82
STALE_SHARE: Final = 0.07
# Most were seen within days; the registry's default takes 30 days for stale.
MEAN_ABSENCE: Final = timedelta(days=4)
STALE_ABSENCE: Final = (timedelta(days=31), timedelta(days=240))


class Person(NamedTuple):
    """Who holds installations: several of them, or an unknown visitor with one."""

    user_id: str
    home: Home
    language: str
    time_zone: str
    plan: str
    topics: tuple[str, ...]
    consents: bool


def platforms(count: int) -> dict[Platform.ValueType, int]:
    """How many installations of each platform make up the population."""
    total = sum(PLATFORM_SHARES.values())
    counts = {p: count * share // total for p, share in PLATFORM_SHARES.items()}
    counts[PLATFORM_ANDROID] += count - sum(counts.values())
    return counts


def population(
    tokens: Mapping[Platform.ValueType, Sequence[Token]], *, seed: int, now: datetime
) -> Iterator[Registration]:
    """One registration per token, platforms mixed; people come with one to three of them."""
    dice = random.Random(seed)  # noqa: S311 - nothing here is secret
    order = [platform for platform, minted in tokens.items() for _ in minted]
    dice.shuffle(order)
    left = {platform: iter(minted) for platform, minted in tokens.items()}
    person = _person(dice)
    for platform in order:
        if dice.random() > SECOND_INSTALLATION_SHARE or not person.user_id:
            person = _person(dice)
        yield _installation(dice, person, platform=platform, token=next(left[platform]), now=now)


def _person(dice: random.Random) -> Person:
    home = dice.choices(HOMES, weights=[home.share for home in HOMES])[0]
    anonymous = dice.random() < ANONYMOUS_SHARE
    return Person(
        user_id="" if anonymous else f"user-{dice.getrandbits(40):010x}",
        home=home,
        language=dice.choice(home.languages),
        time_zone=dice.choice(home.time_zones),
        plan=_pick(dice, PLANS),
        topics=tuple(topic for topic, share in TOPICS if dice.random() * 100 < share),
        consents=dice.random() < CONSENT_SHARE,
    )


def _installation(
    dice: random.Random,
    person: Person,
    *,
    platform: Platform.ValueType,
    token: Token,
    now: datetime,
) -> Registration:
    state = CONSENT_STATE_GRANTED if person.consents else CONSENT_STATE_DENIED
    return Registration(
        installation_id=str(uuid.UUID(int=dice.getrandbits(128), version=4)),
        platform=platform,
        environment=ENVIRONMENT_PRODUCTION,
        token=token,
        user_id=person.user_id or None,
        facts=_facts(dice, person, platform=platform, now=now),
        consents=[
            ConsentChange(
                purpose=PURPOSE, state=state, source="onboarding", prompt_strategy="pre_prompt"
            )
        ],
    )


def _facts(
    dice: random.Random, person: Person, *, platform: Platform.ValueType, now: datetime
) -> InstallationFacts:
    seen = Timestamp()
    seen.FromDatetime(now - _absence(dice))
    attributes = {"plan": AttributeValue(text=person.plan)}
    if person.user_id:
        attributes["orders"] = AttributeValue(number=float(int(dice.expovariate(1 / 6))))
        attributes["beta"] = AttributeValue(flag=dice.random() < 0.05)
    return InstallationFacts(
        permission=_pick(dice, PERMISSIONS[platform]),
        language=person.language,
        country=person.home.country,
        time_zone=person.time_zone,
        app_version=_pick(dice, APP_VERSIONS),
        os_version=dice.choice(SYSTEMS[platform]),
        device_model=dice.choice(MODELS[platform]),
        sdk_version="1.0.0",
        topics=TopicSet(topics=person.topics),
        attributes=attributes,
        last_seen=seen,
    )


def _absence(dice: random.Random) -> timedelta:
    if dice.random() < STALE_SHARE:
        shortest, longest = STALE_ABSENCE
        return shortest + (longest - shortest) * dice.random()
    return min(MEAN_ABSENCE * dice.expovariate(1), timedelta(days=28))


def _pick(dice: random.Random, choices: Sequence[tuple[T, int]]) -> T:
    return dice.choices([c for c, _ in choices], weights=[share for _, share in choices])[0]
