//! What this account may do at the API server, by its own word (SelfSubjectAccessReview): for `mape-k doctor`.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;
use tokio::time::timeout;

use super::connect::{self, Connection};
use super::settings::Settings;
use super::{Error, namespaces};
use crate::domain::cluster::Kind;

/// The API server answers a review from memory.
const ANSWER: Duration = Duration::from_secs(10);

/// Reviews under way at once: it is a server that others need.
const AT_ONCE: usize = 8;

/// One verb on one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Permission {
    pub verb: &'static str,
    /// As a role names it: `deployments`, `pods/log`.
    pub resource: String,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// `None`: all of them, or a kind that has none.
    pub namespace: Option<String>,
    /// Without it the kind is left out, which is no failure.
    pub is_optional: bool,
    /// Is it allowed? An error: nobody could be asked.
    pub allowed: Result<bool, String>,
}

/// Where the API server is, and what of all that the configuration needs there is allowed.
pub async fn review(settings: &Settings) -> Result<(String, Vec<Permission>), Error> {
    let Connection { client, server, .. } = connect::client(settings).await?;
    let api: Api<SelfSubjectAccessReview> = Api::all(client);
    let asked = needed(settings).into_iter().map(|permission| ask(&api, permission));
    Ok((server, stream::iter(asked).buffered(AT_ONCE).collect().await))
}

fn needed(settings: &Settings) -> Vec<Permission> {
    let mut needed = Vec::new();
    for kind in &settings.kinds {
        for namespace in namespaces(*kind, settings) {
            for verb in ["list", "watch"] {
                needed.push(Permission {
                    verb,
                    resource: kind.as_str().to_owned(),
                    group: group(*kind),
                    namespace: namespace.clone(),
                    is_optional: settings.is_optional(*kind),
                    allowed: Ok(false),
                });
            }
        }
    }
    if settings.log_lines > 0 {
        needed.extend(namespaces(Kind::Pods, settings).into_iter().map(|namespace| Permission {
            verb: "get",
            resource: "pods/log".to_owned(),
            group: "",
            namespace,
            is_optional: false,
            allowed: Ok(false),
        }));
    }
    needed
}

async fn ask(api: &Api<SelfSubjectAccessReview>, permission: Permission) -> Permission {
    let (resource, subresource) = match permission.resource.split_once('/') {
        Some((resource, part)) => (resource.to_owned(), Some(part.to_owned())),
        None => (permission.resource.clone(), None),
    };
    let attributes = ResourceAttributes {
        verb: Some(permission.verb.to_owned()),
        group: Some(permission.group.to_owned()),
        resource: Some(resource),
        subresource,
        namespace: permission.namespace.clone(),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let allowed = match timeout(ANSWER, api.create(&PostParams::default(), &review)).await {
        Ok(Ok(review)) => review
            .status
            .map(|status| status.allowed)
            .ok_or_else(|| "the API server's answer to the review has no status".to_owned()),
        Ok(Err(error)) => Err(super::failure::of_kube(&error).what),
        Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs())),
    };
    Permission { allowed, ..permission }
}

fn group(kind: Kind) -> &'static str {
    match kind {
        Kind::Pods | Kind::Events | Kind::Nodes | Kind::Claims | Kind::ReplicationControllers => "",
        Kind::Deployments | Kind::StatefulSets | Kind::DaemonSets | Kind::ReplicaSets => "apps",
        Kind::Jobs | Kind::CronJobs => "batch",
    }
}
