//! What an incident is called: its trouble and target, and what mape-k does about it.

use std::collections::BTreeMap;

use crate::domain::finding::{Finding, FindingKind};
use crate::domain::incident::{Anchor, AtWork, Incident, IncidentStatus, WorkStage};
use crate::domain::legible::name;
use crate::domain::need::NeedReason as Reason;
use crate::domain::target::Target;
use crate::domain::time::{self, Time};

/// Characters of what is done about it: the rest of a line.
const MAX_DOING: usize = 160;

/// `cart: 0 of 3 pods ready`, of the evidence of its own anchor first and the worst of that.
pub(super) fn title(incident: &Incident) -> String {
    let own = |finding: &&Finding| finding.anchor() == incident.anchor;
    let trouble = |finding: &&Finding| !finding.is_need();
    let evidence = || incident.findings.iter().filter(trouble);
    let worst = evidence().find(own).or_else(|| evidence().next());
    let Some(finding) = worst.or(incident.findings.first()) else {
        return incident.title.clone();
    };
    let subject = if own(&finding) { incident.anchor.name() } else { finding.anchor().name() };
    let beside = incident.absorbed.iter().filter(|other| other.anchor != finding.anchor()).count();
    let beside = match beside {
        0 => String::new(),
        1 => format!(" (and {})", name(&incident.absorbed[0].anchor.name())),
        more => format!(" (and {more} workloads)"),
    };
    let trouble = of(finding);
    // An alert that names nothing is about what it says.
    let subject = if subject == trouble { String::new() } else { format!("{}: ", name(&subject)) };
    format!("{subject}{trouble}{beside}")
}

fn of(finding: &Finding) -> String {
    let kind = || finding.kind.as_str().replace('_', " ");
    match (finding.kind, finding.ready, finding.desired) {
        (FindingKind::Violation, ..) => finding.headline.clone(),
        (FindingKind::Loop(Reason::UnknownAlert | Reason::UnconfirmedAlert), ..) => {
            finding.headline.clone()
        }
        (FindingKind::Loop(_), ..) => kind(),
        (_, Some(ready), Some(desired)) if ready < desired => {
            let pods = format!("{ready} of {desired} pods ready");
            if finding.kind == FindingKind::ReplicasMissing {
                pods
            } else {
                format!("{pods} ({})", kind())
            }
        }
        _ => kind(),
    }
}

/// Where it stands, and what mape-k does about it in words.
pub(super) fn status(
    incident: &Incident,
    at_work: &[AtWork],
    treated: &BTreeMap<String, String>,
    now: Time,
) -> (IncidentStatus, String) {
    let absorbed = incident.absorbed.iter().map(|other| &other.anchor);
    let targets: Vec<Target> =
        absorbed.chain([&incident.anchor]).filter_map(Anchor::target).collect();
    let concerns = |work: &&AtWork| {
        targets.iter().any(|own| own.contains(&work.target) || work.target.contains(own))
    };
    let own: Vec<&AtWork> = at_work.iter().filter(concerns).collect();
    if let Some(acting) = own.iter().find(|work| work.stage == WorkStage::Applying) {
        return (IncidentStatus::Acting, format!("{} is being applied", acting.action));
    }
    let verifying = own.iter().find_map(|work| match work.stage {
        WorkStage::Verifying { settled_at, .. } if now < settled_at => Some(format!(
            "{} applied; its effect settles until {}, then its result is verified",
            work.action,
            time::text(settled_at)
        )),
        WorkStage::Verifying { judge_by, .. } => {
            Some(format!("{} applied, verifying until {}", work.action, time::text(judge_by)))
        }
        WorkStage::Applying | WorkStage::Waiting(_) => None,
    });
    if let Some(doing) = verifying {
        return (IncidentStatus::Verifying, doing);
    }
    let need = incident.findings.iter().find(|finding| finding.is_need());
    if let Some(need) = need {
        return (IncidentStatus::NeedsAttention, asked(need));
    }
    (IncidentStatus::Open, short(&waits(incident, &own, treated, now)))
}

/// Why nothing is done about an open incident of which nothing is asked either; empty: an action is about to be chosen.
fn waits(
    incident: &Incident,
    own: &[&AtWork],
    treated: &BTreeMap<String, String>,
    now: Time,
) -> String {
    if incident.course.is_muted {
        return "Alertmanager holds its alerts back".to_owned();
    }
    if incident.last_seen_at < now {
        let at = time::text(incident.last_seen_at);
        return format!("UNKNOWN: its evidence could not be read since {at}");
    }
    let waiting = own.iter().find_map(|work| match &work.stage {
        WorkStage::Waiting(why) => Some(format!("{}: {why}", work.action)),
        WorkStage::Applying | WorkStage::Verifying { .. } => None,
    });
    let mut treated = incident.findings.iter().filter_map(|one| treated.get(&one.fingerprint()));
    match (waiting, treated.next()) {
        (Some(waiting), Some(_)) => waiting,
        (None, Some(why)) => why.clone(),
        (_, None) => "no configured action treats it".to_owned(),
    }
}

fn short(text: &str) -> String {
    text.chars().take(MAX_DOING).collect()
}

fn asked(need: &Finding) -> String {
    let FindingKind::Loop(reason) = need.kind else { return String::new() };
    let said = match reason {
        // The daemon's own conditions say nothing of what is done.
        reason if reason.is_the_daemons() => String::new(),
        Reason::ApprovalNeeded => {
            let detail = need.reason.split_once(": ").map_or(&*need.reason, |(_, detail)| detail);
            match detail.split_once(" waits for approval") {
                Some((actions, _)) => format!("waits for approval: {actions}"),
                None => "waits for approval".to_owned(),
            }
        }
        Reason::UnknownCause => "no configured action treats it".to_owned(),
        Reason::UnknownAlert => "its cause is not known, so nothing is planned".to_owned(),
        Reason::UnconfirmedAlert => "no action: Alertmanager does not confirm it".to_owned(),
        other => format!("a person is needed: {}", other.as_str().replace('_', " ")),
    };
    short(&said)
}
