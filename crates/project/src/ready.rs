//! Ready declarations, from which a policy or a source can start: `use: adaptive`, `use: actions`.
//!
//! What is given replaces what the ready one says. To the `schema` of a source columns are added; `signals`,
//! `guards` and `actions` of a policy are merged entry by entry, so that one signal can be replaced and the others
//! kept. `triggers`, `gates` and `rollout` are lists whose order matters and are replaced as a whole. What is
//! written as nothing is taken out: `rollback:`, or `guards: {budget: }`.

use perennial_types::did_you_mean;

use crate::fault::owner;
use crate::fields::{Faults, Item};
use crate::tree::{self, Entry, Node, Tree};

/// The ready policies by name.
const POLICIES: [(&str, &str); 3] = [
    ("adaptive", include_str!("../../../policies/adaptive.yaml")),
    ("performance", include_str!("../../../policies/performance.yaml")),
    ("scheduled", include_str!("../../../policies/scheduled.yaml")),
];

/// The ready sources by name.
const SOURCES: [(&str, &str); 1] = [("actions", include_str!("ready/actions.yaml"))];

/// The ready declarations of a kind.
struct Ready {
    kind: &'static str,
    /// What they are called; the place of a fault in one begins with it.
    plural: &'static str,
    singular: &'static str,
    known: &'static [(&'static str, &'static str)],
    /// What every declaration says for itself.
    own: &'static [&'static str],
    /// The fields that are merged entry by entry.
    merged: &'static [&'static str],
    /// What is named elsewhere, and may be the ready one's.
    named: &'static [&'static str],
}

const READY_POLICIES: Ready = Ready {
    kind: "Policy",
    plural: "policies",
    singular: "policy",
    known: &POLICIES,
    own: &["kind", "name", "models"],
    merged: &["signals", "guards", "actions"],
    named: &["signals", "actions", "gates"],
};

const READY_SOURCES: Ready = Ready {
    kind: "Source",
    plural: "sources",
    singular: "source",
    known: &SOURCES,
    own: &["kind", "name"],
    merged: &["schema"],
    named: &["schema"],
};

/// A policy's document with the fields of the ready policy that it uses, as far as it does not give them, and
/// whether that is there. What is filled in stands where the ready policy is named.
pub(crate) fn policy(node: &Node, faults: &Faults) -> (Node, bool) {
    with_used(&READY_POLICIES, node, faults)
}

/// The same of a source.
pub(crate) fn source(node: &Node, faults: &Faults) -> (Node, bool) {
    with_used(&READY_SOURCES, node, faults)
}

fn with_used(of: &Ready, node: &Node, faults: &Faults) -> (Node, bool) {
    let Some(used) = node.get("use").filter(|used| !matches!(used.tree, Tree::Null)) else {
        return (node.clone(), true);
    };
    let owner = owner(of.kind, node.get("name").and_then(Node::text).unwrap_or_default());
    let unread = || {
        let mut marks = faults.marks.borrow_mut();
        of.named.iter().for_each(|field| marks.open(&format!("{owner}: {field}")));
        (node.clone(), false)
    };
    let Some(name) = used.text() else { return unread() };
    let Some((name, text)) = of.known.iter().find(|(known, _)| *known == name) else {
        let help = did_you_mean(name, of.known.iter().map(|(known, _)| *known));
        Item::root(used, format!("{owner}: use"), faults)
            .refuse(format!("there is no ready {} {name:?}", of.singular), &help);
        return unread();
    };
    let ready = match tree::parse(&format!("{}/{name}.yaml", of.plural), text) {
        Ok(documents) => documents,
        Err(fault) => {
            faults.noted.borrow_mut().push(fault);
            return unread();
        }
    };
    let mut entries: Vec<Entry> = node.entries().to_vec();
    for mut entry in ready.iter().flat_map(Node::entries).cloned() {
        if of.own.contains(&entry.key.as_str()) {
            continue;
        }
        entry.at = used.at.clone();
        entry.node.stand_at(&used.at);
        match entries.iter_mut().find(|own| own.key == entry.key) {
            None => entries.push(entry),
            Some(own) if of.merged.contains(&entry.key.as_str()) => merge(&mut own.node, entry.node),
            Some(_) => {}
        }
    }
    (Node { at: node.at.clone(), tree: Tree::Map(entries) }, true)
}

/// Fill the entries of `ready` that `own` does not give into it, in front, and take out what `own` gives as
/// nothing.
fn merge(own: &mut Node, ready: Node) {
    let (Tree::Map(own), Tree::Map(ready)) = (&mut own.tree, ready.tree) else { return };
    let mut kept: Vec<Entry> = Vec::new();
    for entry in ready {
        match own.iter().position(|given| given.key == entry.key) {
            None => kept.push(entry),
            Some(place) if matches!(own[place].node.tree, Tree::Null) => {
                own.remove(place);
            }
            Some(_) => {}
        }
    }
    kept.append(own);
    *own = kept;
}
