//! Two distributions of one column, over each other.

use super::canvas::{Anchor, Canvas, Frame, Key, legend, place};
use super::scale::Scale;
use crate::spec::{CategoryShare, Distribution};
use crate::write;

/// The size of the drawing.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 190.0;

/// Categories beyond these are drawn as one.
const MOST_CATEGORIES: usize = 8;

/// The reference as a grey area, the current window as a line over it; categories as bars. The title of the chart names
/// the column.
pub fn histogram_pair(title: &str, reference: &Distribution, current: &Distribution) -> String {
    match (reference, current) {
        (
            Distribution::Categories { categories: reference },
            Distribution::Categories { categories: current },
        ) => bars(title, reference, current),
        (
            Distribution::Histogram { edges: reference_edges, shares: reference },
            Distribution::Histogram { edges, shares },
        ) => histograms(title, &bins(reference_edges, reference), &bins(edges, shares)),
        (Distribution::Histogram { .. }, Distribution::Categories { .. })
        | (Distribution::Categories { .. }, Distribution::Histogram { .. }) => {
            let mut canvas = Canvas::new("pair", WIDTH, 40.0, title);
            let text = "numbers in one window, names in the other";
            canvas.text(WIDTH / 2.0, 24.0, Anchor::Middle, text, 60);
            canvas.finish()
        }
    }
}

/// A bin of a histogram.
#[derive(Clone, Copy)]
struct Bin {
    lo: f64,
    hi: f64,
    share: f64,
}

impl Bin {
    /// The share by width, so that the area is the share.
    fn density(&self) -> f64 {
        self.share / (self.hi - self.lo)
    }
}

fn bins(edges: &[f64], shares: &[f64]) -> Vec<Bin> {
    let edges = edges.windows(2).map(|pair| (pair[0], pair[1]));
    edges
        .zip(shares)
        .map(|((lo, hi), share)| Bin { lo, hi, share: share.max(0.0) })
        .filter(|bin| {
            bin.lo.abs() < 1e300 && bin.hi.abs() < 1e300 && bin.lo < bin.hi && bin.share.is_finite()
        })
        .collect()
}

fn keys() -> (Vec<Key>, f64) {
    let items = [("swatch reference".to_owned(), "reference"), ("swatch current".to_owned(), "this window")];
    legend(&items, 46.0, 4.0, WIDTH - 50.0)
}

/// Whether all bins are equally wide, up to the rounding of their edges, so that heights are shares.
fn even(bins: &[Bin]) -> bool {
    let width = bins.first().map_or(0.0, |bin| bin.hi - bin.lo);
    bins.iter().all(|bin| ((bin.hi - bin.lo) - width).abs() <= width * 0.01)
}

fn histograms(title: &str, reference: &[Bin], current: &[Bin]) -> String {
    let all: Vec<Bin> = reference.iter().chain(current).copied().collect();
    let shares = even(&all);
    let height = |bin: &Bin| if shares { bin.share } else { bin.density() };
    let values = Scale::around(all.iter().map(height).chain([0.0]), 3);
    let places = Scale::around(all.iter().flat_map(|bin| [bin.lo, bin.hi]), 5);
    let (keys, room) = keys();
    let frame = Frame { left: 46.0, top: room + 12.0, width: WIDTH - 62.0, height: HEIGHT - room - 38.0 };

    let mut canvas = Canvas::new("pair", WIDTH, HEIGHT, title);
    canvas.legend(&keys);
    canvas.value_grid(&frame, &if shares { values.percent_ticks() } else { values.ticks() });
    canvas.text(WIDTH - 16.0, 13.0, Anchor::End, if shares { "share of rows" } else { "density" }, 20);
    for (fraction, label) in places.ticks() {
        let x = frame.x(fraction);
        canvas.line("tick", (x, frame.bottom()), (x, frame.bottom() + 4.0));
        canvas.text(x, frame.bottom() + 17.0, Anchor::Middle, &label, 10);
    }
    for (bins, class, name) in [(reference, "reference", "reference"), (current, "current", "this window")] {
        if let Some(d) = outline(&frame, bins, |bin| values.fraction(height(bin)), |at| places.fraction(at)) {
            canvas.path(class, &d, name);
        }
    }
    canvas.finish()
}

/// The outline of a histogram: down to the base line at both ends and wherever bins do not touch.
fn outline(
    frame: &Frame,
    bins: &[Bin],
    height: impl Fn(&Bin) -> f64,
    fraction: impl Fn(f64) -> f64,
) -> Option<String> {
    let base = place(frame.bottom());
    let mut d = String::new();
    for run in bins.chunk_by(|a, b| a.hi == b.lo) {
        let first = run.first()?;
        d.push_str(&format!("M{} {base}", place(frame.x(fraction(first.lo)))));
        for bin in run {
            d.push_str(&format!("V{}H{}", place(frame.y(height(bin))), place(frame.x(fraction(bin.hi)))));
        }
        d.push_str(&format!("V{base}"));
    }
    (!d.is_empty()).then_some(d)
}

