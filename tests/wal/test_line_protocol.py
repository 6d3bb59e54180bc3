"""What the line protocol parser makes of lines, good and bad."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest
from headrace.wal import lp_layout
from headrace.wal.errors import BodyTooLarge, InvalidPrecision
from headrace.wal.line_protocol import LineError, ParsedLines, Precision, parse_lines, warm_up
from headrace.wal.schema import TAG_TYPE, TIME_TYPE, ColumnType, TableSchema

from tests.wal.line_protocol_agreement import a_body

NOW = 1_700_000_000_123_456_789


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    warm_up()


def parse(
    body: bytes | bytearray | memoryview,
    schemas: Mapping[str, TableSchema] | None = None,
    precision: Precision = Precision.NANOSECOND,
) -> ParsedLines:
    return parse_lines(body, (schemas or {}).get, precision=precision, default_time_ns=NOW)


def rows(body: bytes, precision: Precision = Precision.NANOSECOND) -> list[dict[str, object]]:
    """The rows of the only table of a body without errors."""
    parsed = parse(body, precision=precision)
    assert parsed.errors == ()
    (table,) = parsed.tables
    columns = {name: table.batch.column(name) for name in table.batch.schema.names}
    columns["time"] = columns["time"].cast(pa.int64())
    lists = {name: column.to_pylist() for name, column in columns.items()}
    return [
        {name: values[i] for name, values in lists.items() if values[i] is not None}
        for i in range(table.batch.num_rows)
    ]


def refusal(line: bytes, schemas: Mapping[str, TableSchema] | None = None) -> str:
    """The message for the only line of a body, which is bad."""
    parsed = parse(line, schemas)
    assert parsed.tables == ()
    (error,) = parsed.errors
    assert error.line_number == 1
    return error.error_message


def test_a_line_becomes_a_row_of_typed_columns() -> None:
    (table,) = parse(b'cpu,host=a,region=eu idle=2.5,usage=-3i,n=7u,up=t,note="ok" 5').tables
    assert table.name == "cpu"
    assert table.batch.schema == pa.schema(
        [
            ("host", TAG_TYPE),
            ("region", TAG_TYPE),
            ("idle", pa.float64()),
            ("usage", pa.int64()),
            ("n", pa.uint64()),
            ("up", pa.bool_()),
            ("note", pa.utf8()),
            ("time", TIME_TYPE),
        ]
    )
    table.batch.validate(full=True)
    assert table.new_columns == {
        "host": ColumnType.TAG,
        "region": ColumnType.TAG,
        "idle": ColumnType.FLOAT,
        "usage": ColumnType.INTEGER,
        "n": ColumnType.UINTEGER,
        "up": ColumnType.BOOLEAN,
        "note": ColumnType.STRING,
    }


def test_a_body_without_lines_has_no_tables() -> None:
    for body in (b"", b"\n\n", b" \t\r\n", b"# only a comment", b'# a "comment\n\n#another'):
        assert parse(body) == ParsedLines((), (), 0, 0)


def test_blank_lines_comments_and_carriage_returns_are_passed_over() -> None:
    body = b"# it's f=\"a comment\nm f=1 1\r\n\r\n  \n\t m f=2 2  \r\n#\nm f=3 3\r"
    assert rows(body) == [{"f": 1.0, "time": 1}, {"f": 2.0, "time": 2}, {"f": 3.0, "time": 3}]


@pytest.mark.parametrize("text", ["t", "T", "true", "True", "TRUE"])
def test_every_spelling_of_true(text: str) -> None:
    assert rows(f"m f={text},g={text} 1".encode()) == [{"f": True, "g": True, "time": 1}]


@pytest.mark.parametrize("text", ["f", "F", "false", "False", "FALSE"])
def test_every_spelling_of_false(text: str) -> None:
    assert rows(f"m f={text}".encode()) == [{"f": False, "time": NOW}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-0", -0.0),
        ("1.5", 1.5),
        ("-1.234456e+78", -1.234456e78),
        ("1e5", 1e5),
        ("2E-3", 2e-3),
        ("1e400", math.inf),
        ("-1e400", -math.inf),
        ("4.9e-324", 5e-324),
        ("0.30000000000000004", 0.30000000000000004),
        ("123456789012345678901234567890", 123456789012345678901234567890.0),
        ("0." + "0" * 400 + "1", 0.0),
        ("1e99999999999999999999", math.inf),
        ("1e-99999999999999999999", 0.0),
    ],
)
def test_floats_are_the_nearest_double(text: str, value: float) -> None:
    (row,) = rows(f"m f={text} 1".encode())
    assert np.float64(row["f"]).view(np.int64) == np.float64(value).view(np.int64)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9223372036854775807i", (1 << 63) - 1),
        ("-9223372036854775808i", -(1 << 63)),
        ("0000000000000000000000042i", 42),
        ("-0i", 0),
        ("18446744073709551615u", (1 << 64) - 1),
        ("00018446744073709551615u", (1 << 64) - 1),
    ],
)
def test_integers_up_to_their_limits(text: str, value: int) -> None:
    assert rows(f"m f={text} 1".encode()) == [{"f": value, "time": 1}]


@pytest.mark.parametrize("text", ["NaN", "nan", "inf", "-Inf", "+1", ".5", "", "-", "i", "-i", "u", "'a'", "tru", '"a'])
def test_what_is_no_value_is_no_field(text: str) -> None:
    assert refusal(f"m f={text}".encode()) in (
        "No fields were provided",
        "Could not parse entire line. Found trailing content: `ru`",
        "Could not parse entire line. Found trailing content: `nf`",
    )


def test_escapes_in_names_values_and_strings() -> None:
    line = rb'a\,b\ c\=d\\e\f,t\=\ k=v\,\=w\x f\,\=\ g="q\"b\\n\n" 1'
    (table,) = parse(line).tables
    assert table.name == r"a,b c\=d\e\f"
    assert rows(line) == [{"t= k": r"v,=w\x", "f,= g": 'q"b\\n\\n', "time": 1}]


def test_strings_hold_newlines_and_lines_are_still_numbered() -> None:
    parsed = parse(b'm f="one\n two\n\nthree" 1\nm f=\nm f="x" 2')
    assert [error.line_number for error in parsed.errors] == [5]
    assert parsed.tables[0].batch.column("f").to_pylist() == ["one\n two\n\nthree", "x"]


def test_two_spellings_of_one_tag_value_share_one_dictionary_entry() -> None:
    (table,) = parse(b"m,t=a\\=b f=1 1\nm,t=a=b f=1 2").tables
    assert table.batch.column("t").dictionary.to_pylist() == ["a=b"]


def test_a_line_without_a_timestamp_gets_the_default_one_truncated_to_the_precision() -> None:
    assert rows(b"m f=1", Precision.SECOND) == [{"f": 1.0, "time": 1_700_000_000_000_000_000}]
    assert rows(b"m f=1", Precision.MICROSECOND) == [{"f": 1.0, "time": 1_700_000_000_123_456_000}]
    assert rows(b"m f=1", Precision.AUTO) == [{"f": 1.0, "time": NOW}]


@pytest.mark.parametrize(
    ("timestamp", "nanoseconds"),
    [
        (0, 0),
        (4_999_999_999, 4_999_999_999 * 10**9),
        (5_000_000_000, 5_000_000_000 * 10**6),
        (-4_999_999_999_999, -4_999_999_999_999 * 10**6),
        (5_000_000_000_000, 5_000_000_000_000 * 10**3),
        (4_999_999_999_999_999, 4_999_999_999_999_999 * 10**3),
        (5_000_000_000_000_000, 5_000_000_000_000_000),
        (-(1 << 63), -(1 << 63)),
    ],
)
def test_auto_precision_goes_by_the_timestamps_magnitude(timestamp: int, nanoseconds: int) -> None:
    assert rows(f"m f=1 {timestamp}".encode(), Precision.AUTO) == [{"f": 1.0, "time": nanoseconds}]


@pytest.mark.parametrize(
    ("text", "precision"),
    [("n", Precision.NANOSECOND), ("ns", Precision.NANOSECOND), ("u", Precision.MICROSECOND)]
    + [("us", Precision.MICROSECOND), ("ms", Precision.MILLISECOND), ("s", Precision.SECOND)]
    + [(precision.value, precision) for precision in Precision],
)
def test_precisions_of_all_three_apis(text: str, precision: Precision) -> None:
    assert Precision.parse(text) is precision


def test_an_unknown_precision_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(
        InvalidPrecision, match=r"unrecognized precision unit: nanosec.*did you mean 'nanosecond'"
    ) as info:
        Precision.parse("nanosec")
    assert info.value.status == 400


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"m", "Expected at least one space character, got end of input"),
        (b",t=1 f=1", "Invalid measurement was provided"),
        (b"\0 f=1", "Invalid measurement was provided"),
        (b"m\tf=1", "Expected at least one space character, got `\tf=1`"),
        (b"J,#", "Tag set malformed: could not find equals sign in `#`"),
        (b"J," + b"a" * 200, "Tag set malformed: could not find equals sign in `aaaaaaaaaa...`"),
        (b"m, f=1i", "Expected tag key, got ` f=1i`"),
        (b"m,", "Expected tag key, got end of input"),
        (b"m,t= f=1i", "Expected tag value, got ` f=1i`"),
        (b"m,t=,u=1 value=1", "Expected tag value, got `,u=1 value...`"),
        (b"0,,=", "Expected tag value, got end of input"),
        (b"foo 1234", "No fields were provided"),
        (b"cpu,host=a val= 123", "No fields were provided"),
        (b"m f=1i,g=", "Could not parse entire line. Found trailing content: `g=`"),
        (b"m f=1i,g=2,h=", "Could not parse entire line. Found trailing content: `,h=`"),
        (b"m f=23.1.22,g=4", "Could not parse entire line. Found trailing content: `.22,g=4`"),
        (b"m f=-1u 99", "Could not parse entire line. Found trailing content: `u 99`"),
        (b"m f=1 12a", "Could not parse entire line. Found trailing content: `a`"),
        (b"m f=9223372036854775808i", "Unable to parse integer value `9223372036854775808`"),
        (b"m f=18446744073709551616u", "Unable to parse unsigned integer value `18446744073709551616`"),
        (b"m f=1 9223372036854775808", "Unable to parse timestamp value `9223372036854775808`"),
        (b"m\\ ", "Expected at least one space character, got end of input"),
        (b"m\\\\ f=1", "Measurements, tag keys and values, and field keys may not end with a backslash"),
        (b"m,t=a\\\\ f=1", "Measurements, tag keys and values, and field keys may not end with a backslash"),
        (b"m,time=1 f=1", "'time' is a reserved column"),
        (b"m time=1", "'time' is a reserved column"),
        (b"m,t=1,t=2 f=1", "Must not contain duplicate tags, but `t` was repeated"),
        (b"cpu,host=a usage=0.5,usage=0.6", "invalid line protocol - multiple instances of 'usage' field found"),
        (
            b"m f=1,f=1i",
            "invalid column type for column 'f', expected iox::column_type::field::float, "
            "got iox::column_type::field::integer",
        ),
        (
            b"m,v=1 v=1i",
            "invalid column type for column 'v', expected iox::column_type::tag, got iox::column_type::field::integer",
        ),
        (b"m f=\xff", "Line is not valid UTF-8"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_as_influxdb_says_it(line: bytes, message: str) -> None:
    assert refusal(line) == message


def test_a_timestamp_out_of_range_for_its_precision() -> None:
    (error,) = parse(b"m f=1 9223372036854775807", precision=Precision.SECOND).errors
    assert error.error_message == "timestamp, 9223372036854775807, out of range for precision: Second"


def test_a_comma_after_the_only_field_is_forgiven_as_influxdb_forgives_it() -> None:
    assert rows(b"m f=1, 5\nm f=2,") == [{"f": 1.0, "time": 5}, {"f": 2.0, "time": NOW}]


@pytest.mark.parametrize("form", ["%s f=1", "m,%s=1 f=1", "m,t=%s f=1", "m %s=1", 'm f="%s"'])
def test_names_and_strings_have_a_limit_of_one_mebibyte(form: str) -> None:
    longest = "a" * (1 << 20)
    assert parse((form % longest).encode()).rows == 1
    assert refusal((form % (longest + "a")).encode()) == "String is greater than 1MB"


def test_bad_lines_do_not_cost_the_good_ones() -> None:
    body = b"cpu,host=b val=2 155\ncpu,host=a val= 123\ncpu,host=b val=5 199\nnonsense\n"
    parsed = parse(body)
    assert parsed.rows == 2
    assert parsed.error_count == 2
    assert parsed.errors == (
        LineError(2, "cpu,host=a val= 123", "No fields were provided"),
        LineError(4, "nonsense", "Expected at least one space character, got end of input"),
    )


def test_the_original_line_is_cut_at_20_bytes_between_characters() -> None:
    (error,) = parse(b"a" * 19 + "é rest".encode()).errors
    assert error.original_line == "a" * 19
    (error,) = parse(b"b" * 25).errors
    assert error.original_line == "b" * 20


def test_a_known_columns_type_binds() -> None:
    schemas = {"m": TableSchema("m").with_columns({"t": ColumnType.TAG, "f": ColumnType.INTEGER})}
    parsed = parse(b"m,t=a f=1i 1\nm f=1 2\nm t=1 3\nm,f=x g=1 4\nm,t=b g=1 5", schemas)
    assert [(error.line_number, error.error_message) for error in parsed.errors] == [
        (
            2,
            "invalid column type for column 'f', expected iox::column_type::field::integer, "
            "got iox::column_type::field::float",
        ),
        (
            3,
            "invalid column type for column 't', expected iox::column_type::tag, got iox::column_type::field::float",
        ),
        (
            4,
            "invalid column type for column 'f', expected iox::column_type::field::integer, got iox::column_type::tag",
        ),
    ]
    (table,) = parsed.tables
    assert table.new_columns == {"g": ColumnType.FLOAT}
    assert table.batch.schema.names == ["t", "f", "g", "time"]


def test_the_first_good_line_settles_a_new_columns_type() -> None:
    parsed = parse(b"m f=1i,g=\nm f=1 1\nm f=2i 2\nm f=3 3")
    assert [error.line_number for error in parsed.errors] == [1, 3]
    assert parsed.tables[0].batch.column("f").to_pylist() == [1.0, 3.0]


def test_only_columns_of_good_lines_are_in_the_batch() -> None:
    (table,) = parse(b"m,t=1 f=1,x=1,x=2\nm f=1 1\n").tables
    assert table.batch.schema.names == ["f", "time"]
    assert table.new_columns == {"f": ColumnType.FLOAT}


def test_fields_that_lines_lack_are_null() -> None:
    body = b'm,t=1 a=1i 1\nm b="x" 2\nm,u=2 c=t 3\nm,t=3 a=2i,b="y",c=f 4'
    (table,) = parse(body).tables
    table.batch.validate(full=True)
    assert {name: table.batch.column(name).to_pylist() for name in "tuabc"} == {
        "t": ["1", None, None, "3"],
        "u": [None, None, "2", None],
        "a": [1, None, None, 2],
        "b": [None, "x", None, "y"],
        "c": [None, None, True, False],
    }


def test_each_tables_schema_is_looked_up_once() -> None:
    asked: list[str] = []

    def lookup(name: str) -> None:
        asked.append(name)

    body = b"a f=1\nb f=1\na g=2\nb,t=x f=2\nbad line\na\\ b f=1\n" * 100
    parse_lines(body, lookup, precision=Precision.AUTO, default_time_ns=NOW)
    assert sorted(asked) == ["a", "a b", "b"]


def test_an_error_in_the_lookup_comes_through_and_leaves_the_parser_usable() -> None:
    def broken(_: str) -> None:
        raise LookupError("no catalog")

    with pytest.raises(LookupError, match="no catalog"):
        parse_lines(b"m f=1", broken, precision=Precision.AUTO, default_time_ns=NOW)
    assert rows(b"m f=1 1") == [{"f": 1.0, "time": 1}]


def test_every_kind_of_buffer_will_do() -> None:
    body = b"m,t=a f=1 1\nm,t=b f=2 2"
    expected = parse(body).tables[0].batch
    for other in (
        bytearray(body),
        memoryview(body),
        memoryview(body + b"\nx")[: len(body)],
        memoryview(bytearray(body)),
    ):
        assert parse(other).tables[0].batch.equals(expected)


def test_batches_do_not_point_into_the_body() -> None:
    body = bytearray(b'm,t=tag f="string" 1\n' * 50)
    parsed = parse(body)
    body[:] = b"x" * len(body)
    assert parsed.tables[0].batch.column("f").to_pylist() == ["string"] * 50
    assert set(parsed.tables[0].batch.column("t").to_pylist()) == {"tag"}


def test_errors_are_kept_up_to_a_bound_and_counted_beyond_it() -> None:
    parsed = parse(b"bad\n" * 2500 + b"m f=1")
    assert len(parsed.errors) == lp_layout.MAX_ERRORS
    assert parsed.error_count == 2500
    assert parsed.rows == 1


def test_long_names_and_numbers_are_shown_in_part() -> None:
    assert refusal(b"m f=" + b"9" * 5000 + b"i") == f"Unable to parse integer value `{'9' * 256}...`"
    assert refusal("m,ключ".encode() + b"k" * 400 + b"=1 time=1") == "'time' is a reserved column"


def test_lines_of_very_many_columns_are_refused() -> None:
    limit = lp_layout.MAX_LINE_COLUMNS
    fields = ",".join(f"f{i}=1" for i in range(limit + 1))
    assert refusal(f"m {fields}".encode()) == f"More than {limit} fields in one line"
    tags = ",".join(f"t{i}=1" for i in range(limit + 1))
    assert refusal(f"m,{tags} f=1".encode()) == f"More than {limit} tags in one line"
    fields = ",".join(f"f{i}={i}i" for i in range(limit))
    assert parse(f"m {fields} 1\nm {fields} 2".encode()).tables[0].batch.num_columns == limit + 1


def test_a_body_of_very_many_tables_is_refused_beyond_a_bound() -> None:
    count = lp_layout.MAX_TABLES + 5
    parsed = parse(b"".join(b"m%d f=1\n" % i for i in range(count)) + b"m0 f=2")
    assert len(parsed.tables) == lp_layout.MAX_TABLES
    assert parsed.error_count == 5
    assert parsed.rows == lp_layout.MAX_TABLES + 1


def test_a_table_whose_lines_share_no_columns_does_not_take_memory_without_bound() -> None:
    lines = 12_000
    parsed = parse(b"".join(b"m f%d=1\n" % i for i in range(lines)))
    assert parsed.error_count > 0
    assert "send the lines in several requests" in parsed.errors[0].error_message
    assert parsed.rows + parsed.error_count == lines
    assert parsed.rows**2 <= lp_layout.MIN_CELLS


def test_a_body_that_offsets_cannot_address_is_refused() -> None:
    class Endless(bytes):
        def __len__(self) -> int:
            return 1 << 31

    with pytest.raises(BodyTooLarge) as info:
        parse(Endless())
    assert info.value.status == 413


def test_threads_parse_at_the_same_time() -> None:
    bodies = [a_body(random.Random(seed), 2_000, 0.02) for seed in range(6)]
    expected = [parse(body, precision=Precision.AUTO) for body in bodies]
    wrong: list[int] = []

    def work(first: int) -> None:
        for i in range(12):
            number = (first + i) % len(bodies)
            got, wanted = parse(bodies[number], precision=Precision.AUTO), expected[number]
            same = all(g.batch.equals(w.batch) for g, w in zip(got.tables, wanted.tables, strict=True))
            if not same or got.errors != wanted.errors:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_scratch_memory_that_a_large_body_grew_is_given_back_and_small_bodies_still_parse() -> None:
    series = b"".join(b"m,host=h%d,path=/p/%d a=%di,b=%d.5 %d\n" % (i, i, i, i, i) for i in range(150_000))
    parsed = parse(series)
    assert parsed.rows == 150_000
    assert parsed.tables[0].batch.column("a").to_pylist() == list(range(150_000))
    codes = parsed.tables[0].batch.column("host")
    assert codes.dictionary.to_pylist()[149_999] == "h149999"
    assert rows(b"m f=1 1") == [{"f": 1.0, "time": 1}]
