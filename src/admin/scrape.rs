//! Coalescing of scrapes: one rendering of the metrics at a time, which all waiting callers share.
//!
//! A rendering takes a millisecond of processor time, and reads files of the system. It runs on a thread that serves no
//! connection. A pause after each rendering limits repeated scrapes to a fifth of one processor.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::observability::metrics::ExpositionFormat;

/// Shared state of all scrapes: the last rendering.
#[derive(Debug, Default)]
pub(super) struct ScrapeCoalescer(Arc<Mutex<Option<Rendering>>>);

#[derive(Debug)]
struct Rendering {
    format: ExpositionFormat,
    body: Bytes,
    begun: Instant,
    /// Earliest begin of the next rendering.
    next: Instant,
}

impl ScrapeCoalescer {
    /// Returns a rendering in `format` that began after the call, or its error. Callers of one format that wait at the same
    /// time share one rendering.
    pub(super) async fn get<E, F>(&self, format: ExpositionFormat, render: F) -> Result<Bytes, ScrapeError<E>>
    where
        E: Send + 'static,
        F: FnOnce() -> Result<Vec<u8>, E> + Send + 'static,
    {
        let called = Instant::now();
        let mut last = Arc::clone(&self.0).lock_owned().await;
        if let Some(rendering) = &*last {
            if rendering.begun >= called && rendering.format == format {
                return Ok(rendering.body.clone());
            }
            sleep_until(rendering.next).await;
        }
        // The closure owns the lock, so that no second rendering begins after the caller has disconnected.
        let rendered = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let body = Bytes::from(render()?);
            let pause = (begun.elapsed() * PAUSE_FACTOR).min(MAX_PAUSE);
            *last = Some(Rendering { format, body: body.clone(), begun, next: Instant::now() + pause });
            Ok(body)
        });
        rendered.await.map_err(|_| ScrapeError::Ended)?.map_err(ScrapeError::Render)
    }
}

/// Error of a scrape.
#[derive(Debug)]
pub(super) enum ScrapeError<E> {
    /// The metrics cannot be rendered.
    Render(E),
    /// The process is ending, or the rendering panicked.
    Ended,
}

/// Pause after a rendering, as a multiple of its duration.
const PAUSE_FACTOR: u32 = 4;
/// Upper bound of the pause, for a rendering whose duration contains a wait for a processor.
const MAX_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;

    use futures_util::future::join_all;

    use super::*;

    const TEXT: ExpositionFormat = ExpositionFormat::Text;

    #[tokio::test]
    async fn callers_that_wait_at_the_same_time_share_a_rendering_that_began_after_their_call() {
        let (coalescer, count) = (ScrapeCoalescer::default(), Arc::new(AtomicUsize::new(0)));
        let (release, held) = mpsc::channel::<()>();
        let counting = Arc::clone(&count);
        let first = coalescer.get(TEXT, move || {
            let number = counting.fetch_add(1, SeqCst);
            held.recv().ok();
            Ok::<_, Infallible>(number.to_string().into_bytes())
        });
        let others = async {
            // Waits until the first rendering has begun.
            while count.load(SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            let gets = join_all((0..50).map(|_| {
                let counting = Arc::clone(&count);
                coalescer.get(TEXT, move || {
                    Ok::<_, Infallible>(counting.fetch_add(1, SeqCst).to_string().into_bytes())
                })
            }));
            let release = async { release.send(()).unwrap() };
            tokio::join!(gets, release).0
        };
        let (first, others) = tokio::join!(first, others);
        assert_eq!(first.unwrap(), "0");
        assert!(others.into_iter().all(|text| text.unwrap() == "1"));
        assert_eq!(count.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn no_second_rendering_begins_after_a_caller_has_disconnected() {
        let (coalescer, running) = (Arc::new(ScrapeCoalescer::default()), Arc::new(AtomicUsize::new(0)));
        let (release, held) = mpsc::channel::<()>();
        let begun = Arc::clone(&running);
        let first = tokio::spawn({
            let coalescer = Arc::clone(&coalescer);
            async move {
                coalescer
                    .get(TEXT, move || {
                        begun.fetch_add(1, SeqCst);
                        held.recv().ok();
                        begun.fetch_sub(1, SeqCst);
                        Ok::<_, Infallible>(Vec::new())
                    })
                    .await
            }
        });
        while running.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let alone = Arc::clone(&running);
        let second =
            coalescer.get(TEXT, move || Ok::<_, Infallible>(alone.load(SeqCst).to_string().into_bytes()));
        let (second, sent) = tokio::join!(second, async { release.send(()) });
        sent.unwrap();
        assert_eq!(second.unwrap(), "0", "the first rendering has ended");
    }
}
