//! Who is let in: which address may be listened on, and what a request must bring.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use perennial_control::{KeyError, Scope};
use perennial_types::{Clock, Kind, Secret};

use crate::keys::KeyRing;
use crate::problem::Problem;

/// A header that takes a key as it is.
const KEY_HEADER: &str = "x-api-key";

/// An address that the service does not listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} can be reached from other machines, and no key of scope \"admin\" is in force: nobody would be let in"
)]
pub struct BindError(SocketAddr);

impl BindError {
    /// What a caller can do about it: make a key, or choose another address.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// The door of a service that listens on one address.
pub struct Gate {
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    /// Whether a key is wanted even where none is left.
    exposed: bool,
}

impl Gate {
    /// The door at an address: on the loopback of this machine anybody may come in while there is no key;
    /// where others could reach it, nobody without one.
    ///
    /// # Errors
    /// When others could reach it and there is no key to let anybody in.
    pub fn at(address: SocketAddr, keys: KeyRing, clock: Arc<dyn Clock>) -> Result<Self, BindError> {
        let exposed = !address.ip().to_canonical().is_loopback();
        if exposed && !keys.known().has_admin(clock.now()) {
            return Err(BindError(address));
        }
        Ok(Self { keys, clock, exposed })
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The present instant of the wall clock, by which keys expire.
    pub(crate) fn now(&self) -> perennial_types::Timestamp {
        self.clock.now()
    }

    /// Let a request in that wants a scope: the id of its key, or nothing where none is wanted.
    ///
    /// # Errors
    /// 401 without a key in force, 403 with one that opens other things.
    pub(crate) fn admit(&self, headers: &HeaderMap, scope: Scope) -> Result<Option<Arc<str>>, Problem> {
        let known = self.keys.known();
        if !self.exposed && !known.wanted() {
            return Ok(None);
        }
        let secret = presented(headers)?;
        match known.authorize(&secret, scope, self.clock.now()) {
            Ok(key) => Ok(Some(Arc::clone(&key.added.id))),
            Err(error @ KeyError::Scope { .. }) => {
                Err(Problem::new(StatusCode::FORBIDDEN, error.to_string()))
            }
            Err(error) => Err(Problem::new(StatusCode::UNAUTHORIZED, error.to_string())),
        }
    }
}

/// The key that a request brings.
fn presented(headers: &HeaderMap) -> Result<Secret, Problem> {
    let stranger = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail);
    let value = match (headers.get(header::AUTHORIZATION), headers.get(KEY_HEADER)) {
        (Some(value), None) | (None, Some(value)) => value,
        (Some(_), Some(_)) => {
            return Err(stranger("the request brings two keys, by Authorization and x-api-key; send one"));
        }
        (None, None) => {
            return Err(stranger(
                "this service asks for a key: send it as `Authorization: Bearer …` or x-api-key",
            ));
        }
    };
    let text = value.to_str().map_err(|_| stranger("the header with the key is no text"))?;
    let text = match headers.contains_key(KEY_HEADER) {
        true => text,
        false => text
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, key)| key)
            .ok_or_else(|| stranger("the Authorization header is not understood; write it as `Bearer …`"))?,
    };
    Ok(Secret::new(text.trim()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_key_is_read_from_either_header() {
        for pairs in
            [("authorization", "Bearer pk_a_b"), ("authorization", "bearer  pk_a_b"), (KEY_HEADER, "pk_a_b")]
        {
            assert_eq!(presented(&headers(&[pairs])).unwrap(), Secret::new("pk_a_b"));
        }
    }

    #[test]
    fn what_brings_no_key_is_told_how() {
        let detail = |pairs: &[_]| presented(&headers(pairs)).unwrap_err().detail().to_owned();
        assert!(detail(&[]).contains("asks for a key"));
        assert!(detail(&[("authorization", "Digest x")]).contains("write it as `Bearer"));
        assert!(detail(&[("authorization", "pk_a_b")]).contains("write it as `Bearer"));
        assert!(detail(&[("authorization", "Bearer a"), (KEY_HEADER, "b")]).contains("two keys"));
    }
}
