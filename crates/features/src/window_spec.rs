//! The windows that an aggregate is taken over.

use std::fmt;

use perennial_types::TimeSpan;
use serde::{Deserialize, Serialize};

/// Which events an aggregate is taken over, at the instant `t` of a read: those before `t`, and of them …
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowSpec {
    /// `{tumbling: 1h}`: those of the last complete window. Windows begin at multiples of their length since
    /// 1970 UTC; a late event changes the value, an event of the window that is not over yet does not.
    Tumbling(TimeSpan),
    /// `{session: 30m}`: those of the current session. A session is a longest run of the key's events each of
    /// which is at most this long after the one before; it is over when `t` is longer than that after its last
    /// event, and then there are none. Events that the aggregate does not count belong to sessions too.
    Session(TimeSpan),
    /// `lifetime`: all.
    Lifetime,
    /// `{last: 100}`: so many last ones that the aggregate counts.
    Last(u16),
    /// `7d`: those of `[t − 7d, t)`.
    #[serde(untagged)]
    Sliding(TimeSpan),
}

impl WindowSpec {
    /// The most events of a window of last ones.
    pub const MOST_EVENTS: u16 = 1000;
}

impl From<TimeSpan> for WindowSpec {
    fn from(span: TimeSpan) -> Self {
        Self::Sliding(span)
    }
}

impl fmt::Display for WindowSpec {
    /// The name in features: `7d`, `tumbling_1h`, `session_30m`, `lifetime`, `last_100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sliding(span) => span.fmt(f),
            Self::Tumbling(span) => write!(f, "tumbling_{span}"),
            Self::Session(gap) => write!(f, "session_{gap}"),
            Self::Lifetime => f.write_str("lifetime"),
            Self::Last(count) => write!(f, "last_{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_saved_as_it_is_declared() {
        let hour = TimeSpan::from_secs(3600);
        let windows = [
            (WindowSpec::Sliding(hour), r#""1h""#),
            (WindowSpec::Tumbling(hour), r#"{"tumbling":"1h"}"#),
            (WindowSpec::Session(hour), r#"{"session":"1h"}"#),
            (WindowSpec::Lifetime, r#""lifetime""#),
            (WindowSpec::Last(5), r#"{"last":5}"#),
        ];
        for (window, saved) in windows {
            assert_eq!(serde_json::to_string(&window).unwrap(), saved);
            assert_eq!(serde_json::from_str::<WindowSpec>(saved).unwrap(), window);
        }
    }
}
