//! Numbers of different values: exact, as the set of them, and by HyperLogLog. Both are functions of the set
//! of values alone: neither order nor merges matter, to the bit.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::object::{Item, heap_bytes};

/// Registers are chosen by this many bits of the hash: 4,096 of them, a standard error of 1.04 / √4096.
const BITS: u32 = 12;
const REGISTERS: usize = 1 << BITS;
/// Bits of the hash that a coupon keeps beside the rank: enough to tell the values of a small set apart.
const ADDRESS_BITS: u32 = 26;
/// As long as there are at most this many coupons they are kept themselves, in half the room of registers.
const COUPONS: usize = 512;
/// Coupons are entered one by one where they are this many times fewer than those that are there.
const FEW: usize = 16;

/// The set of different values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Distinct(BTreeSet<Item>);

impl Distinct {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        // The nodes of the tree are a third empty.
        size_of::<Self>() + size_of::<Item>() * self.0.len() * 3 / 2 + heap_bytes(self.0.iter())
    }

    pub(super) fn add(&mut self, item: Item) {
        self.0.insert(item);
    }

    pub(super) fn merge(&mut self, later: &Self) {
        self.0.extend(later.0.iter().cloned());
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

/// HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007), sparse while small.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub(crate) enum ApproxDistinct {
    /// Coupons (the low bits of the hash, and the rank of its other half above them), ascending.
    Coupons(Vec<u32>),
    /// The largest rank of each register.
    Registers(Box<[u8]>),
}

/// The same as it was saved, which may be anything.
#[derive(Deserialize)]
enum Saved {
    Coupons(Vec<u32>),
    Registers(Box<[u8]>),
}

impl TryFrom<Saved> for ApproxDistinct {
    type Error = &'static str;

    fn try_from(saved: Saved) -> Result<Self, Self::Error> {
        match saved {
            Saved::Coupons(coupons) if coupons.is_sorted() => Ok(Self::Coupons(coupons)),
            Saved::Registers(registers) if registers.len() == REGISTERS => Ok(Self::Registers(registers)),
            Saved::Coupons(_) | Saved::Registers(_) => Err("an approximate distinct count out of shape"),
        }
    }
}

impl Default for ApproxDistinct {
    fn default() -> Self {
        Self::Coupons(Vec::new())
    }
}

impl ApproxDistinct {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let behind = match self {
            Self::Coupons(coupons) => 4 * coupons.capacity(),
            Self::Registers(registers) => registers.len(),
        };
        size_of::<Self>() + behind
    }

    pub(super) fn add(&mut self, item: &Item) {
        let hash = match item {
            Item::Word(word) => xxh3_64(&word.to_le_bytes()),
            Item::Text(text) => xxh3_64(text.as_bytes()),
        };
        let address = hash as u32 & ((1 << ADDRESS_BITS) - 1);
        // The other bits are independent of the address; their number of leading zeros is the rank.
        let rank = ((hash >> ADDRESS_BITS << ADDRESS_BITS) | 1 << (ADDRESS_BITS - 1)).leading_zeros() + 1;
        self.add_coupon(rank << ADDRESS_BITS | address);
    }

    fn add_coupon(&mut self, coupon: u32) {
        match self {
            Self::Coupons(coupons) => {
                if let Err(at) = coupons.binary_search(&coupon) {
                    coupons.insert(at, coupon);
                    if coupons.len() > COUPONS {
                        *self = Self::dense(coupons);
                    }
                }
            }
            Self::Registers(registers) => raise(registers, coupon),
        }
    }

    fn dense(coupons: &[u32]) -> Self {
        let mut registers = vec![0; REGISTERS].into_boxed_slice();
        for coupon in coupons {
            raise(&mut registers, *coupon);
        }
        Self::Registers(registers)
    }

    pub(super) fn merge(&mut self, later: &Self) {
        match (&mut *self, later) {
            (Self::Coupons(coupons), _) if coupons.is_empty() => *self = later.clone(),
            (Self::Coupons(coupons), Self::Coupons(later)) if later.len() * FEW > coupons.len() => {
                let all = union(coupons, later);
                *self = if all.len() > COUPONS { Self::dense(&all) } else { Self::Coupons(all) };
            }
            (_, Self::Coupons(coupons)) => {
                for coupon in coupons {
                    self.add_coupon(*coupon);
                }
            }
            (Self::Coupons(coupons), Self::Registers(_)) => {
                *self = Self::dense(coupons);
                self.merge(later);
            }
            (Self::Registers(registers), Self::Registers(later)) => {
                for (register, later) in registers.iter_mut().zip(later) {
                    *register = (*register).max(*later);
                }
            }
        }
    }

    /// The estimate, rounded.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Coupons(coupons) => coupons.len() as u64,
            Self::Registers(registers) => estimate(registers).round() as u64,
        }
    }
}

