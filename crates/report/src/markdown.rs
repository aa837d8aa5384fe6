//! A report as a short summary for a message or a ticket.

use crate::spec::Report;
use crate::verdict::{changed, effect, title};
use crate::write;

/// Changed columns that are listed for each model.
const MOST_COLUMNS: usize = 10;

impl Report {
    /// The answer, the facts and the changed columns as Markdown.
    pub fn to_markdown(&self) -> String {
        let verdict = self.verdict();
        let mut out = format!(
            "# {}: {}\n\n{} UTC, compared with {}\n\n**Did anything change? {}.** {}\n",
            plain(&self.name),
            plain(&self.endpoint),
            plain(&write::window(self.from, self.to)),
            plain(&self.reference),
            verdict.answer.word(),
            plain(&verdict.sentence)
        );
        let counts = format!(
            "{}, {} labelled so far, {} answered by the fallback.",
            write::counted(self.requests, "request", "requests"),
            write::count(self.labelled),
            write::count(self.fallbacks)
        );
        out.push('\n');
        for fact in verdict.facts.iter().chain([&counts]).chain(&self.notes) {
            out.push_str(&format!("- {}\n", plain(fact)));
        }
        for model in &self.models {
            let columns = model.drift.as_ref().map(changed).unwrap_or_default();
            if columns.is_empty() {
                continue;
            }
            out.push_str(&format!(
                "\n## {}\n\n| column | effect | p adjusted | why |\n|---|---|---|---|\n",
                plain(title(model))
            ));
            for column in columns.iter().take(MOST_COLUMNS) {
                let (name, why) = (plain(&column.name), plain(&column.reason));
                let p = plain(&write::p_value(column.p_adjusted));
                out.push_str(&format!("| {name} | {} | {p} | {why} |\n", effect(column)));
            }
            if columns.len() > MOST_COLUMNS {
                out.push_str(&format!("\n{} more.\n", columns.len() - MOST_COLUMNS));
            }
        }
        out
    }
}

/// Text on one line without anything that Markdown or HTML reads.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
