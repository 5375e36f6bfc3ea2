//! Which alerts are evidence for an action, and what their severity words mean.

use super::*;

/// W01: silenced, inhibited, or muted on every way to us: no evidence, with the reason; free again: evidence, and no onset.
#[test]
fn w01_what_alertmanager_holds_back_is_no_evidence_and_says_why() {
    let alert = delivered("X", 0, 10, &[("cause", "system_overload")]);
    let inbox = std::slice::from_ref(&alert);
    let muted = |routes: &[AlertRoute]| ListedAlert { routes: routes.to_vec(), ..entry(&alert) };
    let silenced = ListedAlert { suppressed: Some("silenced by s1".to_owned()), ..entry(&alert) };
    let weekend = muted(&[route("mape-k", &["weekend"])]);
    for (held, why) in [
        (silenced, "silenced by s1"),
        (weekend.clone(), "muted by time interval weekend"),
        (muted(&[route("mape-k", &["a", "b"]), route("people", &[])]), "time interval a, b"),
    ] {
        for inbox in [inbox, &[]] {
            let mut world = World::started();
            world.learnt.insert("mape-k".to_owned());
            let seen = world.one(inbox, Ok(&listing(20, std::slice::from_ref(&held))));
            let said = seen.no_evidence.expect("a reason").to_string();
            assert_eq!(seen.state, AlertState::HeldBack, "{said}");
            assert!(said.contains(why), "{said}");
            let free = world.one(inbox, Ok(&listing(50, &[entry(&alert)])));
            assert_eq!(
                (free.state, free.onset, free.no_evidence),
                (AlertState::Firing, false, None)
            );
        }
    }
    // Another team's route is quiet, ours is not.
    let theirs = muted(&[route("mape-k", &[]), route("people", &["weekend"])]);
    let mut world = World::started();
    assert_eq!(
        world.one(inbox, Ok(&listing(20, std::slice::from_ref(&theirs)))).state,
        AlertState::HeldBack,
        "nobody knows yet which of the two is ours"
    );
    world.learnt.insert("mape-k".to_owned());
    assert_eq!(world.one(inbox, Ok(&listing(50, &[theirs]))).state, AlertState::Firing);
    // Two ways to us, one of them open.
    let open = muted(&[route("mape-k", &["weekend"]), route("mape-k", &[])]);
    assert_eq!(world.one(inbox, Ok(&listing(80, &[open]))).state, AlertState::Firing);
}

/// W01: an Alertmanager that does not tell what is muted: what a webhook brought is evidence, the rest is shown.
#[test]
fn w01_where_muting_is_not_told_only_what_a_webhook_brought_is_evidence() {
    let alert = delivered("X", 0, 10, &[("cause", "system_overload")]);
    let listed = |asked| plain_listing(asked, &[entry(&alert)]);
    let mut world = World::started();
    let only_listed = world.one(&[], Ok(&listed(20)));
    assert_eq!(only_listed.state, AlertState::HeldBack);
    assert_eq!(only_listed.no_evidence, Some(NoEvidence::MutingUnknown));
    let inbox = std::slice::from_ref(&alert);
    assert_eq!(world.one(inbox, Ok(&listed(50))).state, AlertState::Firing);
    // A later delivery under its name, of an older beginning, takes nothing of that away.
    let older = delivered("X", 0, 60, &[]);
    let older = InboxAlert { starts_at: at(0) - Duration::from_secs(60), ..older };
    let both = world.cycle(&[alert.clone(), older], Ok(&listed(80)));
    assert!(both.iter().any(|alert| alert.state == AlertState::Firing), "{both:?}");
}

/// The attack of issue 14: a delivery is evidence for nothing by itself, whenever it comes, and takes nothing away for
/// longer than a cycle.
#[test]
fn a_delivery_neither_makes_an_alert_fire_nor_hides_one_for_long() {
    let caused = [("cause", "system_overload"), ("severity", "critical")];
    let mut world = World::started();
    for second in 1..20 {
        let forged = delivered(&format!("F{second}"), second, second * 10 + 5, &caused);
        let seen = world.cycle(std::slice::from_ref(&forged), Ok(&listing(second * 10, &[])));
        let forged_one = seen.iter().find(|alert| alert.key == forged.key()).expect("it is shown");
        assert_eq!(forged_one.no_evidence, Some(NoEvidence::NotListedYet));
        let next = world.cycle(&[forged], Ok(&listing(second * 10 + 6, &[])));
        assert!(next.iter().all(|alert| alert.state != AlertState::Firing), "{next:?}");
    }
    let mut world = World::started();
    // Under the name of an alert that fires, it says nothing of its own.
    let harmless = delivered("Harmless", 0, 300, &[]);
    let listed = |asked| listing(asked, &[entry(&harmless)]);
    let forged = delivered("Harmless", 0, 310, &caused);
    let seen = world.one(std::slice::from_ref(&forged), Ok(&listed(320)));
    assert_eq!(
        (seen.state, seen.cause, seen.severity),
        (AlertState::Firing, None, Severity::Warning)
    );
    // A resolve in every reading of the list hides it in every second cycle at most.
    let fires: Vec<bool> = (0..6)
        .map(|n| {
            let again = InboxAlert { starts_at: at(n), ..resolved(&harmless, 1_000 * n + 401) };
            let seen = world.cycle(&[again], Ok(&listed(1_000 * n + 400)));
            seen.iter().any(|alert| alert.state == AlertState::Firing)
        })
        .collect();
    assert_eq!(fires, [false, true].repeat(3));
}

