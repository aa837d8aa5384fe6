//! Reads an aggregate of a FeatureView: its ops and its windows.

use perennial_features::{AggregateSpec, Op, Parameter, Rank, Tail, WindowSpec};
use perennial_types::{TimeSpan, did_you_mean, nearest};

use super::view::expression;
use crate::fields::Item;

/// Windows in place of one that could not be read.
const GUESSED_WINDOWS: [TimeSpan; 3] = [
    TimeSpan::from_micros(120_000_000),
    TimeSpan::from_micros(180_000_000),
    TimeSpan::from_micros(300_000_000),
];

pub(super) fn read(item: &Item<'_>) -> AggregateSpec {
    let mut fields = item.fields();
    let name = fields.required("name").and_then(|item| item.identifier());
    let op = fields.required("op");
    let of = fields.optional("of").map(|item| expression(&item));
    let with = fields.optional("with").map(|item| expression(&item));
    let filter = fields.optional("where").map(|item| item.text().unwrap_or_else(|| "TRUE".into()));
    let by = fields.optional("by").map(|item| expression(&item));
    let edges = fields.optional("edges").map(|item| item.list()).unwrap_or_default();
    let edges = edges.iter().filter_map(Item::number).collect();
    let windows = fields.required("windows").map(|item| item.list()).unwrap_or_default();
    let windows = windows.iter().map(|item| window(item).unwrap_or_else(|| guessed_window(item))).collect();
    let tails = [("hop", Tail::Hop), ("exact", Tail::Exact)];
    let tail = fields.optional("tail").map_or(Some(Tail::Hop), |item| item.one_of(&tails, &[]));
    fields.finish();
    let op_in_name = op.as_ref().is_some_and(Item::is_list);
    let items = op.map(|op| if op_in_name { op.list() } else { vec![op] }).unwrap_or_default();
    let mut ops: Vec<Op> = items.iter().filter_map(operation).collect();
    if ops.is_empty() && !items.is_empty() {
        // What it is of may go with one op and not with another.
        ops.push(item.guess(&[Op::Count, Op::Last]));
    }
    let name = name.unwrap_or_default();
    let tail = tail.unwrap_or(Tail::Hop);
    AggregateSpec { name, ops, op_in_name, of, with, filter, by, edges, windows, tail }
}

/// An op: its word, or its word with a parameter: `avg`, `{quantile: 0.95}`.
fn operation(item: &Item<'_>) -> Option<Op> {
    if item.is_map() {
        return parametrised(item);
    }
    let word = item.text()?;
    if let Some(op) = Op::PLAIN.into_iter().find(|op| op.word() == &*word) {
        return Some(op);
    }
    match Op::PARAMETRISED.iter().find(|(known, _)| *known == &*word) {
        Some((_, parameter)) => {
            let example = match parameter {
                Parameter::Count(_) => "5",
                Parameter::Rank(_) => "0.95",
                Parameter::Span(_) => "1h",
            };
            let help = format!("write it as {{{word}: {example}}}");
            item.refuse(format!("{word} needs a parameter"), &help);
        }
        None => {
            let mut words: Vec<&str> = Op::PLAIN.map(Op::word).into();
            let others = Op::PARAMETRISED.map(|(word, _)| word);
            words.extend(others.iter().filter(|word| !Op::PLAIN.iter().any(|op| op.word() == **word)));
            let help = did_you_mean(&word, words);
            item.refuse(format!("unknown value {word:?}"), &help);
        }
    }
    None
}

fn parametrised(item: &Item<'_>) -> Option<Op> {
    let mut fields = item.fields();
    let mut found = Vec::new();
    for (word, parameter) in Op::PARAMETRISED {
        if let Some(item) = fields.optional(word) {
            found.push((item, parameter));
        }
    }
    fields.finish();
    match found.as_slice() {
        [(item, Parameter::Count(make))] => {
            let count = item.whole(1)?;
            let most = Op::MOST_VALUES;
            let small = u16::try_from(count).ok().filter(|count| *count <= most);
            if small.is_none() {
                item.refuse(format!("{count} values are too many; at most {most}"), "");
            }
            small.map(make)
        }
        [(item, Parameter::Rank(make))] => {
            let share = item.number_in(0.0, 1.0)?;
            let rank = Rank::new(share);
            if rank.is_none() {
                item.refuse(format!("{share} has more than four decimals"), "round it");
            }
            rank.map(make)
        }
        [(item, Parameter::Span(make))] => item.span().map(make),
        [] => None,
        _ => {
            item.refuse("one operation is wanted here", "write each as an item of the list");
            None
        }
    }
}

/// A window: `7d`, `lifetime`, `{tumbling: 1h}`, `{session: 30m}`, `{last: 100}`.
fn window(item: &Item<'_>) -> Option<WindowSpec> {
    if !item.is_map() {
        return match item.as_text() {
            Some("lifetime") => Some(WindowSpec::Lifetime),
            Some(word @ ("tumbling" | "session" | "last")) => {
                let example = if word == "last" { "100" } else { "1h" };
                let help = format!("write it as {{{word}: {example}}}");
                item.refuse(format!("a {word} window needs a parameter"), &help);
                None
            }
            Some(text) if nearest(text, ["lifetime"]).is_some() => {
                item.refuse(format!("unknown window {text:?}"), &did_you_mean(text, ["lifetime"]));
                None
            }
            Some(_) | None => item.span().map(WindowSpec::Sliding),
        };
    }
    let mut fields = item.fields();
    let found = [fields.optional("tumbling"), fields.optional("session"), fields.optional("last")];
    fields.finish();
    match found {
        [Some(item), None, None] => item.span().map(WindowSpec::Tumbling),
        [None, Some(item), None] => item.span().map(WindowSpec::Session),
        [None, None, Some(item)] => {
            let count = item.whole(1)?;
            let most = WindowSpec::MOST_EVENTS;
            let small = u16::try_from(count).ok().filter(|count| *count <= most);
            if small.is_none() {
                item.refuse(format!("{count} events are too many; at most {most}"), "");
            }
            small.map(WindowSpec::Last)
        }
        [None, None, None] => None,
        _ => {
            item.refuse("one window is wanted here", "write each as an item of the list");
            None
        }
    }
}

fn guessed_window(item: &Item<'_>) -> WindowSpec {
    item.guess(&GUESSED_WINDOWS).into()
}
