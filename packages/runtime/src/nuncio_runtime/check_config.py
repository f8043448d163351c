"""The command check-config of every service: what is wrong with the settings, or what is used."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from nuncio_runtime.config import (
    ConfigError,
    InForce,
    ServiceSettings,
    Setting,
    UpstreamSettings,
    describe,
    in_force,
    load,
    prefix_of,
)
from nuncio_runtime.logging import configure_logging
from nuncio_runtime.tls import channel_credentials, client_tls

S = TypeVar("S", bound=ServiceSettings)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be asked of the command."""
    parser.add_argument("--list", action="store_true", help="tell defaults and meanings, too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def check_config(
    arguments: argparse.Namespace,
    *,
    name: str,
    settings_type: type[S],
    environ: Mapping[str, str],
    more_problems: Callable[[S], Sequence[str]],
) -> int:
    """Tell all problems at once, or that there is none and what will be used; the exit code.

    Values of secrets are not shown; nor is any value while something is wrong, for it may be a
    secret in the wrong place. With --list and problems there are the defaults at least.
    """
    try:
        settings = load(settings_type, environ)
        configure_logging(settings.log, name)  # Of what looks at files, to stderr.
        used, problems = in_force(settings, environ), upstream_problems(settings)
        problems += more_problems(settings)
    except ConfigError as error:
        used, problems = [], list(error.problems)
    if problems:
        used = []
    listed = used or [InForce(each, None, "default") for each in describe(settings_type)]
    if arguments.json:
        _emit(used, problems)
        return 2 if problems else 0
    if arguments.list:
        sys.stdout.writelines(_explained(each, known=bool(used)) for each in listed)
    if problems:
        sys.stderr.writelines(f"{name}: {problem}\n" for problem in problems)
        return 2
    if not arguments.list:
        sys.stdout.write(f"{name}: configuration is good\n")
        sys.stdout.writelines(_line(each) for each in used)
    return 0


def upstream_problems(settings: ServiceSettings) -> list[str]:
    """Every file that calls to other services need and cannot use."""
    problems: list[str] = []
    prefix = prefix_of(type(settings))
    for name, section in settings:
        if isinstance(section, UpstreamSettings):
            try:
                channel_credentials(client_tls(section), named=_named(f"{prefix}{name.upper()}"))
            except ConfigError as error:
                problems += error.problems
    return problems


def _named(section: str) -> Callable[[str], str]:
    """What a field of the section is called as a variable."""
    return lambda field: f"{section}__{field.upper()}"


def _line(used: InForce) -> str:
    return f"{_assigned(used.setting, used.value)}  ({used.source})\n"


def _explained(used: InForce, *, known: bool) -> str:
    setting, default = used.setting, used.setting.default or "unset"
    if not known:
        head = f"{_assigned(setting, setting.default)}  ({setting.type}, default)"
    elif used.source == "default":
        head = f"{_assigned(setting, used.value)}  ({setting.type}, default)"
    else:
        head = (
            f"{_assigned(setting, used.value)}  ({setting.type}, environment; default: {default})"
        )
    return f"{head}\n    {setting.description}\n"


def _assigned(setting: Setting, value: str | None) -> str:
    return f"{setting.variable} = {value}" if value else f"{setting.variable} unset"


def _emit(used: Sequence[InForce], problems: Sequence[str]) -> None:
    """One JSON document on a line of its own, the problems in it."""
    settings = [
        {
            "variable": each.setting.variable,
            "value": each.value,
            "source": each.source,
            "default": each.setting.default or None,
            "type": each.setting.type,
            "description": each.setting.description,
        }
        for each in used
    ]
    document = {"good": not problems, "problems": problems, "settings": settings}
    sys.stdout.write(json.dumps(document, separators=(",", ":")) + "\n")
