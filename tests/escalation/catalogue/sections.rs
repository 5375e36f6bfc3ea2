//! The sections `kubernetes`, `escalation`, `slack`, `notify` and `github`: what is refused, what is warned of.

use std::time::Duration;

use chrono::{NaiveTime, Weekday};
use mape_k::cli::Output;
use mape_k::config::{Config, Errors, Origin, Warning};
use mape_k::domain::cluster::Kind;
use mape_k::domain::secret::Secret;

use super::checked;

fn parse(text: &str) -> Result<(Config, Vec<Warning>), Errors> {
    Config::parse(text, &|_| None)
}

fn accepted(text: &str) -> Config {
    parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors}")).0
}

fn refused(text: &str) -> Vec<String> {
    let errors = parse(text).err().map_or_else(Vec::new, |errors| errors.problems);
    errors.into_iter().map(|problem| problem.path).collect()
}

fn warned(text: &str) -> Vec<String> {
    let (_, warnings) = parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    warnings.into_iter().map(|warning| warning.path).collect()
}

#[test]
fn b21_every_error_of_the_sections_is_told_at_once_with_field_and_line() {
    let text = "\
kubernetes:
  enabled: maybe
  namespaces: [Shop, web, web]
  kinds: [pod]
  log_lines: 201
escalation:
  timeout: 0
  default_tier: p1
  business_hours:
    start: 9
    end: '25:00'
    time_zone: Europe/Berlni
    days: [mon, funday]
  repeat_after: 2d
  reports_max_files: 99
slack:
  channels: {critical: , test: 'a b'}
  chanels: {}
notify:
  alertmanager: {url: alertmanager}
github:
  owner: a/b
  repository: me/mine
  window: 8d
";
    let errors = parse(text).expect_err("refused");
    let found: Vec<_> =
        errors.problems.iter().map(|problem| (problem.path.as_str(), problem.origin)).collect();
    let line = Origin::Line;
    assert_eq!(
        found,
        [
            ("kubernetes.enabled", line(2)),
            ("kubernetes.namespaces[0]", line(3)),
            ("kubernetes.namespaces[2]", line(3)),
            ("kubernetes.kinds[0]", line(4)),
            ("kubernetes.log_lines", line(5)),
            ("escalation.timeout", line(7)),
            ("escalation.default_tier", line(8)),
            ("escalation.business_hours.start", line(10)),
            ("escalation.business_hours.end", line(11)),
            ("escalation.business_hours.time_zone", line(12)),
            ("escalation.business_hours.days[1]", line(13)),
            ("escalation.repeat_after", line(14)),
            ("escalation.reports_max_files", line(15)),
            ("slack.channels.critical", line(17)),
            ("slack.channels.test", line(17)),
            ("slack.chanels", line(18)),
            ("notify.alertmanager.url", line(20)),
            ("github.owner", line(22)),
            ("github.repository", line(23)),
            ("github.window", line(24)),
        ],
        "{errors}"
    );
    let report = errors.to_string();
    for told in [
        "did you mean pods?",
        "did you mean Europe/Berlin?",
        "did you mean channels?",
        "\"p1\" given; accepted: P0, P1, P2, P3",
        "a # without quotes begins a comment",
        "\"web\" given twice",
        "at most 86400 s",
    ] {
        assert!(report.contains(told), "{told}\n{report}");
    }
}

#[test]
fn what_belongs_together_is_checked_together() {
    let token_file = "slack: {enabled: true, token_file: /nowhere/token}";
    for (text, paths) in [
        ("slack: {enabled: true}", &["slack.enabled"][..]),
        ("slack: {enabled: true, token: null, webhook_url: null}", &["slack.enabled"]),
        ("slack: {enabled: true, token: x, webhook_url: 'https://h/x'}", &["slack.webhook_url"]),
        ("slack: {webhook_url: hooks.slack.com}", &["slack.webhook_url"]),
        ("slack: {webhook_url: 'ftp://h/x'}", &["slack.webhook_url"]),
        // Told once, by what was given.
        (token_file, &["slack.token_file"]),
        ("slack: {enabled: true, token: ''}", &["slack.token"]),
        ("slack: {enabled: true, token: '***'}", &["slack.token"]),
        ("github: {enabled: true}", &["github.owner", "github.repository"]),
        ("github: {enabled: true, token: x, owner: a}", &["github.repository"]),
        ("github: {repository: ..}", &["github.repository"]),
        ("kubernetes: {enabled: true, kinds: []}", &["kubernetes.kinds"]),
        ("kubernetes: {kinds: [claims, persistentvolumeclaims]}", &["kubernetes.kinds[1]"]),
        ("kubernetes: {enabled: true, kubeconfig: '/a:/b'}", &["kubernetes.kubeconfig"]),
        ("escalation: {interval: 13h}", &["escalation.interval"]),
        ("escalation: {timeout: 301}", &["escalation.timeout"]),
        ("escalation: {services_file: null}", &["escalation.services_file"]),
        (
            "escalation: {business_hours: {start: '10:00', end: '10:00'}}",
            &["escalation.business_hours.end"],
        ),
        ("escalation: {business_hours: {days: []}}", &["escalation.business_hours.days"]),
        (
            "escalation: {business_hours: {days: [mon, Monday]}}",
            &["escalation.business_hours.days[1]"],
        ),
    ] {
        assert_eq!(refused(text), paths, "{text}\n{:?}", parse(text));
    }
}

