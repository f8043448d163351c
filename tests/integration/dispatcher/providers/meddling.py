"""What the tests of lanes do to their files and to the simulator."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nuncio_simulator.contract import Fault, ProviderName
from nuncio_simulator.process import Simulator
from tests.integration.dispatcher.providers.sending import APP


def change(folder: Path, edit: Callable[[str], str]) -> None:
    """Write the app's file anew."""
    file = folder / f"{APP}.toml"
    file.write_text(edit(file.read_text()))


async def fault(simulator: Simulator, provider: ProviderName, **details: Any) -> None:
    await simulator.admin.fault(Fault.model_validate({"provider": provider, **details}))


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
