"""A real mail server with mailboxes for tests: GreenMail, a jar out of Maven, on loopback, in memory."""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.kafka import CACHE_DIR
from tests.support.once import alone
from workers.errors import Misconfigured
from workers.local.kafka_maven import find_java
from workers.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

VERSION = "2.1.8"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
FETCH_SECONDS = 300.0
START_SECONDS = 60.0
USER, PASSWORD = "brimful", "right"
ADDRESS = f"{USER}@example.com"
_QUICK = ("-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


@dataclass(frozen=True)
class GreenMail:
    """A running server. ``imaps`` has a certificate of its own, which nobody trusts."""

    smtp: int
    imap: int
    imaps: int

    def add(self, raw: bytes) -> None:
        """A mail arrives, as one mail server hands it to another."""
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=30) as client:
            client.sendmail("mailer-daemon@mx.example.net", [ADDRESS], raw)


@contextmanager
def greenmail(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[GreenMail]:
    """A server that runs for the block, with one user.

    Raises:
        Misconfigured: there is no Java, or no Maven to fetch the server with.
    """
    environment = env if env is not None else os.environ
    java, jar = find_java(environment), _jar(environment)
    server = GreenMail(free_port(), free_port(), free_port())
    ports = {"smtp": server.smtp, "imap": server.imap, "imaps": server.imaps}
    options = [f"-Dgreenmail.{name}.port={port}" for name, port in ports.items()]
    options += [f"-Dgreenmail.{name}.hostname=127.0.0.1" for name in ports]
    options += [f"-Dgreenmail.users={USER}:{PASSWORD}@example.com", "-Dgreenmail.users.login=local_part"]
    log = folder / "greenmail.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [java, *_QUICK, *options, "-jar", str(jar)], stdout=output, stderr=output, cwd=folder
        )
        try:
            _await(process, server, log)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _jar(env: Mapping[str, str]) -> Path:
    """The server's jar, fetched once for this checkout."""
    jar = CACHE_DIR / f"greenmail-standalone-{VERSION}.jar"
    with alone("greenmail", CACHE_DIR):
        if not jar.is_file():
            _fetch(jar, env)
    return jar


def _fetch(jar: Path, env: Mapping[str, str]) -> None:
    maven = shutil.which("mvn", path=env.get("PATH"))
    if maven is None:
        raise Misconfigured("no Maven found (command mvn): install Maven 3.6 or newer")
    fresh = CACHE_DIR / f"greenmail-{os.getpid()}"
    artifact = f"com.icegreen:greenmail-standalone:{VERSION}"
    done = subprocess.run(
        [maven, "--quiet", "--batch-mode", _COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={fresh}"],
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=FETCH_SECONDS,
        check=False,
    )
    if done.returncode:
        raise Misconfigured(f"Maven did not fetch GreenMail: {(done.stdout + done.stderr)[-300:]}")
    (fresh / jar.name).replace(jar)
    fresh.rmdir()


def _await(process: subprocess.Popen[bytes], server: GreenMail, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    for port in (server.smtp, server.imap, server.imaps):
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Misconfigured(f"GreenMail does not run: {log.read_text()[-500:]}") from None
                time.sleep(0.05)
