use perennial_stats::adwin::Adwin;
use serde::Deserialize;

use crate::lcg::Lcg;
use crate::near;

#[derive(Deserialize)]
struct Golden {
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    name: String,
    seed: u64,
    ones: usize,
    /// First and last probability of a one, and how many rows it moves over.
    segments: Vec<(f64, f64, u32)>,
    changes_at: Vec<u64>,
    final_width: u64,
    river_first: Option<u64>,
    river_means: Vec<(usize, f64)>,
}

impl Stream {
    fn rows(&self) -> Vec<f64> {
        let mut lcg = Lcg::new(self.seed);
        let mut rows = Vec::new();
        for &(from, to, length) in &self.segments {
            for row in 0..length {
                let probability = from + (to - from) * f64::from(row) / f64::from(length);
                rows.push(f64::from(u8::from(lcg.uniform() < probability)));
            }
        }
        rows
    }
}

#[test]
fn changes_of_error_streams_are_found_at_the_rows_of_the_reference() {
    let golden: Golden = serde_json::from_str(include_str!("adwin.json")).unwrap();
    for stream in golden.streams {
        let rows = stream.rows();
        assert_eq!(rows.iter().filter(|row| **row == 1.0).count(), stream.ones, "{}", stream.name);
        let mut adwin = Adwin::new(0.002);
        let mut means = Vec::new();
        let mut found = Vec::new();
        for row in rows {
            // The reference counts rows from 0.
            found.extend(adwin.push(row).map(|change| change.at_count - 1));
            means.push(adwin.mean().unwrap());
        }
        assert_eq!(found, stream.changes_at, "{}", stream.name);
        assert_eq!(found.first().copied(), stream.river_first, "{}", stream.name);
        assert_eq!(adwin.width(), stream.final_width, "{}", stream.name);
        for (row, mean) in stream.river_means {
            assert!(near(means[row], mean), "{}: mean {} at row {row}, not {mean}", stream.name, means[row]);
        }
    }
}
