//! What is refused, and how it is said; hostile text.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper of tests fails the test")]

use perennial_expr::Expr;
use perennial_types::{Kind, Schema, Value};

fn schema() -> Schema {
    let declared =
        [("a", "int64"), ("amount", "double"), ("name", "string"), ("at", "timestamp"), ("ok", "boolean")];
    Schema::parse(&declared).unwrap()
}

fn refusal(sql: &str) -> String {
    let error = Expr::compile(sql, &schema()).expect_err(sql);
    assert_eq!(error.kind(), Kind::Invalid);
    error.to_string()
}

#[test]
fn messages_name_the_fault_its_place_and_what_would_help() {
    for (sql, wanted) in [
        ("amout > 1", r#"unknown column "amout"; did you mean "amount"? (line 1, column 1)"#),
        ("a +\n lenght(name)", "unknown function lenght; did you mean \"length\"? (line 2, column 2)"),
        ("name + 1", "string + int64 has no meaning; cast the text to a number first (line 1, column 1)"),
        ("a AND ok", "AND wants boolean, found int64 (line 1, column 1)"),
        ("name = a", "a comparison cannot mix string and int64; cast one of them (line 1, column 1)"),
        ("at > 60w", r#""60w" is not a duration; write it as 90s, 10m, 24h or 7d (line 1, column 6)"#),
        ("at > 'soon'", r#""soon" is not a time; write it as 2011-01-01T05:00:00Z (line 1, column 1)"#),
        ("ok ok", "unexpected ok after the end of the expression (line 1, column 4)"),
        ("a; DROP TABLE x", "unexpected semicolon after the end of the expression (line 1, column 2)"),
        ("CASE WHEN ok THEN a ELSE", "expected an expression, found: EOF"),
        ("1 + CASE a THEN 2 END", "expected WHEN, found: THEN (line 1, column 12)"),
        ("left(name)", "left takes 2 arguments, found 1 (line 1, column 1)"),
    ] {
        assert_eq!(refusal(sql), wanted, "{sql}");
    }
}

#[test]
fn what_would_differ_in_a_replay_is_refused() {
    for sql in ["now()", "CURRENT_TIMESTAMP", "at > now() - 1d"] {
        assert!(refusal(sql).contains("reads the clock"), "{sql}: {}", refusal(sql));
    }
    assert!(refusal("random() < 0.5").contains("draws at random"));
}

#[test]
fn what_needs_more_than_one_row_is_refused() {
    assert!(refusal("(SELECT 1)").contains("subquery"));
    assert!(refusal("a IN (SELECT 1)").contains("subquery"));
    assert!(refusal("max(a)").contains("GREATEST"));
    assert!(refusal("count(*)").contains("aggregate"));
    assert!(refusal("rank() OVER (ORDER BY a)").contains("window function"));
}

#[test]
fn hostile_nesting_is_an_error_and_not_a_crash() {
    let nest = |open: &str, close: &str, n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
    for (open, close) in [("(", ")"), ("abs(", ")"), ("- ", ""), ("NOT ", ""), ("1 + (", ")"), ("1 + ", "")] {
        for n in [150, 990, 10_000] {
            assert!(Expr::compile(&nest(open, close, n), &schema()).is_err(), "{n} times {open}");
        }
    }
    for (open, close) in [("CASE WHEN TRUE THEN ", " END"), ("CASE ", " WHEN 1 THEN 1 WHEN 2 THEN 2 END")] {
        assert!(Expr::compile(&nest(open, close, 150), &schema()).is_err(), "{open}");
    }
    assert!(Expr::compile(&nest("(", ")", 40), &schema()).is_ok());
}

#[test]
fn a_long_chain_of_conditions_is_not_nested() {
    let chain = vec!["a = 1"; 400].join(" OR ");
    let expr = Expr::compile(&chain, &schema()).unwrap();
    assert_eq!(expr.evaluate(&[Value::Int64(1)]), Value::Boolean(true));
}

#[test]
fn names_are_found_without_a_schema() {
    let names =
        Expr::names("fresh.age > 60d AND quality.value / \"x y\" > CASE WHEN b THEN fresh.age END").unwrap();
    assert_eq!(names, ["b", "fresh.age", "quality.value", "x y"]);
}
