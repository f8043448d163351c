"""The examples of docs/messages.md are messages that every provider would take."""

import re
from pathlib import Path

import pytest
from google.protobuf import json_format

from nuncio.dispatcher.v1.message_pb2 import Message
from nuncio_dispatcher.api.messages import message_from
from nuncio_dispatcher.providers.checks import violations
from nuncio_runtime.interceptors.validation import check

PAGE = Path(__file__).parents[3] / "docs" / "messages.md"
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_right(example: str) -> None:
    message = json_format.Parse(example, Message())
    check(message)
    assert violations(message_from(message)) == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4
