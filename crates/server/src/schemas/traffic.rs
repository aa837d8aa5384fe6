//! Forms of traffic, rollouts, experiments and reports.

use super::{
    ARM_ROLES, Fields, REPORT_FORMATS, any_object, anything, hash, instant, list_of, nullable, number,
    one_of_texts, reference, text, truth, whole,
};
use crate::text;

/// The forms with their names.
pub(super) fn schemas() -> Vec<(&'static str, Fields)> {
    vec![
        ("Routing", routing()),
        ("RoutingArm", routing_arm()),
        ("Choices", choices()),
        ("Chosen", chosen()),
        ("Rollout", rollout()),
        ("Experiment", experiment()),
        ("Report", report()),
        ("ReportFile", report_file()),
        ("ReportRequest", report_request()),
        ("ExperimentStatus", experiment_status()),
    ]
}

fn routing() -> Fields {
    let causes = ["first_version", "epoch", "rollout", "experiment", "rollback", "declarations"];
    Fields::new("How an endpoint's requests are split from an instant on, until its next one.")
        .always("endpoint", text("The endpoint."))
        .always("at", instant("From when on."))
        .always("position", whole("Where the log says so."))
        .always("decision", text("The key of the decision that says why."))
        .always("epoch", instant("The start of the epoch that the probabilities were computed for."))
        .always("experiment", nullable(text("The running experiment.")))
        .always("champion", text("The model that answers when nothing else decides."))
        .always("cause", one_of_texts("What made the split change.", &causes))
        .always("reason", text("Why, a sentence with the numbers."))
        .always("evidence", anything("The measured quantities."))
        .always("arms", list_of(reference("RoutingArm")))
}

fn routing_arm() -> Fields {
    Fields::new("A version's part in an endpoint's traffic.")
        .always("version", text("The version's id."))
        .always("model", text("Its model."))
        .always("role", one_of_texts("What it is to its model.", &ARM_ROLES))
        .always("probability", number("Its part of the endpoint's requests, from 0 to 1."))
}

fn choices() -> Fields {
    Fields::new("All choices at an endpoint since its first request, held against their probabilities.")
        .always("endpoint", text("The endpoint."))
        .always(
            "rows",
            whole(
                "Requests for which more than one version could be drawn; of a sticky unit, only the first one, \
                 and not more than 10,000 units.",
            ),
        )
        .always(
            "p_value",
            nullable(number(
                "How probable counts are that are at least as far from the sums of the logged probabilities, if \
                 these are right: below 0.001 they are not. Null while there were too few choices.",
            )),
        )
        .always("arms", list_of(reference("Chosen")))
}

fn chosen() -> Fields {
    Fields::new("How often a model's versions of one role were drawn.")
        .always("model", text("The model."))
        .always("role", one_of_texts("What they were to it.", &["current", "candidate"]))
        .always("chosen", whole("How often one was drawn."))
        .always("expected", number("How often one was to be drawn: the sum of the logged probabilities."))
}

fn rollout() -> Fields {
    Fields::new("A candidate's way through the stages of its rollout.")
        .always("run", text("The run that made the candidate."))
        .always("model", text("The model."))
        .always("version", text("The candidate's id."))
        .always("policy", text("The policy whose rollout it is."))
        .always("began", instant("When it began."))
        .always("ended", nullable(instant("When it was over; null while it goes on.")))
        .always("stage", whole("Index of the last stage that was entered."))
        .always(
            "outcome",
            nullable(one_of_texts("What came of it; null while it goes on.", &["promoted", "refused"])),
        )
        .always("reason", text("Why it is where it is, a sentence with the numbers."))
        .always("evidence", anything("The measured quantities."))
}

fn experiment() -> Fields {
    Fields::new("An experiment that began.")
        .always("name", text("Its name."))
        .always("endpoint", text("The endpoint."))
        .always("began", instant("When every arm had a version."))
        .always("ended", nullable(instant("When it was over; null while it runs.")))
        .always("champion", nullable(text("The champion that it led to.")))
        .always("reason", text("Why it is where it is, a sentence with the numbers."))
        .always("evidence", any_object("The measured quantities."))
        .always("position", whole("Where the log says that it began."))
}

