"""Golden values of the semantics that DuckDB shares with the expression language.

    python3 -m venv /tmp/duck && /tmp/duck/bin/pip install duckdb
    /tmp/duck/bin/python make_duckdb.py > duckdb.json

Every expression is run on every row by itself, so that one that DuckDB refuses on a row (overflow, division by zero)
is NULL there, as it is here; so are results that are not finite. `close` marks functions of the platform's
mathematical library, whose last bits differ.
"""
import datetime, json, math
import duckdb as duck

SCHEMA = [("i", "int64"), ("j", "int64"), ("x", "double"), ("y", "double"), ("s", "string"), ("t", "string"),
          ("b", "boolean"), ("c", "boolean"), ("ts", "timestamp"), ("tt", "timestamp")]
SQL_TYPES = {"int64": "BIGINT", "double": "DOUBLE", "string": "VARCHAR", "boolean": "BOOLEAN", "timestamp": "TIMESTAMP"}
BIG = 2**63 - 1
ROWS = [
    [7, 2, 1.5, 2.0, "hello", "ell", True, True, "2011-01-02 05:06:07.500000", "2011-01-01 05:06:07"],
    [-7, 2, -1.5, 0.5, "Hello World", "o", True, False, "2012-02-29 23:59:59.999999", "2012-03-01 00:00:00"],
    [7, -3, 2.5, -2.0, "", "", False, False, "1969-12-31 23:59:59", "1970-01-01 00:00:00"],
    [0, 0, 0.0, 0.0, "  padded  ", " ", False, True, "1900-03-01 00:00:00", "2100-12-31 12:00:00"],
    [BIG, 1, 1e300, 1e300, "xxaxx", "x", None, True, "2024-12-30 01:02:03", "2024-12-29 01:02:03"],
    [-BIG, -2, -1e-300, 1e-300, "12", "2.5", None, False, "2000-01-01 00:00:00", None],
    [None, 5, None, 3.25, None, "a", True, None, None, "2011-01-01 00:00:00"],
    [5, None, 4.5, None, "b", None, False, None, "2011-07-15 13:14:15", None],
    [None] * 10,
    [1, 3, 0.1, 0.2, "true", "NO", None, None, "2011-10-03 00:00:00", "2011-10-03 00:00:00"],
    [24, 10, 12345.6789, -0.001, "\u00e9t\u00e9", "t", True, True, "2015-06-30 23:59:59", "2015-07-01 00:00:00"],
    [2, 62, -2.345, 100.0, "-17", "1e-3", False, True, "1985-01-01 12:00:00", "1984-12-31 12:00:00"],
    [3, 3, 3.0, 3.0, "a%b", "a_b", True, False, "2038-01-19 03:14:08", "2038-01-19 03:14:07"],
    [-1, -1, -0.5, -3.5, "f", "Y", True, True, "2020-02-29 00:00:00", "2019-02-28 00:00:00"],
    [1000000007, 998244353, 9.007199254740993e15, 1e16, " 42 ", "1e5", False, False, "2011-03-27 02:30:00", "2011-10-30 02:30:00"],
]
EXACT = """
i + j|i - j|i * j|i / j|i % j|-i|i + x|x + y|x - y|x * y|x / y|-x|i + j * i - j|(i + j) * 2|x * 1.5e0 + y / (x + 1) - y
i = j|i <> j|i < j|i <= j|i > j|i >= j|x = y|x < y|x >= y|i = x|i < x|x >= i|s = t|s < t|s >= t|b = c|b < c|b <> c|ts = tt|ts < tt|ts >= tt
b AND c|b OR c|NOT b|NOT (b AND c) OR c|b AND i > 0|b OR x > y|b AND NULL|b OR NULL
i IS NULL|x IS NOT NULL|b IS TRUE|b IS NOT TRUE|b IS FALSE|b IS NOT FALSE|b IS UNKNOWN|(i > j) IS NOT UNKNOWN
i IS DISTINCT FROM j|s IS NOT DISTINCT FROM t|x IS DISTINCT FROM NULL|b IS NOT DISTINCT FROM c
i BETWEEN j AND 7|i NOT BETWEEN -1 AND j|x BETWEEN y AND 10|s BETWEEN 'a' AND t|ts BETWEEN tt AND TIMESTAMP '2020-01-01'
i IN (7, 5, j)|i NOT IN (7, NULL)|i IN (j, NULL)|s IN ('hello', t)|x IN (1.5e0, i)
s LIKE 'h%'|s LIKE '%l_o%'|s NOT LIKE '%x'|s LIKE 'a!%b' ESCAPE '!'|s LIKE ''|s LIKE '%'|s LIKE '_t_'
CASE WHEN i > j THEN i WHEN b THEN j END|CASE WHEN b THEN x ELSE i END|CASE i WHEN 7 THEN 'seven' WHEN j THEN s ELSE t END
CASE x WHEN i THEN 1 WHEN NULL THEN 2 ELSE 3 END|CASE WHEN x > 0 THEN 'p' WHEN x < 0 THEN 'n' ELSE NULL END
COALESCE(i, j)|COALESCE(x, y, 0)|COALESCE(s, t, 'none')|COALESCE(ts, tt)|NULLIF(i, j)|NULLIF(x, 0)|NULLIF(s, '')|x / NULLIF(y, 0)
GREATEST(i, j)|LEAST(i, j)|GREATEST(x, y, i)|LEAST(x, y, 0)|GREATEST(s, t)|LEAST(ts, tt)|GREATEST(b, c)
ABS(i)|ABS(x)|SIGN(i)|SIGN(x)|ROUND(x)|ROUND(i)|ROUND(x, 1)|ROUND(x, 2)|ROUND(x, -2)|FLOOR(x)|FLOOR(j)|CEIL(x)|CEIL(j)|CEILING(y)|TRUNC(x)|SQRT(x)|SQRT(i)
LOWER(s)|UPPER(s)|LENGTH(s)|SUBSTRING(s, 2)|SUBSTRING(s, 2, 3)|SUBSTRING(s, -3, 2)|SUBSTRING(s, 0, 2)|SUBSTRING(s, -10, 7)|SUBSTRING(s, 3, -2)|SUBSTRING(s FROM 2 FOR 2)|SUBSTRING(s, j, j)
LEFT(s, 2)|LEFT(s, -2)|LEFT(s, j)|RIGHT(s, 2)|RIGHT(s, -2)|RIGHT(s, j)|TRIM(s)|LTRIM(s)|RTRIM(s)|TRIM(s, 'xb')|TRIM(BOTH 'x' FROM s)|TRIM(LEADING 'h' FROM s)
CONCAT(s, t)|CONCAT(s, NULL, '-', t)|s || t|s || '-' || t|STRPOS(s, t)|POSITION('l' IN s)|CONTAINS(s, t)|STARTS_WITH(s, 'he')|ENDS_WITH(s, t)
CAST(i AS DOUBLE)|CAST(x AS BIGINT)|CAST(y AS BIGINT)|CAST(b AS BIGINT)|CAST(b AS DOUBLE)|CAST(i AS BOOLEAN)|CAST(x AS BOOLEAN)|CAST(i AS VARCHAR)|CAST(x AS VARCHAR)|CAST(y AS VARCHAR)|CAST(b AS VARCHAR)
TRY_CAST(t AS DOUBLE)|TRY_CAST(s AS BOOLEAN)|TRY_CAST(t AS BOOLEAN)|i::DOUBLE / 3|CAST('2011-01-01 05:00:00' AS TIMESTAMP)|TRY_CAST(s AS TIMESTAMP)
EXTRACT(year FROM ts)|EXTRACT(quarter FROM ts)|EXTRACT(month FROM ts)|EXTRACT(week FROM ts)|EXTRACT(day FROM ts)|EXTRACT(doy FROM ts)|EXTRACT(dow FROM ts)|EXTRACT(hour FROM ts)|EXTRACT(minute FROM ts)|EXTRACT(second FROM ts)|EXTRACT(epoch FROM ts)
DATE_TRUNC('year', ts)|DATE_TRUNC('quarter', ts)|DATE_TRUNC('month', ts)|DATE_TRUNC('week', ts)|DATE_TRUNC('day', ts)|DATE_TRUNC('hour', ts)|DATE_TRUNC('minute', ts)|DATE_TRUNC('second', ts)
ts > '2011-01-01'|ts = TIMESTAMP '2011-10-03 00:00:00'
"""
# Ours differs in spelling only.
SPELLED = [
    ("div(i, j)", "i // j"), ("x % y", "x % y"), ("TRY_CAST(s AS BIGINT)", "CASE WHEN regexp_full_match(s, ' *-?[0-9]+ *') THEN TRY_CAST(s AS BIGINT) END"),
    ("ts + 90s", "ts + INTERVAL 90 SECOND"), ("ts - 24h", "ts - INTERVAL 24 HOUR"), ("ts + 7d * 2", "ts + INTERVAL 14 DAY"),
    ("ts - tt > 36h", "epoch_us(ts) - epoch_us(tt) > 36 * 3600000000"), ("EXTRACT(epoch FROM ts - tt)", "(epoch_us(ts) - epoch_us(tt)) / 1e6"),
    ("(ts - tt) / 1h", "(epoch_us(ts) - epoch_us(tt)) / 3600000000"), ("ts + (tt - ts)", "CASE WHEN ts IS NOT NULL THEN tt END"),
]
CLOSE = """LN(x)|LOG10(y)|LOG2(y)|EXP(x)|POWER(x, y)|POW(j, 2)|SIN(x)|COS(y)|TAN(x)|ASIN(x)|ACOS(x)|ATAN(x)|ATAN2(x, y)|SINH(x)|COSH(x)|TANH(x)|DEGREES(x)|RADIANS(x)|PI()"""


