//! What an Avro value looks like as bytes: as much of a schema as it takes to read it or to pass over it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, NamespaceRef, UuidSchema};

use crate::formats::cursor::{Cursor, Unreadable};

/// Values that are nested deeper are refused, so that no data can exhaust the stack.
const DEEPEST: usize = 64;

/// The bytes of one value.
#[derive(Debug)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Long,
    /// A count of units since 1970 UTC.
    Time(Unit),
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Symbols(Vec<Arc<str>>),
    List(Box<Self>),
    Map(Box<Self>),
    Union(Vec<Self>),
    Record(Vec<Self>),
    /// A named one, by its number.
    Named(usize),
}

/// How an instant is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Days,
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// The microseconds of a count, if they fit.
    pub(crate) fn micros(self, count: i64) -> Option<i64> {
        match self {
            Self::Days => count.checked_mul(86_400_000_000),
            Self::Millis => count.checked_mul(1_000),
            Self::Micros => Some(count),
            Self::Nanos => Some(count.div_euclid(1_000)),
        }
    }
}

/// The named shapes of a schema, which may refer to each other.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    named: Vec<Shape>,
    numbers: HashMap<Name, usize>,
}

impl Shapes {
    /// Number what a schema defines, so that every reference can be resolved.
    pub(crate) fn define(&mut self, schema: &Schema, space: NamespaceRef<'_>) {
        match schema {
            Schema::Record(record) => {
                let name = self.number(&record.name, space);
                for field in &record.fields {
                    self.define(&field.schema, name.namespace());
                }
            }
            Schema::Enum(named) => drop(self.number(&named.name, space)),
            Schema::Fixed(fixed) => drop(self.number(&fixed.name, space)),
            Schema::Array(array) => self.define(&array.items, space),
            Schema::Map(map) => self.define(&map.types, space),
            Schema::Union(union) => union.variants().iter().for_each(|variant| self.define(variant, space)),
            _ => {}
        }
    }

    fn number(&mut self, name: &Name, space: NamespaceRef<'_>) -> Name {
        let name = name.fully_qualified_name(space).into_owned();
        self.numbers.insert(name.clone(), self.named.len());
        self.named.push(Shape::Null);
        name
    }

