//! The objects of a key's rows, which most keys do not have.

use std::ops::{Deref, DerefMut, Range};

use serde::{Deserialize, Serialize};

use super::heap_bytes;
use crate::state::Object;

/// Places for objects, some of them taken. Without a place it is one word, since it lies in the state of every key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Objects(Option<Box<Places>>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Places(Vec<Option<Object>>);

impl Objects {
    /// Make so many free places before place `at`.
    pub(crate) fn open(&mut self, at: usize, places: usize) {
        if places > 0 {
            let kept = &mut self.0.get_or_insert_default().0;
            kept.splice(at..at, std::iter::repeat_n(None, places));
        }
    }

    /// The bytes that it takes beside its own word.
    pub(crate) fn bytes(&self) -> usize {
        let places =
            |kept: &Places| size_of::<Places>() + size_of_val(kept.0.as_slice()) + heap_bytes(&kept.0);
        self.0.as_ref().map_or(0, |kept| places(kept))
    }

    /// Remove these places with what they hold.
    pub(crate) fn remove(&mut self, range: Range<usize>) {
        if let Some(kept) = &mut self.0 {
            kept.0.drain(range);
        }
    }
}

impl Deref for Objects {
    type Target = [Option<Object>];

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().map_or(&[], |kept| kept.0.as_slice())
    }
}

impl DerefMut for Objects {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.as_mut().map_or(&mut [], |kept| kept.0.as_mut_slice())
    }
}
