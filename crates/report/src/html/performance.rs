//! How well the models answered.

use crate::chart::{self, Line, LineChart};
use crate::page::{self, escape};
use crate::spec::{MetricPoint, MetricSeries, Report};
use crate::verdict::{against, title};
use crate::write;

/// Metrics with a chart, over all models.
const MOST_CHARTS: usize = 12;

/// Values of a metric that its table lists; the chart shows all of them.
const MOST_VALUES: usize = 24;

/// The section about the metrics of every model.
pub(super) fn section(report: &Report) -> String {
    let mut out = String::from("<section>\n<h2>Performance</h2>\n");
    let series =
        report.models.iter().flat_map(|model| model.performance.iter().map(move |series| (model, series)));
    let all = series.clone().count();
    if all == 0 {
        out.push_str("<p class=\"empty\">No metric has a value in this window.</p>\n</section>\n");
        return out;
    }
    out.push_str("<div class=\"cards\">\n");
    for (model, series) in series.take(MOST_CHARTS) {
        out.push_str(&card(report, title(model), series));
    }
    out.push_str("</div>\n");
    if all > MOST_CHARTS {
        let more = write::counted((all - MOST_CHARTS) as u64, "metric is", "metrics are");
        out.push_str(&format!("<p class=\"empty\">{more} in the JSON of this report only.</p>\n"));
    }
    out.push_str("</section>\n");
    out
}

fn card(report: &Report, model: &str, series: &MetricSeries) -> String {
    let last = series.points.iter().rev().find_map(|point| point.value).filter(|value| value.is_finite());
    let comparison = last.zip(series.baseline).and_then(|(last, baseline)| against(last, baseline));
    let sentence = match (last, comparison) {
        (Some(last), Some(comparison)) => format!("{}, {comparison}", write::number(last)),
        (Some(last), None) => format!("{}, without a baseline", write::number(last)),
        (None, _) => "no value: too few labels have matured".to_owned(),
    };
    let chart_title = format!("{} of {model} over the window", series.metric);
    let chart = chart::line(&LineChart {
        title: &chart_title,
        unit: series.unit.as_deref(),
        from: report.from,
        to: report.to,
        baseline: series.baseline,
        lines: &[Line { name: model, points: &series.points }],
    });
    format!(
        "<article class=\"card\">\n<h4>{} <small>{}</small></h4>\n<p>{}</p>\n{chart}{}</article>\n",
        escape(&series.metric),
        escape(model),
        escape(&sentence),
        values(&series.points)
    )
}

/// The newest values as a table, for those who do not see the chart.
fn values(points: &[MetricPoint]) -> String {
    if points.is_empty() {
        return String::new();
    }
    let newest = &points[points.len().saturating_sub(MOST_VALUES)..];
    let rows: Vec<Vec<String>> = newest
        .iter()
        .map(|point| {
            vec![write::instant(point.at), write::number_or_dash(point.value), write::count(point.rows)]
        })
        .collect();
    let caption = if newest.len() < points.len() { "The newest values" } else { "Values" };
    format!(
        "<details><summary>Values</summary>\n{}</details>\n",
        page::table(caption, &["Until", "Value", "Rows"], &rows)
    )
}
