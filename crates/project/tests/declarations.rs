//! Whole projects: what is understood, what is refused and how.
#![expect(clippy::disallowed_methods, reason = "a test reads the files of the example itself")]
#![expect(clippy::panic, reason = "a fixture that cannot be read is a failed test")]

use std::path::Path;

use perennial_control::ReportFormat;
use perennial_evaluate::{Algorithm, Mode, UnitSpec};
use perennial_features::Op;
use perennial_learn::{LearnerSpec, TransformFn};
use perennial_policy::{DetectedLoss, Otherwise, SignalKind, StageSpec};
use perennial_project::{ClockKind, Effect, Fault, Origin, Project};
use perennial_types::TimeSpan;

const BIKE: &str = include_str!("fixtures/bike.yaml");
const LANGUAGE: &str = include_str!("fixtures/language.yaml");
const SMALLEST: &str = include_str!("fixtures/smallest.yaml");

fn parse(text: &str) -> Result<Project, Vec<Fault>> {
    Project::parse(&[("bike.yaml".to_owned(), text.to_owned())])
}

fn project(text: &str) -> Project {
    parse(text).unwrap_or_else(|faults| panic!("{}", written(&faults)))
}

/// The whole language.
fn supported() -> String {
    LANGUAGE.to_owned()
}

fn written(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

/// The faults of the bike project after one replacement.
fn faults_with(from: &str, to: &str) -> String {
    assert!(BIKE.contains(from), "the fixture has no {from:?}");
    match parse(&BIKE.replace(from, to)) {
        Ok(_) => String::new(),
        Err(faults) => written(&faults),
    }
}

#[test]
fn the_example_of_the_language_is_understood() {
    let project = project(BIKE);
    assert_eq!((&*project.name, project.clock), ("bike-demand", ClockKind::Event));
    let aggregates = &project.views[0].aggregates;
    assert_eq!(aggregates[0].ops, [Op::Avg, Op::Max]);
    assert!(aggregates[0].op_in_name && !aggregates[1].op_in_name);
    let windowed = &project.models[1];
    assert!(matches!(&windowed.learner, LearnerSpec::Linear(sgd) if sgd.l2 == 1e-5 && sgd.epochs == 5));
    assert!(matches!(windowed.transforms[0].function, TransformFn::Standardize { clip: 5.0, .. }));
    let guards = &project.policies[0].guards;
    assert_eq!(guards.budget_rows.unwrap().amount, 20_000);
    assert_eq!(guards.at_most.unwrap().per, TimeSpan::from_days(7));
}

#[test]
fn inputs_are_pinned_in_order_with_where_they_come_from() {
    let compiled = project(BIKE).compile().unwrap();
    let model = compiled.model("bike-windowed").unwrap();
    let inputs: Vec<&str> = model.fit.inputs.iter().map(|name| &**name).collect();
    let expected = [
        "temp",
        "atemp",
        "hum",
        "windspeed",
        "weathersit",
        "slot",
        "feels_gap",
        "slot_demand.rides_avg_7d",
        "slot_demand.rides_avg_30d",
        "slot_demand.rides_max_7d",
        "slot_demand.rides_max_30d",
        "slot_demand.busy_30d",
        "slot_demand.trend",
    ];
    let mut sorted = (inputs.clone(), expected.to_vec());
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1);
    assert_eq!(inputs[..7], expected[..7], "request, then on-demand, then features");
    assert_eq!(model.inputs[5].origin, Origin::OnDemand);
    assert_eq!(model.inputs[7].origin, Origin::View("slot_demand".into()));
    for input in &model.inputs {
        assert_eq!(model.row.columns()[input.column].name, input.name);
    }
    let [lookup] = model.lookups.as_slice() else { panic!("one view is looked up") };
    assert_eq!(&*model.row.columns()[lookup.key[0]].name, "slot");
    assert!(model.before.len() == 2 && model.after.is_empty());
}

