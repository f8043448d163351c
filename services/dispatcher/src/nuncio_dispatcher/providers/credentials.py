"""The credentials folder: one TOML file per app, `<app_id>.toml`, read section by section.

    [apns.production]            # and [apns.sandbox]: see apns/settings.py
    [fcm]                        # see fcm/settings.py
    [web_push]                   # see webpush/settings.py

A section that is wrong concerns its own lane only. Problems name file, section and key, no values.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from nuncio_dispatcher.domain.model import Environment, Provider
from nuncio_dispatcher.providers.apns.settings import ApnsSettings
from nuncio_dispatcher.providers.fcm.settings import FcmSettings
from nuncio_dispatcher.providers.webpush.settings import WebPushSettings

Settings = ApnsSettings | FcmSettings | WebPushSettings


class Slot(NamedTuple):
    """What a credential is for; only APNs has more than one environment."""

    provider: Provider
    environment: Environment

    @classmethod
    def of(cls, provider: Provider, environment: Environment) -> "Slot":
        """The slot for tokens of this kind."""
        apart = provider is Provider.APNS
        return cls(provider, environment if apart else Environment.PRODUCTION)


SECTIONS: Final[Mapping[Slot, tuple[str, type[Settings]]]] = {
    Slot(Provider.APNS, Environment.PRODUCTION): ("apns.production", ApnsSettings),
    Slot(Provider.APNS, Environment.SANDBOX): ("apns.sandbox", ApnsSettings),
    Slot(Provider.FCM, Environment.PRODUCTION): ("fcm", FcmSettings),
    Slot(Provider.WEB_PUSH, Environment.PRODUCTION): ("web_push", WebPushSettings),
}


PLAINLY: Final = {"missing": "is required", "extra_forbidden": "is not a known key"}
"""What some of pydantic's problems are called here."""


class Stamp(NamedTuple):
    """Tells whether a file changed."""

    path: Path
    modified_ns: int
    size: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """The file's stamp now; zeros when it cannot be seen."""
        try:
            found = path.stat()
        except OSError:
            return cls(path, 0, 0)
        return cls(path, found.st_mtime_ns, found.st_size)


@dataclass(frozen=True)
class AppCredentials:
    """What an app's file says. A slot that is in neither mapping is not configured."""

    settings: Mapping[Slot, Settings] = field(default_factory=dict)
    problems: Mapping[Slot | None, str] = field(default_factory=dict)
    """By the slot that cannot be used; None: the file as a whole."""


def read_credentials(path: Path) -> AppCredentials:
    """Read an app's file; one that does not exist says nothing. Never raises."""
    try:
        raw = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return AppCredentials()
    except (OSError, ValueError) as error:
        unreadable = error.strerror if isinstance(error, OSError) else str(error)
        return AppCredentials(problems={None: f"{path.name}: cannot be read: {unreadable}"})
    settings: dict[Slot, Settings] = {}
    problems: dict[Slot | None, str] = {}
    if strangers := list(_unknown_sections(raw)):
        problems[None] = f"{path.name}: unknown: {', '.join(strangers)}"
    for slot, (name, model) in SECTIONS.items():
        section = _section(raw, name)
        if section is None:
            continue
        try:
            settings[slot] = model.model_validate(section, context={"folder": path.parent})
        except ValidationError as error:
            problems[slot] = "; ".join(_describe(path, name, error))
    return AppCredentials(settings, problems)


def files_of(settings: Settings) -> list[Path]:
    """The files that a section refers to."""
    found = [value for _, value in settings if isinstance(value, Path)]
    if isinstance(settings, WebPushSettings):
        found += [key.private_key_file for key in settings.previous_keys]
    return found


def _section(raw: Mapping[str, Any], name: str) -> Any | None:
    """The value at a dotted name, None when there is none."""
    found: Any = raw
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found


def _unknown_sections(raw: Mapping[str, Any]) -> Iterator[str]:
    known = {name for name, _ in SECTIONS.values()}
    for name, value in raw.items():
        if name == "apns" and isinstance(value, dict):
            yield from (f"apns.{inner}" for inner in value if f"apns.{inner}" not in known)
        elif name not in known:
            yield name


def _describe(path: Path, section: str, error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_input=False, include_context=False, include_url=False):
        place = ".".join([section, *(str(part) for part in problem["loc"])])
        said = PLAINLY.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        yield f"{path.name}: {place}: {said}"
