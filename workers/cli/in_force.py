"""The option by which commands are told another workspace than the one that the installation runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path | None, typer.Option("--workspace", help="Its folder; without it, the workspace that workers run.")
]
