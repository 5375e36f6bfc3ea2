//! All notifiers together: messages by severity, lanes beside each other, a panic caught, what failed kept in a file.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::alertmanager::Alertmanager;
use super::call::hide;
use super::pauses::Pauses;
use super::settings::{Settings, Slack as SlackSettings};
use super::slack::Slack;
use super::spool::Spool;
use super::{Notifier, NotifyError, SetupError};
use crate::domain::message::{Delivery, Entry, Form, Message, NotifierName, Thread};
use crate::domain::secret::Secret;
use crate::domain::speed;
use crate::domain::time::Time;
use crate::metrics::Metrics;
use crate::metrics::labels::NotificationResult;
use crate::wire::{HttpSettings, Reach, Wire, network};

/// What the notifiers are made of.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    pub slack: &'a SlackSettings,
    pub notify: &'a Settings,
    /// `alertmanager.url`: where the Alertmanager is unless `notify.alertmanager.url` says otherwise.
    pub alertmanager_url: &'a Url,
    /// Between cycles, each of which refreshes what stands.
    pub interval: Duration,
    /// `escalation.reports_dir`; backups are in its folder `incidents`. `None`: there are none.
    pub reports_dir: Option<&'a Path>,
    /// All that is sent names it.
    pub environment: Option<&'a str>,
    /// `mape-k run --speed`: all that is sent says so.
    pub rehearsal: Option<f64>,
    pub metrics: Arc<Metrics>,
}

impl Setup<'_> {
    /// Where the Alertmanager that is notified is, and how it is reached.
    fn alertmanager(&self) -> (&Url, Option<&HttpSettings>) {
        let settings = &self.notify.alertmanager;
        (settings.url.as_ref().unwrap_or(self.alertmanager_url), settings.http.as_deref())
    }
}

#[derive(Debug)]
pub struct Notifiers {
    pub(super) all: Vec<Arc<dyn Notifier>>,
    alertmanager: Option<Arc<Alertmanager>>,
    pub(super) spool: Option<Spool>,
    pub(super) pauses: Pauses,
    /// Stands before every title.
    mark: String,
    secrets: Vec<Secret>,
    metrics: Arc<Metrics>,
}

impl Notifiers {
    pub fn new(setup: Setup<'_>) -> Result<Self, SetupError> {
        Self::through(network, setup)
    }

    /// The same by another way than the network.
    pub fn over(wire: Arc<dyn Wire>, setup: Setup<'_>) -> Result<Self, SetupError> {
        Self::through(move |_: &Url, _: Option<&HttpSettings>| Ok(wire.clone()), setup)
    }

    fn through(reach: impl Reach, setup: Setup<'_>) -> Result<Self, SetupError> {
        let mut all: Vec<Arc<dyn Notifier>> = Vec::new();
        let mut secrets = Vec::new();
        if setup.slack.enabled {
            let wire = reach(&setup.slack.server(), setup.slack.http.as_deref())?;
            let slack = Slack::over(wire, setup.slack, setup.metrics.clone())?;
            secrets.extend(slack.secrets());
            all.push(Arc::new(slack));
        }
        let mut alertmanager = None;
        if setup.notify.alertmanager.enabled {
            let (url, http) = setup.alertmanager();
            let wire = reach(url, http)?;
            let one = Arc::new(
                Alertmanager::over(wire, url, http, setup.interval)
                    .rehearsing(setup.rehearsal)
                    .in_environment(setup.environment),
            );
            secrets.extend(one.secrets());
            all.push(one.clone());
            alertmanager = Some(one);
        }
        let folder = setup.reports_dir.map(|folder| folder.join("incidents"));
        let is_rehearsal = setup.rehearsal.is_some();
        let spool = folder.map(|folder| Spool::new(folder, secrets.clone(), is_rehearsal));
        let environment = setup.environment.map(|name| format!("[{name}] ")).unwrap_or_default();
        let mark = setup.rehearsal.map(speed::mark).unwrap_or_default() + &environment;
        let metrics = setup.metrics;
        let pauses = Pauses::default();
        let set = Self { all, alertmanager, spool, pauses, mark, secrets, metrics };
        set.count_backups();
        Ok(set)
    }

