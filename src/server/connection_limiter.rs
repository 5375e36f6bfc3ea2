//! How many connections one listener and one peer may hold open, and which one is closed to make room for another.
//!
//! When there is no place left, a connection that never carried a token is closed: the one that has been idle longest, else
//! one of the address that holds most. Idle means that it waits for a request head: it never sent a whole one, or it is between
//! two requests. An answer that is cut off may be asked for again: every handler bears that its peer goes away.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::limits::network;

/// Connections open at once on one listener: a few per Alertmanager, Prometheus and person. Fewer where the limit of open
/// files asks for it (`capacity`).
pub(super) const MOST: usize = 512;

/// Every answer is complete after 20 s (10 s for a webhook's body, 10 s for the store). A peer that is not done with its
/// request by now reads ever so slowly.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The open connections of one listener.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimiter {
    most: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    connections: HashMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    peer: IpAddr,
    /// From this very machine.
    own: bool,
    state: State,
    /// Since when it is in this state.
    since: Instant,
    /// A request of it carried one of the configured tokens.
    has_token: bool,
    close: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Answering,
    /// Being closed. It counts until its socket is closed, so that the limit of open files holds at every instant.
    Closing,
}

/// Whether there is a place for one more connection.
#[derive(Debug)]
pub(super) enum Admission {
    Granted(Place),
    /// Another connection is closing: ask again as soon as one has ended.
    Closing,
    Full,
}

/// One connection's place; dropped with it.
#[derive(Debug)]
pub(super) struct Place(Activity);

/// One connection as its requests know it. Each carries it as an extension.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    places: ConnectionLimiter,
    id: u64,
}

/// A request that is being answered; dropped with the end of its answer.
#[derive(Debug)]
pub(super) struct Answering(Activity);

impl ConnectionLimiter {
    /// At most `most` connections at once.
    pub fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// Of one address: 128 of 512. An Alertmanager keeps at most 100 idle ones to one place, and repeats what could not
    /// connect.
    fn of_one(&self) -> usize {
        (self.most / 4).max(1)
    }

    /// Kept free for this machine: its probes, and the commands that stop the daemon.
    fn reserved(&self) -> usize {
        (self.most / 4).min(32)
    }

    /// A place for one more connection of this peer. `own` says that it comes from this very machine.
    pub fn take(&self, ip: IpAddr, own: bool) -> Admission {
        let peer = network(ip);
        let now = Instant::now();
        let mut open = self.open();
        let of_peer = open.count(|one| one.peer == peer && one.state != State::Closing);
        if of_peer >= self.of_one() && !open.close_one(now, peer, |one| one.peer == peer) {
            return Admission::Full;
        }
        let others_are_full = !own && open.count(|one| !one.own) >= self.most - self.reserved();
        if others_are_full || open.connections.len() >= self.most {
            // Nobody elsewhere takes the place of a connection from this machine.
            let closes = open.count(|one| one.state == State::Closing && (own || !one.own)) > 0
                || open.close_one(now, peer, |one| own || !one.own);
            return if closes { Admission::Closing } else { Admission::Full };
        }
        let id = open.next_id;
        open.next_id += 1;
        let close = CancellationToken::new();
        let (state, has_token) = (State::Idle, false);
        open.connections.insert(id, Connection { peer, own, state, since: now, has_token, close });
        drop(open);
        Admission::Granted(Place(Activity { places: self.clone(), id }))
    }

    // Nothing that holds the lock can panic halfway.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Counted anew each time: a look at 512 connections takes a microsecond.
    fn count(&self, which: impl Fn(&Connection) -> bool) -> usize {
        self.connections.values().filter(|one| which(one)).count()
    }

