//! Writing segments anew of which little is still of use.

use std::sync::Arc;

use super::open::Scan;
use super::record::{Body, Head, PREFIX};
use super::{KeyedFiles, MAGIC, Place};
use crate::LogError;

impl KeyedFiles {
    /// Move what is still of use at `now` out of one segment in which that is less than half, if there is one;
    /// its file goes with the next commit. Whether there may be another.
    ///
    /// # Errors
    /// When the disk takes no more; nothing is lost.
    pub fn tidy(&mut self, now: i64) -> Result<bool, LogError> {
        let wasted = self.segments.iter().find(|(id, segment)| {
            **id != self.current && segment.live * 2 < segment.len && !self.empty.contains(id)
        });
        let Some(id) = wasted.map(|(id, _)| *id) else { return Ok(false) };
        self.move_out(id, now)?;
        self.empty.push(id);
        Ok(true)
    }

    fn move_out(&mut self, id: u32, now: i64) -> Result<(), LogError> {
        let Some(segment) = self.segments.get(&id) else { return Ok(()) };
        let path = self.path(id);
        let mut scan = Scan { reader: Arc::clone(&segment.reader), offset: 0, bytes: Vec::new(), used: 0 };
        scan.fill(MAGIC.len()).map_err(LogError::io("read", &path))?;
        scan.used = MAGIC.len().min(scan.bytes.len());
        while self.segments.get(&id).is_some_and(|segment| segment.live > 0) {
            let at = scan.offset + scan.used as u64;
            let damaged = |reason: &str| LogError::Damaged {
                path: path.clone(),
                offset: at,
                reason: reason.to_owned(),
            };
            let failed = LogError::io("read", &path);
            let whole = scan.fill(PREFIX).map_err(failed)?;
            let head = if whole { Head::parse(scan.rest()) } else { Err("it ends here".to_owned()) };
            let head = head.map_err(|reason| damaged(&reason))?;
            let failed = LogError::io("read", &path);
            if !scan.fill(head.len()).map_err(failed)? {
                return Err(damaged("it ends here"));
            }
            if let Body::Key(keyed) = head.body(scan.rest()).map_err(|reason| damaged(&reason))? {
                let (hash, len) = (keyed.hash, head.len() as u32);
                let place = Place { hash, segment: id, offset: at as u32, len };
                let used = self.table.find(hash, |other| *other == place).is_some();
                if used && keyed.expires <= now {
                    self.forget(place);
                } else if used {
                    self.append(hash, Some(place), &Body::Key(keyed))?;
                }
            }
            scan.used += head.len();
        }
        Ok(())
    }
}
