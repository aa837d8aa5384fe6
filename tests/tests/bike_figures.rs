//! The figures that the bike example rests on, computed without a service: what demand features and
//! fine-tuning are worth on the bundled hours, and what the example's nightly trigger and its gate make of them
//! where every candidate that passes is promoted at once.

#![expect(
    clippy::unwrap_used,
    reason = "outside of #[test] functions too, a failure here is the failure of a test"
)]

use bike_demand::{FIRST_ROWS, Frame, Inputs, daily_fine_tune, frozen, hours, project};
use perennial_learn::Fitted;
use perennial_policy::GateSpec;
use perennial_project::Project;
use perennial_stats::paired::{NotWorse, not_worse};
use perennial_types::{TimeSpan, Timestamp};

/// What the example's policy declares.
#[derive(Clone, Copy, Debug)]
struct Settings {
    /// `volume.rows` of the trigger.
    rows: usize,
    /// Of the gate.
    holdout: usize,
    margin: f64,
    confidence: f64,
    /// After a promotion and after a refusal; the example rests longer after a refusal.
    cooldown: TimeSpan,
    /// Of the action.
    epochs: u32,
}

const DECLARED: Settings = Settings {
    rows: 72,
    holdout: 48,
    margin: 0.05,
    confidence: 0.9,
    cooldown: TimeSpan::from_hours(48),
    epochs: 1,
};

/// What a policy made of the two years.
#[derive(Debug, Default)]
struct Outcome {
    mae: f64,
    row_visits: u64,
    promoted: u64,
    refused: u64,
    held: u64,
    too_few: u64,
}

/// The version in service and the row after the last one that it was trained on.
struct Current {
    model: Fitted,
    end: usize,
}

/// The play of the example, its service reduced to arithmetic: at each tick the policy sees the truths told
/// before it; then the truth that is due is told and the hour is asked for.
fn play(frame: &Frame, settings: Settings) -> Outcome {
    let mut outcome = Outcome::default();
    let mut current: Option<Current> = None;
    let (mut told, mut asked) = (0, 0);
    let mut rest_until = Timestamp::MIN;
    let mut error = 0.0;
    let mut at = frame.hours[0].at;
    while asked < frame.hours.len() {
        while told < frame.hours.len() && frame.hours[told].due() < at {
            told += 1;
        }
        match &current {
            None if told >= FIRST_ROWS => {
                let model = Fitted::fit(&frame.spec, &frame.rows[..told], &frame.labels[..told]).unwrap();
                current = Some(Current { model, end: told });
            }
            Some(version) if three_o_clock(at) => {
                if told - version.end < settings.rows {
                    outcome.too_few += 1;
                } else if at < rest_until {
                    outcome.held += 1;
                } else {
                    rest_until = at + settings.cooldown;
                    if let Some(next) = run(frame, version, told, settings, &mut outcome) {
                        current = Some(next);
                    }
                }
            }
            None | Some(_) => {}
        }
        if frame.hours[asked].at == at {
            let answer =
                current.as_ref().map_or(0.0, |version| version.model.predict(&frame.rows[asked]).unwrap());
            if asked >= FIRST_ROWS {
                error += (answer - frame.labels[asked]).abs();
            }
            asked += 1;
        }
        at = at + TimeSpan::from_hours(1);
    }
    outcome.mae = error / (frame.hours.len() - FIRST_ROWS) as f64;
    outcome
}

/// Fine-tune on the truths since the version's data end, but for the hold-out; the version of the next hours
/// if the gate lets it pass.
fn run(
    frame: &Frame,
    current: &Current,
    told: usize,
    settings: Settings,
    outcome: &mut Outcome,
) -> Option<Current> {
    let end = told - settings.holdout;
    let new = current.end..end;
    outcome.row_visits += new.len() as u64 * u64::from(settings.epochs);
    let candidate =
        current.model.fine_tune(&frame.rows[new.clone()], &frame.labels[new], settings.epochs).unwrap();
    let losses = |model: &Fitted| -> Vec<f64> {
        (end..told).map(|row| (model.predict(&frame.rows[row]).unwrap() - frame.labels[row]).abs()).collect()
    };
    let test = NotWorse { margin: settings.margin, confidence: settings.confidence };
    if not_worse(&losses(&candidate), &losses(&current.model), test).unwrap().proven_worse {
        outcome.refused += 1;
        return None;
    }
    outcome.promoted += 1;
    Some(Current { model: candidate, end })
}

