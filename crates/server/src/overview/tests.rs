use perennial_report::{ArmShare, TrafficStep};
use serde_json::json;

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn step(when: &str, shares: &[(&str, f64)]) -> TrafficStep {
    let shares =
        shares.iter().map(|(arm, share)| ArmShare { arm: (*arm).to_owned(), share: *share }).collect();
    TrafficStep { at: at(when), shares }
}

fn decision(verdict: &'static str, reason: &str) -> DecisionPart {
    DecisionPart {
        at: at("2011-03-16T20:00:00Z"),
        about: "policy keep-fresh on windowed".into(),
        verdict,
        reason: reason.into(),
    }
}

fn policy() -> PolicyPart {
    let signal = |member: &str, value: Result<&str, &str>| SignalPart {
        member: member.into(),
        value: value.map(str::to_owned).map_err(str::to_owned),
    };
    let trigger = |name: &str, condition: &str, truth, held_by: Option<&str>| TriggerPart {
        name: name.into(),
        condition: condition.into(),
        action: "fine_tune",
        truth,
        since: truth.filter(|truth| *truth).map(|_| at("2011-03-16T14:00:00Z")),
        held_by: held_by.map(str::to_owned),
    };
    PolicyPart {
        name: "keep-fresh".into(),
        signals: vec![
            signal("fresh.age", Ok("3d")),
            signal("inputs.share", Err("fewer than 100 rows in the window (74)")),
            signal("inputs.worst", Err("fewer than 100 rows in the window (74)")),
            signal("quality.relative_change", Ok("0.061")),
            signal("quality.rows", Ok("192")),
        ],
        triggers: vec![
            trigger("changed", "inputs.share > 0.3", None, None),
            trigger(
                "degraded",
                "quality.relative_change > 0.05 for 6h",
                Some(true),
                Some("cooldown until 2011-03-18"),
            ),
            trigger("regular", "0 3 * * *", Some(false), None),
        ],
        last: Some(decision("held", "degraded fires, held by the cooldown until 2011-03-18")),
    }
}

fn endpoint() -> EndpointPart {
    let model = |name: &str, number, share, doing: Option<&str>, policies| ModelPart {
        name: name.into(),
        current: Some(VersionPart {
            number,
            since: Some(at("2011-03-14")),
            data_end: at("2011-03-13T19:00:00Z"),
        }),
        share,
        doing: doing.map(str::to_owned),
        policies,
    };
    EndpointPart {
        name: "bike".into(),
        champion: "raw".into(),
        labels: 1_198,
        routed: Some(
            "epoch of raw-or-windowed; the shares of the requests are raw 4 0.300, windowed 7 0.700".into(),
        ),
        from: at("2011-03-10"),
        traffic: Traffic {
            steps: vec![
                step("2011-03-10", &[("raw/4", 1.0)]),
                step("2011-03-13", &[("raw/4", 0.5), ("windowed/7", 0.5)]),
                step("2011-03-15", &[("raw/4", 0.3), ("windowed/7", 0.6), ("windowed/8", 0.1)]),
            ],
            until: at("2011-03-17"),
        },
        models: vec![
            model("raw", 4, 0.3, None, vec![]),
            model("windowed", 7, 0.7, Some("candidate 8 in rollout"), vec![policy()]),
        ],
        experiment: Some(ExperimentPart {
            name: "raw-or-windowed".into(),
            mode: "bandit",
            began: Some(at("2011-03-13")),
            ended: None,
            arms: vec![arm("raw", 0.3, 201, -44.5, 0.11), arm("windowed", 0.7, 211, -41.0, 0.89)],
            p_value: None,
            reason: "shares of the epoch from 2011-03-16T18:00:00Z".into(),
        }),
        rollouts: vec![RolloutPart {
            version: "windowed/8".into(),
            policy: "keep-fresh".into(),
            stage: "stage 2 of 3 (bandit)".into(),
            began: at("2011-03-16"),
            reason: "in shadow for 24h: it scored 24 requests".into(),
            evidence: json!({"pairs": 24, "probability_better": null}),
        }],
        reports: vec![ReportPart {
            id: "0f3a".into(),
            name: "weekly-drift".into(),
            at: at("2011-03-14T07:00:00Z"),
            alarmed: true,
            summary: "6 of the 12 columns of windowed/7 have changed.".into(),
            formats: vec!["html".into(), "json".into()],
        }],
    }
}

