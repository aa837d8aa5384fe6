//! The overview page: the state of the whole service as a person reads it.
//!
//! Here it is only written; what it says is collected by its route.

mod endpoint;
mod policy;

use std::sync::Arc;

use perennial_report::page::{self, Tone, badge, escape};
use perennial_report::{Traffic, write};
use perennial_types::Timestamp;

/// What the page adds to the common look.
const STYLE: &str = include_str!("overview.css");

/// What the page shows.
#[derive(Debug)]
pub(crate) struct Overview {
    /// The project and what drives its time; nothing before one is applied.
    pub(crate) project: Option<ProjectPart>,
    /// The last record of the log.
    pub(crate) head: u64,
    /// How many records lineage is behind the log.
    pub(crate) behind: u64,
    /// The endpoints, in order of declaration.
    pub(crate) endpoints: Vec<EndpointPart>,
    /// The last decisions, newest first.
    pub(crate) decisions: Vec<DecisionPart>,
    /// What could not be read, and why.
    pub(crate) problems: Vec<String>,
}

/// The project and its time.
#[derive(Debug)]
pub(crate) struct ProjectPart {
    pub(crate) name: Arc<str>,
    /// What drives its time, in words.
    pub(crate) clock: &'static str,
    /// The present instant of the project.
    pub(crate) at: Timestamp,
    /// The last instant that is done.
    pub(crate) done: Option<Timestamp>,
    pub(crate) tick: String,
}

/// An endpoint.
#[derive(Debug)]
pub(crate) struct EndpointPart {
    pub(crate) name: Arc<str>,
    /// The model that answers when nothing else decides.
    pub(crate) champion: Arc<str>,
    /// Labels so far.
    pub(crate) labels: u64,
    /// Why requests are split as they are; nothing before the first version.
    pub(crate) routed: Option<String>,
    /// Where the chart of the traffic begins.
    pub(crate) from: Timestamp,
    pub(crate) traffic: Traffic,
    pub(crate) models: Vec<ModelPart>,
    pub(crate) experiment: Option<ExperimentPart>,
    /// Rollouts in progress.
    pub(crate) rollouts: Vec<RolloutPart>,
    /// The last reports, newest first.
    pub(crate) reports: Vec<ReportPart>,
}

/// A model.
#[derive(Debug)]
pub(crate) struct ModelPart {
    pub(crate) name: Arc<str>,
    pub(crate) current: Option<VersionPart>,
    /// Its part of the endpoint's requests.
    pub(crate) share: f64,
    /// What it is doing, in words; nothing if it only serves.
    pub(crate) doing: Option<String>,
    pub(crate) policies: Vec<PolicyPart>,
}

/// A version in service.
#[derive(Debug)]
pub(crate) struct VersionPart {
    pub(crate) number: u64,
    pub(crate) since: Option<Timestamp>,
    /// The last request that it was trained on.
    pub(crate) data_end: Timestamp,
}

/// What a policy sees of a model.
#[derive(Debug)]
pub(crate) struct PolicyPart {
    pub(crate) name: Arc<str>,
    pub(crate) signals: Vec<SignalPart>,
    pub(crate) triggers: Vec<TriggerPart>,
    /// The decision in force.
    pub(crate) last: Option<DecisionPart>,
}

/// A member of a signal: its value, or why it is unknown.
#[derive(Debug)]
pub(crate) struct SignalPart {
    pub(crate) member: Arc<str>,
    pub(crate) value: Result<String, String>,
}

/// A trigger.
#[derive(Debug)]
pub(crate) struct TriggerPart {
    pub(crate) name: Arc<str>,
    /// When it fires, in the words of its declaration.
    pub(crate) condition: String,
    /// What it asks for.
    pub(crate) action: &'static str,
    /// What its condition says; nothing if that is unknown.
    pub(crate) truth: Option<bool>,
    pub(crate) since: Option<Timestamp>,
    /// What holds it back although it fires.
    pub(crate) held_by: Option<String>,
}

/// A declared experiment.
#[derive(Debug)]
pub(crate) struct ExperimentPart {
    pub(crate) name: Arc<str>,
    pub(crate) mode: &'static str,
    /// When every arm had a version.
    pub(crate) began: Option<Timestamp>,
    /// When it ended.
    pub(crate) ended: Option<Timestamp>,
    pub(crate) arms: Vec<ExperimentArm>,
    /// Of the differences between the arms.
    pub(crate) p_value: Option<f64>,
    /// Why the shares are what they are, or why it ended.
    pub(crate) reason: String,
}

/// What an arm has earned so far.
#[derive(Debug)]
pub(crate) struct ExperimentArm {
    pub(crate) name: Arc<str>,
    /// Its share of the traffic.
    pub(crate) share: f64,
    /// Its matured rewards.
    pub(crate) rewards: u64,
    pub(crate) mean: Option<f64>,
    pub(crate) probability_best: Option<f64>,
}

/// A rollout in progress.
#[derive(Debug)]
pub(crate) struct RolloutPart {
    pub(crate) version: String,
    pub(crate) policy: String,
    /// The stage it is in, in words.
    pub(crate) stage: String,
    pub(crate) began: Timestamp,
    pub(crate) reason: String,
    pub(crate) evidence: serde_json::Value,
}

/// A report that was written.
#[derive(Debug)]
pub(crate) struct ReportPart {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) at: Timestamp,
    pub(crate) alarmed: bool,
    pub(crate) summary: String,
    pub(crate) formats: Vec<String>,
}

