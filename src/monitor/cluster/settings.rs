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
    /// What label `cluster` of a rule's series or of an alert calls this cluster; `None`: any such label names another one.
    pub cluster: Option<String>,
    /// Last lines of a failing container's log that a finding carries; 0: none are read.
    pub log_lines: u32,
}

divided!(Settings {} unchanged { enabled, kubeconfig, namespaces, kinds, cluster, log_lines });

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            kubeconfig: None,
            namespaces: Vec::new(),
            kinds: Kind::ALL.into(),
            cluster: None,
            log_lines: 0,
        }
    }
}

impl Settings {
    /// A kind that the API server may refuse without a failure: of all kinds, which is the default, those that roles of
    /// earlier versions do not grant. Who lists some kinds means each of them.
    #[must_use]
    pub fn is_optional(&self, kind: Kind) -> bool {
        self.kinds.len() == Kind::ALL.len() && Kind::OPTIONAL.contains(&kind)
    }
}
