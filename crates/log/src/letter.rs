//! Dead letters: input that was refused, with what it takes to repair it and send it again.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use perennial_types::{Entry, Stream, Timestamp};
use serde::{Deserialize, Serialize};

/// Bytes of a refused input that are kept: more than a broker takes unless told otherwise.
const KEPT_BYTES: usize = 1 << 20;

/// Input that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why.
    pub reason: String,
    /// The original, at most 1 MiB of it.
    pub original: Vec<u8>,
    /// Whether that is all of it.
    pub whole: bool,
    /// Where it came from.
    pub from: Origin,
}

/// Where input came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Origin {
    /// A request.
    Request {
        /// The line in its body, or the place in a JSON array; from 1.
        line: usize,
    },
    /// A message of Kafka.
    Message {
        /// Its topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Its timestamp, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp: Option<Timestamp>,
    },
}

/// A letter as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    reason: String,
    #[serde(flatten)]
    from: Origin,
    /// The original, if it is a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// The original otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

impl DeadLetter {
    /// A dead letter; of a long original only the beginning is kept.
    pub fn new(reason: impl ToString, original: &[u8], from: Origin) -> Self {
        let kept = &original[..original.len().min(KEPT_BYTES)];
        let whole = kept.len() == original.len();
        Self { reason: reason.to_string(), original: kept.to_vec(), whole, from }
    }

    /// The entry of the dead-letter stream: what came to `source`, and was refused at `at`.
    pub fn entry(&self, source: &str, at: Timestamp) -> Entry {
        let (payload, payload_base64) = match std::str::from_utf8(&self.original) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(BASE64_STANDARD.encode(&self.original))),
        };
        let (reason, from) = (self.reason.clone(), self.from.clone());
        let stored = Stored { reason, from, payload, payload_base64, truncated: !self.whole };
        Entry {
            stream: Stream::DeadLetter,
            source: source.into(),
            key: "".into(),
            event_time: at,
            available_at: at,
            id: "".into(),
            payload: serde_json::json!(stored).to_string().into_bytes(),
        }
    }

    /// The letter of an entry of the dead-letter stream.
    ///
    /// # Errors
    /// When the payload is none of [`DeadLetter::entry`].
    pub fn of_payload(payload: &[u8]) -> Result<Self, String> {
        let stored: Stored = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        let original = match (stored.payload, stored.payload_base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(encoded)) => BASE64_STANDARD.decode(encoded).map_err(|error| error.to_string())?,
            (None, None) => return Err("it has no payload".to_owned()),
        };
        Ok(Self { reason: stored.reason, original, whole: !stored.truncated, from: stored.from })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_micros(7);

    fn message(timestamp: Option<Timestamp>) -> Origin {
        Origin::Message { topic: "rides.v1".to_owned(), partition: 3, offset: 41, timestamp }
    }

    #[test]
    fn a_letter_is_read_back_as_it_was_kept() {
        let bytes = [&b"{\"id\": \""[..], &[0xff, 0], "\u{e9}\n".as_bytes(), b""];
        for original in bytes {
            for from in [message(None), message(Some(AT)), Origin::Request { line: 2 }] {
                let letter = DeadLetter::new("it \"is\" wrong", original, from);
                assert_eq!(DeadLetter::of_payload(&letter.entry("rides", AT).payload), Ok(letter));
            }
        }
    }

    #[test]
    fn a_letter_says_where_its_message_stands() {
        let letter = DeadLetter::new("not JSON", &[0xfe], message(None));
        assert_eq!(
            String::from_utf8(letter.entry("rides", AT).payload).unwrap(),
            r#"{"reason":"not JSON","topic":"rides.v1","partition":3,"offset":41,"payload_base64":"/g=="}"#
        );
    }

    #[test]
    fn a_letter_is_bounded_and_says_so() {
        let letter = DeadLetter::new("too long", &vec![b'x'; KEPT_BYTES + 1], Origin::Request { line: 1 });
        let back = DeadLetter::of_payload(&letter.entry("rides", AT).payload).unwrap();
        assert_eq!((back.whole, back.original.len()), (false, KEPT_BYTES));
    }
}
