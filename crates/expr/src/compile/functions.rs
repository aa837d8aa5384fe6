//! The functions by name.

use perennial_types::did_you_mean;

use super::alike::{Pick, Unified, double};
use super::nested::OfList;
use super::{Compiler, wrong_type};
use crate::error::{ExprError, Place};
use crate::node::{Bool, Double, Int, Node, Text};
use crate::syntax::Syntax;
use crate::{calendar, numbers, text};

/// What a function takes and gives.
#[derive(Clone, Copy)]
enum Function {
    /// double -> double
    Double(fn(f64) -> f64),
    /// double, double -> double
    Doubles(fn(f64, f64) -> f64),
    /// int64 stays, double -> double
    Whole(fn(f64) -> f64),
    /// A value without arguments.
    Constant(f64),
    /// string -> string
    Text(fn(&str) -> String),
    /// string -> int64
    Measure(fn(&str) -> Option<i64>),
    /// string, string -> boolean
    Test(fn(&str, &str) -> bool),
    /// string, string -> int64
    Search(fn(&str, &str) -> i64),
    /// string, int64 -> string
    Part(fn(&str, i64, i64) -> (usize, usize)),
    /// string, optional characters -> string
    Trim(fn(&str, &str) -> (usize, usize)),
    Pick(Pick),
    /// list, or map -> int64
    Len {
        map: bool,
    },
    /// list, value -> boolean
    ListContains,
    /// list, value -> int64
    ListCountOf,
    /// list -> number
    OfList(OfList),
    /// map, string -> boolean
    MapContains,
    Abs,
    Sign,
    Round,
    Quotient,
    Substring,
    Concat,
    DateTrunc,
}

const FUNCTIONS: [(&str, Function); 57] = [
    ("abs", Function::Abs),
    ("acos", Function::Double(f64::acos)),
    ("asin", Function::Double(f64::asin)),
    ("atan", Function::Double(f64::atan)),
    ("atan2", Function::Doubles(f64::atan2)),
    ("cardinality", Function::Len { map: true }),
    ("ceil", Function::Whole(f64::ceil)),
    ("ceiling", Function::Whole(f64::ceil)),
    ("coalesce", Function::Pick(Pick::Coalesce)),
    ("concat", Function::Concat),
    ("contains", Function::Test(text::contains)),
    ("cos", Function::Double(f64::cos)),
    ("date_trunc", Function::DateTrunc),
    ("degrees", Function::Double(f64::to_degrees)),
    ("div", Function::Quotient),
    ("ends_with", Function::Test(text::ends_with)),
    ("exp", Function::Double(f64::exp)),
    ("floor", Function::Whole(f64::floor)),
    ("greatest", Function::Pick(Pick::Greatest)),
    ("least", Function::Pick(Pick::Least)),
    ("left", Function::Part(text::left)),
    ("len", Function::Len { map: false }),
    ("length", Function::Measure(text::length)),
    ("list_avg", Function::OfList(OfList::Mean)),
    ("list_contains", Function::ListContains),
    ("list_count_of", Function::ListCountOf),
    ("list_max", Function::OfList(OfList::Max)),
    ("list_min", Function::OfList(OfList::Min)),
    ("list_sum", Function::OfList(OfList::Sum)),
    ("list_unique", Function::OfList(OfList::Unique)),
    ("ln", Function::Double(f64::ln)),
    ("log10", Function::Double(f64::log10)),
    ("log2", Function::Double(f64::log2)),
    ("lower", Function::Text(str::to_lowercase)),
    ("ltrim", Function::Trim(text::trim_start)),
    ("map_contains", Function::MapContains),
    ("nullif", Function::Pick(Pick::NullIf)),
    ("pi", Function::Constant(std::f64::consts::PI)),
    ("pow", Function::Doubles(f64::powf)),
    ("power", Function::Doubles(f64::powf)),
    ("radians", Function::Double(f64::to_radians)),
    ("right", Function::Part(text::right)),
    ("round", Function::Round),
    ("rtrim", Function::Trim(text::trim_end)),
    ("sign", Function::Sign),
    ("sin", Function::Double(f64::sin)),
    ("sinh", Function::Double(f64::sinh)),
    ("cosh", Function::Double(f64::cosh)),
    ("sqrt", Function::Double(f64::sqrt)),
    ("starts_with", Function::Test(text::starts_with)),
    ("strpos", Function::Search(text::position)),
    ("substring", Function::Substring),
    ("tan", Function::Double(f64::tan)),
    ("tanh", Function::Double(f64::tanh)),
    ("trim", Function::Trim(text::trim)),
    ("trunc", Function::Whole(f64::trunc)),
    ("upper", Function::Text(str::to_uppercase)),
];

