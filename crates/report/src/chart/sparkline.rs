//! A line the size of a word.

use super::canvas::{Canvas, Frame, place};
use super::scale::plottable;

/// A small line through `values` at equal distances, with a dot at the last; gaps interrupt it.
pub fn sparkline(title: &str, values: &[Option<f64>]) -> String {
    let frame = Frame { left: 3.0, top: 4.0, width: 90.0, height: 16.0 };
    let known = || values.iter().flatten().copied().filter_map(plottable);
    let lo = known().fold(f64::INFINITY, f64::min);
    let hi = known().fold(f64::NEG_INFINITY, f64::max);
    let mut canvas = Canvas::new("spark", 96.0, 24.0, title);
    let mut d = String::new();
    let mut last = None;
    let mut drawing = false;
    for (i, value) in values.iter().enumerate() {
        let Some(value) = value.and_then(plottable) else {
            drawing = false;
            continue;
        };
        let height = if hi > lo { ((value - lo) / (hi - lo)).clamp(0.0, 1.0) } else { 0.5 };
        let (x, y) = (frame.x(i as f64 / (values.len() - 1).max(1) as f64), frame.y(height));
        d.push_str(&format!("{}{} {}", if drawing { "L" } else { "M" }, place(x), place(y)));
        drawing = true;
        last = Some((x, y));
    }
    if let Some((x, y)) = last {
        canvas.path("stroke c0", &d, "");
        canvas.dot("c0", x, y, title);
    }
    canvas.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_of_nothing_is_empty_and_of_a_constant_is_level() {
        assert!(!sparkline("mae", &[None, Some(f64::NAN)]).contains("<path"));
        assert!(sparkline("mae", &[Some(2.0), Some(2.0)]).contains("d=\"M3 12L93 12\""));
    }
}
