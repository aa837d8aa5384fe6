//! A compiled feature view.

use std::fmt;
use std::sync::Arc;

use perennial_expr::Expr;
use perennial_types::{Column, ContentHash, Schema, SourceSpec, TimeSpan, Value};

use crate::compile::compile;
use crate::inputs::Inputs;
use crate::layout::Layout;
use crate::{FeatureError, ViewSpec};

/// A feature view that is ready to run: its expressions compiled, its tiles laid out.
pub struct View {
    pub(crate) spec: ViewSpec,
    pub(crate) version: ContentHash,
    pub(crate) entity: Vec<Column>,
    /// Where the entity columns stand in a row of the source.
    pub(crate) entity_columns: Vec<usize>,
    pub(crate) inputs: Inputs,
    pub(crate) layout: Layout,
    pub(crate) outputs: Schema,
    /// Over the aggregated values.
    pub(crate) derived: Vec<Expr>,
}

impl View {
    /// Compile a declared view over its source.
    ///
    /// # Errors
    /// The first fault of the declaration; [`View::check`] lists all.
    pub fn compile(spec: ViewSpec, source: &SourceSpec) -> Result<Arc<Self>, FeatureError> {
        compile(spec, source).map(Arc::new).map_err(|mut faults| faults.swap_remove(0))
    }

    /// Every fault of a declared view, in the order of its fields; none means that it compiles.
    pub fn check(spec: &ViewSpec, source: &SourceSpec) -> Vec<FeatureError> {
        compile(spec.clone(), source).err().unwrap_or_default()
    }

    /// The identity of the view: the hash of its definition and of the source's columns that it reads.
    pub fn version(&self) -> ContentHash {
        self.version
    }

    /// The declaration.
    pub fn spec(&self) -> &ViewSpec {
        &self.spec
    }

    /// The features: full names (`slot_demand.rides_avg_7d`) and types, in the order of declaration:
    /// of each aggregate op by op and window by window, then the derived ones. Counts are never NULL.
    pub fn outputs(&self) -> &Schema {
        &self.outputs
    }

    /// Names and types of the columns that form the entity key.
    pub fn entity(&self) -> &[Column] {
        &self.entity
    }

    /// The longest window that has an end: a lifetime is not looked at, and a tumbling window counts twice.
    pub fn horizon(&self) -> TimeSpan {
        TimeSpan::from_micros(self.layout.horizon())
    }

    /// About how many bytes a busy key takes: one with an event in every tile, and a hundred different values in
    /// each that keeps values. A quiet key takes less; with
    /// `tail: exact` one with more events than tiles takes more.
    pub fn bytes_per_key(&self) -> u64 {
        self.layout.bytes_per_key()
    }

    /// How much further than `[t - w, t)` a window of length `window` with `tail: hop` may reach back: to
    /// the multiple of this length since 1970 that is not after `t - w`. At most a sixtieth of the window.
    pub fn hop(window: TimeSpan) -> TimeSpan {
        TimeSpan::from_micros(crate::ladder::tile_size(window.micros()))
    }

    /// Complete aggregated values by the derived ones.
    pub(crate) fn derive(&self, values: &mut Vec<Value>) {
        let aggregated = values.len();
        for expr in &self.derived {
            values.push(expr.evaluate(&values[..aggregated]));
        }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} {})", self.spec.name, self.version.short())
    }
}
