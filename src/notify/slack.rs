//! Slack: which channel and thread a message goes to, and when a channel must not be called.
//!
//! The layout is `blocks`'s, the calls and what Slack's codes mean `client`'s.

mod blocks;
mod client;
mod hints;
mod text;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use self::blocks::Look;
use self::client::{Client, Method, Posted};
use super::settings::{Channels, Slack as Settings};
use super::{Notifier, NotifyError, Refusal, SetupError};
use crate::domain::decision::{Channel, Sev};
use crate::domain::message::{Form, Message, NotifierName, Thread};
use crate::domain::secret::Secret;
use crate::domain::time::Time;
use crate::http::HttpTransport;
use crate::metrics::Metrics;

/// A SEV-1 that Slack asks to wait no longer than this is sent once more after the wait, within the same attempt.
const SHORT_WAIT: Duration = Duration::from_secs(2);

/// Messages whose layout Slack has refused, and messages that are gone, that are remembered: as many as wait in files.
const MAX_REMEMBERED: usize = 500;

/// Said in a message that goes on with one that is gone.
const CONTINUED: &str =
    "This continues a message that was deleted in Slack or can no longer be edited.";

#[derive(Debug)]
pub struct Slack {
    client: Client,
    channels: Channels,
    test_mode: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The ids of the configured channels by name, as answers tell them; at most three.
    ids: BTreeMap<String, String>,
    /// Channels whose rate Slack limits now, by method: its limits are of a method in a channel.
    held: BTreeMap<(Method, String), Hold>,
    /// Messages whose layout was refused, by time and title: sent as text from then on.
    as_text: BTreeSet<(Time, String)>,
    /// Messages that are gone, and those that have taken their place.
    successors: BTreeMap<Thread, Thread>,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    until: Instant,
    /// The severity of the message that Slack limited.
    by: Sev,
}

/// Where a message goes.
struct Target {
    method: Method,
    channel: String,
    /// The message that is answered or edited.
    ts: Option<String>,
}

