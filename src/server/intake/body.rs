//! Reads a request's body within a size, a time, and the room that there is for all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use futures::StreamExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How much more than the limit is read and thrown away, so that a sender that is slightly over gets its 413 instead
/// of a reset connection, which it would only try again.
const DRAINED: usize = 4;

/// An Alertmanager sends a body in one go: one that is still arriving after this may have to make room for another.
const SLOW: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) enum BodyError {
    TooLarge,
    TooSlow,
    NoRoom,
    Broken(String),
}

/// The memory for the bodies of all peers, shared fairly between them. One peer may use all of it while nobody else needs
/// it. A request that finds none left takes it from bodies that are still being read, of the peer that holds most, for as long as
/// that one holds more than the one who asks. A body that has been arriving for
/// longer than [`SLOW`] gives way even where nobody holds more, the oldest of the peer that holds most first: so slow bodies,
/// one each of however many peers, turn a newcomer away for at most that long.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    total: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    next_id: u64,
    /// By age.
    bodies: BTreeMap<u64, HeldBody>,
}

#[derive(Debug)]
struct HeldBody {
    peer: IpAddr,
    bytes: usize,
    since: Instant,
    /// Cancelled when its memory goes to another peer; `None`: it has been read and waits for the store.
    reading: Option<CancellationToken>,
}

/// The part that one body takes of the memory for all: what has arrived of it, and at least a little. Released when it
/// is dropped.
#[derive(Debug)]
pub(super) struct Room {
    budget: Budget,
    id: u64,
    revoked: CancellationToken,
}

impl Budget {
    pub fn new(total: usize) -> Self {
        Self { total, held: Arc::default() }
    }

    /// Room for a body of this peer, of which `least` bytes are taken at once.
    pub fn take(&self, peer: IpAddr, least: usize) -> Option<Room> {
        let mut held = self.held();
        if !held.make_room(self.total, peer, least) {
            return None;
        }
        let (id, revoked) = (held.next_id, CancellationToken::new());
        held.next_id += 1;
        held.all += least;
        let (since, reading) = (Instant::now(), Some(revoked.clone()));
        held.bodies.insert(id, HeldBody { peer, bytes: least, since, reading });
        drop(held);
        Some(Room { budget: self.clone(), id, revoked })
    }

