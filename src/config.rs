//! The configuration: every section's settings, read from environment over file over defaults.
//!
//! ```text
//! file ─▶ tree (positions) ─┐
//! environment ──────────────┴▶ sections, key by key ─▶ Config ─▶ scaled (faster than life)
//!                                  └▶ every error at once       └▶ printed (secrets left out)
//! services.yaml ─▶ tree ─▶ catalogue, read again by every cycle (`catalogue_file`)
//! ```
//!
//! There is one door: whatever starts a daemon loads through [`Config::load`] or [`Config::parse`]; what only speaks to one
//! reads no more than [`Config::load_client`]. Each section's
//! settings and defaults live beside the stage that reads them; here is only what is accepted for them.

mod advice;
mod alertmanager;
mod analyze;
mod api;
mod catalogue_file;
mod compare;
mod duration;
mod environment;
mod escalation;
mod execute;
mod github;
mod guardrails;
mod hooks;
mod http;
mod knowledge;
mod kubernetes;
mod logging;
mod monitor;
mod notify;
mod orchestrator;
mod plan;
mod print;
mod problem;
mod reader;
mod rules;
mod secrets;
mod services;
mod slack;
mod strategies;
mod target;
mod tree;
mod values;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use catalogue_file::{CatalogueFile, Refreshed};
pub use environment::{Environment, PATH as PATH_VARIABLE, VARIABLES};
pub use orchestrator::SHORTEST_INTERVAL;
pub use problem::{Errors, Origin, Problem, Subject, Warning};

use crate::domain::action::ActionKind;
use crate::domain::message::NotifierName;
use crate::domain::speed::{Divide, divided};
use crate::domain::target::Target;
use crate::executor::Rails;
use crate::planner::guardrails::Mode;
use crate::{analyzer, control_loop, executor, planner, server, telemetry};
use reader::{Problems, Section};

/// A duration as the configuration and the command line write it: `30s`, `5m`, `1h`, `2d`.
#[must_use]
pub fn duration(text: &str) -> Option<std::time::Duration> {
    duration::parse(&tree::Value::Text(text.to_owned()))
}

/// Where the file is looked for when nothing names one.
pub const DEFAULT_PATH: &str = "./config/mape_k_config.yaml";

/// Bounds what a wrong path can make us read; the shipped file has 10 kB.
const MAX_BYTES: u64 = 1024 * 1024;

/// The validated configuration. Each section's settings live beside the stage that reads them.
#[derive(Clone, Default, PartialEq)]
pub struct Config {
    pub orchestrator: control_loop::Settings,
    pub monitor: crate::monitor::Settings,
    pub analyze: analyzer::Settings,
    pub plan: planner::Settings,
    pub execute: executor::Settings,
    pub hooks: crate::actuators::hook::Settings,
    pub knowledge: crate::knowledge::Settings,
    pub alertmanager: crate::monitor::AlertmanagerSettings,
    pub api: server::Settings,
    pub kubernetes: crate::monitor::cluster::settings::Settings,
    pub escalation: crate::incidents::settings::Settings,
    pub slack: crate::notify::settings::Slack,
    pub notify: crate::notify::settings::Settings,
    pub github: crate::monitor::github::settings::Settings,
    pub logging: telemetry::Settings,
    /// How many times faster than life the loop runs; `None`: in the world's own time. Not a key: see [`Config::scaled`].
    pub rehearsal: Option<f64>,
}

divided!(Config {
    orchestrator, monitor, analyze, plan, execute, knowledge, alertmanager, api, kubernetes, escalation, slack, notify, github,
} unchanged {
    // What a hook calls becomes no faster; its settle time is divided with those of all actions, in `execute`.
    hooks,
    // A log counts bytes and files.
    logging,
    rehearsal,
});

impl Config {
    /// The same configuration for a loop that runs `speed` times as fast as life: every struct of settings says beside its
    /// fields which of them are divided. A configuration that is scaled already becomes faster still.
    #[must_use]
    pub fn scaled(&self, speed: f64) -> Self {
        let mut scaled = self.clone();
        scaled.divide(speed);
        scaled.rehearsal = Some(self.rehearsal.unwrap_or(1.0) * speed);
        scaled
    }