#[test]
fn a_model_like_another_copies_what_it_does_not_give() {
    let compiled = project(BIKE).compile().unwrap();
    let (raw, windowed) = (compiled.model("bike-raw").unwrap(), compiled.model("bike-windowed").unwrap());
    assert_eq!(raw.spec.request, windowed.spec.request);
    assert!(raw.lookups.is_empty());
    assert_eq!(raw.fit.inputs[..], windowed.fit.inputs[..7]);
    assert_ne!(raw.definition, windowed.definition);
}

#[test]
fn an_on_demand_expression_may_read_features_but_is_then_no_key() {
    let text = BIKE.replace("  feels_gap:", "  above: \"temp - slot_demand.rides_avg_7d\"\n  feels_gap:");
    let text = text.replace(
        "features: []\n",
        "features: []\non_demand: {slot: \"hr + 24 * workingday\", feels_gap: \"atemp - temp\"}\n",
    );
    let compiled = project(&text).compile().unwrap();
    let model = compiled.model("bike-windowed").unwrap();
    assert_eq!(model.after.len(), 1);
    let names: Vec<&str> = model.row.names().collect();
    assert_eq!(names.last(), Some(&"above"), "it stands after what it reads");
}

#[test]
fn the_smallest_project_has_forty_lines_and_its_policy_ten() {
    assert!(SMALLEST.lines().count() <= 40);
    assert!(SMALLEST.rsplit("---").next().unwrap().lines().count() <= 10);
    let project = project(SMALLEST);
    assert_eq!((project.clock, project.tick), (ClockKind::Wall, TimeSpan::from_hours(1)));
    assert_eq!(&*project.compile().unwrap().goal.models[0].endpoint, "fare");
}

/// The ready policies, by name.
const READY: [(&str, &str); 3] = [
    ("adaptive", include_str!("../../../policies/adaptive.yaml")),
    ("performance", include_str!("../../../policies/performance.yaml")),
    ("scheduled", include_str!("../../../policies/scheduled.yaml")),
];

/// The smallest project with another policy.
fn with_policy(policy: &str) -> String {
    let others = SMALLEST.rsplit_once("---").map_or(SMALLEST, |(others, _)| others);
    format!("{others}---\n{policy}")
}

#[test]
fn ready_made_policies_are_valid() {
    for (name, text) in READY {
        let project = project(&with_policy(&text.replace("my-model", "fare")));
        assert_eq!(&*project.policies[0].name, name);
    }
}

#[test]
fn a_policy_that_uses_a_ready_one_is_that_one_under_its_own_name() {
    for (name, text) in READY {
        let copied = project(&with_policy(&text.replace("my-model", "fare")));
        let used =
            project(&with_policy(&format!("kind: Policy\nname: {name}\nuse: {name}\nmodels: [fare]\n")));
        assert_eq!(used, copied);
        assert_eq!(used.hash(), copied.hash());
    }
}

#[test]
fn what_a_policy_gives_replaces_what_the_ready_one_says() {
    let own = "kind: Policy
name: own
use: adaptive
models: [fare]
signals:
  errors: {detector: adwin, of: squared_error, range: [0, 9]}
  inputs:
  extra: {labels: since_training}
guards: {budget: , at_most: 2 per day}
actions: {retrain: {data: 30d}}
gates: [{not_worse: rmse, holdout: 20 rows}]
rollout: [promote]
rollback:
";
    let policies = project(&with_policy(own)).policies;
    let policy = &policies[0];
    let names: Vec<&str> = policy.signals.iter().map(|signal| &*signal.name).collect();
    assert_eq!(names, ["quality", "fresh", "volume", "errors", "extra"], "the ready ones, then its own");
    assert!(matches!(policy.signals[3].kind, SignalKind::Detector { of: DetectedLoss::SquaredError, .. }));
    assert_eq!(policy.guards.budget_rows, None);
    assert_eq!(policy.guards.at_most.unwrap().amount, 2);
    assert_eq!(policy.guards.cooldown.success, TimeSpan::from_hours(48), "not given, so kept");
    assert_eq!(policy.actions.retrain.data, Some(TimeSpan::from_days(30)));
    assert_eq!(policy.actions.adapt.as_ref().unwrap().at_most, 5);
    assert_eq!((policy.triggers.len(), policy.gates.len()), (4, 1));
    assert_eq!((policy.rollout.as_slice(), &policy.rollback), ([StageSpec::Promote].as_slice(), &None));
}

