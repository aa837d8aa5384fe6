//! Entity keys.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use perennial_types::{Column, TimeSpan, Timestamp, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The key of one entity: the values of its view's entity columns, in their order.
///
/// Its 64-bit hash (XXH3, the same on every machine) is computed once, when the key is made, and serves the
/// choice of the shard and the look-up within it.
#[derive(Clone, Debug)]
pub struct EntityKey {
    hash: u64,
    parts: Parts,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Parts {
    /// A single column, the usual case, without an allocation of its own.
    One(Part),
    Many(Box<[Part]>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Part {
    Null,
    Boolean(bool),
    Int64(i64),
    /// By bits.
    Double(u64),
    String(Arc<str>),
    Timestamp(i64),
    Duration(i64),
}

impl EntityKey {
    /// The key with these values, in the order of the view's entity columns.
    pub fn from_values(values: &[Value]) -> Self {
        match values {
            [value] => Self::from_parts(Parts::One(Part::of(value))),
            _ => Self::from_parts(Parts::Many(values.iter().map(Part::of).collect())),
        }
    }

    /// The key that `row` has in `columns`; nothing when one of them is NULL or missing: such an event
    /// belongs to no entity.
    pub(crate) fn of_row(row: &[Value], columns: &[usize]) -> Option<Self> {
        let part = |column: &usize| match row.get(*column) {
            None | Some(Value::Null) => None,
            Some(value) => Some(Part::of(value)),
        };
        let parts = match columns {
            [column] => Parts::One(part(column)?),
            _ => Parts::Many(columns.iter().map(part).collect::<Option<_>>()?),
        };
        Some(Self::from_parts(parts))
    }

    /// The values, in the order of the view's entity columns.
    pub fn values(&self) -> Vec<Value> {
        self.slice().iter().map(Part::value).collect()
    }

    /// The key written with the names of its columns: `slot=5`, `country=UK, item=85123A`.
    pub fn with_names(&self, columns: &[Column]) -> String {
        let named = columns.iter().zip(self.slice());
        let named: Vec<String> =
            named.map(|(column, part)| format!("{}={}", column.name, part.value())).collect();
        named.join(", ")
    }

    /// A number drawn from the key alone, spread over all of `u64` and independent of its shard: a sample of
    /// entities is those with small ones.
    pub fn draw(&self) -> u64 {
        xxh3_64_with_seed(&self.hash.to_le_bytes(), 0x7361_6d70_6c65)
    }

    /// Its hash, spread for a table of the keys of one shard, which share its high bits.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) ^ self.hash
    }

    /// A 64-bit hash of it, the same on every machine, for a table of the keys of one shard.
    pub fn hash64(&self) -> u64 {
        self.hash()
    }

    /// The bytes that it takes beside its own place.
    pub(crate) fn heap_bytes(&self) -> usize {
        let text = |part: &Part| match part {
            Part::String(text) => 32 + text.len(),
            Part::Null
            | Part::Boolean(_)
            | Part::Int64(_)
            | Part::Double(_)
            | Part::Timestamp(_)
            | Part::Duration(_) => 0,
        };
        let texts: usize = self.slice().iter().map(text).sum();
        match &self.parts {
            Parts::One(_) => texts,
            Parts::Many(parts) => texts + 16 + size_of_val(&**parts),
        }
    }

    fn from_parts(parts: Parts) -> Self {
        let mut key = Self { hash: 0, parts };
        key.hash = key.slice().iter().fold(0, |seed, part| part.hash64(seed));
        key
    }

    fn slice(&self) -> &[Part] {
        match &self.parts {
            Parts::One(part) => std::slice::from_ref(part),
            Parts::Many(parts) => parts,
        }
    }
}

/// The shard, of `shards` many (at least one), that owns a key.
pub fn shard_of(key: &EntityKey, shards: usize) -> usize {
    // The high half of the product is uniform over the shards without a division.
    ((u128::from(key.hash) * shards as u128) >> 64) as usize
}

impl Part {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Boolean(value) => Self::Boolean(*value),
            Value::Int64(value) => Self::Int64(*value),
            Value::Double(value) => Self::Double(value.to_bits()),
            Value::String(value) => Self::String(Arc::clone(value)),
            Value::Timestamp(value) => Self::Timestamp(value.micros()),
            Value::Duration(value) => Self::Duration(value.micros()),
            // No entity column is one: a text of its own for each.
            Value::List(_) | Value::Map(_) => Self::String(value.to_string().into()),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Int64(value) => Value::Int64(*value),
            Self::Double(bits) => Value::Double(f64::from_bits(*bits)),
            Self::String(value) => Value::String(Arc::clone(value)),
            Self::Timestamp(micros) => Value::Timestamp(Timestamp::from_micros(*micros)),
            Self::Duration(micros) => Value::Duration(TimeSpan::from_micros(*micros)),
        }
    }

