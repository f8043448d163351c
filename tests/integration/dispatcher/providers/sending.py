"""Rows to send, credentials to send them with, and a look at what came of them."""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from nuncio_dispatcher.domain.model import (
    Answers,
    Message,
    Platform,
    PushToken,
    TargetColumns,
    Verdict,
    WebPushToken,
)
from nuncio_dispatcher.domain.ports import Lane
from nuncio_simulator.contract import ProviderName, Subscription
from nuncio_simulator.process import Simulator

APP = "com.example.shop"
MESSAGE = Message(title="Hello", body="Grüße 👋", data={"order": "17"}, collapse_key="greeting")


def soon(seconds: float = 600) -> datetime:
    """A moment for `expires_at`."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def rows(tokens: Sequence[PushToken], platform: Platform = Platform.IOS) -> TargetColumns:
    """One row per token, each with its own id."""
    return TargetColumns(
        ids=[uuid4() for _ in tokens], tokens=tokens, platforms=[platform] * len(tokens)
    )


def plain(tokens: Sequence[str]) -> list[PushToken]:
    """APNs and FCM tokens."""
    return [PushToken(token) for token in tokens]


def subscribed(subscriptions: Sequence[Subscription], *, key_id: str = "") -> list[PushToken]:
    """Web Push tokens."""
    return [
        WebPushToken(
            found.endpoint,
            p256dh=_decoded(found.p256dh),
            auth=_decoded(found.auth),
            vapid_key_id=key_id,
        )
        for found in subscriptions
    ]


def verdicts(answers: Answers) -> list[Verdict]:
    """The column, readable."""
    return [Verdict(verdict) for verdict in answers.verdicts]


async def answers_given(simulator: Simulator, provider: ProviderName) -> Counter[str]:
    """How often a provider gave which answer: "" for accepted, else its word."""
    ledger = await simulator.admin.ledger(provider)
    return Counter({"": ledger.accepted}) + Counter(
        {found.reason: found.count for found in ledger.answers if found.status >= 300}
    )


async def taken(simulator: Simulator, provider: ProviderName, count: int) -> None:
    """Return once a provider has taken so many messages, said so or not."""
    async with asyncio.timeout(8):
        while (await simulator.admin.ledger(provider)).accepted < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # what another process does can only be looked at


async def send_until_stopped(
    lane: Lane, targets: TargetColumns, *, when: Coroutine[Any, Any, None]
) -> Answers:
    """Send, and set the stop at some event; fails when the stop is not heard soon."""
    stop = asyncio.Event()
    sending = asyncio.create_task(lane.send(MESSAGE, targets, expires_at=soon(), stop=stop))
    await when
    stop.set()
    async with asyncio.timeout(3):
        return await sending


def write_credentials(folder: Path, simulator: Simulator, transport: str) -> None:
    """The app's file, with every provider pointing at the simulator."""
    apns, fcm, webpush = simulator.apns, simulator.fcm, simulator.webpush
    common = {
        "ca_file": str(simulator.ca_file),
        "answer_within": 5.0,
        "transport": transport,
    }
    team = {
        "team_id": apns.team_id,
        "key_id": apns.key_id,
        "key_file": str(apns.key_file),
        "topic": apns.topics[0],
    }
    write_sections(
        folder / f"{APP}.toml",
        {
            "apns.production": {**team, **common, "origin": apns.origin},
            "apns.sandbox": {**team, **common, "origin": apns.sandbox_origin},
            "fcm": {
                **common,
                "service_account_file": str(fcm.service_account_file),
                "origin": fcm.origin,
            },
            "web_push": {
                **common,
                "private_key_file": str(webpush.vapid_private_key_file),
                "subject": webpush.subject,
                "key_id": "first",
                "allowed_origins": [webpush.origin],
            },
        },
    )


def change_credentials(folder: Path, **changed: object) -> None:
    """Change keys in every section of the app's file that has them."""
    path = folder / f"{APP}.toml"
    lines = path.read_text().splitlines()
    for key, value in changed.items():
        assert any(line.startswith(f"{key} = ") for line in lines)
        lines = [
            f"{key} = {json.dumps(value)}" if line.startswith(f"{key} = ") else line
            for line in lines
        ]
    path.write_text("\n".join(lines) + "\n")


def write_sections(path: Path, sections: dict[str, dict[str, object]]) -> None:
    """A TOML file of these sections; JSON's values are TOML's."""
    lines = []
    for name, section in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in section.items()]
    path.write_text("\n".join(lines) + "\n")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
