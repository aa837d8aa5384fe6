//! What is rendered is whole, escaped, small, the same every time, and says what it does not know.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its own sample has failed")]

use perennial_report::{
    Answer, ArmShare, CategoryShare, ColumnKind, ColumnSection, Distribution, DriftSection, EffectName,
    Entry, FORMAT_VERSION, MetricPoint, MetricSeries, ModelSection, Report, RolloutEntry, Traffic,
    TrafficStep,
};
use perennial_types::{Kind, TimeSpan, Timestamp};

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// A report of a week in which nothing happened at all.
fn empty() -> Report {
    Report {
        format_version: FORMAT_VERSION,
        name: "weekly".into(),
        project: "bike".into(),
        endpoint: "demand".into(),
        at: at("2011-03-14T07:00:02Z"),
        from: at("2011-03-07"),
        to: at("2011-03-14"),
        reference: "the training set".into(),
        requests: 0,
        labelled: 0,
        fallbacks: 0,
        models: vec![],
        traffic: Traffic { steps: vec![], until: at("2011-03-14") },
        decisions: vec![],
        rollouts: vec![],
        notes: vec![],
    }
}

fn numeric(name: &str, effect: f64, alarmed: bool) -> ColumnSection {
    ColumnSection {
        name: name.into(),
        kind: ColumnKind::Numeric,
        test: "KS".into(),
        statistic: Some(0.31),
        p_value: Some(1e-9),
        p_adjusted: Some(2e-9),
        effect: Some(effect),
        effect_name: EffectName::WassersteinSd,
        missing_reference: 0.0,
        missing_current: 0.02,
        new_categories: vec![],
        alarmed,
        reason: format!("{effect} sd, above 0.1 sd"),
        reference: Distribution::Histogram { edges: vec![0.0, 1.0, 2.0], shares: vec![0.7, 0.3] },
        current: Distribution::Histogram { edges: vec![0.0, 1.0, 2.0], shares: vec![0.2, 0.8] },
    }
}

fn categorical(name: &str, alarmed: bool) -> ColumnSection {
    let categories = |shares: &[(&str, f64)]| Distribution::Categories {
        categories: shares
            .iter()
            .map(|(name, share)| CategoryShare { name: (*name).into(), share: *share })
            .collect(),
    };
    ColumnSection {
        kind: ColumnKind::Categorical,
        test: "chi²".into(),
        effect_name: EffectName::Js,
        new_categories: if alarmed { vec!["snow".into()] } else { vec![] },
        reference: categories(&[("clear", 0.6), ("rain", 0.4)]),
        current: categories(&[("clear", 0.5), ("rain", 0.3), ("snow", 0.2)]),
        ..numeric(name, 0.2, alarmed)
    }
}

