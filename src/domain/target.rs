//! The target: what an action changes and what its outcome is verified on.
//!
//! Written as text everywhere (`charter/enforcer`, `kubernetes/shop/deployment/cart`, `hook/restart-cart/cart`).

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strum::{Display, IntoStaticStr, VariantArray};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{CHARTER, Labels};

/// Who can change a target. Guards count within a system, and a cause selects actions of its target's system only.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(Display, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum System {
    Charter,
    Kubernetes,
    Hook,
}

impl System {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Charter as a whole, or one of its services.
    Charter(Option<String>),
    /// A workload, pod, claim (each in a namespace) or node.
    Kubernetes { namespace: Option<String>, kind: String, name: String },
    /// A component that hooks of the configuration change. `hook` is `None` where no single hook is meant.
    Hook { hook: Option<String>, component: String },
}

/// Stands for "no single hook" in the text form.
const ANY_HOOK: &str = "*";

impl Target {
    #[must_use]
    pub fn service(name: &str) -> Self {
        Self::Charter(Some(name.to_owned()))
    }

    #[must_use]
    pub fn kubernetes(namespace: Option<&str>, kind: &str, name: &str) -> Self {
        Self::Kubernetes {
            namespace: namespace.map(str::to_owned),
            kind: kind.to_lowercase(),
            name: name.to_owned(),
        }
    }

    #[must_use]
    pub fn system(&self) -> System {
        match self {
            Self::Charter(_) => System::Charter,
            Self::Kubernetes { .. } => System::Kubernetes,
            Self::Hook { .. } => System::Hook,
        }
    }

    /// The bare name by which reports call it.
    #[must_use]
    pub fn component(&self) -> &str {
        match self {
            Self::Charter(None) => CHARTER,
            Self::Charter(Some(name))
            | Self::Kubernetes { name, .. }
            | Self::Hook { component: name, .. } => name,
        }
    }

    /// As a person looks for it: Charter by its name, anything else by its text form.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Charter(_) => "Charter".to_owned(),
            other => other.to_string(),
        }
    }

    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Kubernetes { namespace, .. } => namespace.as_deref(),
            Self::Charter(_) | Self::Hook { .. } => None,
        }
    }

    /// Does a series of this component lie on this target, by its name alone?
    #[must_use]
    pub fn covers(&self, component: Option<&str>) -> bool {
        *self == Self::Charter(None) || component == Some(self.component())
    }

    /// Is `other` this target or a part of it?
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Charter(None), Self::Charter(_)) => true,
            (Self::Charter(own), Self::Charter(other)) => own == other,
            // Two hooks of one component change the same thing.
            (Self::Hook { component: own, .. }, Self::Hook { component: other, .. }) => {
                own == other
            }
            // Which pods are a workload's the watch caches say: what is broken on one is put down to its workload.
            _ => self == other,
        }
    }

    /// One contains the other, or may: never two unverified actions on both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self) || self.may_hold(other) || other.may_hold(self)
    }

    /// Which pods run on a node changes from minute to minute, so that a node counts as holding all; and a pod that has the
    /// name of a workload before its own may be that workload's.
    fn may_hold(&self, other: &Self) -> bool {
        let (
            Self::Kubernetes { namespace, kind, name },
            Self::Kubernetes { namespace: in_namespace, kind: of_kind, name: other_name },
        ) = (self, other)
        else {
            return false;
        };
        let on_node = kind == NODE && of_kind != NODE;
        let own_pod = of_kind == POD
            && namespace == in_namespace
            && other_name.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('-'));
        on_node || own_pod
    }

    #[must_use]
    pub fn is_pod(&self) -> bool {
        matches!(self, Self::Kubernetes { kind, .. } if kind == POD)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Charter(None) => f.write_str(CHARTER),
            Self::Charter(Some(service)) => write!(f, "{CHARTER}/{service}"),
            Self::Kubernetes { namespace: Some(namespace), kind, name } => {
                write!(f, "kubernetes/{namespace}/{kind}/{name}")
            }
            Self::Kubernetes { namespace: None, kind, name } => {
                write!(f, "kubernetes/{kind}/{name}")
            }
            Self::Hook { hook, component } => {
                write!(f, "hook/{}/{component}", hook.as_deref().unwrap_or(ANY_HOOK))
            }
        }
    }
}

