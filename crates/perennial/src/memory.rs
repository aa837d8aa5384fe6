//! How much memory is asked for, and how much there is.

use std::fmt;
use std::fs;
use std::str::FromStr;

/// Units of bytes, the largest first.
const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A number of bytes: `4GiB`, `512MiB`, or a plain number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
        let (number, unit) = unit.unwrap_or((text, 1));
        let bytes = number.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        bytes
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no number of bytes; write 4GiB, 512MiB or a plain number"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes));
        match unit {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Half of what this process may use: of the machine's memory, or of its control group's if that is less. Nothing
/// where neither can be told.
pub(crate) fn half_of_the_machine() -> Option<Bytes> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let group =
        fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    [machine, group].into_iter().flatten().min().map(|bytes: u64| Bytes(bytes / 2))
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_are_written() {
        for (text, bytes) in [("4GiB", 4 << 30), ("512MiB", 512 << 20), ("1000", 1_000), ("3 TiB", 3 << 40)] {
            let parsed: Bytes = text.parse().unwrap();
            assert_eq!(parsed, Bytes(bytes));
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
        for text in ["", "4GB", "-1", "1.5GiB", "99999999TiB", "GiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_memory_of_the_machine_is_in_its_first_line() {
        assert_eq!(total("MemTotal:       24617240 kB\nMemFree:         1 kB\n"), Some(24_617_240 * 1024));
        assert_eq!(total("MemFree: 1 kB"), None);
        assert!(half_of_the_machine().is_some());
    }
}
