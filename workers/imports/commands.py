"""``brimful import``: people, accounts and objects from CSV, Parquet and PostgreSQL."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer
from rich.console import Console

from schemas.workspace.imports import CsvFormat, ImportMapping
from workers.clock import SystemClock
from workers.errors import Misconfigured
from workers.imports.checkpoints import TOPIC, KafkaCheckpoints
from workers.imports.csv_file import CsvFile
from workers.imports.inference import Inferred, infer, typed, types_text
from workers.imports.mappings import mapping_of, name_of, read_mapping
from workers.imports.metrics import ImportMetrics
from workers.imports.output import KafkaOutput
from workers.imports.parquet_file import ParquetFile
from workers.imports.postgres import PostgresSource
from workers.imports.progress import Bar
from workers.imports.rejects import Rejects
from workers.imports.rows import BadColumnsError, Mapped, RowMapper, trait_columns
from workers.imports.run import ImportRun, TooManyRejected
from workers.settings import from_env

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.imports.sources import Source

PREVIEW_ROWS = 5
MAX_ERRORS = 1_000

cli: typer.Typer = typer.Typer(
    no_args_is_help=True,
    help="People, accounts and objects from files and databases, restartable and incremental.",
)

File = Annotated[Path, typer.Argument(help="The file.")]
MappingFile = Annotated[
    Path | None,
    typer.Option("--mapping", help="YAML file that says which column is what; see docs/imports.md."),
]
Kind = Annotated[str | None, typer.Option("--as", help="Without a mapping: users, accounts or objects.")]
ObjectType = Annotated[str | None, typer.Option("--object", help="With --as objects: their type.")]
IdColumn = Annotated[str | None, typer.Option("--id", help="Without a mapping: the column of the id.")]
Name = Annotated[
    str | None, typer.Option("--name", help="Without a mapping: the import's name; the file's by default.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the first rows as they would be; write nothing.")
]
Restart = Annotated[bool, typer.Option("--restart", help="Begin again with all rows, whatever was before.")]
MaxErrors = Annotated[
    int, typer.Option("--max-errors", min=0, help="Rejected rows beyond which the import stops.")
]
RejectsFile = Annotated[
    Path | None, typer.Option("--rejects", help="Where rejected rows go; NAME.rejects.jsonl by default.")
]
Rate = Annotated[
    int | None, typer.Option("--rate", min=1, help="Most rows a second, to leave room for live events.")
]
MetricsFile = Annotated[
    Path | None, typer.Option("--metrics", help="Where to write metrics for node_exporter (NAME.prom).")
]


@dataclass(frozen=True)
class Options:
    """What all sources share."""

    dry_run: bool
    restart: bool
    max_errors: int
    rejects: Path | None
    rate: int | None
    metrics: Path | None


@cli.command("csv")
def import_csv(
    file: File,
    mapping: MappingFile = None,
    kind: Kind = None,
    object_type: ObjectType = None,
    column: IdColumn = None,
    name: Name = None,
    dry_run: DryRun = False,
    restart: Restart = False,
    max_errors: MaxErrors = MAX_ERRORS,
    rejects: RejectsFile = None,
    rate: Rate = None,
    metrics: MetricsFile = None,
) -> None:
    """Import a CSV file with a header line; .gz is unpacked."""
    chosen = _mapping(file, mapping, (kind, object_type), column, name)
    options = Options(dry_run, restart, max_errors, rejects, rate, metrics)
    source = CsvFile(file, chosen.csv or CsvFormat())
    # What an object's attributes are, the workspace declares.
    infers = chosen.traits is None and chosen.as_ != "objects"
    _import(chosen, source, options, infers=infers)


@cli.command("parquet")
def import_parquet(
    file: File,
    mapping: MappingFile = None,
    kind: Kind = None,
    object_type: ObjectType = None,
    column: IdColumn = None,
    name: Name = None,
    dry_run: DryRun = False,
    restart: Restart = False,
    max_errors: MaxErrors = MAX_ERRORS,
    rejects: RejectsFile = None,
    rate: Rate = None,
    metrics: MetricsFile = None,
) -> None:
    """Import a Parquet file. Needs the extra `parquet`."""
    chosen = _mapping(file, mapping, (kind, object_type), column, name)
    options = Options(dry_run, restart, max_errors, rejects, rate, metrics)
    _import(chosen, ParquetFile(file), options)


@cli.command("postgres")
def import_postgres(
    mapping: Annotated[Path, typer.Argument(help="YAML file with the query; see docs/imports.md.")],
    dry_run: DryRun = False,
    restart: Restart = False,
    max_errors: MaxErrors = MAX_ERRORS,
    rejects: RejectsFile = None,
    rate: Rate = None,
    metrics: MetricsFile = None,
) -> None:
    """Import what a PostgreSQL query gives. Needs the extra `postgres`.

    PGHOST, PGUSER, PGPASSFILE and the like say where the database is, as for psql.
    """
    chosen = read_mapping(mapping)
    if chosen.postgres is None:
        raise Misconfigured(f"{mapping}: postgres: this field is required, with query and key")
    moment = chosen.updated_at
    source = PostgresSource(
        chosen.postgres, moment.column if moment else None, moment.zone if moment else "UTC"
    )
    _import(chosen, source, Options(dry_run, restart, max_errors, rejects, rate, metrics))


def _mapping(
    file: Path,
    mapping: Path | None,
    what: tuple[str | None, str | None],
    column: str | None,
    name: str | None,
) -> ImportMapping:
    """The mapping; ``what`` are the options ``--as`` and ``--object``."""
    kind, object_type = what
    if mapping is not None:
        if kind or object_type or column or name:
            raise typer.BadParameter("--as, --object, --id and --name are for imports without --mapping")
        return read_mapping(mapping)
    if not kind or not column:
        raise typer.BadParameter("name a --mapping file, or --as users|accounts|objects with --id COLUMN")
    return mapping_of(name or name_of(file), kind, column, object_type)


def _import(mapping: ImportMapping, source: Source, options: Options, *, infers: bool = False) -> None:
    """One import; with ``infers`` all rows are looked at first, for the types of columns."""
    types: dict[str, Inferred] = {}
    try:
        try:
            mapper = RowMapper(mapping, source.columns)
            if infers:
                traits = trait_columns(mapping, source.columns)
                types = infer(
                    [spec.column for spec in traits.values()], source.rows(mapper.columns, None, None)
                )
                mapping = mapping.model_copy(update={"traits": typed(traits, types)})
                mapper = RowMapper(mapping, source.columns)
        except BadColumnsError as error:
            raise Misconfigured(f"{source.name}: {error}") from error
        code = None
        if options.dry_run:
            _preview(source, mapper)
        else:
            code = _run(mapping, source, mapper, options)
        if types:
            typer.echo(
                f"{mapping.name}: types, as no mapping declares them: {types_text(types)}", err=code != 0
            )
        if code is not None:
            raise typer.Exit(code)
    finally:
        source.close()


def _preview(source: Source, mapper: RowMapper) -> None:
    now_ms = SystemClock().now_ms()
    for row in itertools.islice(source.rows(mapper.columns, None, None), PREVIEW_ROWS):
        mapped = mapper.map(row, 0, now_ms)
        if isinstance(mapped, Mapped):
            for record in mapped.records:
                typer.echo(f"{record.topic}  {msgspec.json.format(record.value, indent=0).decode()}")
        else:
            column = f"{mapped.column}: " if mapped.column else ""
            typer.echo(f"{source.name}:{row.line}: {column}{mapped.reason}", err=True)


def _run(mapping: ImportMapping, source: Source, mapper: RowMapper, options: Options) -> int:
    """The exit code: 0 imported, 1 stopped at too many rejected rows, 130 stopped by Ctrl-C."""
    settings = from_env(os.environ)
    config = settings.librdkafka()
    output = KafkaOutput(settings.kafka, settings.topic, config)
    rejects = Rejects(options.rejects or Path(f"{mapping.name}.rejects.jsonl"))
    metrics = ImportMetrics(mapping.name)
    code: Literal[0, 1, 130] = 0
    with Bar(Console(stderr=True), time.monotonic) as bar:
        run = ImportRun(
            mapping=mapping,
            source=source,
            mapper=mapper,
            checkpoints=KafkaCheckpoints(settings.kafka, settings.topic(TOPIC), output, config),
            output=output,
            rejects=rejects,
            metrics=metrics,
            clock=SystemClock(),
            listener=bar,
            rejected_max=options.max_errors,
            pause=_pacer(options.rate),
        )
        try:
            end = run.run(restart=options.restart)
            metrics.completed(end.at_ms)
        except TooManyRejected as error:
            told, code = str(error), 1
        except KeyboardInterrupt:
            told, code = "stopped; run it again to go on", 130
        else:
            told = f"{end.rows_read:,} rows read, {end.rows_sent:,} sent, {end.rows_rejected:,} rejected"
            told += f" ({rejects.path})" if end.rows_rejected else ""
        finally:
            if options.metrics is not None:
                metrics.write(options.metrics)
    typer.echo(f"{mapping.name}: {told}", err=code != 0)
    return code


def _pacer(rate: int | None) -> Callable[[int], None]:
    """Waits after each chunk until its rows have had their time; nothing without a rate."""
    if rate is None:
        return lambda _: None
    due = time.monotonic()

    def pause(rows: int) -> None:
        nonlocal due
        due = max(due + rows / rate, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()))

    return pause
