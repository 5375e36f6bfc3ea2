//! The `kubernetes` section of the configuration, with its defaults.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::domain::cluster::Kind;
use crate::domain::speed::divided;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub enabled: bool,
    /// `None`: the pod's own service account, else the usual kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// Empty: all of them.
    pub namespaces: Vec<String>,
    pub kinds: BTreeSet<Kind>,
    /// Last lines of a failing container's log that a finding carries; 0: none are read.
    pub log_lines: u32,
}

divided!(Settings {} unchanged { enabled, kubeconfig, namespaces, kinds, log_lines });

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            kubeconfig: None,
            namespaces: Vec::new(),
            kinds: Kind::ALL.into(),
            log_lines: 0,
        }
    }
}