/// What was delivered while the list was being read begins when the next list has it, though a cycle has taken it in.
#[test]
fn a_delivery_that_the_next_list_confirms_is_an_onset_then() {
    let alert = delivered("X", 0, 10, &[]);
    let mut world = World::started();
    assert!(!world.one(std::slice::from_ref(&alert), Ok(&listing(5, &[]))).onset);
    let taken_in = InboxAlert { processed: true, ..alert.clone() };
    assert!(world.one(&[taken_in], Ok(&listing(35, &[entry(&alert)]))).onset);
}

/// W02: Grafana's two names, whatever labels of the rule they carry, and its reason under the rule's own name.
#[test]
fn w02_grafanas_missing_data_is_no_trouble_whatever_it_carries() {
    let mut world = World::new();
    world.settings.handlers = vec![handler("datasource", Some("system_overload"))];
    let of_rule =
        [("cause", "validation_latency"), ("component", "charter"), ("severity", "critical")];
    let class = |name: &str, annotations: &[(&str, &str)]| {
        let mut all = labels(&of_rule);
        all.insert("alertname".to_owned(), name.to_owned());
        world.routing().meaning(&all, &labels(annotations), true).class
    };
    for name in ["DatasourceNoData", "DatasourceError", "datasourceerror"] {
        assert_eq!(class(name, &[]), AlertClass::MissingData, "{name}");
    }
    for reason in ["NoData", "Error", "NoData, KeepLast"] {
        let said = class("Slow", &[("grafana_state_reason", reason)]);
        assert_eq!(said, AlertClass::MissingData, "{reason}");
    }
    assert_eq!(class("Slow", &[("grafana_state_reason", "Updated")]), AlertClass::Actionable);
    assert_eq!(class("DatasourceSlow", &[]), AlertClass::Actionable);
}

/// W03: words in use, in any writing; an unknown one is a warning and is counted, none is a warning.
#[test]
fn w03_severity_words_are_understood_and_an_unknown_one_is_a_warning() {
    let mut world = World::started();
    world.settings.severities.set("Katastrophe", Severity::Critical);
    world.settings.severities.set("page", Severity::Info);
    let of = |world: &World, word: &str| {
        let meaning = world.meaning(&[("alertname", "X"), ("severity", word)]);
        (meaning.severity, meaning.unknown_severity)
    };
    for (word, severity) in [
        ("CRITICAL", Severity::Critical),
        ("P1", Severity::Critical),
        (" emergency", Severity::Critical),
        ("Error", Severity::Critical),
        ("fatal", Severity::Critical),
        ("HIGH", Severity::Critical),
        ("SEV-1", Severity::Critical),
        ("disaster", Severity::Critical),
        ("katastrophe", Severity::Critical),
        ("minor", Severity::Warning),
        ("", Severity::Warning),
        ("information", Severity::Info),
        // The user's table stands over the shipped one.
        ("page", Severity::Info),
    ] {
        assert_eq!(of(&world, word), (severity, None), "{word}");
    }
    assert_eq!(of(&world, "bogus"), (Severity::Warning, Some("bogus".to_owned())));
    assert_eq!(world.meaning(&[("alertname", "X")]).severity, Severity::Warning);
    assert!(wakes(&delivered("X", 0, 10, &[("severity", "P0")]), world.routing()));

    let unknown = [delivered("X", 0, 10, &[("severity", "bogus")])];
    let listed = entry(&delivered("Y", 0, 0, &[("severity", "bogus")]));
    let listed = listing(20, &[entry(&unknown[0]), listed]);
    let counted = |world: &World, inbox: &[InboxAlert]| {
        let input = ViewInput {
            inbox,
            listing: Some(Ok(&listed)),
            known: &world.known,
            learnt_receivers: &world.learnt,
            routing: world.routing(),
        };
        view(input).view.unknown_severities
    };
    assert_eq!(counted(&world, &unknown), BTreeMap::from([("bogus".to_owned(), 2)]));
    world.cycle(&unknown, Ok(&listed));
    let processed = [InboxAlert { processed: true, ..unknown[0].clone() }];
    assert_eq!(counted(&world, &processed), BTreeMap::new(), "each alert once");
}
