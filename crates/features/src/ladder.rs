//! The fixed ladder of tile sizes.

use perennial_types::TimeSpan;

/// The shortest window: its tiles are of the ladder's smallest size.
pub(crate) const SHORTEST_WINDOW: TimeSpan = TimeSpan::from_secs(1);

const MS: i64 = 1_000;
const SECOND: i64 = 1_000 * MS;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Every size, in microseconds, divides the next one, so that an upper tile is made of whole lower ones.
const SIZES: [i64; 23] = [
    10 * MS,
    50 * MS,
    100 * MS,
    500 * MS,
    SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    20 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    4 * DAY,
    8 * DAY,
    16 * DAY,
    32 * DAY,
    64 * DAY,
];

/// The size in microseconds of the tile at the far end of a window of `span` microseconds: the largest on
/// the ladder that is at most a sixtieth of the window.
pub(crate) fn tile_size(span: i64) -> i64 {
    SIZES.iter().copied().rev().find(|size| *size <= span / 60).unwrap_or(SIZES[0])
}

/// The size of the one tile that holds whatever is older than other tiles.
pub(crate) const ETERNITY: i64 = i64::MAX;

/// The largest tile on the ladder that is at most a sixtieth of a window and divides it; nothing for a window
/// that is no whole number of the smallest.
pub(crate) fn dividing_size(span: i64) -> Option<i64> {
    SIZES.iter().copied().rev().find(|size| *size <= span / 60 && span % size == 0)
}

/// The tile of a day, for views whose windows need no other.
pub(crate) const PLAIN_SIZE: i64 = DAY;

/// The end of the tile that starts at `start`.
pub(crate) fn tile_end(start: i64, size: i64) -> i64 {
    if size == ETERNITY { i64::MAX } else { start.saturating_add(size) }
}

/// The largest multiple of `size` that is not after `time`.
pub(crate) fn floor(time: i64, size: i64) -> i64 {
    if size == ETERNITY {
        return i64::MIN;
    }
    time.div_euclid(size).saturating_mul(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_divides_the_next() {
        for pair in SIZES.windows(2) {
            assert!(pair[0] < pair[1] && pair[1] % pair[0] == 0, "{pair:?}");
        }
    }

    #[test]
    fn far_tile_is_at_most_a_sixtieth_of_the_window() {
        for span in ["1s", "90s", "10m", "3h", "24h", "7d", "28d", "90d", "365d", "3000d"] {
            let span = TimeSpan::parse(span).unwrap().micros();
            let size = tile_size(span);
            assert!(size <= span / 60, "{span}: {size}");
            assert!(span / size <= 300, "{span}: {size}");
        }
        assert_eq!(tile_size(7 * DAY), 2 * HOUR);
        assert_eq!(tile_size(30 * DAY), 12 * HOUR);
    }
}
