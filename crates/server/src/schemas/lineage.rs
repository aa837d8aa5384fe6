//! Forms of models, versions, runs, decisions and deployments.

use super::{
    ARM_ROLES, Fields, RUN_STATES, VERDICTS, any_object, anything, asked_whole, hash, instant, list_of,
    nullable, nullable_reference, number, one_of_texts, reference, text, whole,
};
use crate::text;

/// The forms with their names.
pub(super) fn schemas() -> Vec<(&'static str, Fields)> {
    vec![
        ("Model", model()),
        ("Version", version()),
        ("Parent", parent()),
        ("Run", run()),
        ("Decision", decision()),
        ("Dataset", dataset()),
        ("DatasetRequest", dataset_request()),
        ("Deployment", deployment()),
        ("ServedShare", served_share()),
        ("Why", why()),
        ("Evidence", evidence()),
        ("WhyThen", why_then()),
        ("RollbackRequest", rollback_request()),
        ("RolledBack", rolled_back()),
        ("VersionReference", version_reference()),
    ]
}

fn model() -> Fields {
    Fields::new("A declared model.")
        .always("name", text("Its name."))
        .always("endpoint", text("The endpoint it belongs to."))
        .always("versions", whole("How many versions it has."))
        .always("current", nullable_reference("Version"))
        .always("since", nullable(instant("Since when its current version serves.")))
}

fn version() -> Fields {
    Fields::new("A version of a model.")
        .always("id", text("Model and number: bike-windowed/3."))
        .always("model", text("The model."))
        .always("number", whole("Its number within the model, from 1."))
        .always("content_hash", hash("Hash of state, inputs and parent."))
        .always("artifact", hash("SHA-256 of its artifact."))
        .always("artifact_bytes", whole("Size of the artifact."))
        .always("run", text("The run that made it."))
        .always("dataset", hash("What it was trained on."))
        .always("definition", hash("Hash of the definition it was trained under."))
        .always("inputs", list_of(text("An input, pinned.")))
        .always("parents", list_of(reference("Parent")))
        .always("created_at", instant("When its run ended."))
        .always("position", whole("Where the log says so."))
        .always("metrics", any_object("Figures by name."))
        .maybe("parent", nullable(whole("The number of the version whose state it started from.")))
        .maybe("depth", whole("Steps from the version that was asked about; among relatives only."))
}

fn parent() -> Fields {
    Fields::new("What a version came from.").always("version", text("The parent's id.")).always(
        "kind",
        one_of_texts("What was taken from it: its state or its place.", &["fine_tune", "retrain"]),
    )
}

fn run() -> Fields {
    Fields::new("A training attempt.")
        .always("id", text("Its id."))
        .always("model", text("The model."))
        .always("action", one_of_texts("What it does.", &["first_fit", "fine_tune", "retrain"]))
        .always("policy", nullable(text("The policy that asked for it; null for a first version.")))
        .always("policy_version", nullable(hash("That policy's version.")))
        .always("trigger", nullable(text("The trigger that fired.")))
        .always("decision", text("The key of the decision that started it."))
        .always("parent", nullable(text("The version that was current then.")))
        .always("requested_at", instant("When it was asked for."))
        .always("position", whole("Where the log says so."))
        .always("inputs", anything("The pinned inputs."))
        .always("state", one_of_texts("How far it is.", &RUN_STATES))
        .always("finished_at", nullable(instant("When it ended.")))
        .always("metrics", anything("Figures by name, once it has ended well."))
        .always("gates", anything("What the gates found."))
        .always("reason", nullable(text("Why it ended as it did.")))
        .always("row_visits", nullable(whole("Rows times epochs.")))
}

fn decision() -> Fields {
    Fields::new("A decision: of a policy, about a candidate, an experiment, or an endpoint's traffic.")
        .always("key", text("Makes it happen once."))
        .always("at", instant("The instant that was evaluated."))
        .always(
            "until",
            nullable(instant("The instant of the next decision; null while this one is in force.")),
        )
        .always("position", whole("Where the log says so."))
        .always("about", text("What it is about; the next decision about the same ends it."))
        .always("policy", nullable(text("The policy, if it is one's.")))
        .always("policy_version", nullable(hash("The policy's version.")))
        .always("model", nullable(text("The model, unless it is about an endpoint as a whole.")))
        .always("endpoint", nullable(text("The endpoint.")))
        .always("experiment", nullable(text("The experiment, if it is about one.")))
        .always("verdict", one_of_texts("What came of it.", &VERDICTS))
        .always("trigger", nullable(text("The trigger that fired.")))
        .always("reason", text("A sentence with the numbers."))
        .always("evaluations", anything("Every trigger's evaluation."))
        .always("signals", anything("The signals as they were."))
        .always("run", nullable(text("The run that was started.")))
}

