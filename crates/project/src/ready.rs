//! The ready policies, from which a policy can start: `use: adaptive`.
//!
//! What a policy gives replaces what the ready one says; `signals`, `guards` and `actions` are merged entry by
//! entry, so that one signal can be replaced and the others kept. `triggers`, `gates` and `rollout` are lists
//! whose order matters and are replaced as a whole. What is written as nothing is taken out: `rollback:`, or
//! `guards: {budget: }`.

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

/// What every policy says for itself.
const OWN: [&str; 3] = ["kind", "name", "models"];

/// The fields that are merged entry by entry.
const MERGED: [&str; 3] = ["signals", "guards", "actions"];

/// The policy's document with the fields of the ready policy that it uses, as far as it does not give them, and
/// whether that is there. What is filled in stands where the ready policy is named.
pub(crate) fn with_used(node: &Node, faults: &Faults) -> (Node, bool) {
    let Some(used) = node.get("use").filter(|used| !matches!(used.tree, Tree::Null)) else {
        return (node.clone(), true);
    };
    let owner = owner("Policy", node.get("name").and_then(Node::text).unwrap_or_default());
    let unread = || {
        // What is named elsewhere in the policy may be the ready one's.
        let mut marks = faults.marks.borrow_mut();
        ["signals", "actions", "gates"].iter().for_each(|field| marks.open(&format!("{owner}: {field}")));
        (node.clone(), false)
    };
    let Some(name) = used.text() else { return unread() };
    let Some((name, text)) = POLICIES.into_iter().find(|(known, _)| *known == name) else {
        let help = did_you_mean(name, POLICIES.into_iter().map(|(known, _)| known));
        Item::root(used, format!("{owner}: use"), faults)
            .refuse(format!("there is no ready policy {name:?}"), &help);
        return unread();
    };
    let ready = match tree::parse(&format!("policies/{name}.yaml"), text) {
        Ok(documents) => documents,
        Err(fault) => {
            faults.noted.borrow_mut().push(fault);
            return unread();
        }
    };
    let mut entries: Vec<Entry> = node.entries().to_vec();
    for mut entry in ready.iter().flat_map(Node::entries).cloned() {
        if OWN.contains(&entry.key.as_str()) {
            continue;
        }
        entry.at = used.at.clone();
        entry.node.stand_at(&used.at);
        match entries.iter_mut().find(|own| own.key == entry.key) {
            None => entries.push(entry),
            Some(own) if MERGED.contains(&entry.key.as_str()) => merge(&mut own.node, entry.node),
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
