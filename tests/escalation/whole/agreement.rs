//! R06: whatever happens to Charter, the cluster and the metrics, explain, status, health, violations, incidents and the
//! messages say what is so. All of it is held against what the test itself broke, mended, made unreadable and received.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mape_k::domain::cycle::FAILING;
use mape_k::domain::message::NotifierName;
use serde_json::{Value, json};

use super::fakes;
use super::town::{Running, Town};
use crate::cluster::api_server::{Cut, Mood};
use crate::cluster::objects;
use crate::notify::fake_slack::Reply;

const MOMENTS: usize = 200;
const SERVICES: [&str; 3] = ["payments", "search", "mailer"];
const LATENCY: &str = "validation_latency";
/// For so long nobody can know what an action has done.
const SETTLE: Duration = Duration::from_millis(300);

/// What is really so. What cannot be read counts as it was read last: nobody can know more, and the test says so too.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is broken by itself")]
struct Truth {
    is_slow: bool,
    down: BTreeSet<&'static str>,
    /// Prometheus, and an object of the cluster.
    is_unread: [bool; 2],
    /// No deployment can be read.
    is_forbidden: bool,
    /// As they were when they were read last.
    was_slow: bool,
    were_down: BTreeSet<&'static str>,
    is_slack_away: bool,
}

impl Truth {
    fn remember(&mut self) {
        if !self.is_unread[0] {
            self.was_slow = self.is_slow;
        }
        // What cannot be read may be any of those that were down: none of them is seen to be well.
        if self.is_unread[1] && !self.is_forbidden {
            self.were_down.extend(&self.down);
        } else if !self.is_forbidden {
            self.were_down = self.down.clone();
        }
    }

    /// By the names that health has for the sources.
    fn unread(&self) -> [(&'static str, bool); 2] {
        let [prometheus, object] = self.is_unread;
        [("prometheus", prometheus), ("kubernetes", object || self.is_forbidden)]
    }

    fn is_unknown(&self) -> bool {
        self.unread().iter().any(|(_, is_unread)| *is_unread)
    }

    /// A source is away, not an object of it alone.
    fn is_blind(&self) -> bool {
        self.is_unread[0] || self.is_forbidden
    }

    /// Nothing of what anybody can know is wrong.
    fn is_well(&self) -> bool {
        !self.was_slow && self.were_down.is_empty() && !self.is_unknown()
    }

    /// The anchors of all that is wrong, so far as it can be known. A loop that is blind is one of them.
    fn anchors(&self) -> BTreeSet<String> {
        let down = self.were_down.iter().map(|name| format!("kubernetes/shop/deployment/{name}"));
        let slow = self.was_slow.then(|| "charter".to_owned());
        let blind = self.is_blind().then(|| "mape-k".to_owned());
        down.chain(slow).chain(blind).collect()
    }
}

/// What reached the two that the daemon calls: Charter and Slack.
#[derive(Default)]
struct Received {
    /// Changes to Charter, which help nothing.
    called: usize,
    called_at: Option<Instant>,
    /// The last message about each incident: its title, and whether Slack took it.
    messages: BTreeMap<String, (String, bool)>,
    /// Announced, and not resolved since.
    announced: BTreeSet<String>,
    /// Slack refuses, and has refused something.
    is_refused: bool,
}

impl Received {
    fn take_in(&mut self, town: &Town, is_slack_away: bool) {
        let called = town.loops.changes().len();
        if called > self.called {
            (self.called, self.called_at) = (called, Some(Instant::now()));
        }
        let posted = town.posted();
        self.is_refused = is_slack_away && (self.is_refused || !posted.is_empty());
        for message in posted {
            let shown = message.shown();
            let ids = shown.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
            for id in ids.filter(|word| word.starts_with("INC-")) {
                let title = message.text().to_owned();
                if title.contains("Resolved") && !is_slack_away {
                    self.announced.remove(id);
                } else if !is_slack_away {
                    self.announced.insert(id.to_owned());
                }
                self.messages.insert(id.to_owned(), (title, !is_slack_away));
            }
        }
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
    executions: usize,
}

async fn get(running: &Running, path: &str) -> Value {
    use axum::body::Body;
    use tower::ServiceExt;
    let shown = mape_k::server::Running {
        charter: true,
        kubernetes: true,
        notifiers: vec![NotifierName::Slack],
        ..Default::default()
    };
    let context = mape_k::server::Context {
        handle: running.parts.handle.clone(),
        knowledge: running.parts.knowledge.clone(),
        metrics: running.parts.metrics.clone(),
        settings: Arc::default(),
        started_at: running.parts.handle.now(),
        rehearsal: None,
        running: tokio::sync::watch::channel(Arc::new(shown)).1,
        reloads: mape_k::server::reloads().0,
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
            executions: items("/api/v1/executions?limit=500").await.len(),
        }
    }

    fn shows_latency(&self) -> bool {
        self.violations.iter().any(|v| v["rule"] == LATENCY)
    }

