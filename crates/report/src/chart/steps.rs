//! Shares over time, stacked: who answered how much of the traffic.

use perennial_types::{TimeSpan, Timestamp};

use super::canvas::{COLOURS, Canvas, Frame, legend, place};
use super::scale::Scale;
use super::time_axis::TimeAxis;
use crate::spec::{Traffic, TrafficStep};
use crate::write;

/// The size of the drawing without its legend.
const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 190.0;

/// More steps than this are drawn as means over equal slices of the window.
const MOST_STEPS: usize = 200;

/// Of more arms than there are colours the earliest are drawn as one.
const MOST_ARMS: usize = COLOURS;

/// Shares of arms over a window of time.
#[derive(Clone, Copy, Debug)]
pub struct StepsChart<'a> {
    /// What the chart shows.
    pub title: &'a str,
    /// Where the window begins; it ends where the traffic does.
    pub from: Timestamp,
    /// The shares, of which the step before the window gives its first.
    pub traffic: &'a Traffic,
}

/// A chart of shares over time, one above the other. An arm keeps the colour of its first appearance; what no arm
/// has stays empty.
pub fn stacked_steps(chart: &StepsChart<'_>) -> String {
    let axis = TimeAxis::new(chart.from, chart.traffic.until);
    let arms = arms(&chart.traffic.steps);
    let columns = columns(chart, &arms);

    let mut names: Vec<(String, &str)> = Vec::new();
    let earlier = arms.len().saturating_sub(MOST_ARMS);
    let earlier_name = format!("{earlier} earlier");
    if earlier > 0 {
        names.push(("swatch others".to_owned(), &earlier_name));
    }
    for (i, arm) in arms.iter().enumerate().skip(earlier) {
        names.push((format!("swatch c{}", i % COLOURS), arm));
    }
    let (keys, room) = legend(&names, 46.0, 4.0, WIDTH - 54.0);
    let frame = Frame { left: 46.0, top: room + 8.0, width: WIDTH - 70.0, height: HEIGHT - 36.0 };

    let mut canvas = Canvas::new("steps", WIDTH, HEIGHT + room, chart.title);
    canvas.legend(&keys);
    let mut below = vec![0.0; columns.len()];
    for (i, (class, name)) in names.iter().enumerate() {
        let above: Vec<f64> =
            columns.iter().zip(&below).map(|(column, below)| below + column.shares[i]).collect();
        if let Some(d) = band(&frame, &axis, &columns, &below, &above) {
            let last = columns.last().map_or(0.0, |column| column.shares[i]);
            let class = class.replace("swatch", "area");
            canvas.path(&class, &d, &format!("{name}: {} at the end", write::percent(last)));
        }
        below = above;
    }
    canvas.value_grid(&frame, &Scale::around([0.0, 1.0].into_iter(), 2).percent_ticks());
    axis.draw(&mut canvas, &frame);
    canvas.finish()
}

/// The shares of every arm over a stretch of time; where there are more than [`MOST_ARMS`], the earliest are
/// summed in the first.
struct Column {
    from: Timestamp,
    to: Timestamp,
    shares: Vec<f64>,
}

/// The arms that ever have a share, in order of appearance.
fn arms(steps: &[TrafficStep]) -> Vec<&str> {
    let mut arms: Vec<&str> = Vec::new();
    for share in steps.iter().flat_map(|step| &step.shares) {
        if share.share > 0.0 && !arms.contains(&share.arm.as_str()) {
            arms.push(&share.arm);
        }
    }
    arms
}

/// The stretches to draw: the steps within the window, or slices of it where there are too many.
fn columns(chart: &StepsChart<'_>, arms: &[&str]) -> Vec<Column> {
    let Traffic { steps, until } = chart.traffic;
    let mut columns = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        let next = steps.get(i + 1).map_or(*until, |next| next.at);
        let (from, to) = (step.at.max(chart.from), next.min(*until));
        if from < to {
            columns.push(Column { from, to, shares: shares(step, arms) });
        }
    }
    if columns.len() > MOST_STEPS { sliced(&columns) } else { columns }
}

fn shares(step: &TrafficStep, arms: &[&str]) -> Vec<f64> {
    let earlier = arms.len().saturating_sub(MOST_ARMS);
    let first = usize::from(earlier > 0);
    let mut shares = vec![0.0; arms.len() - earlier + first];
    for share in step.shares.iter().filter(|share| share.share.is_finite() && share.share > 0.0) {
        if let Some(i) = arms.iter().position(|arm| *arm == share.arm) {
            shares[(i + first).saturating_sub(earlier)] += share.share.min(1.0);
        }
    }
    shares
}

