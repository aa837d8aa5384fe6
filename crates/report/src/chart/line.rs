//! Values over time.

use perennial_types::Timestamp;

use super::canvas::{Anchor, COLOURS, Canvas, Frame, legend, place};
use super::scale::{Scale, plottable};
use super::time_axis::TimeAxis;
use crate::spec::MetricPoint;
use crate::write;

/// The size of the drawing.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 190.0;

/// A line with more points is drawn through the extremes of so many slices of the window.
const SLICES: usize = 240;

/// A line with at most so many points has a dot for each.
const MOST_DOTS: usize = 60;

/// One line of a chart.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// What it shows, for the legend.
    pub name: &'a str,
    /// Its values, oldest first; where there is none the line is interrupted.
    pub points: &'a [MetricPoint],
}

/// Values over a window of time.
#[derive(Clone, Copy, Debug)]
pub struct LineChart<'a> {
    /// What the chart shows.
    pub title: &'a str,
    /// The unit of the values.
    pub unit: Option<&'a str>,
    /// Where the window begins; points outside it are not drawn.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
    /// A value to compare with, drawn across the window.
    pub baseline: Option<f64>,
    /// The lines.
    pub lines: &'a [Line<'a>],
}

/// A chart of lines over time.
pub fn line(chart: &LineChart<'_>) -> String {
    let axis = TimeAxis::new(chart.from, chart.to);
    let lines: Vec<Vec<Mark>> = chart.lines.iter().map(|line| marks(line.points, &axis)).collect();
    let values = lines.iter().flatten().filter_map(|mark| mark.value);
    let scale = Scale::around(values.chain(chart.baseline), 4);

    let mut items: Vec<(String, &str)> = Vec::new();
    if chart.lines.len() > 1 {
        items.extend(
            chart.lines.iter().enumerate().map(|(i, line)| (format!("swatch c{}", i % COLOURS), line.name)),
        );
    }
    let baseline = chart.baseline.and_then(plottable);
    let baseline_name = baseline.map(|value| format!("baseline {}", write::number(value)));
    items.extend(baseline_name.as_deref().map(|name| ("swatch baseline".to_owned(), name)));
    // The unit stands beside the first row of the legend.
    let (keys, room) = legend(&items, 46.0, 4.0, WIDTH - 150.0);
    let frame = Frame { left: 46.0, top: room + 14.0, width: WIDTH - 62.0, height: HEIGHT - 46.0 };

    let mut canvas = Canvas::new("line", WIDTH, HEIGHT + room, &titled(chart.title, chart.unit));
    canvas.legend(&keys);
    canvas.value_grid(&frame, &scale.ticks());
    if let Some(unit) = chart.unit {
        let y = if room > 0.0 { 13.0 } else { 10.0 };
        canvas.text(WIDTH - 16.0, y, Anchor::End, unit, 16);
    }
    axis.draw(&mut canvas, &frame);
    if let Some(value) = baseline {
        let y = frame.y(scale.fraction(value));
        canvas.line("baseline", (frame.left, y), (frame.right(), y));
    }
    for (i, line) in lines.iter().enumerate() {
        draw(&mut canvas, &frame, &scale, line, i % COLOURS);
    }
    if lines.iter().flatten().all(|mark| mark.value.is_none()) {
        let middle = (frame.left + frame.width / 2.0, frame.top + frame.height / 2.0);
        canvas.text(middle.0, middle.1, Anchor::Middle, "no values in this window", 40);
    }
    canvas.finish()
}

/// A value at its place in the window.
struct Mark {
    fraction: f64,
    value: Option<f64>,
    title: String,
}

fn titled(title: &str, unit: Option<&str>) -> String {
    unit.map_or_else(|| title.to_owned(), |unit| format!("{title} ({unit})"))
}

