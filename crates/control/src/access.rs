//! Who may call, and what for: what the records of keys come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_types::{ContentHash, Secret, Timestamp, did_you_mean};
use serde::{Deserialize, Serialize};

use crate::{ControlRecord, KeyAdded, KeyRevoked, Scope};

mod error;

pub use error::KeyError;

/// A key that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What it is for.
    pub name: String,
    /// What it opens.
    pub scopes: Vec<Scope>,
    /// When it stops to open anything.
    pub expires_at: Option<Timestamp>,
}

/// A key as it is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// How it came to be.
    pub added: KeyAdded,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Key {
    /// Whether it opens anything at an instant.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.added.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it opens what wants a scope: `admin` opens everything.
    pub fn opens(&self, scope: Scope) -> bool {
        self.added.scopes.iter().any(|own| *own == scope || *own == Scope::Admin)
    }

    fn is_admin(&self, now: Timestamp) -> bool {
        self.in_force(now) && self.opens(Scope::Admin)
    }
}

/// The longest name of a key, in characters.
const LONGEST_NAME: usize = 100;
/// The fewest characters of a secret that somebody else made up.
pub(crate) const SHORTEST_SECRET: usize = 32;

/// Who may call: a fold of the control stream. It knows hashes of secrets only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Keys {
    by_id: BTreeMap<Arc<str>, Key>,
}

impl Keys {
    /// Take a record into account; those that are not about keys change nothing.
    pub fn apply(&mut self, record: &ControlRecord) {
        if let ControlRecord::KeyAdded(added) = record {
            let key = Key { added: added.clone(), revoked_at: None };
            self.by_id.entry(Arc::clone(&added.id)).or_insert(key);
        } else if let ControlRecord::KeyRevoked(revoked) = record
            && let Some(key) = self.by_id.get_mut(&revoked.id)
        {
            key.revoked_at.get_or_insert(revoked.at);
        }
    }

