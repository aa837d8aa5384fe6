//! What an expression says, before names and types are known: sqlparser's tree reduced to the few forms of
//! our language. Everything else is refused here, with what would help.

mod call;

use perennial_types::{DataType, TimeSpan, Value};
use sqlparser::ast::{self, BinaryOperator, CastKind, Expr as Sql, Spanned, UnaryOperator};

use crate::error::{ExprError, Place};
use crate::node::Comparison;
use crate::parse::{MAX_DEPTH, parse, place, too_deep};

/// A part of an expression and where it stands.
#[derive(Debug)]
pub(crate) struct Syntax {
    pub(crate) form: Form,
    pub(crate) at: Option<Place>,
}

/// An arithmetic operator of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// As it is written.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// The forms of the language.
#[derive(Debug)]
pub(crate) enum Form {
    Column(String),
    Literal(Value),
    Negate(Box<Syntax>),
    Arithmetic(Operator, Vec<Syntax>),
    Join(Vec<Syntax>),
    Not(Box<Syntax>),
    All(Vec<Syntax>),
    Any(Vec<Syntax>),
    Compare(Comparison, Vec<Syntax>),
    Distinct(Vec<Syntax>),
    /// The value, the low end, the high end.
    Between(Vec<Syntax>),
    /// The value and the list.
    In(Vec<Syntax>),
    Like {
        text: Box<Syntax>,
        pattern: Box<Syntax>,
        escape: Option<char>,
    },
    IsNull(Box<Syntax>),
    Is(Box<Syntax>, bool),
    Case {
        operand: Option<Box<Syntax>>,
        arms: Vec<(Syntax, Syntax)>,
        otherwise: Option<Box<Syntax>>,
    },
    Cast(Box<Syntax>, DataType),
    Extract(String, Box<Syntax>),
    /// One value of a list or a map.
    Access(Box<Syntax>, Box<Syntax>),
    /// A function by its name in lower case.
    Call(String, Vec<Syntax>),
}

impl Syntax {
    /// Read an expression.
    pub(crate) fn parse(sql: &str) -> Result<Self, ExprError> {
        read(&parse(sql)?, 0)
    }

    /// The parts it is made of.
    pub(crate) fn parts(&self) -> Vec<&Self> {
        match &self.form {
            Form::Column(_) | Form::Literal(_) => Vec::new(),
            Form::Negate(part) | Form::Not(part) | Form::IsNull(part) => vec![part],
            Form::Is(part, _) | Form::Cast(part, _) | Form::Extract(_, part) => vec![part],
            Form::Arithmetic(_, parts) | Form::Compare(_, parts) | Form::Call(_, parts) => {
                parts.iter().collect()
            }
            Form::Access(of, index) => vec![of, index],
            Form::Join(parts) | Form::All(parts) | Form::Any(parts) => parts.iter().collect(),
            Form::Distinct(parts) | Form::Between(parts) | Form::In(parts) => parts.iter().collect(),
            Form::Like { text, pattern, escape: _ } => vec![text, pattern],
            Form::Case { operand, arms, otherwise } => {
                let arms = arms.iter().flat_map(|(condition, branch)| [condition, branch]);
                operand.as_deref().into_iter().chain(arms).chain(otherwise.as_deref()).collect()
            }
        }
    }
}

fn read(sql: &Sql, depth: usize) -> Result<Syntax, ExprError> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    if let Sql::Nested(inner) = sql {
        return read(inner, depth + 1);
    }
    let form = form(sql, depth + 1)?;
    Ok(Syntax { form, at: place(sql.span().start) })
}

fn boxed(sql: &Sql, depth: usize) -> Result<Box<Syntax>, ExprError> {
    read(sql, depth).map(Box::new)
}

fn all<'a>(parts: impl IntoIterator<Item = &'a Sql>, depth: usize) -> Result<Vec<Syntax>, ExprError> {
    parts.into_iter().map(|part| read(part, depth)).collect()
}

