//! Reads what holds a trigger back.

use perennial_policy::{CooldownSpec, GuardSpec, Quota};
use perennial_types::TimeSpan;

use crate::fields::Item;

pub(super) fn guards(item: &Item<'_>) -> GuardSpec {
    let mut fields = item.fields();
    fields.later(&["approval", "data_quality", "deadline"]);
    let cooldown = fields.optional("cooldown").and_then(|item| cooldown(&item)).unwrap_or_default();
    let at_most = fields.optional("at_most").and_then(|item| quota(&item, "5 per week", false));
    let budget_rows = fields.optional("budget").and_then(|item| quota(&item, "20000 rows per week", true));
    fields.finish();
    GuardSpec { cooldown, at_most, budget_rows }
}

fn cooldown(item: &Item<'_>) -> Option<CooldownSpec> {
    if item.as_text().is_some() {
        return item.span_or_zero().map(|span| CooldownSpec { success: span, failure: span });
    }
    if !item.is_map() {
        item.wants("a duration like 12h, or a map like {success: 48h, failure: 24h}");
        return None;
    }
    let mut fields = item.fields();
    let mut rest = |name| fields.optional(name).map_or(Some(TimeSpan::ZERO), |item| item.span_or_zero());
    let (success, failure) = (rest("success"), rest("failure"));
    fields.finish();
    Some(CooldownSpec { success: success?, failure: failure? })
}

/// `5 per week`, `20000 rows per 30d`: a positive amount in a stretch of time.
fn quota(item: &Item<'_>, example: &str, rows: bool) -> Option<Quota> {
    let text = item.text()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let (amount, per) = match (words.as_slice(), rows) {
        ([amount, "rows", "per", per], true) | ([amount, "per", per], false) => (*amount, *per),
        _ => {
            item.refuse(format!("{text:?} is no amount per time"), &format!("write it as {example}"));
            return None;
        }
    };
    let per = match per {
        "hour" => Ok(TimeSpan::from_hours(1)),
        "day" => Ok(TimeSpan::from_days(1)),
        "week" => Ok(TimeSpan::from_days(7)),
        other => TimeSpan::parse(other),
    };
    match (amount.parse(), per) {
        (Ok(amount), Ok(per)) if amount > 0 && per > TimeSpan::ZERO => Some(Quota { amount, per }),
        _ => {
            let help = format!("write it as {example}; after per stands hour, day, week or a duration");
            item.refuse(format!("{text:?} is no amount per time"), &help);
            None
        }
    }
}
