//! Log line of a panic: location and thread. The message of the panic is left out, because it can hold a value.

use std::io::Write;
use std::panic::PanicHookInfo;

/// Replaces the standard panic hook, which prints the message.
pub fn set_panic_hook() {
    std::panic::set_hook(Box::new(report));
}

fn report(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let location = info.location().map_or_else(String::new, ToString::to_string);
    if tracing::dispatcher::has_been_set() {
        tracing::error!(location, thread, "panic");
    } else {
        // The log has not started. A failure to write is ignored.
        let _ = writeln!(std::io::stderr(), "panic at {location} in thread {thread}");
    }
}
