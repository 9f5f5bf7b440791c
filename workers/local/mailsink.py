"""A mail server that keeps every message and shows it on a web page: Sendria, in a process of its own.

Nothing is delivered to anybody. Sendria listens on loopback only, on free ports, and keeps its messages in
an SQLite file in the given folder, so that they are still there after a restart.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import httpx
import structlog

from workers.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

log = structlog.get_logger(__name__)

HOST = "127.0.0.1"
START_S = 30.0  # Sendria needs about 1 s; a cold, busy machine several
STOP_S = 5.0  # then SIGKILL: there is nothing to lose in a sink
POLL_S = 0.05
ATTEMPTS = 3  # another program may take a port between our finding it free and Sendria's binding it
PAGE = 100  # messages on one page of Sendria's list


class MailSink:
    """Sendria as a managed process. Use it as a context manager, or call ``start`` and ``stop``."""

    def __init__(self, data_dir: Path) -> None:
        """``data_dir`` is created on start; it gets the messages and Sendria's log."""
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None
        self.smtp_host = HOST
        self.smtp_port = 0
        self.http_port = 0

    @property
    def http_url(self) -> str:
        """The web page's address; the REST interface is below it at ``/api/messages/``."""
        return f"http://{HOST}:{self.http_port}"

    def start(self) -> None:
        """Returns when both ports answer.

        Raises ``Misconfigured`` when Sendria is not installed or does not run here, ``Retryable`` when it
        was not ready in 30 s. Calling it while the sink runs does nothing.
        """
        if self._process is not None:
            return
        if importlib.util.find_spec("sendria") is None:
            raise Misconfigured("the mail sink needs Sendria: install brimful with the extra [demo]")
        self._data_dir.mkdir(parents=True, exist_ok=True)
        for _ in range(ATTEMPTS):
            self.smtp_port, self.http_port = _free_ports()
            self._process = self._launch()
            if self._came_up(self._process):
                log.info("mailsink.started", smtp_port=self.smtp_port, http_port=self.http_port)
                return
            self.stop()
        raise Misconfigured(
            f"Sendria ended {ATTEMPTS} times at its start; its last words:\n{self._last_words()}"
        )

    def stop(self) -> None:
        """Ends Sendria; the messages stay in the folder. Calling it twice does nothing the second time."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.info("mailsink.stopped", code=process.returncode)

    def count(self) -> int:
        """How many messages the sink holds. Raises ``Retryable`` when it does not answer."""
        body = self._list(1)
        pages: int = body["meta"]["pages_total"]
        if pages <= 1:
            return len(body["data"])
        return (pages - 1) * PAGE + len(self._list(pages)["data"])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _list(self, page: int) -> Any:
        try:
            answer = httpx.get(
                f"{self.http_url}/api/messages/", params={"page": page}, timeout=5.0, trust_env=False
            )
            return answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise Retryable(f"the mail sink at {self.http_url} does not answer: {error}") from error

    def _launch(self) -> subprocess.Popen[bytes]:
        """Starts Sendria in a session of its own, so that Ctrl-C reaches us first and the order is ours."""
        command = [sys.executable, "-m", "sendria", "--foreground", "--no-quit"]
        command += ["--db", str(self._data_dir / "mail.sqlite")]
        command += ["--smtp-ip", HOST, "--smtp-port", str(self.smtp_port)]
        command += ["--http-ip", HOST, "--http-port", str(self.http_port)]
        # Sendria writes a configuration file into the home folder: give it one of its own.
        env = {**os.environ, "HOME": str(self._data_dir), "XDG_CONFIG_HOME": str(self._data_dir / "config")}
        with (self._data_dir / "sendria.log").open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - our own interpreter, our own arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                start_new_session=True,
            )

    def _came_up(self, process: subprocess.Popen[bytes]) -> bool:
        """True when both ports answer, False when the process ended; ``Retryable`` after 30 s of neither."""
        deadline = time.monotonic() + START_S
        while process.poll() is None:
            if _answers(self.smtp_port) and _answers(self.http_port):
                return True
            if time.monotonic() > deadline:
                self.stop()
                raise Retryable(
                    f"Sendria was not ready in {START_S:.0f} s; its last words:\n{self._last_words()}"
                )
            time.sleep(POLL_S)
        return False

    def _last_words(self) -> str:
        path = self._data_dir / "sendria.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-15:]) or "(none)"


def _free_ports() -> tuple[int, int]:
    """Two different ports of loopback that are free at this moment."""
    with socket.socket() as first, socket.socket() as second:
        first.bind((HOST, 0))
        second.bind((HOST, 0))
        return first.getsockname()[1], second.getsockname()[1]


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True
