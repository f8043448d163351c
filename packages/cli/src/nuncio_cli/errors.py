"""What can go wrong on this side, in the form that the services' errors have, and exit codes."""

from enum import IntEnum

from nuncio_runtime.errors import Kind, ServiceError


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1  # refused by a service, or the result is not what it should be
    USAGE = 2  # wrong options, or a file that cannot be used
    UNAVAILABLE = 3  # a service cannot be reached
    INTERRUPTED = 130  # Ctrl-C, as shells number it


class CliError(ServiceError):
    """The command cannot go on."""

    kind = Kind.FAILED_PRECONDITION
    reason = "COMMAND_FAILED"


class MappingInvalid(CliError):
    """The mapping file cannot be used."""

    kind = Kind.INVALID_ARGUMENT
    reason = "MAPPING_INVALID"


class FileUnusable(CliError):
    """The file cannot be used."""

    kind = Kind.INVALID_ARGUMENT
    reason = "FILE_UNUSABLE"


class AddressRefused(CliError):
    """A service cannot be reached with this address, or these TLS files."""

    kind = Kind.INVALID_ARGUMENT
    reason = "ADDRESS_REFUSED"


class SystemRefused(CliError):
    """The operating system refused."""

    reason = "SYSTEM_REFUSED"


class OptionInvalid(CliError):
    """An option has a value that cannot be used."""

    kind = Kind.INVALID_ARGUMENT
    reason = "OPTION_INVALID"


class AudienceInvalid(CliError):
    """The audience expression is wrong."""

    kind = Kind.INVALID_ARGUMENT
    reason = "AUDIENCE_INVALID"


class AppUnknown(CliError):
    """There is no app with this id."""

    kind = Kind.NOT_FOUND
    reason = "APP_NOT_FOUND"


class AlreadyRunning(CliError):
    """A suite is running on this data folder already."""

    reason = "ALREADY_RUNNING"


class SuiteFailed(CliError):
    """The suite did not start."""

    kind = Kind.UNAVAILABLE
    reason = "SUITE_FAILED"


class DatabaseGone(CliError):
    """PostgreSQL has ended, and cannot be started again."""

    kind = Kind.UNAVAILABLE
    reason = "DATABASE_GONE"


class ServiceUnreachable(CliError):
    """The service cannot be reached."""

    kind = Kind.UNAVAILABLE
    reason = "SERVICE_UNREACHABLE"


class NoCheckout(CliError):
    """Benchmarks are part of the repository, and this is not run from a checkout of it."""

    reason = "NO_CHECKOUT"


class Interrupted(Exception):
    """A signal has ended the command, after its orderly end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number  # As shells number it.


LOCAL_USAGE = (MappingInvalid, FileUnusable, OptionInvalid)


def exit_code(error: ServiceError) -> ExitCode:
    """The exit code that an error ends the command with."""
    if isinstance(error, LOCAL_USAGE):
        return ExitCode.USAGE
    unreachable = error.kind in (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED)
    return ExitCode.UNAVAILABLE if unreachable else ExitCode.FAILED
