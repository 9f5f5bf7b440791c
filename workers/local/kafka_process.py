"""The broker's process as its data folder remembers it: who runs, on which port, and how it is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from workers.errors import Misconfigured

STOP_SECONDS = 20.0
"""A broker writes its clean-shutdown marker in under a second; one that hangs this long is killed."""

KILL_SECONDS = 10.0
"""The system needs a moment to take a killed process away."""

POLL_SECONDS = 0.05
"""Time between two looks at a process that is ending."""


class Remembered(msgspec.Struct, frozen=True):
    """What a data folder knows of its broker; ``pid`` is None when none was left running."""

    port: int
    controller_port: int
    cluster_id: str
    pid: int | None = None


@dataclass(frozen=True)
class Folder:
    """The paths inside one broker's data folder; ``root`` is absolute."""

    root: Path

    @classmethod
    def at(cls, data_dir: Path) -> Folder:
        """The folder at ``data_dir``, which need not exist."""
        return cls(data_dir.expanduser().resolve())

    @property
    def records(self) -> Path:
        """The broker's own log directory: topics and metadata."""
        return self.root / "records"

    @property
    def properties(self) -> Path:
        """The broker's configuration, written anew at each start."""
        return self.root / "server.properties"

    @property
    def log4j(self) -> Path:
        """The logger's configuration."""
        return self.root / "log4j2.properties"

    @property
    def log(self) -> Path:
        """The broker's log, for people."""
        return self.root / "broker.log"

    @property
    def output(self) -> Path:
        """What the JVM itself printed."""
        return self.root / "broker.out"

    @property
    def pid_file(self) -> Path:
        """Ports, cluster id and process id as JSON."""
        return self.root / "broker.json"

    @property
    def lock(self) -> Path:
        """Held while somebody starts or stops the broker."""
        return self.root / "broker.lock"

    def remembered(self) -> Remembered | None:
        """What an earlier start wrote; None in a new folder.

        Raises:
            Misconfigured: the file is damaged.
        """
        try:
            return msgspec.json.decode(self.pid_file.read_bytes(), type=Remembered)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise Misconfigured(f"{self.pid_file} is damaged ({error}): delete it and start again") from error

    def remember(self, what: Remembered) -> None:
        """Write ``what``; a crash leaves the old text or the new one."""
        fresh = self.pid_file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(what))
        fresh.replace(self.pid_file)

    def running(self) -> Remembered | None:
        """The broker of this folder that runs now; None also when its process id is another program's."""
        known = self.remembered()
        if known is None or known.pid is None:
            return None
        return known if str(self.properties) in command_line(known.pid) else None


def command_line(pid: int) -> str:
    """Command line of a process; empty when there is none, and for one that ended but was not waited for."""
    proc = Path("/proc") / str(pid) / "cmdline"
    if proc.parent.parent.joinpath("self").exists():
        try:
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    done = subprocess.run(  # noqa: S603
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def end(folder: Folder) -> bool:
    """Stop the folder's broker with SIGTERM, after :data:`STOP_SECONDS` with SIGKILL; False when none runs.

    Raises:
        Misconfigured: the process does not end, or belongs to another user.
    """
    running = folder.running()
    if running is None or running.pid is None:
        return False
    for how, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        _signal(running.pid, how)
        if _gone(folder, patience):
            folder.remember(msgspec.structs.replace(running, pid=None))
            return True
    raise Misconfigured(
        f"the broker (process {running.pid}) does not end, not even killed: look at {folder.log}"
    )


def _signal(pid: int, how: signal.Signals) -> None:
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise Misconfigured(
            f"the broker (process {pid}) belongs to another user: stop it as that user"
        ) from error


def _gone(folder: Folder, patience_seconds: float) -> bool:
    deadline = time.monotonic() + patience_seconds
    while folder.running() is not None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
