//! Which alerts are evidence for an action, and what their severity words mean.

use super::*;
use mape_k::domain::secret::Secret;

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
    // One of several ways is quiet: only the configuration says which of them lead to us.
    let theirs = muted(&[route("mape-k", &[]), route("people", &["weekend"])]);
    let both_ours = muted(&[route("mape-k", &["weekend"]), route("mape-k", &[])]);
    for one_open in [theirs, both_ours] {
        let mut world = World::started();
        world.learnt.insert("mape-k".to_owned());
        let held = world.one(inbox, Ok(&listing(20, std::slice::from_ref(&one_open))));
        assert_eq!(held.state, AlertState::HeldBack, "a learnt name opens no way");
        let said = held.no_evidence.expect("a reason").to_string();
        assert!(said.contains("alertmanager.receiver does not say"), "{said}");
        world.settings.webhook_token = Some(Secret::new("of the tests".to_owned()));
        let seen = world.one(inbox, Ok(&listing(35, std::slice::from_ref(&one_open))));
        assert_eq!(seen.state, AlertState::Firing, "whoever sent that name has the token");
        world.settings.webhook_token = None;
        world.settings.receiver = Some("mape-k".to_owned());
        let seen = world.one(inbox, Ok(&listing(50, &[one_open])));
        assert_eq!(seen.state, AlertState::Firing);
    }
}

/// Whoever reaches the webhook makes up the name of a receiver whose route is open: it opens nothing.
#[test]
fn w01_a_receiver_that_a_payload_made_up_opens_no_muted_alert() {
    let alert = delivered("X", 0, 10, &[("cause", "system_overload")]);
    let routes = vec![route("mape-k", &["weekend"]), route("people", &[])];
    let muted = ListedAlert { routes, ..entry(&alert) };
    for learnt in [&["people"][..], &["mape-k", "people"], &["nobody"], &[]] {
        let mut world = World::started();
        world.learnt.extend(learnt.iter().map(|name| (*name).to_owned()));
        let forged = InboxAlert { receiver: "people".to_owned(), ..alert.clone() };
        for inbox in [&[forged][..], &[]] {
            let seen = world.one(inbox, Ok(&listing(20, std::slice::from_ref(&muted))));
            assert_eq!(seen.state, AlertState::HeldBack, "{learnt:?}");
        }
        let open = world.one(&[], Ok(&listing(50, &[entry(&alert)])));
        assert_eq!(open.state, AlertState::Firing, "{learnt:?}");
    }
}

/// Before 0.28 a delivery says that an alert is not muted, if it is known to be Alertmanager's.
#[test]
fn w01_where_muting_is_not_told_only_an_authenticated_delivery_is_proof() {
    let alert = delivered("X", 0, 10, &[("cause", "system_overload")]);
    for (host, token, state) in [
        ("127.0.0.1", false, AlertState::Firing),
        ("::1", false, AlertState::Firing),
        ("0.0.0.0", false, AlertState::HeldBack),
        ("10.1.2.3", false, AlertState::HeldBack),
        ("0.0.0.0", true, AlertState::Firing),
    ] {
        // The same episode, and one with a beginning of its own.
        for starts in [0, 5] {
            let mut world = World::started();
            host.clone_into(&mut world.settings.webhook_host);
            world.settings.webhook_token = token.then(|| Secret::new("s3cret".to_owned()));
            let forged = InboxAlert { starts_at: at(starts), ..alert.clone() };
            let seen = world.one(&[forged], Ok(&plain_listing(20, &[entry(&alert)])));
            assert_eq!(seen.state, state, "{host} {token} {starts}");
        }
    }
}

/// A row that the version before stored does not say whether the list had the alert: absent, it is over.
#[test]
fn a_row_of_an_older_version_is_over_when_the_list_lacks_it() {
    let alert = delivered("X", 0, 10, &[("cause", "system_overload")]);
    let mut row = serde_json::to_value(&alert).expect("JSON");
    let absent = |row: &serde_json::Value| {
        let stored: InboxAlert = serde_json::from_value(row.clone()).expect("a row");
        World::started().one(&[stored], Ok(&listing(20, &[]))).state
    };
    assert_eq!(absent(&row), AlertState::Unconfirmed, "this version says that it was in no list");
    row.as_object_mut().expect("an object").remove("listed");
    assert_eq!(absent(&row), AlertState::Clear);
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
}

/// A flood of resolves, one in every reading of the list or in some of them, hides an alert for one cycle in all.
#[test]
fn resolves_hide_an_alert_that_the_list_has_for_one_cycle_in_all() {
    let alert = delivered("X", 0, 300, &[("cause", "system_overload")]);
    for (every, fires) in
        [(1, [false, true, true, true, true, true]), (2, [false, true, true, true, true, true])]
    {
        let mut world = World::started();
        let mut forged = resolved(&alert, 401);
        let seen: Vec<bool> = (0..6)
            .map(|n| {
                if n % every == 0 {
                    forged = InboxAlert { starts_at: at(n), ..resolved(&alert, 1_000 * n + 401) };
                }
                // The list cannot be read in between: it has not said that the alert is over.
                if n == 3 {
                    world.cycle(std::slice::from_ref(&forged), Err(&unreadable()));
                }
                let listed = listing(1_000 * n + 400, &[entry(&alert)]);
                let seen = world.cycle(std::slice::from_ref(&forged), Ok(&listed));
                seen.iter().any(|alert| alert.state == AlertState::Firing)
            })
            .collect();
        assert_eq!(seen, fires, "{every}");
        // Gone from the list and there again, a resolve counts for a cycle as it did.
        world.cycle(&[], Ok(&listing(7_000, &[])));
        let late = resolved(&alert, 8_001);
        let seen = world.one(&[late], Ok(&listing(8_000, &[entry(&alert)])));
        assert_eq!(seen.state, AlertState::Clear);
    }
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
