//! Reading a positioned tree: every fault is noted and reading goes on.

mod values;

use std::cell::RefCell;
use std::sync::Arc;

use perennial_types::{did_you_mean, nearest};

use crate::fault::{Fault, Place, Places};
use crate::marks::Marks;
use crate::tree::{Entry, Node, Tree};

/// The faults found so far, and what could not be read for them.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) noted: RefCell<Vec<Fault>>,
    pub(crate) marks: RefCell<Marks>,
}

/// A value that is being read, with the path that messages name.
#[derive(Clone, Debug)]
pub(crate) struct Item<'a> {
    faults: &'a Faults,
    node: &'a Node,
    path: String,
    /// Whether this is a whole declaration.
    root: bool,
}

impl<'a> Item<'a> {
    /// A whole declaration under its owner's name: `Model "bike"`.
    pub(crate) fn root(node: &'a Node, owner: String, faults: &'a Faults) -> Self {
        Self { faults, node, path: owner, root: true }
    }

    /// Note a fault of this value, which is then unknown.
    pub(crate) fn refuse(&self, message: impl Into<String>, help: &str) {
        if !self.root {
            self.break_here();
        }
        self.refuse_at(&self.node.at, message, help);
    }

    fn break_here(&self) {
        self.faults.marks.borrow_mut().break_at(&self.path);
    }

    /// Names may be missing here.
    pub(crate) fn open(&self) {
        self.faults.marks.borrow_mut().open(&self.path);
    }

    /// A part of what is read from this, `aggregates[3]`, is declared by another item, which messages name.
    pub(crate) fn stands_for(&self, part: &str, by: &Self) {
        let part = format!("{}: {part}", self.path);
        self.faults.marks.borrow_mut().stands_for(part, by.path.clone());
    }

    /// The text as it stands, if it is one, in place of a name that could not be read.
    pub(crate) fn raw(&self) -> Arc<str> {
        self.node.text().unwrap_or_default().into()
    }

    /// A value in place of one that could not be read: another one in each round.
    pub(crate) fn guess<T: Clone>(&self, values: &[T]) -> T {
        values[self.faults.marks.borrow().guess % values.len()].clone()
    }

    fn refuse_at(&self, place: &Place, message: impl Into<String>, help: &str) {
        let fault = Fault::at(self.path.clone(), message).help(help);
        let file = place.file.to_string();
        self.faults.noted.borrow_mut().push(Fault { file, line: place.line, column: place.column, ..fault });
    }

    pub(crate) fn wants(&self, what: &str) {
        self.refuse(format!("expected {what}, found {}", self.node.describe()), "");
    }

    fn named(&self, entry: &'a Entry) -> Self {
        Self { node: &entry.node, path: self.below(&entry.key), root: false, ..self.clone() }
    }

    fn below(&self, key: &str) -> String {
        let separator = if self.root { ": " } else { "." };
        format!("{}{separator}{key}", self.path)
    }

    fn nth(&self, i: usize, node: &'a Node) -> Self {
        Self { faults: self.faults, node, path: format!("{}[{i}]", self.path), root: false }
    }

    /// Remember where this and everything below it stands. An entry of a map can be found by its name and by
    /// its number, since a map of named things is kept as a list.
    pub(crate) fn remember(&self, places: &mut Places) {
        places.insert(self.path.clone(), self.node.at.clone());
        match &self.node.tree {
            Tree::List(nodes) => {
                for (i, node) in nodes.iter().enumerate() {
                    self.nth(i, node).remember(places);
                }
            }
            Tree::Map(entries) => {
                for (i, entry) in entries.iter().enumerate() {
                    self.named(entry).remember(places);
                    self.nth(i, &entry.node).remember(places);
                }
            }
            Tree::Null | Tree::Bool(_) | Tree::Int(_) | Tree::Float(_) | Tree::Text(_) => {}
        }
    }

    /// A text that is not empty.
    pub(crate) fn text(&self) -> Option<Arc<str>> {
        match self.node.text() {
            Some(text) if !text.trim().is_empty() => Some(text.into()),
            Some(_) | None => {
                self.wants("a text");
                None
            }
        }
    }

