"""Messages and destinations from files, with options over them."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from google.protobuf import json_format
from typer.testing import CliRunner, Result

from nuncio.dispatcher.v1.dispatcher_service_pb2 import Destination
from nuncio.dispatcher.v1.message_pb2 import PRIORITY_NORMAL, Message
from nuncio_cli.app import root
from nuncio_cli.errors import FileUnusable
from nuncio_cli.messages import message_from, read

NOBODY = ("--dispatcher", "127.0.0.1:1")


def nuncio(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(root, arguments, input=stdin)


def written(folder: Path, document: object) -> Path:
    path = folder / "file.json"
    path.write_text(json.dumps(document))
    return path


def test_options_go_before_the_file(tmp_path: Path) -> None:
    patch = {"aps": {"interruption-level": "active"}}
    file = written(
        tmp_path,
        {
            "title": "from the file",
            "body": "b",
            "data": {"a": "1", "b": "1"},
            "timeToLive": "60s",
            "apns": {"payload": patch},
        },
    )
    message = message_from(
        file, texts={"title": "given", "body": ""}, data={"b": "2"}, ttl=5, quiet=True
    )
    assert (message.title, message.body) == ("given", "b")
    assert dict(message.data) == {"a": "1", "b": "2"}
    assert message.time_to_live.ToTimedelta() == timedelta(seconds=5)
    assert message.priority == PRIORITY_NORMAL
    assert json_format.MessageToDict(message.apns.payload) == patch


def test_what_no_option_says_is_left_as_the_file_has_it(tmp_path: Path) -> None:
    file = written(tmp_path, {"timeToLive": "60s", "priority": "PRIORITY_NORMAL"})
    message = message_from(file, texts={"title": ""})
    assert (message.time_to_live.seconds, message.priority) == (60, PRIORITY_NORMAL)
    assert message_from(None, texts={"title": "t"}) == Message(title="t")


def test_a_file_that_is_no_message_is_told_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match="apns") as caught:
        read(written(tmp_path, {"apns": {"hologram": 1}}), Message)
    assert "hologram" in caught.value.message
    with pytest.raises(FileUnusable, match="No such file"):
        read(tmp_path / "none.json", Message)


def test_nothing_of_a_destination_is_shown(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable) as caught:
        read(written(tmp_path, {"fcm": {"token": ["s3cret"]}}), Destination, secret=True)
    assert "s3cret" not in caught.value.message
    assert "nuncio.dispatcher.v1.Destination" in caught.value.message


@pytest.mark.parametrize(
    "where",
    [(), ("--topic", "a", "--channel", "b"), ("--to", "-", "--condition", "'a' in topics")],
)
def test_one_destination_has_to_be_given(where: tuple[str, ...]) -> None:
    done = nuncio("send-direct", "--app", "shop", "--title", "t", *where, *NOBODY)
    assert done.exit_code == 2
    assert "--channel" in done.stderr


def test_the_sandbox_is_that_of_a_channel() -> None:
    where = ("--topic", "news", "--sandbox")
    done = nuncio("send-direct", "--app", "shop", "--title", "t", *where, *NOBODY)
    assert done.exit_code == 2
    assert "--channel" in done.stderr


def test_standard_input_is_one_file() -> None:
    done = nuncio(
        "send-direct", "--app", "shop", "--to", "-", "--message", "-", *NOBODY, stdin="{}"
    )
    assert done.exit_code == 2
    assert "standard input" in done.stderr


def test_a_file_is_read_as_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_bytes('{"title": "Grüße"}'.encode())
    assert message_from(file, texts={}).title == "Grüße"


@pytest.mark.parametrize(
    ("where", "stdin"),
    [
        (("--topic", "news"), ""),
        (("--condition", "'a' in topics"), ""),
        (("--channel", "c", "--sandbox"), ""),
        (("--to", "-"), '{"apns": {"token": "00ff"}}'),
    ],
)
def test_every_kind_of_destination_gets_as_far_as_the_dispatcher(
    where: tuple[str, ...], stdin: str
) -> None:
    done = nuncio("send-direct", "--app", "shop", "--title", "t", *where, *NOBODY, stdin=stdin)
    assert done.exit_code == 3
    assert "dispatcher at 127.0.0.1:1" in done.stderr


def test_a_file_of_a_command_that_cannot_be_used_is_wrong_usage() -> None:
    done = nuncio("send-direct", "--app", "shop", "--to", "-", *NOBODY, stdin="no JSON")
    assert done.exit_code == 2
    assert "FILE_UNUSABLE" in done.stderr
    sent = nuncio(
        "send", "--app", "x", "--audience", "all()", "--message", "/nowhere.json", *NOBODY
    )
    assert sent.exit_code == 2