/// What is drawn of a line: every point, or the first, least, largest and last of each slice of the window.
fn marks(points: &[MetricPoint], axis: &TimeAxis) -> Vec<Mark> {
    let mark = |point: &MetricPoint| {
        let value = point.value.and_then(plottable);
        let title = format!(
            "{}: {} ({})",
            write::instant(point.at),
            write::number_or_dash(value),
            write::counted(point.rows, "row", "rows")
        );
        Mark { fraction: axis.fraction(point.at), value, title }
    };
    let inside: Vec<&MetricPoint> = points.iter().filter(|point| axis.contains(point.at)).collect();
    if inside.len() <= 2 * SLICES {
        return inside.into_iter().map(mark).collect();
    }
    let slice = |point: &MetricPoint| (axis.fraction(point.at) * SLICES as f64) as usize;
    let mut kept = Vec::new();
    for points in inside.chunk_by(|a, b| slice(a) == slice(b)) {
        let value = |i: &usize| points[*i].value.and_then(plottable);
        let known: Vec<usize> = (0..points.len()).filter(|i| value(i).is_some()).collect();
        let least =
            known.iter().min_by(|a, b| value(a).partial_cmp(&value(b)).unwrap_or(std::cmp::Ordering::Equal));
        let most =
            known.iter().max_by(|a, b| value(a).partial_cmp(&value(b)).unwrap_or(std::cmp::Ordering::Equal));
        let mut chosen: Vec<usize> =
            [0, points.len() - 1].into_iter().chain(least.copied()).chain(most.copied()).collect();
        chosen.sort_unstable();
        chosen.dedup();
        kept.extend(chosen.into_iter().map(|i| mark(points[i])));
    }
    kept
}

fn draw(canvas: &mut Canvas, frame: &Frame, scale: &Scale, line: &[Mark], colour: usize) {
    let mut d = String::new();
    let mut dots = Vec::new();
    let mut drawing = false;
    let known = line.iter().filter(|mark| mark.value.is_some()).count();
    for (i, mark) in line.iter().enumerate() {
        let Some(value) = mark.value else {
            drawing = false;
            continue;
        };
        let (x, y) = (frame.x(mark.fraction), frame.y(scale.fraction(value)));
        d.push_str(if drawing { "L" } else { "M" });
        d.push_str(&format!("{} {}", place(x), place(y)));
        // A point between two gaps has no line, so that it needs a dot to be seen.
        let alone = !drawing && line.get(i + 1).is_none_or(|next| next.value.is_none());
        if known <= MOST_DOTS || alone {
            dots.push((x, y, &mark.title));
        }
        drawing = true;
    }
    if !d.is_empty() {
        canvas.path(&format!("stroke c{colour}"), &d, "");
    }
    for (x, y, title) in dots {
        canvas.dot(&format!("c{colour}"), x, y, title);
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::TimeSpan;

    use super::*;

    fn series(values: impl IntoIterator<Item = Option<f64>>) -> Vec<MetricPoint> {
        let hour = |i: usize| Timestamp::from_micros(0) + TimeSpan::from_hours(i as i64);
        values.into_iter().enumerate().map(|(i, value)| MetricPoint { at: hour(i), value, rows: 1 }).collect()
    }

    #[test]
    fn a_long_line_keeps_its_extremes() {
        let points = series((0..20_000).map(|i| Some(if i == 7_777 { 500.0 } else { f64::from(i % 10) })));
        let axis = TimeAxis::new(points[0].at, points[19_999].at);
        let kept = marks(&points, &axis);
        assert!(kept.len() <= 4 * (SLICES + 1));
        assert_eq!(kept.iter().filter(|mark| mark.value == Some(500.0)).count(), 1);
        assert!(kept.windows(2).all(|pair| pair[0].fraction <= pair[1].fraction));
    }

    #[test]
    fn a_gap_interrupts_the_line_and_a_lone_point_is_a_dot() {
        let points = series([Some(1.0), Some(2.0), None, Some(f64::NAN), Some(3.0), None]);
        let chart = LineChart {
            title: "mae",
            unit: None,
            from: points[0].at,
            to: points[5].at,
            baseline: None,
            lines: &[Line { name: "a", points: &points }],
        };
        let svg = line(&chart);
        let d = svg.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((d.matches('M').count(), d.matches('L').count()), (2, 1), "{d}");
        assert_eq!(svg.matches("<circle").count(), 3);
    }

    #[test]
    fn a_window_without_values_says_so() {
        let from = Timestamp::from_micros(0);
        let chart = LineChart { title: "mae", unit: None, from, to: from, baseline: None, lines: &[] };
        assert!(line(&chart).contains("no values in this window"));
    }
}
