//! A file of rows with all of its columns, whatever they are: entities and times that are asked about.

use std::path::{Path, PathBuf};

use perennial_types::{Column, DataType, Row, Schema, Value};

use super::{CsvRows, RowProblem, open};
use crate::LogError;
use crate::table::read_table;

/// How many bad rows are listed.
const LISTED: usize = 1_000;

/// A file, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its columns, in their order.
    pub schema: Schema,
    /// Its rows, in their order; those of `problems` are left out.
    pub rows: Vec<Row>,
    /// For each row its place in the file: the line of text, or the row of Parquet, from 1.
    pub lines: Vec<u64>,
    /// What `lines` counts.
    pub unit: &'static str,
    /// Rows that cannot be read, the first thousand of them.
    pub problems: Vec<RowProblem>,
}

impl WholeFile {
    /// What is wrong with a row that was read.
    pub fn problem(&self, row: usize, reason: impl Into<String>) -> RowProblem {
        let line = self.lines.get(row).copied().unwrap_or_default();
        RowProblem { file: self.path.clone(), unit: self.unit, line, reason: reason.into() }
    }
}

/// Read a `.csv` file, also compressed by gzip, or a `.parquet` one, with all of its columns. A column that
/// `known` names is of that type; of any other column of text the type is the first of int64, double, boolean
/// and timestamp that every field has, and string if none does.
///
/// # Errors
/// When the file cannot be read, its ending is unknown, or a column of Parquet is of another type than the known
/// one.
pub fn whole(path: &Path, known: &[Column]) -> Result<WholeFile, LogError> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    if name.ends_with(".parquet") {
        return of_parquet(path, known);
    }
    if name.ends_with(".csv") || name.ends_with(".csv.gz") {
        return of_csv(path, known);
    }
    Err(LogError::content(path, "expected a file that ends in .csv, .csv.gz or .parquet"))
}

fn of_parquet(path: &Path, known: &[Column]) -> Result<WholeFile, LogError> {
    let (schema, rows, _) = read_table(path)?;
    let wrong: Vec<String> = schema
        .columns()
        .iter()
        .filter_map(|found| {
            let wanted = known.iter().find(|wanted| wanted.name == found.name)?;
            let (name, wanted, found) = (&wanted.name, wanted.data_type, found.data_type);
            (wanted != found).then(|| format!("column {name:?} wants {wanted}, found {found}"))
        })
        .collect();
    if !wrong.is_empty() {
        return Err(LogError::content(path, wrong.join("; ")));
    }
    let lines = (1..=rows.len() as u64).collect();
    Ok(WholeFile { path: path.to_owned(), schema, rows, lines, unit: "row", problems: Vec::new() })
}

fn of_csv(path: &Path, known: &[Column]) -> Result<WholeFile, LogError> {
    let mut reader = csv::Reader::from_reader(open(path)?);
    let names = CsvRows::names(path, &mut reader)?;
    let problem =
        |line: u64, reason: String| RowProblem { file: path.to_owned(), unit: "line", line, reason };
    let (mut texts, mut lines, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    let (mut record, mut line) = (csv::StringRecord::new(), 1);
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                line = record.position().map_or(line + 1, csv::Position::line);
                texts.push(record.clone());
                lines.push(line);
            }
            Err(error) => {
                line = error.position().map_or(line + 1, csv::Position::line);
                let file = matches!(error.kind(), csv::ErrorKind::Io(_));
                problems.push(problem(line, error.to_string()));
                if file || problems.len() >= LISTED {
                    break;
                }
            }
        }
    }
    let columns = names.iter().enumerate().map(|(at, name)| {
        let wanted = known.iter().find(|wanted| *wanted.name == **name).map(|wanted| wanted.data_type);
        let found = wanted.unwrap_or_else(|| type_of(texts.iter().filter_map(|record| record.get(at))));
        Column { name: name.as_str().into(), data_type: found, nullable: true }
    });
    let schema = Schema::new(columns.collect()).map_err(|error| LogError::content(path, error))?;
    let mut rows = Vec::with_capacity(texts.len());
    let mut kept = Vec::with_capacity(texts.len());
    for (record, line) in texts.iter().zip(lines) {
        match decode(&schema, record) {
            Ok(row) => {
                rows.push(row);
                kept.push(line);
            }
            Err(reason) if problems.len() < LISTED => problems.push(problem(line, reason)),
            Err(_) => {}
        }
    }
    Ok(WholeFile { path: path.to_owned(), schema, rows, lines: kept, unit: "line", problems })
}

