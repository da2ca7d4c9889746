//! What is told of a panic: where, and in which thread. Never what was said, for a value may be in it.

use std::io::Write;
use std::panic::PanicHookInfo;

/// Replaces the standard hook, which prints the message.
pub fn panic_hook() {
    std::panic::set_hook(Box::new(report));
}

fn report(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let location = info.location().map_or_else(String::new, ToString::to_string);
    if tracing::dispatcher::has_been_set() {
        tracing::error!(location, thread, "panic");
    } else {
        // Before the log is there. That nobody reads it is nothing to act on.
        let _ = writeln!(std::io::stderr(), "panic at {location} in thread {thread}");
    }
}