impl Slack {
    pub fn with_transport(
        wire: Arc<dyn HttpTransport>,
        settings: &Settings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            client: Client::new(wire, settings, metrics)?,
            channels: settings.channels.clone(),
            test_mode: settings.test_mode,
            state: Mutex::default(),
        })
    }

    /// What it is sent and must stand in no file or log.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        self.client.secrets()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channel(&self, channel: Channel) -> &str {
        if self.test_mode {
            return &self.channels.test;
        }
        match channel {
            Channel::Critical => &self.channels.critical,
            Channel::Infrastructure => &self.channels.infrastructure,
        }
    }

    /// A thread that can be used: an incoming webhook has none, and in test mode only those of the test channel are
    /// touched, which an earlier process may have begun elsewhere.
    fn usable<'a>(&self, thread: Option<&'a Thread>) -> Option<&'a Thread> {
        let thread = thread.filter(|_| self.client.has_threads())?;
        let is_test = || {
            let test = &self.channels.test;
            thread.channel == *test || self.state().ids.get(test) == Some(&thread.channel)
        };
        (!self.test_mode || is_test()).then_some(thread)
    }

    /// The message that has taken the place of one that is gone, or the one itself.
    fn successor(&self, thread: &Thread) -> Thread {
        self.state().successors.get(thread).unwrap_or(thread).clone()
    }

    /// From here on what belongs to the message `gone` goes to `place`: others of this very cycle still name the old one.
    fn succeed(&self, gone: &Thread, place: &Thread) {
        let last = self.successor(gone);
        let mut state = self.state();
        for gone in [gone.clone(), last] {
            if gone != *place {
                if state.successors.len() >= MAX_REMEMBERED {
                    state.successors.pop_first();
                }
                state.successors.insert(gone, place.clone());
            }
        }
    }

    fn target(&self, message: &Message) -> Target {
        let is_edit = matches!(message.form, Form::Edit(_));
        let method = if is_edit { Method::Update } else { Method::Post };
        if let Some(thread) = self.usable(message.form.thread()) {
            let Thread { channel, ts } = self.successor(thread);
            return Target { method, channel, ts: Some(ts) };
        }
        let channel = self.channel(message.channel).to_owned();
        Target { method: Method::Post, channel, ts: None }
    }

    /// One name for a channel, whether a message calls it by its name or a thread by its id.
    fn lane_of(&self, channel: &str) -> String {
        let state = self.state();
        let known = state.ids.iter().find(|(_, id)| *id == channel);
        known.map_or(channel, |(name, _)| name).to_owned()
    }

    fn body(&self, message: &Message, target: &Target, note: Option<&str>) -> Value {
        let in_thread = target.method == Method::Post && target.ts.is_some();
        let look = Look { is_test: self.test_mode, in_thread, note };
        let as_text = self.is_sent_as_text(message);
        let mut body =
            if as_text { blocks::text(message, look) } else { blocks::layout(message, look) };
        if as_text && target.method == Method::Update {
            // What an edit does not name stays.
            body["blocks"] = json!([]);
            body["attachments"] = json!([]);
        }
        if self.client.has_threads() {
            body["channel"] = json!(target.channel);
        }
        match (&target.ts, target.method) {
            (Some(ts), Method::Post) => body["thread_ts"] = json!(ts),
            (Some(ts), Method::Update) => body["ts"] = json!(ts),
            (None, _) => {}
        }
        body
    }

    fn is_sent_as_text(&self, message: &Message) -> bool {
        self.state().as_text.contains(&(message.at, message.title.clone()))
    }

    fn send_as_text(&self, message: &Message) {
        let mut state = self.state();
        if state.as_text.len() >= MAX_REMEMBERED {
            state.as_text.pop_first();
        }
        state.as_text.insert((message.at, message.title.clone()));
    }

    /// How long this message must wait. A SEV-1 waits only for the limit that another SEV-1 met.
    fn held(&self, key: &(Method, String), severity: Sev) -> Option<Duration> {
        let mut state = self.state();
        let hold = *state.held.get(key)?;
        let left = hold.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            state.held.remove(key);
            return None;
        }
        (severity < Sev::Sev1 || hold.by == Sev::Sev1).then_some(left)
    }

    /// A message of its own in the other configured channel. In test mode nothing leaves the test channel, and a webhook
    /// has one.
    fn elsewhere(&self, refused: &BTreeSet<String>) -> Option<Target> {
        if self.test_mode || !self.client.has_threads() {
            return None;
        }
        let all = [&self.channels.critical, &self.channels.infrastructure];
        let other = all.into_iter().find(|channel| !refused.contains(*channel))?;
        Some(Target { method: Method::Post, channel: other.clone(), ts: None })
    }

    /// A message of its own where the one is that it would have answered or edited.
    fn anew(target: &Target) -> Target {
        Target { method: Method::Post, channel: target.channel.clone(), ts: None }
    }

    /// In the log, for the person who corrects it.
    fn say(refusals: &[String], meant_for: Option<&str>, notified_in: &str) {
        let Some(error) = refusals.last() else { return };
        if let Some(channel) = meant_for {
            tracing::error!(
                channel,
                notified_in,
                error,
                "Slack refused the channel; people are notified in another one"
            );
        } else {
            tracing::warn!(
                notified_in,
                error,
                "Slack refused the message at first and accepted it in another form"
            );
        }
    }

    fn key(&self, target: &Target) -> (Method, String) {
        // A webhook has one channel, whatever the message asks for.
        let has_channels = self.client.has_threads();
        let lane = if has_channels { self.lane_of(&target.channel) } else { "webhook".to_owned() };
        (target.method, lane)
    }

    async fn to(
        &self,
        message: &Message,
        target: &Target,
        note: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<Thread>, NotifyError> {
        let key = self.key(target);
        if let Some(left) = self.held(&key, message.severity) {
            let text = format!(
                "not sent: Slack limits the rate of {}, and mape-k may call it again in {} s",
                target.method.path(),
                left.as_secs_f64().ceil()
            );
            return Err(NotifyError::RateLimited { text, retry_after: left });
        }
        match self.once(message, target, note, &key, deadline).await {
            Err(NotifyError::RateLimited { retry_after, .. })
                if message.severity == Sev::Sev1
                    && retry_after <= SHORT_WAIT
                    && Instant::now() + retry_after < deadline =>
            {
                sleep(retry_after).await;
                self.once(message, target, note, &key, deadline).await
            }
            result => result,
        }
    }

    async fn once(
        &self,
        message: &Message,
        target: &Target,
        note: Option<&str>,
        key: &(Method, String),
        deadline: Instant,
    ) -> Result<Option<Thread>, NotifyError> {
        let body = self.body(message, target, note);
        let sent = self.client.send(target.method, &body, deadline).await;
        if let Err(NotifyError::RateLimited { retry_after, .. }) = &sent {
            let hold = Hold { until: Instant::now() + *retry_after, by: message.severity };
            self.state().held.insert(key.clone(), hold);
        }
        let Some(Posted { place, is_astray }) = sent? else { return Ok(None) };
        match &target.ts {
            Some(_) if is_astray => {
                self.make_whole(message, &place, deadline).await;
                Ok(Some(place))
            }
            Some(ts) => Ok(Some(Thread { channel: target.channel.clone(), ts: ts.clone() })),
            None => {
                self.state().ids.insert(target.channel.clone(), place.channel.clone());
                Ok(Some(place))
            }
        }
    }

    /// The message that an answer belongs to was deleted, and Slack has put the answer into the channel: there it has to say
    /// all by itself. People have been notified already, so that a failure of this is no failure of the delivery.
    async fn make_whole(&self, message: &Message, place: &Thread, deadline: Instant) {
        let target = Target {
            method: Method::Update,
            channel: place.channel.clone(),
            ts: Some(place.ts.clone()),
        };
        let body = self.body(message, &target, Some(CONTINUED));
        if let Err(error) = self.client.send(Method::Update, &body, deadline).await {
            tracing::warn!(
                %error,
                "a reply was posted to the channel because its message was deleted, and it could not be edited to say all"
            );
        }
    }
}

