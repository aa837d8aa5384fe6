//! Our figures beside those of reference implementations; README.md names the sources.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test")]

mod adwin;
mod drift;
mod lcg;
mod posterior;
mod sequential;

/// Whether two figures agree to nine digits.
fn near(ours: f64, golden: f64) -> bool {
    (ours - golden).abs() <= 1e-9 * golden.abs().max(1e-3)
}
