"""``/sdk/v1/...``: the JavaScript SDK, built from its readable source when the gateway starts.

The source is a handful of ES modules in the folder ``sdk``. The build puts each into a function of its own
and one after the other, without comments and indentation: no tool, nothing that differs between machines.
What is served is two files, ``brimful.js`` for a script element and ``brimful.mjs`` for ``import``, each
under two names: the plain one, which follows the gateway's version, and one with the hash of its content,
which never changes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

from workers.intake.problems import Problem, json_response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

MODULES: Final = ("store", "queue", "feed", "dom", "style", "forms", "stage", "brimful")
"""In the order of who imports whom."""

GLOBAL: Final = "global"
"""What a script element gets on top."""

_IMPORT = re.compile(r'^import \{ ([^}]+) \} from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async function|function|class|const) (\w+))", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*/\*.*?\*/[ \t]*\n|[ \t]+//[ ][^\n]*$", re.MULTILINE | re.DOTALL)
_INDENT = re.compile(r"^[ \t]+|^\n", re.MULTILINE)
_PUBLIC: Final = {
    # A script with an integrity hash is fetched as a cross-origin request, from any page.
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
    "vary": "accept-encoding",
}
_HOUR = "public, max-age=3600, stale-while-revalidate=86400"
_FOREVER = "public, max-age=31536000, immutable"


class BadSource(ValueError):
    """A module of the SDK that the build cannot put together; a mistake of its author."""


@dataclass(frozen=True)
class SdkFile:
    """One built file. ``integrity`` is for the script element's attribute of that name."""

    name: str
    content: bytes

    @property
    def integrity(self) -> str:
        """``sha384-...``, as Subresource Integrity wants it."""
        return f"sha384-{base64.b64encode(hashlib.sha384(self.content).digest()).decode()}"

    @property
    def hashed_name(self) -> str:
        """The name under which exactly this content is served for ever."""
        stem, _, suffix = self.name.rpartition(".")
        return f"{stem}-{hashlib.sha256(self.content).hexdigest()[:12]}.{suffix}"


def read_source(name: str) -> str:
    """The text of one module of the SDK."""
    return (files("workers.intake") / "sdk" / f"{name}.js").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def build() -> tuple[SdkFile, SdkFile]:
    """``brimful.js`` and ``brimful.mjs``."""
    modules = "\n".join(wrapped(name, read_source(name)) for name in MODULES)
    script = f"(() => {{\n{modules}\n{wrapped(GLOBAL, read_source(GLOBAL))}\n}})();\n"
    module = f"{modules}\nexport const brimful = $brimful.brimful;\nexport default brimful;\n"
    return SdkFile("brimful.js", script.encode()), SdkFile("brimful.mjs", module.encode())


def wrapped(name: str, text: str) -> str:
    """A module as a function of its own, whose result are its exports.

    Raises:
        BadSource: it imports or exports in a way that is not understood.
    """
    exports = [found[2] for found in _EXPORT.finditer(text)]
    body = _IMPORT.sub(r"const { \1 } = $\2;", _EXPORT.sub(r"\1", text))
    body = _INDENT.sub("", _COMMENT.sub("", body))
    left = re.search(r"^(?:import|export)\b.*", body, re.MULTILINE)
    if left is not None:
        raise BadSource(f"{name}.js: {left[0]!r}: import names in one line, export declarations only")
    return f"const ${name} = (() => {{\n{body}return {{ {', '.join(exports)} }};\n}})();"


class Sdk:
    """The routes of the SDK. One per gateway."""

    def __init__(self, built: Iterable[SdkFile] | None = None) -> None:
        self._files = tuple(built or build())
        self._served: dict[str, tuple[SdkFile, bytes, str]] = {}
        for file in self._files:
            packed = gzip.compress(file.content, 9, mtime=0)
            self._served[file.name] = (file, packed, _HOUR)
            self._served[file.hashed_name] = (file, packed, _FOREVER)

    def routes(self) -> list[Route]:
        """The files, and a manifest that names them with their integrity hashes."""
        return [
            Route("/sdk/v1/manifest.json", self._manifest, methods=["GET"]),
            Route("/sdk/v1/{file}", self._file, methods=["GET"]),
        ]

    async def _manifest(self, request: Request) -> Response:
        del request
        listed = {
            file.name: {"file": file.hashed_name, "integrity": file.integrity, "bytes": len(file.content)}
            for file in self._files
        }
        answer = json_response({"files": listed})
        answer.headers.update({**_PUBLIC, "cache-control": "no-cache"})
        return answer

    async def _file(self, request: Request) -> Response:
        found = self._served.get(request.path_params["file"])
        if found is None:
            raise Problem(404, "not_found", "the SDK has brimful.js, brimful.mjs and manifest.json")
        file, packed, cache = found
        etag = f'"{file.hashed_name}"'
        headers = {**_PUBLIC, "cache-control": cache, "etag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(packed, media_type="text/javascript", headers=headers)
        return Response(file.content, media_type="text/javascript", headers=headers)
