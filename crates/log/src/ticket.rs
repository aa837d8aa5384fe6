//! What an append gives back at once: the promise of an outcome.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use perennial_types::Position;
use tokio::sync::oneshot;

use crate::{Appended, LogError};

/// The coming outcome of an append: one [`Appended`] an entry, in order; or of a flush: the position up to
/// which everything is on the disk and applied. Dropping it changes nothing about the log.
#[derive(Debug)]
#[must_use = "the records are only safe when the ticket says so"]
pub struct Ticket<T = Vec<Appended>>(oneshot::Receiver<Result<T, LogError>>);

/// The other end of a ticket.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, LogError>>;

impl<T> Ticket<T> {
    pub(crate) fn pair() -> (Reply<T>, Self) {
        let (reply, receiver) = oneshot::channel();
        (reply, Self(receiver))
    }

    /// Block this thread until the outcome is there. In an async task, await the ticket instead: blocking
    /// there panics.
    ///
    /// # Errors
    /// Whatever kept the log from doing it.
    pub fn wait(self) -> Result<T, LogError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl<T> Future for Ticket<T> {
    type Output = Result<T, LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|outcome| outcome.unwrap_or_else(|_| Err(gone())))
    }
}

fn gone() -> LogError {
    LogError::stopped("one of its threads ended")
}

/// Who waits for a group of records, and what they will be told.
pub(crate) enum Waiting {
    Append(Reply<Vec<Appended>>, Vec<Appended>),
    Flush(Reply<Position>),
    /// Waits until everything before it is applied, synced or not.
    Settle(Reply<Position>),
}

impl Waiting {
    /// Whether it waits for the disk.
    pub(crate) fn needs_sync(&self) -> bool {
        match self {
            Self::Append(..) | Self::Flush(_) => true,
            Self::Settle(_) => false,
        }
    }

    /// Tell it that everything up to `position` is safe. Nobody may be listening any more.
    pub(crate) fn succeed(self, position: Position) {
        match self {
            Self::Append(reply, appended) => drop(reply.send(Ok(appended))),
            Self::Flush(reply) | Self::Settle(reply) => drop(reply.send(Ok(position))),
        }
    }

    /// Tell it what went wrong.
    pub(crate) fn fail(self, error: &LogError) {
        match self {
            Self::Append(reply, _) => drop(reply.send(Err(error.clone()))),
            Self::Flush(reply) | Self::Settle(reply) => drop(reply.send(Err(error.clone()))),
        }
    }
}
