//! The axis of values: round ticks around the data.

/// A range of values with ticks at round numbers.
pub(crate) struct Scale {
    lo: f64,
    hi: f64,
    ticks: Vec<f64>,
    step: f64,
}

/// What is drawn for a value: nothing if it is not finite; the largest numbers are drawn as somewhat smaller ones,
/// so that their differences are finite.
pub(crate) fn plottable(value: f64) -> Option<f64> {
    value.is_finite().then(|| value.clamp(-1e300, 1e300))
}

impl Scale {
    /// The scale of `values`, with about `wanted` ticks; from 0 to 1 where there are none.
    pub(crate) fn around(values: impl Iterator<Item = f64>, wanted: usize) -> Self {
        let (mut lo, mut hi) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter_map(plottable) {
            lo = lo.min(value);
            hi = hi.max(value);
        }
        if lo > hi {
            (lo, hi) = (0.0, 1.0);
        }
        // A range that rounding swallows is widened around its value.
        let least = (lo.abs().max(hi.abs()) * 1e-9).max(1e-290);
        if hi - lo < least {
            let room = if lo == 0.0 && hi == 0.0 { 1.0 } else { (lo.abs() * 0.05).max(1e-280) };
            lo -= if lo == 0.0 { 0.0 } else { room };
            hi += room;
        }
        let raw = (hi - lo) / wanted.max(1) as f64;
        let magnitude = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * magnitude)
            .find(|step| *step >= raw * (1.0 - 1e-9))
            .unwrap_or(raw);
        let (first, last) = ((lo / step + 1e-9).floor(), (hi / step - 1e-9).ceil());
        // Neighbouring ticks are a step apart, so that there are about as many as were wanted.
        let ticks: Vec<f64> = (0..=2 * wanted + 4)
            .map(|i| first + i as f64)
            .take_while(|i| *i <= last)
            .map(|i| i * step)
            .collect();
        Self { lo: first * step, hi: last * step, ticks, step }
    }

    /// Where `value` lies between the ends: 0 at the lower, 1 at the upper.
    pub(crate) fn fraction(&self, value: f64) -> f64 {
        let fraction = (value - self.lo) / (self.hi - self.lo);
        if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The ticks as fractions with their labels.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        self.ticks.iter().map(|tick| (self.fraction(*tick), self.label(*tick))).collect()
    }

    /// The ticks as fractions with labels in percent.
    pub(crate) fn percent_ticks(&self) -> Vec<(f64, String)> {
        let digits = decimals(self.step * 100.0);
        let label = |tick: f64| format!("{:.digits$}%", tick * 100.0);
        self.ticks.iter().map(|tick| (self.fraction(*tick), label(*tick))).collect()
    }

    fn label(&self, tick: f64) -> String {
        let size = self.lo.abs().max(self.hi.abs());
        let (unit, suffix) = match size {
            s if !(1e-4..1e12).contains(&s) => return format!("{tick:.1e}").replace('-', "−"),
            s if s >= 1e9 => (1e9, "G"),
            s if s >= 1e6 => (1e6, "M"),
            s if s >= 1e4 => (1e3, "k"),
            _ => (1.0, ""),
        };
        let digits = decimals(self.step / unit);
        // A tick that is zero up to rounding is written without a sign.
        let tick = if tick.abs() < self.step * 1e-6 { 0.0 } else { tick / unit };
        format!("{tick:.digits$}{suffix}").replace('-', "−")
    }
}

/// The decimals that tell multiples of `step` apart.
fn decimals(step: f64) -> usize {
    (0..9)
        .find(|digits| {
            let scaled = step * 10f64.powi(*digits);
            (scaled - scaled.round()).abs() < 1e-6 * scaled.max(1e-300) && scaled >= 0.999
        })
        .unwrap_or(9) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(values: &[f64]) -> Vec<String> {
        Scale::around(values.iter().copied(), 4).ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_numbers_around_the_data() {
        assert_eq!(labels(&[41.2, 47.9]), ["40", "42", "44", "46", "48"]);
        assert_eq!(labels(&[0.0, 0.93]), ["0.00", "0.25", "0.50", "0.75", "1.00"]);
        assert_eq!(labels(&[-3.0, 3.0]), ["−4", "−2", "0", "2", "4"]);
        assert_eq!(labels(&[0.0, 81_000.0]), ["0k", "25k", "50k", "75k", "100k"]);
        assert_eq!(labels(&[]), labels(&[0.0, 1.0]));
    }

    #[test]
    fn a_constant_has_room_around_it() {
        let scale = Scale::around([41.0, 41.0].into_iter(), 4);
        assert!((0.3..0.7).contains(&scale.fraction(41.0)));
    }

    proptest! {
        #[test]
        fn every_value_lies_between_the_ends_and_labels_differ(values in prop::collection::vec(any::<f64>(), 0..8)) {
            let scale = Scale::around(values.iter().copied(), 4);
            prop_assert!(scale.lo < scale.hi && (2..=12).contains(&scale.ticks.len()), "{} {} {:?}", scale.lo, scale.hi, scale.ticks);
            for value in values.into_iter().filter_map(plottable) {
                prop_assert!((0.0..=1.0).contains(&scale.fraction(value)));
                let slack = scale.step * 1e-6;
                prop_assert!(scale.lo - slack <= value && value <= scale.hi + slack);
            }
        }
    }
}
