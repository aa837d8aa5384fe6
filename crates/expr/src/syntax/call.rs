//! Calls of functions, and the forms that SQL writes in words of their own (`SUBSTRING(x FROM 1)`).

use sqlparser::ast::{
    self, CeilFloorKind, DateTimeField, Expr as Sql, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Spanned, TrimWhereField,
};

use super::{Form, Syntax, all, read};
use crate::error::ExprError;
use crate::parse::place;

const AGGREGATES: [&str; 14] = [
    "sum",
    "count",
    "avg",
    "min",
    "max",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "variance",
    "var_samp",
    "median",
    "first",
    "last",
    "any_value",
];
const CLOCKS: [&str; 9] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
    "today",
    "get_current_timestamp",
    "proctime",
];
const DRAWS: [&str; 7] = ["random", "rand", "uuid", "gen_random_uuid", "rand_integer", "setseed", "nextval"];

/// That a form is not part of the language.
pub(super) fn refuse(sql: &Sql, message: impl Into<String>) -> ExprError {
    ExprError::new(place(sql.span().start), message)
}

/// A form that names a function, or the reason why there is none.
pub(super) fn read_call(sql: &Sql, depth: usize) -> Result<Form, ExprError> {
    let call = |name: &str, parts: Vec<Syntax>| Ok(Form::Call(name.to_owned(), parts));
    match sql {
        Sql::Function(function) => read_function(sql, function, depth),
        Sql::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
            call("ceil", all([&**expr], depth)?)
        }
        Sql::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
            call("floor", all([&**expr], depth)?)
        }
        Sql::Position { expr, r#in } => call("strpos", all([&**r#in, &**expr], depth)?),
        Sql::Substring { expr, substring_from: Some(from), substring_for, .. } => {
            let parts = [&**expr, &**from].into_iter().chain(substring_for.as_deref());
            call("substring", all(parts, depth)?)
        }
        Sql::Trim { trim_where, trim_what, expr, trim_characters } => {
            let name = match trim_where {
                None | Some(TrimWhereField::Both) => "trim",
                Some(TrimWhereField::Leading) => "ltrim",
                Some(TrimWhereField::Trailing) => "rtrim",
            };
            let set = trim_characters.iter().flatten();
            call(name, all(std::iter::once(&**expr).chain(trim_what.as_deref()).chain(set), depth)?)
        }
        Sql::Subquery(_) | Sql::Exists { .. } | Sql::InSubquery { .. } => Err(refuse(
            sql,
            "a subquery has no place here: an expression sees the columns of one row and nothing else",
        )),
        Sql::ILike { .. } => Err(refuse(sql, "ILIKE is not known; write LOWER(text) LIKE 'pattern'")),
        Sql::SimilarTo { .. } | Sql::RLike { .. } => Err(refuse(
            sql,
            "regular expressions are not known; use LIKE, CONTAINS, STARTS_WITH or ENDS_WITH",
        )),
        Sql::Interval(_) => {
            Err(refuse(sql, "INTERVAL is not known; write a duration as 90s, 10m, 24h or 7d"))
        }
        Sql::CompoundIdentifier(_) | Sql::CompoundFieldAccess { .. } => {
            Err(refuse(sql, "a dotted name is written without spaces around its dots, as in quality.value"))
        }
        Sql::Tuple(_) | Sql::Array(_) | Sql::Struct { .. } | Sql::Map(_) | Sql::Dictionary(_) => {
            Err(refuse(sql, "lists and structures cannot be written; an expression gives one value"))
        }
        _ => Err(refuse(sql, "this form of SQL is not part of the expression language")),
    }
}

fn read_function(sql: &Sql, function: &Function, depth: usize) -> Result<Form, ExprError> {
    let name = match function.name.0.as_slice() {
        [ast::ObjectNamePart::Identifier(name)] => name.value.to_lowercase(),
        _ => function.name.to_string(),
    };
    if CLOCKS.contains(&name.as_str()) {
        let reason =
            "an expression must give the same value in a replay; use a timestamp column or a signal's age";
        return Err(refuse(sql, format!("{name} reads the clock: {reason}")));
    }
    if DRAWS.contains(&name.as_str()) {
        return Err(refuse(
            sql,
            format!("{name} draws at random: an expression must give the same value in a replay"),
        ));
    }
    if function.over.is_some() {
        return Err(refuse(sql, format!("{name} OVER (…) is a window function: an expression sees one row")));
    }
    if AGGREGATES.contains(&name.as_str()) {
        let help = match name.as_str() {
            "min" => "use LEAST(a, b), or declare an aggregate of a feature view",
            "max" => "use GREATEST(a, b), or declare an aggregate of a feature view",
            _ => "declare an aggregate of a feature view",
        };
        return Err(refuse(sql, format!("{name} is an aggregate, and an expression sees one row; {help}")));
    }
    let plain = function.filter.is_none()
        && function.null_treatment.is_none()
        && function.within_group.is_empty()
        && matches!(function.parameters, FunctionArguments::None);
    if !plain {
        return Err(refuse(sql, format!("{name} takes arguments in parentheses and nothing else")));
    }
    let parts = match &function.args {
        FunctionArguments::None => Vec::new(),
        FunctionArguments::Subquery(_) => {
            return Err(refuse(sql, format!("{name} takes values, not a subquery")));
        }
        FunctionArguments::List(list) if list.duplicate_treatment.is_some() || !list.clauses.is_empty() => {
            return Err(refuse(sql, format!("{name} takes arguments in parentheses and nothing else")));
        }
        FunctionArguments::List(list) => {
            let mut parts = Vec::with_capacity(list.args.len());
            for arg in &list.args {
                match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(part)) => parts.push(read(part, depth)?),
                    _ => return Err(refuse(sql, format!("{name} takes values, without names or *"))),
                }
            }
            parts
        }
    };
    Ok(Form::Call(name, parts))
}
