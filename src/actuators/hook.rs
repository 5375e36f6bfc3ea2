//! Hooks: commands and webhooks of the user's, by which any other system is changed. docs/HOOKS.md is their contract.
//!
//! ```text
//! apply ─┬─ done, refused, surely not done
//!        └─ anything else: not known ─▶ a minute later: probe ─▶ found, absent, foreign, cannot tell
//! ```
//! Leaves out when a hook is called, and how often: the executor's. A hook that has no `probe` leaves an unknown end to a
//! person.

mod command;
mod reply;
pub mod settings;
mod verb;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

pub use settings::{Hook, Settings, Verb};

use super::{
    Actuator, Comparison, Doubt, Failure, Probe, Request, Step, Undoable, Unprepared, Validation,
};
use crate::domain::Labels;
use crate::domain::action::{Action, HookName};
use crate::http::{Connections, Http, HttpSettings, HttpTransport, Reach, SetupError};
use command::Commands;
use reply::{Effect, Reply};
use verb::{Facts, MAX_LABELS, Name, Surroundings, Way};

/// Calls whose end is remembered for the wait before a probe. One that is dropped waits anew, which is longer.
const MAX_REMEMBERED: usize = 256;

/// The form of [`Prior`] that is written.
const VERSION: u32 = 1;

/// A hook's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("hook {name} cannot be called: {cause}")]
pub struct HookError {
    pub name: HookName,
    pub cause: SetupError,
}

#[derive(Debug)]
pub struct Hooks {
    named: BTreeMap<HookName, Callable>,
    settings: Settings,
    commands: Commands,
    memory: Mutex<Memory>,
}

/// What this process knows of its own calls: after a lost answer nobody is asked before the call can have had its effect.
#[derive(Debug)]
struct Memory {
    /// When each call that changes something ended, or will have ended at the latest, by its key; and who led then.
    ends: BTreeMap<Uuid, (Instant, Option<u64>)>,
    /// The epoch of the last call, and since when we speak with it: all calls of others were begun before.
    epoch: (Option<u64>, Instant),
}

#[derive(Debug)]
struct Callable {
    hook: Hook,
    around: Surroundings,
    validate: Option<Way>,
    apply: Way,
    probe: Option<Way>,
    undo: Option<Way>,
}

/// Why a probe is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    AfterLoss,
    BeforeUndo,
}

/// What the journal keeps of an action for us.
#[derive(Debug, Serialize, Deserialize)]
struct Prior {
    version: u32,
    /// Of `apply`: what probing and undoing are about.
    key: Uuid,
    labels: Labels,
}

impl Hooks {
    pub fn new(settings: Settings) -> Result<Self, HookError> {
        Self::with_transport(settings, &|url: &Url, http: Option<&HttpSettings>| {
            // A connection that was closed while it was idle looks like a lost answer.
            let connections = Connections { are_kept: false, ..Connections::default() };
            Ok(Arc::new(Http::reaching(url, http, connections)?) as Arc<dyn HttpTransport>)
        })
    }

    /// The same by another way than the network.
    pub fn with_transport(settings: Settings, reach: &impl Reach) -> Result<Self, HookError> {
        let callable = |hook: &Hook| {
            let way = |verb: &Verb| Way::new(hook, verb, reach);
            let optional = |verb: &Option<Verb>| verb.as_ref().map(way).transpose();
            Ok(Callable {
                around: Surroundings::new(hook, &settings),
                validate: optional(&hook.validate)?,
                apply: way(&hook.apply)?,
                probe: optional(&hook.probe)?,
                undo: optional(&hook.undo)?,
                hook: hook.clone(),
            })
        };
        let mut named = BTreeMap::new();
        for hook in &settings.hooks {
            let name = hook.name;
            named.insert(name, callable(hook).map_err(|cause| HookError { name, cause })?);
        }
        let commands = Commands::new(settings.kill_after);
        let memory = Memory { ends: BTreeMap::new(), epoch: (None, Instant::now()) };
        Ok(Self { named, settings, commands, memory: Mutex::new(memory) })
    }

    /// Takes the place of `before`, whose commands may still run: [`Hooks::stop`] of either ends those of both.
    #[must_use]
    pub fn succeeding(mut self, before: &Self) -> Self {
        self.commands = before.commands.with(self.settings.kill_after);
        self
    }