fn dataset() -> Fields {
    Fields::new("A training set: which part of the log it is, and what it held.")
        .always("id", hash("Hash of its rows, labels and order."))
        .always("model", text("The model it was first built for."))
        .always("endpoint", text("The endpoint that its requests came to."))
        .always("from_position", whole("Position of the first request in it."))
        .always("to_position", whole("Position of the last training label."))
        .always("from_time", instant("Instant of the first request."))
        .always("to_time", instant("Instant of the last request that was trained on."))
        .always("rows", whole("Rows trained on."))
        .always("holdout_rows", whole("Rows held out."))
        .always("streams", list_of(text("A stream that it was read from.")))
}

fn dataset_request() -> Fields {
    Fields::new("A training set that was made of a file by replay of the log.")
        .always("model", text::NAME.schema("The declared model that it is for."))
        .always("content_hash", text::HASH.schema("Hash of its columns, rows and order."))
        .always("rows", asked_whole("Its rows."))
        .always("from_position", asked_whole("The log was read from here."))
        .always("to_position", asked_whole("And up to here."))
        .always("from_time", instant("The earliest time asked for."))
        .always("to_time", instant("The latest one."))
        .always("streams", list_of(text::PLAIN.schema("A stream that it was read from.")))
        .closed()
}

fn deployment() -> Fields {
    Fields::new("A change of a model's current version.")
        .always("endpoint", text("The endpoint."))
        .always("model", text("The model."))
        .always("version", text("The id of the version that takes over."))
        .always("at", instant("From when on."))
        .always("position", whole("Where the log says so."))
        .always("kind", one_of_texts("What kind of change it is.", &["initial", "promotion", "rollback"]))
        .always("reason", text("Why."))
        .always("run", nullable(text("The run that made the version, if this is its promotion.")))
}

fn served_share() -> Fields {
    Fields::new("What answered at an endpoint at an instant.")
        .always("model", text("The model."))
        .always("version", nullable(whole("The number of its version.")))
        .always("id", text("The id of its version."))
        .always("role", one_of_texts("What it is to its model.", &ARM_ROLES))
        .always("share", number("Its share of the endpoint's requests, from 0 to 1."))
        .always("since", instant("From when on it has this share."))
        .always("until", nullable(instant("Until when; null if it still has.")))
        .always("reason", text("Why requests are split like this."))
}

fn why() -> Fields {
    Fields::new("Why a version exists.")
        .always("sentence", text("The answer in words, with the numbers."))
        .always("evidence", reference("Evidence"))
}

fn evidence() -> Fields {
    Fields::new("What the answer rests on.")
        .always("version", reference("Version"))
        .always("run", reference("Run"))
        .always("decision", reference("Decision"))
        .always("dataset", reference("Dataset"))
        .always("deployments", list_of(reference("Deployment")))
}

fn why_then() -> Fields {
    Fields::new("What had been decided last, by an instant.")
        .always("at", instant("The instant."))
        .always("sentence", text("The answer in words."))
        .always("decisions", list_of(reference("Decision")))
}

fn rollback_request() -> Fields {
    Fields::new("A wish to let an earlier version serve again.")
        .maybe(
            "to",
            nullable(asked_whole("The number of a version that served before; left out: the one before.")),
        )
        .always("reason", text::REASON.schema("Why; lineage keeps it."))
        .closed()
}

fn rolled_back() -> Fields {
    Fields::new("An earlier version serves again.")
        .always("model", text("The model."))
        .always("at", instant("From when on."))
        .always("from", reference("VersionReference"))
        .always("to", reference("VersionReference"))
        .always("reason", text("Why."))
        .always("endpoint", text("The endpoint that the model belongs to."))
        .always("policy", nullable(text("The policy that asked for it; null for a rollback by hand.")))
        .always("evidence", nullable(any_object("The measured quantities; null for a rollback by hand.")))
}

