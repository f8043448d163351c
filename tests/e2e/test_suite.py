"""Four processes and the simulator, as `nuncio up` runs them."""

import gzip
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

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


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
    assert rejected["nuncio_field"] == "token"


def rows_of(count: int) -> str:
    return "".join(f'{{"platform": "ios", "token": "{n:064x}"}}\n' for n in range(count))


def test_an_import_that_breaks_off_says_so_after_the_answers_that_were_due(
    suite: RunningSuite, tmp_path: Path
) -> None:
    suite.json("apps", "create", "broken-file")
    file = tmp_path / "cut.ndjson.gz"
    packed = gzip.compress(rows_of(6_000).encode() + os.urandom(9).hex().encode())
    file.write_bytes(packed[:-9])
    done = suite.nuncio("tokens", "import", str(file), "--app", "broken-file")
    assert done.returncode == 2
    assert "FILE_UNUSABLE" in done.stderr
    assert "Cancelled" not in done.stderr
    again = tmp_path / "whole.ndjson"
    again.write_text(rows_of(6_000))
    outcomes = suite.json("tokens", "import", str(again), "--app", "broken-file")["outcomes"]
    assert outcomes["refreshed"] >= 1_000


def test_rejects_that_cannot_be_written_are_told_before_anything_is_sent(
    suite: RunningSuite, tmp_path: Path
) -> None:
    suite.json("apps", "create", "no-rejects")
    file = tmp_path / "rows.ndjson"
    file.write_text(rows_of(2))
    nowhere = tmp_path / "nowhere" / "rejects"
    command = ("tokens", "import", str(file), "--app", "no-rejects")
    done = suite.nuncio(*command, "--rejects", str(nowhere))
    assert (done.returncode, done.stdout) == (2, "")
    assert str(nowhere) in done.stderr
    assert suite.json(*command)["outcomes"] == {"created": 2}


def test_an_older_file_undoes_nothing_that_was_registered_since(
    suite: RunningSuite, tmp_path: Path
) -> None:
    suite.json("apps", "create", "older-file")
    file = tmp_path / "rows.ndjson"
    file.write_text(rows_of(1))
    command = ("tokens", "import", str(file), "--app", "older-file")
    assert suite.json(*command)["outcomes"] == {"created": 1}
    upper = tmp_path / "upper.ndjson"
    upper.write_text('{"platform": "ios", "token": "' + "0" * 64 + '", "user_id": "new"}\n')
    command = ("tokens", "import", str(upper), "--app", "older-file")
    assert suite.json(*command)["outcomes"] == {"refreshed": 1}
    command = ("tokens", "import", str(file), "--app", "older-file")
    older = suite.json(*command, "--observed-at", "2020-01-01T00:00:00Z")
    assert older["outcomes"] == {"stale": 1}


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
        first.process.kill()
    with up(data) as second:
        listed = second.nuncio("apps", "list", "--json")
        apps = [json.loads(line)["app_id"] for line in listed.stdout.splitlines()]
        assert apps == [APP, "kept"]
        refused = second.nuncio("up", "--free-ports")
        assert "ALREADY_RUNNING" in refused.stderr
        children = [second.pid(name) for name in SERVICES]
    assert second.process.returncode == 0
    assert not any(map(is_alive, children))
    assert not (data / "nuncio.json").exists()
