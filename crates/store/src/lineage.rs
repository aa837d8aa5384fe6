//! The graph of versions: what one came from, and what came from it.

use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::page::token;
use crate::{PageRequest, Store, StoreError, Version};

/// The deepest walk of one question; the answer says where to go on.
const DEEPEST: u32 = 1_000;

/// A relative of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relative {
    /// How many steps away on the shortest way, from 1.
    pub depth: u32,
    /// The relative.
    pub version: Version,
}

/// Relatives of a version, nearest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relatives {
    /// The relatives.
    pub items: Vec<Relative>,
    /// Whether there are more, beyond the page or the depth.
    pub truncated: bool,
    /// Asks for them.
    pub next: Option<String>,
}

/// How much of the graph is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Walk {
    /// How many steps to go from where the last answer ended, from 1 to 1000.
    pub depth: u32,
    /// How many relatives at most.
    #[serde(flatten)]
    pub page: PageRequest,
}

impl Default for Walk {
    fn default() -> Self {
        Self { depth: 100, page: PageRequest::default() }
    }
}

/// Each level is found by the edges' index; a version that several ways lead to counts by its shortest one.
const ANCESTORS: &str = "
    WITH RECURSIVE walk (id, depth) AS (
        SELECT e.parent, 1
        FROM model_version v
        JOIN edge e ON e.child = v.id
        WHERE v.public_id = $1
        UNION
        SELECT e.parent, w.depth + 1
        FROM walk w
        JOIN edge e ON e.child = w.id
        WHERE w.depth < $2
    ), nearest AS (
        SELECT w.id, MIN(w.depth) AS depth
        FROM walk w
        GROUP BY w.id
        HAVING (MIN(w.depth), w.id) > ($3, $4)
        ORDER BY 2, 1
        LIMIT $5
    )
    SELECT n.id, JSONB_BUILD_OBJECT('depth', n.depth, 'version', TO_JSONB(v))
    FROM nearest n
    JOIN version_row v ON v.internal = n.id
    ORDER BY n.depth, n.id";

/// The same downwards.
const DESCENDANTS: &str = "
    WITH RECURSIVE walk (id, depth) AS (
        SELECT e.child, 1
        FROM model_version v
        JOIN edge e ON e.parent = v.id
        WHERE v.public_id = $1
        UNION
        SELECT e.child, w.depth + 1
        FROM walk w
        JOIN edge e ON e.parent = w.id
        WHERE w.depth < $2
    ), nearest AS (
        SELECT w.id, MIN(w.depth) AS depth
        FROM walk w
        GROUP BY w.id
        HAVING (MIN(w.depth), w.id) > ($3, $4)
        ORDER BY 2, 1
        LIMIT $5
    )
    SELECT n.id, JSONB_BUILD_OBJECT('depth', n.depth, 'version', TO_JSONB(v))
    FROM nearest n
    JOIN version_row v ON v.internal = n.id
    ORDER BY n.depth, n.id";

impl Store {
    /// What a version came from, over any number of generations, nearest first.
    ///
    /// # Errors
    /// When the walk makes no sense, there is no such version, or the database is away.
    pub async fn ancestors(&self, version: &str, walk: &Walk) -> Result<Relatives, StoreError> {
        self.relatives("ancestors", ANCESTORS, version, walk).await
    }

    /// What came from a version, over any number of generations, nearest first.
    ///
    /// # Errors
    /// When the walk makes no sense, there is no such version, or the database is away.
    pub async fn descendants(&self, version: &str, walk: &Walk) -> Result<Relatives, StoreError> {
        self.relatives("descendants", DESCENDANTS, version, walk).await
    }

    async fn relatives(
        &self,
        direction: &str,
        sql: &'static str,
        version: &str,
        walk: &Walk,
    ) -> Result<Relatives, StoreError> {
        if !(1..=DEEPEST).contains(&walk.depth) {
            return Err(StoreError::Invalid(format!("depth {} is not between 1 and {DEEPEST}", walk.depth)));
        }
        let version = self.version(version).await?.id;
        let list = format!("{direction} of {version}");
        let (from_depth, from_id) = match walk.page.after(&list)? {
            None => (0, 0),
            Some(key) => key
                .split_once(' ')
                .and_then(|(depth, id)| Some((depth.parse::<u32>().ok()?, id.parse::<i64>().ok()?)))
                .ok_or_else(|| walk.page.foreign(&list))?,
        };
        let last_depth = i64::from(from_depth) + i64::from(walk.depth);
        // One level more than is shown tells whether the graph goes on below.
        let query = sqlx::query_as::<_, (i64, Json<Relative>)>(sql).bind(&version).bind(last_depth + 1);
        let query = query.bind(i64::from(from_depth)).bind(from_id).bind(walk.page.limit()?);
        let rows = query.fetch_all(self.pool()).await.map_err(StoreError::asked(format!("find {list}")))?;
        let size = walk.page.page_size as usize;
        let shown = rows.iter().take(size).take_while(|(_, row)| i64::from(row.depth) <= last_depth).count();
        let next = (shown < rows.len()).then(|| {
            let last = rows[..shown].last();
            let (depth, id) =
                last.map_or((last_depth, i64::MAX), |(id, relative)| (i64::from(relative.depth), *id));
            token(&list, &format!("{depth} {id}"))
        });
        let items = rows.into_iter().take(shown).map(|(_, Json(relative))| relative).collect();
        Ok(Relatives { items, truncated: next.is_some(), next })
    }
}
