//! The environment variables that stand over the file, laid over the tree so that both are read and checked alike.

use super::problem::Origin;
use super::reader::Problems;
use super::tree::{Entry, Node, Value};

/// Reads one environment variable; passed in, so that nothing here touches the process.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Where the configuration file is, when no path is given.
pub const PATH: &str = "MAPE_K_CONFIG";

/// The only one that is no text of its key: a number of minutes.
const MINUTES: &str = "MONITORING_INTERVAL_MINUTES";

/// Every variable with the section and the key it stands for. Of two for one key the later one wins.
pub const VARIABLES: [(&str, &str, &str); 26] = [
    ("ORCHESTRATOR_MODE", "orchestrator", "mode"),
    ("MAPE_K_INTERVAL", "orchestrator", "loop_interval"),
    ("MAPE_K_THRESHOLD", "orchestrator", "plan_threshold"),
    ("MAPE_K_AUTO_APPROVE", "orchestrator", "auto_approve"),
    ("LOG_LEVEL", "orchestrator", "log_level"),
    ("PROMETHEUS_URL", "monitor", "prometheus_url"),
    ("CHARTER_API_URL", "execute", "charter_url"),
    ("CHARTER_URL", "execute", "charter_url"),
    ("CHARTER_API_KEY", "execute", "charter_api_key"),
    ("ALERTMANAGER_URL", "alertmanager", "url"),
    ("WEBHOOK_PORT", "alertmanager", "webhook_port"),
    ("MAPE_K_WEBHOOK_HOST", "alertmanager", "webhook_host"),
    ("MAPE_K_WEBHOOK_TOKEN", "alertmanager", "webhook_token"),
    ("MAPE_K_API_HOST", "api", "host"),
    ("MAPE_K_API_TOKEN", "api", "token"),
    ("MAPE_K_API_READ_TOKEN", "api", "read_token"),
    ("KUBECONFIG", "kubernetes", "kubeconfig"),
    ("SERVICES_FILE", "escalation", "services_file"),
    (MINUTES, "escalation", "interval"),
    ("SLACK_ENABLED", "slack", "enabled"),
    ("SLACK_BOT_TOKEN", "slack", "token"),
    // Whoever knows one channel wants everything in it.
    ("SLACK_CHANNEL", "slack.channels", "critical"),
    ("SLACK_CHANNEL", "slack.channels", "infrastructure"),
    ("GITHUB_TOKEN", "github", "token"),
    ("GITHUB_REPO_OWNER", "github", "owner"),
    ("GITHUB_REPO_NAME", "github", "repository"),
];

/// A variable that is set but empty counts as not set: compose files pass such ones on.
pub(super) fn get(env: &Environment<'_>, name: &str) -> Option<String> {
    env(name).filter(|value| !value.trim().is_empty())
}

/// Appends what the environment gives behind what the file gives.
pub(super) fn lay_over(tree: &mut Node, env: &Environment<'_>, problems: &Problems) {
    // A file that is no mapping is refused by the reader; there is nothing to lay anything over.
    let Value::Map(sections) = &mut tree.value else { return };
    for (name, section, key) in VARIABLES {
        let Some(value) = get(env, name) else { continue };
        let origin = Origin::Env(name);
        let entry =
            |key: &str, value| Entry { key: key.to_owned(), origin, node: Node { value, origin } };
        let word = if name == MINUTES { minutes(&value) } else { Some(value.clone()) };
        let Some(word) = word else {
            let text = format!("{value:?} given; accepted: a number of minutes above 0, such as 5");
            problems.error(format!("{section}.{key}"), origin, text);
            continue;
        };
        // From the key outwards.
        let given = section.rsplit('.').fold(entry(key, Value::Word(word)), |inside, section| {
            entry(section, Value::Map(vec![inside]))
        });
        sections.push(given);
    }
    if let (Some(one), Some(other)) = (get(env, "CHARTER_URL"), get(env, "CHARTER_API_URL"))
        && one.trim_end_matches('/') != other.trim_end_matches('/')
    {
        let text = "CHARTER_API_URL is set to another address; CHARTER_URL is used";
        problems.warn("execute.charter_url", Origin::Env("CHARTER_URL"), text);
    }
}

/// As the key reads it.
fn minutes(value: &str) -> Option<String> {
    let value = value.trim();
    let is_plain = value.chars().all(|c| c.is_ascii_digit() || c == '.');
    value
        .parse::<f64>()
        .ok()
        .filter(|minutes| is_plain && *minutes > 0.0)
        .map(|_| format!("{value}m"))
}
