//! What Perennial is compared with: models that are never retrained, or every day.

use anyhow::{Result, ensure};
use perennial_learn::Fitted;
use perennial_types::TimeSpan;

use crate::data::FIRST_ROWS;
use crate::frame::Frame;

/// How a way of keeping a model did over the hours after the first 1,737.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    /// Mean absolute error.
    pub mae: f64,
    /// Rows times epochs of every training but the first fit.
    pub row_visits: u64,
}

/// Fitted on the first 1,737 hours and never again.
///
/// # Errors
/// When the rows cannot be trained on.
pub fn frozen(frame: &Frame) -> Result<Baseline> {
    keep(frame, |_, _, _| Ok(None))
}

/// Fine-tuned every day on the labels that came since, one pass, without a gate.
///
/// # Errors
/// When the rows cannot be trained on.
pub fn daily_fine_tune(frame: &Frame) -> Result<Baseline> {
    keep(frame, |model, used, known| {
        let next = model.fine_tune(&frame.rows[used..known], &frame.labels[used..known], 1)?;
        Ok(Some((next, (known - used) as u64)))
    })
}

/// Fitted from scratch every day on all labels there are.
///
/// # Errors
/// When the rows cannot be trained on.
pub fn daily_retrain(frame: &Frame) -> Result<Baseline> {
    keep(frame, |_, _, known| {
        let next = Fitted::fit(&frame.spec, &frame.rows[..known], &frame.labels[..known])?;
        Ok(Some((next, known as u64 * u64::from(frame.epochs()))))
    })
}

/// Predict every hour with the model of the day, labels a day late. `daily` is asked once a day with the
/// model, the rows it was trained up to and the rows whose labels are known: the next model and its visits.
fn keep(
    frame: &Frame,
    daily: impl Fn(&Fitted, usize, usize) -> Result<Option<(Fitted, u64)>>,
) -> Result<Baseline> {
    ensure!(frame.rows.len() > FIRST_ROWS, "there are no hours after the first {FIRST_ROWS}");
    let mut model = Fitted::fit(&frame.spec, &frame.rows[..FIRST_ROWS], &frame.labels[..FIRST_ROWS])?;
    let (mut used, mut known, mut row_visits) = (FIRST_ROWS, FIRST_ROWS, 0);
    let mut asked = frame.hours[FIRST_ROWS].at;
    let mut error = 0.0;
    for (index, hour) in frame.hours.iter().enumerate().skip(FIRST_ROWS) {
        known += frame.hours[known..].iter().take_while(|earlier| earlier.due() <= hour.at).count();
        if hour.at.since(asked) >= TimeSpan::from_days(1) && known > used {
            asked = hour.at;
            if let Some((next, visits)) = daily(&model, used, known)? {
                (model, used) = (next, known);
                row_visits += visits;
            }
        }
        error += (model.predict(&frame.rows[index])? - frame.labels[index]).abs();
    }
    Ok(Baseline { mae: error / (frame.rows.len() - FIRST_ROWS) as f64, row_visits })
}
