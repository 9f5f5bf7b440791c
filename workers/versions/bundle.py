"""A workspace's folder as one value: the same files give the same version on every machine, in any order.

The version is a hash of names and texts, not of the compressed bytes, which differ between versions of zlib.
Line ends are those of Unix whatever the checkout made of them, and names are in Unicode's composed form.
"""

from __future__ import annotations

import tempfile
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import msgspec

from workers.core.ids import VERSION_CHARS, stable_id
from workers.errors import Misconfigured
from workers.workspace.files import identifier, load_workspace
from workers.workspace.mail_html import MADE, write_made
from workers.workspace.templates import TEMPLATES, made_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.workspace.files import LoadedWorkspace

FORMAT: Final = b"BRM1"
"""First bytes of a bundle; another format has others."""

MAX_BYTES: Final = 16 * 1024 * 1024
"""Of all files together, unpacked: some thousand templates. More is a mistake, or an attack."""

MAX_FILES: Final = 5_000

_YAML: Final = {".yaml", ".yml"}
_NOT_LOADED: Final = {"tests"}
"""Folders inside a workspace that workers have no use for."""


class BadBundle(Misconfigured):
    """Bytes that are no bundle of ours, or not the one they should be. Operator action: publish again."""


@dataclass(frozen=True)
class Bundle:
    """A workspace's files by their path in the folder, and the version that they are."""

    name: str
    files: dict[str, str]

    @property
    def version(self) -> str:
        """Hash of the content: 16 hex digits."""
        parts = (part for path in sorted(self.files) for part in (path, self.files[path]))
        return stable_id("workspace", *parts)[:VERSION_CHARS]

    def pack(self) -> bytes:
        """The bundle's bytes."""
        return FORMAT + zlib.compress(msgspec.json.encode(sorted(self.files.items())), 9)

    def load(self) -> LoadedWorkspace:
        """The workspace that the files make, as from a folder; takes seconds for a large tracking plan.

        Raises:
            BadWorkspace: naming every problem with its file and line.
        """
        with tempfile.TemporaryDirectory(prefix="brimful-workspace-") as above:
            folder = Path(above) / self.name
            folder.mkdir()
            for path, text in self.files.items():
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8", newline="\n")
            return load_workspace(folder)


def read_bundle(folder: Path, name: str | None = None) -> Bundle:
    """The files of a folder that a workspace is made of: templates and what they name, and every YAML file.

    With them goes what was made of e-mails' html. Hidden files and the folder ``tests`` stay out.
    The workspace is called ``name``, else as its folder.

    Raises:
        Misconfigured: there is no such folder, a file is no UTF-8 text, or there is too much.
    """
    if not folder.is_dir():
        raise Misconfigured(f"{folder}: there is no such folder")
    files: dict[str, str] = {}
    size = 0
    for path in _files(folder):
        relative = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise Misconfigured(f"{path}: not a text in UTF-8: {error.reason}") from error
        files[relative] = text.replace("\r\n", "\n")
        size += len(text)
        if size > MAX_BYTES or len(files) > MAX_FILES:
            raise Misconfigured(f"{folder}: more than {MAX_BYTES} bytes or {MAX_FILES} files")
    if made := made_of(folder):
        files[f"{TEMPLATES}/{MADE}"] = write_made(made)
    return Bundle(identifier(name or folder.resolve().name), files)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not path.is_file() or any(part.startswith(".") for part in parts) or parts[0] in _NOT_LOADED:
            continue
        if parts[0] == TEMPLATES or path.suffix in _YAML:
            yield path


def unpack(name: str, version: str, data: bytes) -> Bundle:
    """The bundle of these bytes.

    Raises:
        BadBundle: they are cut off, of another format, unsafe to unpack, or not this version.
    """
    where = f"workspace {name}@{version}"
    if not data.startswith(FORMAT):
        raise BadBundle(f"{where}: another format of bundles ({data[:4]!r}): this Brimful is too old for it")
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(data[len(FORMAT) :], MAX_BYTES * 2)
    except zlib.error as error:
        raise BadBundle(f"{where}: damaged: {error}") from error
    if inflate.unconsumed_tail:
        raise BadBundle(f"{where}: more than {MAX_BYTES} bytes unpacked")
    if not inflate.eof:
        raise BadBundle(f"{where}: cut off")
    try:
        files = dict(msgspec.json.decode(plain, type=list[tuple[str, str]]))
    except msgspec.DecodeError as error:
        raise BadBundle(f"{where}: not a list of files: {error}") from error
    unsafe = [path for path in files if not _is_safe(path)]
    if unsafe:
        raise BadBundle(f"{where}: a file outside the workspace: {unsafe[0]!r}")
    bundle = Bundle(name, files)
    if bundle.version != version:
        raise BadBundle(f"{where}: the content is {bundle.version}")
    return bundle


def _is_safe(path: str) -> bool:
    """Whether a path stays inside the folder that it is written to."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and not set(path) & set("\\\0:")