/// The means of the shares, weighted by time, over [`MOST_STEPS`] equal slices.
fn sliced(columns: &[Column]) -> Vec<Column> {
    let (Some(first), Some(last)) = (columns.first(), columns.last()) else { return Vec::new() };
    let width = (last.to.since(first.from).micros() / MOST_STEPS as i64).max(1);
    let mut slices = Vec::with_capacity(MOST_STEPS);
    let mut start = first.from;
    let mut begin = 0;
    while start < last.to {
        let end = (start + TimeSpan::from_micros(width)).min(last.to);
        let mut shares = vec![0.0; first.shares.len()];
        let mut covered = 0.0;
        for column in columns[begin..].iter().take_while(|column| column.from < end) {
            let time = column.to.min(end).since(column.from.max(start)).micros().max(0) as f64;
            covered += time;
            shares.iter_mut().zip(&column.shares).for_each(|(sum, share)| *sum += share * time);
        }
        if covered > 0.0 {
            shares.iter_mut().for_each(|sum| *sum /= covered);
            slices.push(Column { from: start, to: end, shares });
        }
        while begin + 1 < columns.len() && columns[begin].to <= end {
            begin += 1;
        }
        start = end;
    }
    slices
}

/// The outline of an area between two heights, a closed path for each stretch without a hole; `None` where it is empty.
fn band(frame: &Frame, axis: &TimeAxis, columns: &[Column], below: &[f64], above: &[f64]) -> Option<String> {
    let mut d = String::new();
    let mut i = 0;
    while i < columns.len() {
        if above[i] - below[i] <= 0.0 {
            i += 1;
            continue;
        }
        let mut end = i + 1;
        while end < columns.len() && above[end] - below[end] > 0.0 && columns[end].from == columns[end - 1].to
        {
            end += 1;
        }
        let x = |at| place(frame.x(axis.fraction(at)));
        d.push_str(&format!("M{} {}", x(columns[i].from), place(frame.y(above[i]))));
        for k in i..end {
            d.push_str(&format!("V{}H{}", place(frame.y(above[k])), x(columns[k].to)));
        }
        for k in (i..end).rev() {
            d.push_str(&format!("V{}H{}", place(frame.y(below[k])), x(columns[k].from)));
        }
        d.push('Z');
        i = end;
    }
    (!d.is_empty()).then_some(d)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::ArmShare;

    fn hour(i: i64) -> Timestamp {
        Timestamp::from_micros(0) + TimeSpan::from_hours(i)
    }

    fn step(i: i64, shares: &[(&str, f64)]) -> TrafficStep {
        let shares =
            shares.iter().map(|(arm, share)| ArmShare { arm: (*arm).to_owned(), share: *share }).collect();
        TrafficStep { at: hour(i), shares }
    }

    #[test]
    fn the_step_before_the_window_is_its_first() {
        let traffic =
            Traffic { steps: vec![step(0, &[("a", 1.0)]), step(8, &[("b", 1.0)])], until: hour(10) };
        let chart = StepsChart { title: "t", from: hour(6), traffic: &traffic };
        let columns = columns(&chart, &arms(&traffic.steps));
        assert_eq!(
            columns.iter().map(|c| (c.from, c.to)).collect::<Vec<_>>(),
            [(hour(6), hour(8)), (hour(8), hour(10))]
        );
    }

    #[test]
    fn an_arm_that_returns_keeps_its_colour() {
        let steps = [step(0, &[("a", 1.0)]), step(1, &[("b", 1.0)]), step(2, &[("a", 0.5), ("b", 0.5)])];
        let svg = stacked_steps(&StepsChart {
            title: "t",
            from: hour(0),
            traffic: &Traffic { steps: steps.to_vec(), until: hour(3) },
        });
        assert_eq!(svg.matches("area c0").count(), 1);
        let a = svg.split("area c0\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(a.matches('Z').count(), 2, "{a}");
    }

    proptest! {
        #[test]
        fn slices_keep_the_mean_share(shares in prop::collection::vec(0.0..1.0f64, 1..700), first in 0i64..50) {
            let columns: Vec<Column> = shares.iter().enumerate().map(|(i, share)| {
                let i = i as i64;
                Column { from: hour(first + i * i), to: hour(first + (i + 1) * (i + 1)), shares: vec![*share, 1.0 - share] }
            }).collect();
            let mean = |columns: &[Column]| {
                let time = |c: &Column| c.to.since(c.from).micros() as f64;
                columns.iter().map(|c| c.shares[0] * time(c)).sum::<f64>() / columns.iter().map(time).sum::<f64>()
            };
            let slices = sliced(&columns);
            prop_assert!(slices.len() <= MOST_STEPS + 1);
            prop_assert!((mean(&columns) - mean(&slices)).abs() < 1e-9);
        }
    }
}