    /// Nobody can be told anything: no notifier is enabled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Tells the messages, each by every notifier, and keeps in a file what was not confirmed by the deadline. Answers
    /// for each message what became of it at each notifier that sends its like, in the order of the messages.
    pub async fn deliver(&self, messages: &[Message], deadline: Instant) -> Vec<Vec<Delivery>> {
        let messages: Vec<Message> = messages.iter().map(|message| self.marked(message)).collect();
        let messages = messages.as_slice();
        let by_notifier =
            self.all.iter().map(|notifier| self.carry(&**notifier, messages, deadline));
        let mut results: Vec<_> =
            join_all(by_notifier).await.into_iter().map(Vec::into_iter).collect();
        let mut deliveries = Vec::with_capacity(messages.len());
        for message in messages {
            let attempts = results.iter_mut().filter_map(Iterator::next).flatten();
            deliveries.push(attempts.map(|attempt| self.kept(message, attempt)).collect());
        }
        if !messages.is_empty() {
            self.count_backups();
        }
        deliveries
    }

    /// The message as people are sent it, and as its backup keeps it.
    pub(super) fn marked(&self, message: &Message) -> Message {
        let mut message = message.clone();
        if !speed::is_marked(&message.title) && !message.title.starts_with(&self.mark) {
            message.title.insert_str(0, &self.mark);
        }
        message
    }

    /// The incidents, by their ids, that people will hear of when what waits is told.
    #[must_use]
    pub fn waiting_incidents(&self) -> BTreeSet<String> {
        let Some(spool) = &self.spool else { return BTreeSet::new() };
        let waiting = spool.waiting().unwrap_or_else(|error| {
            tracing::error!(%error, "nobody knows who was not told yet");
            Vec::new()
        });
        // Of one that is turned off nobody hears.
        let is_on = |name| self.all.iter().any(|notifier| notifier.name() == name);
        let waiting = waiting.into_iter().filter(|backup| is_on(backup.notifier));
        waiting.flat_map(|backup| backup.message.entries).map(|entry| entry.incident).collect()
    }