/// A report with one of everything.
fn small() -> Report {
    let points = [(40.1, 168), (43.0, 160)];
    let points = points.iter().zip(1i64..).map(|((value, rows), day)| MetricPoint {
        at: at("2011-03-07") + TimeSpan::from_days(2 * day),
        value: Some(*value),
        rows: *rows,
    });
    let share = |arm: &str, share: f64| ArmShare { arm: arm.into(), share };
    Report {
        requests: 168,
        labelled: 160,
        fallbacks: 2,
        models: vec![ModelSection {
            model: "windowed".into(),
            version: Some("windowed/7".into()),
            share: 0.75,
            drift: Some(DriftSection {
                method: "KS for numbers".into(),
                correction: "bh".into(),
                alpha: 0.05,
                reference_rows: 1_440,
                current_rows: 168,
                share: 1.0 / 3.0,
                weighted_share: None,
                worst: Some("temp".into()),
                max_effect: Some(0.42),
                alarmed: true,
                columns: vec![
                    categorical("weather", false),
                    numeric("temp", 0.42, true),
                    numeric("hum", 0.02, false),
                ],
            }),
            drift_unknown: None,
            performance: vec![MetricSeries {
                metric: "mae".into(),
                unit: Some("rides".into()),
                baseline: Some(40.0),
                value: Some(41.0),
                points: points.collect(),
            }],
        }],
        traffic: Traffic {
            steps: vec![
                TrafficStep { at: at("2011-03-01"), shares: vec![share("windowed/6", 1.0)] },
                TrafficStep {
                    at: at("2011-03-09"),
                    shares: vec![share("windowed/6", 0.5), share("windowed/7", 0.5)],
                },
                TrafficStep { at: at("2011-03-10"), shares: vec![share("windowed/7", 1.0)] },
            ],
            until: at("2011-03-14"),
        },
        decisions: vec![Entry {
            at: at("2011-03-08"),
            kind: "started".into(),
            subject: "windowed".into(),
            reason: "drift.share > 0.3".into(),
        }],
        rollouts: vec![RolloutEntry {
            model: "windowed".into(),
            version: "windowed/7".into(),
            stage: "promote".into(),
            outcome: Some("promoted".into()),
            began: at("2011-03-09"),
            ended: Some(at("2011-03-10")),
            reason: "probability_better > 0.8".into(),
        }],
        notes: vec!["8 requests are not labelled yet.".into()],
        ..empty()
    }
}

fn weekly() -> Report {
    Report::from_json(include_str!("../examples/weekly.json")).unwrap()
}

/// `html` without its style sheet.
fn without_style(html: &str) -> String {
    let (head, rest) = html.split_once("<style>").unwrap();
    let (_, tail) = rest.split_once("</style>").unwrap();
    format!("{head}{tail}")
}

/// Every tag is closed in order, every attribute is quoted and there once, every `&` begins an entity.
fn check_well_formed(html: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html.strip_prefix("<!doctype html>").ok_or("no doctype")?;
    while let Some((text, tail)) = rest.split_once('<') {
        if text.contains('>') {
            return Err(format!("a bare > in {text:?}"));
        }
        for after in text.split('&').skip(1) {
            let entity = after.split(';').next().unwrap_or_default();
            if !["amp", "lt", "gt", "quot", "#39"].contains(&entity) {
                return Err(format!("a bare & before {after:?}"));
            }
        }
        let (tag, tail) = tail.split_once('>').ok_or_else(|| format!("no end of the tag {tail:?}"))?;
        rest = tail;
        if let Some(name) = tag.strip_prefix('/') {
            let expected = open.pop();
            if expected != Some(name) {
                return Err(format!("</{name}> where {expected:?} is open"));
            }
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        check_attributes(&tag[name.len()..])?;
        if !tag.ends_with('/') && name != "meta" {
            open.push(name);
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} stay open")) }
}

fn check_attributes(mut rest: &str) -> Result<(), String> {
    let mut names = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest == "/" {
            return Ok(());
        }
        let (name, tail) =
            rest.split_once("=\"").ok_or_else(|| format!("an attribute without quotes: {rest:?}"))?;
        if names.contains(&name) || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(format!("a wrong attribute {name:?}"));
        }
        names.push(name);
        rest = tail.split_once('"').ok_or("no closing quote")?.1;
    }
}

#[test]
fn the_checker_finds_what_is_broken() {
    for broken in ["<p>", "<p></b>", "<p a=1></p>", "<p a=\"1\" a=\"2\"></p>", "<p>a & b</p>", "<p>1 > 2</p>"]
    {
        assert!(check_well_formed(&format!("<!doctype html>{broken}")).is_err(), "{broken}");
    }
    check_well_formed("<!doctype html><p a=\"1\">&lt;<meta b=\"2\"><rect x=\"1\"/></p>").unwrap();
}

#[test]
fn the_json_is_the_structure_and_is_read_back() {
    insta::assert_snapshot!("json", small().to_json());
    for report in [empty(), small(), weekly()] {
        assert_eq!(Report::from_json(&report.to_json()).unwrap(), report);
    }
}