    /// The shape of a schema whose names are numbered.
    ///
    /// # Errors
    /// When it refers to something that is not defined.
    pub(crate) fn of(&mut self, schema: &Schema, space: NamespaceRef<'_>) -> Result<Shape, String> {
        Ok(match schema {
            Schema::Null => Shape::Null,
            Schema::Boolean => Shape::Boolean,
            Schema::Int | Schema::Long | Schema::TimeMillis | Schema::TimeMicros => Shape::Long,
            Schema::Date => Shape::Time(Unit::Days),
            Schema::TimestampMillis | Schema::LocalTimestampMillis => Shape::Time(Unit::Millis),
            Schema::TimestampMicros | Schema::LocalTimestampMicros => Shape::Time(Unit::Micros),
            Schema::TimestampNanos | Schema::LocalTimestampNanos => Shape::Time(Unit::Nanos),
            Schema::Float => Shape::Float,
            Schema::Double => Shape::Double,
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Shape::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Shape::Text,
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => Shape::Bytes,
                InnerDecimalSchema::Fixed(fixed) => Shape::Fixed(fixed.size),
            },
            Schema::Fixed(fixed) => {
                let shape = Shape::Fixed(fixed.size);
                return Ok(self.name(&fixed.name, space, shape));
            }
            Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => Shape::Fixed(fixed.size),
            Schema::Enum(symbols) => {
                let shape =
                    Shape::Symbols(symbols.symbols.iter().map(|symbol| symbol.as_str().into()).collect());
                return Ok(self.name(&symbols.name, space, shape));
            }
            Schema::Array(array) => Shape::List(Box::new(self.of(&array.items, space)?)),
            Schema::Map(map) => Shape::Map(Box::new(self.of(&map.types, space)?)),
            Schema::Union(union) => Shape::Union(
                union.variants().iter().map(|one| self.of(one, space)).collect::<Result<_, _>>()?,
            ),
            Schema::Record(record) => {
                let name = record.name.fully_qualified_name(space).into_owned();
                let fields = record.fields.iter().map(|field| self.of(&field.schema, name.namespace()));
                let shape = Shape::Record(fields.collect::<Result<_, _>>()?);
                return Ok(self.name(&record.name, space, shape));
            }
            Schema::Ref { name } => {
                let name: Cow<'_, Name> = name.fully_qualified_name(space);
                let number = self.numbers.get(&*name);
                Shape::Named(*number.ok_or_else(|| format!("nothing defines {:?}", name.to_string()))?)
            }
        })
    }

    /// Keep the shape of a named schema under its number.
    fn name(&mut self, name: &Name, space: NamespaceRef<'_>, shape: Shape) -> Shape {
        let Some(number) = self.numbers.get(&*name.fully_qualified_name(space)) else { return shape };
        self.named[*number] = shape;
        Shape::Named(*number)
    }

    /// Read the parts of a list or map whose items have this shape: of each the text of its key, in a list an empty
    /// one, and what `read` makes of the item.
    ///
    /// # Errors
    /// When the bytes are no such value, or `read` fails.
    pub(crate) fn parts<'b>(
        cursor: &mut Cursor<'b>,
        keyed: bool,
        mut part: impl FnMut(&'b [u8], &mut Cursor<'b>) -> Result<(), String>,
    ) -> Result<(), String> {
        loop {
            let count = cursor.zigzag().map_err(text)?;
            if count < 0 {
                // The length in bytes of the block, for those who pass over it.
                cursor.zigzag().map_err(text)?;
            }
            for _ in 0..count.unsigned_abs() {
                let before = cursor.left();
                let key = if keyed { cursor.zigzag_bytes().map_err(text)? } else { &[] };
                part(key, cursor)?;
                if cursor.left() == before {
                    return Err("it holds values that take no bytes".to_owned());
                }
            }
            if count == 0 {
                return Ok(());
            }
        }
    }

    /// What a name stands for; other shapes are themselves.
    pub(crate) fn resolved<'a>(&'a self, shape: &'a Shape) -> &'a Shape {
        match shape {
            Shape::Named(number) => &self.named[*number],
            other => other,
        }
    }

    /// Pass over one value.
    ///
    /// # Errors
    /// When the bytes are no such value.
    pub(crate) fn skip(&self, shape: &Shape, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("values are nested deeper than {DEEPEST}"));
        }
        let deeper = depth + 1;
        match shape {
            Shape::Null => Ok(()),
            Shape::Boolean => cursor.take(1).map(drop).map_err(text),
            Shape::Long | Shape::Time(_) | Shape::Symbols(_) => cursor.varint().map(drop).map_err(text),
            Shape::Float => cursor.take(4).map(drop).map_err(text),
            Shape::Double => cursor.take(8).map(drop).map_err(text),
            Shape::Bytes | Shape::Text => cursor.zigzag_bytes().map(drop).map_err(text),
            Shape::Fixed(size) => cursor.take(*size).map(drop).map_err(text),
            Shape::List(items) => blocks(cursor, |cursor| self.skip(items, cursor, deeper)),
            Shape::Map(values) => blocks(cursor, |cursor| {
                cursor.zigzag_bytes().map_err(text)?;
                self.skip(values, cursor, deeper)
            }),
            Shape::Union(variants) => self.skip(variant(variants, cursor)?, cursor, deeper),
            Shape::Record(fields) => fields.iter().try_for_each(|field| self.skip(field, cursor, deeper)),
            Shape::Named(number) => self.skip(&self.named[*number], cursor, deeper),
        }
    }
}

/// The variant of a union that comes next.
pub(crate) fn variant<'a>(variants: &'a [Shape], cursor: &mut Cursor<'_>) -> Result<&'a Shape, String> {
    let index = cursor.zigzag().map_err(text)?;
    let found = usize::try_from(index).ok().and_then(|index| variants.get(index));
    found.ok_or_else(|| format!("variant {index} of {}", variants.len()))
}

/// Pass over the blocks of a list or map.
fn blocks(
    cursor: &mut Cursor<'_>,
    mut skip: impl FnMut(&mut Cursor<'_>) -> Result<(), String>,
) -> Result<(), String> {
    loop {
        let count = cursor.zigzag().map_err(text)?;
        if count == 0 {
            return Ok(());
        }
        if count < 0 {
            cursor.zigzag_bytes().map_err(text)?;
            continue;
        }
        for _ in 0..count {
            let before = cursor.left();
            skip(cursor)?;
            // If one item takes no bytes, none of its kind does, however many are said to be there.
            if cursor.left() == before {
                break;
            }
        }
    }
}

fn text(error: Unreadable) -> String {
    error.to_string()
}
