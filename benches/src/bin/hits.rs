//! Serves hits, misses, or a constant, to a client in the same thread: nothing else runs, so that what a request costs can be
//! counted instead of timed.
//!
//!     hits ours|bare|shared|console|miss|miss-gzip|miss-unknown|through|keys|many COUNT
//!
//! The clock stands still, so each answer has the same bytes.

use std::error::Error;

use connector_cache_benches::scene::{SCENES, Scene};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (what, count) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let count = count.parse().map_err(|_| format!("usage: hits {SCENES} COUNT"))?;
    let mut scene = Scene::set(&what)?;
    scene.ask(count)?;
    println!("{}", scene.summary());
    Ok(())
}