fn three_o_clock(at: Timestamp) -> bool {
    at.since(at.floor(TimeSpan::from_days(1))) == TimeSpan::from_hours(3)
}

fn frame(inputs: Inputs) -> Frame {
    Frame::as_known(hours().unwrap(), inputs).unwrap()
}

#[test]
fn without_demand_features_daily_fine_tuning_nearly_halves_the_error() {
    let frame = frame(Inputs::Raw);
    let (frozen, tuned) = (frozen(&frame).unwrap(), daily_fine_tune(&frame).unwrap());
    assert!((100.0..108.0).contains(&frozen.mae), "{frozen:?}");
    assert!((56.0..62.0).contains(&tuned.mae), "{tuned:?}");
    assert!((15_000..16_000).contains(&tuned.row_visits), "{tuned:?}");
}

#[test]
fn with_demand_features_both_are_better_by_a_quarter() {
    let frame = frame(Inputs::Windowed);
    let (frozen, tuned) = (frozen(&frame).unwrap(), daily_fine_tune(&frame).unwrap());
    assert!((71.0..83.0).contains(&frozen.mae), "{frozen:?}");
    assert!((42.0..46.0).contains(&tuned.mae), "{tuned:?}");
    assert!((15_000..16_000).contains(&tuned.row_visits), "{tuned:?}");
}

#[test]
fn the_settings_played_here_are_those_of_the_example_but_for_its_rest_after_a_refusal() {
    let files: Vec<_> = project().into_iter().map(|file| (file.name, file.text)).collect();
    let declared = Project::parse(&files).unwrap();
    let [policy] = declared.policies.as_slice() else { panic!("{:?}", declared.policies) };
    let trigger = policy.triggers.iter().find(|trigger| &*trigger.name == "regular").unwrap();
    assert_eq!(trigger.when.as_deref(), Some(format!("volume.rows >= {}", DECLARED.rows).as_str()));
    assert_eq!(trigger.schedule.as_deref(), Some("0 3 * * *"));
    assert_eq!(policy.guards.cooldown.success, DECLARED.cooldown);
    assert_eq!(policy.actions.fine_tune.epochs, DECLARED.epochs);
    assert_eq!(policy.actions.fine_tune.replay_rows, 0);
    let gate = GateSpec::NotWorse {
        metric: "mae".into(),
        margin: DECLARED.margin,
        confidence: DECLARED.confidence,
        holdout_rows: DECLARED.holdout as u64,
    };
    assert_eq!(policy.gates, [gate]);
}

#[test]
fn without_a_rollout_the_nightly_trigger_stays_below_46_with_fewer_than_40_000_row_visits() {
    let outcome = play(&frame(Inputs::Windowed), DECLARED);
    assert!(outcome.mae < 45.0, "{outcome:?}");
    assert!(outcome.row_visits < 30_000, "{outcome:?}");
    assert!(outcome.promoted > 150 && outcome.refused > 50 && outcome.held > 150, "{outcome:?}");
}

#[test]
fn the_policy_does_not_hang_on_its_exact_settings() {
    let frame = frame(Inputs::Windowed);
    let hours = TimeSpan::from_hours;
    let others = [
        Settings { cooldown: hours(20), ..DECLARED },
        Settings { cooldown: hours(72), ..DECLARED },
        Settings { rows: 96, ..DECLARED },
        Settings { rows: 48, holdout: 24, ..DECLARED },
        Settings { margin: 0.0, ..DECLARED },
        Settings { confidence: 0.99, ..DECLARED },
    ];
    for settings in others {
        let outcome = play(&frame, settings);
        assert!(outcome.mae < 46.0 && outcome.row_visits < 40_000, "{settings:?} {outcome:?}");
    }
}