    /// How many messages wait in files. What cannot be counted is an error of [`Self::resend`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.spool.as_ref().and_then(|spool| spool.count().ok()).unwrap_or_default()
    }

    /// Tells an Alertmanager what stands, and the end of what has ended (`ended_at`). Needed in every cycle: what is not
    /// told again ends there by itself. `None` without one.
    pub async fn refresh(
        &self,
        standing: &[Entry],
        now: Time,
        deadline: Instant,
    ) -> Option<Result<(), String>> {
        let alertmanager = self.alertmanager.as_ref()?;
        if standing.is_empty() {
            return Some(Ok(()));
        }
        let began = Instant::now();
        let asked = alertmanager.refresh(standing, now, deadline);
        let result = self.caught(asked, deadline).await;
        self.count(NotifierName::Alertmanager, &result, began.elapsed());
        Some(result.map_err(|error| error.to_string()))
    }

    /// All messages by one notifier: its lanes beside each other, in each lane the worst first and edits, which call
    /// nobody, last. Answers in the order of the messages, `None` for what it does not send.
    async fn carry(
        &self,
        notifier: &dyn Notifier,
        messages: &[Message],
        deadline: Instant,
    ) -> Vec<Option<Attempt>> {
        let mut lanes: BTreeMap<String, Vec<(usize, &Message)>> = BTreeMap::new();
        for (index, message) in messages.iter().enumerate() {
            lanes.entry(notifier.lane(message)).or_default().push((index, message));
        }
        let lanes = lanes.into_values().map(|mut lane| async move {
            lane.sort_by_key(|(index, message)| {
                let is_edit = matches!(message.form, Form::Edit(_));
                (is_edit, std::cmp::Reverse(message.severity), *index)
            });
            let mut attempts = Vec::with_capacity(lane.len());
            for (index, message) in lane {
                attempts.push((index, self.attempt(notifier, message, deadline).await));
            }
            attempts
        });
        let mut attempts: Vec<(usize, Option<Attempt>)> =
            join_all(lanes).await.into_iter().flatten().collect();
        attempts.sort_by_key(|(index, _)| *index);
        attempts.into_iter().map(|(_, attempt)| attempt).collect()
    }

    pub(super) async fn attempt(
        &self,
        notifier: &dyn Notifier,
        message: &Message,
        deadline: Instant,
    ) -> Option<Attempt> {
        if !notifier.sends(&message.form) {
            return None;
        }
        let name = notifier.name();
        let began = Instant::now();
        let result = self.caught(notifier.deliver(message, deadline), deadline).await;
        let took = began.elapsed();
        self.count(name, &result, took);
        // An edit may be repeated, and what was begun too late was not sent.
        if !matches!(message.form, Form::Edit(_)) && began < deadline {
            self.pauses.note(name, notifier.lane(message), &result);
        }
        Some(Attempt { notifier: name, result, took })
    }

    /// A panic of a notifier is a failed delivery, and so is one that does not end.
    async fn caught<T>(
        &self,
        work: impl Future<Output = Result<T, NotifyError>>,
        deadline: Instant,
    ) -> Result<T, NotifyError> {
        match timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(NotifyError::Panicked(hide(&self.secrets, text(&*panic)))),
            Err(_) => Err(NotifyError::Timeout(
                "not confirmed when the time for notifications was over".to_owned(),
            )),
        }
    }

    fn count<T>(&self, name: NotifierName, result: &Result<T, NotifyError>, took: Duration) {
        let label =
            result.as_ref().map_or_else(NotifyError::result, |_| NotificationResult::Delivered);
        self.metrics.notified(name, label, took);
    }

    /// What failed gets a file, unless it is an edit: its next one says more.
    fn kept(&self, message: &Message, attempt: Attempt) -> Delivery {
        let Attempt { notifier, result, took } = attempt;
        let (name, severity) = (notifier.as_str(), message.severity.as_str());
        let error = match result {
            Ok(thread) => {
                return Delivery { notifier, result: Ok(thread), took, backed_up: false };
            }
            Err(error) => error.to_string(),
        };
        let failed =
            |error: String, backed_up| Delivery { notifier, result: Err(error), took, backed_up };
        if matches!(message.form, Form::Edit(_)) {
            tracing::warn!(notifier = name, severity, error, "a message was not edited");
            return failed(error, false);
        }
        let Some(spool) = &self.spool else {
            tracing::error!(notifier = name, severity, error, "people were not told, no backup");
            let error = format!("{error}; no backup: escalation.reports_dir is not set");
            return failed(error, false);
        };
        match spool.keep(notifier, message, &error) {
            Ok(file) => {
                tracing::warn!(notifier = name, severity, error, file, "people are told later");
                failed(error, true)
            }
            Err(disk) => {
                tracing::error!(
                    notifier = name,
                    severity,
                    error,
                    %disk,
                    "people were not told, no backup"
                );
                failed(format!("{error}; no backup: {disk}"), false)
            }
        }
    }

    /// Shows how many wait.
    pub(super) fn count_backups(&self) {
        let Some(spool) = &self.spool else { return };
        match spool.count() {
            Ok(count) => self.metrics.notifications_backed_up(count),
            Err(error) => tracing::error!(%error, "the backups cannot be counted"),
        }
    }
}

/// One message at one notifier, before what failed is kept.
pub(super) struct Attempt {
    pub notifier: NotifierName,
    pub result: Result<Option<Thread>, NotifyError>,
    pub took: Duration,
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("the notifier panicked: {text}. This is a defect: please report it with the log")
}
