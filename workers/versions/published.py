"""What the topic ``workspace`` says, put together record by record; and the records that say it.

A version larger than a record comes in parts, which are written before the record that names them; the
record that puts a version in force comes last. All of a publication is one Kafka transaction besides.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from schemas import wire
from workers.errors import Misconfigured
from workers.versions.bundle import BadBundle, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.versions.bundle import Bundle

PART_BYTES: Final = 600_000
"""Of one part before base64: 800 KB as a record, with room below Kafka's 1 MB."""


@dataclass
class Published:
    """The newest records of the topic, by name of the workspace, and by what else their keys hold."""

    in_force: dict[str, wire.InForce] = field(default_factory=dict)
    versions: dict[tuple[str, str], wire.PublishedVersion] = field(default_factory=dict)
    parts: dict[bytes, wire.VersionPart] = field(default_factory=dict)
    states: dict[tuple[str, str], wire.JourneyState] = field(default_factory=dict)

    def take(self, key: bytes, value: bytes | None) -> None:
        """One record, in the order of the topic.

        Raises:
            Misconfigured: it is none of ours, or of a newer shape; what was known before stays.
        """
        if not value:
            self._forget(key)
            return
        try:
            record = wire.decode_workspace(value)
        except msgspec.DecodeError as error:
            raise Misconfigured(
                f"the record {key!r} of the topic workspace is not readable: {error}"
            ) from error
        if key != key_of(record):
            raise Misconfigured(
                f"the record {key!r} of the topic workspace says that it is {key_of(record)!r}"
            )
        match record:
            case wire.InForce():
                self.in_force[record.workspace] = record
            case wire.PublishedVersion():
                self.versions[record.workspace, record.version] = record
            case wire.VersionPart():
                self.parts[key] = record
            case wire.JourneyState():
                self.states[record.workspace, record.journey] = record

    def _forget(self, key: bytes) -> None:
        self.parts.pop(key, None)
        self.in_force = {name: one for name, one in self.in_force.items() if key_of(one) != key}
        self.versions = {name: one for name, one in self.versions.items() if key_of(one) != key}
        self.states = {name: one for name, one in self.states.items() if key_of(one) != key}

    def states_of(self, workspace: str) -> list[wire.JourneyState]:
        """What was said about the journeys of a workspace."""
        return [state for (name, _), state in sorted(self.states.items()) if name == workspace]

    def bundle(self, workspace: str, version: str) -> Bundle:
        """The content of a version.

        Raises:
            BadBundle: it is not there, or not whole.
        """
        where = f"workspace {workspace}@{version}"
        record = self.versions.get((workspace, version))
        if record is None:
            raise BadBundle(f"{where}: not in the topic workspace")
        if record.data is not None:
            return unpack(workspace, version, _bytes(where, record.data))
        data = []
        for number, part_id in enumerate(record.parts, 1):
            part = self.parts.get(_part_key(workspace, version, part_id))
            if part is None:
                raise BadBundle(f"{where}: part {number} of {len(record.parts)} is missing")
            content = _bytes(where, part.data)
            if _id(content) != part_id:
                raise BadBundle(f"{where}: part {number} of {len(record.parts)} is damaged")
            data.append(content)
        return unpack(workspace, version, b"".join(data))


def key_of(record: wire.WorkspaceRecord) -> bytes:
    """The key of a record."""
    match record:
        case wire.InForce():
            return record.workspace.encode()
        case wire.PublishedVersion():
            return f"{record.workspace}@{record.version}".encode()
        case wire.VersionPart():
            return _part_key(record.workspace, record.version, record.id)
        case wire.JourneyState():
            return f"{record.workspace}/journey/{record.journey}".encode()


def version_records(
    bundle: Bundle, at_ms: int, part_bytes: int = PART_BYTES
) -> Iterator[wire.WorkspaceRecord]:
    """The records of a version's content, in the order in which they are written."""
    data, version = bundle.pack(), bundle.version
    if len(data) <= part_bytes:
        yield wire.PublishedVersion(
            workspace=bundle.name,
            version=version,
            data=base64.b64encode(data).decode(),
            parts=[],
            content_bytes=len(data),
            at_ms=at_ms,
        )
        return
    parts = [data[start : start + part_bytes] for start in range(0, len(data), part_bytes)]
    for part in parts:
        yield wire.VersionPart(
            workspace=bundle.name, version=version, id=_id(part), data=base64.b64encode(part).decode()
        )
    yield wire.PublishedVersion(
        workspace=bundle.name,
        version=version,
        parts=[_id(part) for part in parts],
        content_bytes=len(data),
        at_ms=at_ms,
    )


def forgotten(published: Published, workspace: str, kept: set[str]) -> Iterator[bytes]:
    """The keys of all versions of a workspace but these, and of their parts."""
    for (name, version), record in published.versions.items():
        if name == workspace and version not in kept:
            yield key_of(record)
    for key, part in published.parts.items():
        if part.workspace == workspace and part.version not in kept:
            yield key


def _part_key(workspace: str, version: str, part_id: str) -> bytes:
    return f"{workspace}@{version}/{part_id}".encode()


def _id(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _bytes(where: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BadBundle(f"{where}: damaged: {error}") from error
