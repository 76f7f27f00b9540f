"""The result of one bag: a Parquet file of counts, with the rest as JSON in its metadata.

| figure | class | bin | count |
|---|---|---|---|
| level | NOMINAL | 0 | 412 |
| failure_score | | 20479 | 3 |
"""

import json
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from .figures import Figures

_KEY = b"synthcp_fleet"
_SCHEMA = pa.schema(
    [
        ("figure", pa.string()),
        ("class", pa.string()),
        ("bin", pa.int32()),
        ("count", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Facts:
    """What is known of a bag beside its counts. All but `latency_ms` is the same wherever it was replayed."""

    bag: str
    size: int  # bytes that were read; another size is another bag
    topic: str
    met: int
    frames: int
    doubtful: int
    lost: int
    losses: list[str]
    failures_begun: int
    first: int | None  # time of the first report, in ns
    last: int | None
    latency_ms: list[float] | None  # p50, p95, p99, longest


def pack(facts: Facts, figures: Figures) -> bytes:
    rows = sorted(figures.counts.items())
    columns = [
        [figure for (figure, _, _), _ in rows],
        [group for (_, group, _), _ in rows],
        [place for (_, _, place), _ in rows],
        [count for _, count in rows],
    ]
    text = json.dumps({"format": 1, **asdict(facts)})
    table = pa.table(columns, schema=_SCHEMA).replace_schema_metadata({_KEY: text.encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def unpack(content: bytes) -> tuple[Facts, Figures]:
    table = pq.read_table(pa.BufferReader(content))
    facts = json.loads(table.schema.metadata[_KEY])
    if (known := facts.pop("format")) != 1:
        raise ValueError(f"it is of format {known}; 1 is known")
    figures = Figures()
    for figure, group, place, count in zip(*(column.to_pylist() for column in table.columns), strict=True):
        figures.counts[figure, group, place] += count
    return Facts(**facts), figures


def facts_of(content: bytes) -> Facts:
    """The facts alone."""
    facts = json.loads(pq.read_schema(pa.BufferReader(content)).metadata[_KEY])
    facts.pop("format")
    return Facts(**facts)
