//! SQL scalar expressions, the one expression language of the project: projections, filters, derived and
//! on-demand features, rewards, conditions of policies.
//!
//! It decides what an expression means. `sqlparser` reads the text; names and types are checked once against a
//! schema; the compiled tree runs on a row or on Arrow columns with identical bits, since both run the same
//! functions. It never reads the clock, never draws at random, and never fails on data: what cannot be computed
//! is NULL.
//!
//! ```
//! use perennial_expr::Expr;
//! use perennial_types::{Schema, Value};
//! let schema = Schema::parse(&[("hr", "int64"), ("quality.relative_change", "double?")]).unwrap();
//! let slot = Expr::compile("hr + 24 * CAST(hr >= 12 AS BIGINT)", &schema).unwrap();
//! let row = [Value::Int64(13), Value::Null];
//! assert_eq!(slot.evaluate(&row), Value::Int64(37));
//! let degraded = Expr::compile("quality.relative_change > 0.05", &schema).unwrap();
//! assert_eq!(degraded.evaluate(&row), Value::Null);
//! let slip = Expr::compile("quality.relative_chang > 0.05", &schema).unwrap_err();
//! assert_eq!(slip.message(), r#"unknown column "quality.relative_chang"; did you mean "quality.relative_change"?"#);
//! ```
//!
//! # Semantics
//! Where DuckDB (the oracle of the golden tests) or Flink SQL (a target for tiles) gives another answer, it says so.
//!
//! | what | here | differs from |
//! |---|---|---|
//! | names | case-sensitive; `a.b` is one column of that name; a name that is an SQL keyword stands in double quotes | DuckDB ignores case |
//! | literals | `1` int64, `1.5` and `1e3` double, `'text'`, `TRUE`, `NULL`, `TIMESTAMP '2011-01-01 05:00:00'`, durations `90s 10m 24h 7d` | both read `1.5` as a decimal and want `INTERVAL` |
//! | mixed int64 and double | the int64 becomes a double | |
//! | `+ - *` on int64 | overflow is NULL | DuckDB fails, Flink wraps |
//! | `/` | always a double, also of two int64; by zero NULL | Flink truncates int64 |
//! | `div(a, b)`, `a % b` | towards zero, the remainder has the sign of `a`; by zero NULL | DuckDB writes `a // b`; Flink fails on zero |
//! | double results | not finite is NULL, also inside an expression and when read from a column | both keep NaN and infinities |
//! | comparisons | strings by code points; text constants beside a timestamp are read as one; NULL if a side is NULL | |
//! | `AND OR NOT` | three-valued (Kleene); `IN` and `BETWEEN` alike | |
//! | `LIKE` | `%` and `_`, constant pattern, no escape but by `ESCAPE` | |
//! | `CASE COALESCE NULLIF` | branches of one type, int64 beside double becomes double | DuckDB's NULLIF keeps int64 |
//! | `GREATEST LEAST` | skip NULL | Flink: NULL if one is |
//! | `CONCAT`, <code>&#124;&#124;</code> | strings only; CONCAT skips NULL, the operator does not | Flink's CONCAT gives NULL; DuckDB takes any type |
//! | `CAST`, `TRY_CAST` | the same: what fails is NULL | CAST fails in both |
//! | double to int64 | to the nearest, halves to even | Flink truncates |
//! | string to int64 | a sign and digits, spaces around | DuckDB also reads `2.7` and `1e3` |
//! | string to boolean | `true t yes y 1`, `false f no n 0`, any case | Flink reads fewer |
//! | double to string | shortest that reads back: `1.0`, `1e-05` | Flink writes `1.0E-5` |
//! | timestamp to string | RFC 3339, `2011-01-01T05:00:00Z` | both write a space and no zone |
//! | `ROUND` | halves away from zero; int64 stays; `ROUND(x, n)` is a double | DuckDB's two-argument form keeps int64 |
//! | `FLOOR CEIL TRUNC` | int64 stays int64 | DuckDB's FLOOR and CEIL give doubles |
//! | `SIGN` | int64 | DuckDB tinyint, Flink the argument's type |
//! | `LENGTH SUBSTRING LEFT RIGHT` | count code points from 1; negative positions count from the end | Flink: LEFT of a negative number is empty |
//! | `LOWER UPPER` | full Unicode mapping (`ß` becomes `SS`) | DuckDB maps single characters |
//! | `EXTRACT` | UTC; `dow` 0 is Sunday; ISO weeks; `epoch` a double of seconds | Flink's dow 1 is Sunday |
//! | `DATE_TRUNC` | UTC; weeks begin on Monday; constant unit | |
//! | time arithmetic | timestamp ± duration; timestamp − timestamp and durations ± × ÷ give durations; duration ÷ duration a double; exact microseconds | intervals with months do not exist |
//! | lists and maps | columns of them: `x[1]` from 1 and `x[-1]` from the end, `m['key']`, NULL beyond them; `len(x)`, `cardinality(m)`, `list_contains(x, v)`, `map_contains(m, k)`; `list_sum list_avg list_min list_max` (NULL of an empty list), `list_unique`; `list_count_of(x, v)`; no literals, no comparison | `list_count_of(x, v)` is `len(list_filter(x, e -> e = v))` of DuckDB |
//! | refused | clock, random numbers, subqueries, aggregates, window functions, LOG (LN or LOG10?), more than 16 KiB, 2,000 tokens or 100 levels | |
//!
//! Transcendental functions are those of the platform; their last bit may differ between machines.

mod calendar;
mod columns;
mod compile;
mod error;
mod expr;
mod fields;
mod node;
mod numbers;
mod parse;
mod syntax;
mod text;

pub use columns::{arrow_type, to_arrays, value_at};
pub use error::{ExprError, Place};
pub use expr::Expr;
