//! Parity: what two versions of a view say of the same entities at the same instants, feature by feature.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_types::{TimeSpan, Timestamp, Value};

use crate::key::EntityKey;
use crate::view::View;

/// Doubles that are no further apart than this (as [`symmetric_error`]) are equal: two versions may add the same
/// numbers in another order.
pub const TOLERANCE: f64 = 1e-9;
/// Examples that are kept of each feature.
const EXAMPLES: usize = 3;

/// What was found while two versions were read side by side.
#[derive(Clone, Debug)]
pub struct Parity {
    old: Arc<View>,
    new: Arc<View>,
    /// For each feature that both have, where it stands in the old outputs and in the new.
    places: Vec<(usize, usize)>,
    /// Reads compared.
    reads: u64,
    features: Vec<FeatureParity>,
}

/// When a new version may take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// After so many reads were compared,
    pub reads: u64,
    /// or after it could be read for so long, however many they were.
    pub at_most: TimeSpan,
}

impl Default for Terms {
    /// A thousand reads, at most ten minutes.
    fn default() -> Self {
        Self { reads: 1_000, at_most: TimeSpan::from_secs(600) }
    }
}

/// What follows from a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Too little was compared yet.
    Wait,
    /// The new version takes over, for this reason.
    Serve(String),
    /// The old version goes on: a feature that both define in the same way differs.
    Hold(String),
}

/// What was found of one feature that both versions have.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureParity {
    /// Its full name.
    pub feature: Arc<str>,
    /// Whether both versions define it in the same way, so that its values must be equal.
    pub same_definition: bool,
    /// Reads whose values differ.
    pub differing: u64,
    /// The largest [`symmetric_error`] of two numbers, from 0 to 2; 2 where a value is on one side only, and for
    /// values that are no numbers.
    pub max_error: f64,
    /// The first few that differ.
    pub examples: Vec<ParityExample>,
}

/// A read whose two values differ.
#[derive(Clone, Debug, PartialEq)]
pub struct ParityExample {
    /// The entity, with the names of its columns.
    pub entity: String,
    /// As of when it was read.
    pub at: Timestamp,
    /// The value by the old version.
    pub old: Value,
    /// The value by the new version.
    pub new: Value,
}

impl Parity {
    /// Of a version that is replaced and the one that replaces it; nothing was compared yet.
    pub fn new(old: Arc<View>, new: Arc<View>) -> Self {
        let mut places = Vec::new();
        let mut features = Vec::new();
        for (place, column) in old.outputs().columns().iter().enumerate() {
            let Some(other) = new.outputs().index_of(&column.name) else { continue };
            places.push((place, other));
            features.push(FeatureParity {
                feature: Arc::clone(&column.name),
                same_definition: same_definition(&old, &new, &column.name),
                differing: 0,
                max_error: 0.0,
                examples: Vec::new(),
            });
        }
        Self { old, new, places, reads: 0, features }
    }

    /// Take in what both said of one entity at one instant.
    pub fn compare(&mut self, key: &EntityKey, at: Timestamp, old: &[Value], new: &[Value]) {
        self.reads += 1;
        for ((place, other), found) in self.places.iter().zip(&mut self.features) {
            let (Some(old), Some(new)) = (old.get(*place), new.get(*other)) else { continue };
            let error = symmetric_error(old, new);
            if error <= TOLERANCE {
                continue;
            }
            found.differing += 1;
            found.max_error = found.max_error.max(error);
            if found.examples.len() < EXAMPLES {
                let (old, new) = (old.clone(), new.clone());
                let entity = key.with_names(self.old.entity());
                found.examples.push(ParityExample { entity, at, old, new });
            }
        }
    }

    /// The version that is replaced.
    pub fn old(&self) -> &Arc<View> {
        &self.old
    }

    /// The version that replaces it.
    pub fn new_version(&self) -> &Arc<View> {
        &self.new
    }

    /// Whether one entity can be read of both: their entities have the same columns.
    pub fn comparable(&self) -> bool {
        self.old.entity() == self.new.entity()
    }

    /// Reads compared.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// What was found of each feature that both have, in the order of the old outputs.
    pub fn features(&self) -> &[FeatureParity] {
        &self.features
    }

