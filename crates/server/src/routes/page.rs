//! How lists are answered.

use axum::Json;
use perennial_store::Page;
use serde::Serialize;

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    /// Whether a walk of the graph goes on beyond these; in lists of relatives only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) truncated: Option<bool>,
    pub(crate) next_page_token: Option<String>,
}

/// A page of the store with each item as it is shown.
pub(crate) fn listed<T, U>(page: Page<T>, show: impl FnMut(T) -> U) -> Json<Listed<U>> {
    let items = page.items.into_iter().map(show).collect();
    Json(Listed { items, truncated: None, next_page_token: page.next })
}

/// A list that is always whole.
pub(crate) fn whole<T>(items: Vec<T>) -> Json<Listed<T>> {
    Json(Listed { items, truncated: None, next_page_token: None })
}
