//! Tests that say what samples prove.
//!
//! It decides when numbers differ: whether paired losses prove a candidate worse than the current version by more
//! than a margin ([`paired`]), what a mean or a difference of means is at every look ([`sequential`]), how probable it
//! is that an arm is the best ([`posterior`]), when the mean of a stream has changed ([`adwin`]), and which
//! columns have moved from a reference ([`drift`]). It never draws random numbers, reads a clock or touches the
//! world: the same samples give the same bits.
//!
//! ```
//! use perennial_stats::paired::{NotWorse, not_worse};
//! let test = NotWorse { margin: 0.05, confidence: 0.9 };
//! let evidence = not_worse(&[1.0, 2.0, 3.1, 0.9], &[1.1, 2.0, 3.0, 1.0], test).unwrap();
//! assert!(!evidence.proven_worse);
//! assert_eq!(evidence.rows, 4);
//! ```

pub mod adwin;
mod clustered;
pub mod contingency;
pub mod discovery;
pub mod drift;
pub mod ks;
mod moments;
pub mod paired;
mod paired_moments;
pub mod posterior;
mod quadrature;
pub mod sequential;

pub use clustered::Clustered;
pub use moments::Moments;
pub use paired_moments::PairedMoments;
