"""Kafka Streams, built from Java sources beside this folder on first use."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.bench.measure import ProcessSystem
from tests.bench.systems.arguments import BENCH, BUILDS, arguments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.model import Job

PROJECT = BENCH / "kafka_streams"
OLDEST_JAVA = 17
_BUILD_LIMIT_S = 600


class KafkaStreams(ProcessSystem):
    """Exactly once by ``exactly_once_v2``, with its default commit interval of 100 ms."""

    name = "kafka_streams"
    guarantee = "exactly once"
    method = "SlidingWindows of 21 days, counted, RocksDB store, JVM with 1 GiB of heap"

    def command(self, job: Job) -> Sequence[str]:
        """The built program."""
        classpath = f"{_build_dir() / 'classes'}:{_build_dir() / 'lib'}/*"
        return ["java", "-Xms1g", "-Xmx1g", "-cp", classpath, "bench.Peer", *arguments(job)]

    def unavailable(self) -> str | None:
        """Builds the program on first use; a reason when Java or Maven is absent or the build fails."""
        return _java_problem() or _build_problem()


def _java_problem() -> str | None:
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed; it needs Java {OLDEST_JAVA} or newer and Maven"
    asked = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60, check=False)
    said = asked.stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < OLDEST_JAVA:
        return f"it needs Java {OLDEST_JAVA} or newer, and `java -version` says: {said.strip()[:100]}"
    return None


def _build_problem() -> str | None:
    target = _build_dir()
    done = target / "complete"
    if done.exists():
        return None
    command = ["mvn", "-q", "-B", f"-Dbench.build={target}", "package", "dependency:copy-dependencies"]
    try:
        built = subprocess.run(
            [*command, f"-DoutputDirectory={target / 'lib'}"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=_BUILD_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"Maven did not finish the build in {_BUILD_LIMIT_S} s"
    if built.returncode != 0:
        return "Maven could not build it: " + " ".join((built.stdout + built.stderr).split())[-500:]
    done.touch()
    return None


def _build_dir() -> Path:
    """Named after the sources, so that a changed source is built again."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(p for p in PROJECT.rglob("*") if p.is_file()):
        digest.update(path.read_bytes())
    return BUILDS / f"kafka_streams-{digest.hexdigest()}"


SYSTEM = KafkaStreams()
