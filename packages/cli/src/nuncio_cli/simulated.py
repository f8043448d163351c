"""The simulator as the outside world of an app: its ports, and the app's credentials."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nuncio_simulator.process import Description, read_description

DEMO_APP: Final = "demo"
LISTENERS: Final = ("apns", "apns-sandbox", "fcm", "webpush", "admin")


def previous_ports(folder: Path) -> dict[str, int]:
    """The ports of the simulator that served from the folder before; empty when none did.

    They are kept, because a Web Push endpoint names its port, and may have been registered.
    """
    try:
        description = read_description(folder)
    except (OSError, ValueError):
        return {}
    origins = {
        "apns": description.apns.origin,
        "apns-sandbox": description.apns.sandbox_origin,
        "fcm": description.fcm.origin,
        "webpush": description.webpush.origin,
        "admin": description.admin_url,
    }
    return {name: port for name, url in origins.items() if (port := urlsplit(url).port)}


def arguments(folder: Path, ports: Mapping[str, int], seed: int | None) -> tuple[str, ...]:
    """The command line of `python -m`."""
    flags = [f"--{name}-port={port}" for name, port in ports.items()]
    seeded = [] if seed is None else [f"--seed={seed}"]
    return ("nuncio_simulator", "serve", f"--folder={folder}", *flags, *seeded)


def write_credentials(file: Path, simulator: Description) -> None:
    """Let the dispatcher reach the simulator for the app that the file is named after.

    Other credentials of the file's app are replaced; those of other apps are left alone.
    """
    apns, fcm, web_push = simulator.apns, simulator.fcm, simulator.webpush
    shared = {"team_id": apns.team_id, "key_id": apns.key_id, "key_file": str(apns.key_file)}
    topic = {"topic": apns.topics[0]} if apns.topics else {}
    # A simulated throttle is over at once; the default is the minute that real ones ask for.
    common = {"ca_file": str(simulator.ca_file), "quota_wait": "PT1S"}
    sections: dict[str, dict[str, str | int | list[str]]] = {
        "apns.production": {**shared, **topic, "origin": apns.origin, **common},
        "apns.sandbox": {**shared, **topic, "origin": apns.sandbox_origin, **common},
        "fcm": {
            "service_account_file": str(fcm.service_account_file),
            "origin": fcm.origin,
            # It has Google's quota only when told to, so a gentle start would be for nobody.
            "rate": 60_000_000,
            **common,
        },
        "web_push": {
            "private_key_file": str(web_push.vapid_private_key_file),
            "subject": web_push.subject,
            "allowed_origins": [web_push.origin],
            **common,
        },
    }
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_text("".join(map(_section, sections, sections.values())), encoding="utf-8")


def _section(name: str, values: Mapping[str, str | int | list[str]]) -> str:
    # A JSON string, number, or list of strings, is the same in TOML.
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in values.items()]
    return f"[{name}]\n{''.join(lines)}\n"
