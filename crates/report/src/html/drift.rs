//! What changed in the inputs: a card for each changed column, a line of a table for each other.

use crate::chart;
use crate::page::{self, Tone, badge, escape};
use crate::spec::{ColumnKind, ColumnSection, DriftSection, ModelSection, Report};
use crate::verdict::{changed, effect, sort, title};
use crate::write;

/// Changed columns with a card of their own over all models, so that a report stays small.
const MOST_CARDS: usize = 18;

/// Columns in tables over all models.
const MOST_ROWS: usize = 200;

/// New categories that are named.
const MOST_NEW: usize = 6;

/// The section about the inputs of every model.
pub(super) fn section(report: &Report) -> String {
    let mut out = String::from("<section>\n<h2>What changed</h2>\n");
    if report.models.is_empty() {
        out.push_str("<p class=\"empty\">No model was in service in this window.</p>\n");
    }
    let (mut cards, mut rows) = (MOST_CARDS, MOST_ROWS);
    for model in &report.models {
        out.push_str(&format!(
            "<h3>{} <small>{} of the traffic</small></h3>\n",
            escape(title(model)),
            write::percent(model.share)
        ));
        match &model.drift {
            Some(drift) => out.push_str(&compared(drift, &mut cards, &mut rows)),
            None => out.push_str(&unknown(model)),
        }
    }
    out.push_str("</section>\n");
    out
}

fn unknown(model: &ModelSection) -> String {
    let why = model.drift_unknown.as_deref().unwrap_or("no comparison was made");
    format!("<p class=\"empty\">Not compared: {}</p>\n", escape(why))
}

/// The comparison of one model; `cards` and `rows` are what is left of the room of the report.
fn compared(drift: &DriftSection, cards: &mut usize, rows: &mut usize) -> String {
    let mut out = summary(drift);
    let changed = changed(drift);
    let shown = changed.len().min(*cards);
    *cards -= shown;
    if shown > 0 {
        out.push_str("<div class=\"cards\">\n");
        changed[..shown].iter().for_each(|column| out.push_str(&card(column)));
        out.push_str("</div>\n");
    }
    let mut rest: Vec<&ColumnSection> = drift.columns.iter().filter(|column| !column.alarmed).collect();
    sort(&mut rest);
    let unchanged = rest.len() as u64;
    let more = changed[shown..].iter().chain(&rest).copied().collect::<Vec<_>>();
    if more.is_empty() {
        return out;
    }
    let heading = match (changed.len() - shown) as u64 {
        0 => format!("{} did not change", write::counted(unchanged, "column", "columns")),
        n => format!("{} more changed, {} did not", write::count(n), write::count(unchanged)),
    };
    let listed = more.len().min(*rows);
    *rows -= listed;
    out.push_str(&format!("<details><summary>{heading}</summary>\n{}", table(&more[..listed])));
    if listed < more.len() {
        let left = write::counted((more.len() - listed) as u64, "column is", "columns are");
        out.push_str(&format!("<p class=\"empty\">{left} in the JSON of this report only.</p>\n"));
    }
    out.push_str("</details>\n");
    out
}

/// How the comparison was made and what it gave as a whole.
fn summary(drift: &DriftSection) -> String {
    let verdict = if drift.alarmed { badge(Tone::Alarm, "alarm") } else { badge(Tone::Good, "no alarm") };
    let weighted = match drift.weighted_share {
        Some(share) => format!(", {} weighted by importance", write::percent(share)),
        None => String::new(),
    };
    format!(
        "<p>{verdict} {} of the columns changed{weighted}.</p>\n\
         <p class=\"note\">Compared {} with {} of the reference: {}, corrected by {} at {}.</p>\n",
        write::percent(drift.share),
        write::counted(drift.current_rows, "row", "rows"),
        write::count(drift.reference_rows),
        escape(&drift.method),
        escape(&drift.correction),
        write::number(drift.alpha),
    )
}

fn card(column: &ColumnSection) -> String {
    let chart_title = format!("{}: the reference and this window", column.name);
    let mut out = format!(
        "<article class=\"card\">\n<h4>{} {}</h4>\n<p>{}</p>\n{}",
        escape(&column.name),
        badge(Tone::Alarm, &effect(column)),
        escape(&column.reason),
        chart::histogram_pair(&chart_title, &column.reference, &column.current)
    );
    if !column.new_categories.is_empty() {
        out.push_str(&format!("<p class=\"note\">{}</p>\n", new_categories(column)));
    }
    out.push_str(&format!(
        "<dl class=\"facts\"><div><dt>{}</dt><dd>{}</dd></div><div><dt>p adjusted</dt><dd>{}</dd></div>\
         <div><dt>missing</dt><dd>{}</dd></div></dl>\n</article>\n",
        escape(&column.test),
        write::number_or_dash(column.statistic),
        escape(&write::p_value(column.p_adjusted)),
        missing(column),
    ));
    out
}

fn new_categories(column: &ColumnSection) -> String {
    let named: Vec<String> =
        column.new_categories.iter().take(MOST_NEW).map(|name| format!("<b>{}</b>", escape(name))).collect();
    let more = match column.new_categories.len().saturating_sub(MOST_NEW) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("Not in the reference: {}{more}.", named.join(", "))
}

fn missing(column: &ColumnSection) -> String {
    let (before, now) = (write::percent(column.missing_reference), write::percent(column.missing_current));
    if before == now { escape(&now) } else { format!("{} → {}", escape(&before), escape(&now)) }
}

fn table(columns: &[&ColumnSection]) -> String {
    let heads = ["Column", "Kind", "Effect", "Test", "p", "p adjusted", "Missing", "Why"];
    let rows: Vec<Vec<String>> = columns
        .iter()
        .map(|column| {
            let kind = match column.kind {
                ColumnKind::Numeric => "numeric",
                ColumnKind::Categorical => "categorical",
            };
            vec![
                escape(&column.name),
                kind.to_owned(),
                effect(column),
                format!("{} {}", escape(&column.test), write::number_or_dash(column.statistic)),
                escape(&write::p_value(column.p_value)),
                escape(&write::p_value(column.p_adjusted)),
                missing(column),
                escape(&column.reason),
            ]
        })
        .collect();
    page::table("Columns, the largest effect first", &heads, &rows)
}
