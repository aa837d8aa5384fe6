//! What could not be read, so that what depends on it is not blamed as well.

use std::collections::{BTreeMap, BTreeSet};

/// The parts of the declarations that have a fault of their own.
///
/// A part that cannot be read is filled with a guess, so that everything around it is still checked. Reading
/// is repeated with other guesses: what is wrong whatever stood there is a fault of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    /// Which of its values every guess takes.
    pub(crate) guess: usize,
    broken: BTreeSet<String>,
    open: BTreeSet<String>,
    open_kinds: BTreeSet<&'static str>,
    strangers: BTreeSet<String>,
    /// By the part that is read, where it is declared.
    declared_at: BTreeMap<String, String>,
}

impl Marks {
    /// How many rounds of guesses there are: a multiple of the numbers of values to guess from (2, 3 and 5).
    pub(crate) const ROUNDS: usize = 30;

    /// The value is not known: nothing is said about it or what stands in it.
    pub(crate) fn break_at(&mut self, path: &str) {
        self.broken.insert(path.to_owned());
    }

    /// Names may be missing from the map or list.
    pub(crate) fn open(&mut self, path: &str) {
        self.open.insert(path.to_owned());
    }

    /// What is read as one part is declared in another place.
    pub(crate) fn stands_for(&mut self, part: String, place: String) {
        self.declared_at.insert(part, place);
    }

    /// Where a field is declared: the place of the part that it belongs to, if that is another one.
    pub(crate) fn declared_at(&self, field: &str) -> String {
        let part = field.find("].").map_or(field, |end| &field[..=end]);
        self.declared_at.get(part).map_or(field, String::as_str).to_owned()
    }

    /// Declarations of a kind may be missing.
    pub(crate) fn open_kind(&mut self, kind: &'static str) {
        self.open_kinds.insert(kind);
    }

    /// A declaration of this name is of no known kind.
    pub(crate) fn stranger(&mut self, name: &str) {
        self.strangers.insert(name.to_owned());
    }

    /// Whether a name that is not known may be that of a declaration which could not be read.
    pub(crate) fn may_be_declared(&self, kind: &str, name: &str) -> bool {
        self.kind_is_open(kind) || self.strangers.contains(name)
    }

    /// Whether declarations of a kind may be missing.
    pub(crate) fn kind_is_open(&self, kind: &str) -> bool {
        self.open_kinds.contains(kind)
    }

    /// Whether it or something around it could not be read.
    pub(crate) fn covers(&self, path: &str) -> bool {
        let mut path = path;
        loop {
            if self.broken.contains(path) {
                return true;
            }
            match path.rfind(['.', '[', ':']) {
                Some(end) => path = &path[..end],
                None => return false,
            }
        }
    }

    /// Whether names may be missing from it.
    pub(crate) fn is_open(&self, path: &str) -> bool {
        self.open.contains(path) || self.covers(path)
    }

    /// Whether it or something in it could not be read.
    pub(crate) fn touches(&self, path: &str) -> bool {
        let within = |other: &String| {
            other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', ':']))
        };
        self.covers(path) || self.broken.iter().chain(&self.open).any(within)
    }
}