fn report() -> Fields {
    Fields::new("A report about an endpoint over a stretch of time.")
        .always("id", text("Its id."))
        .always("name", text("The name of its declaration."))
        .always("endpoint", text("The endpoint."))
        .always("at", instant("When it was due, or asked for."))
        .always("from", instant("Its window begins here."))
        .always("to", instant("Its window ends before this instant."))
        .always("position", whole("Where the log says so."))
        .always("on_demand", truth("Whether somebody asked for it by hand."))
        .always("alarmed", truth("Whether any column of any model alarmed."))
        .always("summary", text("One sentence of what it says."))
        .always("files", list_of(reference("ReportFile")))
}

fn report_request() -> Fields {
    Fields::new("A wish for a declared report.")
        .always("report", text::NAME.schema("The name of its declaration."))
        .closed()
}

fn experiment_status() -> Fields {
    Fields::new("What a declared experiment has shown so far.")
        .always("name", text("Its name."))
        .always("endpoint", text("The endpoint."))
        .always("began", nullable(instant("When every arm had a version of its declared definition.")))
        .always("champion", nullable(text("What it led to; null until it is over.")))
        .always("reason", nullable(text("Why it has not begun, or why it ended; null in between.")))
        .always("shown", any_object("Rewards, means and chances of the arms; choices against probabilities."))
}

fn report_file() -> Fields {
    Fields::new("A file of a report.")
        .always("format", one_of_texts("What it is.", &REPORT_FORMATS))
        .always("blob", hash("SHA-256 of its bytes."))
        .always("bytes", whole("How many they are."))
}

#[cfg(test)]
mod tests {
    use perennial_evaluate::{Chosen, Role};
    use perennial_store::{ArmRole, Experiment, Report, ReportFile, Rollout, Routing, RoutingArm};
    use perennial_types::{ContentHash, Position, Timestamp};
    use serde_json::{Value, json};

    const NEVER: Timestamp = Timestamp::from_micros(0);

    fn a_routing() -> Routing {
        Routing {
            endpoint: String::new(),
            at: NEVER,
            position: Position(1),
            decision: String::new(),
            epoch: NEVER,
            experiment: None,
            champion: String::new(),
            cause: String::new(),
            reason: String::new(),
            evidence: Value::Null,
            arms: vec![RoutingArm {
                version: String::new(),
                model: String::new(),
                role: ArmRole::Current,
                probability: 1.0,
            }],
        }
    }

    fn a_rollout() -> Rollout {
        Rollout {
            run: String::new(),
            model: String::new(),
            version: String::new(),
            policy: String::new(),
            began: NEVER,
            ended: None,
            stage: 0,
            outcome: None,
            reason: String::new(),
            evidence: Value::Null,
        }
    }

    fn an_experiment() -> Experiment {
        Experiment {
            name: String::new(),
            endpoint: String::new(),
            began: NEVER,
            ended: None,
            champion: None,
            reason: String::new(),
            evidence: json!({}),
            position: Position(1),
        }
    }

    fn a_report() -> Report {
        Report {
            id: String::new(),
            name: String::new(),
            endpoint: String::new(),
            at: NEVER,
            from: NEVER,
            to: NEVER,
            position: Position(1),
            on_demand: false,
            alarmed: false,
            summary: String::new(),
            files: vec![ReportFile { format: "html".to_owned(), blob: ContentHash::of(b""), bytes: 0 }],
        }
    }

    #[test]
    fn the_form_of_a_choice_has_the_members_of_its_structure() {
        let chosen = Chosen { model: "a".into(), role: Role::Current, chosen: 1, expected: 1.0 };
        let form = serde_json::to_value(super::chosen().build()).unwrap();
        let members = super::super::lineage::tests::members;
        assert_eq!(members(&form["properties"]), members(&json!(chosen)));
    }

    #[test]
    fn every_form_has_the_members_of_its_structure() {
        let routing = json!(a_routing());
        let report = json!(a_report());
        let forms = [
            (super::routing_arm(), routing["arms"][0].clone()),
            (super::routing(), routing),
            (super::rollout(), json!(a_rollout())),
            (super::experiment(), json!(an_experiment())),
            (super::report_file(), report["files"][0].clone()),
            (super::report(), report),
        ];
        for (form, json) in forms {
            let form = serde_json::to_value(form.build()).unwrap();
            assert_eq!(
                super::super::lineage::tests::members(&form["properties"]),
                super::super::lineage::tests::members(&json)
            );
        }
    }
}
