//! The configuration as one value: what it is printed as, its hash, and where it differs from another one.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Config;
use crate::domain::difference::{Difference, differences};

/// Hexadecimal digits of the hash that are shown: no two configurations of one installation share them by chance.
const SHOWN: usize = 12;

impl Config {
    /// In the shape of the file, secrets as `***`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        // Keys and paths come from YAML and the environment as Unicode, so that nothing here can fail.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The beginning of the SHA-256 of what is in effect, secrets left out.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash = String::with_capacity(SHOWN);
        for byte in &Sha256::digest(self.to_json().to_string())[..SHOWN / 2] {
            // A string takes everything.
            let _ = write!(hash, "{byte:02x}");
        }
        hash
    }

    /// What differs in `other`. A secret that differs is named by its section, where nothing else of it does.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = differences(&self.to_json(), &other.to_json());
        let execute =
            |config: &Self| (config.execute.charter_api_key.clone(), config.execute.http.clone());
        // Its copy of `plan.approval_ttl` shows there.
        let mut knowledge = other.knowledge.clone();
        knowledge.approval_ttl = self.knowledge.approval_ttl;
        // The sections in which a secret, or a URL with a password, can stand.
        let differs = [
            ("alertmanager", self.alertmanager != other.alertmanager),
            ("api", self.api != other.api),
            ("execute", execute(self) != execute(other)),
            ("github", self.github != other.github),
            ("hooks", self.hooks != other.hooks),
            ("knowledge", self.knowledge != knowledge),
            ("monitor", self.monitor != other.monitor),
            ("notify", self.notify != other.notify),
            ("slack", self.slack != other.slack),
        ];
        for (section, _) in differs.into_iter().filter(|(_, differs)| *differs) {
            let is_named = |one: &Difference| {
                one.key.strip_prefix(section).is_some_and(|rest| rest.starts_with(['.', '[']))
            };
            if !found.iter().any(is_named) {
                found.push(Difference::of_secret(section));
            }
        }
        found
    }
}
