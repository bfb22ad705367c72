"""How full this process and its host are, told every so often as `system.capacity.sampled`."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from leadtrace.errors import SettingsError
from leadtrace.words import runtime
from leadtrace.words.events import emit
from leadtrace.words.summary import flows_now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from leadtrace.otlp.sink import Receipt

__all__ = ["RESOURCES", "Sampler", "sample_capacity"]

Figure: TypeAlias = "Callable[[], float | int | None]"

RESOURCES: Final = (
    "queue_depth",
    "in_flight",
    "journal_lag",
    "memory",
    "cpu",
    "disk",
    "host_memory",
    "host_cpu",
    "flows_per_hour",
)
"""What a sample may hold, and what a maximum may be declared for."""

_WHOLE: Final = frozenset(RESOURCES) - {"cpu", "host_cpu", "flows_per_hour"}
_LEAST_S: Final = 0.05
_CGROUP: Final = Path("/sys/fs/cgroup")
_log = logging.getLogger("leadtrace")
_lock = threading.Lock()
_current: Sampler | None = None
_living: weakref.WeakSet[Sampler] = weakref.WeakSet()


def sample_capacity(
    every_s: float = 60.0,
    *,
    maxima: Mapping[str, float] | None = None,
    queue_depth: Figure | None = None,
    in_flight: Figure | None = None,
    disk: str | os.PathLike[str] | None = None,
) -> Sampler:
    """Tell every `every_s` seconds how full this process and its host are, until `stop()`.

        lt.configure(service_name="lead-router")
        sampler = lt.sample_capacity(maxima={"queue_depth": 5_000, "in_flight": 64}, queue_depth=jobs.qsize)

    queue_depth, in_flight: callables that say how much waits and how much is worked on; without the second, it is the
        flows that are open here. They are called on the sampler's own thread; one that raises leaves its figure out.
    maxima: the most of each, by name: queue_depth, in_flight, journal_lag, memory, disk, host_memory (bytes), cpu, host_cpu
        (cores), flows_per_hour. Memory, CPU and disk have what the machine, or the container, says where none is declared.
    disk: a folder on the disk to watch; left out, the journal's, else the working one.

    One sampler runs in a process: another call takes its place. A forked child goes on with its own. Raises `SettingsError`
    for a maximum of something else, and where psutil is not installed.
    """
    global _current
    made = Sampler(every_s, maxima or {}, queue_depth, in_flight, disk)
    with _lock:
        before, _current = _current, made
    if before is not None:
        before.stop()
    made._start()
    return made


class Sampler:
    """Samples until it is stopped; also at the end of a `with` block. Made by `sample_capacity`."""

    def __init__(
        self,
        every_s: float,
        maxima: Mapping[str, float],
        queue_depth: Figure | None,
        in_flight: Figure | None,
        disk: str | os.PathLike[str] | None,
    ) -> None:
        unknown = [name for name in maxima if name not in RESOURCES]
        if unknown:
            raise SettingsError(f"there is no capacity {unknown[0]!r}", expected=", ".join(RESOURCES))
        wrong = [(name, most) for name, most in maxima.items() if isinstance(most, bool) or not most > 0]
        if wrong:
            raise SettingsError(f"the maximum of {wrong[0][0]} is a number above 0", got=repr(wrong[0][1]))
        if not every_s >= _LEAST_S:
            raise SettingsError("every_s is a number of seconds", expected=f"at least {_LEAST_S}", got=every_s)
        self._psutil = _psutil()
        self._every_s = every_s
        self._maxima = dict(maxima)
        self._figures: dict[str, Figure] = {"in_flight": in_flight or _flows_open}
        if queue_depth is not None:
            self._figures["queue_depth"] = queue_depth
        self._disk = disk
        self._trouble: set[str] = set()
        self._begin()
        _living.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def sample(self) -> Receipt:
        """Take one sample now and tell it."""
        with self._taking:
            found = self._sample()
        return emit("system.capacity.sampled", **found)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Take no further samples; waits for one that is being taken, at most that long."""
        global _current
        with _lock:
            if _current is self:
                _current = None
        _living.discard(self)
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self._stopped.is_set()

    def _begin(self) -> None:
        """What belongs to one process: its thread, and what rates are counted from."""
        self._stopped = threading.Event()
        self._taking = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process = self._psutil.Process()
        self._before: tuple[float, float, float, int] | None = None
        self._limits = _limits_of(self._psutil) | self._maxima

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="leadtrace-capacity", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        stopped = self._stopped
        while not stopped.is_set():
            try:
                self.sample()
            except Exception:  # noqa: BLE001 - a machine that cannot be asked is no reason to stop asking
                self._once("sample", "no sample could be taken")
            stopped.wait(self._every_s)

    def _sample(self) -> dict[str, Any]:
        found: dict[str, float | int | None] = {}
        for name, figure in self._figures.items():
            try:
                found[name] = figure()
            except Exception:  # noqa: BLE001 - the host's own callable: its trouble leaves out its figure alone
                self._once(name, f"{name} could not be told")
        figures, maxima = self._machine()
        found |= figures | self._rates()
        stats = getattr(getattr(runtime.current(), "sink", None), "stats", None)
        if stats is not None:
            found["journal_lag"] = stats.queued
        maxima |= self._limits
        told: dict[str, Any] = {}
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                continue
            kind = int if name in _WHOLE else float
            told[name] = kind(value)
            if name in maxima:
                told[f"{name}_max"] = kind(maxima[name])
        return told

    def _machine(self) -> tuple[dict[str, float | int | None], dict[str, float]]:
        """What is in use of the machine, and how much there is."""
        memory = self._psutil.virtual_memory()
        disk = self._psutil.disk_usage(str(self._disk or _journal_folder() or "."))
        used: dict[str, float | int | None] = {
            "memory": self._process.memory_info().rss,
            "host_memory": memory.total - memory.available,
            "disk": disk.used,
        }
        return used, {"host_memory": memory.total, "disk": disk.total}

    def _rates(self) -> dict[str, float | int | None]:
        """What is counted since the last sample; at the first there is nothing to tell."""
        own, host = self._process.cpu_times(), self._psutil.cpu_times()
        busy = sum(host) - host.idle - getattr(host, "iowait", 0.0) - getattr(host, "guest", 0.0)
        busy -= getattr(host, "guest_nice", 0.0)
        now = (time.monotonic(), own.user + own.system, busy, flows_now()[1])
        before, self._before = self._before, now
        if before is None or now[0] <= before[0]:
            return {}
        passed = now[0] - before[0]
        return {
            "cpu": round(max(0.0, now[1] - before[1]) / passed, 4),
            "host_cpu": round(max(0.0, now[2] - before[2]) / passed, 4),
            "flows_per_hour": round((now[3] - before[3]) / passed * 3600, 2),
        }

    def _once(self, what: str, sentence: str) -> None:
        if what not in self._trouble:
            self._trouble.add(what)
            _log.warning("capacity: %s", sentence, exc_info=True)

    def _after_fork(self) -> None:
        """A child has no thread of its parent's: it begins anew, as itself."""
        if self._stopped.is_set():
            return
        self._begin()
        self._start()


def _psutil() -> Any:
    try:
        import psutil
    except ImportError as why:
        raise SettingsError(
            "sampling capacity needs psutil: pip install 'leadtrace[reports]'", missing=why.name
        ) from why
    return psutil


def _flows_open() -> int:
    return flows_now()[0]


def _journal_folder() -> Path | None:
    from leadtrace.setup.composition import current

    made = current()
    folder = made.settings.journal if made is not None else None
    return folder if folder is not None and folder.is_dir() else None


def _limits_of(psutil: Any) -> dict[str, float]:
    """The most that this process may have: what its container says, else the machine's."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    found = {
        "cpu": cores,
        "host_cpu": float(psutil.cpu_count() or cores),
        "memory": float(psutil.virtual_memory().total),
    }
    with suppress(OSError, ValueError):
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        found["cpu"] = min(cores, int(quota) / int(period))
    with suppress(OSError, ValueError):
        found["memory"] = min(found["memory"], float(int((_CGROUP / "memory.max").read_text())))
    return found


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()  # its holder may be a thread that the child does not have
    for one in list(_living):
        one._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
