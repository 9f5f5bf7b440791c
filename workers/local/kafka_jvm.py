"""A single Kafka broker in a JVM of our own, with its data in a folder."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import subprocess
import uuid
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec
import structlog

from workers.errors import Misconfigured
from workers.local.kafka_files import (
    LOOPBACK,
    broker_command,
    format_command,
    log4j_properties,
    server_properties,
)
from workers.local.kafka_maven import find_java, resolve_classpath
from workers.local.kafka_process import Folder, Remembered, end
from workers.local.kafka_ready import free_port, is_free, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

READY_SECONDS = 60.0
"""A start takes 2 to 3 s on two idle cores; longer after a crash with much data, or on a busy machine."""

FORMAT_SECONDS = 60.0
"""Preparing an empty folder takes about a second."""

START_ATTEMPTS = 3
"""A port found free can be taken before the broker binds it; then other ports are tried."""

_log = structlog.get_logger(__name__)


class JvmKafka:
    """One broker per data folder. A second start finds the first and leaves it running at ``stop``.

    ``bootstrap`` is empty until :meth:`start` returned. The records, the port and the cluster id survive a
    restart. Everybody who attached loses the broker when the one who started it stops it.
    """

    kind: ClassVar[Literal["jvm"]] = "jvm"
    limitations: tuple[str, ...] = ()

    def __init__(self, data_dir: Path, cache_dir: Path, env: Mapping[str, str]) -> None:
        self.bootstrap = ""
        self.started_here = False
        self._folder = Folder.at(data_dir)
        self._cache_dir = cache_dir
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the broker, or find the one that runs on this folder; returns when it answers.

        Raises:
            Misconfigured: Java or the jars are missing, or the broker does not come up.
        """
        self._folder.root.mkdir(parents=True, exist_ok=True)
        with _locked(self._folder):
            running = self._folder.running()
            if running is not None:
                self._attach(running)
                return
            java = find_java(self._env)
            classpath = resolve_classpath(self._cache_dir, self._env)
            for attempt in range(1, START_ATTEMPTS + 1):
                if self._launch(java, classpath, self._ports(fresh=attempt > 1)):
                    return
            raise Misconfigured(
                f"the broker found no free port in {START_ATTEMPTS} attempts: see {self._folder.log}"
            )

    def stop(self) -> None:
        """Stop the broker if this object started it. May be called twice."""
        if not self.started_here:
            return
        self.started_here = False
        with _locked(self._folder):
            self._end()

    def release(self) -> int | None:
        """Leave the broker running after this program ends; its process id, None when it never started."""
        self.started_here = False
        running = self._folder.running()
        process, self._process = self._process, None
        if process is not None:
            # The child outlives us on purpose: tell Popen, so that its finaliser does not warn.
            process.returncode = 0
        return None if running is None else running.pid

    @property
    def log_file(self) -> Path:
        """The broker's log, for people."""
        return self._folder.log

    def alive(self) -> bool:
        """Whether the broker's process runs."""
        if self._process is not None and self._process.poll() is not None:
            return False
        return self._folder.running() is not None

    def _attach(self, running: Remembered) -> None:
        self.bootstrap = f"{LOOPBACK}:{running.port}"
        found = wait_until_ready(self.bootstrap, deadline_seconds=READY_SECONDS, alive=self.alive)
        if found != running.cluster_id:
            raise Misconfigured(
                f"the broker of {self._folder.root} (process {running.pid}) runs but does not answer at "
                f"{self.bootstrap}: stop it and start again; see {self._folder.log}",
            )
        _log.info("kafka.found", bootstrap=self.bootstrap, pid=running.pid)

    def _ports(self, *, fresh: bool) -> Remembered:
        """Ports for the next start: the remembered ones while free, so that clients find them again."""
        known = self._folder.remembered()
        if known is not None and not fresh and _both_free(known):
            return known
        cluster = known.cluster_id if known is not None else _new_cluster_id()
        return Remembered(free_port(LOOPBACK), free_port(LOOPBACK), cluster)

    def _launch(self, java: str, classpath: str, ports: Remembered) -> bool:
        """One attempt. False when a port was taken meanwhile; raises for every other failure."""
        folder = self._folder
        folder.properties.write_text(
            server_properties(folder.records, ports.port, ports.controller_port),
            encoding="utf-8",
        )
        folder.log4j.write_text(log4j_properties(folder.log), encoding="utf-8")
        # Remembered before formatting: a crash between the two must not leave a folder of another cluster id.
        folder.remember(msgspec.structs.replace(ports, pid=None))
        if not (folder.records / "meta.properties").is_file():
            _format(format_command(java, classpath, folder.properties, folder.log4j, ports.cluster_id))
        with folder.output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603
                broker_command(java, classpath, folder.properties, folder.log4j),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder.root,
                start_new_session=True,
            )
        try:
            folder.remember(msgspec.structs.replace(ports, pid=self._process.pid))
            self.bootstrap = f"{LOOPBACK}:{ports.port}"
            return self._came_up(ports, self._process)
        except BaseException:
            # Also at Ctrl-C: a broker that nobody waits for must not stay behind.
            self._end()
            raise

    def _came_up(self, ports: Remembered, process: subprocess.Popen[bytes]) -> bool:
        found = wait_until_ready(
            self.bootstrap,
            deadline_seconds=READY_SECONDS,
            alive=lambda: process.poll() is None,
        )
        if found == ports.cluster_id:
            self.started_here = True
            _log.info("kafka.started", bootstrap=self.bootstrap, pid=process.pid, data=str(self._folder.root))
            return True
        exit_code = process.poll()
        self._end()
        said = _last_words(self._folder)
        if exit_code is not None and "Address already in use" in said:
            return False
        how = (
            f"ended with exit code {exit_code}"
            if exit_code is not None
            else f"was not ready in {READY_SECONDS:.0f} s"
        )
        raise Misconfigured(f"the broker {how}; see {self._folder.log} and {self._folder.output}\n{said}")

    def _end(self) -> None:
        """End the process and wait for it: a child that nobody waits for stays on the system's list."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        end(self._folder)
        process.wait()


def stop_broker(data_dir: Path) -> bool:
    """Stop the broker of a data folder, whoever started it; False when none runs.

    Raises:
        Misconfigured: it belongs to another user, or does not end.
    """
    folder = Folder.at(data_dir)
    if not folder.root.is_dir():
        return False
    with _locked(folder):
        return end(folder)


@contextlib.contextmanager
def _locked(folder: Folder) -> Iterator[None]:
    """Hold the folder's lock: two programs that start at once get one broker. A crash frees it."""
    with folder.lock.open("wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _format(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FORMAT_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise Misconfigured(f"preparing the broker's folder took over {FORMAT_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise Misconfigured(f"preparing the broker's folder failed: {(done.stderr or done.stdout).strip()}")


def _last_words(folder: Folder) -> str:
    """The newest errors the broker wrote, for the message to the person who must act."""
    lines: list[str] = []
    for path in (folder.log, folder.output):
        if path.is_file():
            lines += path.read_text(encoding="utf-8", errors="replace").splitlines()[-200:]
    telling = [line for line in lines if "ERROR" in line or "FATAL" in line or "Exception" in line]
    return "\n".join((telling or lines)[-5:])


def _both_free(ports: Remembered) -> bool:
    return is_free(LOOPBACK, ports.port) and is_free(LOOPBACK, ports.controller_port)


def _new_cluster_id() -> str:
    """A random id in Kafka's spelling; the format tool would take a leading dash for an option."""
    while True:
        name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not name.startswith("-"):
            return name
