//! Prints the page of a stored report: a week of a demand forecast in which spring came.

use perennial_report::{Report, ReportError};

fn main() -> Result<(), ReportError> {
    print!("{}", Report::from_json(include_str!("weekly.json"))?.to_html());
    Ok(())
}
