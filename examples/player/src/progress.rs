//! How far a play is, on the terminal.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Steps between two drawings.
const EVERY: usize = 50;

/// A bar with a message.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar of so many steps.
    ///
    /// # Errors
    /// When the template of the bar is wrong.
    pub fn new(steps: usize) -> Result<Self> {
        let bar = ProgressBar::new(steps as u64);
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
        Ok(Self(bar))
    }

    /// Show how many steps are done; now and then, and at the end.
    pub fn show(&self, done: usize, message: impl FnOnce() -> String) {
        if done.is_multiple_of(EVERY) || self.0.length() == Some(done as u64) {
            self.0.set_position(done as u64);
            self.0.set_message(message());
        }
    }

    /// The play is over.
    pub fn finish(&self) {
        self.0.finish();
    }
}
