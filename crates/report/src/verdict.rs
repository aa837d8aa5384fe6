//! The answer to "did anything change?", in one sentence with its reason.

use crate::page::Tone;
use crate::spec::{ColumnSection, DriftSection, EffectName, MetricSeries, ModelSection, Report};
use crate::write;

/// Whether the inputs of the endpoint changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// At least one model is alarmed.
    Changed,
    /// Columns changed, too few for an alarm.
    PartlyChanged,
    /// Every comparison that was made found nothing.
    Unchanged,
    /// No comparison could be made.
    Unknown,
}

/// What a report says in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the inputs changed.
    pub answer: Answer,
    /// The answer as plain text, with its reason.
    pub sentence: String,
    /// What else is worth knowing, a sentence each, most important first.
    pub facts: Vec<String>,
}

impl Answer {
    /// The first word of the answer.
    pub fn word(self) -> &'static str {
        match self {
            Self::Changed => "Yes",
            Self::PartlyChanged => "A little",
            Self::Unchanged => "No",
            Self::Unknown => "Not known",
        }
    }

    /// How it is shown.
    pub fn tone(self) -> Tone {
        match self {
            Self::Changed => Tone::Alarm,
            Self::PartlyChanged => Tone::Warning,
            Self::Unchanged => Tone::Good,
            Self::Unknown => Tone::Plain,
        }
    }
}

impl Report {
    /// The answer to "did anything change?".
    pub fn verdict(&self) -> Verdict {
        let mut compared: Vec<(&ModelSection, &DriftSection)> =
            self.models.iter().filter_map(|model| model.drift.as_ref().map(|drift| (model, drift))).collect();
        // Models that answered come before those that only looked on; then alarms, then what has the larger share
        // of changed columns; ties stay in the order of the models.
        compared.sort_by(|(a_model, a), (b_model, b)| {
            let idle = |model: &ModelSection| model.share <= 0.0;
            let order = idle(a_model).cmp(&idle(b_model)).then(b.alarmed.cmp(&a.alarmed));
            order.then(b.share.total_cmp(&a.share))
        });
        let mut facts: Vec<String> =
            compared.iter().skip(1).map(|(model, drift)| compared_sentence(model, drift)).collect();
        let (answer, sentence) = match compared.first() {
            Some((model, drift)) => (answer(drift), compared_sentence(model, drift)),
            None => (Answer::Unknown, self.unknown_sentence()),
        };
        let mut unknown = self.models.iter().filter(|model| model.drift.is_none());
        if compared.is_empty() {
            unknown.next();
        }
        facts.extend(unknown.map(unknown_of));
        facts.extend(
            self.models.iter().flat_map(|model| {
                model.performance.iter().filter_map(|series| metric_sentence(model, series))
            }),
        );
        facts.extend(self.traffic_sentence());
        facts.extend(self.rollout_sentence());
        if self.fallbacks > 0 {
            let share = write::part(self.fallbacks, self.requests);
            facts.push(format!("{share} of the requests were answered by the fallback."));
        }
        Verdict { answer, sentence, facts }
    }

    fn unknown_sentence(&self) -> String {
        if self.requests == 0 {
            return "No requests came in this window, so there is nothing to compare.".to_owned();
        }
        match self.models.first() {
            Some(model) => unknown_of(model),
            None => "No model was in service in this window, so there is nothing to compare.".to_owned(),
        }
    }

    fn traffic_sentence(&self) -> Option<String> {
        let changes = self.traffic.steps.iter().filter(|step| step.at > self.from).count() as u64;
        (changes > 0).then(|| {
            format!("The shares of the traffic changed {}.", write::counted(changes, "time", "times"))
        })
    }

    fn rollout_sentence(&self) -> Option<String> {
        let going_on = self.rollouts.iter().filter(|rollout| rollout.outcome.is_none()).count() as u64;
        let ended = self.rollouts.len() as u64 - going_on;
        match (ended, going_on) {
            (0, 0) => None,
            (0, n) => Some(format!("{} in progress.", write::counted(n, "rollout is", "rollouts are"))),
            (n, 0) => Some(format!("{} ended.", write::counted(n, "rollout", "rollouts"))),
            (n, m) => Some(format!(
                "{} ended, {} in progress.",
                write::counted(n, "rollout", "rollouts"),
                write::counted(m, "is", "are")
            )),
        }
    }
}

/// The effect of a column with its unit: `0.42 sd`.
pub(crate) fn effect(column: &ColumnSection) -> String {
    effect_in(column.effect, column.effect_name)
}

