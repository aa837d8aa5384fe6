//! Who is let in: which address may be listened on, and what a request must bring.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use perennial_control::{KeyError, Scope};
use perennial_types::{Clock, Kind, Secret};

use crate::keys::KeyRing;
use crate::problem::Problem;

/// What is asked for: a browser can send a key by Basic only, and sends it with every request to this host,
/// whoever made it up. So nothing but pages opens to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Api,
    Page,
}

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

    /// Whether a request without a key is refused.
    pub(crate) fn asks(&self) -> bool {
        self.exposed || self.keys.known().wanted()
    }

    /// Let a request in that wants a scope: the id of its key, or nothing where none is wanted.
    ///
    /// # Errors
    /// 401 without a key in force, 403 with one that opens other things.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        scope: Scope,
        door: Door,
    ) -> Result<Option<Arc<str>>, Problem> {
        if !self.asks() {
            return Ok(None);
        }
        let admitted = presented(headers, door).and_then(|secret| self.authorize(&secret, scope));
        match door {
            Door::Api => admitted.map(Some),
            Door::Page => admitted.map(Some).map_err(Problem::for_browsers),
        }
    }

    /// The id of the key with this secret.
    fn authorize(&self, secret: &Secret, scope: Scope) -> Result<Arc<str>, Problem> {
        match self.keys.known().authorize(secret, scope, self.clock.now()) {
            Ok(key) => Ok(Arc::clone(&key.added.id)),
            Err(error @ KeyError::Scope { .. }) => {
                Err(Problem::new(StatusCode::FORBIDDEN, error.to_string()))
            }
            Err(error) => Err(Problem::new(StatusCode::UNAUTHORIZED, error.to_string())),
        }
    }
}

/// The key that a request brings.
fn presented(headers: &HeaderMap, door: Door) -> Result<Secret, Problem> {
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
    if headers.contains_key(KEY_HEADER) {
        return Ok(Secret::new(text.trim()));
    }
    let (scheme, sent) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("bearer") && !sent.is_empty() {
        return Ok(Secret::new(sent.trim()));
    }
    if door == Door::Page && scheme.eq_ignore_ascii_case("basic") {
        let password = password(sent.trim());
        return password.ok_or_else(|| stranger("the Authorization header is no user name and password"));
    }
    Err(stranger("the Authorization header is not understood; write it as `Bearer …`"))
}

/// The password of Basic credentials (RFC 7617).
fn password(credentials: &str) -> Option<Secret> {
    let pair = String::from_utf8(BASE64_STANDARD.decode(credentials).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| Secret::new(password))
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
            assert_eq!(presented(&headers(&[pairs]), Door::Api).unwrap(), Secret::new("pk_a_b"));
        }
    }

    #[test]
    fn what_brings_no_key_is_told_how() {
        let detail = |pairs: &[_]| presented(&headers(pairs), Door::Api).unwrap_err().detail().to_owned();
        assert!(detail(&[]).contains("asks for a key"));
        assert!(detail(&[("authorization", "Digest x")]).contains("write it as `Bearer"));
        assert!(detail(&[("authorization", "pk_a_b")]).contains("write it as `Bearer"));
        assert!(detail(&[("authorization", "Bearer a"), (KEY_HEADER, "b")]).contains("two keys"));
    }

    #[test]
    fn a_browser_brings_the_key_as_a_password_and_opens_pages_only() {
        // "anybody:pk_a_b"
        let basic = headers(&[("authorization", "Basic YW55Ym9keTpwa19hX2I=")]);
        assert_eq!(presented(&basic, Door::Page).unwrap(), Secret::new("pk_a_b"));
        assert!(presented(&basic, Door::Api).unwrap_err().detail().contains("write it as `Bearer"));
        for wrong in ["Basic", "Basic !", "Basic cGs="] {
            assert!(presented(&headers(&[("authorization", wrong)]), Door::Page).is_err(), "{wrong}");
        }
    }
}
