"""What all benchmarks share: runs, medians, CPU time, and one form for reports."""

import math
import os
import platform
import resource
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any, Final, Literal

import psutil

MEASURED: Final = (
    "grpcio",
    "protobuf",
    "asyncpg",
    "uvloop",
    "httpx",
    "aioapns",
    "pywebpush",
    "cryptography",
)

Note = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One run of a case."""

    items: int
    seconds: float
    client_cpu: float
    """CPU seconds of this process, user and system (getrusage)."""
    process_cpu: Mapping[str, float] = field(default_factory=dict)
    """CPU seconds of other processes, by name."""


@dataclass(frozen=True)
class Case:
    """What was measured under one name: the medians of its runs."""

    name: str
    runs: Sequence[Run]

    @property
    def per_second(self) -> float:
        """Items per second of wall time."""
        return statistics.median(run.items / run.seconds for run in self.runs)

    @property
    def cpu_us_per_item(self) -> float:
        """Microseconds of this process's CPU time per item."""
        return statistics.median(_us_each(run.client_cpu, run.items) for run in self.runs)

    def process_cpu_us_per_item(self) -> dict[str, float]:
        """Microseconds of CPU time per item, for each of the other processes."""
        names = sorted({name for run in self.runs for name in run.process_cpu})
        return {name: round(self._spent_by(name), 1) for name in names}

    def _spent_by(self, name: str) -> float:
        return statistics.median(_us_each(r.process_cpu.get(name, 0.0), r.items) for r in self.runs)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "runs": len(self.runs),
            "items": self.runs[0].items,
            "per_second": round(self.per_second, 1),
            "cpu_us_per_item": round(self.cpu_us_per_item, 2),
            "process_cpu_us_per_item": self.process_cpu_us_per_item(),
        }


@dataclass(frozen=True)
class Bar:
    """A number that has to reach, or must not exceed, another one."""

    name: str
    value: float
    bar: float
    sense: Literal["at least", "at most"] = "at least"

    @property
    def holds(self) -> bool:
        """Whether it is so."""
        return self.value >= self.bar if self.sense == "at least" else self.value <= self.bar

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name, "value": self.value, "bar": self.bar, "sense": self.sense,
            "holds": self.holds,
        }  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What a benchmark gives."""

    cases: Sequence[Case]
    bars: Sequence[Bar] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    """Versions of what took part and is no package."""
    absent: Sequence[str] = ()
    """What did not take part, and why."""

    @property
    def holds(self) -> bool:
        """Whether all bars hold."""
        return all(bar.holds for bar in self.bars)

    def document(self) -> dict[str, Any]:
        """The form that all benchmark files have."""
        return {
            "machine": machine(),
            "versions": {**versions(MEASURED), **self.programs},
            "absent": list(self.absent),
            "cases": [case.document() for case in self.cases],
            "bars": [bar.document() for bar in self.bars],
        }

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Headings and rows, for people."""
        rows = [
            (case.name, f"{case.per_second:,.0f}", f"{case.cpu_us_per_item:,.1f}", _processes(case))
            for case in self.cases
        ]
        return ("case", "per second#", "client µs each#", "other processes, µs each"), rows

    def bar_lines(self) -> list[str]:
        """One line per bar, for people."""
        return [
            f"{'holds' if bar.holds else 'FAILS':<6} {bar.name}: {bar.value:g}, "
            f"{bar.sense} {bar.bar:g}"
            for bar in self.bars
        ]


class Measurement:
    """What is being measured: count `items` inside the block, read `run` after it."""

    def __init__(self) -> None:
        self.items = 0
        self._run: Run | None = None

    @property
    def run(self) -> Run:
        """The finished run."""
        assert self._run is not None, "the block has not ended"
        return self._run

    def finish(self, seconds: float, client_cpu: float, process_cpu: Mapping[str, float]) -> None:
        """The block has ended."""
        self._run = Run(self.items, seconds, client_cpu, process_cpu)


class Stopwatch:
    """Measures wall time and CPU time of a block."""

    def __init__(self, pids: Mapping[str, int] | None = None) -> None:
        """pids: other processes whose CPU time counts, by name. They have to outlive the run."""
        self._processes = {name: psutil.Process(pid) for name, pid in (pids or {}).items()}

    @contextmanager
    def measured(self) -> Iterator[Measurement]:
        """Measure the block."""
        measurement = Measurement()
        others, cpu, clock = self._others(), _own_cpu(), perf_counter()
        yield measurement
        seconds, own = perf_counter() - clock, _own_cpu() - cpu
        after = self._others()
        spent = {name: after[name] - before for name, before in others.items()}
        measurement.finish(seconds, own, spent)

    def _others(self) -> dict[str, float]:
        return {name: _cpu_of(process) for name, process in self._processes.items()}


def machine() -> dict[str, Any]:
    """What the numbers depend on. No names of hosts or people."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
    }  # fmt: skip


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Python's version and those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _us_each(seconds: float, items: int) -> float:
    """Microseconds per item; not a number, in JSON null, when there were none."""
    return seconds / items * 1e6 if items else math.nan


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _cpu_of(process: psutil.Process) -> float:
    """Of the process and its children."""
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.machine()


def _processes(case: Case) -> str:
    spent = case.process_cpu_us_per_item()
    return ", ".join(f"{name} {each:,.0f}" for name, each in spent.items() if each)