    /// Asks one of these to close for a connection of `newcomer`, none that carried a token: the one that has been idle
    /// longest; else the one that has been stuck longest; else the oldest of the peer that holds most, for as long as it
    /// holds more than the newcomer would. `false`: there is none.
    fn close_one(
        &mut self,
        now: Instant,
        newcomer: IpAddr,
        among: impl Fn(&Connection) -> bool,
    ) -> bool {
        let mut by_peer: HashMap<IpAddr, usize> = HashMap::new();
        for one in self.connections.values().filter(|one| one.state != State::Closing) {
            *by_peer.entry(one.peer).or_default() += 1;
        }
        let holds = |peer: IpAddr| by_peer.get(&peer).copied().unwrap_or_default();
        let would_hold = holds(newcomer) + 1;
        let order = |one: &Connection| match one.state {
            State::Closing => None,
            State::Idle => Some((0, Reverse(0), one.since)),
            State::Answering if now.duration_since(one.since) >= STUCK_AFTER => {
                Some((1, Reverse(0), one.since))
            }
            State::Answering => Some((2, Reverse(holds(one.peer)), one.since))
                .filter(|(_, Reverse(holds), _)| *holds > would_hold),
        };
        let open = self.connections.iter_mut();
        let candidates = open.filter(|(_, one)| !one.has_token && among(one));
        // Of those that began in the same instant the one that was accepted first.
        let ordered = candidates.filter_map(|(id, one)| Some(((order(one)?, *id), one)));
        let first = ordered.min_by_key(|(at, _)| *at);
        let Some((_, victim)) = first else { return false };
        victim.state = State::Closing;
        victim.close.cancel();
        true
    }
}

impl Place {
    /// Cancelled when this connection has to make room for another.
    pub fn close(&self) -> CancellationToken {
        let open = self.0.places.open();
        open.connections.get(&self.0.id).map(|one| one.close.clone()).unwrap_or_default()
    }

    pub fn activity(&self) -> Activity {
        self.0.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.open().connections.remove(&self.0.id);
    }
}

impl Activity {
    /// A request head has been read. `None`: the connection is closing, and nothing may be begun on it.
    pub fn begin(&self) -> Option<Answering> {
        self.enter(State::Answering).then(|| Answering(self.clone()))
    }

    /// A request carried one of the configured tokens.
    pub fn carried_token(&self) {
        if let Some(one) = self.places.open().connections.get_mut(&self.id) {
            one.has_token = true;
        }
    }

    fn enter(&self, state: State) -> bool {
        let mut open = self.places.open();
        let one = open.connections.get_mut(&self.id).filter(|one| one.state != State::Closing);
        let Some(one) = one else { return false };
        (one.state, one.since) = (state, Instant::now());
        true
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.enter(State::Idle);
    }
}

/// The body of an answer. Its connection is idle again when the last of it has been taken.
#[derive(Debug)]
pub(super) struct AnswerBody {
    body: Body,
    /// Dropped with the body.
    _answering: Answering,
}

