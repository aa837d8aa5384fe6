//! What tests share: files that crash, and a broker of Kafka.
//!
//! It decides nothing of the product and is a dependency of tests only.
//!
//! ```
//! use std::path::Path;
//! use perennial_log::Files;
//! use perennial_testkit::{Crash, FaultyFiles};
//!
//! let files = FaultyFiles::new();
//! let file = files.append(Path::new("/log/a")).unwrap();
//! files.sync_dir(Path::new("/log")).unwrap();
//! file.write(b"safe").unwrap();
//! file.sync().unwrap();
//! file.write(b" and not").unwrap();
//! files.crash(Crash { kept_bytes: 2, seed: 0 });
//! assert_eq!(files.content(Path::new("/log/a")).unwrap(), b"safe a");
//! ```

mod broker;
mod faulty_files;

pub use broker::Broker;
pub use faulty_files::{Crash, FaultyFiles};
