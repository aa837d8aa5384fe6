//! The bundled hours: what callers know when they ask, and the truth that comes a day later.

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use perennial_remote::ProjectFile;
use perennial_types::{TimeSpan, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

/// Hours before the first scored one: the first tenth, on which the first version is fitted.
pub const FIRST_ROWS: usize = 1_737;
/// After how long the truth of an hour is known.
pub const LABEL_DELAY: TimeSpan = TimeSpan::from_hours(24);

const HOURS: &[u8] = include_bytes!("../data/bike_hour.csv.gz");

/// One hour in Washington.
#[derive(Clone, Debug, PartialEq)]
pub struct Hour {
    /// When it begins.
    pub at: Timestamp,
    /// Temperature, scaled to 0..1.
    pub temp: f64,
    /// Felt temperature, scaled to 0..1.
    pub atemp: f64,
    /// Humidity, scaled to 0..1.
    pub hum: f64,
    /// Wind speed, scaled to 0..1.
    pub windspeed: f64,
    /// Hour of the day, 0 to 23.
    pub hr: i64,
    /// 1 on working days, else 0.
    pub workingday: i64,
    /// From 1 (clear) to 4 (heavy rain or snow).
    pub weathersit: i64,
    /// Bikes rented: the truth.
    pub cnt: i64,
}

impl Hour {
    /// Hour of the day, and 24 more on working days: the entity of the demand features.
    pub fn slot(&self) -> i64 {
        self.hr + 24 * self.workingday
    }

    /// The id of its prediction request.
    pub fn prediction_id(&self) -> String {
        format!("bike-{}", self.at)
    }

    /// The prediction request.
    pub fn request(&self) -> Map<String, Json> {
        let mut request = Map::new();
        let numbers =
            [("temp", self.temp), ("atemp", self.atemp), ("hum", self.hum), ("windspeed", self.windspeed)];
        for (name, value) in numbers {
            request.insert(name.to_owned(), value.into());
        }
        let codes = [("hr", self.hr), ("workingday", self.workingday), ("weathersit", self.weathersit)];
        for (name, value) in codes {
            request.insert(name.to_owned(), value.into());
        }
        request
    }

    /// The event of source `demand` that tells its truth.
    pub fn event(&self) -> Json {
        json!({
            "event_id": format!("demand-{}", self.at),
            "hour": self.at.to_string(),
            "slot": self.slot(),
            "cnt": self.cnt,
        })
    }

    /// When its truth is known.
    pub fn due(&self) -> Timestamp {
        self.at + LABEL_DELAY
    }
}

/// A line of the file; columns that are not named here are never read.
#[derive(Deserialize)]
struct Line {
    dteday: String,
    hr: i64,
    workingday: i64,
    weathersit: i64,
    temp: f64,
    atemp: f64,
    hum: f64,
    windspeed: f64,
    cnt: i64,
}

/// All hours in order of time.
///
/// # Errors
/// When the bundled file is damaged.
pub fn hours() -> Result<Vec<Hour>> {
    let mut hours = Vec::new();
    for (index, line) in csv::Reader::from_reader(GzDecoder::new(HOURS)).deserialize().enumerate() {
        let line: Line = line.context("the bundled bike_hour.csv.gz")?;
        let day = Timestamp::parse(&line.dteday).with_context(|| format!("row {index} of bike_hour.csv"))?;
        hours.push(Hour {
            at: day + TimeSpan::from_hours(line.hr),
            temp: line.temp,
            atemp: line.atemp,
            hum: line.hum,
            windspeed: line.windspeed,
            hr: line.hr,
            workingday: line.workingday,
            weathersit: line.weathersit,
            cnt: line.cnt,
        });
    }
    Ok(hours)
}

/// The declarations of the example.
pub fn project() -> Vec<ProjectFile> {
    let files = [
        ("project.yaml", include_str!("../project/project.yaml")),
        ("bike.yaml", include_str!("../project/bike.yaml")),
        ("policy.yaml", include_str!("../project/policy.yaml")),
    ];
    files.map(|(name, text)| ProjectFile { name: name.to_owned(), text: text.to_owned() }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_hours_are_two_years_in_order_with_their_gaps() {
        let hours = hours().unwrap();
        assert_eq!(hours.len(), 17_379);
        assert!(hours.windows(2).all(|pair| pair[0].at < pair[1].at));
        let first = Hour {
            at: Timestamp::parse("2011-01-01").unwrap(),
            temp: 0.24,
            atemp: 0.2879,
            hum: 0.81,
            windspeed: 0.0,
            hr: 0,
            workingday: 0,
            weathersit: 1,
            cnt: 16,
        };
        assert_eq!(hours[0], first);
        assert_eq!(hours[hours.len() - 1].at, Timestamp::parse("2012-12-31T23:00:00Z").unwrap());
    }

    #[test]
    fn no_part_of_the_truth_is_in_a_request() {
        let hour = &hours().unwrap()[100];
        let names: Vec<_> = hour.request().keys().cloned().collect();
        assert_eq!(names, ["temp", "atemp", "hum", "windspeed", "hr", "workingday", "weathersit"]);
    }
}
