"""Where a command looks for the services, and with which files."""

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from nuncio_cli.app import root
from nuncio_cli.connect import Addresses
from nuncio_cli.options import AsJson
from nuncio_cli.reaching import Where, reaching
from nuncio_runtime.tls import ClientTls

FILES = ("ca_file", "certificate_file", "key_file")


class Command:
    """A command that asks two services and keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[str, Where, bool]] = []
        self.app = typer.Typer()

        @self.app.command()
        @reaching("targeting", "registry")
        def look(
            name: Annotated[str, typer.Argument()] = "nobody",
            *,
            where: Where,
            as_json: AsJson = False,
        ) -> None:
            """Look."""
            self.given.append((name, where, as_json))

    def run(self, *arguments: str, **environment: str) -> Result:
        return CliRunner(env=environment).invoke(self.app, arguments)


@pytest.fixture
def files(tmp_path: Path) -> ClientTls:
    for name in FILES:
        (tmp_path / name).touch()
    return ClientTls(*(tmp_path / name for name in FILES))


def test_nothing_given_means_this_machine_in_clear_text(tmp_path: Path) -> None:
    command = Command()
    assert command.run("--data", str(tmp_path)).exit_code == 0
    assert command.given == [("nobody", Where(Addresses(), ClientTls()), False)]


def test_options_are_taken_together_and_the_others_left_alone(
    files: ClientTls, tmp_path: Path
) -> None:
    command = Command()
    options = [f"--{name.replace('_', '-')}={file}" for name, file in files._asdict().items()]
    places = ("--registry", "r:1", "--targeting", "t:2", "--data", str(tmp_path))
    assert command.run("somebody", *options, *places, "--json").exit_code == 0
    where = Where(Addresses(registry="r:1", targeting="t:2"), files)
    assert command.given == [("somebody", where, True)]


def test_the_environment_says_it_as_well(files: ClientTls, tmp_path: Path) -> None:
    command = Command()
    variables = {f"NUNCIO_{name.upper()}": str(file) for name, file in files._asdict().items()}
    done = command.run(NUNCIO_REGISTRY="r:1", NUNCIO_DATA=str(tmp_path), **variables)
    assert done.exit_code == 0
    assert command.given == [("nobody", Where(Addresses(registry="r:1"), files), False)]


def test_a_command_has_the_addresses_of_its_services_only() -> None:
    command = Command()
    assert command.run("--dispatcher", "d:3").exit_code == 2
    assert command.given == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_to_be_there(name: str, tmp_path: Path) -> None:
    option = f"--{name.replace('_', '-')}"
    done = Command().run(option, str(tmp_path / "missing.pem"))
    assert done.exit_code == 2
    assert option in done.stderr


def test_half_an_identity_is_wrong_usage(files: ClientTls) -> None:
    half = ("--certificate-file", str(files.certificate_file))
    done = CliRunner().invoke(root, ["apps", "list", *half])
    assert done.exit_code == 2
    assert "certificate_file and key_file are set together or not at all" in done.stderr