    /// Ends every command that still runs; none is started any more. Part of the process's stop.
    pub async fn stop(&self) {
        self.commands.stop().await;
    }

    fn of(&self, action: &Action) -> Result<&Callable, String> {
        let Action::Hook { hook, .. } = action else {
            return Err(format!("{action} is not an action of a hook"));
        };
        self.named.get(hook).ok_or_else(|| {
            format!("the configuration has no hook {hook} any more: add it to hooks again")
        })
    }

    /// Calls a verb about an action, under `key`.
    async fn call(
        &self,
        callable: &Callable,
        way: &Way,
        verb: Name,
        request: &Request<'_>,
        prior: &Prior,
    ) -> Reply {
        let target = request.action.target();
        let key = match verb {
            // It is asked about what `apply` did, also when an undo's answer was lost.
            Name::Probe => prior.key,
            Name::Validate | Name::Apply | Name::Undo => request.key,
        };
        let facts = Facts {
            key,
            apply_key: prior.key,
            epoch: request.epoch,
            action: request.action.kind().to_string(),
            cause: request.cause,
            target: target.to_string(),
            component: target.component(),
            verb,
            labels: &prior.labels,
        };
        verb::call(way, &callable.hook, &callable.around, &self.commands, &facts).await
    }

    /// Calls a verb that changes something, and remembers when that call ends.
    async fn change(
        &self,
        verb: Name,
        (callable, way): (&Callable, &Way),
        request: &Request<'_>,
        prior: &Prior,
    ) -> Result<(), Failure> {
        // At the latest: whoever waits for the answer may go away before.
        self.remember(request, Instant::now() + callable.hook.timeout);
        let reply = self.call(callable, way, verb, request, prior).await;
        self.remember(request, Instant::now());
        reply.change()
    }

    fn memory(&self, epoch: Option<u64>) -> MutexGuard<'_, Memory> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.epoch.0 != epoch {
            memory.epoch = (epoch, Instant::now());
        }
        memory
    }

    fn remember(&self, request: &Request<'_>, end: Instant) {
        let ends = &mut self.memory(request.epoch).ends;
        if ends.len() >= MAX_REMEMBERED && !ends.contains_key(&request.key) {
            let oldest = ends.iter().min_by_key(|(_, (end, _))| *end).map(|(key, _)| *key);
            oldest.and_then(|key| ends.remove(&key));
        }
        ends.insert(request.key, (end, request.epoch));
    }

    /// Why it is too early to ask what became of the call under this key. One that is not ours was begun before we led, and
    /// ends within its time-out.
    fn too_early(
        &self,
        request: &Request<'_>,
        prior: &Prior,
        asked: Asked,
        callable: &Callable,
    ) -> Option<String> {
        let memory = self.memory(request.epoch);
        let end = match memory.ends.get(&request.key) {
            Some((end, _)) => *end,
            // Nobody has begun an undo of what was applied in this leadership, or it would be remembered.
            None if asked == Asked::BeforeUndo
                && memory.ends.get(&prior.key).is_some_and(|(_, led)| *led == request.epoch) =>
            {
                return None;
            }
            None => memory.epoch.1 + callable.hook.timeout,
        };
        let left = (end + self.settings.probe_after).saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| {
            format!(
                "hook {}: what became of the call may still change; its probe is called in {} s",
                callable.hook.name,
                left.as_secs_f64().ceil(),
            )
        })
    }

    /// What the hook's probe says of the effect of `apply`. `Err`: it cannot tell.
    async fn effect(
        &self,
        request: &Request<'_>,
        prior: &Value,
        asked: Asked,
    ) -> Result<(Effect, String), String> {
        let callable = self.of(request.action)?;
        let prior = Prior::read(prior, request)?;
        let name = callable.hook.name;
        let way = callable.probe.as_ref().ok_or_else(|| {
            format!("hook {name} has no probe: look at {} yourself", request.action.target())
        })?;
        if let Some(why) = self.too_early(request, &prior, asked, callable) {
            return Err(why);
        }
        let reply = self.call(callable, way, Name::Probe, request, &prior).await;
        match reply.effect() {
            Some(effect) => Ok((effect, reply.text)),
            None => Err(format!("{}; it cannot tell", reply.text)),
        }
    }
}

