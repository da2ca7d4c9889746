//! Counts the allocations of a hit and of bare hyper's answer, the client's included, which has none; and of a miss and its
//! minimum, where the client and the stand-in for Graph are included.
//!
//!     allocations

use std::error::Error;

use connector_cache_benches::scene::Scene;

fn main() -> Result<(), Box<dyn Error>> {
    for what in ["bare", "ours", "through", "miss"] {
        let mut scene = Scene::set(what)?;
        let mut outcome = Ok(());
        let counted = allocation_counter::measure(|| outcome = scene.ask(COUNT));
        outcome?;
        println!("{what} {:.2}", counted.count_total as f64 / COUNT as f64);
    }
    Ok(())
}

const COUNT: usize = 1_000;
