//! Pages of long lists, by key and not by offset: a page costs the same wherever it stands.

use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Which page of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageRequest {
    /// How many items at most, from 1 to [`PageRequest::LARGEST`].
    pub page_size: u32,
    /// What the page before named as `next`; nothing for the first page.
    pub page_token: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { page_size: 50, page_token: None }
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Asks for the next page; nothing if this is the last one.
    pub next: Option<String>,
}

impl PageRequest {
    /// The largest page.
    pub const LARGEST: u32 = 200;

    /// The number of rows to fetch: one more than is shown, to see whether there is a next page.
    pub(crate) fn limit(&self) -> Result<i64, StoreError> {
        if (1..=Self::LARGEST).contains(&self.page_size) {
            return Ok(i64::from(self.page_size) + 1);
        }
        Err(StoreError::Invalid(format!(
            "page_size {} is not between 1 and {}",
            self.page_size,
            Self::LARGEST
        )))
    }

    /// The internal id before which the page begins, newest first.
    pub(crate) fn before(&self, list: &str) -> Result<i64, StoreError> {
        match self.after(list)? {
            None => Ok(i64::MAX),
            Some(key) => key.parse().map_err(|_| self.foreign(list)),
        }
    }

    /// The key after which the page begins; `list` names the list and what it is filtered by.
    pub(crate) fn after(&self, list: &str) -> Result<Option<String>, StoreError> {
        let Some(token) = &self.page_token else { return Ok(None) };
        let text = from_hex(token).ok_or_else(|| self.foreign(list))?;
        let key = text.strip_prefix(list).and_then(|rest| rest.strip_prefix('\n'));
        key.map(|key| Some(key.to_owned())).ok_or_else(|| self.foreign(list))
    }

    pub(crate) fn foreign(&self, list: &str) -> StoreError {
        let token = self.page_token.as_deref().unwrap_or_default();
        StoreError::NotFound {
            what: "page",
            name: token.to_owned(),
            help: format!(
                " of {list}; take `next_page_token` of the page before, or leave it out to start over"
            ),
        }
    }

    /// The page of these rows, which were fetched by [`PageRequest::limit`].
    pub(crate) fn page<K: ToString, T>(&self, list: &str, mut rows: Vec<(K, T)>) -> Page<T> {
        let size = self.page_size as usize;
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more).map(|(key, _)| token(list, &key.to_string()));
        Page { items: rows.into_iter().map(|(_, item)| item).collect(), next }
    }
}

/// The token for what comes after `key` in `list`.
pub(crate) fn token(list: &str, key: &str) -> String {
    format!("{list}\n{key}").bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(token: &str) -> Option<String> {
    if !token.len().is_multiple_of(2) || !token.is_ascii() {
        return None;
    }
    let digits = token.as_bytes().chunks_exact(2);
    let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    // Postgres takes no text with a NUL, so that no key of a list has one.
    String::from_utf8(bytes.collect::<Option<_>>()?).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_on_in_its_own_list_only() {
        let first = PageRequest { page_size: 2, page_token: None };
        let page = first.page("runs", vec![(9, 'a'), (7, 'b'), (4, 'c')]);
        assert_eq!(page.items, ['a', 'b']);
        let second = PageRequest { page_size: 2, page_token: page.next };
        assert_eq!(second.before("runs").unwrap(), 7);
        let foreign = second.before("models").unwrap_err();
        assert!(foreign.to_string().contains(" of models; take `next_page_token`"), "{foreign}");
        assert_eq!(foreign.kind(), perennial_types::Kind::NotFound);
        assert_eq!(second.page("runs", vec![(4, 'c')]).next, None);
    }

    #[test]
    fn sizes_and_tokens_that_make_no_sense_are_refused() {
        for page_size in [0, 201] {
            assert!(PageRequest { page_size, page_token: None }.limit().is_err());
        }
        for token in ["x", "zz", "é", "00", "72756e730a3100"] {
            let request = PageRequest { page_token: Some(token.to_owned()), ..PageRequest::default() };
            assert!(request.before("runs").is_err(), "{token}");
        }
    }
}
