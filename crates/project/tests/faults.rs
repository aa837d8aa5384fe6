//! Every mistake is named, wherever it stands and whatever else is wrong; none is named twice.

use std::collections::BTreeSet;

use perennial_project::{Fault, Project};
use proptest::prelude::*;

const BIKE: &str = include_str!("fixtures/bike.yaml");

/// Mistakes that have nothing to do with each other: what is written, and what instead.
const MISTAKES: [(&str, &str); 30] = [
    ("clock: event ", "clock: evnt "),
    ("cnt: int64}", "cnt: int46}"),
    ("id: event_id", "id: evnt_id"),
    ("available_at: arrival", "available_at: arival"),
    ("entity: [slot]", "entity: [slt]"),
    ("op: [avg, max]", "op: [avg, median]"),
    ("tail: exact", "tail: exct"),
    ("where: \"rides > 300\"", "where: \"ride > 300\""),
    ("hum: double,", "hum: duble,"),
    ("\"hr + 24 * workingday\"", "\"hr + 24 * wrkingday\""),
    ("\"atemp - temp\"", "\"now()\""),
    ("[temp, atemp, hum,", "[tmp, atemp, hum,"),
    ("fn: one_hot", "fn: onehot"),
    ("clip: 5", "clipp: 5"),
    ("learning_rate: 0.01", "learning_rate: -1"),
    ("output: {min: 0}", "output: {min: low}"),
    ("labels.rows >= 1737", "labels.row >= 1737"),
    ("initial: bike-raw", "initial: bike-row"),
    ("give_up_after: 7d", "give_up_after: 7h"),
    ("outcome: independent_of_prediction", "outcome: independent"),
    ("deadline: 20ms", "dedline: 20ms"),
    ("labels: since_training", "labels: since_trainin"),
    ("quality: {performance: mae", "quality: {performance: mea"),
    ("quality.relative_change >", "quality.relativ_change >"),
    ("\"0 3 * * *\"", "\"0 25 * * *\""),
    ("\"volume.rows >= 72\"", "\"volume.row >= 72\""),
    ("action: retrain}", "action: retran}"),
    ("at_most: 5 per week", "at_most: 5 per fortnight"),
    ("confidence: 0.9,", "confidence: 1.9,"),
    ("replay: {rows: 0}", "replay: {rows: none}"),
];

const LANGUAGE: &str = include_str!("fixtures/language.yaml");

/// Mistakes in experiments, rollouts, signals and reports.
const TRAFFIC_MISTAKES: [(&str, &str); 30] = [
    ("mode: bandit ", "mode: bandits "),
    ("arms: [bike-raw, bike-windowed]", "arms: [bike-raw, bike-window]"),
    ("unit: request ", "unit: temp "),
    ("epoch: 6h", "epoch: 90m"),
    ("floor: 0.01", "floor: 0.5"),
    ("-ABS(prediction - label)", "-ABS(prediction - lable)"),
    ("range: [-1000, 0]", "range: [0, -1000]"),
    ("of: error_rate", "of: error_rat"),
    ("probability_best > 0.99", "probability_bst > 0.99"),
    ("at_most: 30d", "at_most: 24h"),
    ("then: promote_best ", "then: promote_bst "),
    ("otherwise: keep_initial", "otherwise: keep"),
    ("[request.*, slot_demand.*]", "[requst.*, slot_demand.*]"),
    ("correction: bh", "corection: bh"),
    ("wasserstein_sd: 0.1", "waserstein_sd: 0.1"),
    ("detector: adwin", "detector: adwi"),
    ("of: abs_error", "of: log_loss"),
    ("range: [0, 1000]", "range: [-2, -1]"),
    ("50000 rows}", "50000}"),
    ("action: adapt}", "action: adpt}"),
    ("repeat: fine_tune", "repeat: finetune"),
    ("every: 96h", "every: 90m"),
    ("NOT errors.open", "NOT errors.opn"),
    ("{shadow: 24h}", "{shadow: 90m}"),
    ("probability_better > 0.8", "probability_beter > 0.8"),
    ("otherwise: promote_if_not_worse", "otherwise: promote_if_better"),
    ("paired.relative_change", "paired.relative_chang"),
    ("within: 7d", "within: 24h"),
    ("schedule: \"0 7 * * 1\"", "schedule: \"0 7 * * 8\""),
    ("formats: [html, json]", "formats: [html, pdf]"),
];

/// Faults of the whole language.
fn traffic_with(mistakes: impl IntoIterator<Item = usize>) -> Vec<Fault> {
    let mut text = LANGUAGE.to_owned();
    for i in mistakes {
        let (from, to) = TRAFFIC_MISTAKES[i];
        assert!(text.contains(from), "the fixture has no {from:?}");
        text = text.replacen(from, to, 1);
    }
    faults_of(&text)
}

