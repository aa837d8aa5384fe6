//! The drawing surface: an SVG that is written in order, and the box that data is drawn in.

use std::fmt::Write;

use crate::page::escape;

/// How wide a character of the charts' text is, at most, on average.
const CHARACTER_WIDTH: f64 = 6.4;

/// The room of the longest name in a legend, in characters.
const LONGEST_NAME: usize = 28;

/// The height of a row of the legend.
const LEGEND_ROW: f64 = 18.0;

/// How many colours there are for series; the ninth is that of the first.
pub(crate) const COLOURS: usize = 8;

/// An SVG in the making.
pub(crate) struct Canvas {
    out: String,
}

/// Where in the SVG the data is drawn.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// On which side of its point a text stands.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A place in a legend: the class of its swatch, its name and where it stands.
pub(crate) struct Key {
    class: String,
    name: String,
    x: f64,
    y: f64,
}

impl Frame {
    /// The position of `fraction` of the width, which is clamped to [0, 1].
    pub(crate) fn x(&self, fraction: f64) -> f64 {
        self.left + self.width * fraction.clamp(0.0, 1.0)
    }

    /// The position of `fraction` of the height from the bottom, which is clamped to [0, 1].
    pub(crate) fn y(&self, fraction: f64) -> f64 {
        self.top + self.height * (1.0 - fraction.clamp(0.0, 1.0))
    }

    pub(crate) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

impl Canvas {
    /// An empty drawing of `width` by `height` with a title for those who cannot see it.
    pub(crate) fn new(class: &str, width: f64, height: f64, title: &str) -> Self {
        let out = format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{}</title>\n",
            escape(title)
        );
        Self { out }
    }

    /// Text at a point; what is longer than `longest` characters is shortened.
    pub(crate) fn text(&mut self, x: f64, y: f64, anchor: Anchor, text: &str, longest: usize) {
        let class = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " class=\"mid\"",
            Anchor::End => " class=\"end\"",
        };
        let text = escape(&shortened(text, longest));
        self.push(format_args!("<text{class} x=\"{}\" y=\"{}\">{text}</text>\n", place(x), place(y)));
    }

    /// A straight line.
    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.push(format_args!(
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n",
            place(from.0),
            place(from.1),
            place(to.0),
            place(to.1)
        ));
    }

    /// A path; `d` is made of [`place`]d numbers. The title shows under the pointer.
    pub(crate) fn path(&mut self, class: &str, d: &str, title: &str) {
        if title.is_empty() {
            self.push(format_args!("<path class=\"{class}\" d=\"{d}\"/>\n"));
        } else {
            let title = escape(title);
            self.push(format_args!("<path class=\"{class}\" d=\"{d}\"><title>{title}</title></path>\n"));
        }
    }

    /// A dot whose title shows under the pointer.
    pub(crate) fn dot(&mut self, class: &str, x: f64, y: f64, title: &str) {
        let title = escape(title);
        self.push(format_args!(
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"2.5\"><title>{title}</title></circle>\n",
            place(x),
            place(y)
        ));
    }

    /// A bar from `x` to the right.
    pub(crate) fn bar(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), title: &str) {
        let title = escape(title);
        self.push(format_args!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{title}</title></rect>\n",
            place(x),
            place(y),
            place(width),
            place(height)
        ));
    }

    /// The horizontal grid with the labels of the values at its left.
    pub(crate) fn value_grid(&mut self, frame: &Frame, ticks: &[(f64, String)]) {
        for (fraction, label) in ticks {
            let y = frame.y(*fraction);
            self.line("grid", (frame.left, y), (frame.right(), y));
            self.text(frame.left - 7.0, y + 3.5, Anchor::End, label, 10);
        }
    }

    /// The keys of a legend.
    pub(crate) fn legend(&mut self, keys: &[Key]) {
        for key in keys {
            self.push(format_args!(
                "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"10\" height=\"10\" rx=\"2\"/>\n",
                key.class,
                place(key.x),
                place(key.y)
            ));
            self.text(key.x + 15.0, key.y + 9.0, Anchor::Start, &key.name, LONGEST_NAME);
        }
    }

    /// The whole drawing.
    pub(crate) fn finish(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.out.write_fmt(text);
    }
}

/// The legend of names with the classes of their swatches, laid out in rows of `width` from `(left, top)`, and its height.
pub(crate) fn legend(items: &[(String, &str)], left: f64, top: f64, width: f64) -> (Vec<Key>, f64) {
    let (mut x, mut y) = (left, top);
    let mut keys = Vec::with_capacity(items.len());
    for (class, name) in items {
        let characters = name.chars().count().min(LONGEST_NAME) as f64;
        let room = 15.0 + characters * CHARACTER_WIDTH + 14.0;
        if x > left && x + room > left + width {
            x = left;
            y += LEGEND_ROW;
        }
        keys.push(Key { class: class.clone(), name: (*name).to_owned(), x, y });
        x += room;
    }
    let height = if items.is_empty() { 0.0 } else { y - top + LEGEND_ROW };
    (keys, height)
}

/// A coordinate to a tenth.
pub(crate) fn place(value: f64) -> String {
    let tenths = (value * 10.0).round() / 10.0;
    // Adding zero makes the negative zero a positive one.
    format!("{}", tenths + 0.0)
}

/// The first `longest` characters, the last of them an ellipsis where something was cut.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(longest.saturating_sub(1)).collect();
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legend_that_does_not_fit_goes_on_in_the_next_row() {
        let items: Vec<(String, &str)> = (0..6).map(|_| (String::new(), "a name of some length")).collect();
        let (keys, height) = legend(&items, 40.0, 6.0, 400.0);
        assert_eq!(height, 3.0 * LEGEND_ROW);
        assert!(keys.iter().all(|key| key.x < 440.0 && key.y < 6.0 + height));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(shortened("größer", 6), "größer");
        assert_eq!(shortened("größer!", 6), "größe…");
    }
}
