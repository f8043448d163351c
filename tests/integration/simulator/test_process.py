"""The simulator as a process."""

import asyncio
import json
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import jwt
import pytest

from nuncio_simulator.client import AdminClient, AdminError
from nuncio_simulator.contract import Fault, FaultKind, ProviderName, Shares
from nuncio_simulator.process import (
    Simulator,
    SimulatorDidNotStartError,
    start_simulator,
)


async def test_a_restart_in_the_same_folder_has_the_same_keys_and_tokens(tmp_path: Path) -> None:
    worlds = []
    for _ in range(2):
        async with start_simulator(tmp_path, dead_share=0, slow_share=0.5) as simulator:
            files = (simulator.ca_file, simulator.apns.key_file)
            tokens = (await simulator.admin.mint(ProviderName.APNS, 5)).tokens
            worlds.append((tokens, [path.read_bytes() for path in files]))
    assert worlds[0] == worlds[1]


async def test_a_restart_forgets_what_happened_to_tokens(tmp_path: Path) -> None:
    shares = Shares(dead=0, throttled=0, slow=0)
    async with start_simulator(tmp_path) as simulator:
        [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=shares)).tokens
        await simulator.admin.kill([token])
        assert (await push(simulator, token)).status_code == 410
    async with start_simulator(tmp_path) as simulator:
        assert (await push(simulator, token)).status_code == 200
        assert (await simulator.admin.ledger(ProviderName.APNS)).accepted == 1


async def push(simulator: Simulator, token: str) -> httpx.Response:
    """An alert to the token."""
    apns = simulator.apns
    claims = {"iss": apns.team_id, "iat": int(time.time())}
    key = apns.key_file.read_text()
    bearer = jwt.encode(claims, key, algorithm="ES256", headers={"kid": apns.key_id})
    headers = {"authorization": f"bearer {bearer}", "apns-topic": apns.topics[0]}
    trust = ssl.create_default_context(cafile=str(simulator.ca_file))
    async with httpx.AsyncClient(http2=True, verify=trust, trust_env=False) as http2:
        url = f"{apns.origin}/3/device/{token}"
        return await http2.post(url, headers=headers, json={"aps": {"alert": "hello"}})


async def test_thousands_of_tokens_are_killed_in_one_call(simulator: Simulator) -> None:
    tokens = (await simulator.admin.mint(ProviderName.APNS, 2_000)).tokens
    await simulator.admin.kill(tokens)
    await simulator.admin.revive(tokens)


def test_starting_it_from_python_does_not_import_the_server() -> None:
    program = "import sys, nuncio_simulator.process; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    imported = set(found.stdout.decode().split())
    assert "nuncio_simulator.process" in imported
    assert not imported & {"nuncio_simulator.app", "cryptography", "jwt", "uvloop"}


def test_its_files_are_for_its_owner_only(folder: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    described = json.loads((folder / "simulator.json").read_text())
    assert described["apns"]["team_id"] != described["apns"]["key_id"]


async def test_it_says_that_it_cannot_start_when_a_port_is_taken(
    simulator: Simulator, tmp_path: Path
) -> None:
    port = httpx.URL(simulator.apns.origin).port
    assert port is not None
    with pytest.raises(SimulatorDidNotStartError):
        async with start_simulator(tmp_path, apns_port=port):
            pytest.fail("two simulators on one port")


async def test_it_stops_though_a_stream_hangs(tmp_path: Path) -> None:
    async with start_simulator(tmp_path) as simulator:
        fault = Fault(provider=ProviderName.APNS, kind=FaultKind.NO_ANSWER)
        await simulator.admin.fault(fault)
        trust = ssl.create_default_context(cafile=str(simulator.ca_file))
        http2 = httpx.AsyncClient(http2=True, verify=trust, trust_env=False)
        waiting = asyncio.create_task(http2.get(simulator.apns.origin))
        while not (await simulator.admin.ledger(ProviderName.APNS)).answers:
            assert not waiting.done()
    with pytest.raises(httpx.RemoteProtocolError, match="ConnectionTerminated"):
        await waiting
    await http2.aclose()


async def test_bad_input_is_refused_without_repeating_it(simulator: Simulator) -> None:
    secret = "c0ffee" * 11
    with pytest.raises(AdminError) as caught:
        await simulator.admin.kill([secret])
    assert secret not in str(caught.value)
    shares = {"dead": 2}
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"{simulator.description.admin_url}/population/mint",
            json={"provider": "apns", "count": 1, "shares": shares},
        )
    assert answer.status_code == 400
    assert answer.json()["problems"][0]["loc"] == ["shares", "dead"]


async def test_faults_are_seen_and_cleared(simulator: Simulator) -> None:
    fault = Fault(provider=ProviderName.FCM, kind=FaultKind.LATENCY, latency_ms=5)
    fault_id = await simulator.admin.fault(fault)
    assert (await simulator.admin.state()).faults == [fault]
    await simulator.admin.clear_faults(fault_id)
    assert (await simulator.admin.state()).faults == []
    with pytest.raises(AdminError, match="no such fault"):
        await simulator.admin.clear_faults(fault_id)


async def test_minting_goes_on_past_one_page(simulator: Simulator) -> None:
    before = (await simulator.admin.state()).minted[ProviderName.FCM]
    minted = await simulator.admin.mint(ProviderName.FCM, 10_001, shares=Shares())
    assert len(set(minted.tokens)) == 10_001
    assert (await simulator.admin.state()).minted[ProviderName.FCM] == before + 10_001


async def test_an_unknown_route_is_not_found(simulator: Simulator) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{simulator.description.admin_url}/nothing")
    assert answer.status_code == 404
    async with AdminClient(simulator.description.admin_url) as admin:
        assert (await admin.state()).pid == simulator.description.pid
