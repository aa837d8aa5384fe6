//! Files of rows: history that is imported, and recorded streams that are played.

mod whole;

pub use whole::{WholeFile, whole};

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use perennial_types::{Column, Kind, Row, Schema, SourceSpec, Value, did_you_mean};
use serde_json::Value as Json;

use crate::LogError;
use crate::table::{column_of, value_at};

/// A row of a file that cannot be used; the rows after it can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, {unit} {line}: {reason}", .file.display())]
pub struct RowProblem {
    /// The file.
    pub file: PathBuf,
    /// What `line` counts: lines of text, or rows of Parquet.
    pub unit: &'static str,
    /// Where in the file, from 1.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
}

impl RowProblem {
    /// What a caller can do about it: repair the file.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// The rows of a file as JSON objects of the source's schema, in the order of the file. Read are `.csv`,
/// `.jsonl` or `.ndjson`, each of them also compressed by gzip (told by its first bytes), and `.parquet`.
/// Columns are matched by name; those that the schema does not have are left out.
///
/// # Errors
/// When the file cannot be read, its ending is unknown, or columns that the schema requires are missing.
/// Items fail for rows that cannot be read; after a failure of the file itself nothing follows.
pub fn rows(path: &Path, source: &SourceSpec) -> Result<FileRows, LogError> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let ending = plain.rsplit_once('.').map_or("", |(_, ending)| ending);
    let rows = match ending {
        "csv" => Form::Csv(CsvRows::open(path, &source.schema)?),
        "jsonl" | "ndjson" => Form::Lines(BufReader::new(open(path)?)),
        "parquet" => Form::Parquet(ParquetRows::open(path, &source.schema)?),
        _ => {
            let help = did_you_mean(ending, ["csv", "jsonl", "ndjson", "parquet"]);
            return Err(LogError::content(path, format!("{ending:?} is no ending of a file of rows{help}")));
        }
    };
    Ok(FileRows { path: path.to_owned(), schema: source.schema.clone(), rows, line: 0, ended: false })
}

/// The rows of [`rows`].
pub struct FileRows {
    path: PathBuf,
    schema: Schema,
    rows: Form,
    line: u64,
    ended: bool,
}

enum Form {
    Csv(CsvRows),
    Lines(BufReader<Box<dyn Read + Send>>),
    Parquet(ParquetRows),
}

/// Why there is no row: this one is bad, or the file is.
enum Failure {
    Row(String),
    File(String),
}

impl Iterator for FileRows {
    type Item = Result<Json, RowProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let (unit, row) = match &mut self.rows {
            Form::Csv(rows) => ("line", rows.advance(&self.schema, &mut self.line)),
            Form::Lines(lines) => ("line", next_line(lines, &self.schema, &mut self.line)),
            Form::Parquet(rows) => ("row", rows.advance(&self.schema, &mut self.line)),
        };
        let row = row.transpose()?;
        Some(row.map_err(|failure| {
            let reason = match failure {
                Failure::Row(reason) => reason,
                Failure::File(reason) => {
                    self.ended = true;
                    reason
                }
            };
            RowProblem { file: self.path.clone(), unit, line: self.line.max(1), reason }
        }))
    }
}

