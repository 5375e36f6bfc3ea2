//! Jobs that have failed for good, and which of them have been made good since.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::PATIENCE;
use super::cause::in_parentheses;
use super::index::{Index, not_ready_since};
use super::missing::refusal;
use super::symptom::{Symptom, Who};
use crate::domain::Labels;
use crate::domain::cluster::{Condition, ContainerState, CronJob, Job, Kind, Pod};
use crate::domain::finding::FindingKind;
use crate::domain::time::{Time, after, since};

/// A run's condition and its cron job's `lastSuccessfulTime` tell of the same end, and may be written a second apart.
const SAME_END: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Jobs<'a> {
    all: &'a [Arc<Job>],
    by_name: HashMap<(&'a str, &'a str), &'a Job>,
    /// The runs of each cron job that succeeded.
    succeeded: HashMap<Who<'a>, Success>,
    /// When a run of each cron job last completed, by its own word: the run itself may be deleted by now.
    completed: HashMap<Who<'a>, Time>,
}

/// Of the runs that are still there.
#[derive(Debug, Default)]
struct Success {
    /// When the newest of them began.
    began: Option<Time>,
    /// When the last of them ended.
    ended: Option<Time>,
}

impl<'a> Jobs<'a> {
    pub(super) fn new(all: &'a [Arc<Job>], cron_jobs: &'a [Arc<CronJob>]) -> Self {
        let by_name = all.iter().map(|job| ((&*job.namespace, &*job.name), &**job)).collect();
        let mut succeeded: HashMap<Who, Success> = HashMap::new();
        for job in all.iter().filter(|job| is_complete(job)) {
            let success = succeeded.entry(who_of(job)).or_default();
            success.began = success.began.max(job.created_at);
            success.ended = success.ended.max(success_of(job).filter_map(|c| c.since).max());
        }
        let completed = cron_jobs.iter().filter_map(|cron_job| {
            let (namespace, name) = (&*cron_job.namespace, &*cron_job.name);
            Some((Who { namespace, kind: "CronJob", name }, cron_job.last_success?))
        });
        Self { all, by_name, succeeded, completed: completed.collect() }
    }

