//! What a script's events do to the world, the processes and the people around them.

use std::time::Duration;

use mape_k::domain::Labels;
use mape_k::domain::pause::Pause;
use mape_k::domain::policy::Policy;
use mape_k::knowledge::Decision;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Run;
use crate::alertmanager::payload;
use crate::outside::{EPOCH, Outside};
use crate::script::{Act, AlertmanagerTrouble, DaemonTrouble, WebhookTrouble, What};

impl Run<'_> {
    pub(super) async fn happens(&mut self, what: &What) {
        let line = serde_json::to_string(what).expect("an event");
        {
            let mut outside = self.site.outside.lock();
            outside.say(&format!("event {line}"));
            outside.watch.reached.insert(what.kind());
        }
        match what {
            What::Daemon { replica, trouble } => self.trouble(*replica, *trouble).await,
            What::Person { act } => {
                // The process that works on it may die of it.
                let crashed = self.site.outside.lock().crashed.clone();
                let died = tokio::select! {
                    biased;
                    () = self.person(*act) => false,
                    () = crashed.notified() => true,
                };
                if died {
                    self.bury();
                }
            }
            _ => self.outside_changes(what),
        }
    }

    fn outside_changes(&mut self, what: &What) {
        let until = |seconds: f64, outside: &Outside| outside.now() + seconds;
        let mut outside = self.site.outside.lock();
        match what {
            What::Plant { fault, component, magnitude, seconds } => {
                let mut order = json!({"fault": fault});
                for (key, value) in [
                    ("component", component.as_ref().map(|text| json!(text))),
                    ("magnitude", magnitude.map(|number| json!(number))),
                    ("duration_seconds", seconds.map(|number| json!(number))),
                ] {
                    if let Some(value) = value {
                        order[key] = value;
                    }
                }
                outside.inject(&order);
            }
            What::Mend => outside.mend(),
            What::Metrics { trouble, seconds } => {
                let until = until(*seconds, &outside);
                outside.metrics.begin(*trouble, until);
            }
            What::Webhook { trouble, seconds } => {
                let until = until(*seconds, &outside);
                outside.webhook.begin(*trouble, until);
                if *trouble == WebhookTrouble::Storm {
                    let at = outside.now();
                    let over = Instant::now() + Duration::from_secs_f64(*seconds);
                    for n in 0..1000 {
                        self.posts.push((Instant::now(), strange("firing", n, at)));
                        self.posts.push((over, strange("resolved", n, at)));
                    }
                }
            }
            What::Alertmanager { trouble, seconds } => {
                let until = until(*seconds, &outside);
                outside.alerts.begin(*trouble, until);
                if *trouble == AlertmanagerTrouble::Restarted {
                    let now = outside.now();
                    outside.alertmanager.restart(now);
                }
            }
            What::Charter { trouble, seconds } => {
                let until = until(*seconds, &outside);
                outside.changes.begin(*trouble, until);
            }
            What::Store { trouble, seconds } => {
                let until = until(*seconds, &outside);
                outside.store.begin(*trouble, until);
            }
            What::Foreign { change } => outside.foreign(*change),
            What::Daemon { .. } | What::Person { .. } => {}
        }
    }

    async fn trouble(&mut self, place: usize, trouble: DaemonTrouble) {
        let replica = &mut self.replicas[place];
        match trouble {
            DaemonTrouble::Crash => self.crash(place),
            DaemonTrouble::CrashAtCall { calls, after } => {
                self.site.outside.lock().crash_in = Some((calls, after));
            }
            DaemonTrouble::Restart => {
                replica.restart_at = Some(Instant::now() + Duration::from_secs(2));
                if let Some(daemon) = replica.daemon.take() {
                    replica.thaw_at = None;
                    daemon.stop().await;
                }
            }
            DaemonTrouble::Freeze { seconds } => {
                if let Some(daemon) = &replica.daemon {
                    daemon.freeze();
                    self.site.outside.lock().watch.frozen(seconds);
                    replica.thaw_at = Some(Instant::now() + Duration::from_secs_f64(seconds));
                }
            }
            DaemonTrouble::CutOff { seconds } => {
                if let Some(daemon) = &replica.daemon {
                    let mut outside = self.site.outside.lock();
                    let until = outside.now() + seconds;
                    outside.cut_off.insert(daemon.number, until);
                }
            }
            DaemonTrouble::ClockJump { seconds } => {
                self.clock_off += seconds;
                (0..self.replicas.len()).for_each(|place| self.crash(place));
                self.site.outside.lock().clock_off = self.clock_off;
            }
        }
    }

    async fn person(&mut self, act: Act) {
        let Some(daemon) = self.replicas.iter().find_map(|replica| replica.daemon.as_ref()) else {
            return;
        };
        let knowledge = daemon.knowledge.clone();
        // A person's commands run where the daemon does.
        let now = self.site.outside.lock().daemon_wall();
        let line = match act {
            Act::Pause => {
                let pause = Pause {
                    by: "ann".to_owned(),
                    reason: "a look".to_owned(),
                    since: now,
                    until: now + chrono::TimeDelta::minutes(40),
                };
                format!("{:?}", knowledge.pause(pause, false).await.map(drop))
            }
            Act::Resume => format!("{:?}", knowledge.resume(now, "ada").await.map(drop)),
            Act::Approve | Act::Reject => {
                let decision =
                    if act == Act::Approve { Decision::Approve } else { Decision::Reject };
                let pending = knowledge.all::<Policy>(Some("pending")).await.unwrap_or_default();
                let mut line = String::new();
                for policy in pending {
                    if act == Act::Approve {
                        self.site.outside.lock().watch.allowed(policy.id.to_string());
                    }
                    let decided = knowledge
                        .decide_policy(policy.id, policy.revision, None, decision, "ann", now)
                        .await;
                    line = format!("{line} {} {:?}", policy.id, decided.map(drop));
                }
                line
            }
        };
        self.site.outside.lock().say(&format!("a person: {act:?}: {line}"));
        sleep(Duration::ZERO).await;
    }
}

/// An alert that nobody knows, from a storm; the first one is critical.
fn strange(status: &str, number: u32, at: f64) -> Value {
    let labels = Labels::from([
        ("alertname".to_owned(), "Strange".to_owned()),
        ("instance".to_owned(), number.to_string()),
        ("severity".to_owned(), if number == 0 { "critical" } else { "warning" }.to_owned()),
    ]);
    payload(status, &labels, at, EPOCH)
}
