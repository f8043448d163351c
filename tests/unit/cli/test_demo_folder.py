"""Where the demo keeps what it makes, and what it says of that."""

from pathlib import Path

from nuncio_cli.demo.run import demo_folder, whereabouts


def test_a_temporary_folder_is_said_to_be_deleted_and_is() -> None:
    with demo_folder(None, keep=False) as folder:
        said = whereabouts(folder, kept=False)
    assert str(folder) in said
    assert "deleted at the end; --keep keeps it" in said
    assert not folder.exists()


def test_a_folder_that_stays_is_said_to_be_kept_and_is(tmp_path: Path) -> None:
    with demo_folder(tmp_path, keep=False) as folder:
        assert whereabouts(folder, kept=True) == f"everything is kept in {tmp_path}"
    assert folder.exists()
