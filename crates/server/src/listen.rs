//! The listening socket: where it may be, and serving until told to stop.

use std::future::{Future, IntoFuture};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::{App, router};

/// How often samples of the histograms are folded, so that they take no memory while nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// An address that the service does not listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} can be reached from other machines, and there is no authentication yet; listen on 127.0.0.1:{port} and put \
     a proxy that authenticates in front of it", port = .0.port()
)]
pub struct BindError(SocketAddr);

impl BindError {
    /// What a caller can do about it: choose another address.
    pub fn kind(&self) -> perennial_types::Kind {
        perennial_types::Kind::Invalid
    }
}

/// Whether the service may listen on an address: on the loopback of this machine only.
///
/// # Errors
/// When others could reach it.
pub fn check_bind(addr: SocketAddr) -> Result<(), BindError> {
    if addr.ip().to_canonical().is_loopback() { Ok(()) } else { Err(BindError(addr)) }
}

/// Serve until `shutdown` is done, then answer what has been asked and return.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // Without it an answer of two small writes waits for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
    });
    let keeping = tokio::spawn(keep_metrics(Arc::clone(&app)));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(listener, router(app)).with_graceful_shutdown(async {
        // An end of the sender is a word to stop, too.
        let _ = stopped.await;
    });
    let mut serving = pin!(serving.into_future());
    let served = tokio::select! {
        served = &mut serving => served,
        () = shutdown => {
            drop(stop);
            serving.await
        }
    };
    keeping.abort();
    served
}

async fn keep_metrics(app: Arc<App>) {
    let mut interval = tokio::time::interval(UPKEEP);
    loop {
        interval.tick().await;
        app.metrics.upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_may_be_listened_on() {
        for addr in ["127.0.0.1:7070", "127.8.8.8:0", "[::1]:7070", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check_bind(addr.parse().unwrap()), Ok(()), "{addr}");
        }
        for addr in ["0.0.0.0:7070", "[::]:7070", "192.168.1.4:7070", "[::ffff:10.0.0.1]:1"] {
            assert!(check_bind(addr.parse().unwrap()).is_err(), "{addr}");
        }
        let error = check_bind("0.0.0.0:7070".parse().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "0.0.0.0:7070 can be reached from other machines, and there is no authentication yet; listen on \
             127.0.0.1:7070 and put a proxy that authenticates in front of it"
        );
    }
}