#[test]
fn the_whole_language_is_read() {
    let project = project(&supported());
    let experiment = &project.experiments[0];
    assert_eq!(experiment.arms.len(), 2);
    assert_eq!(
        experiment.mode,
        Mode::Bandit {
            algorithm: Algorithm::GaussianThompson,
            epoch: TimeSpan::from_hours(6),
            floor: 0.01,
            reset_on_change: true
        }
    );
    assert_eq!((experiment.reward.range, &experiment.unit), ((-1000.0, 0.0), &UnitSpec::Request));
    let policy = &project.policies[0];
    let SignalKind::Drift { columns, every, rule, .. } = &policy.signals[1].kind else { panic!("no drift") };
    assert_eq!((columns.len(), *every, rule.min_js), (2, TimeSpan::from_hours(24), 0.05));
    assert_eq!(policy.actions.adapt.as_ref().unwrap().every, TimeSpan::from_hours(96));
    assert_eq!(policy.rollout[0], StageSpec::Shadow { length: TimeSpan::from_hours(24) });
    let StageSpec::Bandit { epoch, floor, otherwise, .. } = &policy.rollout[1] else { panic!("no bandit") };
    assert_eq!((*epoch, *floor, *otherwise), (TimeSpan::from_hours(6), 0.05, Otherwise::PromoteIfNotWorse));
    assert_eq!(policy.rollback.as_ref().unwrap().within, TimeSpan::from_days(7));
    assert_eq!(project.reports[0].formats, [ReportFormat::Html, ReportFormat::Json]);
    let goal = project.compile().unwrap().goal;
    assert_eq!(goal.experiments[0].spec, *experiment);
    assert_eq!(goal.reports, project.reports);
    assert_eq!(serde_json::from_str::<Project>(&serde_json::to_string(&project).unwrap()).unwrap(), project);
}

#[test]
fn times_that_are_not_given_are_whole_ticks() {
    let text = supported()
        .replace("tick: 1h ", "tick: 4h ")
        .replace("epoch: 6h, floor: 0.01", "floor: 0.01")
        .replace("window: 7d, reference: training", "window: 5d, reference: training");
    let project = project(&text);
    let epoch = TimeSpan::from_hours(8);
    assert!(matches!(project.experiments[0].mode, Mode::Bandit { epoch: found, .. } if found == epoch));
    let policy = &project.policies[0];
    assert!(matches!(policy.rollout[1], StageSpec::Bandit { epoch: found, .. } if found == epoch));
    let every = TimeSpan::from_hours(20);
    assert!(matches!(policy.signals[1].kind, SignalKind::Drift { every: found, .. } if found == every));
}

#[test]
fn a_split_is_in_the_order_of_the_arms_and_equal_unless_said() {
    let bandit = "algorithm: {kind: gaussian_thompson, epoch: 6h, floor: 0.01, reset_on_change: true}";
    let split = |words: &str| {
        let text = supported().replace("mode: bandit ", "mode: ab ").replace(bandit, words);
        project(&text).experiments[0].mode.clone()
    };
    assert_eq!(split(""), Mode::Ab { split: vec![0.5, 0.5] });
    assert_eq!(split("split: {bike-windowed: 0.9, bike-raw: 0.1}"), Mode::Ab { split: vec![0.1, 0.9] });
}

#[test]
fn an_input_is_named_with_where_it_comes_from() {
    let compiled = project(BIKE).compile().unwrap();
    let model = compiled.model("bike-windowed").unwrap();
    let named = |patterns: &[&str]| -> Vec<String> {
        let patterns: Vec<_> = patterns.iter().map(|pattern| (*pattern).into()).collect();
        model.matching(&patterns).into_iter().map(|input| input.qualified()).collect()
    };
    assert_eq!(
        named(&["on_demand.*", "request.temp"]),
        ["request.temp", "on_demand.slot", "on_demand.feels_gap"]
    );
    assert_eq!(named(&["slot_demand.trend", "request.hr"]), ["slot_demand.trend"], "hr is no input itself");
}

