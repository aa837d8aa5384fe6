//! Names and types: from what was written to a tree that can be run.

mod alike;
mod arithmetic;
mod cast;
mod functions;
mod nested;

use std::collections::BTreeSet;

use perennial_types::{DataType, Schema, did_you_mean};

use crate::error::{ExprError, Place};
use crate::node::{Bool, Choice, Node, Text};
use crate::syntax::{Form, Syntax};
use crate::text::Pattern;
use alike::Unified;

/// A tree and the columns it reads.
pub(crate) fn compile(syntax: &Syntax, schema: &Schema) -> Result<(Node, BTreeSet<usize>), ExprError> {
    let mut compiler = Compiler { schema, columns: BTreeSet::new(), reads: 0 };
    let node = compiler.node(syntax)?;
    Ok((node, compiler.columns))
}

struct Compiler<'a> {
    schema: &'a Schema,
    columns: BTreeSet<usize>,
    /// How many columns were read so far; a part that reads none is a constant.
    reads: usize,
}

impl Compiler<'_> {
    fn node(&mut self, syntax: &Syntax) -> Result<Node, ExprError> {
        let before = self.reads;
        let node = self.form(syntax)?;
        Ok(if self.reads == before { node.fold() } else { node })
    }

    fn nodes(&mut self, parts: &[Syntax]) -> Result<Vec<Node>, ExprError> {
        parts.iter().map(|part| self.node(part)).collect()
    }

    fn form(&mut self, syntax: &Syntax) -> Result<Node, ExprError> {
        let at = syntax.at;
        match &syntax.form {
            Form::Column(name) => self.column(name, at),
            Form::Literal(value) => Ok(Node::constant(value)),
            Form::Negate(part) => arithmetic::negate(self.node(part)?).map_err(|e| e.at(at)),
            Form::Arithmetic(operator, parts) => self.arithmetic(*operator, parts, at),
            Form::Join(parts) => self.join(parts),
            Form::Not(part) => Ok(Node::Boolean(Bool::Not(Box::new(self.boolean(part, "NOT")?)))),
            Form::All(parts) => Ok(Node::Boolean(Bool::All(self.booleans(parts, "AND")?))),
            Form::Any(parts) => Ok(Node::Boolean(Bool::Any(self.booleans(parts, "OR")?))),
            Form::Compare(by, parts) => {
                let by = *by;
                Ok(self.test(parts, "a comparison", at, |alike| Bool::Compare(by, alike))?)
            }
            Form::Distinct(parts) => self.test(parts, "IS DISTINCT FROM", at, Bool::Distinct),
            Form::Between(parts) => self.test(parts, "BETWEEN", at, Bool::Between),
            Form::In(parts) => self.test(parts, "IN", at, Bool::In),
            Form::Like { text, pattern, escape } => self.like(text, pattern, *escape),
            Form::IsNull(part) => Ok(Node::Boolean(Bool::IsNull(Box::new(self.node(part)?)))),
            Form::Is(part, wanted) => {
                Ok(Node::Boolean(Bool::Is(Box::new(self.boolean(part, "IS TRUE or IS FALSE")?), *wanted)))
            }
            Form::Case { operand, arms, otherwise } => {
                self.case(operand.as_deref(), arms, otherwise.as_deref(), at)
            }
            Form::Cast(part, wanted) => cast::cast(self.node(part)?, *wanted).map_err(|e| e.at(at)),
            Form::Access(of, index) => self.access(of, index, at),
            Form::Extract(field, part) => self.extract(field, part, at),
            Form::Call(name, parts) => self.call(name, parts, at),
        }
    }

    fn column(&mut self, name: &str, at: Option<Place>) -> Result<Node, ExprError> {
        let Some(index) = self.schema.index_of(name) else {
            let help = did_you_mean(name, self.schema.names());
            return Err(ExprError::new(at, format!("unknown column {name:?}{help}")));
        };
        self.reads += 1;
        self.columns.insert(index);
        Ok(Node::column(index, self.schema.columns()[index].data_type))
    }

    fn boolean(&mut self, part: &Syntax, of: &str) -> Result<Bool, ExprError> {
        match self.node(part)? {
            Node::Boolean(tree) => Ok(tree),
            Node::Null => Ok(Bool::Constant(None)),
            other => Err(wrong_type(part.at, of, "boolean", &other)),
        }
    }

    fn booleans(&mut self, parts: &[Syntax], of: &str) -> Result<Vec<Bool>, ExprError> {
        parts.iter().map(|part| self.boolean(part, of)).collect()
    }

    fn text(&mut self, part: &Syntax, of: &str) -> Result<Text, ExprError> {
        match self.node(part)? {
            Node::String(tree) => Ok(tree),
            Node::Null => Ok(Text::Constant(None)),
            other => Err(wrong_type(part.at, of, "string", &other)),
        }
    }

    fn texts(&mut self, parts: &[Syntax], of: &str) -> Result<Vec<Text>, ExprError> {
        parts.iter().map(|part| self.text(part, of)).collect()
    }

    fn join(&mut self, parts: &[Syntax]) -> Result<Node, ExprError> {
        let parts = self.texts(parts, "||")?;
        Ok(Node::String(Text::Concat { parts, skip_null: false }))
    }

    fn test(
        &mut self,
        parts: &[Syntax],
        of: &str,
        at: Option<Place>,
        make: impl FnOnce(crate::node::Alike) -> Bool,
    ) -> Result<Node, ExprError> {
        let nodes = self.nodes(parts)?;
        let alike = Unified::new(nodes, of).map_err(|e| e.at(at))?.alike();
        Ok(Node::Boolean(make(alike)))
    }

    fn like(&mut self, text: &Syntax, pattern: &Syntax, escape: Option<char>) -> Result<Node, ExprError> {
        let text = self.text(text, "LIKE")?;
        match self.text(pattern, "LIKE")? {
            Text::Constant(Some(constant)) => match Pattern::parse(&constant, escape) {
                Some(pattern) => Ok(Node::Boolean(Bool::Like(Box::new(text), pattern))),
                None => {
                    Err(ExprError::new(pattern.at, "a pattern of LIKE cannot end with its escape character"))
                }
            },
            Text::Constant(None) => Ok(Node::Boolean(Bool::Constant(None))),
            _ => {
                let help = "for text from a column use CONTAINS, STARTS_WITH or ENDS_WITH";
                Err(ExprError::new(pattern.at, format!("LIKE wants a constant pattern; {help}")))
            }
        }
    }

    fn case(
        &mut self,
        operand: Option<&Syntax>,
        arms: &[(Syntax, Syntax)],
        otherwise: Option<&Syntax>,
        at: Option<Place>,
    ) -> Result<Node, ExprError> {
        let mut branches = Vec::with_capacity(arms.len() + 1);
        branches.push(otherwise.map_or(Ok(Node::Null), |part| self.node(part))?);
        for (_, branch) in arms {
            branches.push(self.node(branch)?);
        }
        let branches = Unified::new(branches, "CASE").map_err(|e| e.at(at))?;
        if let Some(operand) = operand {
            let mut values = vec![self.node(operand)?];
            for (value, _) in arms {
                values.push(self.node(value)?);
            }
            let on = Unified::new(values, "CASE … WHEN").map_err(|e| e.at(at))?.alike();
            return Ok(branches.choose_selected(on));
        }
        let mut conditions = Vec::with_capacity(arms.len());
        for (condition, _) in arms {
            conditions.push(self.boolean(condition, "WHEN")?);
        }
        Ok(branches.choose_case(conditions))
    }
}

/// An operand of the wrong type.
fn wrong_type(at: Option<Place>, of: &str, wanted: &str, found: &Node) -> ExprError {
    ExprError::new(at, format!("{of} wants {wanted}, found {}", type_name(found.data_type())))
}

fn type_name(data_type: Option<DataType>) -> &'static str {
    data_type.map_or("NULL", DataType::name)
}

/// `Case` from branches of one type, of which the first is that of ELSE.
fn case<T>(mut branches: Vec<T>, conditions: Vec<Bool>, null: T) -> Box<Choice<T>> {
    let otherwise = if branches.is_empty() { null } else { branches.remove(0) };
    Box::new(Choice::Case { arms: conditions.into_iter().zip(branches).collect(), otherwise })
}
