//! Bike demand: two years of an hourly forecast, kept fresh by Perennial.
//!
//! It plays the outside world: it asks for every hour, tells the truth a day later, and compares what was
//! answered with models that were never retrained and with one that is retrained from scratch every day.
//! It speaks to the service over HTTP alone.
//!
//! ```
//! let hours = bike_demand::hours()?;
//! assert_eq!(hours[5].prediction_id(), "bike-2011-01-01T05:00:00Z");
//! assert_eq!(hours[5].due().to_string(), "2011-01-02T05:00:00Z");
//! # Ok::<(), anyhow::Error>(())
//! ```

mod baselines;
mod data;
mod frame;
mod play;
mod report;

pub use baselines::{Baseline, daily_fine_tune, daily_retrain, frozen};
pub use data::{FIRST_ROWS, Hour, LABEL_DELAY, hours, project};
pub use frame::{Frame, Inputs};
pub use play::{Figures, Progress, play};
pub use report::{Baselines, Report, RolloutEnd, SampleRatio, Told, WrittenReport};