    fn shows_down(&self) -> BTreeSet<&str> {
        let found = self.violations.iter().filter(|v| v["source"] == "kubernetes");
        found.filter_map(|v| v["component"].as_str()).collect()
    }

    fn is_unread(&self, source: &str) -> bool {
        self.health["components"][source]["status"] != "ok"
    }

    /// A watch and a rule that has to hold take a cycle or two.
    fn has_seen(&self, truth: &Truth) -> bool {
        let detail = self.health["components"]["kubernetes"]["detail"].to_string();
        detail.contains("403") == truth.is_forbidden
            && truth.unread().iter().all(|(name, is_unread)| self.is_unread(name) == *is_unread)
            && self.shows_latency() == truth.was_slow
            && self.shows_down() == truth.were_down.iter().copied().collect()
    }

    fn open(&self) -> BTreeSet<String> {
        let anchors = self.incidents.iter().filter_map(|one| one["anchor"].as_str());
        anchors.map(str::to_owned).collect()
    }

    /// What is unread has to be named by each of them.
    fn hides_what_is_unread(&self, truth: &Truth) -> bool {
        let unknown = self.status["condition"]["unknown"].to_string();
        let names = ["prometheus could not be read", "the cluster could not be read whole"];
        let is_hidden = names.iter().zip(truth.unread()).any(|(name, (component, is_unread))| {
            self.is_unread(component) != is_unread || unknown.contains(name) != is_unread
        });
        is_hidden
            || self.explain.contains("UNKNOWN") != truth.is_unknown()
            || (self.health["status"] == "ok")
                == (truth.is_unknown() || !self.status["not_notified"].is_null())
    }

    /// What a person is asked for after actions on Charter outlasts the trouble, or concerns the loop as a whole.
    fn asked_for(&self, received: &Received) -> BTreeSet<String> {
        let outlasts = ["remedies_exhausted", "outcome_unknown", "breaker", "budget"];
        let is_asked = |one: &&Value| {
            let mut needs = one["needs"].as_array().into_iter().flatten();
            needs.any(|need| outlasts.iter().any(|reason| need["reason"] == *reason))
        };
        let possible = self.incidents.iter().filter(|_| received.called > 0);
        let asked =
            possible.filter(|one| ["charter", "mape-k"].iter().any(|a| one["anchor"] == *a));
        asked.filter(is_asked).filter_map(|one| one["anchor"].as_str()).map(str::to_owned).collect()
    }

    /// What Slack took, and nothing else, is said to be notified.
    fn misreports_messages(&self, received: &Received) -> Option<String> {
        if received.is_refused && self.status["not_notified"].is_null() {
            return Some("status does not say that Slack refuses".to_owned());
        }
        self.incidents.iter().find_map(|one| {
            let id = one["id"].as_str().expect("an id");
            let said = one["notification"].as_str().expect("a text");
            let last = received.messages.get(id);
            // One that came back is announced anew.
            let took_last =
                last.is_some_and(|(title, is_in)| *is_in && !title.contains("Resolved"));
            let is_untrue = if said.starts_with("notified") {
                !received.announced.contains(id)
            } else {
                took_last
            };
            is_untrue.then(|| format!("{id}: said {said:?}, the last message is {last:?}"))
        })
    }

    /// What was done to Charter is shown until its result is there, with the incident that it belongs to.
    fn misreports_actions(&self, received: &Received) -> Option<&'static str> {
        let under_way = self.status["under_way"].as_array().expect("a list");
        let settles = received.called_at.is_some_and(|at| at.elapsed() < SETTLE);
        let charter = self.incidents.iter().find(|one| one["anchor"] == "charter");
        let is_at_work = charter
            .map(|one| ["acting", "verifying"].iter().any(|status| one["status"] == *status));
        let checks = [
            ((self.executions > 0) != (received.called > 0), "the journal is not what Charter got"),
            (self.executions > received.called, "the journal has more than Charter got"),
            (settles && under_way.is_empty(), "an action that settles is not shown"),
            (under_way.len() > received.called.min(1), "an action is shown that is not in hand"),
            (
                is_at_work.is_some_and(|is_at_work| is_at_work == under_way.is_empty()),
                "the incident and status disagree about the action in hand",
            ),
        ];
        checks.iter().find(|(is_untrue, _)| *is_untrue).map(|(_, what)| *what)
    }