impl Function {
    /// The least and the most arguments.
    fn arguments(self) -> (usize, usize) {
        match self {
            Self::Constant(_) => (0, 0),
            Self::Double(_) | Self::Whole(_) | Self::Text(_) | Self::Measure(_) | Self::Abs | Self::Sign => {
                (1, 1)
            }
            Self::Len { .. } | Self::OfList(_) => (1, 1),
            Self::ListContains | Self::ListCountOf | Self::MapContains => (2, 2),
            Self::Trim(_) | Self::Round => (1, 2),
            Self::Doubles(_) | Self::Test(_) | Self::Search(_) | Self::Part(_) => (2, 2),
            Self::Quotient | Self::DateTrunc | Self::Pick(Pick::NullIf) => (2, 2),
            Self::Substring => (2, 3),
            Self::Concat | Self::Pick(Pick::Coalesce | Pick::Greatest | Pick::Least) => (1, usize::MAX),
        }
    }
}

impl Compiler<'_> {
    pub(super) fn call(
        &mut self,
        name: &str,
        parts: &[Syntax],
        at: Option<Place>,
    ) -> Result<Node, ExprError> {
        let wrong = |message: String| ExprError::new(at, message);
        let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) else {
            let help = match name {
                "log" => "; write LN for the natural logarithm, LOG10 or LOG2".to_owned(),
                _ => did_you_mean(name, FUNCTIONS.map(|(known, _)| known)),
            };
            return Err(wrong(format!("unknown function {name}{help}")));
        };
        let (least, most) = function.arguments();
        if !(least..=most).contains(&parts.len()) {
            let wanted = match (least, most) {
                (least, most) if least == most => least.to_string(),
                (least, usize::MAX) => format!("at least {least}"),
                (least, most) => format!("{least} to {most}"),
            };
            return Err(wrong(format!("{name} takes {wanted} arguments, found {}", parts.len())));
        }
        if let Function::DateTrunc = function {
            return self.date_trunc(parts, at);
        }
        self.apply(*function, name, parts).map_err(|error| error.at(at))
    }

    fn apply(&mut self, function: Function, name: &str, parts: &[Syntax]) -> Result<Node, ExprError> {
        match function {
            Function::Double(compute) => {
                let [a] = self.doubles(parts, name)?;
                Ok(Node::Double(Double::One(compute, Box::new(a))))
            }
            Function::Doubles(compute) => {
                let operands = self.doubles(parts, name)?;
                Ok(Node::Double(Double::Two(compute, Box::new(operands))))
            }
            Function::Whole(compute) => whole(compute, name, self.node(&parts[0])?),
            Function::Constant(value) => Ok(Node::Double(Double::Constant(Some(value)))),
            Function::Text(compute) => {
                Ok(Node::String(Text::One(compute, Box::new(self.text(&parts[0], name)?))))
            }
            Function::Measure(compute) => {
                Ok(Node::Int64(Int::OfText(compute, Box::new(self.text(&parts[0], name)?))))
            }
            Function::Test(compute) => {
                let texts = [self.text(&parts[0], name)?, self.text(&parts[1], name)?];
                Ok(Node::Boolean(Bool::OfTexts(compute, Box::new(texts))))
            }
            Function::Search(compute) => {
                let texts = [self.text(&parts[0], name)?, self.text(&parts[1], name)?];
                Ok(Node::Int64(Int::OfTexts(compute, Box::new(texts))))
            }
            Function::Part(compute) => {
                let inputs =
                    (self.text(&parts[0], name)?, self.int(&parts[1], name)?, Int::Constant(Some(0)));
                Ok(Node::String(Text::Part(compute, Box::new(inputs))))
            }
            Function::Substring => {
                // Longer than any text, and short enough that nothing overflows.
                let rest = Int::Constant(Some(i64::from(u32::MAX)));
                let count = parts.get(2).map_or(Ok(rest), |part| self.int(part, name))?;
                let inputs = (self.text(&parts[0], name)?, self.int(&parts[1], name)?, count);
                Ok(Node::String(Text::Part(text::substring, Box::new(inputs))))
            }
            Function::Trim(compute) => {
                let space = Text::Constant(Some(" ".into()));
                let set = parts.get(1).map_or(Ok(space), |part| self.text(part, name))?;
                Ok(Node::String(Text::Trim(compute, Box::new([self.text(&parts[0], name)?, set]))))
            }
            Function::Concat => {
                Ok(Node::String(Text::Concat { parts: self.texts(parts, name)?, skip_null: true }))
            }
            Function::Pick(by) => Ok(Unified::new(self.nodes(parts)?, name)?.pick(by)),
            Function::Abs => abs(self.node(&parts[0])?),
            Function::Sign => sign(self.node(&parts[0])?),
            Function::Quotient => {
                let operands = [self.int(&parts[0], name)?, self.int(&parts[1], name)?];
                Ok(Node::Int64(Int::Two(numbers::quotient, Box::new(operands))))
            }
            Function::Round if parts.len() == 1 => whole(f64::round, name, self.node(&parts[0])?),
            Function::Round => {
                let digits = Double::OfInt(numbers::widen, Box::new(self.int(&parts[1], name)?));
                let [a] = self.doubles(&parts[..1], name)?;
                Ok(Node::Double(Double::Two(numbers::round_to, Box::new([a, digits]))))
            }
            Function::Len { map } => self.len(&parts[0], name, map),
            Function::ListContains => self.list_contains(parts, name),
            Function::ListCountOf => self.list_count_of(parts, name),
            Function::OfList(of) => self.of_list(&parts[0], name, of),
            Function::MapContains => self.map_contains(parts, name),
            Function::DateTrunc => self.date_trunc(parts, None),
        }
    }

    fn doubles<const N: usize>(&mut self, parts: &[Syntax], of: &str) -> Result<[Double; N], ExprError> {
        let mut trees = Vec::with_capacity(N);
        for part in parts {
            let node = self.node(part)?;
            let wrong = wrong_type(part.at, of, "a number", &node);
            trees.push(double(node).ok_or(wrong)?);
        }
        let count = trees.len();
        trees.try_into().map_err(|_| ExprError::new(None, format!("{of} takes {N} arguments, found {count}")))
    }

    pub(super) fn int(&mut self, part: &Syntax, of: &str) -> Result<Int, ExprError> {
        match self.node(part)? {
            Node::Int64(tree) => Ok(tree),
            Node::Null => Ok(Int::Constant(None)),
            other => Err(wrong_type(part.at, of, "int64", &other)),
        }
    }

    fn timestamp(&mut self, part: &Syntax, of: &str) -> Result<Int, ExprError> {
        match self.node(part)? {
            Node::Timestamp(tree) => Ok(tree),
            Node::Null => Ok(Int::Constant(None)),
            other => Err(wrong_type(part.at, of, "timestamp", &other)),
        }
    }

    fn date_trunc(&mut self, parts: &[Syntax], at: Option<Place>) -> Result<Node, ExprError> {
        let [unit, time] = parts else { return Err(ExprError::new(at, "date_trunc takes 2 arguments")) };
        let Text::Constant(Some(name)) = self.text(unit, "date_trunc")? else {
            return Err(ExprError::new(unit.at, "date_trunc wants a constant unit, such as 'hour'"));
        };
        let known = calendar::UNITS.iter().find(|(known, _)| *known == name.to_lowercase());
        let Some((_, truncate)) = known else {
            let help = did_you_mean(&name, calendar::UNITS.map(|(known, _)| known));
            return Err(ExprError::new(unit.at, format!("unknown unit {name:?}{help}")));
        };
        Ok(Node::Timestamp(Int::One(*truncate, Box::new(self.timestamp(time, "date_trunc")?))))
    }

    /// EXTRACT(field FROM part).
    pub(super) fn extract(
        &mut self,
        field: &str,
        part: &Syntax,
        at: Option<Place>,
    ) -> Result<Node, ExprError> {
        if field == "epoch" {
            return match self.node(part)? {
                Node::Timestamp(tree) | Node::Duration(tree) => {
                    Ok(Node::Double(Double::OfInt(numbers::seconds, Box::new(tree))))
                }
                Node::Null => Ok(Node::Null),
                other => Err(wrong_type(part.at, "EXTRACT(epoch FROM …)", "timestamp or duration", &other)),
            };
        }
        let Some((_, compute)) = calendar::PARTS.iter().find(|(known, _)| *known == field) else {
            let known = calendar::PARTS.map(|(known, _)| known);
            let help = did_you_mean(field, known.into_iter().chain(["epoch"]));
            return Err(ExprError::new(at, format!("EXTRACT knows no field {field:?}{help}")));
        };
        Ok(Node::Int64(Int::One(*compute, Box::new(self.timestamp(part, "EXTRACT")?))))
    }
}

