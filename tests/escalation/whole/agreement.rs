//! R06: whatever happens to Charter, the cluster and the metrics, explain, status, health, violations and incidents say what
//! is so, held against what the test itself broke and mended.

use std::collections::BTreeSet;
use std::sync::Arc;

use mape_k::planner::guardrails::Mode;
use serde_json::Value;

use super::fakes;
use super::town::{Running, Town};

const MOMENTS: usize = 200;
const SERVICES: [&str; 3] = ["payments", "search", "mailer"];
const LATENCY: &str = "validation_latency";

/// What is really so.
#[derive(Clone, Debug, Default)]
struct Truth {
    is_slow: bool,
    down: BTreeSet<&'static str>,
    is_unreadable: bool,
}

impl Truth {
    /// Something is wrong that can be read.
    fn is_seen(&self) -> bool {
        !self.down.is_empty() || (self.is_slow && !self.is_unreadable)
    }

    fn is_well(&self) -> bool {
        !self.is_slow && self.down.is_empty()
    }
}

/// The same moments in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What a person reads at one moment.
struct Reports {
    explain: String,
    status: Value,
    health: Value,
    violations: Vec<Value>,
    incidents: Vec<Value>,
}

async fn get(running: &Running, path: &str) -> Value {
    use axum::body::Body;
    use tower::ServiceExt;
    let context = mape_k::server::Context {
        handle: running.parts.handle.clone(),
        knowledge: running.parts.knowledge.clone(),
        metrics: running.parts.metrics.clone(),
        settings: Arc::default(),
        started_at: running.parts.handle.now(),
        rehearsal: None,
        environment: None,
        charter: true,
        kubernetes: true,
    };
    let request = axum::http::Request::get(path).header("host", "localhost");
    let mut request = request.body(Body::empty()).expect("a request");
    let caller: std::net::SocketAddr = "127.0.0.1:4000".parse().expect("an address");
    request.extensions_mut().insert(axum::extract::ConnectInfo(caller));
    let answer = mape_k::server::api_router(context).oneshot(request).await.expect("an answer");
    let body = axum::body::to_bytes(answer.into_body(), 1 << 24).await.expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

impl Reports {
    async fn read(running: &Running) -> Self {
        let items = async |path: &str| {
            let page = get(running, path).await;
            page["items"].as_array().cloned().unwrap_or_else(|| panic!("{path}: {page}"))
        };
        let explain = get(running, "/api/v1/explain").await;
        Self {
            explain: explain["text"]
                .as_str()
                .expect("a page")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            status: get(running, "/api/v1/status").await,
            health: get(running, "/health").await,
            violations: items("/api/v1/violations?limit=500").await,
            incidents: items("/api/v1/incidents?open=true&limit=500").await,
        }
    }

    fn shows_latency(&self) -> bool {
        self.violations.iter().any(|v| v["rule"] == LATENCY)
    }

    fn shows_down(&self) -> BTreeSet<&str> {
        let found = self.violations.iter().filter(|v| v["source"] == "kubernetes");
        found.filter_map(|v| v["component"].as_str()).collect()
    }

    /// A watch and a rule that has to hold take a cycle or two.
    fn has_seen(&self, truth: &Truth) -> bool {
        let is_read = self.health["components"]["prometheus"]["status"] == "ok";
        is_read != truth.is_unreadable
            && (truth.is_unreadable || self.shows_latency() == truth.is_slow)
            && self.shows_down() == truth.down.iter().copied().collect()
    }

    /// The first thing that is not so.
    fn untrue(&self, truth: &Truth) -> Option<String> {
        let state = self.status["condition"]["state"].as_str().unwrap_or_default();
        let open: BTreeSet<&str> =
            self.incidents.iter().filter_map(|one| one["anchor"].as_str()).collect();
        let counted: u64 = self.status["incidents"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, n)| n.as_u64())
            .sum();
        let says_well = self.explain.contains("nothing is wrong");
        let without_incident = truth
            .down
            .iter()
            .find(|name| !open.contains(format!("kubernetes/shop/deployment/{name}").as_str()));
        let checks = [
            (says_well && !truth.is_well(), "explain says that nothing is wrong"),
            (says_well && truth.is_unreadable, "explain says that nothing is wrong, unread"),
            (says_well != (state == "clear"), "explain and status disagree"),
            ((truth.is_unreadable || !truth.is_well()) && state == "clear", "status says clear"),
            (truth.is_seen() && state != "wrong", "status does not say that something is wrong"),
            (
                truth.is_unreadable && !self.explain.contains("UNKNOWN"),
                "explain does not say UNKNOWN",
            ),
            (
                truth.is_unreadable
                    == self.status["condition"]["unknown"].as_array().is_none_or(Vec::is_empty),
                "status does not say what is unread, or says it of what was read",
            ),
            (truth.is_unreadable && self.health["status"] != "degraded", "health is well, unread"),
            (
                self.shows_down() != truth.down.iter().copied().collect(),
                "findings are not those of the cluster",
            ),
            (
                !truth.is_unreadable && self.shows_latency() != truth.is_slow,
                "violations are not Charter's",
            ),
            (without_incident.is_some(), "a deployment that is down has no open incident"),
            (
                truth.is_slow && !truth.is_unreadable && !open.contains("charter"),
                "latency has no open incident",
            ),
            (counted != self.incidents.len() as u64, "status counts other incidents"),
            (
                !self.incidents.is_empty() && !self.explain.contains("INC-"),
                "explain names no incident",
            ),
        ];
        checks.iter().find(|(is_untrue, _)| *is_untrue).map(|(_, what)| (*what).to_owned())
    }
}

