//! What went wrong between client and service.

use std::fmt;

use perennial_types::Kind;
use serde::Deserialize;

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is not one that the client speaks to.
    #[error("{given:?} is not the address of a service: {reason}; write it as http://127.0.0.1:7070")]
    Address {
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key cannot be sent.
    #[error("the key is not one of a service: {reason}")]
    Key {
        /// What is wrong with it; the key itself is not told.
        reason: String,
    },
    /// No answer came, or half of one: whether the call had an effect is unknown.
    #[error("{call}: no answer: {reason}; is the service running?")]
    NoAnswer {
        /// Method and address.
        call: String,
        /// The innermost causes.
        reason: String,
    },
    /// The service refused the call, with its reasons.
    #[error("{call}: {problem}")]
    Refused {
        /// Method and address.
        call: String,
        /// What the service said.
        problem: Box<Problem>,
    },
    /// The answer is not of the contract.
    #[error("{call}: the answer is not understood: {reason}")]
    Malformed {
        /// Method and address.
        call: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl RemoteError {
    /// What a caller can do about it. `Unavailable` may be repeated with the same id.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Address { .. } | Self::Key { .. } => Kind::Invalid,
            Self::NoAnswer { .. } => Kind::Unavailable,
            Self::Refused { problem, .. } => problem.kind(),
            Self::Malformed { .. } => Kind::Internal,
        }
    }

    /// What the service said, if it was the service that refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            Self::Address { .. } | Self::Key { .. } | Self::NoAnswer { .. } | Self::Malformed { .. } => None,
        }
    }
}

/// The body of an answer that is no success: `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Problem {
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// A short name of the kind of problem.
    #[serde(default)]
    pub title: String,
    /// What is wrong with this call, and what would help.
    #[serde(default, alias = "message")]
    pub detail: String,
    /// The mistakes in declarations, all of them.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// The rows that were refused.
    #[serde(default)]
    pub refused: Vec<RefusedRow>,
}

impl Problem {
    /// Read from an answer; one that is no problem document is kept as its text.
    pub(crate) fn of_answer(status: u16, body: &[u8]) -> Self {
        let mut problem = serde_json::from_slice(body).unwrap_or_else(|_| Self {
            status,
            title: String::new(),
            detail: String::from_utf8_lossy(body).trim().chars().take(400).collect(),
            faults: Vec::new(),
            refused: Vec::new(),
        });
        problem.status = status;
        problem
    }

    fn kind(&self) -> Kind {
        match self.status {
            404 => Kind::NotFound,
            409 => Kind::Conflict,
            429 | 502..=504 => Kind::Unavailable,
            400..=499 => Kind::Invalid,
            _ => Kind::Internal,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        for text in [&self.title, &self.detail] {
            if !text.is_empty() {
                write!(f, ": {text}")?;
            }
        }
        for fault in &self.faults {
            write!(f, "\n{fault}")?;
        }
        for row in &self.refused {
            write!(f, "\nline {}: {}", row.line, row.reason)?;
        }
        Ok(())
    }
}

/// A mistake in the declarations, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Fault {
    /// The file.
    #[serde(default)]
    pub file: String,
    /// The line, from 1.
    #[serde(default)]
    pub line: u64,
    /// The column, from 1.
    #[serde(default)]
    pub column: u64,
    /// The declaration and the field.
    #[serde(default)]
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would help.
    #[serde(default)]
    pub help: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

/// A row of a batch that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RefusedRow {
    /// Its line in the request, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_kind_and_only_absence_may_be_repeated() {
        let kind = |status| Problem::of_answer(status, b"{}").kind();
        assert_eq!([400, 413, 422].map(kind), [Kind::Invalid; 3]);
        assert_eq!([404, 409, 500].map(kind), [Kind::NotFound, Kind::Conflict, Kind::Internal]);
        assert_eq!([429, 502, 503, 504].map(kind), [Kind::Unavailable; 4]);
    }

    #[test]
    fn faults_are_written_with_their_places() {
        let body = br#"{"title":"invalid","detail":"1 fault","faults":[
            {"file":"a.yaml","line":3,"column":5,"path":"Model \"m\"","message":"no view \"x\"","help":null,"new":1}]}"#;
        let text = Problem::of_answer(400, body).to_string();
        assert_eq!(text, "400: invalid: 1 fault\na.yaml:3:5: Model \"m\": no view \"x\"");
    }

    #[test]
    fn an_answer_that_is_no_problem_document_is_kept_as_text() {
        assert_eq!(Problem::of_answer(502, b"Bad gateway\n").to_string(), "502: Bad gateway");
    }
}