impl FromStr for Target {
    type Err = Infallible;

    /// A bare name is a service of Charter's: so the version before wrote its targets. The name of a service or component
    /// may hold slashes.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let own = |part: &str| (!part.is_empty()).then(|| part.to_owned());
        Ok(match text.split_once('/') {
            Some(("kubernetes", rest)) => {
                let parts: Vec<&str> = rest.split('/').collect();
                match parts.as_slice() {
                    [namespace, kind, name] => Self::kubernetes(Some(namespace), kind, name),
                    [kind, name] => Self::kubernetes(None, kind, name),
                    _ => Self::service(text),
                }
            }
            Some(("hook", rest)) => match rest.split_once('/') {
                Some((hook, component)) => Self::Hook {
                    hook: own(hook).filter(|hook| hook != ANY_HOOK),
                    component: component.to_owned(),
                },
                None => Self::Hook { hook: None, component: rest.to_owned() },
            },
            Some((CHARTER, service)) => Self::Charter(own(service)),
            None if text == CHARTER => Self::Charter(None),
            Some(_) | None => Self::service(text),
        })
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Stored {
            Text(String),
            /// The version before wrote `{"service": "enforcer"}`.
            Service {
                service: String,
            },
        }
        Ok(match Stored::deserialize(deserializer)? {
            Stored::Text(text) => text.parse().unwrap_or_else(|never| match never {}),
            Stored::Service { service } => Self::Charter(Some(service)),
        })
    }
}

impl PartialSchema for Target {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.description(Some("What an action changes: `charter`, `charter/<service>`, `kubernetes/<namespace>/<kind>/<name>`, `kubernetes/node/<name>` or `hook/<hook>/<component>`.")).into()
    }
}

impl ToSchema for Target {}

const NODE: &str = "node";
const POD: &str = "pod";

/// Which labels of a rule's series or of an alert name its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetLabels {
    /// As Kubernetes writes it: `Deployment`.
    pub kind: String,
    /// `None`: a node.
    pub namespace_label: Option<String>,
    pub name_label: String,
}

impl TargetLabels {
    /// `exported_*` is what the series itself said before Prometheus put its own label over it.
    #[must_use]
    pub fn target(&self, labels: &Labels) -> Option<Target> {
        let value = |label: &String| {
            let exported = labels.get(&format!("exported_{label}"));
            exported.or_else(|| labels.get(label)).filter(|value| !value.is_empty())
        };
        let namespace = match &self.namespace_label {
            Some(label) => Some(value(label)?.as_str()),
            None => None,
        };
        Some(Target::kubernetes(namespace, &self.kind, value(&self.name_label)?))
    }
}

/// Which system a component belongs to, by the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Systems {
    /// `execute.charter_url` is set: what no hook has is Charter's.
    pub charter: bool,
    /// Components that `hooks` name.
    pub hooks: BTreeSet<String>,
    /// `kubernetes.cluster`: what another cluster's series name is not ours.
    pub cluster: Option<String>,
}

impl Default for Systems {
    fn default() -> Self {
        Self { charter: true, hooks: BTreeSet::new(), cluster: None }
    }
}

impl Systems {
    /// `None`: no system of ours can change it. It is shown, and no action is taken on it.
    #[must_use]
    pub fn target(
        &self,
        component: Option<&str>,
        labels: &Labels,
        named: Option<&TargetLabels>,
    ) -> Option<Target> {
        if let Some(named) = named {
            // Whichever of the two says so: what may be another cluster's is left alone.
            let mut clusters =
                ["cluster", "exported_cluster"].into_iter().filter_map(|l| labels.get(l));
            let foreign = clusters.any(|cluster| self.cluster.as_ref() != Some(cluster));
            return named.target(labels).filter(|_| !foreign);
        }
        match component {
            Some(name) if self.hooks.contains(name) => {
                Some(Target::Hook { hook: None, component: name.to_owned() })
            }
            _ if !self.charter => None,
            Some(name) if name != CHARTER => Some(Target::service(name)),
            _ => Some(Target::Charter(None)),
        }
    }
}
