//! Ports for child processes that must know theirs before they start. In-process servers bind port 0 instead.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below Linux' ephemeral range (from 32768): no outgoing connection takes the port of a server that is stopped and
/// started again.
const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 that is free now and that this process hands out to nobody else.
pub fn free_port() -> u16 {
    // Test binaries that run side by side start far from each other.
    let start =
        u16::try_from(std::process::id() * 131 % u32::from(COUNT)).expect("COUNT fits into u16");
    for _ in 0..COUNT {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + offset) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