    /// A name that can stand in a URL: letters, digits, `_` and `-`, a letter first.
    pub(crate) fn name(&self) -> Option<Arc<str>> {
        let text = self.text()?;
        if is_name(&text, "_-") {
            return Some(text);
        }
        self.refuse(format!("{text:?} is no name"), "use letters, digits, _ and -, a letter first");
        None
    }

    /// A name that can stand in SQL: letters, digits and `_`, a letter first.
    pub(crate) fn identifier(&self) -> Option<Arc<str>> {
        let text = self.text()?;
        self.check_identifier(&text).then_some(text)
    }

    fn check_identifier(&self, text: &str) -> bool {
        let fits = is_name(text, "_");
        if !fits {
            let help = "use letters, digits and _, a letter first";
            self.refuse(format!("{text:?} cannot be named in an expression"), help);
        }
        fits
    }

    /// One of the named choices; those of `later` are words of the language that do nothing yet.
    pub(crate) fn one_of<T: Copy>(&self, choices: &[(&str, T)], later: &[&str]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == &*text) {
            return Some(*value);
        }
        if later.contains(&&*text) {
            self.refuse(format!("{text:?} is not supported yet"), &one_of_these(choices));
        } else {
            let help = did_you_mean(&text, choices.iter().map(|(name, _)| *name));
            self.refuse(format!("unknown value {text:?}"), &help);
        }
        None
    }

    /// The items of a list.
    pub(crate) fn list(&self) -> Vec<Self> {
        match &self.node.tree {
            Tree::List(nodes) => nodes.iter().enumerate().map(|(i, node)| self.nth(i, node)).collect(),
            Tree::Null | Tree::Bool(_) | Tree::Int(_) | Tree::Float(_) | Tree::Text(_) | Tree::Map(_) => {
                self.wants("a list");
                Vec::new()
            }
        }
    }

    /// Whether this is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.tree, Tree::List(_))
    }

    /// Whether this is a map.
    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.tree, Tree::Map(_))
    }

    /// Whether this is a map with one of these keys.
    pub(crate) fn has_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.node.get(key).is_some())
    }

    /// The keys of a map; none for anything else.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.node.entries().iter().map(|entry| entry.key.as_str())
    }

    /// The text, if it is one; anything else is no fault.
    pub(crate) fn as_text(&self) -> Option<&'a str> {
        self.node.text()
    }

    /// The entries of a map whose keys are names that expressions use; a fault of a name is noted.
    pub(crate) fn named_items(&self) -> Vec<(Arc<str>, Self)> {
        let mut items = Vec::new();
        for entry in self.map_entries("a map of names") {
            let item = self.named(entry);
            if !item.check_identifier(&entry.key) {
                self.open();
            }
            items.push((Arc::from(entry.key.as_str()), item));
        }
        items
    }

    /// The entries of a map by their keys, which are names of declarations.
    pub(crate) fn entries(&self) -> Vec<(Arc<str>, Self)> {
        let entries = self.map_entries("a map of names");
        entries.into_iter().map(|entry| (Arc::from(entry.key.as_str()), self.named(entry))).collect()
    }

    /// The fields of a map.
    pub(crate) fn fields(&self) -> Fields<'a> {
        let entries = self.map_entries("a map of fields");
        Fields { item: self.clone(), entries, known: Vec::new(), missing: Vec::new(), whole: self.is_map() }
    }

    /// The entries; a key that stands twice is refused and left out the second time.
    fn map_entries(&self, wanted: &str) -> Vec<&'a Entry> {
        if !self.is_map() {
            self.wants(wanted);
        }
        let mut entries: Vec<&Entry> = Vec::new();
        for entry in self.node.entries() {
            match entries.iter().find(|other| other.key == entry.key) {
                Some(first) => {
                    let message = format!("{:?} stands twice, first in line {}", entry.key, first.at.line);
                    self.named(entry).break_here();
                    self.refuse_at(&entry.at, message, "");
                }
                None => entries.push(entry),
            }
        }
        entries
    }
}

/// The fields of one map; what nobody asked for is unknown.
pub(crate) struct Fields<'a> {
    item: Item<'a>,
    entries: Vec<&'a Entry>,
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
    /// Whether a field that is not here is missing.
    whole: bool,
}

