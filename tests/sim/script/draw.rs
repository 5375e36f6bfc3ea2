//! Scripts drawn from a seed: hours full of trouble.

use mape_k::charter_sandbox::faults::Fault;
use mape_k::domain::action::ActionKind;
use mape_k::domain::loop_status::Mode;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::{
    Act, AlertmanagerTrouble, Change, CharterTrouble, DaemonTrouble, Event, MetricsTrouble, Script,
    Settings, Source, StoreTrouble, WebhookTrouble, What,
};

impl Settings {
    /// Most keep what is shipped.
    fn drawn(rng: &mut StdRng) -> Self {
        let mode = match rng.random_range(0..20) {
            0 => Some(Mode::Observe),
            1 => Some(Mode::Suggest),
            _ => None,
        };
        let all = [ActionKind::ScaleUp, ActionKind::RebalanceLoad, ActionKind::ThrottleRequests];
        let forbidden = if rng.random_bool(0.1) { vec![pick(rng, &all)] } else { Vec::new() };
        let most_replicas = rng.random_bool(0.15).then(|| rng.random_range(3..6));
        let give_back = rng.random_bool(0.25).then(|| rng.random_range(300..1200));
        let storm_from = rng.random_bool(0.2).then_some(3);
        Self { mode, forbidden, most_replicas, give_back, storm_from }
    }
}

impl Script {
    /// Hours full of trouble, the same for the same seed.
    pub fn drawn(seed: u64, hours: f64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut script = Self {
            seed,
            hours,
            dead_time: if rng.random_bool(0.2) { 3.0 } else { 1.0 },
            honours_keys: rng.random_bool(0.7),
            auto_approve: rng.random_bool(0.8),
            source: if rng.random_bool(0.25) { Source::Scrape } else { Source::Prometheus },
            replicas: if rng.random_bool(0.3) { 2 } else { 1 },
            settings: Settings::drawn(&mut rng),
            events: Vec::new(),
        };
        let mut draw = Draw { rng, events: Vec::new(), replicas: script.replicas as usize };
        // Time for a first cycle in peace: what is broken before it has no onset.
        let mut at = 120.0;
        // The last hour is quiet, so that what was begun can come to its end.
        let end = hours * 3600.0 - 3600.0;
        loop {
            at += draw.rng.random_range(60.0..1800.0);
            if at > end {
                break;
            }
            draw.anything(at);
            // Troubles like company: what is hard is two at once.
            while draw.rng.random_bool(0.5) {
                let near = at + draw.rng.random_range(0.0..180.0);
                draw.anything(near);
            }
        }
        draw.events.retain(|event| event.at < end);
        // What was off is put right, and the daemons are started anew with it.
        let off: f64 = draw.events.iter().map(|event| event.what.jumps()).sum();
        let right = DaemonTrouble::ClockJump { seconds: -off };
        let right = (off != 0.0).then_some(What::Daemon { replica: 0, trouble: right });
        let last = [What::Mend, What::Person { act: Act::Resume }].into_iter().chain(right);
        draw.events.extend(last.map(|what| Event { at: end, what }));
        script.events = draw.events;
        script.events.sort_by(|a, b| a.at.total_cmp(&b.at));
        script
    }
}

impl What {
    fn jumps(&self) -> f64 {
        match self {
            Self::Daemon { trouble: DaemonTrouble::ClockJump { seconds }, .. } => *seconds,
            _ => 0.0,
        }
    }
}

/// A script being drawn.
struct Draw {
    rng: StdRng,
    events: Vec<Event>,
    replicas: usize,
}

impl Draw {
    fn push(&mut self, at: f64, what: What) {
        self.events.push(Event { at, what });
    }

    fn later(&mut self, at: f64, seconds: std::ops::Range<f64>) -> f64 {
        at + self.rng.random_range(seconds)
    }

    fn anything(&mut self, at: f64) {
        match self.rng.random_range(0..20) {
            0..8 => self.incident(at),
            8..10 => {
                let (trouble, seconds) =
                    (pick(&mut self.rng, &MetricsTrouble::ALL), self.lasting());
                self.push(at, What::Metrics { trouble, seconds });
            }
            10..12 => {
                let (trouble, seconds) =
                    (pick(&mut self.rng, &WebhookTrouble::ALL), self.lasting());
                self.push(at, What::Webhook { trouble, seconds });
            }
            12 => {
                let trouble = pick(&mut self.rng, &AlertmanagerTrouble::ALL);
                let seconds = self.lasting();
                self.push(at, What::Alertmanager { trouble, seconds });
            }
            _ => self.in_the_way(at),
        }
    }

    /// A fault, somebody who decides, often somebody who mends it, and often what gets into the way of its remedy.
    fn incident(&mut self, at: f64) {
        let fault = pick(&mut self.rng, &Fault::ALL);
        self.push(at, What::Plant { fault, component: None, magnitude: None, seconds: None });
        let act = if self.rng.random_bool(0.8) { Act::Approve } else { Act::Reject };
        let decided = self.later(at, 60.0..400.0);
        self.push(decided, What::Person { act });
        if self.rng.random_bool(0.6) {
            let mended = self.later(at, 300.0..2400.0);
            self.push(mended, What::Mend);
        }
        if self.rng.random_bool(0.5) {
            let near = self.later(at, 20.0..150.0);
            self.in_the_way(near);
        }
    }

    /// What gets into the way of an action.
    fn in_the_way(&mut self, at: f64) {
        let seconds = self.lasting();
        let what = match self.rng.random_range(0..8) {
            0..3 => What::Charter { trouble: pick(&mut self.rng, &CharterTrouble::ALL), seconds },
            3 => {
                let trouble = pick(&mut self.rng, &StoreTrouble::ALL);
                What::Store { trouble, seconds: seconds / 4.0 }
            }
            4..6 => return self.daemon(at),
            6 => What::Person { act: pick(&mut self.rng, &Act::ALL) },
            _ => What::Foreign { change: pick(&mut self.rng, &Change::ALL) },
        };
        self.push(at, what);
    }

    fn daemon(&mut self, at: f64) {
        let rng = &mut self.rng;
        let replica = rng.random_range(0..self.replicas);
        let trouble = match rng.random_range(0..9) {
            0 => DaemonTrouble::Crash,
            1..4 => DaemonTrouble::CrashAtCall {
                calls: rng.random_range(0..60),
                after: rng.random_bool(0.5),
            },
            4 => DaemonTrouble::Restart,
            5..7 => DaemonTrouble::Freeze { seconds: rng.random_range(10.0..90.0) },
            7 => DaemonTrouble::CutOff { seconds: rng.random_range(5.0..120.0) },
            // Often by so little that metrics can still be believed; and for a while only.
            _ => {
                let most = if rng.random_bool(0.5) { 25.0 } else { 3600.0 };
                let seconds = rng.random_range(-most..most);
                let back = DaemonTrouble::ClockJump { seconds: -seconds };
                let put_right = at + rng.random_range(300.0..1800.0);
                self.push(put_right, What::Daemon { replica, trouble: back });
                DaemonTrouble::ClockJump { seconds }
            }
        };
        self.push(at, What::Daemon { replica, trouble });
    }

    fn lasting(&mut self) -> f64 {
        self.rng.random_range(20.0..600.0)
    }
}

fn pick<T: Copy>(rng: &mut StdRng, from: &[T]) -> T {
    *from.choose(rng).expect("something to choose from")
}
