"""Quix Streams in an environment of its own: it needs older versions of our dependencies than we do."""

from __future__ import annotations

import subprocess
import venv
from typing import TYPE_CHECKING

from tests.bench.measure import ProcessSystem
from tests.bench.systems.arguments import BUILDS, PEERS, arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.model import Job

REQUIREMENT = "quixstreams==3.28.1"
ENVIRONMENT = BUILDS / "venv"
PYTHON = ENVIRONMENT / "bin" / "python"
_INSTALL_LIMIT_S = 300


class Quix(ProcessSystem):
    """Exactly once: changelog, outputs and offsets in one Kafka transaction per checkpoint."""

    guarantee = "exactly once"

    def __init__(self, name: str, method: str, how: str) -> None:
        self.name = name
        self.method = how
        self._method = method

    def command(self, job: Job) -> Sequence[str]:
        """The peer in the environment that holds Quix Streams."""
        return [str(PYTHON), str(PEERS / "quix_peer.py"), *arguments(job), "--method", self._method]

    def unavailable(self) -> str | None:
        """Installs Quix Streams on first use; a reason when that fails."""
        version = REQUIREMENT.partition("==")[2]
        check = f"import importlib.metadata as m; raise SystemExit(m.version('quixstreams') != '{version}')"
        if PYTHON.exists() and not _run([str(PYTHON), "-c", check]):
            return None
        try:
            venv.create(ENVIRONMENT, with_pip=True, clear=True)
        except (OSError, subprocess.CalledProcessError) as error:
            return f"{REQUIREMENT} needs an environment of its own, and Python cannot make one here: {error}"
        problem = _run([str(PYTHON), "-m", "pip", "install", "--quiet", REQUIREMENT])
        return f"{REQUIREMENT} cannot be installed: {problem}" if problem else None


def _run(command: list[str]) -> str:
    """Nothing when ``command`` succeeds, else the last of what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
