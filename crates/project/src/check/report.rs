//! A report: its endpoint is there and it is due some day.

use perennial_control::ReportSpec;
use perennial_policy::Schedule;

use crate::fault::owner;
use crate::scope::Scope;

/// Check one report.
pub(crate) fn report(scope: &Scope<'_>, report: &ReportSpec) {
    let owner = owner("Report", &report.name);
    scope.endpoint(&report.endpoint, &format!("{owner}: endpoint"));
    if let Err(error) = Schedule::parse(&report.schedule) {
        scope.refuse_as_told(format!("{owner}: schedule"), &error.to_string());
    }
}
