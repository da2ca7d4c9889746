//! A server and a client of hyper with nothing between them, on one runtime: what no proxy built on both can beat.
//!
//!     through ADDRESS ORIGIN

use std::error::Error;

use connector_cache_benches::through;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, origin] = &arguments[..] else { return Err("usage: through ADDRESS ORIGIN".into()) };
    through::serve(TcpListener::bind(address).await?, format!("http://{origin}").parse()?).await;
    Ok(())
}