#[test]
fn the_runnable_example_is_valid() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/bike-demand/project");
    let entries = directory.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files = entries.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
    let example =
        Project::parse(&files.collect::<Vec<_>>()).unwrap_or_else(|faults| panic!("{}", written(&faults)));
    assert_eq!(&*example.name, "bike-demand");
}

#[test]
fn every_mistake_is_found_at_once() {
    let files = [("mistakes.yaml".to_owned(), include_str!("fixtures/mistakes.yaml").to_owned())];
    assert_eq!(written(&Project::parse(&files).unwrap_err()), include_str!("fixtures/mistakes.txt"));
}

#[test]
fn what_does_nothing_yet_is_refused_and_never_ignored() {
    let files = [("later.yaml".to_owned(), include_str!("fixtures/later.yaml").to_owned())];
    assert_eq!(written(&Project::parse(&files).unwrap_err()), include_str!("fixtures/later.txt"));
}

#[test]
fn the_hash_does_not_see_files_comments_or_the_order_of_fields() {
    let whole = project(BIKE);
    let mut files: Vec<(String, String)> = Vec::new();
    for (i, document) in BIKE.split("---\n").enumerate() {
        files.push((format!("{}.yaml", 9 - i), format!("# a comment\n{document}")));
    }
    files.reverse();
    let split = Project::parse(&files).unwrap();
    assert_eq!(split, whole);
    assert_eq!(split.hash(), whole.hash());
    let moved = project(
        &BIKE
            .replace("clock: event", "tock")
            .replace("name: bike-demand\ntock", "clock: event\nname: bike-demand"),
    );
    assert_eq!(moved.hash(), whole.hash());
    assert_ne!(project(&BIKE.replace("epochs: 5", "epochs: 6")).hash(), whole.hash());
}

#[test]
fn a_project_is_stored_and_read_back() {
    let project = project(BIKE);
    let json = serde_json::to_string(&project).unwrap();
    let back: Project = serde_json::from_str(&json).unwrap();
    assert_eq!(back, project);
    assert_eq!(back.hash(), project.hash());
    assert_eq!(back.compile().unwrap().goal, project.compile().unwrap().goal);
}

#[test]
fn what_was_stored_before_there_were_experiments_is_the_same_project() {
    let old = include_str!("fixtures/stored.json");
    let back: Project = serde_json::from_str(old).unwrap();
    assert_eq!(back, project(BIKE));
    assert_eq!(back.hash().short(), "fd1f9a416573", "as it was then");
    assert_eq!(serde_json::to_value(&back).unwrap(), serde_json::from_str::<serde_json::Value>(old).unwrap());
}

#[test]
fn models_of_an_endpoint_go_together() {
    let faults = faults_with(
        "features: []\n",
        "features: []\nrequest: {temp: int64, atemp: double, hum: double, windspeed: double, hr: int64, workingday: int64, weathersit: int64}\n",
    );
    assert!(
        faults.contains(
            "request column \"temp\" is double in model \"bike-windowed\", but int64 in model \"bike-raw\""
        ),
        "{faults}"
    );
    let faults = faults_with("initial: bike-raw", "initial: bike-row");
    assert!(faults.contains("Endpoint \"bike\": initial: \"bike-row\" is none of the endpoint's models; did you mean \"bike-raw\"?"), "{faults}");
}

#[test]
fn the_entity_of_a_view_must_be_known_before_the_lookup() {
    let faults = faults_with("slot: \"hr + 24 * workingday\"", "slot: \"CAST(hr AS DOUBLE)\"");
    assert!(
        faults
            .contains("view \"slot_demand\" is looked up by \"slot\", which is int64 there, but double here"),
        "{faults}"
    );
}

#[test]
fn an_action_that_always_exceeds_its_budget_is_refused() {
    let faults = faults_with("budget: 20000 rows per week", "budget: 20 rows per week");
    assert!(
        faults.contains(
            "triggers[1]: training model \"bike-raw\" always costs more than the budget of 20 rows per 7d"
        ),
        "{faults}"
    );
    assert_eq!(
        faults_with("budget: 20000 rows per week", "budget: 24 rows per week"),
        "",
        "72 rows less 48 held out"
    );
}

