//! What derived sources follow from, filled in once every source is read.

use perennial_features::streams::Derivation;
use perennial_types::{SourceSpec, StreamSpec};

use crate::fault::owner;
use crate::marks::Marks;
use crate::spec::Project;

/// Fill in the inputs of every derived source and what follows from them. The schema of one that cannot follow
/// stays empty and is marked as not known; the checks say why.
pub(crate) fn fill(project: &mut Project, marks: &mut Marks) {
    let mut open: Vec<usize> =
        (0..project.sources.len()).filter(|i| project.sources[*i].derived().is_some()).collect();
    loop {
        let ready: Vec<(usize, SourceSpec)> = open
            .iter()
            .filter_map(|i| Some((*i, with_inputs(&project.sources, &open, &project.sources[*i])?)))
            .collect();
        let mut progress = false;
        for (i, source) in ready {
            match Derivation::complete(&source) {
                Ok(complete) => {
                    project.sources[i] = complete;
                    open.retain(|other| *other != i);
                    progress = true;
                }
                Err(_) => project.sources[i] = source,
            }
        }
        if !progress {
            break;
        }
    }
    for i in open {
        marks.break_at(&format!("{}: schema", owner("Source", &project.sources[i].name)));
    }
}

/// The source with its inputs, if all of them are there and complete.
fn with_inputs(sources: &[SourceSpec], open: &[usize], source: &SourceSpec) -> Option<SourceSpec> {
    let mut source = source.clone();
    let StreamSpec::Derived(derived) = &mut source.stream else { return None };
    if derived.operator.sources().is_empty() {
        // The operator could not be read.
        return None;
    }
    let input = |name: &std::sync::Arc<str>| {
        let i = sources.iter().position(|source| source.name == *name)?;
        (!open.contains(&i)).then(|| sources[i].clone())
    };
    derived.inputs = derived.operator.sources().into_iter().map(input).collect::<Option<_>>()?;
    Some(source)
}

/// The names from a source back to itself, if it follows from itself.
pub(crate) fn circle(project: &Project, source: &SourceSpec) -> Option<Vec<String>> {
    fn search(project: &Project, source: &SourceSpec, path: &mut Vec<String>) -> bool {
        path.push(source.name.to_string());
        if path.len() > 1 && path.first() == path.last() {
            return true;
        }
        let repeated = path[..path.len() - 1].contains(&path[path.len() - 1]);
        let names = source.derived().filter(|_| !repeated).map(|derived| derived.operator.sources());
        for name in names.into_iter().flatten() {
            let input = project.sources.iter().find(|other| other.name == *name);
            if input.is_some_and(|input| search(project, input, path)) {
                return true;
            }
        }
        path.pop();
        false
    }
    let mut path = Vec::new();
    search(project, source, &mut path).then_some(path)
}
