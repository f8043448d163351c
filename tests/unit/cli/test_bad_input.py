"""What commands say of lists that are empty."""

import pytest

from nuncio_cli import output


def test_an_empty_list_says_so_instead_of_showing_headings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.table(("when", "method"), [], empty="no events")
    assert capsys.readouterr().out == "no events\n"
    output.table(("when", "method"), [("now", "EraseUser")], empty="no events")
    shown = capsys.readouterr().out
    assert "when" in shown
    assert "no events" not in shown
