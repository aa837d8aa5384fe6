//! A state for each value of a column.
//!
//! At most a hundred buckets are kept: those whose texts have the smallest hashes. Which ones depends on the
//! texts alone, so a bucket that is kept over a window is kept in each of its tiles, and its state is that of
//! all its events: what is given is exact, whatever is left out.

use std::sync::Arc;

use perennial_types::Value;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Object, Slot, fold, merge, value};
use crate::Op;
use crate::timeline::{Row, RowMut, Shape, heap_bytes};

/// The most buckets of a tile, and so of a feature.
pub(super) const MOST: usize = 100;

/// Where the state of a bucket lies.
#[derive(Debug, PartialEq)]
pub(crate) struct Inner {
    pub(crate) shape: Shape,
    pub(crate) slots: Vec<Slot>,
}

impl Inner {
    /// About how many bytes all buckets take.
    pub(crate) fn heap_bytes(&self) -> usize {
        let heap: usize = self.slots.iter().map(|slot| slot.part.heap_bytes(slot.data_type)).sum();
        MOST * (64 + 8 * self.shape.words + 24 * self.shape.objects + heap)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bucket {
    hash: u64,
    text: Arc<str>,
    words: Box<[u64]>,
    objects: Box<[Option<Object>]>,
}

impl Bucket {
    /// Its state, if it is of this form, which saved bytes need not be.
    fn row(&self, inner: &Inner) -> Option<Row<'_>> {
        let fits = self.words.len() == inner.shape.words && self.objects.len() == inner.shape.objects;
        fits.then_some(Row { words: &self.words, objects: &self.objects })
    }
}

/// Buckets in the order of the hashes of their texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Buckets(Vec<Bucket>);

impl Buckets {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let behind = |bucket: &Bucket| {
            let rows = size_of_val(&*bucket.words) + size_of_val(&*bucket.objects);
            32 + bucket.text.len() + rows + heap_bytes(&bucket.objects)
        };
        size_of::<Self>() + size_of::<Bucket>() * self.0.capacity() + self.0.iter().map(behind).sum::<usize>()
    }

    pub(super) fn add(&mut self, inner: &Inner, text: &Arc<str>, event: Row<'_>, time: i64) {
        if let Some(mut row) = self.bucket(inner, xxh3_64(text.as_bytes()), text) {
            fold(&inner.slots, &mut row, event, time);
        }
    }

    pub(super) fn merge(&mut self, inner: &Inner, later: &Self) {
        for bucket in &later.0 {
            let Some(later) = bucket.row(inner) else { continue };
            if let Some(mut row) = self.bucket(inner, bucket.hash, &bucket.text) {
                merge(&inner.slots, &mut row, later);
            }
        }
    }

    /// The state of a text, empty if it is new; nothing if its hash is beyond those of a full house.
    fn bucket(&mut self, inner: &Inner, hash: u64, text: &Arc<str>) -> Option<RowMut<'_>> {
        let at = self.0.binary_search_by(|other| (other.hash, &other.text).cmp(&(hash, text)));
        let at = match at {
            Ok(at) => at,
            Err(at) if at >= MOST => return None,
            Err(at) => {
                let words = vec![0; inner.shape.words].into();
                let objects = vec![None; inner.shape.objects].into();
                self.0.insert(at, Bucket { hash, text: Arc::clone(text), words, objects });
                self.0.truncate(MOST);
                at
            }
        };
        let bucket = self.0.get_mut(at)?;
        bucket.row(inner)?;
        Some(RowMut { words: &mut bucket.words, objects: &mut bucket.objects })
    }

    /// The values of `op`, whose part is `slot` of a bucket, by text; buckets where it is NULL are left out.
    pub(super) fn values(&self, inner: &Inner, op: Op, slot: &Slot, at: i64) -> Value {
        let mut pairs: Vec<(Arc<str>, Value)> = Vec::with_capacity(self.0.len());
        for bucket in &self.0 {
            let Some(row) = bucket.row(inner) else { continue };
            let value = value(op, slot, row, at);
            if !value.null() {
                pairs.push((Arc::clone(&bucket.text), value));
            }
        }
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        Value::Map(pairs.into())
    }
}