    /// Whether the new version, which can be read since `waited`, takes over.
    pub fn verdict(&self, waited: TimeSpan, terms: Terms) -> Verdict {
        if let Some(broken) = self.broken().next() {
            let (feature, differing, reads) = (&broken.feature, broken.differing, self.reads);
            return Verdict::Hold(format!(
                "{feature} is defined as before and differs in {differing} of {reads} reads, by {:.3e} at most",
                broken.max_error
            ));
        }
        if !self.comparable() {
            return Verdict::Serve(
                "the two are of different entities, so that no read can be compared".to_owned(),
            );
        }
        if self.reads < terms.reads && waited < terms.at_most {
            return Verdict::Wait;
        }
        let changed = self.features.iter().filter(|found| found.differing > 0).count();
        Verdict::Serve(format!(
            "{} reads were compared: {} features are equal, {changed} whose definitions changed differ",
            self.reads,
            self.features.len() - changed,
        ))
    }

    /// The features that differ although both versions define them in the same way.
    pub fn broken(&self) -> impl Iterator<Item = &FeatureParity> {
        self.features.iter().filter(|found| found.same_definition && found.differing > 0)
    }
}

/// How far two values are apart: `|a - b| / ((|a| + |b|) / 2)`, from 0 to 2, of numbers; of lists and maps the largest
/// of their values; 2 for anything else that is not equal.
pub fn symmetric_error(a: &Value, b: &Value) -> f64 {
    match (a, b) {
        (Value::List(a), Value::List(b)) if a.len() == b.len() => {
            a.iter().zip(b.iter()).map(|(a, b)| symmetric_error(a, b)).fold(0.0, f64::max)
        }
        (Value::Map(a), Value::Map(b)) => {
            let a: BTreeMap<_, _> = a.iter().map(|(name, value)| (name, value)).collect();
            let b: BTreeMap<_, _> = b.iter().map(|(name, value)| (name, value)).collect();
            let same = a.keys().eq(b.keys());
            let errors = a.values().zip(b.values()).map(|(a, b)| symmetric_error(a, b));
            if same { errors.fold(0.0, f64::max) } else { 2.0 }
        }
        _ if a == b => 0.0,
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) if a == b => 0.0,
            (Some(a), Some(b)) => {
                let error = (a - b).abs() / ((a.abs() + b.abs()) / 2.0);
                if error.is_nan() { 2.0 } else { error }
            }
            _ => 2.0,
        },
    }
}