    /// The cron job whose run this job is.
    pub(super) fn cron_job_of(&self, job: Who<'a>) -> Option<Who<'a>> {
        let named = (job.kind == "Job").then(|| self.by_name.get(&(job.namespace, job.name)))?;
        named.map(|job| who_of(job))
    }

    pub(super) fn labels(&self, who: Who<'a>) -> Option<&'a Labels> {
        let own = self.all.iter().find(|job| who_of(job) == who);
        own.map(|job| &job.labels)
    }

    /// What its pods went through matters no more: it succeeded in the end, or a newer run of its cron job did.
    pub(super) fn is_made_good(&self, pod: &Pod) -> bool {
        let owner = pod.owner.as_ref().filter(|owner| owner.kind == "Job");
        owner
            .and_then(|owner| self.by_name.get(&(&*pod.namespace, &*owner.name)))
            .is_some_and(|job| is_complete(job) || self.has_newer_success(job))
    }

    fn has_newer_success(&self, job: &'a Job) -> bool {
        let seen = self.succeeded.get(&who_of(job));
        let newest = seen.and_then(|seen| seen.began);
        if newest.is_some_and(|newest| job.created_at.is_some_and(|own| newest > own)) {
            return true;
        }
        // Runs may overlap. One that began before it is no newer one: neither one that completed while it still ran nor,
        // where the run that completed last is still there to be asked, one that took longer.
        let Some(completed) = self.completed.get(&who_of(job)).copied() else { return false };
        let failed_at = failure(job).and_then(|failed| failed.since.or(job.created_at));
        let is_seen =
            seen.and_then(|seen| seen.ended).is_some_and(|at| completed <= after(at, SAME_END));
        failed_at.is_some_and(|failed| completed > failed) && !is_seen
    }
}

pub(super) fn who_of(job: &Job) -> Who<'_> {
    match &job.owner {
        // Whatever else makes jobs (a workflow, a release) makes different ones: no run of one makes up for another.
        Some(owner) if owner.kind == "CronJob" => {
            Who { namespace: &job.namespace, kind: &owner.kind, name: &owner.name }
        }
        _ => Who { namespace: &job.namespace, kind: "Job", name: &job.name },
    }
}

fn failure(job: &Job) -> Option<&Condition> {
    job.conditions.iter().find(|c| c.name == "Failed" && c.status == Some(true))
}

fn is_complete(job: &Job) -> bool {
    success_of(job).next().is_some()
}

fn success_of(job: &Job) -> impl Iterator<Item = &Condition> {
    let is_it = |c: &&Condition| {
        c.status == Some(true) && matches!(&*c.name, "Complete" | "SuccessCriteriaMet")
    };
    job.conditions.iter().filter(is_it)
}

/// It is a cron job's run, and nobody can say whether a later one has succeeded.
fn is_undecided(index: &Index<'_>, who: Who) -> bool {
    who.kind == "CronJob" && index.reading.is_hidden(Kind::CronJobs, Some(who.namespace))
}

pub(super) fn look<'a>(index: &Index<'a>, symptoms: &mut Vec<Symptom<'a>>) {
    let jobs = &index.jobs;
    let mut failed: Vec<&Arc<Job>> = jobs.all.iter().collect();
    // The newest run speaks for its cron job.
    failed.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.name.cmp(&b.name)));
    for job in failed {
        let Some(condition) = failure(job) else { continue };
        if is_complete(job) || jobs.has_newer_success(job) {
            continue;
        }
        let who = who_of(job);
        if is_undecided(index, who) && !index.is_known(who, FindingKind::JobFailed) {
            continue;
        }
        let pods: Vec<&Pod> = index
            .pods(who)
            .iter()
            .filter(|pod| pod.owner.as_ref().is_some_and(|owner| owner.name == job.name))
            .copied()
            .collect();
        let why = in_parentheses(&[&condition.reason, &condition.message]);
        symptoms.push(Symptom {
            who,
            kind: FindingKind::JobFailed,
            subject: &job.name,
            pods: pods.iter().map(|pod| &*pod.name).collect(),
            container: None,
            words: format!("The job {} failed{why} after {} failed pods.", job.name, job.failed),
            exit_code: pods.iter().find_map(|pod| exit_code(pod)),
            since: condition.since,
        });
    }
}

/// Jobs that are to run and have no pod at work, because their controller cannot make one.
pub(super) fn look_for_refused<'a>(index: &Index<'a>, symptoms: &mut Vec<Symptom<'a>>) {
    let jobs = &index.jobs;
    let is_at_work = |job: &Job| {
        job.active > 0
            || job.conditions.iter().any(|c| c.name == "Suspended" && c.status == Some(true))
    };
    let is_over = |job| is_complete(job) || failure(job).is_some() || jobs.has_newer_success(job);
    for job in jobs.all.iter().filter(|job| !is_at_work(job) && !is_over(job)) {
        let who = who_of(job);
        let mut pods = index.pods(who).iter();
        let pods = pods
            .by_ref()
            .filter(|pod| pod.owner.as_ref().is_some_and(|owner| owner.name == job.name));
        // Since its last pod ended, or since it is there.
        let begin = pods.filter_map(|pod| not_ready_since(pod)).max().max(job.created_at);
        let itself = Who { namespace: &job.namespace, kind: "Job", name: &job.name };
        let is_due = begin.is_none_or(|begin| since(index.now, begin) > PATIENCE);
        let refusal = is_due.then(|| refusal(index, itself, begin)).flatten();
        let Some((why, at)) = refusal.filter(|(_, at)| begin.is_none_or(|begin| *at >= begin))
        else {
            continue;
        };
        let words = format!("The job {} cannot make its pods: {why}.", job.name);
        symptoms.push(Symptom {
            who,
            kind: FindingKind::JobFailed,
            subject: &job.name,
            pods: Vec::new(),
            container: None,
            words,
            exit_code: None,
            since: begin.or(Some(at)),
        });
    }
}

fn exit_code(pod: &Pod) -> Option<i32> {
    pod.containers.iter().find_map(|container| match &container.state {
        ContainerState::Terminated(end) if end.exit_code != 0 => Some(end.exit_code),
        _ => container.last.as_ref().map(|end| end.exit_code).filter(|code| *code != 0),
    })
}
