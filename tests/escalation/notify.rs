//! Slack, the Alertmanager notifier, backups, GitHub.
