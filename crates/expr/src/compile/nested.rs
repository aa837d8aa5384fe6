//! What is asked of lists and maps, with the names and meanings of DuckDB.

use perennial_types::{DataType, Element};

use super::alike::double;
use super::{Compiler, wrong_type};
use crate::error::{ExprError, Place};
use crate::node::nested;
use crate::node::{Access, Bool, Contains, Double, Int, Nested, Node, Text};
use crate::syntax::Syntax;

/// What is computed of a list.
#[derive(Clone, Copy)]
pub(super) enum OfList {
    Sum,
    Mean,
    Min,
    Max,
    Unique,
}

impl Compiler<'_> {
    /// `list[i]` or `map['key']`.
    pub(super) fn access(
        &mut self,
        of: &Syntax,
        index: &Syntax,
        at: Option<Place>,
    ) -> Result<Node, ExprError> {
        let nested = match self.node(of)? {
            Node::Nested(nested) => nested,
            Node::Null => return Ok(Node::Null),
            other => return Err(wrong_type(of.at, "[…]", "a list or a map", &other).at(at)),
        };
        let access = if nested.map {
            Access::Entry(nested, self.text(index, "[…] of a map")?)
        } else {
            Access::Element(nested, self.int(index, "[…] of a list")?)
        };
        let access = Box::new(access);
        Ok(match nested.element {
            Element::Boolean => Node::Boolean(Bool::OfNested(access)),
            Element::Int64 => Node::Int64(Int::OfNested(access)),
            Element::Double => Node::Double(Double::OfNested(access)),
            Element::String => Node::String(Text::OfNested(access)),
            Element::Timestamp => Node::Timestamp(Int::OfNested(access)),
        })
    }

    /// How many values a list, or with `map` a map, holds.
    pub(super) fn len(&mut self, part: &Syntax, name: &str, map: bool) -> Result<Node, ExprError> {
        Ok(self.nested(part, name, map)?.map_or(Node::Null, |nested| Node::Int64(Int::Len(nested))))
    }

    /// `list_contains(list, value)`.
    pub(super) fn list_contains(&mut self, parts: &[Syntax], name: &str) -> Result<Node, ExprError> {
        let contains = self.contains(parts, name)?;
        Ok(contains.map_or(Node::Null, |contains| Node::Boolean(Bool::Contains(Box::new(contains)))))
    }

    /// `list_count_of(list, value)`.
    pub(super) fn list_count_of(&mut self, parts: &[Syntax], name: &str) -> Result<Node, ExprError> {
        let contains = self.contains(parts, name)?;
        Ok(contains.map_or(Node::Null, |contains| Node::Int64(Int::Occurrences(Box::new(contains)))))
    }

    /// A list and a value of the type of its elements; nothing where one of them is always NULL.
    fn contains(&mut self, parts: &[Syntax], name: &str) -> Result<Option<Contains>, ExprError> {
        let list = self.nested(&parts[0], name, false)?;
        let value = self.node(&parts[1])?;
        let Some(list) = list else { return Ok(None) };
        let wanted = list.element.data_type();
        let value = match (wanted, value.data_type()) {
            (_, None) => return Ok(None),
            (DataType::Double, Some(DataType::Int64)) => double(value).map_or(Node::Null, Node::Double),
            (wanted, Some(found)) if wanted == found => value,
            (wanted, Some(_)) => {
                let of = format!("{name} of {}", list.data_type());
                return Err(wrong_type(parts[1].at, &of, wanted.name(), &value));
            }
        };
        Ok(Some(Contains { list, value }))
    }

    /// A number of the values of a list: `list_sum(list)` and others.
    pub(super) fn of_list(&mut self, part: &Syntax, name: &str, of: OfList) -> Result<Node, ExprError> {
        let Some(list) = self.nested(part, name, false)? else { return Ok(Node::Null) };
        let int = |compute| Int::OfList(compute, list);
        let double = |compute| Node::Double(Double::OfList(compute, list));
        let wanted = match (of, list.element) {
            (OfList::Unique, _) => return Ok(Node::Int64(int(nested::unique))),
            (OfList::Sum, Element::Int64) => return Ok(Node::Int64(int(nested::whole_sum))),
            (OfList::Sum, Element::Double) => return Ok(double(nested::sum)),
            (OfList::Mean, Element::Int64 | Element::Double) => return Ok(double(nested::mean)),
            (OfList::Min, Element::Int64) => return Ok(Node::Int64(int(nested::whole_min))),
            (OfList::Max, Element::Int64) => return Ok(Node::Int64(int(nested::whole_max))),
            (OfList::Min, Element::Double) => return Ok(double(nested::min)),
            (OfList::Max, Element::Double) => return Ok(double(nested::max)),
            (OfList::Min, Element::Timestamp) => return Ok(Node::Timestamp(int(nested::whole_min))),
            (OfList::Max, Element::Timestamp) => return Ok(Node::Timestamp(int(nested::whole_max))),
            (OfList::Sum | OfList::Mean, _) => "a list of numbers",
            (OfList::Min | OfList::Max, _) => "a list of numbers or timestamps",
        };
        Err(wrong_type(part.at, name, wanted, &Node::Nested(list)))
    }

    /// `map_contains(map, key)`.
    pub(super) fn map_contains(&mut self, parts: &[Syntax], name: &str) -> Result<Node, ExprError> {
        let map = self.nested(&parts[0], name, true)?;
        let key = self.text(&parts[1], name)?;
        Ok(map.map_or(Node::Null, |map| Node::Boolean(Bool::HasKey(Box::new((map, key))))))
    }

    fn nested(&mut self, part: &Syntax, name: &str, map: bool) -> Result<Option<Nested>, ExprError> {
        match self.node(part)? {
            Node::Null => Ok(None),
            Node::Nested(nested) if nested.map == map => Ok(Some(nested)),
            other => Err(wrong_type(part.at, name, if map { "a map" } else { "a list" }, &other)),
        }
    }
}
