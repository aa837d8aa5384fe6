//! What a key keeps beside its tiles for windows that are not made of tiles: sessions and last events.

use serde::{Deserialize, Serialize};

use crate::layout::{Kind, Layout, Window};
use crate::recent::Recent;
use crate::sessions::Sessions;
use crate::state::{fold, merge};
use crate::tiles::Tiles;
use crate::timeline::{Row, RowMut};

/// Sessions by each gap, and the last events of each lane that wants them, as the layout lists them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Beside {
    sessions: Vec<Sessions>,
    recent: Vec<Recent>,
}

impl Beside {
    /// The state before the first event; nothing where no window needs it.
    pub(crate) fn new(layout: &Layout) -> Option<Box<Self>> {
        if layout.sessions.is_empty() && layout.recent.is_empty() {
            return None;
        }
        let sessions = vec![Sessions::default(); layout.sessions.len()];
        Some(Box::new(Self { sessions, recent: vec![Recent::default(); layout.recent.len()] }))
    }

    /// Whether a saved state is one of this layout.
    pub(crate) fn fits(beside: Option<&Self>, layout: &Layout) -> bool {
        let Some(beside) = beside else { return layout.sessions.is_empty() && layout.recent.is_empty() };
        beside.sessions.len() == layout.sessions.len()
            && beside.recent.len() == layout.recent.len()
            && beside.sessions.iter().all(|sessions| sessions.fits(layout.tile))
            && beside.recent.iter().all(|recent| recent.fits(layout.event))
    }

    /// The bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let sessions: usize = self.sessions.iter().map(Sessions::bytes).sum();
        let recent: usize = self.recent.iter().map(Recent::bytes).sum();
        size_of::<Self>() + sessions + recent
    }

    /// Take in an event that has come to count.
    pub(crate) fn add(&mut self, layout: &Layout, now: i64, time: i64, event: Row<'_>) {
        for (sessions, gap) in self.sessions.iter_mut().zip(&layout.sessions) {
            sessions.add(layout.tile, &layout.slots, *gap, time, event);
            sessions.forget(*gap, now);
        }
        for (recent, wanted) in self.recent.iter_mut().zip(&layout.recent) {
            if event.counts(wanted.mask) {
                recent.add(wanted.most, time, event);
            }
        }
    }
}

/// Merge what a window at `at` holds into the empty row `total`.
pub(crate) fn merge_window(layout: &Layout, window: &Window, key: &Tiles, at: i64, total: &mut RowMut<'_>) {
    let Some(beside) = &key.beside else { return };
    let waiting = || key.rows.waiting(layout, i64::MIN, at);
    match window.kind {
        Kind::Session(i) => {
            let (gap, sessions) = (layout.sessions[i], &beside.sessions[i]);
            if waiting().len() == 0 {
                if let Some(session) = sessions.current(gap, at) {
                    merge(&window.slots, total, session.row());
                }
                return;
            }
            let mut sessions = sessions.clone();
            for (time, event) in waiting() {
                sessions.add(layout.tile, &layout.slots, gap, time, event);
            }
            if let Some(session) = sessions.current(gap, at) {
                merge(&window.slots, total, session.row());
            }
        }
        Kind::Last { recent, most } => {
            let mask = layout.recent[recent].mask;
            let counted = waiting().filter(|(_, event)| event.counts(mask));
            let mut last: Vec<(i64, Row<'_>)> = beside.recent[recent].events().chain(counted).collect();
            last.drain(..last.len().saturating_sub(most));
            for (time, event) in last {
                fold(&window.slots, total, event, time);
            }
        }
        Kind::Sliding { .. } | Kind::Tumbling { .. } | Kind::Lifetime => {}
    }
}
