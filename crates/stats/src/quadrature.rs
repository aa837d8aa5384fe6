//! Integrals of smooth functions over a panel, and up to each node inside it.

use std::sync::LazyLock;

/// Nodes of a panel. Panels are cut so that a density changes by a small factor in one, where sixteen nodes leave
/// rounding alone.
pub(crate) const NODES: usize = 16;

/// The Gauss-Legendre rule on `[-1, 1]` (Abramowitz and Stegun 25.4.29).
pub(crate) struct Rule {
    pub(crate) nodes: [f64; NODES],
    pub(crate) weights: [f64; NODES],
    /// Row by row: the weights whose sum is the integral from −1 to that node.
    running: [[f64; NODES]; NODES],
}

/// The rule, which is the same for every integral: computed at the first one.
pub(crate) static RULE: LazyLock<Rule> = LazyLock::new(Rule::new);

impl Rule {
    fn new() -> Self {
        let mut rule = Self { nodes: [0.0; NODES], weights: [0.0; NODES], running: [[0.0; NODES]; NODES] };
        for index in 0..NODES {
            let (node, slope) = root(index);
            rule.nodes[index] = node;
            rule.weights[index] = 2.0 / ((1.0 - node * node) * slope * slope);
        }
        for end in 0..NODES {
            for from in 0..NODES {
                rule.running[end][from] = rule.weights[from] * kernel(rule.nodes[from], rule.nodes[end]);
            }
        }
        rule
    }

    /// The integral over the panel of half-width `half` of a function with these values at the nodes.
    pub(crate) fn whole(&self, half: f64, values: &[f64; NODES]) -> f64 {
        half * dot(&self.weights, values)
    }

    /// The integrals from the panel's start to each node.
    pub(crate) fn running(&self, half: f64, values: &[f64; NODES]) -> [f64; NODES] {
        self.running.map(|weights| half * dot(&weights, values))
    }
}

fn dot(a: &[f64; NODES], b: &[f64; NODES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Legendre polynomials of degree 0 to `NODES` at `x`, by Bonnet's recursion.
fn legendre(x: f64) -> [f64; NODES + 1] {
    let mut values = [1.0; NODES + 1];
    values[1] = x;
    for degree in 2..=NODES {
        let k = degree as f64;
        values[degree] = ((2.0 * k - 1.0) * x * values[degree - 1] - (k - 1.0) * values[degree - 2]) / k;
    }
    values
}

/// The root of the highest polynomial with this index, ascending, and the slope there: Newton from Tricomi's guess.
fn root(index: usize) -> (f64, f64) {
    let count = NODES as f64;
    let mut x = -(std::f64::consts::PI * (index as f64 + 0.75) / (count + 0.5)).cos();
    let mut slope = 1.0;
    for _ in 0..8 {
        let values = legendre(x);
        slope = count * (values[NODES - 1] - x * values[NODES]) / (1.0 - x * x);
        x -= values[NODES] / slope;
    }
    (x, slope)
}

/// `Σ (2k + 1)/2 · P_k(from) · ∫ P_k` from −1 to `end`: the integral of the interpolating polynomial, by node.
fn kernel(from: f64, end: f64) -> f64 {
    let (at_node, at_end) = (legendre(from), legendre(end));
    let mut sum = 0.5 * (end + 1.0);
    for degree in 1..NODES {
        sum += 0.5 * at_node[degree] * (at_end[degree + 1] - at_end[degree - 1]);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_integrated_exactly() {
        let rule = Rule::new();
        for power in 0..NODES as i32 {
            let values = rule.nodes.map(|node| node.powi(power));
            let exact = |end: f64| (end.powi(power + 1) - (-1.0_f64).powi(power + 1)) / f64::from(power + 1);
            assert!((rule.whole(1.0, &values) - exact(1.0)).abs() < 1e-14, "power {power}");
            for (running, node) in rule.running(1.0, &values).iter().zip(rule.nodes) {
                assert!((running - exact(node)).abs() < 1e-14, "power {power} to {node}");
            }
        }
    }

    #[test]
    fn a_panel_of_a_density_leaves_rounding_alone() {
        // From 1 to 2.5 in steps of a panel of half-width 0.75; scipy 1.17.1: norm.cdf(2.5) - norm.cdf(1).
        let rule = Rule::new();
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let values = rule.nodes.map(|node| density(1.75 + 0.75 * node));
        assert!((rule.whole(0.75, &values) - 0.152_445_588_605_680_93).abs() < 1e-14);
    }
}
