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
    apns_bad_tokens: int = 0
    """How many BadDeviceToken end a connection; 0: any number is borne."""
    apns_documented_spelling: bool = False
    """BadEnvironmentKeyIdInToken, as Apple documents it, not as it comes over the wire."""
    fuzzy_seconds: float = 0.0
    """How long providers go on accepting for a token after its death."""
    fcm_project: str = "nuncio-simulator"
    access_token_seconds: int = 3_600
    fcm_per_minute: int = 0
    """The project's quota; 0: none."""
    fcm_max_age: float = 3_600.0
    """Seconds until GOAWAY max_age."""
    fcm_idle: float = 240.0
    """Seconds without a request until GOAWAY session_timeout."""
    fcm_pings: int = 3
    """PINGs without a request until GOAWAY too_many_pings."""
    webpush_max_ttl: int = 2_592_000
    """Seconds; what a longer TTL is cut down to."""
    webpush_http1_only: bool = False
