//! Bytes in flight: bodies that come from Graph, and large answers that are on their way to callers.
//!
//! Each takes room before it is there and gives it back when its last byte is gone, whatever ends it. Where there is
//! no room, nobody waits: the request is refused, and what is on its way goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

use crate::dial::Dial;

/// The room of a process. Clones share it.
#[derive(Clone, Debug)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: Dial<usize>,
    taken: AtomicUsize,
}

/// Room that is taken. Dropping it gives it back.
#[derive(Debug)]
pub struct Held {
    room: Room,
    bytes: usize,
}

/// There is no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Room {
    /// Room for so many bytes (`limits.bytes_in_flight`).
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner { limit: Dial::new(limit), taken: AtomicUsize::new(0) }))
    }

    /// Changes the limit. What is held stays held.
    pub fn resize(&self, limit: usize) {
        self.0.limit.set(limit);
    }

    /// Bytes that may be held.
    pub fn limit(&self) -> usize {
        self.0.limit.get()
    }

    /// Bytes that are held.
    pub fn taken(&self) -> usize {
        self.0.taken.load(Relaxed)
    }

    /// Takes room for `bytes`.
    pub fn take(&self, bytes: usize) -> Result<Held, NoRoom> {
        let mut held = Held { room: self.clone(), bytes: 0 };
        held.cover(bytes).map(|()| held)
    }
}

impl Held {
    /// Takes more, until there is room for `bytes` in all.
    pub fn cover(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let Some(more) = bytes.checked_sub(self.bytes) else { return Ok(()) };
        let Inner { limit, taken } = &*self.room.0;
        let limit = limit.get();
        let fits = |taken: usize| taken.checked_add(more).filter(|all| *all <= limit);
        taken.fetch_update(Relaxed, Relaxed, fits).map_err(|_| NoRoom)?;
        self.bytes = bytes;
        Ok(())
    }

    /// Ties this room to the bytes it was taken for: it is given back with the last reference to what is returned.
    pub fn tie(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Tied { bytes, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.0.taken.fetch_sub(self.bytes, Relaxed);
    }
}

struct Tied {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Tied {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back() {
        let room = Room::new(100);
        let mut held = room.take(60).unwrap();
        assert_eq!(room.take(41).err(), Some(NoRoom));
        let rest = room.take(40).unwrap();
        assert_eq!((held.cover(61), held.cover(10)), (Err(NoRoom), Ok(())));
        assert_eq!(room.taken(), 100, "what was refused took nothing, and what is held stays");
        drop(rest);
        assert_eq!(held.cover(100), Ok(()));
        drop(held);
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn tied_room_is_given_back_with_the_last_reference() {
        let room = Room::new(100);
        let bytes = room.take(3).unwrap().tie(Bytes::from_static(b"abc"));
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!((&*part, room.taken()), (&b"bc"[..], 3));
        drop(part);
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn a_smaller_room_takes_nothing_away_and_lets_nothing_more_in() {
        let room = Room::new(100);
        let held = room.take(100).unwrap();
        room.resize(50);
        drop(held);
        assert_eq!((room.take(51).err(), room.take(50).is_ok()), (Some(NoRoom), true));
    }
}