fn form(sql: &Sql, depth: usize) -> Result<Form, ExprError> {
    match sql {
        Sql::Identifier(name) => Ok(Form::Column(name.value.clone())),
        Sql::Value(value) => literal(value, ""),
        Sql::TypedString(typed) => timestamp(typed),
        Sql::UnaryOp { op, expr } => unary(sql, *op, expr, depth),
        Sql::BinaryOp { left, op, right } => binary(sql, left, op, right, depth),
        Sql::IsNull(part) => Ok(Form::IsNull(boxed(part, depth)?)),
        Sql::IsUnknown(part) => Ok(Form::IsNull(boxed(part, depth)?)),
        Sql::IsNotNull(part) | Sql::IsNotUnknown(part) => {
            Ok(negated(part, true, Form::IsNull(boxed(part, depth)?)))
        }
        Sql::IsTrue(part) => Ok(Form::Is(boxed(part, depth)?, true)),
        Sql::IsFalse(part) => Ok(Form::Is(boxed(part, depth)?, false)),
        Sql::IsNotTrue(part) => Ok(negated(part, true, Form::Is(boxed(part, depth)?, true))),
        Sql::IsNotFalse(part) => Ok(negated(part, true, Form::Is(boxed(part, depth)?, false))),
        Sql::IsDistinctFrom(left, right) => Ok(Form::Distinct(all([&**left, &**right], depth)?)),
        Sql::IsNotDistinctFrom(left, right) => {
            Ok(negated(left, true, Form::Distinct(all([&**left, &**right], depth)?)))
        }
        Sql::Between { expr, negated: not, low, high } => {
            Ok(negated(expr, *not, Form::Between(all([&**expr, &**low, &**high], depth)?)))
        }
        Sql::InList { expr, list, negated: not } => {
            let parts = all(std::iter::once(&**expr).chain(list), depth)?;
            Ok(negated(expr, *not, Form::In(parts)))
        }
        Sql::Like { negated: not, any: false, expr, pattern, escape_char } => {
            let escape = escape_char.as_deref().map(escape_character).transpose()?;
            let text = boxed(expr, depth)?;
            let pattern = boxed(pattern, depth)?;
            Ok(negated(expr, *not, Form::Like { text, pattern, escape }))
        }
        Sql::Case { operand, conditions, else_result, .. } => {
            let mut arms = Vec::with_capacity(conditions.len());
            for arm in conditions {
                arms.push((read(&arm.condition, depth)?, read(&arm.result, depth)?));
            }
            let operand = operand.as_deref().map(|part| boxed(part, depth)).transpose()?;
            let otherwise = else_result.as_deref().map(|part| boxed(part, depth)).transpose()?;
            Ok(Form::Case { operand, arms, otherwise })
        }
        Sql::Cast { kind, expr, data_type, format: None } => cast(sql, kind, expr, data_type, depth),
        Sql::Extract { field, expr, .. } => {
            Ok(Form::Extract(field.to_string().to_lowercase(), boxed(expr, depth)?))
        }
        Sql::CompoundFieldAccess { root, access_chain } => match access_chain.as_slice() {
            [ast::AccessExpr::Subscript(ast::Subscript::Index { index })] => {
                Ok(Form::Access(boxed(root, depth)?, boxed(index, depth)?))
            }
            [ast::AccessExpr::Subscript(_)] => {
                Err(call::refuse(sql, "a part of a list is no value; take one element, as in x[1]"))
            }
            _ => call::read_call(sql, depth),
        },
        _ => call::read_call(sql, depth),
    }
}

/// NOT around a form, if `not`.
fn negated(first: &Sql, not: bool, form: Form) -> Form {
    if not { Form::Not(Box::new(Syntax { form, at: place(first.span().start) })) } else { form }
}

fn unary(sql: &Sql, op: UnaryOperator, part: &Sql, depth: usize) -> Result<Form, ExprError> {
    match (op, part) {
        // The smallest int64 has no positive counterpart, so the sign is read with the digits.
        (UnaryOperator::Minus, Sql::Value(value)) if matches!(value.value, ast::Value::Number(..)) => {
            literal(value, "-")
        }
        (UnaryOperator::Minus, _) => Ok(Form::Negate(boxed(part, depth)?)),
        (UnaryOperator::Plus, _) => Ok(read(part, depth)?.form),
        (UnaryOperator::Not, _) => Ok(Form::Not(boxed(part, depth)?)),
        (op, _) => Err(call::refuse(sql, format!("operator {op} is not part of the expression language"))),
    }
}

fn binary(sql: &Sql, left: &Sql, op: &BinaryOperator, right: &Sql, depth: usize) -> Result<Form, ExprError> {
    let pair = |depth| all([left, right], depth);
    let form = match op {
        BinaryOperator::Plus => Form::Arithmetic(Operator::Add, pair(depth)?),
        BinaryOperator::Minus => Form::Arithmetic(Operator::Subtract, pair(depth)?),
        BinaryOperator::Multiply => Form::Arithmetic(Operator::Multiply, pair(depth)?),
        BinaryOperator::Divide => Form::Arithmetic(Operator::Divide, pair(depth)?),
        BinaryOperator::Modulo => Form::Arithmetic(Operator::Remainder, pair(depth)?),
        BinaryOperator::Eq => Form::Compare(Comparison::Equal, pair(depth)?),
        BinaryOperator::NotEq => Form::Compare(Comparison::NotEqual, pair(depth)?),
        BinaryOperator::Lt => Form::Compare(Comparison::Less, pair(depth)?),
        BinaryOperator::LtEq => Form::Compare(Comparison::LessOrEqual, pair(depth)?),
        BinaryOperator::Gt => Form::Compare(Comparison::Greater, pair(depth)?),
        BinaryOperator::GtEq => Form::Compare(Comparison::GreaterOrEqual, pair(depth)?),
        BinaryOperator::StringConcat => Form::Join(all(chain(sql, op), depth)?),
        BinaryOperator::And => Form::All(all(chain(sql, op), depth)?),
        BinaryOperator::Or => Form::Any(all(chain(sql, op), depth)?),
        other => {
            return Err(call::refuse(
                sql,
                format!("operator {other} is not part of the expression language"),
            ));
        }
    };
    Ok(form)
}

