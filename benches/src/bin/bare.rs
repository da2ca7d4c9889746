//! Bare hyper with a constant answer, on one runtime: what no server built on it can beat.
//!
//!     bare ADDRESS THREADS BODY_BYTES [h2]

use std::error::Error;

use connector_cache_benches::bare;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, threads, length, protocol @ ..] = &arguments[..] else {
        return Err("usage: bare ADDRESS THREADS BODY_BYTES [h2]".into());
    };
    let (threads, length, h2) = (threads.parse()?, length.parse()?, !protocol.is_empty());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        // On a worker, as every server has it: the thread that starts is not one of them.
        tokio::spawn(bare::serve(listener, length, h2)).await?;
        Ok(())
    })
}
