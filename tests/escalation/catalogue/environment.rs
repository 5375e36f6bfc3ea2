//! The names that users have in their environment.

use std::path::PathBuf;
use std::time::Duration;

use mape_k::config::{Config, Errors, Warning};
use mape_k::domain::secret::Secret;

fn parse(file: &str, given: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), Errors> {
    let env = |name: &str| {
        given.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned())
    };
    Config::parse(file, &env)
}

fn accepted(file: &str, given: &[(&str, &str)]) -> Config {
    parse(file, given).unwrap_or_else(|errors| panic!("{given:?}\n{errors}")).0
}

const FILE: &str = "slack: {enabled: false, token: file, channels: {critical: '#c', infrastructure: '#i', test: '#t'}}\n\
                    github: {token: file, owner: file, repository: file}\nkubernetes: {kubeconfig: /file}\n\
                    escalation: {services_file: /file, interval: 1m}\n";

#[test]
fn the_names_that_users_have_stand_over_the_file() {
    let given = [
        ("SLACK_ENABLED", "true"),
        ("SLACK_BOT_TOKEN", "xoxb-env"),
        ("SLACK_CHANNEL", "#env"),
        ("GITHUB_TOKEN", "ghp-env"),
        ("GITHUB_REPO_OWNER", "me"),
        ("GITHUB_REPO_NAME", "mine"),
        ("KUBECONFIG", "/env/kubeconfig"),
        ("SERVICES_FILE", "/env/services.yaml"),
        ("MONITORING_INTERVAL_MINUTES", "2.5"),
    ];
    for file in [FILE, ""] {
        let config = accepted(file, &given);
        assert!(config.slack.enabled);
        assert_eq!(config.slack.token.as_ref().map(Secret::expose), Some("xoxb-env"));
        assert_eq!(config.slack.channels.critical, "#env");
        assert_eq!(config.slack.channels.infrastructure, "#env");
        assert_ne!(config.slack.channels.test, "#env");
        assert_eq!(config.github.token.as_ref().map(Secret::expose), Some("ghp-env"));
        assert_eq!(config.github.owner.as_deref(), Some("me"));
        assert_eq!(config.github.repository.as_deref(), Some("mine"));
        assert_eq!(config.kubernetes.kubeconfig, Some(PathBuf::from("/env/kubeconfig")));
        assert_eq!(config.escalation.services_file, PathBuf::from("/env/services.yaml"));
        assert_eq!(config.escalation.interval, Duration::from_secs(150));
    }
}

#[test]
fn b21_a_bad_value_is_refused_by_its_own_name() {
    let given = [
        ("SLACK_ENABLED", "yes"),
        ("SLACK_BOT_TOKEN", "hunter 2"),
        ("SLACK_CHANNEL", "two words"),
        ("GITHUB_REPO_NAME", "me/mine"),
    ];
    let report = parse("", &given).expect_err("refused").to_string();
    for told in [
        "slack.enabled, from SLACK_ENABLED: \"yes\" given; accepted: true or false",
        "slack.token, from SLACK_BOT_TOKEN: ",
        "slack.channels.critical, from SLACK_CHANNEL: ",
        "slack.channels.infrastructure, from SLACK_CHANNEL: ",
        "github.repository, from GITHUB_REPO_NAME: ",
    ] {
        assert!(report.contains(told), "{told}\n{report}");
    }
    assert!(!report.contains("hunter"), "{report}");
    for minutes in ["0", "-5", "5m", "soon", "nan", "1e1", "721", "99999999999999999999"] {
        let given = [("MONITORING_INTERVAL_MINUTES", minutes)];
        let report = parse("", &given).expect_err(minutes).to_string();
        assert!(report.contains("1 error"), "{report}");
        let named = "escalation.interval, from MONITORING_INTERVAL_MINUTES: ";
        assert!(report.contains(named), "{report}");
    }
    let report = parse("", &[("SLACK_ENABLED", "true")]).expect_err("no token").to_string();
    assert!(report.contains("slack.enabled, from SLACK_ENABLED: "), "{report}");
}

/// A shell's list of several is no reason to refuse a daemon that watches no cluster.
#[test]
fn a_kubeconfig_of_several_files_matters_only_where_a_cluster_is_watched() {
    let given = [("KUBECONFIG", "/a:/b")];
    accepted("", &given);
    let report = parse("kubernetes: {enabled: true}", &given).expect_err("refused").to_string();
    assert!(report.contains("kubernetes.kubeconfig, from KUBECONFIG: "), "{report}");
}