/// A function that changes nothing on whole numbers.
fn whole(compute: fn(f64) -> f64, name: &str, node: Node) -> Result<Node, ExprError> {
    match node {
        Node::Null => Ok(Node::Null),
        Node::Int64(tree) => Ok(Node::Int64(tree)),
        Node::Double(tree) => Ok(Node::Double(Double::One(compute, Box::new(tree)))),
        other => Err(wrong_type(None, name, "a number", &other)),
    }
}

fn abs(node: Node) -> Result<Node, ExprError> {
    match node {
        Node::Null => Ok(Node::Null),
        Node::Int64(tree) => Ok(Node::Int64(Int::One(i64::checked_abs, Box::new(tree)))),
        Node::Duration(tree) => Ok(Node::Duration(Int::One(i64::checked_abs, Box::new(tree)))),
        Node::Double(tree) => Ok(Node::Double(Double::One(f64::abs, Box::new(tree)))),
        other => Err(wrong_type(None, "abs", "a number or a duration", &other)),
    }
}

fn sign(node: Node) -> Result<Node, ExprError> {
    match node {
        Node::Null => Ok(Node::Null),
        Node::Int64(tree) | Node::Duration(tree) => {
            Ok(Node::Int64(Int::One(numbers::sign_of_int, Box::new(tree))))
        }
        Node::Double(tree) => Ok(Node::Int64(Int::OfDouble(numbers::sign_of_double, Box::new(tree)))),
        other => Err(wrong_type(None, "sign", "a number or a duration", &other)),
    }
}