/// A file of text, uncompressed.
fn open(path: &Path) -> Result<Box<dyn Read + Send>, LogError> {
    let mut file = BufReader::new(File::open(path).map_err(LogError::io("open", path))?);
    let start = file.fill_buf().map_err(LogError::io("read", path))?;
    Ok(if start.starts_with(&[0x1f, 0x8b]) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// For each column of the schema its place in the file; an error names all those that are missing.
fn places(path: &Path, schema: &Schema, names: &[String]) -> Result<Vec<Option<usize>>, LogError> {
    let place = |column: &Column| names.iter().position(|name| **name == *column.name);
    let places: Vec<_> = schema.columns().iter().map(place).collect();
    let pairs = schema.columns().iter().zip(&places);
    let missing: Vec<String> = pairs
        .filter(|(column, place)| place.is_none() && !column.nullable)
        .map(|(column, _)| {
            format!("{:?}{}", column.name, did_you_mean(&column.name, names.iter().map(String::as_str)))
        })
        .collect();
    if missing.is_empty() {
        return Ok(places);
    }
    Err(LogError::content(path, format!("required columns are missing: {}", missing.join(", "))))
}

struct CsvRows {
    reader: csv::Reader<Box<dyn Read + Send>>,
    places: Vec<Option<usize>>,
    record: csv::StringRecord,
}

impl CsvRows {
    fn open(path: &Path, schema: &Schema) -> Result<Self, LogError> {
        let mut reader = csv::Reader::from_reader(open(path)?);
        let names = Self::names(path, &mut reader)?;
        Ok(Self { places: places(path, schema, &names)?, reader, record: csv::StringRecord::new() })
    }

    fn names(path: &Path, reader: &mut csv::Reader<Box<dyn Read + Send>>) -> Result<Vec<String>, LogError> {
        let headers = reader.headers().map_err(|error| LogError::content(path, error))?;
        Ok(headers.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect())
    }

    fn advance(&mut self, schema: &Schema, line: &mut u64) -> Result<Option<Json>, Failure> {
        let read = self.reader.read_record(&mut self.record);
        match read {
            Ok(false) => return Ok(None),
            Ok(true) => *line = self.record.position().map_or(*line + 1, csv::Position::line),
            Err(error) => {
                *line = error.position().map_or(*line + 1, csv::Position::line);
                let reason = error.to_string();
                let file = matches!(error.kind(), csv::ErrorKind::Io(_));
                return Err(if file { Failure::File(reason) } else { Failure::Row(reason) });
            }
        }
        let mut row = Row::with_capacity(self.places.len());
        for (column, place) in schema.columns().iter().zip(&self.places) {
            let text = place.and_then(|place| self.record.get(place)).unwrap_or_default();
            row.push(column.decode_text(text).map_err(|error| Failure::Row(error.to_string()))?);
        }
        Ok(Some(schema.encode_json(&row)))
    }
}

fn next_line(
    lines: &mut BufReader<Box<dyn Read + Send>>,
    schema: &Schema,
    line: &mut u64,
) -> Result<Option<Json>, Failure> {
    let mut text = Vec::new();
    loop {
        text.clear();
        *line += 1;
        let count = lines.read_until(b'\n', &mut text).map_err(|error| Failure::File(error.to_string()))?;
        if count == 0 {
            return Ok(None);
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let json =
            serde_json::from_slice(&text).map_err(|error| Failure::Row(format!("not JSON: {error}")))?;
        let json = match json {
            Json::Object(mut object) => {
                object.retain(|name, _| schema.index_of(name).is_some());
                Json::Object(object)
            }
            other => other,
        };
        let row = schema.decode_json(&json).map_err(|error| Failure::Row(error.to_string()))?;
        return Ok(Some(schema.encode_json(&row)));
    }
}

struct ParquetRows {
    batches: ParquetRecordBatchReader,
    batch: Option<(arrow_array::RecordBatch, usize)>,
    places: Vec<Option<usize>>,
}

impl ParquetRows {
    fn open(path: &Path, schema: &Schema) -> Result<Self, LogError> {
        let file = File::open(path).map_err(LogError::io("open", path))?;
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| LogError::content(path, error))?;
        let fields = Arc::clone(builder.schema());
        let names: Vec<String> = fields.fields().iter().map(|field| field.name().clone()).collect();
        let places = places(path, schema, &names)?;
        for (wanted, place) in schema.columns().iter().zip(&places) {
            let Some(place) = place else { continue };
            let found = column_of(fields.field(*place)).map_err(|reason| LogError::content(path, reason))?;
            if found.data_type != wanted.data_type {
                let (name, wanted, found) = (&wanted.name, wanted.data_type, found.data_type);
                return Err(LogError::content(
                    path,
                    format!("column {name:?} wants {wanted}, found {found}"),
                ));
            }
        }
        let batches = builder.build().map_err(|error| LogError::content(path, error))?;
        Ok(Self { batches, batch: None, places })
    }

    fn advance(&mut self, schema: &Schema, line: &mut u64) -> Result<Option<Json>, Failure> {
        loop {
            if let Some((batch, next)) = &mut self.batch
                && *next < batch.num_rows()
            {
                *line += 1;
                *next += 1;
                let value = |place: &Option<usize>| {
                    place.map_or(Value::Null, |at| value_at(batch.column(at), *next - 1))
                };
                let row: Row = self.places.iter().map(value).collect();
                let pairs = schema.columns().iter().zip(&row);
                if let Some((column, _)) =
                    pairs.into_iter().find(|(column, value)| value.null() && !column.nullable)
                {
                    return Err(Failure::Row(format!("column {:?} is missing", column.name)));
                }
                return Ok(Some(schema.encode_json(&row)));
            }
            match self.batches.next() {
                None => return Ok(None),
                Some(Ok(batch)) => self.batch = Some((batch, 0)),
                Some(Err(error)) => return Err(Failure::File(error.to_string())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use perennial_types::{AvailableAt, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::table::write_table;

    fn source() -> SourceSpec {
        let schema = Schema::parse(&[("at", "timestamp"), ("cnt", "int64"), ("temp", "double?")]).unwrap();
        SourceSpec {
            available_at: AvailableAt::Column("at".into()),
            ..SourceSpec::new("demand", schema, "at")
        }
    }

    fn read(name: &str, content: &[u8]) -> Vec<Result<Json, String>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let relative =
            |problem: RowProblem| problem.to_string().replace(&format!("{}/", dir.path().display()), "");
        rows(&path, &source()).unwrap().map(|row| row.map_err(relative)).collect()
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    const CSV: &str = "extra,temp,cnt,at\nx,0.5,3,2011-01-01 05:00:00\ny,,4,2011-01-01\nz,,four,2011-01-01\n1,2\nx,,5,2011-01-02\n";

    #[test]
    fn csv_columns_are_matched_by_name_and_bad_rows_are_named() {
        let found = read("a.csv", CSV.as_bytes());
        assert_eq!(found[0], Ok(json!({"at": "2011-01-01T05:00:00Z", "cnt": 3, "temp": 0.5})));
        assert_eq!(found[1], Ok(json!({"at": "2011-01-01T00:00:00Z", "cnt": 4})));
        assert_eq!(found[2], Err("a.csv, line 4: column \"cnt\" wants int64, found \"four\"".to_owned()));
        assert!(
            found[3].as_ref().is_err_and(|reason| reason.starts_with("a.csv, line 5: ")),
            "{:?}",
            found[3]
        );
        assert_eq!(found[4], Ok(json!({"at": "2011-01-02T00:00:00Z", "cnt": 5})));
        assert_eq!(found.len(), 5);
        let compressed = read("a.csv", &gzip(CSV.as_bytes()));
        assert_eq!(compressed, found, "gzip is told by the first bytes, not the name");
    }

    #[test]
    fn json_lines_go_on_after_a_bad_one() {
        let text = "{\"at\":\"2011-01-01\",\"cnt\":1,\"more\":[]}\n\n{\"at\"\n{\"cnt\":2}\n[]\n{\"at\":\"2011-01-02\",\"cnt\":2}";
        let found = read("a.jsonl.gz", &gzip(text.as_bytes()));
        assert_eq!(
            found,
            read("a.ndjson", text.as_bytes())
                .into_iter()
                .map(|row| row.map_err(|reason| reason.replace("a.ndjson", "a.jsonl.gz")))
                .collect::<Vec<_>>()
        );
        assert_eq!(found[0], Ok(json!({"at": "2011-01-01T00:00:00Z", "cnt": 1})));
        assert!(found[1].as_ref().is_err_and(|reason| reason.starts_with("a.jsonl.gz, line 3: not JSON: ")));
        assert_eq!(found[2], Err("a.jsonl.gz, line 4: column \"at\" is missing".to_owned()));
        assert_eq!(found[3], Err("a.jsonl.gz, line 5: expected a JSON object, found an array".to_owned()));
        assert!(found[4].is_ok() && found.len() == 5);
    }

    #[test]
    fn a_truncated_gzip_ends_with_one_problem() {
        let whole = gzip(CSV.repeat(2000).as_bytes());
        let found = read("a.csv.gz", &whole[..whole.len() / 2]);
        assert!(found.last().unwrap().is_err());
    }

    #[test]
    fn parquet_rows_are_matched_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let schema = Schema::parse(&[
            ("temp", "double?"),
            ("other", "string"),
            ("at", "timestamp?"),
            ("cnt", "int64"),
        ])
        .unwrap();
        let row = |at| vec![Value::Double(0.1), Value::String("x".into()), at, Value::Int64(1)];
        let table = [row(Value::Timestamp(Timestamp::from_micros(0))), row(Value::Null)];
        write_table(&path, &schema, &table, &[]).unwrap();
        let found: Vec<_> = rows(&path, &source()).unwrap().collect();
        assert_eq!(found[0], Ok(json!({"at": "1970-01-01T00:00:00Z", "cnt": 1, "temp": 0.1})));
        let problem = found[1].clone().unwrap_err();
        assert_eq!((problem.line, &*problem.reason), (2, "column \"at\" is missing"));
    }

    #[test]
    fn a_missing_column_and_an_unknown_ending_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, "att,n\n").unwrap();
        let Err(error) = rows(&path, &source()) else { panic!("columns are missing") };
        let reason = "required columns are missing: \"at\"; did you mean \"att\"?, \"cnt\"; known are att, n";
        assert_eq!(error.to_string(), format!("{}: {reason}", path.display()));
        let Err(error) = rows(&path.with_extension("xls"), &source()) else { panic!("an unknown ending") };
        assert_eq!(error.kind(), Kind::Invalid);
        let Err(error) = rows(&path.with_file_name("b.csv"), &source()) else { panic!("no such file") };
        assert_eq!(error.kind(), Kind::NotFound);
    }
}
