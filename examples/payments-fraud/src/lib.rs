//! Payments fraud: seven weeks of card payments, two competing models, and everything that goes wrong.
//!
//! It plays the outside world: it asks for every payment, sends it as an event when it arrives, late and
//! twice where the network does, and tells up to three days later whether it was a fraud. In the second week the
//! fraudsters change their ways and at the end they change back; twice the settlement file tells every
//! label the wrong way round. It speaks to the service over HTTP alone.
//!
//! ```
//! use payments_fraud::{FLIPPED, payments};
//! let payments = payments()?;
//! assert_eq!(payments.len(), 26_142);
//! let payment = &payments[0];
//! assert!(!FLIPPED[0].holds(payment.told_at()), "the first labels are right");
//! # Ok::<(), anyhow::Error>(())
//! ```

mod data;
mod play;
mod report;
mod told;

pub use data::{
    CONCEPT_CHANGE, CONCEPT_RETURN, ENDPOINT, FLIPPED, Flipped, MODELS, Payment, START, payments, project,
};
pub use play::{Answer, Figures, Progress, play};
pub use report::{Phase, Report};
pub use told::{Event, Told};