fn effect_in(effect: Option<f64>, name: EffectName) -> String {
    match (effect.filter(|effect| effect.is_finite()), name) {
        (None, _) => "–".to_owned(),
        (Some(effect), EffectName::WassersteinSd) => format!("{} sd", write::number(effect)),
        (Some(effect), EffectName::Js) => format!("{} JS", write::number(effect)),
    }
}

/// How a model with its version is called.
pub(crate) fn title(model: &ModelSection) -> &str {
    model.version.as_deref().unwrap_or(&model.model)
}

/// The changed columns, the largest effect of each unit first.
pub(crate) fn changed(drift: &DriftSection) -> Vec<&ColumnSection> {
    let mut columns: Vec<&ColumnSection> = drift.columns.iter().filter(|column| column.alarmed).collect();
    sort(&mut columns);
    // The column that the comparison itself calls the worst comes first, as units of effects differ.
    if let Some(i) = columns.iter().position(|column| Some(&column.name) == drift.worst.as_ref()) {
        columns[..=i].rotate_right(1);
    }
    columns
}

/// Largest effect first; unknown ones last.
pub(crate) fn sort(columns: &mut [&ColumnSection]) {
    let size = |column: &ColumnSection| column.effect.filter(|effect| !effect.is_nan()).unwrap_or(-1.0);
    columns.sort_by(|a, b| size(b).total_cmp(&size(a)));
}

fn answer(drift: &DriftSection) -> Answer {
    match (drift.alarmed, drift.columns.iter().any(|column| column.alarmed)) {
        (true, _) => Answer::Changed,
        (false, true) => Answer::PartlyChanged,
        (false, false) => Answer::Unchanged,
    }
}

fn compared_sentence(model: &ModelSection, drift: &DriftSection) -> String {
    let (of, changed) = (title(model), changed(drift));
    let all = write::counted(drift.columns.len() as u64, "column", "columns");
    let Some(worst) = changed.first() else {
        let alarm = if drift.alarmed { "The comparison as a whole raised an alarm." } else { "" };
        return format!(
            "None of the {all} of {of} differs from the reference by more than is tolerated. {alarm}"
        )
        .trim_end()
        .to_owned();
    };
    let verb = if changed.len() == 1 { "has" } else { "have" };
    let most = if changed.len() == 1 { "It is" } else { "Most of all" };
    let tolerated = if drift.alarmed { "" } else { ", too few to raise the alarm" };
    let reason = if worst.reason.is_empty() { effect(worst) } else { worst.reason.clone() };
    let reason = reason.trim_end_matches('.');
    format!(
        "{} of the {all} of {of} {verb} changed{tolerated}. {most} {}: {reason}.",
        changed.len(),
        worst.name
    )
}

fn unknown_of(model: &ModelSection) -> String {
    let why = model.drift_unknown.as_deref().unwrap_or("no comparison was made");
    format!("The inputs of {} could not be compared: {}.", title(model), why.trim_end_matches('.'))
}

fn metric_sentence(model: &ModelSection, series: &MetricSeries) -> Option<String> {
    let value = series.value.filter(|value| value.is_finite())?;
    let unit = series.unit.as_ref().map_or_else(String::new, |unit| format!(" {unit}"));
    // Whichever of the model's versions answered.
    let said =
        format!("{} of {} over the window is {}{unit}", series.metric, model.model, write::number(value));
    Some(match series.baseline.and_then(|baseline| against(value, baseline)) {
        Some(comparison) => format!("{said}, {comparison}."),
        None => format!("{said}."),
    })
}

/// How a value compares with its baseline: `4.2% above its baseline of 38.1`.
pub(crate) fn against(value: f64, baseline: f64) -> Option<String> {
    if !baseline.is_finite() || !value.is_finite() {
        return None;
    }
    let written = write::number(baseline);
    let change = (value - baseline) / baseline.abs();
    Some(if value == baseline || change.abs() < 0.0005 {
        format!("as its baseline of {written}")
    } else {
        let side = if value > baseline { "above" } else { "below" };
        // Ratios to a baseline near zero say nothing.
        let by =
            if change.abs() < 10.0 { format!("{} ", write::percent(change.abs())) } else { String::new() };
        format!("{by}{side} its baseline of {written}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_compared_with_its_baseline_in_percent() {
        assert_eq!(against(41.0, 40.0).as_deref(), Some("2.5% above its baseline of 40"));
        assert_eq!(against(-3.0, -2.0).as_deref(), Some("50% below its baseline of −2"));
        assert_eq!(against(40.0, 40.0).as_deref(), Some("as its baseline of 40"));
        assert_eq!(against(0.3, 0.0).as_deref(), Some("above its baseline of 0"));
        assert_eq!(against(0.3, f64::NAN), None);
    }
}
