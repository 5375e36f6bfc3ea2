//! Which proposal a person means: an incident's id, a policy's id, or how a plan hash begins; and whether it is still what
//! they read.

use uuid::Uuid;

use super::super::client::{Client, ClientError, Page};
use super::super::status::Listed;
use crate::domain::grant::Grant;
use crate::domain::need::{Need, NeedReason};
use crate::domain::policy::{Approval, EarlierRevision, Policy};

/// Pages of 500 policies looked through for the one that is decided on; the daemon keeps fewer.
const MAX_PAGES: usize = 40;

/// What a person named, and how they say that it stood when they read it.
#[derive(Clone, Debug, Default)]
pub struct Named {
    pub subject: String,
    pub revision: Option<u32>,
    pub plan_hash: Option<String>,
}

/// The proposal that waits now.
#[derive(Debug)]
pub(super) struct Found {
    pub present: Policy,
    /// It is not what was read.
    pub changed: Option<Changed>,
}

#[derive(Debug)]
pub(super) enum Changed {
    /// What was read is still known.
    From(EarlierRevision),
    /// Nobody knows what was read, except how its reader names it.
    Unknown(String),
}

pub(super) async fn find(client: &Client, named: &Named) -> Result<Found, ClientError> {
    let subject = named.subject.trim();
    let pending = policies(client, "approval=pending&").await?;
    let found = if subject.parse::<Uuid>().is_ok() && subject.contains('-') {
        by_id(client, subject, pending).await?
    } else if is_hash(subject) {
        by_hash(client, &subject.to_ascii_lowercase(), pending).await?
    } else if is_incident(subject) {
        by_incident(client, subject, pending).await?
    } else {
        return Err(ClientError::NoSubject(subject.to_owned()));
    };
    let names_one = is_hash(subject);
    Ok(if found.changed.is_some() { found } else { as_read(found.present, named, names_one) })
}

/// The flags say which revision was read, as the hash does that names it (`names_one`). Who names neither may have read any
/// earlier revision.
fn as_read(present: Policy, named: &Named, names_one: bool) -> Found {
    let read = |is_it: &dyn Fn(&EarlierRevision) -> bool, said: String| {
        let earlier = present.earlier.iter().rfind(|earlier| is_it(earlier));
        Some(earlier.cloned().map_or(Changed::Unknown(said), Changed::From))
    };
    let changed = match (&named.plan_hash, named.revision) {
        (Some(hash), _) if !present.hash().starts_with(hash.as_str()) => {
            read(&|earlier| earlier.plan_hash.starts_with(hash.as_str()), format!("hash {hash}"))
        }
        (_, Some(revision)) if present.revision != revision => {
            read(&|earlier| earlier.revision == revision, format!("revision {revision}"))
        }
        (None, None) if !names_one => present.earlier.last().cloned().map(Changed::From),
        _ => None,
    };
    Found { present, changed }
}

async fn by_id(client: &Client, id: &str, pending: Vec<Policy>) -> Result<Found, ClientError> {
    let is_it = |policy: &Policy| policy.id.to_string() == id;
    if let Some(present) = pending.into_iter().find(is_it) {
        return Ok(Found { present, changed: None });
    }
    let all = policies(client, "").await?;
    match all.into_iter().find(is_it) {
        Some(policy) => Err(ClientError::NotPending(standing(&policy))),
        None => Err(ClientError::NoSuchPolicy(id.to_owned())),
    }
}

