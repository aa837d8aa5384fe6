//! Saving and loading a shard, bit for bit.

use std::sync::Arc;

use perennial_types::{ContentHash, Position};
use serde::{Deserialize, Serialize};

use crate::FeatureError;
use crate::key::EntityKey;
use crate::shard::{Shard, ViewState};
use crate::tiles::Tiles;
use crate::view::View;

/// The first bytes of every snapshot; the digit is the version of the format.
const HEADER: &[u8] = b"perennial features 4\n";

/// One view's state, borrowed to save it.
#[derive(Serialize)]
struct Saving<'a> {
    version: ContentHash,
    seen: Position,
    late: u64,
    unreachable: u64,
    /// In the order of the keys, so that equal states are equal bytes.
    keys: Vec<(&'a EntityKey, &'a Tiles)>,
}

/// The same, owned.
#[derive(Deserialize)]
struct Saved {
    version: ContentHash,
    seen: Position,
    late: u64,
    unreachable: u64,
    keys: Vec<(EntityKey, Tiles)>,
}

impl Shard {
    /// The state of every view as bytes (postcard behind a header). Equal states give equal bytes.
    pub fn save(&self) -> Vec<u8> {
        let saving: Vec<Saving<'_>> = self.views.iter().map(saving).collect();
        let bytes = postcard::to_extend(&saving, HEADER.to_vec());
        // A vector grows, and nothing in the state refuses to be serialised; were it so, the header alone
        // is a snapshot that does not load, and the state is rebuilt from the log.
        bytes.unwrap_or_else(|_| HEADER.to_vec())
    }

    /// The state of `views` from saved bytes. A view that the snapshot does not have starts empty, with
    /// [`Shard::seen`] at the start, and is to be backfilled; one that is not asked for is left out.
    ///
    /// # Errors
    /// When the bytes are no snapshot of this version of the format, or do not fit the views.
    pub fn load(views: Vec<Arc<View>>, bytes: &[u8]) -> Result<Self, FeatureError> {
        let wrong = |problem: String| FeatureError::Snapshot(problem);
        let Some(body) = bytes.strip_prefix(HEADER) else {
            return Err(wrong("it does not begin as this version of the format does".into()));
        };
        let (saved, rest): (Vec<Saved>, _) =
            postcard::take_from_bytes(body).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
        if !rest.is_empty() {
            return Err(wrong(format!("{} bytes follow its end", rest.len())));
        }
        let mut shard = Self::new(views);
        for view in saved {
            let Some(state) = shard.views.iter_mut().find(|state| state.view.version() == view.version)
            else {
                continue;
            };
            if let Some((key, _)) = view.keys.iter().find(|(_, tiles)| !tiles.fits(&state.view.layout)) {
                let key = key.with_names(state.view.entity());
                return Err(wrong(format!(
                    "the tiles of {key} do not fit view {:?}",
                    state.view.spec().name
                )));
            }
            state.seen = view.seen;
            state.late = view.late;
            state.unreachable = view.unreachable;
            for (key, tiles) in view.keys {
                state.now = state.now.max(tiles.now);
                state.keys.insert(key, tiles);
            }
        }
        Ok(shard)
    }
}

fn saving(state: &ViewState) -> Saving<'_> {
    let mut keys: Vec<(&EntityKey, &Tiles)> = state.keys.iter().collect();
    keys.sort_unstable_by_key(|(key, _)| *key);
    Saving {
        version: state.view.version(),
        seen: state.seen,
        late: state.late,
        unreachable: state.unreachable,
        keys,
    }
}