    fn hash64(&self, seed: u64) -> u64 {
        // The type is part of the seed, so that 1 and true differ.
        let (kind, word) = match self {
            Self::Null => (1, 0),
            Self::Boolean(value) => (2, u64::from(*value)),
            Self::Int64(value) => (3, value.cast_unsigned()),
            Self::Double(bits) => (4, *bits),
            Self::String(text) => return xxh3_64_with_seed(text.as_bytes(), seed.wrapping_add(5)),
            Self::Timestamp(micros) => (6, micros.cast_unsigned()),
            Self::Duration(micros) => (7, micros.cast_unsigned()),
        };
        xxh3_64_with_seed(&word.to_le_bytes(), seed.wrapping_add(kind))
    }
}

impl From<&[Value]> for EntityKey {
    fn from(values: &[Value]) -> Self {
        Self::from_values(values)
    }
}

impl PartialEq for EntityKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.parts == other.parts
    }
}

impl Eq for EntityKey {}

impl Hash for EntityKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for EntityKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntityKey {
    /// By the values, column by column.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.slice().cmp(other.slice())
    }
}

impl fmt::Display for EntityKey {
    /// The values alone: `5`, `UK, 85123A`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.slice().iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{}", part.value())?;
        }
        Ok(())
    }
}

impl Serialize for EntityKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.slice().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EntityKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut parts = Vec::<Part>::deserialize(deserializer)?;
        Ok(Self::from_parts(match (parts.len(), parts.pop()) {
            (1, Some(part)) => Parts::One(part),
            (_, last) => Parts::Many(parts.into_iter().chain(last).collect()),
        }))
    }
}

/// Maps by entity key use the hash that the key already has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyHasher(u64);

/// Builds the hasher of maps by entity key.
pub(crate) type KeyHash = BuildHasherDefault<KeyHasher>;

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, hash: u64) {
        // The keys of one shard share the high bits of their hash, which the map would use as tags.
        self.0 = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) ^ hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_types::Schema;

    #[test]
    fn keys_of_equal_values_are_equal_and_of_other_types_are_not() {
        let key = |value: Value| EntityKey::from_values(&[value]);
        assert_eq!(key(Value::Int64(1)), key(Value::Int64(1)));
        assert_ne!(key(Value::Int64(1)), key(Value::Boolean(true)));
        assert!(key(Value::Int64(-2)) < key(Value::Int64(1)));
        assert_eq!(EntityKey::of_row(&[Value::Null], &[0]), None);
    }

    #[test]
    fn a_key_is_written_for_people_and_read_back_from_bytes() {
        let key = EntityKey::from_values(&[Value::String("UK".into()), Value::Int64(5)]);
        let schema = Schema::parse(&[("country", "string"), ("slot", "int64")]).unwrap();
        assert_eq!(key.to_string(), "UK, 5");
        assert_eq!(key.with_names(schema.columns()), "country=UK, slot=5");
        let one = EntityKey::from_values(&[Value::Int64(5)]);
        for key in [key, one, EntityKey::from_values(&[])] {
            let bytes = postcard::to_allocvec(&key).unwrap();
            assert_eq!(postcard::from_bytes::<EntityKey>(&bytes).unwrap(), key);
        }
    }

    #[test]
    fn keys_spread_evenly_over_shards() {
        let mut counts = [0_usize; 8];
        for i in 0..8_000 {
            counts[shard_of(&EntityKey::from_values(&[Value::Int64(i)]), 8)] += 1;
        }
        // Binomial(8000, 1/8): five standard deviations are 148.
        assert!(counts.iter().all(|count| count.abs_diff(1_000) < 148), "{counts:?}");
    }
}
