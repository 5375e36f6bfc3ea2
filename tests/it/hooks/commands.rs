//! R12: what a command is given, and what its exit code and its output come to.

use std::collections::BTreeSet;
use std::time::Duration;

use mape_k::actuators::hook::{Hook, Verb};
use mape_k::actuators::{
    Actuator as _, Comparison, Doubt, Probe, Refusal, Step, Undoable, Validation,
};
use mape_k::domain::Labels;
use mape_k::domain::secret::Secret;
use serde_json::{Value, json};

use super::world::{Scripts, apply, hooks, hooks_with, sent};

fn labels(given: &[(&str, &str)]) -> Labels {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn r12_hostile_labels_reach_standard_input_alone() {
    let scripts = Scripts::new();
    let hook = scripts.hook(
        "tr '\\0' '\\n' </proc/self/environ >environment; tr '\\0' '\\n' </proc/$$/cmdline >words; cat >input",
    );
    let long = "x".repeat(100_000);
    let hostile = labels(&[
        ("lines", "a\nMAPE_K_TARGET=everything\n"),
        ("shell", "$(touch pwned) `touch pwned`; touch pwned"),
        ("nul", "before\0after"),
        ("no=name;", "\u{202e}hostile"),
        ("PATH", "/hostile"),
        ("long", &long),
    ]);
    let sent = sent(hostile.clone());
    apply(&hooks(hook), &sent).await.expect("done");

    let input: Value = serde_json::from_str(&scripts.read("input").expect("input")).expect("JSON");
    assert_eq!(input, json!(hostile), "they arrive whole");
    let environment = scripts.read("environment").expect("an environment");
    let names: BTreeSet<&str> =
        environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let of_sh = ["PWD", "OLDPWD", "SHLVL", "_"];
    let names: Vec<&str> = names.into_iter().filter(|name| !of_sh.contains(name)).collect();
    assert_eq!(
        names,
        [
            "MAPE_K_ACTION",
            "MAPE_K_APPLY_KEY",
            "MAPE_K_CAUSE",
            "MAPE_K_COMPONENT",
            "MAPE_K_EPOCH",
            "MAPE_K_KEY",
            "MAPE_K_TARGET",
            "MAPE_K_VERB",
            "PATH"
        ]
    );
    let words = scripts.read("words").expect("words");
    for text in [&environment, &words] {
        for part in ["hostile", "pwned", "everything", "before", "xxxx"] {
            assert!(!text.contains(part), "{part} in {text}");
        }
    }
    assert!(scripts.read("pwned").is_none(), "a label was run");
    for line in [
        "MAPE_K_ACTION=hook/cart-read-only",
        "MAPE_K_TARGET=hook/cart-read-only/cart",
        "MAPE_K_COMPONENT=cart",
        "MAPE_K_CAUSE=cart_overload",
        "MAPE_K_VERB=apply",
        "MAPE_K_EPOCH=7",
        &format!("MAPE_K_KEY={}", sent.key),
    ] {
        assert!(environment.lines().any(|own| own == line), "{line} in {environment}");
    }
}

#[tokio::test]
async fn r12_a_command_that_does_not_read_is_done_all_the_same() {
    let scripts = Scripts::new();
    for text in ["exit 0", "exec <&-; exit 0"] {
        let long = "y".repeat(300_000);
        let done = apply(&hooks(scripts.hook(text)), &sent(labels(&[("long", &long)]))).await;
        assert!(done.is_ok(), "{text}: {done:?}");
    }
}

/// What is more than any label of a real series is refused before anything runs.
#[tokio::test]
async fn r12_labels_without_a_bound_are_not_sent() {
    let scripts = Scripts::new();
    let hooks = hooks(scripts.hook("echo >called"));
    let huge = "z".repeat(2 << 20);
    let sent = sent(labels(&[("huge", &huge)]));
    let unprepared = hooks.prepare(&sent.request()).await.expect_err("too many bytes");
    assert!(unprepared.to_string().contains("1048576"), "{unprepared}");
}

#[tokio::test]
async fn r12_each_exit_code_has_its_meaning() {
    let scripts = Scripts::new();
    let other = Some(Refusal::Other);
    let ends = [
        ("exit 0", None),
        ("exit 10", Some((Doubt::None, other))),
        ("exit 11", Some((Doubt::None, None))),
        ("exit 1", Some((Doubt::UnderWay, None))),
        ("exit 2", Some((Doubt::UnderWay, None))),
        ("exit 12", Some((Doubt::UnderWay, None))),
        ("exit 126", Some((Doubt::UnderWay, None))),
        ("exit 255", Some((Doubt::UnderWay, None))),
        ("kill -9 $$", Some((Doubt::UnderWay, None))),
        ("kill -15 $$", Some((Doubt::UnderWay, None))),
    ];
    for (text, expected) in ends {
        let result = apply(&hooks(scripts.hook(text)), &sent(Labels::new())).await;
        let came = result.err().map(|failure| (failure.doubt, failure.refusal));
        assert_eq!(came, expected, "{text}");
    }
}

#[tokio::test]
async fn r12_what_cannot_be_started_was_surely_not_done() {
    let scripts = Scripts::new();
    let plain = scripts.path("plain");
    std::fs::write(&plain, "#!/bin/sh\nexit 0\n").expect("written");
    let plain = plain.display().to_string();
    let hook = |program: &str| Hook {
        apply: Verb::Command(vec![program.to_owned()]),
        ..scripts.hook("exit 0")
    };
    for program in ["/nowhere/restart", "no-such-program-anywhere", &plain, "/etc"] {
        let failure = apply(&hooks(hook(program)), &sent(Labels::new())).await.expect_err(program);
        assert_eq!((failure.doubt, failure.refusal), (Doubt::None, None), "{failure}");
        assert!(
            failure.text.contains(program) && failure.text.contains("could not be started"),
            "{failure}"
        );
    }
    apply(&hooks(hook("true")), &sent(Labels::new())).await.expect("a program of the PATH runs");
}

#[tokio::test]
async fn r12_validate_says_yes_no_or_nothing() {
    let scripts = Scripts::new();
    let with = |text: Option<&str>| Hook {
        validate: text.map(|text| scripts.verb("validate.sh", text)),
        ..scripts.hook("echo >applied")
    };
    let sent = sent(Labels::new());
    let validated = async |text: Option<&str>| hooks(with(text)).validate(&sent.request()).await;
    assert_eq!(validated(None).await, Ok(Validation::Valid), "no verb, nothing to ask");
    assert_eq!(validated(Some("exit 0")).await, Ok(Validation::Valid));
    let invalid = validated(Some("echo no such cart; exit 10")).await;
    let Ok(Validation::Invalid(text)) = invalid else { panic!("{invalid:?}") };
    assert!(text.contains("no such cart"), "{text}");
    for text in ["exit 11", "exit 1", "kill -9 $$"] {
        assert!(validated(Some(text)).await.is_err(), "{text} says nothing of the action");
    }
    assert!(scripts.read("applied").is_none(), "validating applies nothing");
}

#[tokio::test]
async fn r12_probe_and_undo_know_the_key_and_the_labels_of_apply() {
    let scripts = Scripts::new();
    let note = "echo $MAPE_K_VERB $MAPE_K_KEY $MAPE_K_APPLY_KEY $(cat) >>calls";
    let hook = Hook {
        probe: Some(scripts.verb("probe.sh", note)),
        undo: Some(scripts.verb("undo.sh", note)),
        ..scripts.hook(note)
    };
    let hooks = hooks(hook);
    let sent = sent(labels(&[("namespace", "shop")]));
    let prior = apply(&hooks, &sent).await.expect("done");
    // A later process has the journal alone.
    let undoing = crate::contract::Sent { labels: Labels::new(), ..sent.undoing() };
    assert_eq!(hooks.compare(&undoing.request(), &prior).await, Comparison::Ours);
    hooks.undo(&undoing.request(), &prior).await.expect("undone");
    let (key, undo) = (sent.key, undoing.key);
    let shop = r#"{"namespace":"shop"}"#;
    let expected =
        format!("apply {key} {key} {shop}\nprobe {key} {key} {shop}\nundo {undo} {key} {shop}\n");
    assert_eq!(scripts.read("calls"), Some(expected));
}

#[tokio::test]
async fn r12_each_exit_code_of_probe_has_its_meaning() {
    let scripts = Scripts::new();
    let sent = sent(Labels::new());
    for (text, apply, undo) in [
        ("exit 0", "found", "absent"),
        ("exit 10", "absent", "found"),
        ("exit 12", "foreign", "foreign"),
        ("exit 1", "cannot tell", "cannot tell"),
        ("exit 11", "cannot tell", "cannot tell"),
        ("kill -9 $$", "cannot tell", "cannot tell"),
    ] {
        let hook = Hook {
            probe: Some(scripts.verb("probe.sh", text)),
            undo: Some(scripts.verb("undo.sh", "exit 5")),
            ..scripts.hook("exit 5")
        };
        let hooks = hooks(hook);
        let prior = hooks.prepare(&sent.request()).await.expect("prepared");
        let undoing = sent.undoing();
        hooks.apply(&sent.request(), &prior).await.expect_err("not known");
        hooks.undo(&undoing.request(), &prior).await.expect_err("not known");
        for (step, of, expected) in [(Step::Apply, &sent, apply), (Step::Undo, &undoing, undo)] {
            let seen = match hooks.probe(step, &of.request(), &prior).await {
                Probe::Found(_) => "found",
                Probe::Absent => "absent",
                Probe::Foreign(_) => "foreign",
                Probe::CannotTell(_) => "cannot tell",
                Probe::Ended(_) => "ended",
            };
            assert_eq!(seen, expected, "{text}, {step:?}");
        }
    }
}

/// A minute, so that what is still under way has arrived.
#[tokio::test]
async fn r12_a_lost_answer_is_probed_a_minute_later_at_the_earliest() {
    let scripts = Scripts::new();
    let hook = || Hook {
        probe: Some(scripts.verb("probe.sh", "echo >probed; exit 0")),
        ..scripts.hook("exit 5")
    };
    let sent = sent(Labels::new());
    let patient = hooks_with(hook(), |settings| settings.probe_after = Duration::from_secs(60));
    assert_eq!(
        mape_k::actuators::hook::Settings::default().probe_after,
        Duration::from_secs(60),
        "as shipped"
    );
    let prior = patient.prepare(&sent.request()).await.expect("prepared");
    patient.apply(&sent.request(), &prior).await.expect_err("not known");
    let seen = patient.probe(Step::Apply, &sent.request(), &prior).await;
    let Probe::CannotTell(why) = seen else { panic!("{seen:?}") };
    assert!(why.contains("its probe is called in 60 s"), "{why}");
    // Another process knows nothing of when the call was sent: it waits for its time-out, too.
    let other = hooks_with(hook(), |settings| settings.probe_after = Duration::from_secs(60));
    let seen = other.probe(Step::Apply, &sent.request(), &prior).await;
    let Probe::CannotTell(why) = seen else { panic!("{seen:?}") };
    assert!(why.contains("called in 80 s"), "{why}");
    assert!(scripts.read("probed").is_none(), "nobody asked");

    let at_once = hooks(hook());
    at_once.apply(&sent.request(), &prior).await.expect_err("not known");
    let seen = at_once.probe(Step::Apply, &sent.request(), &prior).await;
    assert!(matches!(seen, Probe::Found(_)), "{seen:?}");
}

#[tokio::test]
async fn r12_without_probe_or_undo_it_is_a_persons() {
    let scripts = Scripts::new();
    let probe = Some(scripts.verb("probe.sh", "exit 0"));
    let undo = Some(scripts.verb("undo.sh", "exit 0"));
    let sent = sent(Labels::new());
    let cases = [
        (None, None, false),
        (None, undo.clone(), false),
        (probe.clone(), None, false),
        (probe, undo, true),
    ];
    for (probe, undo, is_undoable) in cases {
        let has_probe = probe.is_some();
        let hooks = hooks(Hook { probe, undo, ..scripts.hook("exit 5") });
        let prior = hooks.prepare(&sent.request()).await.expect("prepared");
        assert_eq!(hooks.undoable(&sent.action, &prior) == Undoable::Yes, is_undoable);
        hooks.apply(&sent.request(), &prior).await.expect_err("not known");
        let seen = hooks.probe(Step::Apply, &sent.request(), &prior).await;
        assert_eq!(matches!(seen, Probe::CannotTell(_)), !has_probe, "{seen:?}");
        assert!(
            !hooks.is_repeatable(Step::Apply, &sent.action) && !hooks.honours_keys(&sent.action)
        );
    }
}

#[tokio::test]
async fn r12_what_another_version_wrote_is_not_guessed_at() {
    let scripts = Scripts::new();
    let hook = Hook {
        probe: Some(scripts.verb("probe.sh", "echo >called")),
        undo: Some(scripts.verb("undo.sh", "echo >called")),
        ..scripts.hook("echo >called")
    };
    let hooks = hooks(hook);
    let sent = sent(Labels::new());
    let mut prior = hooks.prepare(&sent.request()).await.expect("prepared");
    prior["version"] = json!(2);
    for prior in [prior, json!(null), json!({"replicas": 3})] {
        let probe = hooks.probe(Step::Apply, &sent.request(), &prior).await;
        assert!(matches!(probe, Probe::CannotTell(_)), "{probe:?}");
        let comparison = hooks.compare(&sent.request(), &prior).await;
        assert!(matches!(comparison, Comparison::CannotTell(_)), "{comparison:?}");
        let undone = hooks.undo(&sent.request(), &prior).await.expect_err("not sent");
        assert_eq!(undone.doubt, Doubt::None);
    }
    assert!(scripts.read("called").is_none());
    apply(&hooks, &sent).await.expect("its own is read");
    assert!(scripts.read("called").is_some());
}

#[tokio::test]
async fn r12_what_it_says_is_told_without_secrets_and_on_one_line() {
    let scripts = Scripts::new();
    let secrets = [
        ("CART_TOKEN", "s3cret-token"),
        ("CART_KEY", "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----"),
        ("CART_URL", "postgres://cart:hunter22@db/cart"),
    ];
    let hook = Hook {
        environment: secrets
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some(Secret::new((*value).to_owned()))))
            .collect(),
        ..scripts.hook(
            "printf 'token %s\\n' \"$CART_TOKEN\"; printf '%s' \"$CART_KEY\" | sed -n 2p; echo password hunter22\n\
             printf 'red \\033[31m and \\342\\200\\256 turned\\n' >&2; exit 10",
        )
    };
    let failure = apply(&hooks(hook), &sent(Labels::new())).await.expect_err("refused");
    let text = failure.text;
    for secret in ["s3cret", "MIIEvQ", "hunter22"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("token ***") && text.contains("password ***"), "{text}");
    assert!(text.contains("exited with 10") && text.contains("cart-read-only"), "{text}");
    assert!(!text.contains(char::is_control) && !text.contains('\u{202e}'), "{text:?}");
    assert!(text.contains("\\u{1b}[31m"), "{text}");
}

/// 64 KiB are kept: a secret that lies across their end is not told by half.
#[tokio::test]
async fn r12_a_secret_at_the_end_of_what_is_kept_is_not_told_by_half() {
    let scripts = Scripts::new();
    let (kept, secret) = (64 << 10, "abcdefghijklmnopqrstuvwxyz012345");
    for inside in [8, 20, 31] {
        let text = format!(
            "head -c {} /dev/zero | tr '\\0' '.'; printf %s \"$CART_TOKEN\"; printf ' and more'; exit 10",
            kept - inside
        );
        let secret = Some(Secret::new(secret.to_owned()));
        let environment = [("CART_TOKEN".to_owned(), secret)].into();
        let hook = Hook { environment, ..scripts.hook(&text) };
        let failure = apply(&hooks(hook), &sent(Labels::new())).await.expect_err("refused");
        assert!(!failure.text.contains("abc"), "{inside}: {}", failure.text);
        assert!(failure.text.contains("...."), "the rest is told");
    }
}
