//! Sources that follow from others: from an event of the log to the events that follow from it.
//!
//! A [`Derivation`] is a source with everything that it follows from, down to the sources whose events stand in the
//! log; a [`Flow`] is its state, as plain data with one writer. Events go in one by one in the order of the log, and
//! what follows from each comes out in a fixed order, at the position and the time of becoming known of its cause:
//! a function of the log, live, in backfill and in replay.
//!
//! - `union`: the rows of several sources, each by columns of its own.
//! - `join`: a row for each pair of rows with equal keys whose event times are within a bound, when both are there;
//!   it happens when the later one did. Either may come first. A row waits until no partner is expected any more:
//!   until the newest event of the other source is later than the bound by that source's `lateness`, at least by the
//!   length of the bound again; no longer than its source's `retention`; and of one key at most
//!   [`MOST_WAITING`] rows, of which the earliest gives way.
//! - `enrich`: the rows of one source with the last row of another by a key, as the log has it before the row: the
//!   one with the latest event time, of equal ones the one that came last. One row is kept for each key.
//! - `dedupe`: rows without those that repeat an earlier one within a time. What was seen is forgotten when the
//!   source's newest event is later by that time and the `lateness`.
//!
//! ```yaml
//! kind: Source
//! name: delivered                      # a row for each order with its delivery, whichever came first
//! stream: {join: {left: orders, right: deliveries, on: {id: order_id}, within: 7d, before: 1h}}
//! event_time: done                     # a new column: when the later of the two happened
//! ---
//! kind: Source
//! name: products                       # a table from a file: perennial import products products.parquet
//! schema: {sku: string, price: double, embedding: list<double>}
//! event_time: arrival
//! ---
//! kind: Source
//! name: viewed                         # clicks with what is known of their product
//! stream: {enrich: {of: clicks, by: products, on: {item: sku}, columns: {price: products.price}}}
//! ---
//! kind: Source
//! name: money                          # several sources to one view; or `union: [a, b]` for all columns by name
//! stream: {union: {orders: {user: customer, amount: amount}, refunds: {user: customer, amount: "-amount"}}}
//! event_time: at                       # the column that takes the time of each row
//! dedupe: {by: [user, at], within: 24h}
//! ```
//! A join and an enrichment keep the columns of the source that they name first, and add the others but for the keys
//! (one whose name is taken gets its source's name before it), or what `columns` lists.

mod compile;
mod dedupe;
mod enrich;
mod flow;
mod join;
mod node;
mod projection;
mod saved;

pub use compile::Derivation;
pub use flow::{DerivedEvent, Flow};
pub use join::MOST_WAITING;
