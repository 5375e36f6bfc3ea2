//! Monitor: reads Prometheus (or scrapes Charter), Alertmanager and the webhook's inbox into a [`Snapshot`].
//!
//! It concludes nothing: which violations are active, good or missing is the analyzer's tracking.
//!
//! [`Snapshot`]: crate::domain::reading::Snapshot

pub mod settings;

pub use settings::{AlertmanagerSettings, Handler, MetricsSource, Settings};
