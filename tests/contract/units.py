"""What requests to DynamoDB cost, by the rounding that AWS documents; of index writes, what the engine says.

Sizes: "DynamoDB item sizes and formats"; units: "DynamoDB read and write operations"; both in the developer guide. No
engine rounds reads by size, so reads are computed from what was read; index writes are the engine's own figures.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from relance.store.tables import Database

WRITE_BYTES, READ_BYTES = 1_024, 4_096


def size(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Bytes of an item: names in UTF-8 and values."""
    return sum(len(name.encode()) + _value(value) for name, value in item.items())


def _value(value: Mapping[str, Any]) -> int:
    ((kind, inner),) = value.items()
    if kind == "S":
        return len(inner.encode())
    if kind == "N":
        digits = inner.lstrip("-").replace(".", "").strip("0")
        return ceil(len(digits) / 2) + 1
    if kind == "SS":
        return sum(len(each.encode()) for each in inner)
    if kind == "M":
        return 3 + size(inner) + len(inner)
    if kind == "L":
        return 3 + sum(_value(each) + 1 for each in inner)
    return 1  # BOOL, NULL


def written(before: int, after: int) -> int:
    """Write units of one item: the larger of what was there and what is there now, in steps of 1 KB."""
    return max(1, ceil(max(before, after) / WRITE_BYTES))


def read(sizes: Sequence[int], *, consistent: bool) -> float:
    """Read units of items that are charged together (a query's page): in steps of 4 KB, half if eventual."""
    return max(1, ceil(sum(sizes) / READ_BYTES)) * (1 if consistent else 0.5)


@dataclass(slots=True)
class Bill:
    """What an act has asked for: its operations in order, and their units (`index` of them for the index)."""

    operations: list[str] = field(default_factory=list)
    table: float = 0
    index: float = 0
    refused: int = 0
    reads: float = 0

    @property
    def figures(self) -> tuple[str, float, float, float]:
        """Operations, write units of tables, write units of the index, read units."""
        return " ".join(self.operations), self.table, self.index, self.reads


@contextmanager
def metered(database: Database) -> Iterator[Bill]:
    """Have the engine tell what each request of this connection consumed. A refused condition costs one unit too."""
    events, bill = database.connection.client.meta.events, Bill()

    def ask(model: Any, params: dict[str, Any], **_: Any) -> None:
        asked = json.loads(params["body"])
        params["body"] = json.dumps(asked | {"ReturnConsumedCapacity": "INDEXES"}).encode()
        bill.operations.append(model.name)
        bill.reads += 0.5 * sum(len(table["Keys"]) for table in asked.get("RequestItems", {}).values())

    def heard(model: Any, parsed: dict[str, Any], **_: Any) -> None:
        if "Error" in parsed:
            # "Condition checks that fail consume write capacity as well": AWS reports no figure, the row is under 1 KB.
            bill.refused += 1
            bill.table += 1
            return
        told = parsed.get("ConsumedCapacity") or []
        for each in told if isinstance(told, list) else [told]:
            index = sum(one["CapacityUnits"] for one in each.get("GlobalSecondaryIndexes", {}).values())
            if model.name in ("UpdateItem", "PutItem", "TransactWriteItems"):
                bill.index += index
                bill.table += each["CapacityUnits"] - index
        if model.name in ("BatchGetItem", "Query", "GetItem"):
            bill.reads += _read_units(model.name, parsed)

    events.register("before-call.dynamodb.*", ask)
    events.register("after-call.dynamodb.*", heard)
    try:
        yield bill
    finally:
        events.unregister("before-call.dynamodb.*", ask)
        events.unregister("after-call.dynamodb.*", heard)


def _read_units(operation: str, parsed: Mapping[str, Any]) -> float:
    """Eventually consistent units; a consistent read costs twice as much."""
    if operation == "Query":
        return read([size(item) for item in parsed["Items"]], consistent=False)
    if operation == "GetItem":
        return read([size(parsed.get("Item", {}))], consistent=False)
    # Each key that was asked for has cost half a unit already, whether there is an item or not.
    found = [item for items in parsed["Responses"].values() for item in items]
    return sum(read([size(item)], consistent=False) - 0.5 for item in found)
