//! What each policy sees of a model, and what it makes of it.

use std::collections::BTreeMap;

use perennial_report::page::{self, Tone, badge, escape};
use perennial_report::write;

use super::{ModelPart, PolicyPart, SignalPart, TriggerPart, tone};

impl ModelPart {
    /// The policies of the model.
    pub(super) fn policies(&self) -> String {
        let mut out = String::new();
        for policy in &self.policies {
            out.push_str(&policy.card(&self.name));
        }
        if out.is_empty() {
            out
        } else {
            format!("<h3>{} <small>policies</small></h3>\n{out}", escape(&self.name))
        }
    }
}

impl PolicyPart {
    fn card(&self, model: &str) -> String {
        let mut out = format!("<article class=\"card policy\">\n<h4>{}</h4>\n", escape(&self.name));
        if self.signals.is_empty() {
            out.push_str("<p>It begins when the model has a version.</p>\n");
        } else {
            let rows = signal_rows(&self.signals);
            out.push_str(&page::table("Signals at the last tick", &["Signal", "Values"], &rows));
        }
        if !self.triggers.is_empty() {
            let rows: Vec<Vec<String>> = self.triggers.iter().map(TriggerPart::row).collect();
            let heads = ["Trigger", "Asks for", "Condition", "Since", "When"];
            out.push_str(&page::table("Triggers", &heads, &rows));
        }
        match &self.last {
            Some(last) => out.push_str(&format!(
                "<p>Last decision {} {}: {} <a href=\"/v1/decisions?model={}&amp;policy={}\">more</a></p>\n",
                write::instant(last.at),
                badge(tone(last.verdict), &last.verdict.replace('_', " ")),
                escape(&last.reason),
                escape(model),
                escape(&self.name),
            )),
            None => out.push_str("<p>It has not decided anything yet.</p>\n"),
        }
        out.push_str("</article>\n");
        out
    }
}

impl TriggerPart {
    fn row(&self) -> Vec<String> {
        let truth = match (self.truth, &self.held_by) {
            (Some(true), Some(_)) => badge(Tone::Warning, "true, held"),
            (Some(true), None) => badge(Tone::Alarm, "true"),
            (Some(false), _) => badge(Tone::Plain, "false"),
            (None, _) => badge(Tone::Plain, "unknown"),
        };
        let held = self
            .held_by
            .as_ref()
            .map_or_else(String::new, |held| format!("<div class=\"note\">held: {}</div>", escape(held)));
        vec![
            escape(&self.name),
            self.action.replace('_', " "),
            truth,
            self.since.map_or_else(|| "–".to_owned(), write::instant),
            format!("<code>{}</code>{held}", escape(&self.condition)),
        ]
    }
}

/// A row for each signal: its known members with their values, and why the others are unknown, each reason once.
fn signal_rows(members: &[SignalPart]) -> Vec<Vec<String>> {
    let mut signals: BTreeMap<&str, Vec<(&str, &SignalPart)>> = BTreeMap::new();
    for part in members {
        let (signal, member) = part.member.split_once('.').unwrap_or((&part.member, ""));
        signals.entry(signal).or_default().push((member, part));
    }
    let mut rows = Vec::with_capacity(signals.len());
    for (signal, members) in signals {
        let mut values = String::new();
        let mut unknown: Vec<(&str, Vec<&str>)> = Vec::new();
        for (member, part) in members {
            match &part.value {
                Ok(value) => values.push_str(&format!(
                    "<span>{} <b>{}</b></span> ",
                    escape(&member.replace('_', " ")),
                    escape(value)
                )),
                Err(reason) => match unknown.iter_mut().find(|(known, _)| known == reason) {
                    Some((_, members)) => members.push(member),
                    None => unknown.push((reason, vec![member])),
                },
            }
        }
        for (reason, members) in unknown {
            let members = escape(&members.join(", ").replace('_', " "));
            values
                .push_str(&format!("<span class=\"unknown\">{members} unknown: {}</span> ", escape(reason)));
        }
        rows.push(vec![escape(signal), format!("<div class=\"values\">{}</div>", values.trim_end())]);
    }
    rows
}
