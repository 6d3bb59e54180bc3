"""Numbered rows as line protocol, and back from SQL: what the crash tests write to a server.

A row's table, series, time and values all follow from its number, so that a row that comes back can be
checked whole.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Final

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tests.harness import ServerProcess

DATABASE: Final = "crash"
TABLES: Final = ("even", "odd")
START_NS: Final = 1_700_000_000_000_000_000
STEP_NS: Final = 20_000_000
"""Between two rows: 30,000 of them fill a file's ten minutes."""
_SERIES: Final = 13
_TEXTS: Final = 97


def lines(numbers: Iterable[int], column: str | None = None) -> bytes:
    """The rows as line protocol; with ``column``, the first one has that field too."""
    text: list[str] = []
    for number in numbers:
        text.append(
            f"{TABLES[number % 2]},host=h{number % _SERIES} row={number}i,double={2 * number}i,"
            f'half={number / 2},text="{"x" * (number % _TEXTS)}" {START_NS + number * STEP_NS}'
        )
    if column is not None and text:
        text[0] = text[0].replace(" row=", f" {column}=t,row=", 1)
    return "\n".join(text).encode()


def read_back(server: ServerProcess) -> tuple[NDArray[np.int64], int]:
    """The numbers of all rows in the server's tables, and how many of the rows are not as they were written."""
    numbers, wrong = [np.empty(0, np.int64)], 0
    for remainder, table in enumerate(TABLES):
        found = _select(server, table)
        if found is None:
            continue
        row = found["row"].to_numpy()
        right = (
            (row % 2 == remainder)
            & (found["double"].to_numpy() == 2 * row)
            & (found["half"].to_numpy() == row / 2)
            & (found["length"].to_numpy() == row % _TEXTS)
            & (found["time_ns"].to_numpy() == START_NS + row * STEP_NS)
            & (found["host_number"].to_numpy() == row % _SERIES)
        )
        wrong += int((~right).sum())
        numbers.append(row)
    return np.concatenate(numbers), wrong


def _select(server: ServerProcess, table: str) -> pa.Table | None:
    statement = (
        'SELECT "row", "double", half, character_length("text") AS length, CAST(time AS BIGINT) AS time_ns, '
        f"CAST(substr(host, 2) AS BIGINT) AS host_number FROM {table}"
    )
    body = {"db": DATABASE, "q": statement, "format": "parquet"}
    response = server.request("POST", "/api/v3/query_sql", json=body)
    if _is_absent(response):
        return None
    assert response.status_code == 200, f"{response.status_code} {response.text}"
    return pq.read_table(io.BytesIO(response.content))


def _is_absent(response: httpx.Response) -> bool:
    """Nothing was written yet, hence there is no such database or table."""
    return response.status_code in (400, 404) and "not found" in response.text