/// A category in both windows.
struct Pair<'a> {
    name: &'a str,
    reference: f64,
    current: f64,
}

/// The categories of both, by their larger share; those beyond [`MOST_CATEGORIES`] are one.
fn pairs<'a>(reference: &'a [CategoryShare], current: &'a [CategoryShare], others: &'a str) -> Vec<Pair<'a>> {
    let finite = |share: f64| if share.is_finite() { share.max(0.0) } else { 0.0 };
    let mut pairs: Vec<Pair<'a>> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for (category, is_current) in
        reference.iter().map(|c| (c, false)).chain(current.iter().map(|c| (c, true)))
    {
        let i = *places.entry(category.name.as_str()).or_insert_with(|| {
            pairs.push(Pair { name: &category.name, reference: 0.0, current: 0.0 });
            pairs.len() - 1
        });
        let share = if is_current { &mut pairs[i].current } else { &mut pairs[i].reference };
        *share += finite(category.share);
    }
    // A stable sort: categories of equal share stay in the order of the reference.
    pairs.sort_by(|a, b| b.reference.max(b.current).total_cmp(&a.reference.max(a.current)));
    if pairs.len() > MOST_CATEGORIES {
        let rest = pairs.split_off(MOST_CATEGORIES - 1);
        let sum = |share: fn(&Pair<'_>) -> f64| rest.iter().map(share).sum();
        pairs.push(Pair {
            name: others,
            reference: sum(|pair| pair.reference),
            current: sum(|pair| pair.current),
        });
    }
    pairs
}

fn bars(title: &str, reference: &[CategoryShare], current: &[CategoryShare]) -> String {
    let pairs = pairs(reference, current, "all others");
    let scale = Scale::around(pairs.iter().flat_map(|pair| [pair.reference, pair.current]).chain([0.0]), 4);
    let (keys, room) = keys();
    let row = 23.0;
    let frame =
        Frame { left: 112.0, top: room + 8.0, width: WIDTH - 132.0, height: row * pairs.len().max(1) as f64 };
    let mut canvas = Canvas::new("pair", WIDTH, frame.bottom() + 24.0, title);
    canvas.legend(&keys);
    canvas.text(WIDTH - 16.0, 13.0, Anchor::End, "share of rows", 20);
    for (fraction, label) in scale.percent_ticks() {
        let x = frame.x(fraction);
        canvas.line("grid", (x, frame.top), (x, frame.bottom()));
        canvas.text(x, frame.bottom() + 15.0, Anchor::Middle, &label, 10);
    }
    for (i, pair) in pairs.iter().enumerate() {
        let top = frame.top + row * i as f64;
        canvas.text(frame.left - 8.0, top + 15.0, Anchor::End, pair.name, 16);
        for (offset, class, window, share) in
            [(3.0, "reference", "reference", pair.reference), (12.0, "current", "this window", pair.current)]
        {
            let width = frame.width * scale.fraction(share);
            let title = format!("{}, {window}: {}", pair.name, write::percent(share));
            canvas.bar(class, (frame.left, top + offset), (width, 8.0), &title);
        }
    }
    canvas.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn categories(shares: &[(&str, f64)]) -> Vec<CategoryShare> {
        shares.iter().map(|(name, share)| CategoryShare { name: (*name).to_owned(), share: *share }).collect()
    }

    #[test]
    fn categories_beyond_the_largest_are_one_bar_with_their_sum() {
        let names: Vec<String> = (0..30).map(|i| format!("c{i}")).collect();
        let shares: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 1.0 / 30.0)).collect();
        let (reference, current) = (categories(&shares), categories(&[("new", 1.0)]));
        let pairs = pairs(&reference, &current, "others");
        assert_eq!(pairs.len(), MOST_CATEGORIES);
        assert_eq!((pairs[0].name, pairs[0].reference, pairs[0].current), ("new", 0.0, 1.0));
        assert!((pairs.iter().map(|pair| pair.reference).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn bins_of_unequal_width_are_drawn_by_density() {
        let wide = Distribution::Histogram { edges: vec![0.0, 1.0, 10.0], shares: vec![0.5, 0.5] };
        assert!(histogram_pair("x", &wide, &wide).contains(">density<"));
        let even = Distribution::Histogram { edges: vec![0.0, 1.0, 2.0], shares: vec![0.5, 0.5] };
        assert!(histogram_pair("x", &even, &even).contains(">share of rows<"));
    }

    #[test]
    fn windows_of_different_kinds_are_not_drawn_over_each_other() {
        let numbers = Distribution::Histogram { edges: vec![0.0, 1.0], shares: vec![1.0] };
        let names = Distribution::Categories { categories: categories(&[("a", 1.0)]) };
        assert!(histogram_pair("x", &numbers, &names).contains("numbers in one window"));
    }
}