#[tokio::test]
async fn r06_at_200_moments_every_report_says_what_is_so() {
    let mut town = Town::new().await;
    // Nothing is to be mended behind the back of the test.
    town.loops.config.plan.guardrails.mode = Mode::Observe;
    town.loops.config.execute.rails.observe = true;
    let mut running = town.start().await;
    let (mut dice, mut truth) = (Dice(20_261_130), Truth::default());
    let mut seen = [0_usize; 3];
    for moment in 0..MOMENTS {
        match dice.below(6) {
            0 => {
                truth.is_unreadable = !truth.is_unreadable;
                let mood =
                    if truth.is_unreadable { fakes::Mood::Answers(503) } else { fakes::Mood::Well };
                town.loops.prometheus.be(mood).await;
            }
            1 => {
                truth.is_slow = !truth.is_slow;
                town.loops.latency(if truth.is_slow { 1.8 } else { 0.2 });
            }
            2 | 3 => {
                truth.is_slow = false;
                town.loops.latency(0.2);
                for name in std::mem::take(&mut truth.down) {
                    town.deployment(name, 2, 2, 60);
                }
            }
            _ => {
                let name = SERVICES[usize::try_from(dice.below(3)).expect("small")];
                let is_down = truth.down.insert(name) || !truth.down.remove(name);
                town.deployment(name, if is_down { 0 } else { 2 }, 2, 60);
            }
        }
        let mut reports;
        let mut cycles = 0;
        loop {
            running.cycle().await;
            reports = Reports::read(&running).await;
            cycles += 1;
            if reports.has_seen(&truth) {
                break;
            }
            assert!(
                cycles < 400,
                "moment {moment}, {truth:?}: not seen; {:#?}",
                reports.violations
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        if let Some(what) = reports.untrue(&truth) {
            panic!(
                "moment {moment}, {truth:?}: {what}\n{}\n{:#}\n{:#}\nviolations {:#?}\nincidents {:#?}",
                reports.explain,
                reports.status["condition"],
                reports.health,
                reports.violations,
                reports.incidents
            );
        }
        let kind = if truth.is_well() { 1 + usize::from(!truth.is_unreadable) } else { 0 };
        seen[kind] += 1;
    }
    println!("R06: {} moments with trouble, {} unread, {} well", seen[0], seen[1], seen[2]);
    assert!(seen.iter().all(|n| *n > 0), "each kind of moment came about: {seen:?}");
}