impl AnswerBody {
    pub fn new(body: Body, answering: Answering) -> Self {
        Self { body, _answering: answering }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn elsewhere(number: usize) -> IpAddr {
        IpAddr::from([192, 0, 2, u8::try_from(number).expect("a small number")])
    }

    fn granted(places: &ConnectionLimiter, ip: IpAddr) -> Place {
        match places.take(ip, ip == OWN) {
            Admission::Granted(place) => place,
            other => panic!("{ip}: {other:?}"),
        }
    }

    /// As many as there are places for peers elsewhere, from four addresses, each being answered or idle.
    fn filled(places: &ConnectionLimiter, answering: bool) -> Vec<(Place, Option<Answering>)> {
        let others = places.most - places.reserved();
        let one = |number: usize| {
            let place = granted(places, elsewhere(number % 4));
            let answering = answering.then(|| place.activity().begin().expect("open"));
            (place, answering)
        };
        (0..others).map(one).collect()
    }

    /// S14: idle connections keep nobody out: the oldest one is closed, and its place is free when it has.
    #[tokio::test(start_paused = true)]
    async fn s14_the_oldest_idle_connection_makes_room_for_a_new_one() {
        let places = ConnectionLimiter::new(MOST);
        let mut held = filled(&places, false);
        let oldest = held[0].0.close();
        for _ in 0..3 {
            assert!(matches!(places.take(elsewhere(9), false), Admission::Closing));
        }
        let told = held.iter().filter(|(place, _)| place.close().is_cancelled()).count();
        assert!(oldest.is_cancelled() && told == 1, "{told}");
        assert!(held[0].0.activity().begin().is_none(), "nothing is begun on it any more");
        drop(held.remove(0));
        drop(granted(&places, elsewhere(9)));
        // This machine has places of its own.
        let own: Vec<Place> = (0..places.reserved()).map(|_| granted(&places, OWN)).collect();
        assert_eq!(held.iter().filter(|(place, _)| place.close().is_cancelled()).count(), 0);
        drop((held, own));
        assert!(places.open().connections.is_empty());
    }

    /// S14: what is being answered gives way after what is idle and what is stuck, and only of an address that holds more
    /// than the new one would; what carried a token never does.
    #[tokio::test(start_paused = true)]
    async fn s14_what_is_answered_gives_way_last_and_what_has_a_token_never() {
        let places = ConnectionLimiter::new(MOST);
        let mut held = filled(&places, true);
        held[0].0.activity().carried_token();
        held[0].1 = None;
        assert!(matches!(places.take(OWN, true), Admission::Granted(_)), "its own places");
        let told = |held: &[(Place, Option<Answering>)]| {
            held.iter().position(|(place, _)| place.close().is_cancelled())
        };
        tokio::time::advance(STUCK_AFTER / 2).await;
        let _fresh = held[1].0.activity().begin();
        assert!(matches!(places.take(elsewhere(9), false), Admission::Closing));
        // Neither the one with a token nor the one whose request is younger.
        assert_eq!(told(&held), Some(2));
    }

    /// S14: slow readers on every place hold one place less each time somebody else comes, until all have as many.
    #[tokio::test(start_paused = true)]
    async fn s14_slow_readers_share_with_who_comes() {
        let places = ConnectionLimiter::new(MOST);
        let mut held = filled(&places, true);
        let mut others = Vec::new();
        loop {
            match places.take(elsewhere(9), false) {
                Admission::Granted(place) => {
                    let answering = place.activity().begin();
                    others.push((place, answering));
                }
                Admission::Closing => held.retain(|(place, _)| !place.close().is_cancelled()),
                Admission::Full => break,
            }
        }
        assert_eq!((others.len(), held.len()), (96, 384), "a fifth each");
        tokio::time::advance(STUCK_AFTER).await;
        others[7].1 = None;
        assert!(matches!(places.take(elsewhere(9), false), Admission::Closing));
        assert!(others[7].0.close().is_cancelled(), "the idle one first");
        drop(others.remove(7));
        let fresh = granted(&places, elsewhere(9));
        let _answering = fresh.activity().begin();
        assert!(matches!(places.take(elsewhere(9), false), Admission::Closing), "stuck ones next");
        assert!(!fresh.close().is_cancelled());
    }

    /// S14: one address has its own bound, and makes room among its own connections.
    #[tokio::test(start_paused = true)]
    async fn s14_one_address_makes_room_among_its_own() {
        let places = ConnectionLimiter::new(MOST);
        let other = granted(&places, elsewhere(1));
        let held: Vec<Place> =
            (0..places.of_one()).map(|_| granted(&places, elsewhere(2))).collect();
        let _next = granted(&places, elsewhere(2));
        assert!(held[0].close().is_cancelled() && !other.close().is_cancelled());
        // While all of its own are being answered there is no room for it, and there is for others.
        let few = ConnectionLimiter::new(4);
        let busy = granted(&few, elsewhere(1));
        let answering = busy.activity().begin();
        assert!(matches!(few.take(elsewhere(1), false), Admission::Full));
        assert!(matches!(few.take(elsewhere(2), false), Admission::Granted(_)));
        drop(answering);
        assert!(matches!(few.take(elsewhere(1), false), Admission::Granted(_)));
    }

    /// S14: nobody elsewhere takes the place of a connection from this machine, however few places there are.
    #[tokio::test(start_paused = true)]
    async fn s14_no_number_of_peers_takes_the_places_of_this_machine() {
        for most in [16, 64, MOST] {
            let places = ConnectionLimiter::new(most);
            let own: Vec<Place> = (0..places.reserved()).map(|_| granted(&places, OWN)).collect();
            let mut held = filled(&places, false);
            assert_eq!(held.len() + own.len(), most);
            assert!(matches!(places.take(elsewhere(9), false), Admission::Closing));
            assert!(own.iter().all(|place| !place.close().is_cancelled()), "{most}");
            // This machine's own bound: an idle one of it makes room.
            held.clear();
            assert!(!matches!(places.take(OWN, true), Admission::Full), "{most}");
        }
    }
}
