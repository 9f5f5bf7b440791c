"""Whether a change of a record's shape breaks those who already write or read it.

Compares the exported JSON Schema of the last release with the present one. Two kinds of people are kept
whole:

- **writers of old records**: producers who do not upgrade with us, and our own topics' history, which a
  new worker still reads. Nothing that was accepted may be refused.
- **readers of new records** (only of the topics that we write): consumers who do not upgrade with us.
  Nothing may appear in a known field that they could not know, and nothing they rely on may go.

A break is not forbidden, it needs a new version: the old shape stays beside it until nobody writes it.
Pure: schemas in, findings out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

Rule: TypeAlias = Literal[
    "schema_removed",
    "variant_removed",
    "variant_added",
    "field_removed",
    "field_newly_required",
    "field_no_longer_required",
    "type_narrowed",
    "type_widened",
    "values_narrowed",
    "values_widened",
    "limit_tightened",
    "condition_changed",
    "unknown_fields_refused",
]

_NEW_VERSION = "or publish the new shape as the next version beside this one"

REMEDIES: Final[dict[Rule, str]] = {
    "schema_removed": "keep exporting it while any record of this version is in a topic",
    "variant_removed": f"keep accepting it, {_NEW_VERSION}",
    "variant_added": f"readers that do not know the type fail on it: announce it first, {_NEW_VERSION}",
    "field_removed": f"keep the field, {_NEW_VERSION}",
    "field_newly_required": f"make it optional with a default, {_NEW_VERSION}",
    "field_no_longer_required": f"readers rely on the field: keep it required, {_NEW_VERSION}",
    "type_narrowed": f"keep accepting the former types, {_NEW_VERSION}",
    "type_widened": f"readers expect the former type: add another field, {_NEW_VERSION}",
    "values_narrowed": f"keep accepting the former values, {_NEW_VERSION}",
    "values_widened": f"readers do not know the new values: announce them first, {_NEW_VERSION}",
    "limit_tightened": f"keep the former limit, {_NEW_VERSION}",
    "condition_changed": f"keep the former condition, {_NEW_VERSION}",
    "unknown_fields_refused": "keep ignoring unknown fields",
}
"""What to do about each rule that is broken."""

_AT_LEAST = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
_AT_MOST = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
_EXACT = ("pattern", "multipleOf", "uniqueItems")
_ANYTHING: Final[Schema] = {}
_ANY_TYPE = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


@dataclass(frozen=True)
class Finding:
    """One break: record, field (dotted; ``[]`` for items, ``{}`` for values), rule, and what exactly."""

    record: str
    field: str
    rule: Rule
    detail: str

    def __str__(self) -> str:
        return f"{self.record}: {self.field or 'record'}: {self.rule}: {self.detail}; {REMEDIES[self.rule]}"


@dataclass
class _Shape:
    """What a JSON Schema accepts at one place, with references resolved and alternatives merged."""

    types: frozenset[str] = _ANY_TYPE
    values: frozenset[str] | None = None
    fields: dict[str, Schema] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    items: Schema = field(default_factory=dict)
    others: Schema | Literal[False] = field(default_factory=dict)
    variants: dict[str, Schema] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    condition: str = ""


def compare_all(
    old: Mapping[str, Schema], new: Mapping[str, Schema], written_by_us: Mapping[str, bool]
) -> list[Finding]:
    """Every break between two releases: schemas by the name of their record and version (``deliveries.v1``).

    ``written_by_us`` tells, by the same names, whose readers count too; a name it lacks counts as ours.
    """
    found: list[Finding] = []
    for name, schema in sorted(old.items()):
        if name in new:
            found.extend(compare(name, schema, new[name], written_by_us=written_by_us.get(name, True)))
        else:
            found.append(Finding(name, "", "schema_removed", "it was released and is gone"))
    return found


def compare(record: str, old: Schema, new: Schema, *, written_by_us: bool) -> list[Finding]:
    """Every break from the schema ``old`` of one record to ``new``.

    Raises:
        ValueError: a schema refers to itself, which this comparison cannot follow.
    """
    return [
        Finding(record, *found)
        for found in _Comparison(old, new, readers_count=written_by_us).at("", old, new, depth=0)
    ]


_Found: TypeAlias = tuple[str, Rule, str]
_DEPTH_MAX = 32
"""Deeper than any record; a schema that refers to itself gets here."""


class _Comparison:
    """One walk over two schemas at once."""

    def __init__(self, old: Schema, new: Schema, *, readers_count: bool) -> None:
        self._old_root = old
        self._new_root = new
        self._readers_count = readers_count

    def at(self, path: str, old_schema: Schema, new_schema: Schema, depth: int) -> Iterator[_Found]:
        if depth > _DEPTH_MAX:
            raise ValueError(
                f"field {path!r} is nested deeper than {_DEPTH_MAX}: the schema refers to itself"
            )
        old = _shape(old_schema, self._old_root)
        new = _shape(new_schema, self._new_root)
        yield from self._types(path, old, new)
        yield from self._values(path, old, new)
        yield from _limits(path, old, new)
        yield from self._variants(path, old, new, depth)
        yield from self._fields(path, old, new, depth)
        if (old.items or new.items) and "array" in old.types & new.types:
            yield from self.at(f"{path}[]", old.items, new.items, depth + 1)
        if (old.others or new.others) and old.others is not False and new.others is not False:
            yield from self.at(f"{path}{{}}", old.others, new.others, depth + 1)

    def _types(self, path: str, old: _Shape, new: _Shape) -> Iterator[_Found]:
        lost, gained = _numbers(old.types) - _numbers(new.types), _numbers(new.types) - _numbers(old.types)
        if lost:
            yield path, "type_narrowed", f"{_names(lost)} no longer accepted"
        if self._readers_count and gained:
            yield path, "type_widened", f"may now be {_names(gained)}"

    def _values(self, path: str, old: _Shape, new: _Shape) -> Iterator[_Found]:
        if new.values is not None:
            lost = old.values - new.values if old.values is not None else None
            if lost is None:
                yield path, "values_narrowed", f"only {_names(new.values)} accepted"
            elif lost:
                yield path, "values_narrowed", f"{_names(lost)} no longer accepted"
        if self._readers_count and old.values is not None:
            if new.values is None:
                yield path, "values_widened", "may now hold any value"
            elif new.values - old.values:
                yield path, "values_widened", f"may now be {_names(new.values - old.values)}"

    def _variants(self, path: str, old: _Shape, new: _Shape, depth: int) -> Iterator[_Found]:
        for tag in sorted(old.variants):
            if tag in new.variants:
                yield from self.at(f"{path}<{tag}>", old.variants[tag], new.variants[tag], depth + 1)
            else:
                yield f"{path}<{tag}>", "variant_removed", "records of this type were accepted"
        if self._readers_count:
            for tag in sorted(set(new.variants) - set(old.variants)):
                yield f"{path}<{tag}>", "variant_added", "a type that readers do not know"

    def _fields(self, path: str, old: _Shape, new: _Shape, depth: int) -> Iterator[_Found]:
        if "object" not in old.types & new.types:
            return
        if old.others is not False and new.others is False:
            yield path, "unknown_fields_refused", "fields that were ignored are refused"
        for name in sorted(old.fields):
            here = _join(path, name)
            if name not in new.fields:
                yield here, "field_removed", "it was part of the record"
                continue
            yield from self.at(here, old.fields[name], new.fields[name], depth + 1)
            if self._readers_count and name in old.required - new.required:
                yield here, "field_no_longer_required", "it was always there"
        for name in sorted(new.required - old.required):
            yield _join(path, name), "field_newly_required", "records written so far may lack it"
        if old.condition != new.condition and new.condition:
            yield path, "condition_changed", f"now {new.condition}"


def _limits(path: str, old: _Shape, new: _Shape) -> Iterator[_Found]:
    for name in (*_AT_LEAST, *_AT_MOST, *_EXACT):
        before, now = old.limits.get(name), new.limits.get(name)
        if now is None or now == before:
            continue
        loosened = before is not None and (
            (name in _AT_LEAST and now < before) or (name in _AT_MOST and now > before)
        )
        if not loosened:
            was = "unlimited" if before is None else before
            yield path, "limit_tightened", f"{name} is {now}, was {was}"


def _shape(schema: Schema, root: Schema) -> _Shape:
    """What a schema accepts. Alternatives of different types merge; objects told apart by ``type`` do not."""
    schema = _resolve(schema, root)
    arms = [_resolve(arm, root) for arm in schema.get("oneOf", schema.get("anyOf", ()))]
    if not arms or "properties" in schema:
        return _plain(schema)
    tags = {arm: _tag(arms[arm]) for arm in range(len(arms))}
    if all(tag is not None for tag in tags.values()):
        return _Shape(
            types=frozenset({"object"}),
            variants={str(tag): arms[arm] for arm, tag in tags.items()},
        )
    return _merged([_shape(arm, root) for arm in arms])


def _plain(schema: Schema) -> _Shape:
    named = schema.get("type")
    types = _ANY_TYPE if named is None else frozenset([named] if isinstance(named, str) else named)
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    others = schema.get("additionalProperties", True)
    condition = {key: schema[key] for key in ("anyOf", "oneOf", "allOf", "not", "if") if key in schema}
    return _Shape(
        types=types,
        values=None if values is None else frozenset(json.dumps(value) for value in values),
        fields=dict(schema.get("properties", {})),
        required=frozenset(schema.get("required", ())),
        items=schema.get("items", {}),
        others=_ANYTHING if others is True else others,
        limits={key: schema[key] for key in (*_AT_LEAST, *_AT_MOST, *_EXACT) if key in schema},
        condition=json.dumps(condition, sort_keys=True) if condition else "",
    )


def _merged(arms: list[_Shape]) -> _Shape:
    """One shape for alternatives such as ``string or null``, each with the limits of its own type."""
    telling = [arm for arm in arms if arm.types != {"null"}]
    first = telling[0] if telling else arms[0]
    if len(telling) > 1 and any(arm.fields or arm.limits or arm.values for arm in telling):
        raise ValueError("alternatives of several types with limits of their own cannot be compared")
    return _Shape(
        types=frozenset().union(*(arm.types for arm in arms)),
        values=first.values,
        fields=first.fields,
        required=first.required,
        items=first.items,
        others=first.others,
        variants=first.variants,
        limits=first.limits,
        condition=first.condition,
    )


def _resolve(schema: Schema, root: Schema) -> Schema:
    for _ in range(_DEPTH_MAX):
        reference = schema.get("$ref")
        if reference is None:
            return schema
        schema = root["$defs"][str(reference).rpartition("/")[2]]
    raise ValueError(f"the reference {reference!r} refers to itself")


def _tag(schema: Schema) -> str | None:
    tag = schema.get("properties", {}).get("type", {}).get("const")
    return None if tag is None else str(tag)


def _numbers(types: frozenset[str]) -> frozenset[str]:
    """Every integer is a number: what accepts numbers accepts integers."""
    return types | {"integer"} if "number" in types else types


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _names(names: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(names))