/// All coupons of two ascending lists, ascending.
fn union(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut all = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while let (Some(one), Some(other)) = (a.get(i), b.get(j)) {
        all.push(*one.min(other));
        i += usize::from(one <= other);
        j += usize::from(other <= one);
    }
    all.extend_from_slice(&a[i..]);
    all.extend_from_slice(&b[j..]);
    all
}

fn raise(registers: &mut [u8], coupon: u32) {
    let register = &mut registers[coupon as usize % REGISTERS];
    *register = (*register).max((coupon >> ADDRESS_BITS) as u8);
}

/// The improved raw estimate, unbiased at every size (Ertl 2017, "New cardinality estimation algorithms for
/// HyperLogLog sketches", algorithm 6).
fn estimate(registers: &[u8]) -> f64 {
    const RANKS: usize = (64 - ADDRESS_BITS) as usize;
    let mut counts = [0_u32; RANKS + 2];
    // The ranks are few and most of them small: counting one after the other in whole vectors of registers is
    // several times faster than counting register by register.
    let mut left = registers.len() as u32;
    for (rank, count) in (0_u8..).zip(&mut counts[..=RANKS]) {
        *count = occurrences(registers, rank);
        left -= *count;
        if left == 0 {
            break;
        }
    }
    counts[RANKS + 1] = left;
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(counts[RANKS + 1]) / m);
    for count in counts[1..=RANKS].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

/// How many registers hold a rank.
fn occurrences(registers: &[u8], rank: u8) -> u32 {
    // A block is short enough to be counted in bytes.
    let block = |block: &[u8]| block.iter().map(|register| u8::from(*register == rank)).sum::<u8>();
    registers.chunks(128).map(|registers| u32::from(block(registers))).sum()
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(items: impl Iterator<Item = u64>) -> ApproxDistinct {
        let mut sketch = ApproxDistinct::default();
        items.for_each(|item| sketch.add(&Item::Word(item)));
        sketch
    }

    #[test]
    fn counts_up_to_512_are_exact_and_stay_sparse() {
        for n in [0, 1, 2, 100, 512] {
            let sketch = counted((0..n).chain(0..n));
            assert_eq!(sketch.count(), n);
            assert!(matches!(sketch, ApproxDistinct::Coupons(_)));
        }
    }

    /// Relative error over 60 disjoint sets of each size: a mean within three of its standard errors of
    /// zero, a spread of at most 1.04 / √4096 and a fifth.
    #[test]
    fn larger_counts_are_unbiased_with_a_standard_error_of_two_percent_at_most() {
        for n in [600_u64, 3_000, 10_000, 40_000, 200_000] {
            let sets = if n > 100_000 { 20 } else { 60 };
            let errors: Vec<f64> = (0..sets)
                .map(|set| counted((0..n).map(|i| set << 32 | i)).count() as f64 / n as f64 - 1.0)
                .collect();
            let mean = errors.iter().sum::<f64>() / sets as f64;
            let spread = (errors.iter().map(|e| e * e).sum::<f64>() / sets as f64).sqrt();
            assert!(spread < 0.016_25 * 1.35, "{n}: spread {spread}");
            assert!(mean.abs() < 3.0 * 0.016_25 / (sets as f64).sqrt(), "{n}: mean {mean}");
        }
    }

    #[test]
    fn merging_is_adding_to_the_bit() {
        for (n, m) in [(10, 20), (400, 400), (2_000, 100), (100, 2_000), (3_000, 3_000)] {
            let mut merged = counted(0..n);
            merged.merge(&counted(n / 2..n / 2 + m));
            assert_eq!(merged, counted((0..n).chain(n / 2..n / 2 + m)));
        }
    }
}
