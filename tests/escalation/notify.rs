//! Slack, the Alertmanager notifier, backups, GitHub.

mod alertmanager_integration;
mod backups;
pub mod fake_slack;
mod github;
mod hostile;
mod kills;
mod lanes;
mod layout;
pub mod messages;
mod order;
mod outbox;
pub mod post;
mod rehearsal;
mod resending;
mod second_way;
mod slack;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mape_k::clock::Clock;
use mape_k::domain::message::Message;
use mape_k::domain::secret::Secret;
use mape_k::metrics::Metrics;
use mape_k::notify::Setup;
use mape_k::notify::settings::{Settings, Slack};
use tempfile::TempDir;
use tokio::time::Instant;
use url::Url;

use self::fake_slack::FakeSlack;
use self::post::{Delivery, Post};

pub const TOKEN: &str = "xoxb-1234-not-for-anybody";

/// Slack as a fake, the notifiers before it, a folder for what fails.
pub struct Scene {
    pub slack: FakeSlack,
    pub notifiers: Post,
    pub metrics: Arc<Metrics>,
    pub folder: TempDir,
}

impl Scene {
    /// With a bot's token.
    pub async fn bot() -> Self {
        Self::with(|_, _| ()).await
    }

    /// With an incoming webhook.
    pub async fn webhook() -> Self {
        Self::with(|slack, url| {
            slack.token = None;
            slack.webhook_url = Some(Secret::new(format!("{url}services/T0SECRET/B0/xyz")));
        })
        .await
    }

    pub async fn with(change: impl FnOnce(&mut Slack, &Url)) -> Self {
        let fake = FakeSlack::start().await;
        let mut settings = Slack {
            enabled: true,
            api_url: fake.url.join("api").expect("a URL"),
            token: Some(Secret::new(TOKEN.to_owned())),
            ..Slack::default()
        };
        change(&mut settings, &fake.url);
        let folder = tempfile::tempdir().expect("a folder for backups");
        let metrics = Metrics::new(Clock::start().now());
        let notifiers = Post::new(&setup(&settings, &metrics, Some(folder.path())));
        Self { slack: fake, notifiers, metrics, folder }
    }

    /// Tells one message and answers what became of it at Slack.
    pub async fn tell(&self, message: &Message) -> Delivery {
        let mut deliveries = self.tell_all(std::slice::from_ref(message)).await;
        deliveries.remove(0)
    }

    pub async fn tell_all(&self, messages: &[Message]) -> Vec<Delivery> {
        let deliveries = self.notifiers.deliver(messages, soon()).await;
        deliveries.into_iter().map(|mut each| each.remove(0)).collect()
    }

    /// The files of backups, by name.
    pub fn files(&self) -> Vec<String> {
        files(self.folder.path())
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("incidents").join(name)
    }

    /// A line of /metrics.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.gather();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not among the metrics:\n{text}"))
            .parse()
            .expect("a number")
    }
}

/// Slack and an Alertmanager; the second is answered for by a fake that takes everything.
pub async fn both() -> (Scene, FakeSlack) {
    both_at(None).await
}

/// The same for a rehearsal at this speed.
pub async fn both_at(rehearsal: Option<f64>) -> (Scene, FakeSlack) {
    let mut scene = Scene::bot().await;
    let alertmanager = FakeSlack::start().await;
    let settings = Slack {
        enabled: true,
        api_url: scene.slack.url.join("api").expect("a URL"),
        token: Some(Secret::new(TOKEN.to_owned())),
        ..Slack::default()
    };
    let url = Some(alertmanager.url.clone());
    let notify = Settings {
        alertmanager: mape_k::notify::settings::Alertmanager { enabled: true, url, http: None },
    };
    let setup = setup(&settings, &scene.metrics, Some(scene.folder.path()));
    let setup = Setup { notify: &notify, rehearsal, ..setup };
    scene.notifiers = Post::new(&setup);
    (scene, alertmanager)
}

pub fn setup<'a>(
    slack: &'a Slack,
    metrics: &Arc<Metrics>,
    reports_dir: Option<&'a Path>,
) -> Setup<'a> {
    static NOTIFY: Settings = Settings {
        alertmanager: mape_k::notify::settings::Alertmanager {
            enabled: false,
            url: None,
            http: None,
        },
    };
    static NOWHERE: std::sync::LazyLock<Url> =
        std::sync::LazyLock::new(|| Url::parse("http://127.0.0.1:9").expect("a URL"));
    Setup {
        environment: None,
        slack,
        notify: &NOTIFY,
        alertmanager_url: &NOWHERE,
        interval: Duration::from_secs(30),
        reports_dir,
        rehearsal: None,
        metrics: metrics.clone(),
    }
}

pub fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("incidents")).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The deadline of one cycle's notifications.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(15)
}