fn faults_of(text: &str) -> Vec<Fault> {
    Project::parse(&[("p.yaml".to_owned(), text.to_owned())]).err().unwrap_or_default()
}

/// What is said, without lines and columns, which move with other mistakes of a line.
fn said(faults: &[Fault]) -> BTreeSet<String> {
    let said = faults.iter().map(|fault| format!("{}: {} {:?}", fault.path, fault.message, fault.help));
    said.collect()
}

fn with(mistakes: impl IntoIterator<Item = usize>) -> Vec<Fault> {
    let mut text = BIKE.to_owned();
    for i in mistakes {
        let (from, to) = MISTAKES[i];
        assert!(text.contains(from), "the fixture has no {from:?}");
        text = text.replacen(from, to, 1);
    }
    faults_of(&text)
}

#[test]
fn one_mistake_is_one_message() {
    let several = |i: &usize| with([*i]).len() != 1;
    let wrong: Vec<_> =
        (0..MISTAKES.len()).filter(several).map(|i| (MISTAKES[i], said(&with([i])))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn one_mistake_of_an_experiment_a_rollout_or_a_report_is_one_message() {
    assert_eq!(traffic_with([]), []);
    let all = 0..TRAFFIC_MISTAKES.len();
    let several = |i: &usize| traffic_with([*i]).len() != 1;
    let wrong: Vec<_> =
        all.filter(several).map(|i| (TRAFFIC_MISTAKES[i], said(&traffic_with([i])))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn one_mistake_of_a_view_that_a_drift_signal_names_is_one_message() {
    for (from, to) in MISTAKES.iter().filter(|(from, _)| {
        ["entity: [slot]", "op: [avg, max]", "tail: exact", "where: \"rides > 300\""].contains(from)
    }) {
        let text = LANGUAGE.to_owned();
        assert!(text.contains(from), "the fixture has no {from:?}");
        let faults = faults_of(&text.replacen(from, to, 1));
        assert_eq!(faults.len(), 1, "{from}: {faults:#?}");
    }
}

#[test]
fn a_p_value_is_refused_where_it_is_never_known() {
    let text = LANGUAGE.to_owned();
    let faults = faults_of(&text.replace("probability_best > 0.99", "p_value < 0.05"));
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert_eq!(faults[0].message, "p_value is never known in a bandit, whose shares follow its rewards");
    assert_eq!(faults[0].help.as_deref(), Some("use probability_best, or mode: ab"));
}

#[test]
fn a_cooldown_that_is_none_is_told_both_ways_to_write_it() {
    let faults = faults_of(&BIKE.replace("cooldown: {success: 48h, failure: 48h}", "cooldown: 5"));
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert_eq!(
        faults[0].message,
        "expected a duration like 12h, or a map like {success: 48h, failure: 24h}, found 5"
    );
}

#[test]
fn all_mistakes_of_experiments_rollouts_and_reports_at_once_are_all_messages() {
    let all = 0..TRAFFIC_MISTAKES.len();
    let alone: BTreeSet<String> = all.clone().flat_map(|i| said(&traffic_with([i]))).collect();
    assert_eq!(said(&traffic_with(all)), alone);
}

#[test]
fn all_mistakes_at_once_are_all_messages() {
    let alone: BTreeSet<String> = (0..MISTAKES.len()).flat_map(|i| said(&with([i]))).collect();
    let together = with(0..MISTAKES.len());
    assert_eq!(said(&together), alone);
    assert_eq!(together.len(), MISTAKES.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn some_mistakes_are_the_messages_of_each(
        chosen in proptest::sample::subsequence((0..MISTAKES.len()).collect::<Vec<_>>(), 0..=MISTAKES.len())
    ) {
        let alone: BTreeSet<String> = chosen.iter().flat_map(|i| said(&with([*i]))).collect();
        prop_assert_eq!(said(&with(chosen)), alone);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn some_mistakes_of_experiments_rollouts_and_reports_are_the_messages_of_each(
        chosen in proptest::sample::subsequence((0..TRAFFIC_MISTAKES.len()).collect::<Vec<_>>(), 0..=TRAFFIC_MISTAKES.len())
    ) {
        let alone: BTreeSet<String> = chosen.iter().flat_map(|i| said(&traffic_with([*i]))).collect();
        prop_assert_eq!(said(&traffic_with(chosen)), alone);
    }
}

fn listed(name: &str, text: &str) -> String {
    let faults = Project::parse(&[(name.to_owned(), text.to_owned())]).err().unwrap_or_default();
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

#[test]
fn many_mistakes_of_a_document_are_named_at_once() {
    let found = listed("many.yaml", include_str!("fixtures/many.yaml"));
    assert_eq!(found, include_str!("fixtures/many.txt"), "{found}");
    let found = listed("more.yaml", include_str!("fixtures/more.yaml"));
    assert_eq!(found, include_str!("fixtures/more.txt"), "{found}");
    let found = listed("traffic.yaml", include_str!("fixtures/traffic.yaml"));
    assert_eq!(found, include_str!("fixtures/traffic.txt"), "{found}");
}

#[test]
fn what_may_stand_in_an_unreadable_file_is_not_missed() {
    let policy = BIKE.rsplit("---\n").next().unwrap_or_default();
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let faults =
        Project::parse(&[file("a.yaml", "name: [x\n"), file("b.yaml", &policy.replace("0 3 *", "0 25 *"))])
            .unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert!(faults[1].message.contains("0 25 * * *"), "{faults:#?}");
}

#[test]
fn a_declaration_whose_name_is_taken_or_missing_is_still_checked() {
    let twice =
        format!("{BIKE}---\nkind: Source\nname: demand\nschema: {{at: timestamp}}\nevent_time: att\n");
    let faults = faults_of(&twice);
    assert_eq!(faults.len(), 2, "{faults:#?}");
    let nameless =
        BIKE.replace("name: slot_demand", "nmae: slot_demand").replace("entity: [slot]", "entity: [slt]");
    let faults = faults_of(&nameless);
    assert_eq!(faults.len(), 2, "{faults:#?}");
}

#[test]
fn a_model_like_none_is_one_mistake() {
    let faults = faults_of(&BIKE.replace("like: bike-windowed", "like: bike-window"));
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert!(faults[0].help.as_ref().is_some_and(|help| help.contains("bike-windowed")), "{faults:#?}");
}

#[test]
fn a_mistake_is_not_blamed_on_what_depends_on_it() {
    let alone = [
        ("from: demand", "from: demnd"),
        ("from: demand", "from: [demand]"),
        ("name: slot_demand\n", "name: slot-demand\n"),
        ("schema: {event_id: string, hour: timestamp, slot: int64, cnt: int64}", "schema: [event_id]"),
        ("slot: int64", "2slot: int64"),
        ("cnt: int64}", "2cnt: int64}"),
        ("hr: int64", "2hr: int64"),
        ("hour: timestamp", "hour: timestmp"),
        ("retention: 400d", "retention: 400x"),
        ("{rides: \"CAST(cnt AS DOUBLE)\"}", "{rides: 3}"),
        ("{rides: \"CAST(cnt AS DOUBLE)\"}", "{rides: \"CAST(cnt AS\"}"),
        ("{name: rides, op", "{nmae: rides, op"),
        ("windows: [7d, 30d]", "windows: [7d, 30x]"),
        ("of: rides, windows", "fo: rides, windows"),
        ("task: regression", "task: regresion"),
        ("task: regression", "tsk: regression"),
        ("kind: linear", "kind: linaer"),
        ("learner: {kind", "leaner: {kind"),
        ("request: {temp", "requst: {temp"),
        ("features: [slot_demand.*]", "features: slot_demand.*"),
        ("features: [slot_demand.*]", "featurs: [slot_demand.*]"),
        ("transforms:  ", "transform:  "),
        ("on_demand:  ", "on_demnd:  "),
        ("models: [bike-raw, bike-windowed]\ninitial", "models: [bike-raw, bike-window]\ninitial"),
        ("models: [bike-raw, bike-windowed]\ninitial", "models: [bike-rw, bike-windowed]\ninitial"),
        ("models: [bike-raw, bike-windowed]\ninitial", "model: [bike-raw, bike-windowed]\ninitial"),
        ("models: [bike-raw, bike-windowed]\ninitial", "models: bike-raw\ninitial"),
        ("initial: bike-raw", "initial: 7"),
        ("name: bike-raw\nlike", "name: 7\nlike"),
        ("name: bike-raw\nlike", "nam: bike-raw\nlike"),
        ("kind: Source ", "kind: Sorce "),
        ("kind: FeatureView", "kind: FeatureVew"),
        ("kind: Endpoint", "kind: Endpont"),
        ("kind: Project", "kind: Projct"),
        ("kind: Project", "knd: Project"),
        ("volume:  {labels", "2volume:  {labels"),
        ("volume:  {labels: since_training}", "volume: {cost: training}"),
        ("signals:", "signal:"),
        ("triggers:", "trigers:"),
        ("holdout: 48 rows", "holdout: many"),
        ("budget: 20000 rows per week", "budget: some"),
        ("action: fine_tune}\n  - {name: regular", "action: fine}\n  - {name: regular"),
    ];
    let several = |(from, to): &&(&str, &str)| {
        assert!(BIKE.contains(from), "the fixture has no {from:?}");
        faults_of(&BIKE.replacen(from, to, 1)).len() != 1
    };
    let wrong: Vec<_> = alone.iter().filter(several).collect();
    let said = wrong.iter().map(|(from, to)| (to, said(&faults_of(&BIKE.replacen(from, to, 1)))));
    assert!(wrong.is_empty(), "{:#?}", said.collect::<Vec<_>>());
}