/// A decision.
#[derive(Debug)]
pub(crate) struct DecisionPart {
    pub(crate) at: Timestamp,
    pub(crate) about: String,
    pub(crate) verdict: &'static str,
    pub(crate) reason: String,
}

impl Overview {
    /// The page.
    pub(crate) fn to_html(&self) -> String {
        let title = self.project.as_ref().map_or("Perennial", |project| &*project.name);
        let mut body = String::from("<main>\n");
        body.push_str(&self.header(title));
        for problem in &self.problems {
            body.push_str(&format!(
                "<p class=\"problem\">{} {}</p>\n",
                badge(Tone::Alarm, "problem"),
                escape(problem)
            ));
        }
        if self.project.is_none() {
            body.push_str(
                "<section class=\"verdict plain\"><h2>No project is applied yet.</h2>\n\
                 <p>Apply declarations with <code>perennial apply</code>; this page then shows what runs.</p></section>\n",
            );
        }
        for endpoint in &self.endpoints {
            body.push_str(&endpoint.section());
        }
        if self.project.is_some() {
            body.push_str(&self.decisions());
        }
        body.push_str(&footer());
        body.push_str("</main>\n");
        page::document(title, STYLE, &body)
    }

    fn header(&self, title: &str) -> String {
        let mut out = format!("<header>\n<p class=\"eyebrow\">Perennial</p>\n<h1>{}</h1>\n", escape(title));
        if let Some(project) = &self.project {
            out.push_str(&format!(
                "<p class=\"lead\">{} UTC by the {}</p>\n",
                write::instant(project.at),
                project.clock
            ));
        }
        out.push_str("</header>\n");
        let models = self.endpoints.iter().flat_map(|endpoint| &endpoint.models);
        let serving = models.clone().filter(|model| model.current.is_some()).count() as u64;
        let behind = match self.behind {
            0 => "lineage is up to date".to_owned(),
            n => format!("lineage is {} behind", write::counted(n, "record", "records")),
        };
        let done = self.project.as_ref().and_then(|project| project.done);
        let done = done.map_or_else(|| "none yet".to_owned(), write::instant);
        let tick =
            self.project.as_ref().map_or_else(String::new, |project| format!("every {}", project.tick));
        let labels: u64 = self.endpoints.iter().map(|endpoint| endpoint.labels).sum();
        out.push_str(&page::figures(&[
            (
                "Models in service",
                write::count(serving),
                format!("of {}", write::count(models.count() as u64)),
            ),
            ("Labels", write::count(labels), "so far".to_owned()),
            ("Last tick done", done, tick),
            ("Records in the log", write::count(self.head), behind),
        ]));
        out
    }

    fn decisions(&self) -> String {
        let mut out = String::from("<section>\n<h2>Recent decisions</h2>\n");
        if self.decisions.is_empty() {
            out.push_str("<p class=\"empty\">Nothing has been decided yet.</p>\n");
        } else {
            let rows: Vec<Vec<String>> = self
                .decisions
                .iter()
                .map(|decision| {
                    let verdict = badge(tone(decision.verdict), &decision.verdict.replace('_', " "));
                    vec![
                        write::instant(decision.at),
                        verdict,
                        escape(&decision.about),
                        escape(&decision.reason),
                    ]
                })
                .collect();
            out.push_str(&page::table("Newest first", &["At", "What", "About", "Why"], &rows));
            out.push_str("<p class=\"note\"><a href=\"/v1/decisions\">All decisions</a></p>\n");
        }
        out.push_str("</section>\n");
        out
    }
}

/// The colour of what was decided.
fn tone(verdict: &str) -> Tone {
    match verdict {
        "started" | "promoted" | "admitted" | "advanced" | "concluded" => Tone::Good,
        "held" | "rolled_back" | "removed" => Tone::Warning,
        "refused" | "failed" => Tone::Alarm,
        _ => Tone::Plain,
    }
}

fn footer() -> String {
    let links = [
        ("/v1/status", "Status"),
        ("/v1/project", "Declarations"),
        ("/v1/models", "Models"),
        ("/v1/runs", "Runs"),
        ("/metrics", "Metrics"),
        ("/openapi.json", "OpenAPI"),
    ];
    let mut out = String::from("<footer>\n<nav aria-label=\"More\">\n");
    for (to, name) in links {
        out.push_str(&format!("<a href=\"{to}\">{name}</a>\n"));
    }
    out.push_str("</nav>\n<p>All times are UTC.</p>\n</footer>\n");
    out
}

/// What was measured, as `name value` pairs; what is nested is left to the JSON of lineage.
fn evidence(value: &serde_json::Value) -> String {
    let Some(members) = value.as_object() else { return String::new() };
    let mut out = String::new();
    for (name, value) in members {
        let shown = match value {
            serde_json::Value::Number(number) => write::number_or_dash(number.as_f64()),
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Bool(truth) => truth.to_string(),
            serde_json::Value::Null => "–".to_owned(),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => continue,
        };
        let name = escape(&name.replace('_', " "));
        out.push_str(&format!("<div><dt>{name}</dt><dd>{}</dd></div>", escape(&shown)));
    }
    if out.is_empty() { out } else { format!("<dl class=\"facts\">{out}</dl>\n") }
}

#[cfg(test)]
mod tests;
