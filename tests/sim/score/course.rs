//! What happens to the plant while a controller is measured: drawn from a seed, the same for every controller.

use mape_k::charter_sandbox::faults::Fault;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// From the fault to the end of an episode. A service that was restarted leaks full again after an hour, so the cure of
/// every fault holds to the end.
const MEASURED: f64 = 50.0 * 60.0;

/// In a long run: from one fault to the next, and until a person has mended it and given back what was added.
pub const APART: f64 = 6.0 * 3600.0;
const MENDED_AFTER: f64 = 80.0 * 60.0;

#[derive(Clone, Debug)]
pub struct Incident {
    pub fault: Fault,
    pub component: Option<&'static str>,
    pub magnitude: Option<f64>,
    /// Where the fault's own duration does not stand.
    pub lasts: Option<f64>,
    pub at: f64,
}

/// One run of one plant.
#[derive(Clone, Debug)]
pub struct IncidentHistory {
    pub seed: u64,
    pub seconds: f64,
    pub incidents: Vec<Incident>,
    /// Charter says yes to every change and does nothing.
    pub lies: bool,
    /// After each incident a person mends what is left of it and scales back.
    pub mended_after: Option<f64>,
}

impl IncidentHistory {
    /// One fault, 10 to 20 minutes after the start.
    pub fn episode(seed: u64, fault: Fault) -> Self {
        let mut rng = rng(seed, fault);
        let at = rng.random_range(600.0..1200.0);
        let incident = Incident::drawn(&mut rng, fault, at);
        let seconds = at + MEASURED;
        Self { seed, seconds, incidents: vec![incident], lies: false, mended_after: None }
    }

    /// The same, at a Charter that does nothing; `passing`: the fault is over by itself after 4 to 10 minutes.
    pub fn lied_to(seed: u64, fault: Fault, passing: bool) -> Self {
        let mut course = Self::episode(seed, fault);
        course.lies = true;
        if passing {
            let lasts = rng(seed ^ 0xfade, fault).random_range(240.0..600.0);
            course.incidents[0].lasts = Some(lasts);
        }
        course
    }

    /// Nothing happens; the one incident lies behind its end.
    pub fn quiet(seed: u64, hours: f64) -> Self {
        let seconds = hours * 3600.0;
        let never = Self::episode(seed, Fault::Overload).incidents.remove(0);
        let incidents = vec![Incident { at: seconds + 1.0, ..never }];
        Self { seed, seconds, incidents, lies: false, mended_after: None }
    }

    /// The same fault again and again, each time of another size and mostly elsewhere.
    pub fn long(seed: u64, fault: Fault, times: u32) -> Self {
        let mut rng = rng(seed, fault);
        let incidents = (0..times)
            .map(|n| {
                let at = f64::from(n) * APART + rng.random_range(600.0..1200.0);
                Incident::drawn(&mut rng, fault, at)
            })
            .collect();
        let seconds = f64::from(times) * APART;
        Self { seed, seconds, incidents, lies: false, mended_after: Some(MENDED_AFTER) }
    }
}

/// Every class draws for itself, so that a class can be added without changing the others.
fn rng(seed: u64, fault: Fault) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(1_000) + fault as u64)
}

impl Incident {
    /// A size around the fault's default, on any service where it has one.
    fn drawn(rng: &mut StdRng, fault: Fault, at: f64) -> Self {
        let (size, anywhere) = match fault {
            Fault::Overload => (Some(1.9..2.7), false),
            Fault::SlowLeak => (Some(0.35..0.8), true),
            Fault::MisconfiguredPolicy => (Some(0.2..0.6), true),
            Fault::HotShard => (Some(0.65..0.9), true),
            Fault::BadConfiguration => (Some(40.0..80.0), false),
            Fault::RetryStorm => (Some(2.5..5.0), false),
            Fault::TransientBlip => (Some(2.5..4.0), false),
            Fault::TelemetryGap => (None, false),
            Fault::SharedShock => (Some(480.0..580.0), false),
        };
        let magnitude = size.map(|range| rng.random_range(range));
        let component =
            anywhere.then(|| *["validator", "enforcer", "auditor"].choose(rng).expect("one"));
        let lasts = match fault {
            Fault::TelemetryGap => Some(rng.random_range(180.0..420.0)),
            Fault::SharedShock => Some(rng.random_range(90.0..180.0)),
            _ => None,
        };
        Self { fault, component, magnitude, lasts, at }
    }

    pub fn order(&self) -> Value {
        let mut order = json!({"fault": self.fault});
        for (key, value) in [
            ("component", self.component.map(|text| json!(text))),
            ("magnitude", self.magnitude.map(|number| json!(number))),
            ("duration_seconds", self.lasts.map(|number| json!(number))),
        ] {
            if let Some(value) = value {
                order[key] = value;
            }
        }
        order
    }

    /// What the loop's catalogue calls it; none where it has no name for it, or where nothing is to be done.
    pub fn cause(&self) -> Option<&'static str> {
        match self.fault {
            Fault::Overload | Fault::RetryStorm => Some("validation_latency"),
            Fault::SlowLeak | Fault::HotShard => Some("system_overload"),
            Fault::MisconfiguredPolicy => Some("policy_misconfiguration"),
            Fault::BadConfiguration
            | Fault::TransientBlip
            | Fault::TelemetryGap
            | Fault::SharedShock => None,
        }
    }
}
