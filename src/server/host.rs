//! By which names a request from this very machine may call the daemon.
//!
//! A web page whose name somebody has pointed at 127.0.0.1 (DNS rebinding) is local to the daemon, whatever page speaks
//! through the browser: but the browser sends that name as `Host`. An address cannot be pointed elsewhere, so every address
//! is a good name. Who comes from another machine, as Prometheus in Kubernetes does, may use any name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::header::{FORWARDED, HOST, ORIGIN, VIA};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Version};

use super::Settings;

/// Which address of this machine a connection came in at, as an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalAddress(pub IpAddr);

/// What proxies add to say for whom they ask, beside every `X-Forwarded-…`, `Forwarded` and `Via`.
const FORWARDING: [&str; 7] = [
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
    "true-client-ip",
    "cf-connecting-ip",
];

/// Does it come from this machine, by its sender's address or by the one that it was sent to?
pub(super) fn is_local(request: &Request) -> bool {
    let extensions = request.extensions();
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let local = extensions.get::<LocalAddress>().map(|LocalAddress(local)| *local);
    [peer, local].into_iter().flatten().any(|ip| ip.to_canonical().is_loopback())
}

/// Is the sender's own address one of this machine alone?
pub(super) fn is_from_this_machine(request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|ConnectInfo(peer)| is_own_loopback(peer.ip()))
}

/// 127.0.0.1 or `::1`, which programs of this machine send from. A sidecar of a mesh hands over what comes from elsewhere
/// from another loopback address: Istio's from 127.0.0.6.
pub(super) fn is_own_loopback(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}

/// The name by which a request from this machine calls the daemon, when that is none of its names.
pub(super) fn strange_name(request: &Request, settings: &Settings) -> Option<String> {
    if !is_local(request) {
        return None;
    }
    let hosts = request.headers().get_all(HOST).iter();
    let mut hosts = hosts.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let uri = request.uri().authority().map(ToString::to_string);
    let (first, second) = (hosts.next(), hosts.next());
    // No browser leaves it out; of other clients only those of HTTP/1.0 may.
    let missing = first.is_none() && uri.is_none() && request.version() != Version::HTTP_10;
    if missing || second.is_some() {
        return Some("(no Host header, or several)".to_owned());
    }
    [first, uri].into_iter().flatten().find(|name| !is_own_name(name, settings))
}

fn is_own_name(authority: &str, settings: &Settings) -> bool {
    let Some(host) = host_of(authority) else { return false };
    let mut configured = settings.allowed_hosts.iter().chain([&settings.host]);
    ip(&host).is_some()
        || host.eq_ignore_ascii_case("localhost")
        || configured.any(|name| host.eq_ignore_ascii_case(name))
}

/// Without its port and the dot that may end it.
fn host_of(authority: &str) -> Option<String> {
    let authority: Authority = authority.parse().ok()?;
    // A name and a password before it are no part of a Host header.
    let host = authority.host();
    let plain = !authority.as_str().contains('@') && !host.is_empty();
    plain.then(|| host.strip_suffix('.').unwrap_or(host).to_owned())
}

fn ip(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_loopback(authority: &str) -> bool {
    let Some(host) = host_of(authority) else { return false };
    host.eq_ignore_ascii_case("localhost")
        || ip(&host).is_some_and(|ip| ip.to_canonical().is_loopback())
}

/// Is it sent to this machine, and by no web page of another origin? Every page's POST has its `Origin`.
pub(super) fn addresses_this_machine(request: &Request) -> bool {
    let text = |name| request.headers().get_all(name).iter().map(|value| value.to_str().ok());
    let mut hosts = text(HOST);
    let (Some(Some(host)), None) = (hosts.next(), hosts.next()) else { return false };
    let own = [format!("http://{host}"), format!("https://{host}")];
    is_loopback(host)
        && request.uri().authority().is_none_or(|uri| is_loopback(uri.as_str()))
        && text(ORIGIN).all(|origin| origin.is_some_and(|o| own.iter().any(|own| own == o)))
}

/// Did a browser or a proxy send it? Alertmanager adds none of these headers.
pub(super) fn is_of_browser_or_proxy(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") || is_forwarded(headers)
}

/// Did a proxy send it on? Then it is not known who asked.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED)
        || headers.contains_key(VIA)
        || FORWARDING.iter().any(|name| headers.contains_key(*name))
        || headers.keys().any(|name| name.as_str().starts_with("x-forwarded-"))
}
