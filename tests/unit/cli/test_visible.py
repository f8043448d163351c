"""Stored values on a terminal: what it would obey is shown as text."""

from collections.abc import Callable

import pytest

from nuncio.registry.v1.event_pb2 import InstallationEvent
from nuncio.registry.v1.installation_pb2 import CONSENT_STATE_GRANTED, Installation
from nuncio_cli import installation_view, output, privacy_view
from nuncio_cli.errors import OptionInvalid
from nuncio_cli.visible import visible

HOSTILE = "esc\x1b[31mRED\nsecond\tline\r\x07\x7f\x9b\u2028\u202e\u2066end"
SHOWN = r"esc\x1b[31mRED\nsecond\tline\r\x07\x7f\x9b\u2028\u202e\u2066end"

Show = Callable[[], None]


@pytest.mark.parametrize(
    "obeyed",
    [
        *map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029",
        *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)),
    ],
    ids=ascii,
)  # fmt: skip
def test_what_a_terminal_obeys_becomes_an_escape(obeyed: str) -> None:
    shown = visible(f"a{obeyed}b")
    assert shown.isprintable()
    assert shown.startswith("a\\")
    assert shown.endswith("b")


@pytest.mark.parametrize("text", ["", "Zürich 東京 🙂", r"a\nb", "שלום", "a\u00a0b\u200db"])
def test_all_else_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    "show",
    [
        lambda: output.say(HOSTILE),
        lambda: output.notice(HOSTILE),
        lambda: output.table(("", ""), [("value", HOSTILE)]),
        lambda: output.say(installation_view.line(Installation(user_id=HOSTILE))),
        lambda: output.say(installation_view.event_line(InstallationEvent(detail=HOSTILE))),
        lambda: output.report_error(OptionInvalid(detail=HOSTILE), as_json=False),
    ],
    ids=["say", "notice", "table", "list", "watch", "error"],
)
def test_a_hostile_value_is_shown_on_one_line(
    show: Show, capsys: pytest.CaptureFixture[str]
) -> None:
    show()
    told = capsys.readouterr()
    (line,) = (told.out + told.err).split("\n")[:-1]
    assert SHOWN in line
    assert line.isprintable()


def test_an_installation_is_shown_with_its_own_lines_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    installation = Installation(user_id=HOSTILE, consents={HOSTILE: CONSENT_STATE_GRANTED})
    installation.facts.device_model = HOSTILE
    installation.facts.topics.topics.append(HOSTILE)
    installation.facts.attributes["plan"].text = HOSTILE
    installation_view.show(installation)
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert all(line.isprintable() for line in lines)
    assert sum(SHOWN in line for line in lines) == 5


def test_columns_of_the_audit_stay_rows(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(privacy_view.AUDIT_COLUMNS, [(HOSTILE,) * 7])
    assert len(capsys.readouterr().out.split("\n")[:-1]) == 2
