//! From texts to a project that has passed every check.

use crate::compile;
use crate::fault::Fault;
use crate::read;
use crate::spec::Project;

impl Project {
    /// Read and check the declarations in `files`: pairs of a name, for messages, and YAML text.
    ///
    /// # Errors
    /// All faults, in the order of files and lines.
    pub fn parse(files: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        let draft = read::draft(files);
        let mut faults = draft.faults;
        if draft.complete
            && let Err(found) = compile::compile(&draft.project, &draft.unreadable)
        {
            faults.extend(found.into_iter().map(|fault| draft.places.locate(fault)));
        }
        if faults.is_empty() {
            return Ok(draft.project);
        }
        faults.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        // A copied field is read once for each model that is like another.
        let mut seen = std::collections::HashSet::new();
        faults.retain(|fault| {
            fault.line == 0
                || seen.insert((fault.file.clone(), fault.line, fault.column, fault.message.clone()))
        });
        Err(faults)
    }
}
