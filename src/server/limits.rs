//! How often one address may ask, and how often it may show a wrong token. Memory for addresses is bounded.
//!
//! Leaves out what is answered beyond a bound: 429 by [`super::access`], 503 by [`super::intake`].

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// Addresses remembered; each takes some 50 bytes, all of them half a megabyte.
const MAX_PEERS: usize = 10_000;

/// Wrong or missing tokens of one address, a second; and as many at once as a person mistypes. A guesser at this pace
/// needs 10^31 years for 128 bits.
const FAILURES_PER_SECOND: NonZeroU32 = NonZeroU32::MIN;
const FAILURES_AT_ONCE: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// How long a peer that asked too often should wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait(pub Duration);

/// What one listener remembers of its peers.
#[derive(Debug)]
pub(super) struct Limits {
    requests: Peers,
    /// Apart, so that nothing that others send from the same address holds up the person who stops the daemon.
    operators: Peers,
    failures: Peers,
}

impl Limits {
    /// A second's worth of requests may come at once.
    pub fn new(requests_per_second: NonZeroU32) -> Self {
        Self {
            requests: Peers::new(Quota::per_second(requests_per_second)),
            operators: Peers::new(Quota::per_second(requests_per_second)),
            failures: Peers::new(
                Quota::per_second(FAILURES_PER_SECOND).allow_burst(FAILURES_AT_ONCE),
            ),
        }
    }

    /// Counts a request; an error says that its peer asks too often.
    pub fn request(&self, request: &Request) -> Result<(), Wait> {
        self.requests.count(peer(request))
    }

    /// Counts a request of one who may operate.
    pub fn operator(&self, request: &Request) -> Result<(), Wait> {
        self.operators.count(peer(request))
    }

    /// Counts a wrong or missing token. One that is right is never held up by others' wrong ones: behind a proxy or
    /// NAT a stale script must not keep a person from stopping the daemon.
    pub fn failure(&self, request: &Request) -> Result<(), Wait> {
        self.failures.count(peer(request))
    }
}

#[derive(Debug)]
struct Peers(RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>);

impl Peers {
    fn new(quota: Quota) -> Self {
        let (store, clock) = (HashMapStateStore::default(), DefaultClock::default());
        Self(RateLimiter::new(quota, store, clock))
    }

    fn count(&self, peer: IpAddr) -> Result<(), Wait> {
        if self.0.len() >= MAX_PEERS {
            // Those that have been quiet long enough to be as good as new.
            self.0.retain_recent();
        }
        // With so many at once the rest share one allowance.
        let full = self.0.len() >= MAX_PEERS;
        let peer = if full { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { peer };
        self.0
            .check_key(&peer)
            .map_err(|not_until| Wait(not_until.wait_time_from(self.0.clock().now())))
    }
}

/// Who asks, by address alone: a header such as X-Forwarded-For may say anything. Of IPv6 the network, for one host
/// has a whole /64 to choose from.
pub(super) fn peer(request: &Request) -> IpAddr {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |ConnectInfo(peer)| network(peer.ip()))
}

/// One who may have many addresses, as one.
pub(super) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)))
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S14: one host has a whole /64 of IPv6 to choose from, and an IPv4 address is the same in its mapped form.
    #[test]
    fn s14_a_network_of_ipv6_is_one_peer_and_a_mapped_address_is_its_ipv4_one() {
        let of = |ip: &str| network(ip.parse().expect("an address"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }

    /// S14: the bound on wrong tokens is its own, and far below that on requests.
    #[test]
    fn s14_wrong_tokens_are_counted_by_their_own_bound() {
        let limits = Limits::new(NonZeroU32::new(1_000_000).expect("above zero"));
        let request = Request::new(axum::body::Body::empty());
        let passed = (0..30).filter(|_| limits.failure(&request).is_ok()).count();
        assert!((10..30).contains(&passed), "{passed}");
        assert!(limits.request(&request).is_ok() && limits.operator(&request).is_ok());
    }

    /// S14: requests from ever new addresses fill no memory and are limited all the same.
    #[test]
    fn s14_the_memory_for_peers_is_bounded() {
        let peers = Peers::new(Quota::per_hour(NonZeroU32::MIN));
        let mut refused = 0;
        for number in 0..u32::try_from(2 * MAX_PEERS).expect("a small number") {
            let peer = IpAddr::from(number.to_be_bytes());
            refused += usize::from(peers.count(peer).is_err());
        }
        assert!(peers.0.len() <= MAX_PEERS + 1, "{}", peers.0.len());
        assert_eq!(refused, MAX_PEERS - 1, "the rest shares the allowance of one");
    }
}
