//! What a key's state takes of memory, and whether somebody keeps a copy of it.

use std::sync::atomic::{AtomicBool, Ordering};

/// Beside the state of a key in memory. None of it is state: it decides what leaves memory, never what a read gives.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Since the last look at it an event or a read used the key; readers, who share it, say so.
    used: AtomicBool,
    /// It differs from the kept copy, or there is none.
    pub(crate) changed: bool,
    /// There is a kept copy, an older one perhaps.
    pub(crate) kept: bool,
    /// The bytes behind its rows when they were last counted; as bytes, since they need not be aligned.
    behind: [u8; 4],
}

impl Held {
    /// Of a state that was taken from its kept copy.
    pub(crate) fn of_copy() -> Self {
        Self { used: AtomicBool::new(true), changed: false, kept: true, behind: [0; 4] }
    }

    /// The bytes behind its rows when they were last counted.
    pub(crate) fn behind(&self) -> u64 {
        u64::from(u32::from_ne_bytes(self.behind))
    }

    pub(crate) fn set_behind(&mut self, bytes: usize) {
        self.behind = u32::try_from(bytes).unwrap_or(u32::MAX).to_ne_bytes();
    }

    /// Say that the key was used.
    pub(crate) fn mark_used(&self) {
        // A cache line that is written to is taken from the other processors.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Say that an event changed it.
    pub(crate) fn mark_changed(&mut self) {
        *self.used.get_mut() = true;
        self.changed = true;
    }

    /// Whether the key was used since this was last asked.
    pub(crate) fn take_used(&mut self) -> bool {
        std::mem::take(self.used.get_mut())
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        let used = AtomicBool::new(self.used.load(Ordering::Relaxed));
        Self { used, changed: self.changed, kept: self.kept, behind: self.behind }
    }
}