#[test]
fn a_report_of_another_format_is_refused_by_name() {
    let text = small().to_json().replacen("\"format_version\": 1", "\"format_version\": 2", 1);
    let error = Report::from_json(&text).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(
        error.to_string(),
        "the report is written in format 2, and format 1 is the one that is read here"
    );
    assert!(Report::from_json("[]").unwrap_err().to_string().starts_with("this is no report: "));
}

#[test]
fn the_page_answers_first_and_shows_everything() {
    let html = small().to_html();
    insta::assert_snapshot!("page", without_style(&html));
    insta::assert_snapshot!("summary", small().to_markdown());
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("no {text}"));
    let order = [
        "Did anything change?",
        "What changed",
        ">temp ",
        ">weather<",
        "Performance",
        "Traffic",
        "Rollouts",
        "Decisions",
    ];
    assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])));
}

#[test]
fn every_page_is_well_formed_small_and_the_same_every_time() {
    for report in [empty(), small(), weekly()] {
        let html = report.to_html();
        check_well_formed(&without_style(&html)).unwrap();
        assert!(html.len() < 150_000, "{} bytes", html.len());
        assert_eq!(html, report.to_html());
        for outside in ["http:", "https:", "url(", "@import", "<script", "<link", "<img", " src="] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}

#[test]
fn a_report_with_a_thousand_changed_columns_stays_small() {
    let mut report = weekly();
    let drift = report.models[0].drift.as_mut().unwrap();
    let column = drift.columns.iter().find(|column| column.alarmed).unwrap().clone();
    drift.columns =
        (0..1_000).map(|i| ColumnSection { name: format!("view.column_{i}"), ..column.clone() }).collect();
    report.decisions = vec![report.decisions[0].clone(); 5_000];
    let step = report.traffic.steps[1].clone();
    report.traffic.steps = (0..5_000)
        .map(|i| TrafficStep { at: report.from + TimeSpan::from_secs(100 * i), ..step.clone() })
        .collect();
    let html = report.to_html();
    assert!(html.len() < 150_000, "{} bytes", html.len());
    assert!(html.contains("columns are in the JSON of this report only"));
    check_well_formed(&without_style(&html)).unwrap();
}

/// The JSON with `poison` in the place of every text that is no name of the format.
fn poisoned(value: &mut serde_json::Value, poison: &str) {
    const FORMAT: [&str; 5] = ["type", "kind", "effect_name", "at", "until"];
    match value {
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| poisoned(item, poison)),
        serde_json::Value::Object(fields) => {
            let entry = fields.contains_key("subject");
            for (name, value) in fields.iter_mut() {
                let free_kind = entry && name == "kind";
                let fixed = FORMAT.contains(&name.as_str()) && !free_kind;
                match value {
                    serde_json::Value::String(text) if fixed || Timestamp::parse(text).is_ok() => {}
                    other => poisoned(other, poison),
                }
            }
        }
        serde_json::Value::String(text) => *text = format!("{poison}{text}"),
        _ => {}
    }
}

#[test]
fn no_text_of_a_user_becomes_markup() {
    for poison in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror='alert(1)'>",
        "</style></title>&amp;",
        "]]>-->\u{0}",
    ] {
        let mut sick = weekly();
        sick.models.extend(small().models);
        sick.models[2].drift.as_mut().unwrap().columns.push(categorical("c", true));
        let mut value = serde_json::to_value(&sick).unwrap();
        poisoned(&mut value, poison);
        let sick: Report = serde_json::from_value(value).unwrap();
        assert!(sick.name.starts_with(poison) && sick.decisions[0].kind.starts_with(poison));
        let html = sick.to_html();
        check_well_formed(&without_style(&html)).unwrap();
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains('\u{0}'));
        let summary = sick.to_markdown();
        assert!(!summary.contains("<script") && !summary.contains("<img") && !summary.contains('\u{0}'));
    }
}