/// Whether both versions compute a feature of this name from the same events by the same expressions.
fn same_definition(old: &View, new: &View, name: &str) -> bool {
    let (a, b) = (old.spec(), new.spec());
    let surroundings = a.from == b.from && a.entity == b.entity && a.columns == b.columns;
    let aggregate = |view: &View| {
        let spec = view.spec();
        let stem = name.strip_prefix(&*spec.name).and_then(|rest| rest.strip_prefix('.'))?;
        let named = |stem: &str, aggregate: &str| {
            stem.strip_prefix(aggregate).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        let found = spec.aggregates.iter().filter(|aggregate| named(stem, &aggregate.name));
        found.max_by_key(|aggregate| aggregate.name.len()).cloned()
    };
    let derived = |view: &View| {
        let (spec, stem) = (view.spec(), name.rsplit_once('.').map_or(name, |(_, stem)| stem));
        spec.derived.iter().find(|derived| *derived.name == *stem).cloned()
    };
    if !surroundings {
        return false;
    }
    match (derived(old), derived(new)) {
        // What it is derived from may be any of the aggregates.
        (Some(old_expr), Some(new_expr)) => old_expr == new_expr && a.aggregates == b.aggregates,
        (None, None) => match (aggregate(old), aggregate(new)) {
            (Some(old), Some(mut new)) => {
                // Other windows and operations are other features.
                new.windows.clone_from(&old.windows);
                new.ops.clone_from(&old.ops);
                old == new
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::{Schema, SourceSpec};

    use super::*;
    use crate::{AggregateSpec, NamedExpr, Op, Tail, ViewSpec};

    fn view(expr: &str, windows: &[i64], derived: &str) -> Arc<View> {
        let source = SourceSpec {
            schema: Schema::parse(&[("at", "timestamp"), ("zone", "string"), ("fare", "double")]).unwrap(),
            event_time: "at".into(),
            ..source()
        };
        let aggregate = |name: &str, of: &str| AggregateSpec {
            name: name.into(),
            ops: vec![Op::Avg],
            op_in_name: true,
            of: Some(of.into()),
            with: None,
            filter: None,
            by: None,
            edges: vec![],
            windows: windows.iter().map(|days| TimeSpan::from_days(*days).into()).collect(),
            tail: Tail::Hop,
        };
        let spec = ViewSpec {
            name: "zone".into(),
            entity: vec!["zone".into()],
            from: "rides".into(),
            columns: vec![],
            aggregates: vec![aggregate("fare", "fare"), aggregate("cost", expr)],
            derived: vec![NamedExpr { name: "trend".into(), expr: derived.into() }],
        };
        View::compile(spec, &source).unwrap()
    }

    fn source() -> SourceSpec {
        SourceSpec::new("rides", Schema::default(), "")
    }

    fn compared(reads: u64, fare: f64) -> Parity {
        let old = view("fare", &[1], "fare_avg_1d");
        let new = view("fare * 2", &[1, 7], "fare_avg_1d");
        let names: Vec<&str> = new.outputs().names().collect();
        assert_eq!(
            names,
            ["zone.fare_avg_1d", "zone.fare_avg_7d", "zone.cost_avg_1d", "zone.cost_avg_7d", "zone.trend"]
        );
        let mut parity = Parity::new(old, new);
        let (key, at) = (EntityKey::from_values(&[Value::String("a".into())]), Timestamp::default());
        let row = |values: &[f64]| values.iter().map(|value| Value::Double(*value)).collect::<Vec<_>>();
        for _ in 0..reads {
            parity.compare(&key, at, &row(&[1.0, 1.0, 1.0]), &row(&[fare, 3.0, 2.0, 9.0, 1.0]));
        }
        parity
    }

    #[test]
    fn only_what_is_computed_as_before_must_be_equal() {
        let parity = compared(5, 1.0 + 1e-12);
        let same: Vec<(&str, bool, u64)> = parity
            .features()
            .iter()
            .map(|found| (&*found.feature, found.same_definition, found.differing))
            .collect();
        // A derived feature may read any aggregate, one of which is another.
        let expected =
            [("zone.fare_avg_1d", true, 0), ("zone.cost_avg_1d", false, 5), ("zone.trend", false, 0)];
        assert_eq!(same, expected);
        let cost = &parity.features()[1];
        assert_eq!(
            (cost.max_error, cost.examples.len(), &*cost.examples[0].entity),
            (1.0 / 1.5, 3, "zone=a")
        );
    }

    #[test]
    fn the_new_version_takes_over_after_reads_or_time_and_not_when_an_unchanged_feature_differs() {
        let terms = Terms { reads: 5, at_most: TimeSpan::from_secs(60) };
        let second = TimeSpan::from_secs(1);
        assert_eq!(compared(4, 1.0).verdict(second, terms), Verdict::Wait);
        let Verdict::Serve(reason) = compared(5, 1.0).verdict(second, terms) else { panic!("enough reads") };
        assert_eq!(reason, "5 reads were compared: 2 features are equal, 1 whose definitions changed differ");
        assert!(matches!(compared(0, 1.0).verdict(TimeSpan::from_secs(60), terms), Verdict::Serve(_)));
        let Verdict::Hold(reason) = compared(1, 1.5).verdict(second, terms) else { panic!("it is wrong") };
        assert_eq!(
            reason,
            "zone.fare_avg_1d is defined as before and differs in 1 of 1 reads, by 4.000e-1 at most"
        );
    }

    #[test]
    fn errors_are_symmetric_and_bounded() {
        let double = Value::Double;
        for (a, b, error) in [
            (double(1.0), double(1.0), 0.0),
            (double(0.0), double(-0.0), 0.0),
            (double(1.0), double(3.0), 1.0),
            (double(0.0), double(5.0), 2.0),
            (double(1.0), Value::Null, 2.0),
            (Value::Null, Value::Null, 0.0),
            (Value::String("a".into()), Value::String("b".into()), 2.0),
            (
                Value::List([double(1.0), double(3.0)].into()),
                Value::List([double(1.0), double(1.0)].into()),
                1.0,
            ),
        ] {
            assert_eq!((symmetric_error(&a, &b), symmetric_error(&b, &a)), (error, error), "{a} {b}");
        }
    }
}
