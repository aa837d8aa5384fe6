//! The sizes of tiles that a view's windows need.

use crate::WindowSpec;
use crate::ladder::{ETERNITY, PLAIN_SIZE, dividing_size, tile_size};

/// The tiles of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Microseconds.
    pub(crate) size: i64,
    /// The longest window whose far end is made of tiles of this size, in microseconds.
    pub(crate) reach: i64,
}

/// The size of the tile at the far end of a window; nothing for one that is not made of tiles.
pub(crate) fn far_size(window: WindowSpec) -> Option<i64> {
    match window {
        WindowSpec::Sliding(span) => Some(tile_size(span.micros())),
        WindowSpec::Tumbling(span) => dividing_size(span.micros()),
        WindowSpec::Lifetime => Some(ETERNITY),
        WindowSpec::Session(_) | WindowSpec::Last(_) => None,
    }
}

/// How far back tiles are read for a window: the last complete one may have ended a whole one ago.
fn reach(window: WindowSpec) -> i64 {
    match window {
        WindowSpec::Sliding(span) => span.micros(),
        WindowSpec::Tumbling(span) => span.micros().saturating_mul(2),
        WindowSpec::Lifetime => ETERNITY,
        WindowSpec::Session(_) | WindowSpec::Last(_) => 0,
    }
}

/// The layers for some windows, ascending in size and in reach; each size divides the next. At least one is
/// of a finite size.
pub(crate) fn layers(windows: impl Iterator<Item = WindowSpec>) -> Vec<Layer> {
    let mut all: Vec<Layer> =
        windows.filter_map(|window| Some(Layer { size: far_size(window)?, reach: reach(window) })).collect();
    if all.iter().all(|layer| layer.size == ETERNITY) {
        all.push(Layer { size: PLAIN_SIZE, reach: PLAIN_SIZE });
    }
    all.sort_unstable_by_key(|layer| (layer.size, layer.reach));
    let mut layers: Vec<Layer> = Vec::new();
    for layer in all {
        match layers.last_mut() {
            Some(last) if last.size == layer.size => last.reach = last.reach.max(layer.reach),
            // A larger tile never ends where smaller ones are still kept.
            Some(last) => {
                let reach = layer.reach.max(last.reach);
                layers.push(Layer { reach, ..layer });
            }
            None => layers.push(layer),
        }
    }
    layers
}
