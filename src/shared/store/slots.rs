//! Slots of a cluster: CRC16 of the hash tag of a key.

use std::collections::HashSet;

use redis::{Value, from_redis_value};

use crate::shared::config::Address;

/// First and last slot, and the address of their master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotRange {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) master: Address,
}

/// Returns the slot of a key: of the part in the first pair of braces, if it is not empty.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, as the cluster specification requires.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// Parses the reply to `CLUSTER SLOTS`. A node without an address of its own is the one that was asked.
pub(super) fn parse_slots(reply: Value, asked: &Address) -> Option<Vec<SlotRange>> {
    let Value::Array(rows) = reply else { return None };
    if rows.len() > usize::from(SLOTS) {
        return None;
    }
    let rows = rows.into_iter().map(|row| {
        let Value::Array(row) = row else { return None };
        let mut row = row.into_iter();
        let (first, last) = (from_redis_value(row.next()?).ok()?, from_redis_value(row.next()?).ok()?);
        let Value::Array(master) = row.next()? else { return None };
        let mut master = master.into_iter();
        let host = from_redis_value::<Option<String>>(master.next()?).ok()?;
        let port = from_redis_value(master.next()?).ok()?;
        let host = host.filter(|host| !matches!(&**host, "" | "?")).unwrap_or_else(|| asked.host.clone());
        Some(SlotRange { first, last, master: Address { host, port } })
    });
    let ranges: Vec<_> = rows.collect::<Option<_>>()?;
    let masters: HashSet<_> = ranges.iter().map(|range| &range.master).collect();
    (masters.len() <= MAX_MASTERS).then_some(ranges)
}

const SLOTS: u16 = 16384;
/// Masters of a cluster: each has a connection and a task. The cluster specification recommends at most 1,000 nodes.
const MAX_MASTERS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"foo"), 12182);
        assert_eq!(slot_of(b"cc:{foo}:e:1"), 12182);
        assert_eq!(slot_of(b"{}foo"), crc16(b"{}foo") % SLOTS);
        assert_eq!(slot_of(b"{foo"), crc16(b"{foo") % SLOTS);
    }

    #[test]
    fn the_reply_of_a_node_names_the_masters() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(vec![])]);
        let reply = Value::Array(vec![
            Value::Array(vec![
                Value::Int(0),
                Value::Int(5460),
                node(text("10.0.0.1"), 7000),
                node(text("x"), 1),
            ]),
            Value::Array(vec![Value::Int(5461), Value::Int(16383), node(Value::Nil, 7001)]),
        ]);
        let asked = Address { host: "seed".to_owned(), port: 7 };
        let address = |host: &str, port| Address { host: host.to_owned(), port };
        let expected = vec![
            SlotRange { first: 0, last: 5460, master: address("10.0.0.1", 7000) },
            SlotRange { first: 5461, last: 16383, master: address("seed", 7001) },
        ];
        assert_eq!(parse_slots(reply, &asked), Some(expected));
        assert_eq!(parse_slots(Value::Nil, &asked), None);
    }

    #[test]
    fn more_masters_than_a_cluster_can_have_are_refused() {
        let asked = Address { host: "seed".to_owned(), port: 7 };
        let reply = |masters: i64| {
            let row = |port| {
                let node = Value::Array(vec![Value::Nil, Value::Int(port)]);
                Value::Array(vec![Value::Int(port), Value::Int(port), node])
            };
            Value::Array((1..=masters).map(row).collect())
        };
        assert_eq!(parse_slots(reply(1000), &asked).map(|ranges| ranges.len()), Some(1000));
        assert_eq!(parse_slots(reply(1001), &asked), None);
    }
}
