//! The hours as rows of a training set: the declared inputs, as they were known, and the truth.

use anyhow::Result;
use perennial_learn::{FitSpec, LearnerSpec};
use perennial_types::{Row, Timestamp};
use player::{Asked, Declared, Sent};

use crate::data::{Hour, project};

/// Which inputs a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// Those that need the request alone.
    Raw,
    /// All that the project declares.
    Windowed,
}

/// Every hour with its inputs as they were known when it was asked for, in order of time.
#[derive(Clone, Debug)]
pub struct Frame {
    /// How a model of these rows is fitted: as the project declares.
    pub spec: FitSpec,
    /// The hours.
    pub hours: Vec<Hour>,
    /// Their inputs, in the order of `spec.inputs`.
    pub rows: Vec<Row>,
    /// Their truths.
    pub labels: Vec<f64>,
}

impl Frame {
    /// The rows of the project's model, for a client who tells the truth of an hour a day later and before he
    /// asks for that day's hour.
    ///
    /// # Errors
    /// When the declarations of the project have a fault, or do not fit the hours.
    pub fn as_known(hours: Vec<Hour>, inputs: Inputs) -> Result<Self> {
        let declared = Declared::read(&project())?;
        let model = declared.model("bike-windowed")?;
        let seen = |at: Timestamp| hours.partition_point(|hour| hour.due() <= at);
        let asked = |hour: &Hour| Asked { at: hour.at, seen: seen(hour.at), request: hour.request() };
        let asked: Vec<Asked> = hours.iter().map(asked).collect();
        let sent = |hour: &Hour| Sent { at: hour.due(), source: "demand", event: hour.event() };
        let sent: Vec<Sent> = hours.iter().map(sent).collect();
        let complete = declared.rows(model, &asked, &sent)?;
        let wanted = |name: &str| match inputs {
            Inputs::Raw => !name.contains('.'),
            Inputs::Windowed => true,
        };
        let mut spec = model.fit.clone();
        let columns: Vec<usize> = (0..spec.inputs.len()).filter(|i| wanted(&spec.inputs[*i])).collect();
        spec.inputs.retain(|name| wanted(name));
        for transform in &mut spec.transforms {
            transform.of.retain(|name| wanted(name));
        }
        let pick = |row: &Row| columns.iter().map(|column| row[*column].clone()).collect();
        let rows = complete.iter().map(pick).collect();
        let labels = hours.iter().map(|hour| hour.cnt as f64).collect();
        Ok(Self { spec, hours, rows, labels })
    }

    /// Passes of a fit from scratch.
    pub fn epochs(&self) -> u32 {
        match &self.spec.learner {
            LearnerSpec::Linear(sgd) | LearnerSpec::Logistic(sgd) => sgd.epochs,
            LearnerSpec::LogisticBatch(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::hours;

    #[test]
    fn raw_inputs_are_the_declared_ones_without_the_view() {
        let hours = hours().unwrap()[..200].to_vec();
        let windowed = Frame::as_known(hours.clone(), Inputs::Windowed).unwrap();
        let raw = Frame::as_known(hours, Inputs::Raw).unwrap();
        assert_eq!(windowed.spec.inputs.len(), raw.spec.inputs.len() + 6);
        assert!(raw.spec.inputs.iter().all(|name| windowed.spec.inputs.contains(name)));
        assert_eq!(raw.rows[0].len(), raw.spec.inputs.len());
    }

    #[test]
    fn no_demand_is_known_on_the_first_day_and_some_on_the_next() {
        let hours = hours().unwrap()[..60].to_vec();
        let frame = Frame::as_known(hours, Inputs::Windowed).unwrap();
        let column = frame.spec.inputs.iter().position(|name| &**name == "slot_demand.rides_avg_7d").unwrap();
        // The first 24 hours of the data are complete, and both days are no working days.
        assert!(frame.rows[..24].iter().all(|row| row[column].null()));
        assert_eq!(frame.rows[24][column].as_f64(), Some(frame.labels[0]));
    }
}
