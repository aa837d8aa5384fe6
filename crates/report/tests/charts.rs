//! Whatever the data, what a chart draws lies inside its view box.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read a chart has failed")]

use perennial_report::chart::{Line, LineChart, StepsChart, histogram_pair, line, sparkline, stacked_steps};
use perennial_report::{ArmShare, CategoryShare, Distribution, MetricPoint, Traffic, TrafficStep};
use perennial_types::Timestamp;
use proptest::prelude::*;

/// The value of an attribute of a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest.split('"').next().unwrap())
}

fn number(tag: &str, name: &str) -> Option<f64> {
    attribute(tag, name).map(|text| text.parse().unwrap())
}

/// The points of a path of absolute commands M, L, H, V and Z.
fn path_points(d: &str) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let starts: Vec<usize> =
        d.char_indices().filter(|(_, c)| c.is_ascii_alphabetic()).map(|(i, _)| i).collect();
    for (k, start) in starts.iter().enumerate() {
        let end = starts.get(k + 1).copied().unwrap_or(d.len());
        let numbers: Vec<f64> = d[start + 1..end].split_whitespace().map(|n| n.parse().unwrap()).collect();
        let last = points.last().copied();
        match (&d[*start..=*start], numbers.as_slice()) {
            ("M" | "L", [x, y]) => points.push((*x, *y)),
            ("H", [x]) => points.push((*x, last.unwrap().1)),
            ("V", [y]) => points.push((last.unwrap().0, *y)),
            ("Z", []) => {}
            other => panic!("{other:?} in {d}"),
        }
    }
    points
}

/// Every point that is drawn lies in the view box.
fn check_inside(svg: &str) -> Result<(), TestCaseError> {
    let view: Vec<f64> = attribute(svg, "viewBox").unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
    let mut points = Vec::new();
    for tag in svg.split('<').skip(2) {
        for (x, y) in [("x", "y"), ("x1", "y1"), ("x2", "y2"), ("cx", "cy")] {
            points.extend(number(tag, x).zip(number(tag, y)));
        }
        if let (Some(width), Some(height)) = (number(tag, "width"), number(tag, "height")) {
            points.push((number(tag, "x").unwrap() + width, number(tag, "y").unwrap() + height));
        }
        points.extend(attribute(tag, "d").map(path_points).unwrap_or_default());
    }
    prop_assert!(!points.is_empty() || svg.contains("spark"), "nothing is drawn: {svg}");
    for (x, y) in points {
        let inside = (0.0..=view[2]).contains(&x) && (0.0..=view[3]).contains(&y);
        prop_assert!(inside, "({x}, {y}) is outside {view:?} in {svg}");
    }
    prop_assert!(svg.contains("<title>") && svg.ends_with("</svg>\n"));
    Ok(())
}

fn instants() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), 1_299_000_000_000_000i64..1_300_000_000_000_000, 0i64..5]
}

fn series() -> impl Strategy<Value = Vec<MetricPoint>> {
    let point = (instants(), any::<Option<f64>>(), any::<u64>());
    prop::collection::vec(point, 0..30).prop_map(|mut points| {
        points.sort_by_key(|(at, _, _)| *at);
        let point = |(at, value, rows)| MetricPoint { at: Timestamp::from_micros(at), value, rows };
        points.into_iter().map(point).collect()
    })
}

fn distribution() -> impl Strategy<Value = Distribution> {
    let histogram = (prop::collection::vec(any::<f64>(), 0..12), prop::collection::vec(any::<f64>(), 0..12))
        .prop_map(|(mut edges, shares)| {
            edges.sort_by(f64::total_cmp);
            Distribution::Histogram { edges, shares }
        });
    let category = (".{0,40}", any::<f64>()).prop_map(|(name, share)| CategoryShare { name, share });
    let categories =
        prop::collection::vec(category, 0..20).prop_map(|categories| Distribution::Categories { categories });
    prop_oneof![histogram, categories]
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let share = ("[a-z]{1,2}", prop_oneof![0.0..=1.0f64, any::<f64>()]);
    let step =
        (instants(), prop::collection::vec(share.prop_map(|(arm, share)| ArmShare { arm, share }), 0..20));
    (prop::collection::vec(step, 0..12), instants()).prop_map(|(mut steps, until)| {
        steps.sort_by_key(|(at, _)| *at);
        let step = |(at, shares)| TrafficStep { at: Timestamp::from_micros(at), shares };
        Traffic { steps: steps.into_iter().map(step).collect(), until: Timestamp::from_micros(until) }
    })
}

#[test]
fn of_many_arms_the_newest_keep_a_colour_of_their_own() {
    let step = |i: i64| TrafficStep {
        at: Timestamp::from_micros(i),
        shares: vec![ArmShare { arm: format!("arm/{i}"), share: 1.0 }],
    };
    let traffic = Traffic { steps: (0..20).map(step).collect(), until: Timestamp::from_micros(20) };
    let svg = stacked_steps(&StepsChart { title: "t", from: Timestamp::from_micros(0), traffic: &traffic });
    assert!(svg.contains("12 earlier") && !svg.contains(">arm/11<"), "{svg}");
    for arm in 12..20 {
        assert!(svg.contains(&format!("arm/{arm}")), "{arm}");
        let colour = format!("swatch c{}\"", arm % 8);
        assert_eq!(svg.matches(&colour).count(), 1, "{colour} stands for one arm");
    }
    assert!(svg.contains("arm/19: 100%"), "{svg}");
}

proptest! {
    #[test]
    fn lines_stay_inside(
        a in series(), b in series(), from in instants(), to in instants(), baseline in any::<Option<f64>>(), name in ".{0,60}"
    ) {
        let lines = [Line { name: &name, points: &a }, Line { name: "b", points: &b }];
        for lines in [&lines[..], &lines[..1]] {
            let (from, to) = (Timestamp::from_micros(from), Timestamp::from_micros(to));
            let chart = LineChart { title: &name, unit: Some(&name), from, to, baseline, lines };
            check_inside(&line(&chart))?;
        }
    }

    #[test]
    fn steps_stay_inside(traffic in traffic(), from in instants()) {
        check_inside(&stacked_steps(&StepsChart { title: "t", from: Timestamp::from_micros(from), traffic: &traffic }))?;
    }

    #[test]
    fn pairs_stay_inside(reference in distribution(), current in distribution()) {
        check_inside(&histogram_pair("t", &reference, &current))?;
    }

    #[test]
    fn sparklines_stay_inside(values in prop::collection::vec(any::<Option<f64>>(), 0..30)) {
        check_inside(&sparkline("t", &values))?;
    }
}
