"""Where events come from: NDJSON and Parquet files, or the topic."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas.wire import ProductEvent, decode_product_event
from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from workers.settings import Settings

ENDINGS: Final = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz", ".parquet")
_OBJECTS: Final = ("context", "properties", "traits")
_READ: Final = frozenset(field.encode_name for field in msgspec.structs.fields(ProductEvent))


def read_files(paths: Iterable[Path]) -> Iterator[ProductEvent]:
    """The events of files, and of all files of these kinds in folders, by name.

    Raises:
        Misconfigured: naming the file, and the line or row, that is not a product event.
    """
    for path in paths:
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.name.endswith(ENDINGS))
            if not found:
                raise Misconfigured(f"{path}: there is no file that ends in {', '.join(ENDINGS)}")
            yield from read_files(found)
        elif path.name.endswith(".parquet"):
            yield from _read_parquet(path)
        else:
            yield from _read_lines(path)


def _read_lines(path: Path) -> Iterator[ProductEvent]:
    number = 0
    try:
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as file:
            for number, line in enumerate(file, 1):  # noqa: B007  told where a line is wrong
                if line.strip():
                    yield decode_product_event(line)
    except msgspec.DecodeError as error:
        raise Misconfigured(
            f"{path}:{number}: {error}; `brimful schemas validate product-events` tells more"
        ) from error
    except (OSError, EOFError) as error:
        raise Misconfigured(f"{path}: {error}") from error


def _read_parquet(path: Path) -> Iterator[ProductEvent]:
    """Columns named as the fields of an event; ``context``, ``properties``, ``traits`` as JSON or structs.

    A null in a struct is a field that the event did not have; only JSON can take a trait away.
    """
    try:
        from pyarrow import parquet  # noqa: PLC0415  part of the extra, and only Parquet needs it
    except ImportError as error:
        raise Misconfigured("Parquet files need pyarrow: install brimful[propensity]") from error
    number = 0
    try:
        file: Any = parquet.ParquetFile(path)
        columns = [name for name in file.schema_arrow.names if name in _READ]
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                number += 1
                event = {name: value for name, value in row.items() if value is not None}
                for name in _OBJECTS:
                    event |= _object(name, event.get(name))
                yield decode_product_event(msgspec.json.encode(event))
    except msgspec.DecodeError as error:
        raise Misconfigured(f"{path}, row {number}: {error}") from error
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path}: {error}") from error


def _object(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {name: msgspec.Raw(value.encode())}
    if isinstance(value, dict):
        # Every row of a struct has every field: what an event did not say is null there.
        return {name: {key: inner for key, inner in value.items() if inner is not None}}
    return {}


def read_topic(settings: Settings, topic: str) -> Iterator[ProductEvent]:
    """The committed events of a topic, from its beginning to where it ended when reading began.

    What cannot be decoded is left out: the workers dead-letter the same records. No offsets are committed.

    Raises:
        Misconfigured: there is no such topic.
        Retryable: Kafka stopped answering.
    """
    from workers.reading.topics import read_topic as read  # noqa: PLC0415  only a topic needs Kafka's client

    for found in read({"bootstrap.servers": settings.kafka, **settings.librdkafka()}, topic, None, _unheard):
        try:
            yield decode_product_event(found.value)
        except msgspec.DecodeError:
            continue


def _unheard(_read: int, _total: int) -> None:
    """Nobody watches how far it is."""
