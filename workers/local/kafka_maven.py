"""Find Java and resolve the broker's jars through Maven, once per version of the pom."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

POM = Path(__file__).with_name("kafka_pom.xml")

MIN_JAVA = 17
"""Kafka 4 brokers are compiled for Java 17."""

RESOLVE_TIMEOUT_SECONDS = 600
"""A first resolution downloads about 45 MB; a slow line needs minutes, a dead one must not hang for ever."""

_DEPENDENCY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
_JAVA_VERSION = re.compile(r'version "(\d+)')


def find_java(env: Mapping[str, str]) -> str:
    """Path of a Java of at least version 17: ``JAVA_HOME`` first, then ``PATH``.

    Raises:
        Misconfigured: there is none, it does not run, or it is too old.
    """
    home = env.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    java = java or shutil.which("java", path=env.get("PATH"))
    if java is None:
        raise Misconfigured(f"no Java found: install Java {MIN_JAVA} or newer, or set JAVA_HOME")
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Misconfigured(f"{java} does not run ({error}): install Java {MIN_JAVA} or newer") from error
    found = _JAVA_VERSION.search(done.stderr + done.stdout)
    if found is None:
        raise Misconfigured(f"{java} -version told no version: install Java {MIN_JAVA} or newer")
    if int(found[1]) < MIN_JAVA:
        raise Misconfigured(f"{java} is Java {found[1]}: install Java {MIN_JAVA} or newer, or set JAVA_HOME")
    return java


def resolve_classpath(cache_dir: Path, env: Mapping[str, str]) -> str:
    """The broker's class path, from the cache or through Maven.

    The jars stay in Maven's own repository; the cache holds only their list, under a name that changes with
    the pom. A list that names a missing jar is resolved again. May be called by several processes at once.

    Raises:
        Misconfigured: Maven is missing or could not resolve; the message holds Maven's own first error.
    """
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    cached = cache_dir / f"kafka-classpath-{digest}.txt"
    if cached.is_file():
        classpath = cached.read_text(encoding="utf-8").strip()
        if classpath and all(Path(jar).is_file() for jar in classpath.split(os.pathsep)):
            return classpath
    maven = shutil.which("mvn", path=env.get("PATH"))
    if maven is None:
        raise Misconfigured("no Maven found (command mvn): install Maven 3.6 or newer")
    cache_dir.mkdir(parents=True, exist_ok=True)
    fresh = cached.with_suffix(f".{os.getpid()}")
    _run_maven(maven, fresh, env)
    classpath = fresh.read_text(encoding="utf-8").strip()
    fresh.replace(cached)
    return classpath


def _run_maven(maven: str, output: Path, env: Mapping[str, str]) -> None:
    command = [
        maven,
        "--quiet",
        "--batch-mode",
        f"--file={POM}",
        _DEPENDENCY_GOAL,
        "-DincludeScope=runtime",
        f"-Dmdep.outputFile={output.resolve()}",
    ]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=RESOLVE_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Misconfigured(
            f"Maven did not resolve the broker in {RESOLVE_TIMEOUT_SECONDS} s: check its mirror and proxy",
        ) from error
    if done.returncode != 0 or not output.is_file():
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        first = lines[0] if lines else f"exit code {done.returncode}"
        raise Misconfigured(f"Maven could not resolve the broker: {first}")
