//! What the service did in the window: traffic, rollouts, decisions.

use crate::chart::{self, StepsChart};
use crate::page::{self, Tone, badge, escape};
use crate::spec::Report;
use crate::write;

/// Rollouts and decisions that are listed, the newest ones.
const MOST_ROLLOUTS: usize = 50;
const MOST_DECISIONS: usize = 100;

/// The section about who answered.
pub(super) fn traffic(report: &Report) -> String {
    let mut out = String::from("<section>\n<h2>Traffic</h2>\n");
    let before = |at| at < report.traffic.until;
    if report.traffic.steps.iter().any(|step| before(step.at) && !step.shares.is_empty()) {
        let title = format!("Shares of the traffic of {}", report.endpoint);
        let chart = StepsChart { title: &title, from: report.from, traffic: &report.traffic };
        out.push_str(&format!("<div class=\"card\">\n{}</div>\n", chart::stacked_steps(&chart)));
    } else {
        out.push_str("<p class=\"empty\">No model had a share of the traffic in this window.</p>\n");
    }
    out.push_str("</section>\n");
    out
}

/// The section about rollouts; nothing where there were none.
pub(super) fn rollouts(report: &Report) -> String {
    if report.rollouts.is_empty() {
        return String::new();
    }
    let newest = &report.rollouts[report.rollouts.len().saturating_sub(MOST_ROLLOUTS)..];
    let rows: Vec<Vec<String>> = newest
        .iter()
        .map(|rollout| {
            let outcome = match &rollout.outcome {
                Some(outcome) => badge(tone(outcome), outcome),
                None => badge(Tone::Plain, "in progress"),
            };
            vec![
                escape(&rollout.version),
                escape(&rollout.stage),
                outcome,
                write::instant(rollout.began),
                rollout.ended.map_or_else(|| "–".to_owned(), write::instant),
                escape(&rollout.reason),
            ]
        })
        .collect();
    let heads = ["Candidate", "Stage", "Outcome", "Began", "Ended", "Why"];
    format!(
        "<section>\n<h2>Rollouts</h2>\n{}{}</section>\n",
        page::table("Rollouts of candidates", &heads, &rows),
        cut(report.rollouts.len(), newest.len())
    )
}

/// The section about decisions.
pub(super) fn decisions(report: &Report) -> String {
    let mut out = String::from("<section>\n<h2>Decisions</h2>\n");
    if report.decisions.is_empty() {
        out.push_str("<p class=\"empty\">Nothing was decided in this window.</p>\n</section>\n");
        return out;
    }
    let newest = &report.decisions[report.decisions.len().saturating_sub(MOST_DECISIONS)..];
    let rows: Vec<Vec<String>> = newest
        .iter()
        .map(|entry| {
            let kind = badge(tone(&entry.kind), &entry.kind);
            vec![write::instant(entry.at), kind, escape(&entry.subject), escape(&entry.reason)]
        })
        .collect();
    out.push_str(&page::table("Decisions, oldest first", &["At", "What", "About", "Why"], &rows));
    out.push_str(&cut(report.decisions.len(), newest.len()));
    out.push_str("</section>\n");
    out
}

/// What a word about an outcome means, for its colour; the word itself is always shown.
fn tone(word: &str) -> Tone {
    match word {
        "promoted" | "started" | "succeeded" => Tone::Good,
        "held" | "rolled_back" | "rolled back" | "expired" => Tone::Warning,
        "refused" | "failed" => Tone::Alarm,
        _ => Tone::Plain,
    }
}

fn cut(all: usize, shown: usize) -> String {
    if shown == all {
        return String::new();
    }
    let earlier = write::counted((all - shown) as u64, "earlier one is", "earlier ones are");
    format!("<p class=\"empty\">{earlier} in the JSON of this report only.</p>\n")
}