async fn by_hash(client: &Client, hash: &str, pending: Vec<Policy>) -> Result<Found, ClientError> {
    let fits = |policy: &&Policy| policy.hash().starts_with(hash);
    match pending.iter().filter(fits).collect::<Vec<_>>()[..] {
        [present] => return Ok(Found { present: present.clone(), changed: None }),
        [] => {}
        ref several => return Err(ambiguous(hash, several)),
    }
    let read = |policy: &Policy| {
        policy.earlier.iter().find(|earlier| earlier.plan_hash.starts_with(hash)).cloned()
    };
    if let Some((present, read)) = pending.iter().find_map(|p| Some((p, read(p)?))) {
        return Ok(Found { present: present.clone(), changed: Some(Changed::From(read)) });
    }
    // Another action may have taken the place of the one that was read.
    let all = policies(client, "").await?;
    let Some(before) = all.iter().find(|p| fits(p) || read(p).is_some()) else {
        return Err(ClientError::NoSuchPolicy(hash.to_owned()));
    };
    let present =
        pending.into_iter().find(|p| p.cause == before.cause && p.component == before.component);
    let Some(present) = present else { return Err(ClientError::NotPending(standing(before))) };
    let was = read(before).unwrap_or_else(|| as_it_was(before));
    Ok(Found { present, changed: Some(Changed::From(was)) })
}

fn as_it_was(policy: &Policy) -> EarlierRevision {
    EarlierRevision {
        revision: policy.revision,
        plan_hash: policy.hash(),
        actions: policy.actions.clone(),
    }
}

async fn by_incident(
    client: &Client,
    id: &str,
    pending: Vec<Policy>,
) -> Result<Found, ClientError> {
    let incidents: Page<Listed> = client.get("api/v1/incidents?open=true&limit=500").await?;
    let incident = incidents.items.into_iter().find(|listed| listed.incident.id == id);
    let incident = incident.ok_or_else(|| ClientError::NoIncident(id.to_owned()))?;
    let asked = |policy: &&Policy| incident.needs.iter().any(|need| is_of(need, policy));
    let of_it: Vec<&Policy> = pending.iter().filter(asked).collect();
    match of_it[..] {
        [present] => {
            // Another action may have been proposed in this incident before.
            let replaced =
                policies(client, "approval=superseded&").await?.into_iter().find(|one| {
                    let is_same = one.cause == present.cause && one.component == present.component;
                    is_same && one.updated_at >= incident.incident.opened_at
                });
            let changed = replaced.map(|one| Changed::From(as_it_was(&one)));
            let changed = changed.filter(|_| present.earlier.is_empty());
            Ok(Found { present: present.clone(), changed })
        }
        [] => Err(ClientError::NothingAsked(id.to_owned())),
        ref several => Err(ambiguous(id, several)),
    }
}

/// May this be the proposal that the need asks about? Of two for one cause and component a need names one, and who names the
/// incident may mean either.
fn is_of(need: &Need, policy: &Policy) -> bool {
    need.reason == NeedReason::ApprovalNeeded
        && need.cause.as_ref() == Some(&policy.cause)
        && need.component.as_ref() == Some(&policy.component)
}

fn is_hash(text: &str) -> bool {
    (Grant::SHOWN..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_incident(text: &str) -> bool {
    text.starts_with("INC-")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

fn ambiguous(named: &str, several: &[&Policy]) -> ClientError {
    let lines: Vec<String> =
        several.iter().map(|policy| format!("  {}", super::line(policy))).collect();
    ClientError::Ambiguous { named: named.to_owned(), proposals: lines.join("\n") }
}

fn standing(policy: &Policy) -> String {
    let what = super::line(policy);
    let by = policy.decided_by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    match policy.approval {
        Approval::Pending | Approval::Approved | Approval::Rejected => {
            format!("{what}: {}{by}", policy.approval.as_str())
        }
        Approval::Executed => format!("{what}: executed"),
        Approval::Expired => format!("{what}: expired: {}", policy.expiry()),
        Approval::Superseded => {
            format!("{what}: superseded, and no other proposal waits in its place")
        }
    }
}

async fn policies(client: &Client, filter: &str) -> Result<Vec<Policy>, ClientError> {
    let list = format!("policies?{filter}");
    Ok(client.list(&list, MAX_PAGES, |_| true).await?.0)
}
