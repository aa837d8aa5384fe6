//! The sources and views that are measured.

use std::sync::Arc;

use anyhow::Result;
use perennial_features::{AggregateSpec, Op, Tail, View, ViewSpec};
use perennial_types::{Schema, SourceSpec, TimeSpan};

/// The name of the only source.
pub(crate) const SOURCE: &str = "payments";

/// The ops of the comparison with other systems.
pub(crate) const SIX: [Op; 6] = [Op::Count, Op::Sum, Op::Avg, Op::Min, Op::Max, Op::StddevPop];

/// The ops of state updates and of reads.
pub(crate) const FIVE: [Op; 5] = [Op::Count, Op::Sum, Op::Min, Op::Max, Op::Avg];

/// Four windows up to seven days.
pub(crate) const WEEK: [&str; 4] = ["10m", "1h", "24h", "7d"];

/// Six windows up to ninety days.
pub(crate) const QUARTER: [&str; 6] = ["10m", "1h", "24h", "7d", "30d", "90d"];

/// The window of the approximate number of different merchants.
pub(crate) const DISTINCT_WINDOW: &str = "24h";

/// A view of `ops` over `windows` of the amount of each user's payments.
pub(crate) fn view(ops: &[Op], windows: &[&str], tail: Tail) -> Result<Arc<View>> {
    compile(&[("user_id", "int64"), ("amount", "double")], vec![amount(ops, windows, tail)?])
}

/// The view of the comparison with other systems, with merchants or without.
pub(crate) fn comparison(tail: Tail, merchants: bool) -> Result<Arc<View>> {
    let mut aggregates = vec![amount(&SIX, &WEEK, tail)?];
    if merchants {
        aggregates.push(aggregate(
            "merchant",
            "merchant_id",
            &[Op::ApproxDistinct],
            &[DISTINCT_WINDOW],
            tail,
        )?);
    }
    let columns = [("user_id", "int64"), ("amount", "double"), ("merchant_id", "int64")];
    compile(&columns, aggregates)
}

fn amount(ops: &[Op], windows: &[&str], tail: Tail) -> Result<AggregateSpec> {
    aggregate("amount", "amount", ops, windows, tail)
}

fn aggregate(name: &str, of: &str, ops: &[Op], windows: &[&str], tail: Tail) -> Result<AggregateSpec> {
    let windows = windows.iter().map(|window| TimeSpan::parse(window).map(Into::into));
    Ok(AggregateSpec {
        name: name.into(),
        ops: ops.to_vec(),
        op_in_name: true,
        of: Some(of.into()),
        with: None,
        filter: None,
        by: None,
        edges: vec![],
        windows: windows.collect::<Result<_, _>>()?,
        tail,
    })
}

fn compile(columns: &[(&str, &str)], aggregates: Vec<AggregateSpec>) -> Result<Arc<View>> {
    let source = SourceSpec::new(SOURCE, Schema::parse(columns)?, "ts");
    let spec = ViewSpec {
        name: "user".into(),
        entity: vec!["user_id".into()],
        from: SOURCE.into(),
        columns: vec![],
        aggregates,
        derived: vec![],
    };
    Ok(View::compile(spec, &source)?)
}