fn decode(schema: &Schema, record: &csv::StringRecord) -> Result<Row, String> {
    let fields = schema.columns().iter().zip(record);
    fields.map(|(column, text)| column.decode_text(text).map_err(|error| error.to_string())).collect()
}

/// The type that every field has which is not empty.
fn type_of<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> DataType {
    let mut texts = texts.filter(|text| !text.is_empty()).peekable();
    if texts.peek().is_none() {
        return DataType::String;
    }
    let candidates = [DataType::Int64, DataType::Double, DataType::Boolean, DataType::Timestamp];
    let found = candidates.into_iter().find(|data_type| {
        let column = Column { name: "".into(), data_type: *data_type, nullable: true };
        texts.clone().all(|text| means_only(&column, text))
    });
    found.unwrap_or(DataType::String)
}

/// Whether a text is a value of the column's type and nothing is lost by taking it for one: `007` is a name.
fn means_only(column: &Column, text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    let padded = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
    let number = matches!(column.data_type, DataType::Int64 | DataType::Double);
    !(number && (padded || text.starts_with('+')))
        && column.decode_text(text).is_ok_and(|value| !matches!(value, Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{write_csv, write_table};

    fn read(text: &str, known: &[(&str, &str)]) -> Result<WholeFile, LogError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spine.csv");
        std::fs::write(&path, text).unwrap();
        whole(&path, Schema::parse(known).unwrap().columns())
    }

    #[test]
    fn columns_of_text_have_the_type_of_all_their_fields() {
        let text =
            "id,n,x,yes,at,code,none\na,1,0.5,true,2024-05-01,007,\nb,-2,3,false,2024-05-01 10:00:00,1,\n";
        let file = read(text, &[]).unwrap();
        let types: Vec<DataType> = file.schema.columns().iter().map(|column| column.data_type).collect();
        let (string, at) = (DataType::String, DataType::Timestamp);
        let wanted = [string, DataType::Int64, DataType::Double, DataType::Boolean, at, string, string];
        assert_eq!(types, wanted);
        assert_eq!(file.rows[0][5], Value::String("007".into()));
        assert_eq!((file.rows[1][6].clone(), file.lines), (Value::Null, vec![2, 3]));
    }

    #[test]
    fn a_known_column_is_of_its_type_and_bad_rows_are_named_by_line_and_column() {
        let text = "zone,at,n\n7,2024-05-01,1\nb,never,2\nc\nd,2024-05-02,3\n";
        let file = read(text, &[("zone", "string"), ("at", "timestamp")]).unwrap();
        assert_eq!(file.rows.len(), 2);
        assert_eq!(file.rows[0][0], Value::String("7".into()));
        let problems: Vec<String> =
            file.problems.iter().map(|problem| format!("{}: {}", problem.line, problem.reason)).collect();
        assert!(problems[0].starts_with("4: "), "a row that is too short: {problems:?}");
        assert_eq!(problems[1], "3: column \"at\" wants timestamp, found \"never\"");
        assert_eq!(file.problem(1, "x").line, 5);
    }

    #[test]
    fn what_is_written_as_csv_or_parquet_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let schema = Schema::parse(&[("at", "timestamp?"), ("x", "double?"), ("s", "string?")]).unwrap();
        let row = |x: f64, s: &str| {
            let time = perennial_types::Timestamp::from_micros(1_700_000_000_123_456);
            vec![Value::Timestamp(time), Value::Double(x), Value::String(s.into())]
        };
        let rows = vec![row(0.1 + 0.2, "a,\"b\"\nc"), vec![Value::Null; 3], row(1e300, "z"), row(4.0, "y")];
        let (csv, parquet) = (dir.path().join("a.csv"), dir.path().join("a.parquet"));
        write_csv(&csv, &schema, &rows).unwrap();
        write_table(&parquet, &schema, &rows, &[]).unwrap();
        for path in [&csv, &parquet] {
            let file = whole(path, &[]).unwrap();
            assert_eq!((&file.schema, &file.rows), (&schema, &rows), "{}", path.display());
        }
        let known = Schema::parse(&[("x", "int64")]).unwrap();
        let error = whole(&parquet, known.columns()).unwrap_err().to_string();
        assert!(error.ends_with("column \"x\" wants int64, found double"), "{error}");
        let error = whole(&dir.path().join("a.xls"), &[]).unwrap_err().to_string();
        assert!(error.contains(".csv, .csv.gz or .parquet"), "{error}");
    }
}
