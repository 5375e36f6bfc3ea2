//! Scenarios as files: tests/sim/scenarios/*.yaml, each a script and what is to come of it. A new one is a file.
//!
//! ```yaml
//! about: one sentence
//! seed: 1                 # and what else script.rs knows; times in seconds
//! hours: 0.5
//! events:
//!   - {at: 120, do: plant, fault: overload}
//! expect:                 # a range is `2`, `0..2`, `1..` or `..2`
//!   actions: {scale_up: 1}        # sent, by kind; a kind that is not named must not be
//!   order: [scale_up]             # these among the actions, in this order
//!   verdicts: {success: 1}        # by class; one that is not named must not be
//!   told: {outcome_unknown: 0..1} # escalations opened, by reason; one that is not named must not be
//!   open: {}                      # the same, of those open at the end
//!   calls: 1                      # changing calls that Charter worked on
//!   effects: 1                    # those of them that changed something
//!   bad_minutes: 1..5             # in which users felt it, by the plant's own state
//!   bad_until: ..9                # minute since which they feel nothing any more
//!   ends: healthy                 # or sick
//! ```
//! What is left out is not checked. Whatever a scenario says, no invariant may break. `SCENE=<name>` runs one alone and
//! prints its trace.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mape_k::domain::action::ActionKind;
use mape_k::domain::need::NeedReason;
use mape_k::domain::outcome::OutcomeType;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::run::{Outcome, run};
use super::script::{Event, Script};

pub struct Scene {
    pub name: String,
    pub script: Script,
    expect: Expect,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Expect {
    actions: Option<BTreeMap<ActionKind, Range>>,
    order: Option<Vec<ActionKind>>,
    verdicts: Option<BTreeMap<CandidateResult, Range>>,
    told: Option<BTreeMap<NeedReason, Range>>,
    open: Option<BTreeMap<NeedReason, Range>>,
    calls: Option<Range>,
    effects: Option<Range>,
    bad_minutes: Option<Range>,
    bad_until: Option<Range>,
    ends: Option<Ends>,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Ends {
    Healthy,
    Sick,
}

/// An outcome's class by its name, so that it has an order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct CandidateResult(&'static str);

impl<'de> Deserialize<'de> for CandidateResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(OutcomeType::deserialize(deserializer)?.as_str()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    min: f64,
    max: f64,
}

impl Range {
    const NONE: Self = Self { min: 0.0, max: 0.0 };

    fn holds(self, value: f64) -> bool {
        (self.min..=self.max).contains(&value)
    }
}

impl Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.min, self.max)
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let wrong = || D::Error::custom(format!("{text} is no range; write 2, 0..2, 1.. or ..2"));
        let number = |part: &str, open: f64| match part.trim() {
            "" => Ok(open),
            part => part.parse().map_err(|_| wrong()),
        };
        let (min, max) = text.split_once("..").unwrap_or((&text, &text));
        let range = Self { min: number(min, 0.0)?, max: number(max, f64::INFINITY)? };
        if text.is_empty() || range.min.is_nan() || range.max.is_nan() || range.min > range.max {
            return Err(wrong());
        }
        Ok(range)
    }
}

/// All scenarios, by name, or everything that is wrong with their files.
pub fn all() -> Result<Vec<Scene>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/scenarios");
    let entries = std::fs::read_dir(&folder).expect("the folder of the scenarios");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    let (mut scenes, mut wrong) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a readable file");
        match read(&name, &text) {
            Ok(scene) => scenes.push(scene),
            Err(error) => wrong.push(format!("{}: {error}", path.display())),
        }
    }
    if wrong.is_empty() { Ok(scenes) } else { Err(wrong.join("\n")) }
}

/// A scenario as its file says it, or the key at which the file is wrong.
pub fn read(name: &str, text: &str) -> Result<Scene, String> {
    let mut file: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let fields = file.as_object_mut().ok_or("it is no map of keys")?;
    if !fields.remove("about").is_some_and(|about| about.is_string()) {
        return Err("about: a sentence is missing".to_owned());
    }
    let sections = fields.remove("expect").ok_or("expect: it is missing")?;
    let events = fields.remove("events").ok_or("events: they are missing")?;
    let events = events.as_array().ok_or("events: they are no list")?;
    let events = events.iter().enumerate().map(|(n, event)| part(&format!("events[{n}]"), event));
    let events: Vec<Event> = events.collect::<Result<_, _>>()?;
    if events.windows(2).any(|pair| pair[0].at > pair[1].at) {
        return Err("events: they are not in the order of their times".to_owned());
    }
    fields.insert("events".to_owned(), json!([]));
    let script = Script { events, ..serde_json::from_value(file).map_err(|e| e.to_string())? };
    // Section by section, so that an error names it.
    for (key, value) in sections.as_object().ok_or("expect: it is no map of keys")? {
        let alone = json!({ key: value });
        serde_json::from_value::<Expect>(alone).map_err(|e| format!("expect.{key}: {e}"))?;
    }
    let expect = serde_json::from_value(sections).map_err(|error| format!("expect: {error}"))?;
    Ok(Scene { name: name.to_owned(), script, expect })
}

/// One event; a key that it does not know is not passed over, as serde would for tagged values.
fn part<T: DeserializeOwned + serde::Serialize>(path: &str, value: &Value) -> Result<T, String> {
    let part: T = serde_json::from_value(value.clone()).map_err(|e| format!("{path}: {e}"))?;
    let known = serde_json::to_value(&part).expect("what was read can be written");
    unknown(path, value, &known).map_or(Ok(part), |key| Err(format!("{key}: there is no such key")))
}