#[test]
fn a_window_in_which_nothing_happened_says_so() {
    let report = empty();
    let html = report.to_html();
    for sentence in [
        "Not known.",
        "No requests came in this window, so there is nothing to compare.",
        "No model was in service in this window.",
        "No metric has a value in this window.",
        "No model had a share of the traffic in this window.",
        "Nothing was decided in this window.",
    ] {
        assert!(html.contains(sentence), "{sentence}");
    }
    assert!(!html.contains("NaN") && !html.contains("unknown"));
    let unserved = Report { requests: 12, fallbacks: 12, ..empty() };
    assert_eq!(
        unserved.verdict().sentence,
        "No model was in service in this window, so there is nothing to compare."
    );
    assert_eq!(unserved.verdict().facts, ["100% of the requests were answered by the fallback."]);
}

#[test]
fn a_model_that_did_not_answer_does_not_decide_the_answer() {
    let mut report = small();
    let mut idle = report.models[0].clone();
    idle.version = Some("idle/1".to_owned());
    idle.share = 0.0;
    report.models[0].share = 1.0;
    let drift = report.models[0].drift.as_mut().unwrap();
    drift.alarmed = false;
    drift.columns.iter_mut().for_each(|column| column.alarmed = false);
    report.models.insert(0, idle);
    let verdict = report.verdict();
    assert_eq!(verdict.answer, Answer::Unchanged);
    assert!(verdict.facts.iter().any(|fact| fact.contains("of idle/1 has changed")), "{:?}", verdict.facts);
}

#[test]
fn the_answer_is_the_alarm_and_its_reason_the_worst_column() {
    let mut report = small();
    let verdict = report.verdict();
    assert_eq!(verdict.answer, Answer::Changed);
    assert_eq!(
        verdict.sentence,
        "1 of the 3 columns of windowed/7 has changed. It is temp: 0.42 sd, above 0.1 sd."
    );
    assert_eq!(
        verdict.facts,
        [
            "mae of windowed over the window is 41 rides, 2.5% above its baseline of 40.",
            "The shares of the traffic changed 2 times.",
            "1 rollout ended.",
            "1.2% of the requests were answered by the fallback."
        ]
    );

    report.models[0].drift.as_mut().unwrap().alarmed = false;
    assert_eq!(report.verdict().answer, Answer::PartlyChanged);
    assert!(report.verdict().sentence.contains("too few to raise the alarm"));

    report.models[0].drift.as_mut().unwrap().columns.retain(|column| !column.alarmed);
    assert_eq!(report.verdict().answer, Answer::Unchanged);

    report.models[0].drift = None;
    report.models[0].drift_unknown = Some("12 rows, at least 100 are needed".into());
    assert_eq!(report.verdict().answer, Answer::Unknown);
    let why = "The inputs of windowed/7 could not be compared: 12 rows, at least 100 are needed.";
    assert_eq!(report.verdict().sentence, why);
}

#[test]
fn a_model_that_is_alarmed_comes_before_one_that_is_not() {
    let mut report = small();
    let mut calm = report.models[0].clone();
    calm.version = Some("calm/1".into());
    calm.drift.as_mut().unwrap().alarmed = false;
    report.models.insert(0, calm);
    let verdict = report.verdict();
    assert_eq!(verdict.answer, Answer::Changed);
    assert!(verdict.sentence.contains("windowed/7") && verdict.facts[0].contains("calm/1"));
}

#[test]
fn numbers_that_could_not_be_computed_are_dashes() {
    let mut report = small();
    let column = &mut report.models[0].drift.as_mut().unwrap().columns[1];
    (column.statistic, column.p_value, column.p_adjusted, column.effect) = (None, None, Some(f64::NAN), None);
    report.models[0].performance[0].points[1].value = None;
    let html = report.to_html();
    assert!(!html.contains("NaN"));
    check_well_formed(&without_style(&html)).unwrap();
}
