"""What signals do, and what a program that ends leaves behind."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from nuncio_cli.children import LAST_BYTES, Child, Program
from nuncio_cli.ending import Ending, ended_by_signals, first_failure
from nuncio_cli.errors import Interrupted, SuiteFailed


def ending(done: list[str]) -> Ending:
    return Ending(cancel=lambda: done.append("cancel"), kill=lambda: done.append("kill"))


def test_the_first_signal_cancels_and_a_ctrl_c_after_it_kills() -> None:
    done: list[str] = []
    signals = ending(done)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signals.told(number)
    assert done == ["cancel", "kill"]
    assert signals.number == signal.SIGTERM


def test_an_end_that_has_begun_is_not_cancelled() -> None:
    done: list[str] = []
    signals = ending(done)
    signals.begin()
    signals.told(signal.SIGINT)
    assert done == []
    signals.told(signal.SIGINT)
    assert done == ["kill"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_is_raised_after_the_block_has_ended_in_order(
    number: signal.Signals,
) -> None:
    in_order: list[bool] = []

    async def work() -> None:
        with ended_by_signals(kill=lambda: None):
            os.kill(os.getpid(), number)
            try:
                await asyncio.Event().wait()
            finally:
                in_order.append(True)

    with pytest.raises(Interrupted) as interrupted:
        await work()
    assert in_order == [True]
    assert interrupted.value.exit_code == 128 + number


async def test_the_first_failure_of_a_group_keeps_its_cause() -> None:
    async def fail() -> None:
        raise SuiteFailed from OSError("the cause")

    with pytest.raises(SuiteFailed) as failure, first_failure():
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
    assert isinstance(failure.value.__cause__, OSError)


def program(folder: Path, code: str, **environment: str) -> Program:
    (folder / "some_service.py").write_text(code)
    return Program(
        name="some-service",
        arguments=("some_service",),
        environment={**os.environ, "PYTHONPATH": str(folder), **environment},
        log_file=folder / "log",
    )


async def never() -> None:
    await asyncio.Event().wait()


async def test_a_program_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    child = Child(
        program(tmp_path, "raise SystemExit('the port is taken')"),
        ready=never,
        spawned=lambda: None,
        notice=lambda _text: None,
    )
    with pytest.raises(SuiteFailed, match="the port is taken"):
        await child.start()


def test_of_a_long_log_only_the_end_is_read(tmp_path: Path) -> None:
    some = program(tmp_path, "")
    assert some.last_words() == "it left no log"
    some.log_file.write_text("x" * LAST_BYTES + "\nthe end\n")
    assert some.last_words() == "the end"


@pytest.mark.parametrize(("told", "passed_on"), [("NONE", "None"), ("DEBUG", "DEBUG")])
async def test_only_the_command_line_itself_is_silent(
    tmp_path: Path, told: str, passed_on: str
) -> None:
    code = "import os; print(os.environ.get('GRPC_VERBOSITY'))"
    some = program(tmp_path, code, GRPC_VERBOSITY=told)
    assert await (await some.spawn()).wait() == 0
    assert some.last_words() == passed_on


async def test_a_program_ends_when_nobody_holds_its_standard_input(tmp_path: Path) -> None:
    process = await program(tmp_path, "import signal; signal.pause()").spawn()
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == -signal.SIGTERM


async def test_a_program_that_died_is_started_again_until_it_is_stopped(tmp_path: Path) -> None:
    spawned = asyncio.Queue[None]()
    child = Child(
        program(tmp_path, "import signal; signal.pause()"),
        ready=lambda: asyncio.sleep(0),
        spawned=lambda: spawned.put_nowait(None),
        notice=lambda _text: None,
    )
    await child.start()
    await spawned.get()
    async with asyncio.TaskGroup() as group:
        group.create_task(child.keep_running())
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        await spawned.get()
        await child.stop(within=5)
    assert child.pid is None
