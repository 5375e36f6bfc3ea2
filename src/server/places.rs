//! How many connections one listener and one peer may hold open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limits::network;

/// Connections open at once on one listener: a few per Alertmanager, Prometheus and person, far below the usual 1,024
/// file descriptors.
const MAX_CONNECTIONS: usize = 512;

/// Of one address. An Alertmanager keeps at most 100 idle ones to one place, and repeats what could not connect.
const MAX_OF_ONE: usize = 128;

/// Left for this very machine, whoever else is there: the commands of whoever wants to stop the daemon, and its probes.
const RESERVED: usize = 32;

/// The open connections of one listener.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// One connection's place; dropped with it.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    peer: IpAddr,
}

impl Places {
    /// A place for one more connection, if there is one for this peer.
    pub fn take(&self, ip: IpAddr) -> Option<Place> {
        let peer = network(ip);
        let mut open = self.open();
        let most = if peer.is_loopback() { MAX_CONNECTIONS } else { MAX_CONNECTIONS - RESERVED };
        if open.all >= most || open.by_peer.get(&peer).is_some_and(|held| *held >= MAX_OF_ONE) {
            return None;
        }
        open.all += 1;
        *open.by_peer.entry(peer).or_default() += 1;
        drop(open);
        Some(Place { places: self.clone(), peer })
    }

    // Nothing that holds the lock can panic halfway.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open();
        open.all -= 1;
        if let Some(held) = open.by_peer.get_mut(&self.peer) {
            *held -= 1;
            if *held == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S14: however many others there are, this machine's own commands find a place, and a place left is a place again.
    #[test]
    fn s14_no_number_of_peers_takes_the_places_of_this_machine() {
        let places = Places::default();
        let elsewhere = |number: u8| IpAddr::from([192, 0, 2, number]);
        let mut held: Vec<Place> = Vec::new();
        for number in 0..10 {
            let of_one: Vec<Place> =
                (0..200).map_while(|_| places.take(elsewhere(number))).collect();
            assert!(of_one.len() <= MAX_OF_ONE, "{}", of_one.len());
            held.extend(of_one);
        }
        assert_eq!(held.len(), MAX_CONNECTIONS - RESERVED);
        let own: Vec<Place> =
            (0..RESERVED).map_while(|_| places.take(IpAddr::from([127, 0, 0, 1]))).collect();
        assert_eq!(own.len(), RESERVED);
        assert!(places.take(IpAddr::from([127, 0, 0, 2])).is_none(), "the listener's own bound");
        drop(held);
        assert!(places.take(elsewhere(0)).is_some());
        drop(own);
        assert!(places.open().by_peer.is_empty() && places.open().all == 0);
    }
}
