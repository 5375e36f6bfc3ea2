//! All notifiers together: one attempt with one message, a panic caught, what failed kept in a file.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::alertmanager::Alertmanager;
use super::call::hide;
use super::settings::{Settings, Slack as SlackSettings};
use super::slack::Slack;
use super::spool::{Backup, Done, Spool};
use super::{Notifier, NotifyError, SetupError};
use crate::domain::message::{Entry, Form, Message, NotifierName, Thread};
use crate::domain::outbox::Outgoing;
use crate::domain::secret::Secret;
use crate::domain::speed;
use crate::domain::time::Time;
use crate::http::{HttpSettings, HttpTransport, Reach, network};
use crate::metrics::Metrics;
use crate::metrics::labels::NotificationResult;

/// For one attempt with all its second ways, of which each is a call of five seconds at most.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(15);

/// For a backup: a disk that hangs holds no message up for longer, and is left alone for a while.
const BACKUP_WITHIN: Duration = Duration::from_secs(2);
const HUNG_FOR: Duration = Duration::from_secs(60);

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
    all: Vec<Arc<dyn Notifier>>,
    alertmanager: Option<Arc<Alertmanager>>,
    spool: Option<Spool>,
    /// The disk hung, and is not asked before then.
    hung_until: Mutex<Option<Instant>>,
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
    pub fn with_transport(
        wire: Arc<dyn HttpTransport>,
        setup: Setup<'_>,
    ) -> Result<Self, SetupError> {
        Self::through(move |_: &Url, _: Option<&HttpSettings>| Ok(wire.clone()), setup)
    }

    fn through(reach: impl Reach, setup: Setup<'_>) -> Result<Self, SetupError> {
        let mut all: Vec<Arc<dyn Notifier>> = Vec::new();
        let mut secrets = Vec::new();
        if setup.slack.enabled {
            let wire = reach(&setup.slack.server(), setup.slack.http.as_deref())?;
            let slack = Slack::with_transport(wire, setup.slack, setup.metrics.clone())?;
            secrets.extend(slack.secrets());
            all.push(Arc::new(slack));
        }
        let mut alertmanager = None;
        if setup.notify.alertmanager.enabled {
            let (url, http) = setup.alertmanager();
            let wire = reach(url, http)?;
            let one = Arc::new(
                Alertmanager::with_transport(wire, url, http, setup.interval)
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
        let (metrics, hung_until) = (setup.metrics, Mutex::default());
        Ok(Self { all, alertmanager, spool, hung_until, mark, secrets, metrics })
    }

    /// Nobody can be notified: no notifier is enabled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn names(&self) -> impl Iterator<Item = NotifierName> {
        self.all.iter().map(|one| one.name())
    }

    #[must_use]
    pub fn has(&self, name: NotifierName) -> bool {
        self.of(name).is_some()
    }

    #[must_use]
    pub fn has_alertmanager(&self) -> bool {
        self.alertmanager.is_some()
    }

    /// Those that send messages of this form.
    #[must_use]
    pub fn that_send(&self, form: &Form) -> Vec<NotifierName> {
        self.all.iter().filter(|one| one.sends(form)).map(|one| one.name()).collect()
    }

    fn of(&self, name: NotifierName) -> Option<&dyn Notifier> {
        self.all.iter().find(|one| one.name() == name).map(|one| &**one)
    }

    /// Messages of one lane go one after the other; `None`: the notifier is not configured.
    pub(super) fn lane(&self, name: NotifierName, message: &Message) -> Option<String> {
        Some(self.of(name)?.lane(message))
    }

    /// The message as people are sent it, and as its backup keeps it.
    #[must_use]
    pub fn marked(&self, mut message: Message) -> Message {
        if !speed::is_marked(&message.title) && !message.title.starts_with(&self.mark) {
            message.title.insert_str(0, &self.mark);
        }
        message
    }

    /// One attempt. A panic of a notifier is a failed delivery, and so is one that does not end.
    pub async fn attempt(
        &self,
        name: NotifierName,
        message: &Message,
    ) -> Result<Option<Thread>, NotifyError> {
        let Some(notifier) = self.of(name) else {
            let text = format!("the notifier {} is not configured", name.as_str());
            return Err(NotifyError::Unreachable(text));
        };
        let began = Instant::now();
        let deadline = began + ATTEMPT_WITHIN;
        let result = self.caught(notifier.deliver(message, deadline), deadline).await;
        self.count(name, &result, began.elapsed());
        result
    }

    /// Posts to an Alertmanager what fires, and the end of what has ended (`ended_at`). An alert that is not posted again ends
    /// there by itself. `None` without one.
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

    async fn caught<T>(
        &self,
        work: impl Future<Output = Result<T, NotifyError>>,
        deadline: Instant,
    ) -> Result<T, NotifyError> {
        match timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(NotifyError::Panicked(hide(&self.secrets, text(&*panic)))),
            Err(_) => Err(NotifyError::Timeout(
                "not confirmed within the time for one attempt".to_owned(),
            )),
        }
    }

    fn count<T>(&self, name: NotifierName, result: &Result<T, NotifyError>, took: Duration) {
        let label =
            result.as_ref().map_or_else(NotifyError::result, |_| NotificationResult::Delivered);
        self.metrics.notified(name, label, took);
    }

    /// Writes the file of an entry whose delivery failed and answers its name, or why there is none.
    pub async fn keep(&self, entry: &Outgoing, error: &str) -> Result<String, String> {
        let Some(spool) = &self.spool else {
            return Err("escalation.reports_dir is not set".to_owned());
        };
        self.on_disk(async { spool.keep(entry, error).await.map_err(|e| e.to_string()) }).await
    }

    /// The file of an entry does not wait any more.
    pub async fn finish(&self, file: &str, done: Done) {
        let Some(spool) = &self.spool else { return };
        let finish = async { spool.finish(file, done).await.map_err(|error| error.to_string()) };
        if let Err(error) = self.on_disk(finish).await {
            tracing::warn!(error, "a backup file that is done with could not be renamed");
        }
    }

    /// The files that wait from before this process.
    pub async fn waiting_files(&self) -> Result<Vec<Backup>, String> {
        let Some(spool) = &self.spool else { return Ok(Vec::new()) };
        self.on_disk(async { spool.waiting().await.map_err(|error| error.to_string()) }).await
    }

    /// Something with files, unless the disk hangs.
    async fn on_disk<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let late = || {
            format!(
                "the disk of the backup files did not answer within {} s (escalation.reports_dir)",
                BACKUP_WITHIN.as_secs()
            )
        };
        let hung_until = *self.hung_until.lock().unwrap_or_else(PoisonError::into_inner);
        if hung_until.is_some_and(|until| Instant::now() < until) {
            return Err(late());
        }
        if let Ok(result) = timeout(BACKUP_WITHIN, work).await {
            return result;
        }
        let until = Instant::now() + HUNG_FOR;
        *self.hung_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        Err(late())
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("the notifier panicked: {text}. This is a defect: please report it with the log")
}
