//! YAML as a tree in which every node knows where it stands.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, MergeKeyPolicy, SnippetMode, Spanned};

use crate::fault::{Fault, Place};

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) tree: Tree,
}

/// A YAML value.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map with its value; a key may stand twice, which the reader refuses.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Place,
    pub(crate) node: Node,
}

/// The documents of a file; empty ones are left out.
///
/// # Errors
/// The first place at which the text is no YAML.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Node>, Fault> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    let mut nodes: Vec<Node> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let plain = serde_saphyr::render_options! { snippets: SnippetMode::Off };
        let message = format!("not readable as YAML: {}", error.render_with_options(plain));
        Fault { file: file.to_owned(), line, column, ..Fault::at("", message) }
    })?;
    let file = Arc::from(file);
    nodes.iter_mut().for_each(|node| node.stamp(&file));
    Ok(nodes)
}

impl Node {
    /// What it is, for messages: `text "abc"`, `a list`.
    pub(crate) fn describe(&self) -> String {
        match &self.tree {
            Tree::Null => "nothing".into(),
            Tree::Bool(value) => value.to_string(),
            Tree::Int(value) => value.to_string(),
            Tree::Float(value) => value.to_string(),
            Tree::Text(text) => format!("{text:?}"),
            Tree::List(_) => "a list".into(),
            Tree::Map(_) => "a map".into(),
        }
    }

    /// The value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.tree {
            Tree::Map(entries) => entries,
            Tree::Null | Tree::Bool(_) | Tree::Int(_) | Tree::Float(_) | Tree::Text(_) | Tree::List(_) => &[],
        }
    }

    /// Write the file's name into every place.
    fn stamp(&mut self, file: &Arc<str>) {
        self.at.file = Arc::clone(file);
        match &mut self.tree {
            Tree::List(nodes) => nodes.iter_mut().for_each(|node| node.stamp(file)),
            Tree::Map(entries) => {
                for entry in entries {
                    entry.at.file = Arc::clone(file);
                    entry.node.stamp(file);
                }
            }
            Tree::Null | Tree::Bool(_) | Tree::Int(_) | Tree::Float(_) | Tree::Text(_) => {}
        }
    }

    /// The same as if it stood at one place.
    pub(crate) fn stand_at(&mut self, place: &Place) {
        self.at = place.clone();
        match &mut self.tree {
            Tree::List(nodes) => nodes.iter_mut().for_each(|node| node.stand_at(place)),
            Tree::Map(entries) => {
                for entry in entries {
                    entry.at = place.clone();
                    entry.node.stand_at(place);
                }
            }
            Tree::Null | Tree::Bool(_) | Tree::Int(_) | Tree::Float(_) | Tree::Text(_) => {}
        }
    }

    /// The text, if this is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.tree {
            Tree::Text(text) => Some(text),
            Tree::Null | Tree::Bool(_) | Tree::Int(_) | Tree::Float(_) | Tree::List(_) | Tree::Map(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Tree>::deserialize(deserializer)?;
        Ok(Self { at: place(&spanned.referenced), tree: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

fn place(location: &Location) -> Place {
    Place { file: Arc::default(), line: location.line(), column: location.column() }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(i64::try_from(value).map_or(Tree::Float(value as f64), Tree::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element()? {
            nodes.push(node);
        }
        Ok(Tree::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            entries.push(Entry { at: place(&key.referenced), key: key.value, node: map.next_value()? });
        }
        Ok(Tree::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_and_key_knows_its_line_and_column() {
        let nodes =
            parse("a.yaml", "# first\nname: x\nlist:\n  - {a: 1e-5, b: double?}\n---\nname: on\n").unwrap();
        assert_eq!(nodes.len(), 2);
        let at = |place: &Place| (place.line, place.column);
        assert_eq!(at(&nodes[0].get("name").unwrap().at), (2, 7));
        let Tree::List(items) = &nodes[0].get("list").unwrap().tree else { panic!("no list") };
        assert_eq!(at(&items[0].at), (4, 5));
        assert_eq!(at(&items[0].entries()[1].at), (4, 15));
        assert!(matches!(items[0].get("a").unwrap().tree, Tree::Float(value) if value == 1e-5));
        assert_eq!(items[0].get("b").unwrap().text(), Some("double?"));
        assert_eq!(nodes[1].get("name").unwrap().text(), Some("on"), "only true and false are booleans");
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_place() {
        let fault = parse("a.yaml", "name: [x\nkind: Model\n").unwrap_err();
        assert_eq!((fault.file.as_str(), fault.line), ("a.yaml", 2));
        assert!(parse("a.yaml", "a: 1\na: 2\n").is_ok(), "the reader sees both");
    }
}
