//! Questions to a running service; answers are printed as JSON.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value as Json;

use crate::cli::{Audited, DeadLetters, Lineage, Named, Question, Server};
use crate::output::say;

pub(crate) async fn run(question: Question) -> anyhow::Result<ExitCode> {
    let answer = match question {
        Question::Ready { server } => get(&server, "/v2/health/ready", &[]).await?,
        Question::Status { server } => get(&server, "/v1/status", &[]).await?,
        Question::Sources { server } => get(&server, "/v1/sources", &[]).await?,
        Question::Audits { what, from, to, server } => {
            let path = match what {
                None => "/v1/audits",
                Some(Audited::Features) => "/v1/audits/features",
                Some(Audited::Sources) => "/v1/audits/sources",
            };
            let window = [("from", from.map(|from| from.to_string())), ("to", to.map(|to| to.to_string()))];
            get(&server, path, if what.is_some() { &window } else { &[] }).await?
        }
        Question::Loss { source, from, to, server } => {
            let (from, to) = (from.map(|from| from.to_string()), to.map(|to| to.to_string()));
            get(&server, &format!("/v1/sources/{source}/loss"), &[("from", from), ("to", to)]).await?
        }
        Question::Views { server } => get(&server, "/v1/views", &[]).await?,
        Question::Models { server } => get(&server, "/v1/models", &[]).await?,
        Question::Runs { model, state, server } => {
            get(&server, "/v1/runs", &[("model", model), ("state", state)]).await?
        }
        Question::Decisions { model, verdict, at, server } => {
            let at = at.map(|at| at.to_string());
            get(&server, "/v1/decisions", &[("model", model), ("verdict", verdict), ("at", at)]).await?
        }
        Question::Why { model, endpoint, at, json, server } => {
            let at = at.map(|at| at.to_string());
            let answer =
                get(&server, "/v1/why", &[("model", model), ("endpoint", endpoint), ("at", at)]).await?;
            if let (false, Some(sentence)) = (json, answer.get("sentence").and_then(Json::as_str)) {
                say(sentence);
                return Ok(ExitCode::SUCCESS);
            }
            answer
        }
        Question::Traffic { endpoint, from, to, server } => {
            let (from, to) = (from.map(|from| from.to_string()), to.map(|to| to.to_string()));
            let path = format!("/v1/endpoints/{endpoint}/traffic");
            get(&server, &path, &[("from", from), ("to", to)]).await?
        }
        Question::Rollouts { model, server } => get(&server, "/v1/rollouts", &[("model", model)]).await?,
        Question::Experiments { server } => get(&server, "/v1/experiments", &[]).await?,
        Question::Reports { endpoint, server } => {
            get(&server, "/v1/reports", &[("endpoint", endpoint)]).await?
        }
        Question::Lineage { query } => lineage(query).await?,
        Question::Rollback { model, to, reason, at, server } => {
            server.client()?.rollback(&model, to, &reason, at).await?
        }
    };
    say(serde_json::to_string_pretty(&answer)?);
    Ok(ExitCode::SUCCESS)
}

/// Look at what was refused, or send it again.
pub(crate) async fn dead_letters(command: DeadLetters) -> anyhow::Result<ExitCode> {
    let answer = match command {
        DeadLetters::List { source, limit, server } => {
            let path = format!("/v1/sources/{source}/dead-letters");
            get(&server, &path, &[("page_size", Some(limit.to_string()))]).await?
        }
        DeadLetters::Redrive { source, at, server } => server.client()?.redrive(&source, at).await?,
    };
    say(serde_json::to_string_pretty(&answer)?);
    Ok(ExitCode::SUCCESS)
}

async fn lineage(query: Lineage) -> anyhow::Result<Json> {
    match query {
        Lineage::Version(named) => of_version(&named, "").await,
        Lineage::Ancestors(named) => of_version(&named, "/ancestors").await,
        Lineage::Descendants(named) => of_version(&named, "/descendants").await,
        Lineage::Why(named) => of_version(&named, "/why").await,
        Lineage::At { endpoint, at, server } => {
            let path = format!("/v1/endpoints/{endpoint}/served");
            get(&server, &path, &[("at", Some(at.to_string()))]).await
        }
    }
}

async fn of_version(named: &Named, what: &str) -> anyhow::Result<Json> {
    let (model, version) = named.version.rsplit_once('/').with_context(|| {
        format!("{:?} is no version: write it as model/3 or model/current", named.version)
    })?;
    get(&named.server, &format!("/v1/models/{model}/versions/{version}{what}"), &[]).await
}

async fn get(server: &Server, path: &str, query: &[(&str, Option<String>)]) -> anyhow::Result<Json> {
    let query: Vec<(&str, String)> =
        query.iter().filter_map(|(name, value)| Some((*name, value.clone()?))).collect();
    Ok(server.client()?.ask(path, &query).await?)
}