fn arm(name: &str, share: f64, rewards: u64, mean: f64, probability_best: f64) -> ExperimentArm {
    let (mean, probability_best) = (Some(mean), Some(probability_best));
    ExperimentArm { name: name.into(), share, rewards, mean, probability_best }
}

fn overview() -> Overview {
    Overview {
        project: Some(ProjectPart {
            name: "bikes".into(),
            clock: "event clock",
            at: at("2011-03-17"),
            done: Some(at("2011-03-17")),
            tick: "1h".into(),
        }),
        head: 20_118,
        behind: 2,
        endpoints: vec![endpoint()],
        decisions: vec![decision("started", "drift.share > 0.3"), decision("rolled_back", "worse & worse")],
        problems: vec![],
    }
}

#[test]
fn the_page_shows_the_whole_service() {
    let html = overview().to_html();
    let (head, rest) = html.split_once("<style>").unwrap();
    let (_, tail) = rest.split_once("</style>").unwrap();
    insta::assert_snapshot!("overview", format!("{head}{tail}"));
}

#[test]
fn a_reason_that_several_members_share_is_said_once() {
    let html = overview().to_html();
    assert_eq!(html.matches("fewer than 100 rows in the window (74)").count(), 1);
    assert!(html.contains("share, worst unknown: "));
}

#[test]
fn evidence_of_an_arm_stands_beside_it() {
    let html = overview().to_html();
    let row = html.split("<th scope=\"row\">windowed</th>").nth(1).unwrap();
    let row = row.split("</tr>").next().unwrap();
    let cells: Vec<&str> = row.split("<td").skip(1).collect();
    assert!(cells.len() == 4 && cells[1].contains("211") && cells[3].contains("89"), "{row}");
}

#[test]
fn what_is_not_there_is_said() {
    let nothing = Overview {
        project: None,
        head: 0,
        behind: 0,
        endpoints: vec![],
        decisions: vec![],
        problems: vec![],
    };
    assert!(nothing.to_html().contains("No project is applied yet."));
    let mut young = overview();
    young.decisions.clear();
    let endpoint = &mut young.endpoints[0];
    (endpoint.routed, endpoint.experiment) = (None, None);
    endpoint.traffic.steps.clear();
    endpoint.models[1].current = None;
    endpoint.models[1].policies[0].signals.clear();
    endpoint.models[1].policies[0].last = None;
    let html = young.to_html();
    for sentence in [
        "It has no version yet, so that requests get the default answer.",
        "none yet",
        "It begins when the model has a version.",
        "It has not decided anything yet.",
        "Nothing has been decided yet.",
    ] {
        assert!(html.contains(sentence), "{sentence}");
    }
    assert!(!html.contains("<svg"));
}

#[test]
fn texts_of_users_stay_texts() {
    let poison = "<script>alert('1')</script>";
    let mut sick = overview();
    sick.problems.push(poison.into());
    sick.decisions[0].reason = poison.into();
    sick.decisions[0].about = poison.into();
    let endpoint = &mut sick.endpoints[0];
    endpoint.routed = Some(poison.into());
    endpoint.rollouts[0].stage = poison.into();
    endpoint.rollouts[0].reason = poison.into();
    endpoint.rollouts[0].evidence = json!({poison: poison});
    endpoint.reports[0].summary = poison.into();
    let experiment = endpoint.experiment.as_mut().unwrap();
    experiment.reason = poison.into();
    endpoint.traffic.steps[0].shares[0].arm = poison.into();
    let policy = &mut endpoint.models[1].policies[0];
    policy.signals[0].value = Ok(poison.into());
    policy.signals[1].value = Err(poison.into());
    policy.triggers[0].condition = poison.into();
    policy.triggers[1].held_by = Some(poison.into());
    assert!(!sick.to_html().contains("<script"));
}
