"""How one simulator differs from another."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nuncio_simulator.contract import Shares

DESCRIPTION: Final = "simulator.json"
"""The file in the folder that holds all that a client needs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Ports of 0 mean any free one."""

    folder: Path
    apns_port: int = 0
    apns_sandbox_port: int = 0
    fcm_port: int = 0
    webpush_port: int = 0
    admin_port: int = 0
    seed: int | None = None
    """Decides tokens and dice. None: kept in the folder, or random."""
    shares: Shares = field(default_factory=Shares)
    apns_topics: tuple[str, ...] = ("com.example.nuncio",)
    apns_streams: int = 1_000
    apns_streams_fall: bool = False
    fcm_project: str = "nuncio-simulator"
    access_token_seconds: int = 3_600