def split(text):
    return [(sql.strip(), sql.strip()) for sql in text.replace("\n", "|").split("|") if sql.strip()]


def split_exact(text):
    # `||` is the operator of strings, not two separators.
    return [(a.replace("\0", "||"), b.replace("\0", "||")) for a, b in split(text.replace(" || ", " \0 "))]


def plain(value):
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return value


def run(connection, sql):
    values = []
    for row in range(len(ROWS)):
        try:
            values.append(plain(connection.execute(f"SELECT {sql} FROM rows WHERE n = {row}").fetchone()[0]))
        except duck.Error as error:
            if isinstance(error, (duck.BinderException, duck.ParserException, duck.CatalogException)):
                raise
            values.append(None)
    return values


def main():
    connection = duck.connect()
    connection.execute("CREATE TABLE rows (n INT, " + ", ".join(f"{name} {SQL_TYPES[kind]}" for name, kind in SCHEMA) + ")")
    for n, row in enumerate(ROWS):
        connection.execute(f"INSERT INTO rows VALUES (?{', ?' * len(SCHEMA)})", [n, *row])
    cases = []
    for close, pairs in [(False, split_exact(EXACT) + SPELLED), (True, split(CLOSE))]:
        for ours, theirs in pairs:
            cases.append({"sql": ours, "close": close, "values": run(connection, theirs)})
    rows = [[None if v is None else v.replace(" ", "T") + "Z" if kind == "timestamp" else v
             for v, (_, kind) in zip(row, SCHEMA)] for row in ROWS]
    print("{" + f'"made_by": "make_duckdb.py with DuckDB {duck.__version__}",')
    print(f'"schema": {json.dumps(SCHEMA)},')
    print('"rows": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n],")
    print('"cases": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]}")


main()