#[test]
fn the_sections_are_read() {
    let config = accepted(
        "kubernetes: {enabled: true, kinds: [claims, nodes], namespaces: [a]}\n\
         escalation: {reports_dir: null, business_hours: {start: '22:00', end: '06:30', days: [sun, Fri, mon]}}\n\
         slack: {enabled: true, token: xoxb-1}\n\
         github: {owner: me, repository: the.repo_1, window: 2h}\n",
    );
    assert_eq!(config.kubernetes.kinds, [Kind::Nodes, Kind::Claims].into());
    assert_eq!(config.escalation.reports_dir, None);
    let hours = &config.escalation.business_hours;
    assert_eq!(Some(hours.end), NaiveTime::from_hms_opt(6, 30, 0));
    assert_eq!(hours.days, [Weekday::Mon, Weekday::Fri, Weekday::Sun]);
    assert_eq!(config.slack.token.as_ref().map(Secret::expose), Some("xoxb-1"));
    assert_eq!(config.github.window, Duration::from_secs(7200));
    let yaml = config.to_yaml().expect("prints").replace("'***'", "x").replace("\"***\"", "x");
    assert_eq!(accepted(&yaml.replace("token: ***", "token: x")).kubernetes, config.kubernetes);
    assert_eq!(accepted(&yaml.replace("token: ***", "token: x")).escalation, config.escalation);
}

#[test]
fn the_notifier_goes_to_the_alertmanager_that_is_read_unless_another_is_named() {
    let url =
        |text: &str| accepted(text).notify.alertmanager.url.map(|url| url.as_str().to_owned());
    let read = "alertmanager: {url: 'http://am:9093'}\n";
    assert_eq!(url(read), None);
    let enabled = format!("{read}notify: {{alertmanager: {{enabled: true}}}}");
    assert_eq!(url(&enabled).as_deref(), Some("http://am:9093/"));
    let other = format!("{read}notify: {{alertmanager: {{enabled: true, url: 'http://b'}}}}");
    assert_eq!(url(&other).as_deref(), Some("http://b/"));
}

#[test]
fn what_would_reach_nobody_is_warned_about() {
    // That no notifier is enabled is `Config::advice`'s to say.
    assert_eq!(warned("kubernetes: {enabled: true}"), Vec::<String>::new());
    let told = "kubernetes: {enabled: true}\nnotify: {alertmanager: {enabled: true}}";
    assert_eq!(warned(told), Vec::<String>::new());
    let told = "kubernetes: {enabled: true}\nslack: {enabled: true, token: x}";
    assert_eq!(warned(told), Vec::<String>::new());
    let test_mode = "slack: {enabled: true, test_mode: true, token: x}";
    assert_eq!(warned(test_mode), ["slack.test_mode"]);
    let webhook = "slack: {enabled: true, test_mode: true, webhook_url: 'https://h/x'}";
    assert_eq!(warned(webhook), ["slack.test_mode"]);
    assert_eq!(warned("github: {enabled: true, owner: a, repository: b}"), ["github.token"]);
    let gone = "kubernetes: {enabled: true, kubeconfig: /nowhere}\nnotify: {alertmanager: {enabled: true}}";
    assert_eq!(warned(gone), ["kubernetes.kubeconfig"]);
}

#[test]
fn b25_check_config_shows_neither_token_nor_webhook() {
    let secrets = "slack: {token: xoxb-hunter2, webhook_url: 'https://hooks.example/services/hunter2'}\n\
                   github: {token: hunter2}\nescalation: {services_file: SERVICES}\n";
    for output in [Output::Text, Output::Json] {
        let (valid, text) = checked(secrets, "services: []", output);
        assert!(valid, "{text}");
        assert!(!text.contains("hunter2") && text.contains("***"), "{text}");
        // Nor where they are refused: both at once, and a webhook's address that is none.
        for wrong in [
            format!("{secrets}api: {{port: x}}"),
            secrets.replace("slack: {", "slack: {enabled: true, "),
            secrets.replace("https://hooks", "https//hooks"),
            secrets.replace("xoxb-hunter2", "'xoxb hunter2'"),
        ] {
            let (valid, text) = checked(&wrong, "services: []", output);
            assert!(!valid, "{wrong}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
    let config = accepted(&secrets.replace("SERVICES", "x"));
    assert!(!format!("{config:?}{:?}{:?}", config.slack, config.github).contains("hunter2"));
}

#[test]
fn b25_the_secrets_may_be_in_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (token, hook) = (file("token", "xoxb-1\n"), file("hook", "https://h.example/x\n"));
    let config = accepted(&format!(
        "slack: {{token_file: {token}, webhook_url_file: {hook}}}\ngithub: {{token_file: {token}}}"
    ));
    assert_eq!(config.slack.token.as_ref().map(Secret::expose), Some("xoxb-1"));
    let url = config.slack.webhook_url.as_ref().map(Secret::expose);
    assert_eq!(url, Some("https://h.example/x"));
    assert_eq!(config.github.token.as_ref().map(Secret::expose), Some("xoxb-1"));
    let wrong = format!("slack: {{enabled: true, webhook_url_file: {token}}}");
    assert_eq!(refused(&wrong), ["slack.webhook_url_file"]);
}
