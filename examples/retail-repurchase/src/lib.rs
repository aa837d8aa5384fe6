//! Retail repurchase: will this customer buy again within a week? A year of a shop's log, and do no harm.
//!
//! It plays the outside world: it asks at every purchase, sends every line of the shop's log as an event, and
//! tells up to seven days later whether the customer came back. On this log hardly any retraining beats the
//! first model, so the example is about not making it worse: what was answered is compared with the first version
//! frozen. It speaks to the service over HTTP alone.
//!
//! ```
//! let shop = retail_repurchase::Shop::read()?;
//! assert_eq!((shop.lines.len(), shop.purchases.len()), (406_829, 18_536));
//! assert_eq!(shop.purchases[0].prediction_id(), "purchase-536365");
//! # Ok::<(), anyhow::Error>(())
//! ```

mod baseline;
mod data;
mod play;
mod report;

pub use baseline::{Frozen, auc_after, first_labels};
pub use data::{ENDPOINT, LABEL_WINDOW, Line, MODEL, Purchase, Shop, project};
pub use play::{Answer, Figures, Progress, play};
pub use report::Report;
