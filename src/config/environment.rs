//! The environment variables that stand over the file, laid over the tree so that both are read and checked alike.

use super::problem::Origin;
use super::reader::Problems;
use super::tree::{Entry, Node, Value};

/// Reads one environment variable; passed in, so that nothing here touches the process.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Where the configuration file is, when no path is given.
pub const PATH: &str = "MAPE_K_CONFIG";

/// Every variable with the section and the key it stands for. Of two for one key the later one wins.
pub const VARIABLES: [(&str, &str, &str); 14] = [
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
    ("MAPE_K_WEBHOOK_TOKEN", "alertmanager", "webhook_token"),
    ("MAPE_K_API_TOKEN", "api", "token"),
    ("MAPE_K_API_READ_TOKEN", "api", "read_token"),
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
        let given = entry(key, Value::Word(value));
        sections.push(entry(section, Value::Map(vec![given])));
    }
    if let (Some(one), Some(other)) = (get(env, "CHARTER_URL"), get(env, "CHARTER_API_URL"))
        && one.trim_end_matches('/') != other.trim_end_matches('/')
    {
        let text = "CHARTER_API_URL is set to another address; CHARTER_URL stands";
        problems.warn("execute.charter_url", Origin::Env("CHARTER_URL"), text);
    }
}