    /// Reads the file that `path`, else `MAPE_K_CONFIG`, names; else the default one, which may be missing.
    pub fn load(
        path: Option<&Path>,
        env: &Environment<'_>,
    ) -> Result<(Self, Vec<Warning>), Errors> {
        let (file, origin, is_named) = locate(path, env);
        match read_file(&file) {
            Ok(text) => {
                Self::parse(&text, env).map_err(|errors| Errors { file: Some(file), ..errors })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => {
                let (config, mut warnings) = Self::parse("", env)?;
                let text = format!("there is no {DEFAULT_PATH}; the built-in defaults are used");
                warnings.insert(0, Warning { path: String::new(), origin, text });
                Ok((config, warnings))
            }
            Err(error) => Err(unread(file, origin, &error)),
        }
    }

    /// The `api` section alone, as far as a command needs it to speak to the daemon. What is wrong elsewhere, or can be
    /// read by the daemon's own user only, must not keep a person from stopping it.
    pub fn load_client(
        path: Option<&Path>,
        env: &Environment<'_>,
    ) -> Result<(server::Settings, Vec<Warning>), Errors> {
        let (file, origin, is_named) = locate(path, env);
        let text = match read_file(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => {
                String::new()
            }
            Err(error) => return Err(unread(file, origin, &error)),
        };
        Self::parse_client(&text, env).map_err(|errors| Errors { file: Some(file), ..errors })
    }

    /// [`Config::load_client`] of a text. An error is only what leaves open where the daemon is.
    pub fn parse_client(
        text: &str,
        env: &Environment<'_>,
    ) -> Result<(server::Settings, Vec<Warning>), Errors> {
        let mut tree = tree::parse(text).map_err(|problem| refused(vec![problem]))?;
        let problems = Problems::default();
        environment::lay_over(&mut tree, env, &problems);
        let settings = api::read_client(Section::root(&tree, &problems).section("api"));
        let (mut errors, _) = problems.into_sorted();
        let mut warnings = errors.clone();
        errors.retain(|problem| api::FINDS_IT.contains(&problem.path.as_str()));
        warnings.retain(|problem| api::OPENS_IT.contains(&problem.path.as_str()));
        if errors.is_empty() { Ok((settings, warnings)) } else { Err(refused(errors)) }
    }

    /// The `escalation` section alone, for the catalogue it names, whatever is wrong elsewhere. None where nothing can be
    /// read or the catalogue is not surely the one that is meant.
    #[must_use]
    pub fn load_escalation(
        path: Option<&Path>,
        env: &Environment<'_>,
    ) -> Option<crate::incidents::settings::Settings> {
        let text = read_file(&locate(path, env).0).ok()?;
        let mut tree = tree::parse(&text).ok()?;
        let problems = Problems::default();
        environment::lay_over(&mut tree, env, &problems);
        let settings = escalation::read(Section::root(&tree, &problems).section("escalation"));
        let (errors, _) = problems.into_sorted();
        let names_it = ["", "escalation", "escalation.services_file", "escalation.default_tier"];
        let is_sure = !errors.iter().any(|problem| names_it.contains(&problem.path.as_str()));
        is_sure.then_some(settings)
    }

    /// Reads the text of a configuration file, with the environment over it.
    pub fn parse(text: &str, env: &Environment<'_>) -> Result<(Self, Vec<Warning>), Errors> {
        let mut tree = tree::parse(text).map_err(|problem| refused(vec![problem]))?;
        let problems = Problems::default();
        environment::lay_over(&mut tree, env, &problems);
        let config = Self::read(Section::root(&tree, &problems), env);
        let (errors, warnings) = problems.into_sorted();
        if errors.is_empty() { Ok((config, warnings)) } else { Err(refused(errors)) }
    }

    /// `guardrails.mode: observe`, whatever the file says.
    pub fn only_observe(&mut self) {
        self.plan.guardrails.mode = Mode::Observe;
        self.execute.rails.observe = true;
    }

    /// Who is notified of incidents. None: nobody is.
    #[must_use]
    pub fn notifiers(&self) -> Vec<NotifierName> {
        let is_on = |name: &NotifierName| match name {
            NotifierName::Slack => self.slack.enabled,
            NotifierName::Alertmanager => self.notify.alertmanager.enabled,
        };
        NotifierName::ALL.into_iter().filter(is_on).collect()
    }

    fn read(mut root: Section<'_>, env: &Environment<'_>) -> Self {
        let orchestrator = orchestrator::read(root.section("orchestrator"));
        let (hooks, actions) = hooks::read(&mut root, env, orchestrator.auto_approve);
        let interval = orchestrator.loop_interval;
        let execute = execute::read(root.section("execute"), &actions, &hooks);
        let charter = execute.charter_url.is_some();
        let monitor = monitor::read(root.section("monitor"), interval, charter);
        let analyze = analyze::read(root.section("analyze"), &monitor.rules, interval, charter);
        let mut plan = plan::read(root.section("plan"), interval, &actions, charter);
        plan.guardrails = guardrails::read(root.section("guardrails"), &plan, &actions);
        let knowledge = knowledge::read(root.section("knowledge"));
        let alertmanager_section = root.section("alertmanager");
        let api = api::read(root.section("api"), interval);
        let alertmanager = alertmanager::read(
            alertmanager_section,
            &monitor.rules,
            &api,
            orchestrator.auto_approve,
        );
        let kubernetes_section = root.section("kubernetes");
        let escalation = escalation::read(root.section("escalation"));
        let slack = slack::read(root.section("slack"));
        let notify = notify::read(root.section("notify"));
        let kubernetes = kubernetes::read(kubernetes_section);
        if monitor.server().is_none() && !alertmanager.enabled && !kubernetes.enabled {
            root.error_here(
                "nothing to watch: monitor.prometheus_url is null, alertmanager.enabled and kubernetes.enabled are false; accepted: \
                 at least one of the three",
            );
        }
        let github = github::read(root.section("github"));
        let logging = logging::read(root.section("logging"));
        Self {
            orchestrator,
            monitor,
            analyze,
            plan,
            execute,
            hooks,
            knowledge,
            alertmanager,
            api,
            kubernetes,
            escalation,
            slack,
            notify,
            github,
            logging,
            rehearsal: None,
        }
        .joined()
    }

    /// Fills in what one section takes from another: the only place where that happens.
    fn joined(mut self) -> Self {
        let systems = Arc::make_mut(&mut self.analyze.systems);
        systems.cluster.clone_from(&self.kubernetes.cluster);
        systems.charter = self.execute.charter_url.is_some();
        self.analyze.interval = self.orchestrator.loop_interval;
        self.analyze.poll_interval = self.monitor.poll_interval;
        self.analyze.min_coverage = self.monitor.min_coverage;
        self.plan.plan_threshold = self.orchestrator.plan_threshold;
        self.plan.auto_approve = self.orchestrator.auto_approve;
        self.plan.saturation = self.knowledge.confidence_saturation_point;
        self.plan.learning = self.knowledge.pattern_learning_enabled;
        self.knowledge.approval_ttl = self.plan.approval_ttl;
        self.plan.hooks = self.hooks.specs();
        let asking = self.plan.hooks.iter().filter(|(_, hook)| hook.asks());
        let rails = &self.plan.guardrails;
        self.execute.rails = Rails {
            asks: asking.map(|(kind, _)| *kind).collect(),
            observe: rails.mode == Mode::Observe,
            suggest: rails.mode == Mode::Suggest,
            auto_approve_high_risk: rails.auto_approve_high_risk,
            forbidden: rails.forbidden_actions.clone(),
        };
        for (kind, hook) in &self.plan.hooks {
            // `execute.settle` stands over the hook's own, as it does over the table's.
            self.execute.settle.entry(*kind).or_insert(hook.settle);
            if let Target::Hook { component, .. } = &hook.target {
                Arc::make_mut(&mut self.analyze.systems).hooks.insert(component.clone());
            }
        }
        self.plan.resize_settle = self.execute.settle(ActionKind::ScaleUp);
        let kinds = ActionKind::ALL.iter().chain(self.plan.hooks.keys());
        self.plan.settle = kinds.map(|kind| (*kind, self.execute.settle(*kind))).collect();
        self.plan.min_coverage = self.monitor.min_coverage;
        let told = &mut self.notify.alertmanager;
        if told.enabled && told.url.is_none() {
            told.url = Some(self.alertmanager.url.clone());
            if told.http.is_none() {
                told.http.clone_from(&self.alertmanager.http);
            }
        }
        if let Some(level) = &self.orchestrator.log_level {
            self.logging.level.clone_from(level);
        }
        self
    }
}

/// The file that is named, and by what; else the default one.
fn locate(path: Option<&Path>, env: &Environment<'_>) -> (PathBuf, Origin, bool) {
    let variable = || environment::get(env, PATH_VARIABLE).map(PathBuf::from);
    match (path, variable()) {
        (Some(path), _) => (path.to_owned(), Origin::Default, true),
        (None, Some(path)) => (path, Origin::Env(PATH_VARIABLE), true),
        (None, None) => (PathBuf::from(DEFAULT_PATH), Origin::Default, false),
    }
}

fn unread(file: PathBuf, origin: Origin, error: &std::io::Error) -> Errors {
    let text = format!("cannot be read: {error}");
    let problems = vec![Problem { path: String::new(), origin, text }];
    Errors { file: Some(file), ..refused(problems) }
}

fn refused(problems: Vec<Problem>) -> Errors {
    Errors { subject: Subject::Configuration, file: None, problems }
}

fn read_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_BYTES {
        let text = format!("more than {MAX_BYTES} bytes; is this the right file?");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, text));
    }
    Ok(text)
}