    /// The first thing that is not so.
    fn untrue(&self, truth: &Truth, received: &Received) -> Option<String> {
        let state = self.status["condition"]["state"].as_str().unwrap_or_default();
        let open = self.open();
        let counted: u64 = self.status["incidents"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, n)| n.as_u64())
            .sum();
        let says_well = self.explain.contains("nothing is wrong");
        let mut anchors = truth.anchors();
        anchors.extend(self.asked_for(received));
        let is_well = truth.is_well() && anchors.is_empty();
        let unnamed = self.incidents.iter().filter_map(|one| one["id"].as_str());
        let worst = self.incidents.iter().filter_map(|one| one["severity"].as_str()).min();
        let checks = [
            (says_well && !is_well, "explain says that nothing is wrong"),
            ((state == "clear") != is_well, "status says clear, or does not"),
            (
                (state == "wrong") == anchors.is_empty(),
                "status says that something is wrong, or does not",
            ),
            (self.hides_what_is_unread(truth), "what is unread is not said everywhere"),
            (self.shows_down() != truth.were_down.iter().copied().collect(), "other findings"),
            (self.shows_latency() != truth.was_slow, "other violations"),
            (open != anchors, "incidents are not those that are so"),
            (counted != self.incidents.len() as u64, "status counts other incidents"),
            (
                !open.is_empty() && !unnamed.clone().any(|id| self.explain.contains(id)),
                "explain names no incident",
            ),
            (
                worst.is_some_and(|worst| !self.status["condition"].to_string().contains(worst)),
                "status does not name the worst",
            ),
        ];
        let untrue = checks.iter().find(|(is_untrue, _)| *is_untrue);
        let untrue = untrue.map(|(_, what)| *what).or_else(|| self.misreports_actions(received));
        untrue.map(str::to_owned).or_else(|| self.misreports_messages(received))
    }
}

/// One change to the world.
async fn happens(town: &mut Town, truth: &mut Truth, dice: &mut Dice) {
    match dice.below(8) {
        0 => {
            truth.is_unread[0] = !truth.is_unread[0];
            let away = fakes::Mood::Answers(503);
            let mood = if truth.is_unread[0] { away } else { fakes::Mood::Well };
            town.loops.prometheus.be(mood).await;
        }
        1 => {
            truth.is_unread[1] = !truth.is_unread[1];
            if truth.is_unread[1] {
                let mut object = objects::deployment("odd", 1, 1, 60);
                object["spec"]["replicas"] = json!("one");
                town.api.put(object);
            } else {
                town.api.delete("deployments", "shop", "odd");
            }
        }
        2 => {
            truth.is_slow = !truth.is_slow;
            town.loops.latency(if truth.is_slow { 1.8 } else { 0.2 });
        }
        3 | 4 => {
            truth.is_slow = false;
            town.loops.latency(0.2);
            for name in std::mem::take(&mut truth.down) {
                town.deployment(name, 2, 2, 60);
            }
        }
        5 => {
            truth.is_slack_away = !truth.is_slack_away;
            let away = Reply::Status(503, "away");
            town.slack.always(if truth.is_slack_away { away } else { Reply::Fine });
        }
        _ => {
            let name = SERVICES[usize::try_from(dice.below(3)).expect("small")];
            let is_down = truth.down.insert(name) || !truth.down.remove(name);
            town.deployment(name, if is_down { 0 } else { 2 }, 2, 60);
        }
    }
    truth.remember();
}

#[tokio::test]
async fn r06_at_200_moments_every_report_says_what_is_so() {
    let mut town = Town::new().await;
    let mut received = Received::default();
    let mut running = town.start().await;
    let (mut dice, mut truth) = (Dice(20_261_130), Truth::default());
    let (mut seen, mut untrue) = ([0_usize; 6], Vec::new());
    for moment in 0..MOMENTS {
        match moment % 50 {
            20 | 21 => {
                truth.is_forbidden = moment % 50 == 20;
                let mood = if truth.is_forbidden { Mood::Refuses(403) } else { Mood::Well };
                town.api.lists("deployments", mood);
                town.api.cut("deployments", Cut::Gone);
                truth.remember();
            }
            _ => happens(&mut town, &mut truth, &mut dice).await,
        }
        let mut cycles = 0;
        loop {
            running.cycle().await;
            received.take_in(&town, truth.is_slack_away);
            let reports = Reports::read(&running).await;
            cycles += 1;
            if reports.has_seen(&truth) {
                break;
            }
            assert!(
                cycles < 400,
                "moment {moment}, {truth:?}: not seen; {:#?}, {:#}",
                reports.violations,
                reports.health,
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The loop calls itself blind, or no longer blind, after so many cycles.
        for _ in 0..FAILING {
            running.cycle().await;
            received.take_in(&town, truth.is_slack_away);
        }
        let reports = Reports::read(&running).await;
        if let Some(what) = reports.untrue(&truth, &received) {
            println!(
                "moment {moment}, {truth:?}: {what}\n{}\n{:#}\n{:#}\nviolations {:?}\nopen {:?}",
                reports.explain,
                reports.status,
                reports.health["components"],
                reports.violations,
                reports.open(),
            );
            untrue.push(format!("moment {moment}: {what}"));
        }
        let kinds = [
            truth.is_well(),
            truth.is_unread[0],
            truth.is_unread[1],
            truth.is_forbidden,
            !truth.anchors().is_empty(),
            reports.status["under_way"] != json!([]),
        ];
        for (n, is_so) in seen.iter_mut().zip(kinds) {
            *n += usize::from(is_so);
        }
    }
    println!(
        "R06: well, metrics unread, object unread, cluster unread, trouble, action in hand: {seen:?}"
    );
    assert!(untrue.is_empty(), "{untrue:#?}");
    assert!(seen.iter().all(|n| *n > 0), "each kind of moment came about: {seen:?}");
}