#[test]
fn every_kind_of_operation_and_window_can_be_declared() {
    let compiled = project(include_str!("fixtures/operations.yaml")).compile().unwrap();
    let outputs = compiled.views[0].outputs().columns().iter();
    let outputs: Vec<String> =
        outputs.map(|column| format!("{} {}", column.name, column.data_type)).collect();
    let expected = "user.amount_sum_7d double, user.amount_sum_tumbling_1d double, \
        user.amount_avg_7d double, user.amount_avg_tumbling_1d double, \
        user.amount_stddev_pop_7d double, user.amount_stddev_pop_tumbling_1d double, \
        user.amount_skew_7d double, user.amount_skew_tumbling_1d double, \
        user.amount_p95_7d double, user.amount_p95_tumbling_1d double, \
        user.amount_decayed_sum_1h_7d double, user.amount_decayed_sum_1h_tumbling_1d double, \
        user.shop_last_5_90d list<string>, user.shop_last_5_lifetime list<string>, \
        user.shop_last_distinct_3_90d list<string>, user.shop_last_distinct_3_lifetime list<string>, \
        user.shop_frequent_3_90d list<string>, user.shop_frequent_3_lifetime list<string>, \
        user.shop_approx_distinct_90d int64, user.shop_approx_distinct_lifetime int64, \
        user.seen_lifetime double, user.visit_session_30m int64, user.recent_last_100 double, \
        user.fee_30d double, user.sizes_30d list<int64>, user.spent_30d map<double>, \
        user.taste_30d list<double>, user.home double, user.newest string";
    assert_eq!(outputs.join(", "), expected);
}

#[test]
fn faults_of_operations_and_windows_name_what_would_help() {
    let faults = parse(include_str!("fixtures/operations_wrong.yaml")).err().unwrap_or_default();
    assert_eq!(written(&faults), include_str!("fixtures/operations_wrong.txt"));
}

#[test]
fn a_key_that_stands_twice_and_a_circle_of_copies_are_refused() {
    let faults = faults_with("task: regression\n", "task: regression\ntask: binary\n");
    assert!(faults.contains("\"task\" stands twice, first in line 27"), "{faults}");
    let faults = faults_with("name: bike-windowed\n", "name: bike-windowed\nlike: bike-raw\n");
    assert!(faults.contains("leads back"), "{faults}");
}

#[test]
fn a_plan_says_what_is_backfilled_and_what_must_retrain() {
    let old = project(BIKE);
    assert!(old.diff(Some(&old)).unwrap().changes.is_empty());
    let created = old.diff(None).unwrap();
    assert!(created.changes.iter().all(|change| change.effect == Effect::Created));
    let new = project(&BIKE.replace("rides > 300", "rides > 200"));
    let plan = new.diff(Some(&old)).unwrap();
    let text = plan.to_string();
    assert!(text.contains("~ FeatureView \"slot_demand\": aggregates"), "{text}");
    assert!(text.contains("is backfilled from the log"), "{text}");
    assert!(text.contains("~ Model \"bike-windowed\"\n      must be retrained, not fine-tuned: another version of view \"slot_demand\""), "{text}");
    assert!(!text.contains("Model \"bike-raw\""), "it reads no view: {text}");
    assert!(plan.refusals().is_empty());
}

#[test]
fn a_plan_refuses_what_old_rows_do_not_allow() {
    let old = project(BIKE);
    let added = project(&BIKE.replace("cnt: int64}", "cnt: int64, note: string?}"));
    assert!(added.diff(Some(&old)).unwrap().refusals().is_empty());
    let wanted = project(&BIKE.replace("cnt: int64}", "cnt: int64, note: string}"));
    let refusals = wanted.diff(Some(&old)).unwrap().refusals();
    assert_eq!(
        refusals,
        ["Source \"demand\": column \"note\" is new and must be there; declare it as string?"]
    );
}

