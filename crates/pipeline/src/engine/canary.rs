//! A view's new version beside the one that it replaces: every read of the old one is repeated on the new one, and
//! what they say is compared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use perennial_features::parity::Parity;
use perennial_features::{EntityKey, Reading, View};
use perennial_types::{ContentHash, Timestamp};

/// The comparisons that run, by the version that is replaced.
#[derive(Default)]
pub(super) struct Canaries {
    /// Whether there are any: most of the time there are none, and reads look no further.
    any: AtomicBool,
    by_old: RwLock<BTreeMap<ContentHash, Arc<Mutex<Parity>>>>,
}

impl Canaries {
    /// Compare exactly these pairs, each an old version and a new one; what was found of those that run already is
    /// kept.
    pub(super) fn set(&self, pairs: &[(Arc<View>, Arc<View>)]) {
        let mut running = self.by_old.write();
        let before = std::mem::take(&mut *running);
        for (old, new) in pairs {
            let known = before.get(&old.version());
            let same = known.filter(|known| known.lock().new_version().version() == new.version()).cloned();
            let fresh = || Arc::new(Mutex::new(Parity::new(Arc::clone(old), Arc::clone(new))));
            running.insert(old.version(), same.unwrap_or_else(fresh));
        }
        self.any.store(!running.is_empty(), Ordering::Release);
    }

    /// The comparison in which this version is the old one.
    pub(super) fn of(&self, version: ContentHash) -> Option<Arc<Mutex<Parity>>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.by_old.read().get(&version).cloned()
    }

    /// What was found so far.
    pub(super) fn found(&self) -> Vec<Parity> {
        self.by_old.read().values().map(|parity| parity.lock().clone()).collect()
    }
}

/// Take in what both versions say, if they had seen the same: an event that came between the two reads is no
/// difference of theirs.
pub(super) fn compare(parity: &Mutex<Parity>, key: &EntityKey, at: Timestamp, old: &Reading, new: &Reading) {
    let mut parity = parity.lock();
    if parity.comparable() && old.seen == new.seen {
        parity.compare(key, at, &old.values, &new.values);
    }
}