fn version_reference() -> Fields {
    Fields::new("A version by number and content.")
        .always("number", whole("Its number within the model."))
        .always("content_hash", hash("Its content hash."))
        .always("artifact", hash("SHA-256 of its artifact."))
        .always("definition", hash("Hash of the definition it was trained under."))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use perennial_control::{RolledBack, VersionRef};
    use perennial_store::{
        Dataset, Decision, Deployment, DeploymentKind, EdgeKind, Parent, Run, RunState, Verdict, Version,
    };
    use perennial_types::{ContentHash, Position, Timestamp};
    use serde_json::Value;

    use super::*;

    const NEVER: Timestamp = Timestamp::from_micros(0);

    fn at() -> Position {
        Position(1)
    }

    fn hashed() -> ContentHash {
        ContentHash::of(b"")
    }

    fn a_version() -> Version {
        Version {
            id: String::new(),
            model: String::new(),
            number: 1,
            content_hash: hashed(),
            artifact: hashed(),
            artifact_bytes: 1,
            run: String::new(),
            dataset: hashed(),
            definition: hashed(),
            inputs: Vec::new(),
            parents: Vec::new(),
            created_at: NEVER,
            position: at(),
            metrics: Value::Null,
        }
    }

    fn a_run() -> Run {
        Run {
            id: String::new(),
            model: String::new(),
            action: String::new(),
            policy: None,
            policy_version: None,
            trigger: None,
            decision: String::new(),
            parent: None,
            requested_at: NEVER,
            position: at(),
            inputs: Value::Null,
            state: RunState::Requested,
            finished_at: None,
            metrics: None,
            gates: None,
            reason: None,
            row_visits: None,
        }
    }

    fn a_decision() -> Decision {
        Decision {
            key: String::new(),
            at: NEVER,
            until: None,
            position: at(),
            policy: None,
            policy_version: None,
            about: String::new(),
            model: Some(String::new()),
            endpoint: None,
            experiment: None,
            verdict: Verdict::Held,
            trigger: None,
            reason: String::new(),
            evaluations: Value::Null,
            signals: Value::Null,
            run: None,
        }
    }

    fn a_dataset() -> Dataset {
        Dataset {
            id: hashed(),
            model: String::new(),
            endpoint: String::new(),
            from_position: at(),
            to_position: at(),
            from_time: NEVER,
            to_time: NEVER,
            rows: 1,
            holdout_rows: 0,
            streams: Vec::new(),
        }
    }

    fn a_deployment() -> Deployment {
        Deployment {
            endpoint: String::new(),
            model: String::new(),
            version: String::new(),
            at: NEVER,
            position: at(),
            kind: DeploymentKind::Initial,
            reason: String::new(),
            run: None,
        }
    }

    fn a_rollback() -> RolledBack {
        let version =
            VersionRef { number: 1, content_hash: hashed(), artifact: hashed(), definition: hashed() };
        RolledBack {
            model: "m".into(),
            at: NEVER,
            from: version.clone(),
            to: version,
            reason: String::new(),
            endpoint: "e".into(),
            policy: None,
            evidence: Value::Null,
        }
    }

    pub(in super::super) fn members(json: &Value) -> BTreeSet<String> {
        json.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_form_has_the_members_of_its_structure() {
        let parent = Parent { version: String::new(), kind: EdgeKind::FineTune };
        let rollback = serde_json::to_value(a_rollback()).unwrap();
        let cases = [
            (version(), serde_json::to_value(a_version()).unwrap()),
            (run(), serde_json::to_value(a_run()).unwrap()),
            (decision(), serde_json::to_value(a_decision()).unwrap()),
            (dataset(), serde_json::to_value(a_dataset()).unwrap()),
            (deployment(), serde_json::to_value(a_deployment()).unwrap()),
            (super::parent(), serde_json::to_value(parent).unwrap()),
            (version_reference(), rollback["to"].clone()),
            (rolled_back(), rollback),
        ];
        for (form, json) in cases {
            let form = serde_json::to_value(form.build()).unwrap();
            let required = form["required"].as_array().unwrap().iter();
            let required: BTreeSet<String> = required.map(|name| name.as_str().unwrap().to_owned()).collect();
            assert_eq!(required, members(&json), "{}", form["description"]);
        }
    }

    #[test]
    fn the_words_of_a_form_are_those_of_its_structure() {
        let states = [
            RunState::Requested,
            RunState::Running,
            RunState::Succeeded,
            RunState::Failed,
            RunState::Admitted,
            RunState::Refused,
            RunState::Promoted,
        ];
        assert_eq!(states.map(RunState::name), RUN_STATES);
        assert_eq!(Verdict::ALL.map(Verdict::name), VERDICTS);
    }
}
