//! From texts to a project that has passed every check.

use crate::compile;
use crate::fault::Fault;
use crate::marks::Marks;
use crate::read::{self, Draft};
use crate::spec::Project;

impl Project {
    /// Read and check the declarations in `files`: pairs of a name, for messages, and YAML text.
    ///
    /// # Errors
    /// All faults, in the order of files and lines.
    pub fn parse(files: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        let (nodes, not_yaml) = read::documents(files);
        let complete = not_yaml.is_empty();
        let draft = read::draft(&nodes, complete, 0);
        let mut faults = not_yaml;
        let mut found = faults_of(&draft);
        if !draft.faults.is_empty() {
            for guess in 1..Marks::ROUNDS {
                if found.is_empty() {
                    break;
                }
                let again = faults_of(&read::draft(&nodes, complete, guess));
                // What would help depends on the names that have a type in this round.
                let same = |a: &Fault, b: &Fault| (&a.path, &a.message) == (&b.path, &b.message);
                found.retain(|fault| again.iter().any(|other| same(fault, other)));
            }
        }
        faults.extend(draft.faults);
        faults.extend(found.into_iter().map(|fault| draft.places.locate(fault)));
        if faults.is_empty() {
            return Ok(draft.project);
        }
        faults.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        // A copied field is read once for each model that is like another. The fields of a ready policy all
        // stand where it is named, and differ by their paths.
        let mut seen = std::collections::HashSet::new();
        faults.retain(|fault| {
            let field = fault.path.split_once(": ").map_or("", |(_, field)| field).to_owned();
            let (file, message) = (fault.file.clone(), fault.message.clone());
            fault.line == 0 || seen.insert((file, fault.line, fault.column, field, message))
        });
        Err(faults)
    }
}

/// The faults that cross-checks find, without those of what could not be read.
fn faults_of(draft: &Draft) -> Vec<Fault> {
    let mut faults = compile::compile(&draft.project, &draft.marks).err().unwrap_or_default();
    faults.retain(|fault| !draft.marks.covers(&fault.path));
    faults
}
