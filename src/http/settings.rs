//! The `http` block that every section with a server has: how that server is reached and which credentials it gets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use url::Url;

use crate::domain::address;
use crate::domain::secret::Secret;

/// Boxed where sections hold it: the settings travel by value through every start, and few have one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HttpSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// Sent with every request. Printed as stars: a header may be a key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// The only authorities that are trusted, instead of those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate carries, where the URL has another one or an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "address::serialize_optional"
    )]
    pub proxy: Option<Url>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BasicAuth {
    pub username: String,
    pub password: Secret,
}
