//! Reads a Report.

use perennial_control::{ReportFormat, ReportSpec};
use perennial_types::TimeSpan;

use super::{named, open};
use crate::fields::Item;

/// The window in place of one that could not be read.
const DEFAULT_WINDOW: TimeSpan = TimeSpan::from_days(7);

/// Read a report. The order of its formats says nothing and is not kept.
pub(super) fn read(item: &Item<'_>) -> ReportSpec {
    let (mut fields, name) = open(item, Item::name);
    let endpoint = fields.required("endpoint").map(|item| item.name().unwrap_or_else(|| item.raw()));
    let schedule = fields.required("schedule").and_then(|item| item.text());
    let window = fields.required("window").and_then(|item| item.span());
    // A window is compared with nothing else, so that the field says what would hold without it.
    if let Some(item) = fields.optional("reference") {
        item.one_of(&[("training", ())], &[]);
    }
    let mut formats = match fields.optional("formats") {
        Some(item) => formats(&item),
        None => vec![ReportFormat::Html, ReportFormat::Json],
    };
    formats.sort_unstable();
    fields.finish();
    ReportSpec {
        name,
        endpoint: endpoint.unwrap_or_default(),
        schedule: schedule.unwrap_or_default(),
        window: window.unwrap_or(DEFAULT_WINDOW),
        formats,
    }
}

fn formats(item: &Item<'_>) -> Vec<ReportFormat> {
    let items = item.list();
    if item.is_list() && items.is_empty() {
        item.refuse("a report has at least one format", "known are html, json, markdown");
    }
    let mut formats = Vec::new();
    for item in &items {
        let Some(format) = item.one_of(&named(&ReportFormat::ALL, ReportFormat::name), &[]) else { continue };
        if formats.contains(&format) {
            item.refuse(format!("{} is named twice", format.name()), "");
        } else {
            formats.push(format);
        }
    }
    formats
}
