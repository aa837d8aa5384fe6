//! The state of one key away from its shard: as bytes, and back.

use perennial_types::{Position, Timestamp};

use crate::FeatureError;
use crate::held::Held;
use crate::tiles::Tiles;
use crate::view::View;
use crate::window::{self, ReadRoom};
use crate::{EntityKey, Reading};

/// The state of one key of one view, decoded from the bytes that [`crate::Shard::take_cold`] or
/// [`crate::Shard::take_changed`] gave away. It is bit for bit the state that was given.
#[derive(Clone, Debug)]
pub struct KeyState(pub(crate) Tiles);

impl KeyState {
    /// The state of `key` from bytes.
    ///
    /// # Errors
    /// When they are no state of this view.
    pub fn decode(view: &View, key: &EntityKey, bytes: &[u8]) -> Result<Self, FeatureError> {
        let wrong = |problem: &str| {
            let (key, view) = (key.with_names(view.entity()), &view.spec().name);
            FeatureError::Snapshot(format!("the state of {key} in view {view:?} {problem}"))
        };
        let (mut tiles, rest): (Tiles, _) =
            postcard::take_from_bytes(bytes).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        if !rest.is_empty() {
            return Err(wrong(&format!("is followed by {} bytes", rest.len())));
        }
        if !tiles.fits(&view.layout) {
            return Err(wrong("has other tiles than the view"));
        }
        tiles.held = Held::of_copy();
        Ok(Self(tiles))
    }

    /// The features at `at`, as [`crate::Shard::read_into`] gives them of a key in the shard, which has taken in
    /// the log up to `seen`.
    pub fn read_into(
        &self,
        view: &View,
        at: Timestamp,
        seen: Position,
        room: &mut ReadRoom,
        reading: &mut Reading,
    ) {
        window::read(&view.layout, Some(&self.0), at.micros(), room, &mut reading.values);
        view.derive(&mut reading.values);
        reading.seen = seen;
        reading.latest = Some(Timestamp::from_micros(self.0.now));
    }
}

/// Write a state over what `bytes` holds.
pub(crate) fn encode(tiles: &Tiles, bytes: &mut Vec<u8>) {
    bytes.clear();
    // A vector grows, and nothing in the state refuses to be serialised; were it so, what is left decodes to
    // nothing, and the state is rebuilt from the log.
    match postcard::to_extend(tiles, std::mem::take(bytes)) {
        Ok(whole) => *bytes = whole,
        Err(_) => bytes.clear(),
    }
}
