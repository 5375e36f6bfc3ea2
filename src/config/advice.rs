//! What a valid configuration leaves open: guards that hold nothing back, nobody who is notified, causes that lead nowhere,
//! programs that are not there. Each is accepted, and said by `check-config` and at the start.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::reader::nearest;
use super::{Config, Origin, Warning};
use crate::actuators::hook::settings::Verb;
use crate::domain::Cause;
use crate::domain::finding::FindingKind;

/// What decides the cause of a fault by itself, without a rule.
const OWN_CAUSES: [&str; 4] = [
    Cause::VALIDATION_LATENCY,
    Cause::POLICY_MISCONFIGURATION,
    Cause::CASCADE_FAILURE,
    Cause::SYSTEM_OVERLOAD,
];

const HOUR: Duration = Duration::from_secs(3600);

/// As many as a key accepts of failures and actions: so many are never met.
const MOST: u32 = 100;

impl Config {
    /// Looks for the programs of hooks on this machine's disk.
    #[must_use]
    pub fn advice(&self) -> Vec<Warning> {
        let mut found = Vec::new();
        let mut say = |path: &str, text: String| {
            found.push(Warning { path: path.to_owned(), origin: Origin::Default, text });
        };
        if !self.slack.enabled && !self.notify.alertmanager.enabled {
            let text = "no notifier is enabled: nobody is notified, and what needs a person is in the log, the API and the metrics only. Enable slack or notify.alertmanager";
            say("notify", text.to_owned());
        }
        if self.monitor.server().is_some() && self.monitor.rules.is_empty() {
            let text = "no rule: nothing of Prometheus is watched. Add rules to monitor.metrics or monitor.queries";
            say("monitor", text.to_owned());
        }
        self.disarmed(&mut say);
        self.causes(&mut say);
        self.programs(&mut say);
        found
    }

    /// Guards whose limit is never reached.
    fn disarmed(&self, say: &mut impl FnMut(&str, String)) {
        let rails = &self.plan.guardrails;
        let zero = |lasts: Duration| lasts.is_zero();
        let off = [
            (
                "cooldown.shortest",
                zero(rails.cooldown.shortest),
                "0: only the settle time separates two actions of one kind",
            ),
            (
                "cooldown.opposite",
                zero(rails.cooldown.opposite),
                "0: what was scaled up may be scaled down at once",
            ),
            (
                "budget.override_gap",
                zero(rails.budget.override_gap),
                "0: overrides and bypasses may follow each other at once",
            ),
            (
                "fleet.share",
                rails.fleet.share >= 1.0,
                "1: all components may have an action under way at once",
            ),
            (
                "breaker",
                rails.breaker.degradations >= MOST as usize
                    && rails.breaker.ineffective >= MOST as usize,
                "it opens only after 100 results: actions that do harm go on",
            ),
            (
                "storm",
                rails.storm.firing >= 1.0 && rails.storm.unhealthy >= 1.0,
                "firing and unhealthy are 1: no storm is ever recognized",
            ),
            (
                "kubernetes.storm",
                rails.kubernetes.storm.not_ready >= 1.0 && rails.kubernetes.storm.sick >= 1.0,
                "not_ready and sick are 1: no storm is ever recognized",
            ),
            (
                "kubernetes.protected_namespaces",
                rails.kubernetes.protected_namespaces.is_empty(),
                "empty: no namespace but the daemon's own is protected",
            ),
            (
                "actions_per_incident",
                rails.actions_per_incident >= MOST,
                "100: an incident is never left to a person for its number of actions",
            ),
            (
                "failures_per_remedy",
                rails.failures_per_remedy >= MOST,
                "100: an action is repeated however often it has failed",
            ),
        ];
        for (key, _, text) in off.into_iter().filter(|(_, is_off, _)| *is_off) {
            say(&format!("guardrails.{key}"), format!("the guard is disarmed: {text}"));
        }
        // One cycle carries out one policy at most.
        let cycles = HOUR.div_duration_f64(self.orchestrator.loop_interval);
        for (key, most) in [
            ("budget.per_hour", rails.budget.per_hour),
            ("kubernetes.per_hour", rails.kubernetes.per_hour),
        ] {
            if f64::from(most) >= cycles {
                let text = format!(
                    "the guard is disarmed: {most} actions an hour, with {cycles:.0} cycles an hour: every cycle may act"
                );
                say(&format!("guardrails.{key}"), text);
            }
        }
        if !self.execute.rollback_enabled {
            let text = "false: an action that did harm is not undone, and a person has to";
            say("execute.rollback_enabled", text.to_owned());
        }
    }

    /// Causes that only one side names. An alert's own label `cause` may name any, which nobody knows before it comes.
    fn causes(&self, say: &mut impl FnMut(&str, String)) {
        let rules = self.monitor.rules.iter().filter_map(|rule| {
            let path = format!("monitor, rule {}", rule.name);
            rule.cause.as_ref().map(|cause| (path, cause.0.as_str()))
        });
        let handlers = self.alertmanager.handlers.iter().filter_map(|handler| {
            let path = format!("alertmanager.handlers, pattern {}", handler.pattern);
            handler.cause.as_ref().map(|cause| (path, cause.0.as_str()))
        });
        let named: Vec<(String, &str)> = rules.chain(handlers).collect();
        let treated: BTreeSet<&str> =
            self.plan.strategies.keys().map(|cause| cause.0.as_str()).collect();
        let hint = |cause: &str, known: &[&str]| {
            nearest(cause, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default()
        };
        let known: Vec<&str> = treated.iter().copied().collect();
        for (path, cause) in named.iter().filter(|(_, cause)| !treated.contains(cause)) {
            let text = format!(
                "no strategy of plan.strategies names the cause {cause}: nothing is done about it{}",
                hint(cause, &known)
            );
            say(path, text);
        }
        let findings = FindingKind::CLUSTER.map(FindingKind::as_str);
        let sources: Vec<&str> =
            named.iter().map(|(_, cause)| *cause).chain(OWN_CAUSES).chain(findings).collect();
        for cause in treated.iter().filter(|cause| !sources.contains(cause)) {
            let text = format!(
                "no rule and no handler names this cause, so that only an alert with the label cause={cause} leads to it{}",
                hint(cause, &sources)
            );
            say(&format!("plan.strategies.{cause}"), text);
        }
    }

    fn programs(&self, say: &mut impl FnMut(&str, String)) {
        let path = self.hooks.inherited.get("PATH").map(String::as_str).unwrap_or_default();
        for hook in &self.hooks.hooks {
            let verbs = [
                ("validate", hook.validate.as_ref()),
                ("apply", Some(&hook.apply)),
                ("probe", hook.probe.as_ref()),
                ("undo", hook.undo.as_ref()),
            ];
            for (verb, command) in verbs {
                let Some(Verb::Command(argv)) = command else { continue };
                if let Some(problem) = argv.first().and_then(|program| unusable(program, path)) {
                    say(&format!("hooks[{}].{verb}", hook.name.name()), problem);
                }
            }
        }
    }
}

/// Why a program could not be started here.
fn unusable(program: &str, path: &str) -> Option<String> {
    let is_executable = |file: &Path| {
        file.metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        let file = Path::new(program);
        return match file.metadata() {
            Err(error) => Some(format!("the program {program} cannot be started: {error}")),
            Ok(_) if is_executable(file) => None,
            Ok(_) => Some(format!(
                "the program {program} is not an executable file: `chmod +x` makes it one"
            )),
        };
    }
    let is_found = std::env::split_paths(path).any(|folder| is_executable(&folder.join(program)));
    (!is_found).then(|| format!("there is no program {program} in PATH"))
}
