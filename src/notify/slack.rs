//! Slack: which channel and thread a message goes to, and when a channel must not be called.
//!
//! The layout is `blocks`'s, the calls and what Slack's codes mean `client`'s.

mod blocks;
mod client;
mod hints;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use self::client::{Client, Method};
use super::settings::{Channels, Slack as Settings};
use super::{Notifier, NotifyError, Refusal, SetupError};
use crate::domain::decision::{Channel, Sev};
use crate::domain::message::{Form, Message, NotifierName, Thread};
use crate::domain::secret::Secret;
use crate::wire::Wire;

/// A SEV-1 that is told to wait no longer than this is sent once more at once: two seconds of
/// a deadline of five.
const SHORT_WAIT: Duration = Duration::from_secs(2);

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
    /// Channels that Slack has told us not to call, by method: its limits are of a method in a channel.
    held: BTreeMap<(Method, String), Hold>,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    until: Instant,
    /// The severity of the message that was told to wait.
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
    pub fn over(wire: Arc<dyn Wire>, settings: &Settings) -> Result<Self, SetupError> {
        Ok(Self {
            client: Client::new(wire, settings)?,
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

    fn target(&self, message: &Message) -> Target {
        let (method, thread) = match &message.form {
            Form::Edit(thread) => (Method::Update, Some(thread)),
            Form::Update(thread) | Form::Ended(thread) => (Method::Post, thread.as_ref()),
            Form::Alert | Form::Summary => (Method::Post, None),
        };
        if let Some(Thread { channel, ts }) = self.usable(thread) {
            return Target { method, channel: channel.clone(), ts: Some(ts.clone()) };
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

    fn body(&self, message: &Message, target: &Target, misplaced: Option<&str>) -> Value {
        let in_thread = target.method == Method::Post && target.ts.is_some();
        let mut body = blocks::layout(message, self.test_mode, in_thread, misplaced);
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

    /// Until when this message must wait. A SEV-1 does not wait for what a lesser one was told; only for its like.
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

    /// The other configured channel, for a message of its own. In test mode nothing leaves the test channel, and a webhook
    /// has one.
    fn elsewhere(&self, target: &Target) -> Option<Target> {
        if self.test_mode || !self.client.has_threads() || target.ts.is_some() {
            return None;
        }
        let all = [&self.channels.critical, &self.channels.infrastructure];
        let other = all.into_iter().find(|channel| **channel != target.channel)?;
        Some(Target { method: Method::Post, channel: other.clone(), ts: None })
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
        misplaced: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<Thread>, NotifyError> {
        let key = self.key(target);
        if let Some(left) = self.held(&key, message.severity) {
            let text = format!(
                "Slack has told us to wait before calling {} again: not sent, {} s are left",
                target.method.path(),
                left.as_secs_f64().ceil()
            );
            return Err(NotifyError::RateLimited { text, retry_after: left });
        }
        match self.once(message, target, misplaced, &key, deadline).await {
            Err(NotifyError::RateLimited { retry_after, .. })
                if message.severity == Sev::Sev1
                    && retry_after <= SHORT_WAIT
                    && Instant::now() + retry_after < deadline =>
            {
                sleep(retry_after).await;
                self.once(message, target, misplaced, &key, deadline).await
            }
            result => result,
        }
    }

    async fn once(
        &self,
        message: &Message,
        target: &Target,
        misplaced: Option<&str>,
        key: &(Method, String),
        deadline: Instant,
    ) -> Result<Option<Thread>, NotifyError> {
        let body = self.body(message, target, misplaced);
        let sent = self.client.send(target.method, &body, deadline).await;
        if let Err(NotifyError::RateLimited { retry_after, .. }) = &sent {
            let hold = Hold { until: Instant::now() + *retry_after, by: message.severity };
            self.state().held.insert(key.clone(), hold);
        }
        let Some(posted) = sent? else { return Ok(None) };
        if let Some(ts) = &target.ts {
            return Ok(Some(Thread { channel: target.channel.clone(), ts: ts.clone() }));
        }
        self.state().ids.insert(target.channel.clone(), posted.channel.clone());
        Ok(Some(posted))
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
        let target = self.target(message);
        let refused = self.to(message, &target, None, deadline).await;
        let Err(NotifyError::Refused { text, about: Refusal::Place }) = &refused else {
            return refused;
        };
        let Some(other) = self.elsewhere(&target) else { return refused };
        // Better in the wrong channel than in none.
        let why = format!("{} does not take it. {text}", target.channel);
        match self.to(message, &other, Some(&why), deadline).await {
            Ok(thread) => {
                let (channel, told_in) = (&target.channel, &other.channel);
                tracing::error!(
                    channel,
                    told_in,
                    error = text,
                    "people are told in another channel"
                );
                Ok(thread)
            }
            // It may have arrived.
            Err(NotifyError::Timeout(late)) => Err(NotifyError::Timeout(format!("{text}; {late}"))),
            Err(_) => refused,
        }
    }
}