#[test]
fn a_plan_says_what_becomes_of_experiments_and_reports() {
    let (without, with) = (project(BIKE), project(&supported()));
    let created = with.diff(Some(&without)).unwrap().to_string();
    let words = "  + Experiment \"raw-or-windowed\"
      begins when every arm has a version of its present definition: requests to \"bike\" are split between bike-raw, bike-windowed, anew every 6h
";
    assert!(created.contains(words), "{created}");
    assert!(created.contains("~ Policy \"keep-fresh\": "), "{created}");
    let words =
        "  + Report \"weekly-drift\"\n      is written by schedule \"0 7 * * 1\" about endpoint \"bike\"\n";
    assert!(created.contains(words), "{created}");

    let other = project(&supported().replace("floor: 0.01", "floor: 0.02").replace("0 7 * * 1", "0 8 * * 1"));
    let changed = other.diff(Some(&with)).unwrap().to_string();
    let words = "  ~ Experiment \"raw-or-windowed\": mode
      is another experiment: what was learned of its arms is left behind
      begins anew when every arm has a version of its present definition: ";
    assert!(changed.contains(words), "{changed}");
    assert!(changed.contains("  ~ Report \"weekly-drift\": schedule\n"), "{changed}");

    let retired = without.diff(Some(&with)).unwrap().to_string();
    assert!(
        retired
            .contains("  - Experiment \"raw-or-windowed\"\n      decides no more, if it has not concluded"),
        "{retired}"
    );
    assert!(retired.contains("  - Report \"weekly-drift\"\n      is written no more"), "{retired}");
    let fields = "~ Policy \"keep-fresh\": signals, triggers, actions, rollout, rollback";
    assert!(retired.contains(fields), "what is not declared any more differs too: {retired}");
}

#[test]
fn a_topic_is_declared_with_what_it_takes_to_read_it() {
    let with = |clock: &str, kafka: &str| {
        let text = format!(
            "kind: Project\nname: taxi\nclock: {clock}\n---\nkind: Source\nname: rides\n\
             schema: {{id: string, at: timestamp, fare: double?}}\nevent_time: at\nstream: {{kafka: {{{kafka}}}}}\n"
        );
        Project::parse(&[("taxi.yaml".to_owned(), text)]).map_err(|faults| written(&faults))
    };
    for good in [
        "topic: rides.v1",
        "topic: rides.v1, format: json, registry: \"http://127.0.0.1:8081\", timestamp: at, group: billing",
        "topic: rides.v1, format: csv",
        "topic: rides.v1, format: avro, registry: \"http://127.0.0.1:8081\"",
        "topic: rides.v1, format: protobuf, writer_schema: \"message Ride { optional string id = 1; }\"",
    ] {
        let project = with("wall", good).unwrap_or_else(|faults| panic!("{good}: {faults}"));
        let json = serde_json::to_string(&project).unwrap();
        assert_eq!(serde_json::from_str::<Project>(&json).unwrap(), project, "what is stored is read back");
    }
    let faults = |clock, kafka| with(clock, kafka).unwrap_err();
    assert_eq!(
        faults("event", "topic: rides.v1"),
        "taxi.yaml:9:17: Source \"rides\": stream.kafka: a topic is read as its messages arrive, and this project's \
         clock moves by the requests of a play; use clock: wall, or send the topic's rows with `perennial import`\n"
    );
    assert_eq!(
        faults("wall", "topic: \"rides v1\", format: avro, timestamp: fare"),
        "taxi.yaml:9:17: Source \"rides\": stream.kafka: avro can only be read with the schema that it was written \
         by; name a registry, if values begin with the id of a schema there, else give the writer_schema\n\
         taxi.yaml:9:25: Source \"rides\": stream.kafka.topic: \"rides v1\" is no name of a topic; use at most 249 \
         letters, digits, dots, dashes and underscores\n\
         taxi.yaml:9:62: Source \"rides\": stream.kafka.timestamp: column \"fare\" is double; wanted is timestamp\n"
    );
    assert_eq!(
        faults("wall", "topic: rides.v1, format: csv, registry: \"http://127.0.0.1:8081\", topc: a"),
        "taxi.yaml:9:17: Source \"rides\": stream.kafka: csv has no registry; use format: json, avro or protobuf\n\
         taxi.yaml:9:83: Source \"rides\": stream.kafka: unknown field \"topc\"; did you mean \"topic\"?\n"
    );
}
