//! The effective configuration in the shape of the file: what is printed can be loaded again.
//!
//! Secrets and passwords in URLs are printed as `***`, which loading refuses.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::Config;

impl Config {
    /// The effective configuration as a configuration file. Fails only for a path that is not Unicode.
    pub fn to_yaml(&self) -> Result<String, serde_yaml::SerializeError> {
        serde_yaml::to_string(self)
    }
}

/// As it is printed: the URLs within would show their passwords.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_yaml().map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            orchestrator,
            monitor,
            analyze,
            plan,
            execute,
            hooks,
            knowledge,
            alertmanager,
            api,
            kubernetes,
            escalation,
            slack,
            notify,
            github,
            logging,
            rehearsal: _,
        } = self;
        let mut file = serializer.serialize_struct("Config", 16)?;
        file.serialize_field("orchestrator", orchestrator)?;
        file.serialize_field("monitor", monitor)?;
        file.serialize_field("analyze", analyze)?;
        file.serialize_field("plan", plan)?;
        file.serialize_field("guardrails", &plan.guardrails)?;
        file.serialize_field("execute", execute)?;
        file.serialize_field("hooks", hooks)?;
        file.serialize_field("knowledge", knowledge)?;
        file.serialize_field("alertmanager", alertmanager)?;
        file.serialize_field("api", api)?;
        file.serialize_field("kubernetes", kubernetes)?;
        file.serialize_field("escalation", escalation)?;
        file.serialize_field("slack", slack)?;
        file.serialize_field("notify", notify)?;
        file.serialize_field("github", github)?;
        file.serialize_field("logging", logging)?;
        file.end()
    }
}
