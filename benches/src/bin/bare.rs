//! Bare hyper with a constant answer, on one runtime: what no server built on it can beat.
//!
//!     bare ADDRESS THREADS BODY_BYTES [h2 | BODIES]
//!
//! With a number of bodies it answers with one of as many different bodies at random.

use std::error::Error;

use connector_cache_benches::bare;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, threads, length, protocol @ ..] = &arguments[..] else {
        return Err("usage: bare ADDRESS THREADS BODY_BYTES [h2 | BODIES]".into());
    };
    let (threads, length) = (threads.parse()?, length.parse()?);
    let h2 = protocol.first().is_some_and(|protocol| protocol == "h2");
    let bodies = protocol.first().filter(|_| !h2).map(|bodies| bodies.parse()).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        // On a worker, as every server has it: the thread that starts is not one of them.
        match bodies {
            Some(bodies) => tokio::spawn(bare::serve_many(listener, length, bodies)).await?,
            None => tokio::spawn(bare::serve(listener, length, h2)).await?,
        }
        Ok(())
    })
}
