//! Values that are built in their allocation.
//!
//! `Box::new(value)` builds the value on the stack and copies all of it, also the parts that have no content yet. Those are most
//! of a future that has not been polled: several kilobytes for a request to Graph.

use std::pin::Pin;

/// Allocates, then builds the value in place.
pub fn boxed<T>(build: impl FnOnce() -> T) -> Box<T> {
    // In this order, because the compiler writes the value to the allocation only if it exists already.
    let place = Box::new_uninit();
    Box::write(place, build())
}

/// Allocates, then builds a pinned value in place.
pub fn boxed_pin<T>(build: impl FnOnce() -> T) -> Pin<Box<T>> {
    Box::into_pin(boxed(build))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_is_built_once_and_boxed() {
        let (mut built, number) = (0, Box::new(7));
        let future = boxed_pin(|| {
            built += 1;
            async move { *number }
        });
        assert_eq!((future.await, built), (7, 1));
        assert_eq!(*boxed(|| "text".to_owned()), "text");
    }
}
