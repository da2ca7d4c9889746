//! Serves hits, or a constant, to a client in the same thread: nothing else runs, so that what a hit costs can be
//! counted instead of timed.
//!
//!     hits ours|bare COUNT
//!
//! The clock stands still, so each answer has the same bytes.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use connector_cache::clock::Clock;
use connector_cache::config::Config;
use connector_cache::run::{App, Listeners};
use connector_cache::sandbox::{CONTOSO, Options, SIGN_UP, Sandbox};
use connector_cache::telemetry::Access;
use connector_cache_benches::{bare, request, talk::Talk};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (what, count) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let count = count.parse().map_err(|_| "usage: hits ours|bare COUNT")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let sandbox = Sandbox::start(Options::default())?;
        let token = sandbox.token().tenant(CONTOSO).user("ada").mint();
        let address = match what.as_str() {
            "ours" => ours(&sandbox).await?,
            "bare" => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let address = listener.local_addr()?;
                tokio::spawn(bare::serve(listener, BODY, false));
                address
            }
            _ => return Err("usage: hits ours|bare COUNT".into()),
        };
        let request = request(&address.to_string(), SIGN_UP, &token);
        let mut talk = Talk::with(address).await?;
        talk.ask(&request).await?;
        let answer = talk.ask(&request).await?.to_owned();
        if what == "ours" && !answer.contains("connector-cache; hit") {
            return Err(format!("this is no hit: {answer}").into());
        }
        for _ in 0..count {
            talk.ask_again(&request, answer.len()).await?;
        }
        println!("{} bytes asked, {} bytes answered", request.len(), answer.len());
        Ok(())
    })
}

async fn ours(sandbox: &Sandbox) -> Result<SocketAddr, Box<dyn Error>> {
    let mut config = Config::default();
    config.origin.base_url = Url::parse(&sandbox.url())?;
    config.telemetry.access = Access::Off;
    let any = (Ipv4Addr::LOCALHOST, 0);
    let listeners = Listeners { data: TcpListener::bind(any).await?, admin: TcpListener::bind(any).await? };
    let address = listeners.data.local_addr()?;
    let app = App::new(config, Clock::manual(SystemTime::now()))?;
    tokio::spawn(app.run(listeners, CancellationToken::new(), None, std::convert::identity));
    Ok(address)
}

/// Bytes, about those of the stand-in's answer.
const BODY: usize = 1_161;