impl<'a> Fields<'a> {
    /// A field that may be left out. What is written as nothing counts as left out.
    pub(crate) fn optional(&mut self, name: &'static str) -> Option<Item<'a>> {
        self.known.push(name);
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        (!matches!(entry.node.tree, Tree::Null)).then(|| self.item.named(entry))
    }

    /// Whether a field is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == name)
    }

    /// A field that must be there.
    pub(crate) fn required(&mut self, name: &'static str) -> Option<Item<'a>> {
        let item = self.optional(name);
        if item.is_none() {
            self.item.faults.marks.borrow_mut().break_at(&self.item.below(name));
            self.missing.push(name);
        }
        item
    }

    /// Fields of the language that do nothing yet: they are refused, never ignored.
    pub(crate) fn later(&mut self, names: &[&'static str]) {
        for entry in &self.entries {
            if names.contains(&entry.key.as_str()) {
                self.item.named(entry).refuse_at(
                    &entry.at,
                    format!("{:?} is not supported yet", entry.key),
                    "",
                );
            }
        }
        self.entries.retain(|entry| !names.contains(&entry.key.as_str()));
    }

    /// A field that is not here may stand where it could not be read.
    pub(crate) fn may_stand_elsewhere(&mut self) {
        self.whole = false;
    }

    /// Note a fault of fields that do not go together; each alone is known.
    pub(crate) fn refuse(&self, message: impl Into<String>, help: &str) {
        self.item.refuse_at(&self.item.node.at, message, help);
    }

    /// Refuse what is missing, but not what nobody asked for: which fields there may be is not known.
    pub(crate) fn finish_unknown(self) {
        let entries = self.entries.iter().map(|entry| &*entry.key);
        let strange: Vec<&str> = entries.filter(|key| !self.known.contains(key)).collect();
        self.refuse_missing(&strange);
    }

    /// A field that stands here under a misspelt name is not missing as well.
    fn refuse_missing(&self, strange: &[&str]) {
        let missing = self.missing.iter().filter(|_| self.whole);
        for name in missing {
            if !strange.iter().any(|key| nearest(key, self.known.iter().copied()) == Some(*name)) {
                self.refuse(format!("field {name:?} is missing"), "");
            }
        }
    }

    /// Refuse what is missing and what nobody asked for.
    pub(crate) fn finish(self) {
        let mut strange = Vec::new();
        for entry in &self.entries {
            if !self.known.contains(&entry.key.as_str()) {
                strange.push(&*entry.key);
                let help = did_you_mean(&entry.key, self.known.iter().copied());
                if let Some(meant) = nearest(&entry.key, self.known.iter().copied()) {
                    self.item.faults.marks.borrow_mut().break_at(&self.item.below(meant));
                }
                self.item.refuse_at(&entry.at, format!("unknown field {:?}", entry.key), &help);
            }
        }
        self.refuse_missing(&strange);
    }
}

fn is_name(text: &str, besides: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || besides.contains(letter);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.chars().all(fits)
}

fn one_of_these<T>(choices: &[(&str, T)]) -> String {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    format!("known are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str, read: impl Fn(&Item<'_>)) -> Vec<String> {
        let nodes = crate::tree::parse("a.yaml", text).unwrap();
        let faults = Faults::default();
        read(&Item::root(&nodes[0], "Model \"m\"".into(), &faults));
        faults.noted.into_inner().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_unknown_field_is_refused_by_naming_the_nearest_one() {
        let faults = faults_of("nmae: x\nuntil: y\nsize: -3\n", |item| {
            let mut fields = item.fields();
            fields.later(&["until"]);
            assert!(fields.required("name").is_none());
            assert!(fields.optional("size").unwrap().whole(1).is_none());
            fields.finish();
        });
        assert_eq!(
            faults,
            [
                "a.yaml:2:1: Model \"m\": until: \"until\" is not supported yet",
                "a.yaml:3:7: Model \"m\": size: expected a whole number of at least 1, found -3",
                "a.yaml:1:1: Model \"m\": unknown field \"nmae\"; did you mean \"name\"?",
            ]
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let faults = faults_of("a: 1\nb: 2\na: 3\n", |item| drop(item.named_items()));
        assert_eq!(faults, ["a.yaml:3:1: Model \"m\": \"a\" stands twice, first in line 1"]);
    }
}
