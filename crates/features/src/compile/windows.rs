//! Whether the windows of an aggregate can be kept.

use perennial_types::TimeSpan;

use super::Draft;
use crate::ladder::{SHORTEST_WINDOW, dividing_size};
use crate::{AggregateSpec, WindowSpec};

/// A tumbling window is made of at most so many tiles.
const MOST_TILES: i64 = 3_600;

impl Draft<'_> {
    pub(super) fn windows(&mut self, field: &str, spec: &AggregateSpec) {
        if spec.windows.is_empty() {
            self.fault(field, "give at least one window, such as 7d");
        }
        for window in &spec.windows {
            match *window {
                WindowSpec::Sliding(span) => self.span(field, "window", span, span),
                WindowSpec::Tumbling(span) => {
                    self.span(field, "tumbling window", span, twice(span));
                    let tiles = dividing_size(span.micros()).map(|size| span.micros() / size);
                    if span >= SHORTEST_WINDOW && tiles.is_none_or(|tiles| tiles > MOST_TILES) {
                        let help = "take a round length, such as 10m, 1h or 1d";
                        self.fault(field, format!("tumbling windows of {span} have no even parts; {help}"));
                    }
                }
                WindowSpec::Session(gap) => self.span(field, "gap of a session", gap, gap),
                WindowSpec::Lifetime => {}
                WindowSpec::Last(count) => {
                    let most = WindowSpec::MOST_EVENTS;
                    if !(1..=most).contains(&count) {
                        self.fault(field, format!("a window has 1 to {most} last events, not {count}"));
                    }
                }
            }
        }
    }

    /// A length of time, for which events are needed that are as old as `reach`.
    fn span(&mut self, field: &str, what: &str, span: TimeSpan, reach: TimeSpan) {
        if span < SHORTEST_WINDOW {
            let problem = format!("{what} {span} is shorter than {SHORTEST_WINDOW}, the shortest there is");
            self.fault(field, problem);
        }
        if reach > self.source.retention {
            let (source, retention) = (&self.source.name, self.source.retention);
            let needs = if reach > span { format!(" (it needs twice that, {reach})") } else { String::new() };
            let problem = format!(
                "{what} {span} is longer than source {source:?} keeps its events ({retention}){needs}"
            );
            self.fault(field, problem);
        }
    }
}

fn twice(span: TimeSpan) -> TimeSpan {
    TimeSpan::from_micros(span.micros().saturating_mul(2))
}
