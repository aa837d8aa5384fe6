//! What the service tells afterwards: runs, decisions, lineage.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use perennial_remote::{Client, Run, Version, VersionRef};
use perennial_types::ContentHash;

/// How the current version of a model came to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// Runs that the policy started, by what came of them; the first fit is left out.
    pub runs: BTreeMap<String, u64>,
    /// Rows times epochs of these runs.
    pub row_visits: u64,
    /// How often a trigger was held back, by the reason without its numbers.
    pub held: BTreeMap<String, u64>,
    /// The current version and those it descends from, oldest first.
    pub lineage: Vec<Ancestor>,
    /// Why the current version exists.
    pub why: String,
}

/// A version in the lineage of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its number within the model.
    pub number: u64,
    /// Hash of its state, inputs and parent.
    pub content_hash: ContentHash,
}

impl Story {
    /// Ask the service about a model.
    ///
    /// # Errors
    /// When it does not answer, or the model has no version.
    pub async fn read(client: &Client, model: &str) -> Result<Self> {
        let runs = client.runs(Some(model), None).await.context("reading the runs")?;
        let held =
            client.decisions(Some(model), Some("held"), None).await.context("reading the decisions")?;
        let current =
            client.version(model, VersionRef::Current).await.context("reading the current version")?;
        let ancestors =
            client.ancestors(model, VersionRef::Current).await.context("reading its ancestors")?;
        let why = client.why(model, VersionRef::Current).await.context("asking why it exists")?;
        let started: Vec<&Run> = runs.iter().filter(|run| run.action != "first_fit").collect();
        Ok(Self {
            runs: count(started.iter().map(|run| run.state.clone())),
            row_visits: started.iter().filter_map(|run| run.row_visits).sum(),
            held: count(held.iter().map(|decision| without_numbers(&decision.reason))),
            lineage: chain(&current, &ancestors.items),
            why: why.sentence,
        })
    }

    /// The lineage in one line, its middle left out when it is long.
    pub fn lineage_line(&self) -> String {
        let named = |ancestor: &Ancestor| format!("{} ({})", ancestor.number, ancestor.content_hash.short());
        let all: Vec<String> = self.lineage.iter().map(named).collect();
        if all.len() <= 7 {
            return all.join(" -> ");
        }
        let between = all.len() - 6;
        format!("{} -> [{between} more] -> {}", all[..3].join(" -> "), all[all.len() - 3..].join(" -> "))
    }
}

fn chain(current: &Version, ancestors: &[Version]) -> Vec<Ancestor> {
    // A version's number is larger than its parent's, so numbers are in the order of descent.
    let all = ancestors.iter().chain([current]);
    let by_number: BTreeMap<u64, ContentHash> =
        all.map(|version| (version.number, version.content_hash)).collect();
    by_number.into_iter().map(|(number, content_hash)| Ancestor { number, content_hash }).collect()
}

fn count(names: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// A reason with every word that has a digit in it replaced, so that equal reasons count together.
fn without_numbers(reason: &str) -> String {
    let word = |word: &str| match word.find(|c: char| c.is_ascii_digit()) {
        Some(_) => "…".to_owned(),
        None => word.to_owned(),
    };
    reason.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64, depth: Option<u64>) -> Version {
        let json = serde_json::json!({
            "id": format!("m/{number}"), "model": "m", "number": number, "depth": depth,
            "content_hash": ContentHash::of(&number.to_le_bytes()),
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn lineage_is_oldest_first_whether_or_not_it_names_the_version_itself() {
        let ancestors = [version(4, Some(1)), version(1, Some(2))];
        let with_itself = [version(9, Some(0)), version(4, Some(1)), version(1, Some(2))];
        let found = chain(&version(9, None), &ancestors);
        assert_eq!(found.iter().map(|ancestor| ancestor.number).collect::<Vec<_>>(), [1, 4, 9]);
        assert_eq!(chain(&version(9, None), &with_itself), found);
    }

    #[test]
    fn reasons_that_differ_in_numbers_count_together() {
        let reasons = ["cooldown: 23h of 48h left", "cooldown: 7h of 48h left", "budget is spent"];
        let counts = count(reasons.into_iter().map(without_numbers));
        assert_eq!(counts["cooldown: … of … left"], 2);
        assert_eq!(counts["budget is spent"], 1);
    }

    #[test]
    fn a_long_lineage_keeps_its_ends() {
        let lineage: Vec<Ancestor> = (1..=300)
            .map(|number| Ancestor { number, content_hash: ContentHash::of(&number.to_le_bytes()) })
            .collect();
        let (runs, held) = (BTreeMap::new(), BTreeMap::new());
        let story = Story { runs, row_visits: 0, held, lineage, why: String::new() };
        let line = story.lineage_line();
        assert!(line.starts_with("1 (") && line.contains("-> [294 more] ->"), "{line}");
        assert!(line.ends_with(&format!("300 ({})", ContentHash::of(&300_u64.to_le_bytes()).short())));
    }
}