impl Prior {
    fn of(request: &Request<'_>) -> Self {
        Self { version: VERSION, key: request.key, labels: request.labels.clone() }
    }

    fn read(prior: &Value, request: &Request<'_>) -> Result<Self, String> {
        serde_json::from_value(prior.clone())
            .ok()
            .filter(|prior: &Self| prior.version == VERSION)
            .ok_or_else(|| {
                format!(
                    "what the journal keeps of {} was not written by this version",
                    request.action
                )
            })
    }
}

fn unsent(text: String) -> Failure {
    Failure { text, doubt: Doubt::None, refusal: None }
}

#[async_trait]
impl Actuator for Hooks {
    fn timeout(&self, action: &Action) -> Duration {
        self.of(action).map_or(Duration::ZERO, |callable| callable.hook.timeout)
    }

    fn honours_keys(&self, action: &Action) -> bool {
        self.of(action).is_ok_and(|callable| callable.hook.idempotent)
    }

    fn is_repeatable(&self, _: Step, _: &Action) -> bool {
        false
    }

    fn undoable(&self, action: &Action, _: &Value) -> Undoable {
        match self.of(action) {
            Err(_) => Undoable::No("the configuration has no such hook any more"),
            Ok(Callable { undo: None, .. }) => Undoable::No("the hook has no undo"),
            Ok(Callable { probe: None, .. }) => {
                Undoable::No("the hook has no probe, which would show whether its effect remains")
            }
            Ok(_) => Undoable::Yes,
        }
    }

    async fn validate(&self, request: &Request<'_>) -> Result<Validation, Failure> {
        let callable = self.of(request.action).map_err(unsent)?;
        let Some(way) = &callable.validate else { return Ok(Validation::Valid) };
        self.call(callable, way, Name::Validate, request, &Prior::of(request)).await.validation()
    }

    async fn prepare(&self, request: &Request<'_>) -> Result<Value, Unprepared> {
        self.of(request.action).map_err(Unprepared)?;
        let labels = json!(request.labels).to_string().len();
        if labels > MAX_LABELS {
            return Err(Unprepared(format!(
                "the labels of its violations have {labels} bytes; a hook is given at most {MAX_LABELS}"
            )));
        }
        Ok(json!(Prior::of(request)))
    }

    async fn apply(&self, request: &Request<'_>, prior: &Value) -> Result<Value, Failure> {
        let callable = self.of(request.action).map_err(unsent)?;
        let read = Prior::read(prior, request).map_err(unsent)?;
        self.change(Name::Apply, (callable, &callable.apply), request, &read).await?;
        Ok(prior.clone())
    }

    async fn probe(&self, step: Step, request: &Request<'_>, prior: &Value) -> Probe {
        match (self.effect(request, prior, Asked::AfterLoss).await, step) {
            (Err(why), _) => Probe::CannotTell(why),
            (Ok((Effect::Foreign, text)), _) => Probe::Foreign(text),
            // An undo is there when the effect of `apply` is not.
            (Ok((Effect::Found, _)), Step::Apply) | (Ok((Effect::Absent, _)), Step::Undo) => {
                Probe::Found(prior.clone())
            }
            (Ok((Effect::Absent, _)), Step::Apply) | (Ok((Effect::Found, _)), Step::Undo) => {
                Probe::Absent
            }
        }
    }

    async fn compare(&self, request: &Request<'_>, prior: &Value) -> Comparison {
        match self.effect(request, prior, Asked::BeforeUndo).await {
            Err(why) => Comparison::CannotTell(why),
            Ok((Effect::Found, _)) => Comparison::Ours,
            Ok((Effect::Absent, text)) => Comparison::Over(text),
            Ok((Effect::Foreign, text)) => Comparison::Foreign(text),
        }
    }

    async fn undo(&self, request: &Request<'_>, prior: &Value) -> Result<(), Failure> {
        let callable = self.of(request.action).map_err(unsent)?;
        let prior = Prior::read(prior, request).map_err(unsent)?;
        let way = callable.undo.as_ref();
        let way = way.ok_or_else(|| unsent(format!("hook {} has no undo", callable.hook.name)))?;
        self.change(Name::Undo, (callable, way), request, &prior).await
    }
}
