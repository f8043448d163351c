"""Four processes and the simulator, as `nuncio up` runs them."""

import json
import os
import signal
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.e2e.conftest import APP, PER_PLATFORM, Installations
from tests.e2e.running import SERVICES, RunningSuite, is_alive, is_serving, wait_until
from tests.e2e.running import running_suite as up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("suite")]


def proto_service(name: str) -> str:
    return f"nuncio.{name}.v1.{name.capitalize()}Service"


@pytest.mark.parametrize("name", SERVICES)
def test_health_says_serving_for_each_service(suite: RunningSuite, name: str) -> None:
    assert is_serving(suite.addresses[name])
    assert is_serving(suite.addresses[name], proto_service(name))


@pytest.mark.parametrize("name", SERVICES)
def test_reflection_lists_the_service(suite: RunningSuite, name: str) -> None:
    with grpc.insecure_channel(suite.addresses[name]) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = next(iter(stub.ServerReflectionInfo(iter([request]), timeout=5)))
    listed = {service.name for service in answer.list_services_response.service}
    assert proto_service(name) in listed


def send_to(suite: RunningSuite, user: str) -> dict[str, int]:
    """Send one message and wait for its end; gives the books."""
    last = suite.json(
        "send", "--app", APP, "--user", user, "--title", "Hello", "--ref", str(uuid4()), "--wait"
    )
    assert last["closed"], last
    books: dict[str, int] = last["books"]
    return books


@pytest.mark.parametrize("name", SERVICES)
def test_the_next_send_succeeds_after_a_service_was_killed(
    suite: RunningSuite, installations: Installations, name: str
) -> None:
    killed = suite.pid(name)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: suite.pid(name) != killed, what=f"{name} is started again")
    wait_until(lambda: is_serving(suite.addresses[name]), what=f"{name} serves")
    books = send_to(suite, installations.users[0])
    assert (books["resolved"], books["accepted"]) == (1, 1)


def test_a_campaign_reaches_every_platform_and_closes_its_books(
    suite: RunningSuite, installations: Installations
) -> None:
    audience = 'topics:"news"'
    counted = suite.json("audience", "count", audience, "--app", APP)
    everyone = len(installations.users)
    assert counted["reachable_by_platform"] == dict.fromkeys(
        ("ios", "android", "web"), PER_PLATFORM
    )
    last = suite.json("send", "--app", APP, "--audience", audience, "--title", "News", "--wait")
    assert last["state"] == "completed"
    assert (last["books"]["resolved"], last["books"]["accepted"]) == (everyone, everyone)
    shown = suite.json("dispatch", "show", last["dispatch_id"])
    assert shown["books"] == last["books"]
    assert suite.json("dispatch", "watch", last["dispatch_id"])["books"] == last["books"]


def test_importing_again_changes_nothing_and_bad_rows_are_set_aside(
    suite: RunningSuite, installations: Installations, tmp_path: Path
) -> None:
    file = tmp_path / "again.ndjson"
    good = installations.file.read_text()
    file.write_text(good + '{"platform": "ios", "token": "not hexadecimal"}\n')
    done = suite.nuncio("tokens", "import", str(file), "--app", APP, "--json")
    assert done.returncode == 1
    summary = json.loads(done.stdout)
    assert summary["outcomes"] == {"refreshed": len(installations.users)}
    rejected = json.loads(Path(summary["rejects_file"]).read_text())
    assert rejected["nuncio_line"] == len(installations.users) + 1
    assert rejected["nuncio_field"] == "token.apns"


def test_a_refused_command_ends_with_1_and_its_reason(suite: RunningSuite) -> None:
    unknown = suite.nuncio("audience", "count", "all()", "--app", "nowhere")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "APP_NOT_FOUND" in unknown.stderr
    wrong = suite.nuncio("audience", "count", 'topics:"news" AN x', "--app", APP)
    assert wrong.returncode == 1
    expression, caret = wrong.stderr.splitlines()[:2]
    assert expression[caret.index("^") :].startswith("AN x")


def test_neither_logs_nor_commands_show_a_token(
    suite: RunningSuite, installations: Installations
) -> None:
    user = installations.users[0]
    shown = suite.nuncio("tokens", "show", "--app", APP, "--user", user)
    assert "permission" in shown.stdout
    send_to(suite, user)
    seen = shown.stdout + shown.stderr + suite.logs()
    assert [secret for secret in installations.secrets if secret in seen] == []


def test_a_suite_that_was_killed_is_taken_over_with_its_data(folder: Path) -> None:
    data = folder / "killed"
    with up(data) as first:
        first.json("apps", "create", "kept")
        orphans = [first.pid(name) for name in SERVICES]
        first.process.kill()
    with up(data) as second:
        assert not any(map(is_alive, orphans))
        listed = second.nuncio("apps", "list", "--json")
        assert json.loads(listed.stdout)["app_id"] == "kept"
        refused = second.nuncio("up", "--free-ports")
        assert "ALREADY_RUNNING" in refused.stderr
        children = [second.pid(name) for name in SERVICES]
    assert second.process.returncode == 0
    assert not any(map(is_alive, children))
    assert not (data / "nuncio.json").exists()