    /// Every key that there ever was, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.by_id.values()
    }

    /// Whether callers are asked for a key: from the first one until the last one is revoked. A key that has
    /// expired still closes the door that it no longer opens.
    pub fn wanted(&self) -> bool {
        self.by_id.values().any(|key| key.revoked_at.is_none())
    }

    /// Whether somebody may do everything.
    pub fn has_admin(&self, now: Timestamp) -> bool {
        self.by_id.values().any(|key| key.is_admin(now))
    }

    /// The key whose secret this is, in force or not. Hashes are compared in constant time.
    pub fn find(&self, secret: &Secret) -> Option<&Key> {
        let hash = ContentHash::of(secret.reveal().as_bytes());
        let named = id_in(secret).and_then(|id| self.by_id.get(id));
        if let Some(key) = named
            && same(&key.added.hash, &hash)
        {
            return Some(key);
        }
        // A secret that was made up elsewhere names no id.
        self.by_id.values().find(|key| same(&key.added.hash, &hash))
    }

    /// The key of a caller who wants to do something.
    ///
    /// # Errors
    /// Why the secret does not open it.
    pub fn authorize(&self, secret: &Secret, scope: Scope, now: Timestamp) -> Result<&Key, KeyError> {
        let key = self.find(secret).ok_or(KeyError::Stranger)?;
        let id = || Arc::clone(&key.added.id);
        if key.revoked_at.is_some() {
            return Err(KeyError::Revoked { id: id() });
        }
        if !key.in_force(now) {
            return Err(KeyError::Expired { id: id() });
        }
        match key.opens(scope) {
            true => Ok(key),
            false => Err(KeyError::Scope { id: id(), scope }),
        }
    }

    /// A new key and its secret, from randomness that was never used before. While nobody may do everything,
    /// the new key must be allowed to: otherwise nobody could make another one.
    ///
    /// # Errors
    /// When the key is not well-formed, or would lock everybody out.
    pub fn create(
        &self,
        wanted: NewKey,
        random: &[u8; 32],
        now: Timestamp,
    ) -> Result<(KeyAdded, Secret), KeyError> {
        let digest = ContentHash::of(random);
        let id = self.free_id(&digest);
        let secret = Secret::new(format!("pk_{id}_{}", hex(random)));
        Ok((self.added(id.into(), wanted, &secret, now)?, secret))
    }

    /// A key with every scope whose secret was made up elsewhere; nothing if it is known and in force.
    ///
    /// # Errors
    /// When the secret is too short to be one, or its key was revoked.
    pub fn adopt(&self, secret: &Secret, now: Timestamp) -> Result<Option<KeyAdded>, KeyError> {
        let length = secret.reveal().chars().count();
        if length < SHORTEST_SECRET {
            return Err(KeyError::Short { length });
        }
        if let Some(key) = self.find(secret) {
            return match key.revoked_at {
                Some(_) => Err(KeyError::Revoked { id: Arc::clone(&key.added.id) }),
                None => Ok(None),
            };
        }
        // Hashed twice: the id is shown, and tells nothing of the hash that is compared.
        let hash = ContentHash::of(secret.reveal().as_bytes());
        let id = self.free_id(&ContentHash::of(hash.as_bytes()));
        let wanted =
            NewKey { name: "given at the start".to_owned(), scopes: vec![Scope::Admin], expires_at: None };
        self.added(id.into(), wanted, secret, now).map(Some)
    }

    fn added(
        &self,
        id: Arc<str>,
        wanted: NewKey,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<KeyAdded, KeyError> {
        let NewKey { name, mut scopes, expires_at } = wanted;
        if name.trim().is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control)
        {
            return Err(KeyError::Malformed(format!(
                "the name of a key is a text of 1 to {LONGEST_NAME} characters without control characters, found {name:?}"
            )));
        }
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            let all = Scope::ALL.map(Scope::name).join(", ");
            return Err(KeyError::Malformed(format!("key {name:?} opens nothing: give it scopes of {all}")));
        }
        if let Some(end) = expires_at.filter(|end| *end <= now) {
            return Err(KeyError::Malformed(format!("key {name:?} would expire at {end}, which is past")));
        }
        if !self.has_admin(now) && !scopes.contains(&Scope::Admin) {
            return Err(KeyError::NoAdmin { name });
        }
        let hash = ContentHash::of(secret.reveal().as_bytes());
        Ok(KeyAdded { at: now, id, name: name.into(), hash, scopes, expires_at })
    }

    /// Take a key's power away for good. The last one that may do everything stays while there are others:
    /// nobody could make another one.
    ///
    /// # Errors
    /// When there is no such key, it was revoked before, or others would be left without an admin.
    pub fn revoke(&self, id: &str, now: Timestamp) -> Result<KeyRevoked, KeyError> {
        let Some((id, key)) = self.by_id.get_key_value(id) else {
            let help = did_you_mean(id, self.by_id.keys().map(AsRef::as_ref));
            return Err(KeyError::Unknown { id: id.to_owned(), help });
        };
        if key.revoked_at.is_some() {
            return Err(KeyError::Revoked { id: Arc::clone(id) });
        }
        let others =
            || self.by_id.values().filter(|other| other.added.id != *id && other.revoked_at.is_none());
        if key.is_admin(now) && others().next().is_some() && !others().any(|other| other.is_admin(now)) {
            return Err(KeyError::LastAdmin { id: Arc::clone(id) });
        }
        Ok(KeyRevoked { at: now, id: Arc::clone(id) })
    }

    /// Twelve digits of a hash that no key has yet.
    fn free_id(&self, digest: &ContentHash) -> String {
        let mut digest = *digest;
        while self.by_id.contains_key(digest.short().as_str()) {
            digest = ContentHash::of(digest.as_bytes());
        }
        digest.short()
    }
}

/// The id that a secret of ours names: `pk_<id>_…`.
fn id_in(secret: &Secret) -> Option<&str> {
    Some(secret.reveal().strip_prefix("pk_")?.split_once('_')?.0)
}

/// Equality that takes as long whatever differs.
fn same(a: &ContentHash, b: &ContentHash) -> bool {
    let differing =
        a.as_bytes().iter().zip(b.as_bytes()).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    differing == 0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