    // Nothing that holds the lock can panic halfway.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Are so many bytes left for this peer, if need be after taking them from those that hold more? What is taken counts
    /// as free at once: its reader drops it when it runs next.
    fn make_room(&mut self, total: usize, peer: IpAddr, more: usize) -> bool {
        if self.all.saturating_add(more) <= total {
            return true;
        }
        let mut by_peer: HashMap<IpAddr, usize> = HashMap::new();
        for body in self.bodies.values() {
            *by_peer.entry(body.peer).or_default() += body.bytes;
        }
        let would_hold = by_peer.get(&peer).copied().unwrap_or_default().saturating_add(more);
        while self.all.saturating_add(more) > total {
            let gives_way = |body: &HeldBody| {
                let has_more = by_peer[&body.peer] > would_hold;
                body.reading.is_some() && (has_more || body.since.elapsed() > SLOW)
            };
            let bodies = self.bodies.iter().filter(|(_, body)| gives_way(body));
            let largest = bodies.map(|(id, body)| (by_peer[&body.peer], Reverse(*id))).max();
            let Some((holds, Reverse(id))) = largest else { return false };
            let Some(body) = self.remove(id) else { return false };
            by_peer.insert(body.peer, holds - body.bytes);
            if let Some(reading) = body.reading {
                reading.cancel();
            }
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<HeldBody> {
        let body = self.bodies.remove(&id)?;
        self.all -= body.bytes;
        Some(body)
    }
}

impl Room {
    /// Takes as much as `bytes` need in all.
    fn cover(&mut self, bytes: usize) -> Result<(), BodyError> {
        let mut held = self.budget.held();
        let body = held.bodies.get(&self.id).ok_or(BodyError::NoRoom)?;
        let (peer, more) = (body.peer, bytes.saturating_sub(body.bytes));
        if !held.make_room(self.budget.total, peer, more) {
            return Err(BodyError::NoRoom);
        }
        let body = held.bodies.get_mut(&self.id).ok_or(BodyError::NoRoom)?;
        body.bytes += more;
        held.all += more;
        Ok(())
    }

    /// The body has been read whole: from now on it keeps its room until it is stored.
    fn keep(&self) -> Result<(), BodyError> {
        let mut held = self.budget.held();
        held.bodies.get_mut(&self.id).ok_or(BodyError::NoRoom)?.reading = None;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.held().remove(self.id);
    }
}

/// The whole body, at most `max` bytes of it, within `time`.
pub(super) async fn read(
    body: Body,
    max: usize,
    time: Duration,
    room: &mut Room,
) -> Result<Vec<u8>, BodyError> {
    let revoked = room.revoked.clone();
    let read = tokio::select! {
        read = tokio::time::timeout(time, collect(body, max, room)) => read,
        () = revoked.cancelled() => return Err(BodyError::NoRoom),
    };
    let read = read.unwrap_or(Err(BodyError::TooSlow))?;
    room.keep()?;
    Ok(read)
}

async fn collect(body: Body, max: usize, room: &mut Room) -> Result<Vec<u8>, BodyError> {
    let mut chunks = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| BodyError::Broken(error.to_string()))?;
        if read.len() + chunk.len() > max {
            drop(read);
            let mut left = max.saturating_mul(DRAINED);
            while let Some(Ok(chunk)) = chunks.next().await {
                match left.checked_sub(chunk.len()) {
                    Some(less) => left = less,
                    None => break,
                }
            }
            return Err(BodyError::TooLarge);
        }
        room.cover(read.len() + chunk.len())?;
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    fn filled(budget: &Budget, peers: &[u8]) -> Vec<Room> {
        let rooms = peers.iter().cycle().map_while(|number| budget.take(peer(*number), 16));
        rooms.take(16).collect()
    }

    fn revoked(rooms: &[Room]) -> usize {
        rooms.iter().filter(|room| room.revoked.is_cancelled()).count()
    }

    /// S14: slow bodies of however many peers hold all that there is, and the next one finds room: the oldest of them is
    /// given up. Those who hold most do not gain from it.
    #[test]
    fn s14_slow_bodies_take_no_other_peers_room() {
        for peers in [&[1][..], &[1, 2], &[1, 2, 3, 4, 5, 6, 7]] {
            let budget = Budget::new(256);
            let rooms = filled(&budget, peers);
            assert_eq!((rooms.len(), budget.held().all), (16, 256), "{peers:?}");
            assert!(budget.take(peer(1), 16).is_none(), "{peers:?}: it holds as much as any");
            let mut next = budget.take(peer(9), 16).expect("room");
            assert!(rooms[0].revoked.is_cancelled() && revoked(&rooms) == 1, "{peers:?}");
            next.cover(32).expect("as much as the others have each");
            assert!(budget.held().all <= 256);
            drop((rooms, next));
            assert!(budget.held().all == 0 && budget.held().bodies.is_empty());
        }
    }

    /// S14: slow bodies, one each of as many peers as there is room for, make room for a newcomer when they have had their
    /// time, and for a body that grows; not before, and never what has been read.
    #[tokio::test(start_paused = true)]
    async fn s14_what_arrives_slowly_makes_room_even_where_nobody_holds_more() {
        let budget = Budget::new(256);
        let peers: Vec<u8> = (1..=16).collect();
        let rooms = filled(&budget, &peers);
        rooms[0].keep().expect("held");
        tokio::time::advance(SLOW).await;
        assert!(budget.take(peer(99), 16).is_none(), "they have had their time, and no more");
        assert_eq!(revoked(&rooms), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        let mut next = budget.take(peer(99), 16).expect("room");
        assert!(rooms[1].revoked.is_cancelled() && revoked(&rooms) == 1, "the oldest");
        next.cover(32).expect("as much again");
        assert!(rooms[2].revoked.is_cancelled() && revoked(&rooms) == 2);
        // The newcomer holds more than these: it goes first.
        let others: Vec<Room> = (100..115).filter_map(|n| budget.take(peer(n), 16)).collect();
        assert_eq!((others.len(), revoked(&rooms)), (15, 15), "all but the one that was read");
        assert!(budget.take(peer(120), 16).is_none() && budget.held().all == 256);
    }

    /// S14: a body that has been read keeps its room, and a peer that would hold more than the others takes none of theirs.
    #[test]
    fn s14_what_has_been_read_keeps_its_room() {
        let budget = Budget::new(256);
        let mut rooms = filled(&budget, &[1]);
        for room in &rooms {
            room.keep().expect("held");
        }
        assert!(budget.take(peer(2), 16).is_none());
        rooms.truncate(8);
        let mut second = budget.take(peer(2), 16).expect("room");
        second.cover(128).expect("all that is left");
        assert!(matches!(second.cover(129), Err(BodyError::NoRoom)));
        assert_eq!(revoked(&rooms), 0);
    }
}
