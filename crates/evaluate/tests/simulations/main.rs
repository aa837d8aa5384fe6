//! Experiments played through the public interface of this crate, at fixed seeds and stated error rates.
#![expect(clippy::unwrap_used, reason = "a simulation that cannot draw an arm has failed")]

mod bandits;
mod environment;
mod peeking;
