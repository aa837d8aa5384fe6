//! An endpoint: who answers, what is tried out, what was reported.

use perennial_report::chart::{self, StepsChart};
use perennial_report::page::{self, Tone, badge, escape};
use perennial_report::write;

use super::{EndpointPart, ExperimentArm, ExperimentPart, ModelPart, ReportPart, RolloutPart, evidence};

impl EndpointPart {
    /// The section of the endpoint.
    pub(super) fn section(&self) -> String {
        let mut out = format!("<section>\n<h2>Endpoint {}</h2>\n", escape(&self.name));
        out.push_str(&self.answering());
        out.push_str(&self.models_table());
        out.push_str(&self.traffic_chart());
        if let Some(experiment) = &self.experiment {
            out.push_str(&experiment.card());
        }
        if !self.rollouts.is_empty() {
            out.push_str("<h3>Rollouts in progress</h3>\n<div class=\"cards\">\n");
            self.rollouts.iter().for_each(|rollout| out.push_str(&rollout.card()));
            out.push_str("</div>\n");
        }
        for model in &self.models {
            out.push_str(&model.policies());
        }
        out.push_str(&reports(&self.reports));
        out.push_str("</section>\n");
        out
    }

    /// Who answers, in a sentence.
    fn answering(&self) -> String {
        let champion = format!("The champion is <b>{}</b>.", escape(&self.champion));
        match &self.routed {
            Some(reason) => format!("<p>{champion} {}</p>\n", escape(&sentence(reason))),
            None => {
                format!("<p>{champion} It has no version yet, so that requests get the default answer.</p>\n")
            }
        }
    }

    fn models_table(&self) -> String {
        let rows: Vec<Vec<String>> = self.models.iter().map(ModelPart::row).collect();
        let heads = ["Model", "Version", "Traffic", "In service since", "Trained until", "Doing"];
        page::table("Models of the endpoint", &heads, &rows)
    }

    fn traffic_chart(&self) -> String {
        if self.traffic.steps.is_empty() {
            return String::new();
        }
        let title = format!("Shares of the traffic of {}", self.name);
        let chart = StepsChart { title: &title, from: self.from, traffic: &self.traffic };
        format!("<h3>Traffic</h3>\n<div class=\"card\">\n{}</div>\n", chart::stacked_steps(&chart))
    }
}

impl ModelPart {
    fn row(&self) -> Vec<String> {
        let name = escape(&self.name);
        let dash = || "–".to_owned();
        let doing = escape(self.doing.as_deref().unwrap_or("–"));
        let Some(version) = &self.current else {
            return vec![name, "none yet".to_owned(), dash(), dash(), dash(), doing];
        };
        let number = version.number;
        vec![
            format!("<a href=\"/v1/models/{name}/versions\">{name}</a>"),
            format!("<a href=\"/v1/models/{name}/versions/{number}/why\">{number}</a>"),
            escape(&write::percent(self.share)),
            version.since.map_or_else(dash, write::instant),
            write::instant(version.data_end),
            doing,
        ]
    }
}

impl ExperimentPart {
    fn card(&self) -> String {
        let when = match (self.began, self.ended) {
            (None, _) => "waits until every arm has a version".to_owned(),
            (Some(began), None) => format!("since {}", write::instant(began)),
            (Some(began), Some(ended)) => {
                format!("from {} to {}", write::instant(began), write::instant(ended))
            }
        };
        let rows: Vec<Vec<String>> = self.arms.iter().map(ExperimentArm::row).collect();
        let p_value = self.p_value.map_or_else(String::new, |p_value| {
            format!("<p>p-value of the difference: {}</p>\n", write::number(p_value))
        });
        format!(
            "<h3>Experiment</h3>\n<article class=\"card\">\n<h4><a href=\"/v1/experiments/{name}\">{name}</a> {} \
             <small>{when}</small></h4>\n<p>{}</p>\n{}{p_value}</article>\n",
            badge(Tone::Plain, self.mode),
            escape(&sentence(&self.reason)),
            page::table("Arms", &["Arm", "Traffic", "Rewards", "Mean reward", "Best with"], &rows),
            name = escape(&self.name),
        )
    }
}

impl ExperimentArm {
    fn row(&self) -> Vec<String> {
        let best = self.probability_best.map_or_else(|| "–".to_owned(), write::percent);
        vec![
            escape(&self.name),
            escape(&write::percent(self.share)),
            self.rewards.to_string(),
            write::number_or_dash(self.mean),
            best,
        ]
    }
}

impl RolloutPart {
    fn card(&self) -> String {
        format!(
            "<article class=\"card\">\n<h4>{} {} <small>by {}, since {}</small></h4>\n<p>{}</p>\n{}</article>\n",
            escape(&self.version),
            badge(Tone::Plain, &self.stage),
            escape(&self.policy),
            write::instant(self.began),
            escape(&sentence(&self.reason)),
            evidence(&self.evidence),
        )
    }
}

fn reports(reports: &[ReportPart]) -> String {
    if reports.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = reports
        .iter()
        .map(|report| {
            let id = escape(&report.id);
            let files: Vec<String> = report
                .formats
                .iter()
                .map(|format| format!("<a href=\"/v1/reports/{id}/{0}\">{0}</a>", escape(format)))
                .collect();
            let verdict =
                if report.alarmed { badge(Tone::Alarm, "changed") } else { badge(Tone::Good, "no alarm") };
            vec![
                escape(&report.name),
                write::instant(report.at),
                verdict,
                files.join(" "),
                escape(&report.summary),
            ]
        })
        .collect();
    let heads = ["Report", "At", "Inputs", "Read", "Summary"];
    format!("<h3>Reports</h3>\n{}", page::table("Newest first", &heads, &rows))
}

/// A reason as a sentence: with a capital letter and a full stop.
fn sentence(reason: &str) -> String {
    let mut letters = reason.trim_end_matches('.').chars();
    match letters.next() {
        // A name keeps its first letter.
        Some(first) if reason.split(' ').next().is_some_and(|word| word.chars().all(char::is_lowercase)) => {
            format!("{}{}.", first.to_uppercase(), letters.as_str())
        }
        Some(first) => format!("{first}{}.", letters.as_str()),
        None => String::new(),
    }
}