/// The operands of `a AND b AND c`, which nests to the left, side by side.
fn chain<'a>(sql: &'a Sql, operator: &BinaryOperator) -> Vec<&'a Sql> {
    let mut operands = Vec::new();
    let mut rest = sql;
    while let Sql::BinaryOp { left, op, right } = rest
        && op == operator
    {
        operands.push(&**right);
        rest = left;
    }
    operands.push(rest);
    operands.reverse();
    operands
}

fn literal(value: &ast::ValueWithSpan, sign: &str) -> Result<Form, ExprError> {
    let wrong = |message: String| ExprError::new(place(value.span.start), message);
    let value = match &value.value {
        ast::Value::Null => Value::Null,
        ast::Value::Boolean(value) => Value::Boolean(*value),
        ast::Value::SingleQuotedString(text) => Value::String(text.as_str().into()),
        ast::Value::Number(digits, false) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let text = format!("{sign}{digits}");
            let help = "write it as a double, with a point or an exponent";
            Value::Int64(text.parse().map_err(|_| wrong(format!("{text} does not fit into int64; {help}")))?)
        }
        ast::Value::Number(digits, false) => match format!("{sign}{digits}").parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Double(number),
            Ok(_) | Err(_) => return Err(wrong(format!("{sign}{digits} does not fit into a double"))),
        },
        ast::Value::Placeholder(text) => match TimeSpan::parse(text) {
            Ok(span) => Value::Duration(span),
            Err(_) => {
                return Err(wrong(format!("placeholder {text} is not part of the expression language")));
            }
        },
        _ => {
            return Err(wrong("this kind of literal is not known; write text in 'single quotes'".to_owned()));
        }
    };
    Ok(Form::Literal(value))
}

fn timestamp(typed: &ast::TypedString) -> Result<Form, ExprError> {
    let wrong = |message: String| Err(ExprError::new(place(typed.value.span.start), message));
    let (ast::DataType::Timestamp(..), ast::Value::SingleQuotedString(text)) =
        (&typed.data_type, &typed.value.value)
    else {
        return wrong("write a point in time as TIMESTAMP '2011-01-01 05:00:00'".to_owned());
    };
    match text.parse() {
        Ok(time) => Ok(Form::Literal(Value::Timestamp(time))),
        Err(error) => wrong(format!("{error}")),
    }
}

fn escape_character(sql: &Sql) -> Result<char, ExprError> {
    if let Sql::Value(ast::ValueWithSpan { value: ast::Value::SingleQuotedString(text), .. }) = sql {
        let mut characters = text.chars();
        if let (Some(escape), None) = (characters.next(), characters.next()) {
            return Ok(escape);
        }
    }
    Err(ExprError::new(place(sql.span().start), "ESCAPE wants one character in single quotes"))
}

fn cast(sql: &Sql, kind: &CastKind, part: &Sql, to: &ast::DataType, depth: usize) -> Result<Form, ExprError> {
    let wanted = match to {
        ast::DataType::Boolean | ast::DataType::Bool => Some(DataType::Boolean),
        ast::DataType::BigInt(None) | ast::DataType::Int64 => Some(DataType::Int64),
        ast::DataType::Double(_) | ast::DataType::DoublePrecision | ast::DataType::Float64 => {
            Some(DataType::Double)
        }
        ast::DataType::String(None) | ast::DataType::Text | ast::DataType::Varchar(None) => {
            Some(DataType::String)
        }
        ast::DataType::Timestamp(None, ast::TimezoneInfo::None) => Some(DataType::Timestamp),
        _ => None,
    };
    match (wanted, kind) {
        (Some(wanted), CastKind::Cast | CastKind::TryCast | CastKind::SafeCast | CastKind::DoubleColon) => {
            Ok(Form::Cast(boxed(part, depth)?, wanted))
        }
        (None, _) => {
            let known = "BIGINT, DOUBLE, STRING, BOOLEAN or TIMESTAMP";
            Err(call::refuse(sql, format!("CAST to {to} is not known; cast to {known}")))
        }
    }
}
