//! The outbox and whoever works it off, without a cycle: a test puts messages in and says what time it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mape_k::clock::Clock;
use mape_k::cycle::Background;
use mape_k::domain::message::{Entry, Message, NotifierName, Thread};
use mape_k::domain::outbox::{Outgoing, State};
use mape_k::domain::time::Time;
use mape_k::knowledge::Knowledge;
use mape_k::metrics::Metrics;
use mape_k::notify::{Known, Notifiers, Outbox, Setup};
use tokio::time::Instant;

/// What became of one message at one notifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub notifier: NotifierName,
    pub result: Result<Option<Thread>, String>,
    pub took: Duration,
    /// It waits, and a file says so.
    pub backed_up: bool,
}

pub struct Post {
    background: Background,
    /// For what needs no outbox.
    beside: Notifiers,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.background, self.beside)
    }
}

/// A deadline that is nearer means: do not wait for what hangs.
const NEAR: Duration = Duration::from_secs(2);

impl Post {
    pub fn new(setup: &Setup<'_>) -> Self {
        let new = || Notifiers::new(setup.clone()).expect("settings that can notify");
        Self::of(new(), new(), &setup.metrics)
    }

    pub fn of(notifiers: Notifiers, beside: Notifiers, metrics: &Arc<Metrics>) -> Self {
        let knowledge = Knowledge::in_memory();
        let interval = Duration::from_secs(30);
        let background =
            Background::alone(notifiers, knowledge, Clock::start(), metrics.clone(), interval);
        Self { background, beside }
    }

    pub fn outbox(&self) -> &Outbox {
        self.background.outbox()
    }

    pub fn is_empty(&self) -> bool {
        self.beside.is_empty()
    }

    pub fn waiting(&self) -> usize {
        self.outbox().waiting()
    }

    pub fn waiting_incidents(&self) -> BTreeSet<String> {
        self.outbox().waiting_incidents()
    }

    /// Takes up the files that an earlier process left, as a start with a store in memory does.
    pub async fn begin(&self) {
        let files = self.beside.waiting_files().await.expect("they can be read");
        self.outbox().load(files.into_iter().map(|file| file.into_entry(true)).collect());
    }

    /// Puts messages in and sends them. What became of each, at each notifier that sends its like.
    pub async fn deliver(&self, messages: &[Message], deadline: Instant) -> Vec<Vec<Delivery>> {
        self.outbox().know(Known::default());
        let now = messages.iter().map(|message| message.at).max();
        let now = now.unwrap_or_else(|| super::messages::at(0));
        let mut ids: Vec<Vec<String>> = Vec::new();
        let before = self.waiting_incidents();
        for (number, message) in messages.iter().enumerate() {
            let mut message = self.beside.marked(message.clone());
            // What a test tells again is about another incident: it does not wait for the one that failed.
            for entry in message.entries.iter_mut().filter(|e| before.contains(&e.incident)) {
                entry.incident = format!("INC-20261122_025012-{:03}", 500 + before.len());
            }
            let to = self.beside.that_send(&message.form);
            let entries: Vec<Outgoing> = to
                .into_iter()
                .map(|to| {
                    let id = format!("{now} {number} {to:?} {}", uuid::Uuid::new_v4());
                    Outgoing::new(id, to, message.clone())
                })
                .collect();
            ids.push(entries.iter().map(|entry| entry.id.clone()).collect());
            self.outbox().put(entries, now);
        }
        self.outbox().ready();
        let answered = self.work_off(now, deadline).await;
        let of = |id: &String| answered.iter().find(|(entry, _)| entry.id == *id);
        let of = |id: &String| of(id).map(|(_, delivery)| delivery.clone());
        ids.iter().map(|ids| ids.iter().filter_map(of).collect()).collect()
    }

    /// Sends what is due by now. `is_open` says whether an incident, by its id, still is.
    pub async fn resend(
        &self,
        is_open: &(dyn Fn(&str) -> bool + Sync),
        now: Time,
        deadline: Instant,
    ) -> Vec<(Message, Delivery)> {
        let waiting = self.waiting_incidents().into_iter();
        let known = waiting.map(|id| (id.clone(), is_open(&id).then_some(id)));
        self.outbox().know(Known { incidents: known.collect(), ..Known::default() });
        let answered = self.work_off(now, deadline).await;
        answered.into_iter().map(|(entry, delivery)| (entry.message, delivery)).collect()
    }

    pub async fn refresh(
        &self,
        standing: &[Entry],
        now: Time,
        deadline: Instant,
    ) -> Option<Result<(), String>> {
        self.beside.refresh(standing, now, deadline).await
    }

    async fn work_off(&self, now: Time, deadline: Instant) -> Vec<(Outgoing, Delivery)> {
        let began = Instant::now();
        let is_near = deadline - began < NEAR;
        let work = self.background.work_off(now);
        tokio::pin!(work);
        // Whatever hangs is given time that does not pass.
        loop {
            let real = if is_near { Duration::from_millis(300) } else { Duration::from_secs(60) };
            tokio::select! {
                () = &mut work => break,
                () = tokio::time::sleep(real) => {
                    tokio::time::pause();
                    tokio::time::advance(Duration::from_secs(6)).await;
                    tokio::time::resume();
                }
            }
        }
        let answered = self.outbox().answered();
        self.outbox().taken_in(&answered);
        for (_, entry) in &answered {
            self.outbox().reported(&entry.message.cycle_id);
        }
        let _ = self.outbox().forget_settled();
        let took = began.elapsed();
        let delivery = |entry: Outgoing| {
            let error = || entry.error.clone().unwrap_or_else(|| "no reason".to_owned());
            let result = match &entry.state {
                State::Delivered { thread, .. } => Ok(thread.clone()),
                State::Pending | State::Claimed { .. } | State::GivenUp { .. } => Err(error()),
            };
            let backed_up = result.is_err() && entry.backup.is_some();
            let delivery = Delivery { notifier: entry.notifier, result, took, backed_up };
            (entry, delivery)
        };
        answered.into_iter().map(|(_, entry)| delivery(entry)).collect()
    }
}
