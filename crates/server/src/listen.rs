//! Serving until told to stop.

use std::future::{Future, IntoFuture};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::{App, router};

/// How often samples of the histograms are folded, so that they take no memory while nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

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