#[async_trait]
impl Notifier for Slack {
    fn name(&self) -> NotifierName {
        NotifierName::Slack
    }

    fn lane(&self, message: &Message) -> String {
        self.key(&self.target(message)).1
    }

    fn sends(&self, form: &Form) -> bool {
        match form {
            // What cannot be edited is left as it was: an edit calls nobody.
            Form::Edit(thread) => self.usable(Some(thread)).is_some(),
            Form::Alert | Form::Update(_) | Form::Ended(_) | Form::Summary => true,
        }
    }

    async fn deliver(
        &self,
        message: &Message,
        deadline: Instant,
    ) -> Result<Option<Thread>, NotifyError> {
        let mut target = self.target(message);
        let mut note: Option<String> = None;
        let mut refusals: Vec<String> = Vec::new();
        let mut meant_for: Option<String> = None;
        let mut closed: BTreeSet<String> = BTreeSet::new();
        // Each refusal takes away one way that is not tried again: the layout, the thread, the channel. So the loop ends.
        loop {
            let error = match self.to(message, &target, note.as_deref(), deadline).await {
                Ok(place) => {
                    Self::say(&refusals, meant_for.as_deref(), &target.channel);
                    let thread = self.usable(message.form.thread());
                    if let (Some(thread), Some(place)) = (thread, &place) {
                        self.succeed(thread, place);
                    }
                    return Ok(place);
                }
                Err(error) => error,
            };
            let NotifyError::Refused { text, about } = error else {
                return Err(after(&refusals, error));
            };
            match about {
                Refusal::Message if !self.is_sent_as_text(message) => self.send_as_text(message),
                Refusal::Thread if target.ts.is_some() => {
                    target = Self::anew(&target);
                    note = Some(CONTINUED.to_owned());
                }
                Refusal::Message | Refusal::Thread | Refusal::Place => {
                    let lane = self.lane_of(&target.channel);
                    closed.insert(lane.clone());
                    let Some(other) = self.elsewhere(&closed) else {
                        return Err(after(&refusals, NotifyError::Refused { text, about }));
                    };
                    // Better in the wrong channel than in none.
                    note = Some(format!(
                        "This was meant for {}. {text}",
                        meant_for.get_or_insert(lane)
                    ));
                    target = other;
                }
                Refusal::Sender | Refusal::Other => {
                    return Err(after(&refusals, NotifyError::Refused { text, about }));
                }
            }
            refusals.push(text);
        }
    }
}

/// The error with what was refused before it, so that a report shows all that was tried.
fn after(refusals: &[String], error: NotifyError) -> NotifyError {
    let told = |text: String| {
        let mut all = refusals.to_vec();
        all.push(text);
        all.join("; then ")
    };
    match error {
        NotifyError::Unreachable(text) => NotifyError::Unreachable(told(text)),
        NotifyError::Timeout(text) => NotifyError::Timeout(told(text)),
        NotifyError::RateLimited { text, retry_after } => {
            NotifyError::RateLimited { text: told(text), retry_after }
        }
        NotifyError::Refused { text, about } => NotifyError::Refused { text: told(text), about },
        NotifyError::Panicked(text) => NotifyError::Panicked(told(text)),
    }
}