fn unknown(path: &str, given: &Value, known: &Value) -> Option<String> {
    let given = given.as_object()?;
    given.iter().find_map(|(key, value)| match known.get(key) {
        None => Some(format!("{path}.{key}")),
        Some(known) => unknown(&format!("{path}.{key}"), value, known),
    })
}

impl Scene {
    /// What is not as expected, one line each.
    pub fn unmet(&self, outcome: &Outcome) -> Vec<String> {
        let Expect { actions, order, verdicts, told, open, calls, effects, bad_minutes, .. } =
            &self.expect;
        let account = &outcome.account;
        let mut unmet = Unmet(Vec::new());
        let counted = |kinds: &[ActionKind]| counted(kinds.iter().copied());
        unmet.counts("actions", actions.as_ref(), &counted(&account.actions));
        let mut done = account.actions.iter();
        if let Some(order) = order
            && !order.iter().all(|wanted| done.any(|action| action == wanted))
        {
            unmet.0.push(format!("order: {order:?} is expected in {:?}", account.actions));
        }
        let classes = account.verdicts.iter().map(|(_, class)| CandidateResult(class.as_str()));
        unmet.counts("verdicts", verdicts.as_ref(), &self::counted(classes));
        unmet.counts("told", told.as_ref(), &account.told);
        unmet.counts("open", open.as_ref(), &account.open);
        unmet.number("calls", *calls, f64::from(account.calls));
        unmet.number("effects", *effects, f64::from(account.effects));
        unmet.number("bad_minutes", *bad_minutes, account.felt.minutes);
        unmet.number("bad_until", self.expect.bad_until, account.felt.until);
        let ends = if account.felt.at_end { Ends::Sick } else { Ends::Healthy };
        if let Some(wanted) = self.expect.ends.as_ref().filter(|wanted| **wanted != ends) {
            unmet.0.push(format!("ends: {wanted:?} is expected, it is {ends:?}"));
        }
        unmet.number("keys that took effect twice", Some(Range::NONE), account.twice as f64);
        unmet.0.extend(outcome.broken.iter().map(|broken| format!("broken: {broken:?}")));
        unmet.0
    }
}

struct Unmet(Vec<String>);

impl Unmet {
    fn number(&mut self, key: &str, wanted: Option<Range>, is: f64) {
        if let Some(range) = wanted.filter(|range| !range.holds(is)) {
            self.0.push(format!("{key}: {range} is expected, it is {is}"));
        }
    }

    fn counts<K: Ord + Debug + Clone>(
        &mut self,
        key: &str,
        wanted: Option<&BTreeMap<K, Range>>,
        is: &BTreeMap<K, u32>,
    ) {
        let Some(wanted) = wanted else { return };
        let unnamed = is.keys().filter(|kind| !wanted.contains_key(kind));
        let unnamed = unnamed.map(|kind| (kind, Range::NONE));
        for (kind, range) in wanted.iter().map(|(kind, range)| (kind, *range)).chain(unnamed) {
            let count = is.get(kind).copied().unwrap_or(0);
            self.number(&format!("{key}.{kind:?}"), Some(range), f64::from(count));
        }
    }
}

fn counted<K: Ord>(kinds: impl Iterator<Item = K>) -> BTreeMap<K, u32> {
    let mut counts = BTreeMap::new();
    for kind in kinds {
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

#[test]
fn every_scenario_ends_as_its_file_expects() {
    let scenes = all().unwrap_or_else(|wrong| panic!("{wrong}"));
    let only = std::env::var("SCENE").ok();
    let scenes: Vec<&Scene> = scenes
        .iter()
        .filter(|scene| only.as_ref().is_none_or(|name| *name == scene.name))
        .collect();
    assert!(!scenes.is_empty(), "no such scenario was found");
    let (next, unmet) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    // Each simulates on one thread; two share a machine with whatever else is tested.
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while let Some(scene) = scenes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run(&scene.script);
                    let wrong = scene.unmet(&outcome);
                    let mut unmet = unmet.lock().expect("no scenario panicked");
                    let trace = outcome.tail.iter().filter(|_| only.is_some());
                    trace.for_each(|line| println!("{line}"));
                    println!("{}: {}", scene.name, outcome.account);
                    for line in &wrong {
                        println!("    NOT AS EXPECTED {line}");
                    }
                    unmet.extend(wrong.into_iter().map(|line| format!("{}: {line}", scene.name)));
                }
            });
        }
    });
    let unmet = unmet.into_inner().expect("no scenario panicked");
    assert!(unmet.is_empty(), "{}", unmet.join("\n"));
}

#[test]
fn a_scenario_that_is_wrong_is_told_with_its_key() {
    let file = |events: &str, expect: &str| {
        format!("about: it\nseed: 1\nhours: 0.1\nevents: [{events}]\nexpect: {{{expect}}}")
    };
    let overload = "{at: 60, do: plant, fault: overload}";
    assert!(read("right", &file(overload, "actions: {scale_up: 1..2}, calls: 1..")).is_ok());
    for (events, expect, told) in [
        ("{at: 60, do: plant, fault: flood}", "", "events[0]: unknown variant `flood`"),
        ("{at: 1, do: plant, fault: overload, magnitud: 3}", "", "events[0].magnitud: there is no"),
        ("{at: 9, do: mend}, {at: 1, do: mend}", "", "not in the order of their times"),
        (overload, "calls: 3..1", "expect.calls: 3..1 is no range"),
        (overload, "actions: {explode: 1}", "expect.actions: explode is no action"),
        (overload, "heals: yes", "expect.heals: unknown field `heals`"),
    ] {
        let error = read("wrong", &file(events, expect)).err().expect("an error");
        assert!(error.contains(told), "{error}");
    }
    let error = read("wrong", "about: it\nseed: 1\nevents: []\nexpect: {}").err();
    assert!(error.is_some_and(|error| error.contains("missing field `hours`")));
}
