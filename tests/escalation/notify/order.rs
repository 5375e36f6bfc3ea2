//! R04: which message goes first: the worst, and nothing in back-off holds up what is worse; what covers another carries its news.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mape_k::domain::decision::Sev;
use mape_k::domain::message::{Form, Message};
use mape_k::domain::outbox::Outgoing;
use mape_k::notify::Known;
use tokio::time::Instant;

use super::fake_slack::{Asked, FakeSlack, Reply};
use super::messages::{alert, alert_at, at, entry, thread, with_form};
use super::outbox::{World, put};

fn about(severity: Sev, services: &[(u32, &str)]) -> Message {
    let mut message = alert(severity, services[0].1);
    message.entries = services.iter().map(|(id, name)| entry(*id, name, severity)).collect();
    message
}

fn with_news(message: Message, news: &str) -> Message {
    let mut message = message;
    message.entries[0].news = vec![news.to_owned()];
    message
}

/// Takes no alert of these words, and all others.
fn refuses(slack: &FakeSlack, words: &'static str) {
    slack.answers(move |asked| {
        if asked.shown().contains(words) { Reply::Status(500, "away") } else { Reply::Fine }
    });
}

fn shown(slack: &FakeSlack) -> Vec<String> {
    slack.asked().iter().map(Asked::shown).collect()
}

/// Safety review 3: the SEV-2 waits up to 15 minutes, and a SEV-1 about the same incident, or one of several, waited with it.
#[tokio::test]
async fn i16_a_sev_1_goes_out_at_once_past_a_sev_2_in_back_off_about_the_same_incident() {
    let worse = about(Sev::Sev1, &[(1, "payments")]);
    let partly = about(Sev::Sev2, &[(1, "payments"), (2, "search")]);
    for (first, is_covered) in [(alert(Sev::Sev2, "payments"), true), (partly, false)] {
        let world = World::new().await;
        let (knowledge, process) = (world.knowledge(), world.process().await);
        world.slack.always(Reply::Status(500, "away"));
        put(&process, &knowledge, &[with_news(first, "scale_up was applied")], at(0)).await;
        for second in [0, 40, 120, 300] {
            process.work_off(at(second)).await;
        }
        assert!(world.slack.asked().len() >= 3, "it is in back-off");
        world.slack.always(Reply::Fine);
        put(&process, &knowledge, std::slice::from_ref(&worse), at(301)).await;
        process.work_off(at(301)).await;
        let told = shown(&world.slack);
        assert!(!told.is_empty() && told[0].contains("SEV-1: payments is down"), "{told:#?}");
        assert!(told[0].contains("scale_up was applied"), "{told:#?}");
        process.work_off(at(700)).await;
        let later = shown(&world.slack);
        assert_eq!(
            told.len() + later.len(),
            if is_covered { 1 } else { 2 },
            "{told:#?} {later:#?}"
        );
        assert!(world.stored().await.iter().all(Outgoing::is_delivered));
    }
}

#[tokio::test]
async fn i16_a_milder_alert_does_not_pass_a_sev_1_that_waits() {
    let world = World::new().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    refuses(&world.slack, "SEV-1");
    put(&process, &knowledge, &[alert(Sev::Sev1, "payments")], at(0)).await;
    process.work_off(at(0)).await;
    world.slack.asked();
    put(&process, &knowledge, &[alert(Sev::Sev2, "payments")], at(1)).await;
    process.work_off(at(1)).await;
    assert!(world.told().is_empty(), "the page is not replaced by something milder");
    world.slack.always(Reply::Fine);
    process.work_off(at(40)).await;
    let told = shown(&world.slack);
    assert!(told.len() == 2 && told[0].contains("SEV-1"), "{told:#?}");
}

/// One channel for all, as with a webhook: what failed there is due at once when another message gets through, once.
#[tokio::test]
async fn i16_a_success_on_a_lane_frees_what_waits_there() {
    let world = World::new().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    world.slack.always(Reply::Status(500, "away"));
    put(&process, &knowledge, &[alert(Sev::Sev2, "payments")], at(0)).await;
    process.work_off(at(0)).await;
    process.work_off(at(31)).await;
    assert_eq!(world.slack.asked().len(), 2, "due again a minute later");
    world.slack.always(Reply::Fine);
    put(&process, &knowledge, &[alert_at(Sev::Sev2, "search", 32, 2)], at(32)).await;
    process.work_off(at(32)).await;
    let told = shown(&world.slack);
    assert_eq!(told.len(), 2, "{told:#?}");
    // The twin: what fails all the same keeps its own time, however often others get through.
    let world = World::new().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    refuses(&world.slack, "payments");
    put(&process, &knowledge, &[alert(Sev::Sev2, "payments")], at(0)).await;
    process.work_off(at(0)).await;
    for number in 1..=5 {
        let other = alert_at(Sev::Sev2, "search", number, 10);
        put(&process, &knowledge, &[other], at(number)).await;
        process.work_off(at(number)).await;
    }
    let told = shown(&world.slack);
    let tried = told.iter().filter(|text| text.contains("payments")).count();
    assert!((2..=3).contains(&tried), "{tried} of {}", told.len());
}

/// A SEV-2 that fails for the fourth time does not take a SEV-1 on the same lane along into its longer pause.
#[tokio::test]
async fn i16_a_milder_failure_does_not_postpone_a_sev_1_on_the_same_lane() {
    let world = World::webhook().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    world.slack.always(Reply::Status(500, "away"));
    put(&process, &knowledge, &[alert_at(Sev::Sev2, "search", 0, 2)], at(0)).await;
    for second in [0, 31, 92] {
        process.work_off(at(second)).await;
    }
    world.slack.asked();
    let is_mild = |asked: &Asked| asked.shown().contains("SEV-2");
    world.slack.answers(
        move |asked| {
            if is_mild(asked) { Reply::Never } else { Reply::Status(500, "away") }
        },
    );
    // While it hangs the SEV-1 comes, and fails before it does.
    let comes = async {
        while world.slack.count() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        put(&process, &knowledge, &[alert_at(Sev::Sev1, "payments", 213, 1)], at(213)).await;
    };
    tokio::join!(process.work_off(at(213)), comes);
    let [mild, worst] = &world.stored().await[..] else { panic!("two messages") };
    assert!(mild.next_at > Some(at(600)) && worst.attempts == 1, "{mild:?} {worst:?}");
    world.slack.asked();
    world.slack.always(Reply::Fine);
    process.work_off(at(244)).await;
    let told = shown(&world.slack);
    assert!(!told.is_empty() && told[0].contains("SEV-1"), "30 s after its own failure: {told:?}");
}

/// Safety review 5.
#[tokio::test]
async fn i16_a_sev_1_of_hours_ago_goes_out_as_what_it_is_although_the_store_is_down() {
    let world = World::new().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    put(&process, &knowledge, &[alert(Sev::Sev1, "payments")], at(0)).await;
    put(&process, &knowledge, &[alert_at(Sev::Sev2, "search", 0, 2)], at(0)).await;
    world.fill_disk(true);
    let hours = 3 * 3_600;
    process.work_off(at(hours)).await;
    let told = shown(&world.slack);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("SEV-1: payments is down") && told[0].contains("Sent late"));
    // Its successor waits for nothing.
    put(&process, &knowledge, &[alert_at(Sev::Sev1, "payments", hours, 1)], at(hours)).await;
    process.work_off(at(hours + 1)).await;
    assert_eq!(world.told().len(), 1);
    // The twin: the SEV-2 of then is told in a summary once the store takes its claim.
    world.fill_disk(false);
    process.work_off(at(hours + 10)).await;
    let told = shown(&world.slack);
    assert!(told.len() == 1 && told[0].contains("could not be sent in time"), "{told:#?}");
}

/// Safety review 10: an update that an alert covers is news that nobody else brings.
#[tokio::test]
async fn i16_an_alert_carries_the_news_of_the_updates_that_it_covers() {
    let world = World::new().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    let update = |second, news| {
        let form = Form::Update(Some(thread("C0CRITICAL-ALERTS", "1.2")));
        with_news(with_form(alert_at(Sev::Sev2, "payments", second, 1), form), news)
    };
    world.slack.always(Reply::Status(500, "away"));
    let updates = [update(0, "scale_up was applied"), update(1, "scale_up did not help")];
    put(&process, &knowledge, &updates, at(1)).await;
    process.work_off(at(1)).await;
    world.slack.asked();
    world.slack.always(Reply::Fine);
    put(&process, &knowledge, &[alert_at(Sev::Sev1, "payments", 2, 1)], at(2)).await;
    process.work_off(at(2)).await;
    let told = shown(&world.slack);
    assert_eq!(told.len(), 1, "{told:#?}");
    let place = |text: &str| told[0].find(text).unwrap_or_else(|| panic!("{text}: {told:#?}"));
    assert!(place("scale_up was applied") < place("scale_up did not help"));
    assert!(place("scale_up did not help") < place("0 of 2 pods ready"));
    process.work_off(at(3_000)).await;
    assert!(world.told().is_empty(), "and is not told twice");
}

/// What is resolved, goes on elsewhere, or is unknown is said to be what it is.
#[tokio::test]
async fn i16_a_merged_incident_goes_on_and_an_unknown_one_is_not_resolved() {
    let id = |number: u32| format!("INC-20261122_025012-{number:03}");
    let world = World::new().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    let all = [(1, "resolved"), (2, "merged"), (3, "unknown"), (4, "open")];
    put(&process, &knowledge, &[about(Sev::Sev1, &all)], at(0)).await;
    let known = [(id(1), None), (id(2), Some(id(9))), (id(4), Some(id(4)))];
    let know = || Known { incidents: known.clone().into(), ..Known::default() };
    process.outbox().know(know());
    process.work_off(at(0)).await;
    let told = shown(&world.slack).remove(0);
    assert_eq!(told.matches("Resolved by now.").count(), 1, "{told}");
    assert!(told.contains("It goes on as INC-20261122_025012-009."), "{told}");
    // In a summary each says how it stands.
    let old = about(Sev::Sev2, &all);
    put(&process, &knowledge, &[old], at(4_000)).await;
    process.work_off(at(4_000)).await;
    let told = shown(&world.slack).remove(0);
    for state in ["Resolved by now.", "It goes on as", "does not know", "Still open."] {
        assert_eq!(told.matches(state).count(), 1, "{state}: {told}");
    }
    // One that nobody knows is no reason to send its alert in a summary.
    world.slack.always(Reply::Status(500, "away"));
    put(&process, &knowledge, &[about(Sev::Sev2, &[(3, "unknown")])], at(0)).await;
    process.work_off(at(0)).await;
    world.slack.asked();
    world.slack.always(Reply::Fine);
    process.work_off(at(40)).await;
    assert!(shown(&world.slack)[0].contains("SEV-2: unknown is down"));
}

/// Issue 16, missing list 24: 500 incidents, a Slack that takes one message a second and channel, as its guide has it.
#[tokio::test]
async fn i16_a_storm_of_500_incidents_loses_nothing_and_goes_out_by_severity() {
    let world = World::new().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    let severity = |number: u32| match number % 50 {
        0 => Sev::Sev1,
        n if n < 10 => Sev::Sev2,
        _ => Sev::Sev3,
    };
    // What five cycles bring, an alert for each severity.
    let mut messages = Vec::new();
    for cycle in 0..5_u32 {
        for level in [Sev::Sev3, Sev::Sev2, Sev::Sev1] {
            let numbers = (cycle * 100..(cycle + 1) * 100).filter(|n| severity(*n) == level);
            let names: Vec<(u32, String)> =
                numbers.map(|n| (n + 1, format!("service-{n}"))).collect();
            let names: Vec<(u32, &str)> = names.iter().map(|(n, name)| (*n, &**name)).collect();
            let title = format!("{level}: {} incidents in cycle {cycle}", names.len());
            messages.push(Message { title, ..about(level, &names) });
        }
    }
    let taken: Arc<Mutex<Vec<(Instant, Asked)>>> = Arc::default();
    let at_slack = taken.clone();
    world.slack.answers(move |asked| {
        let mut taken = at_slack.lock().expect("no panic");
        let now = Instant::now();
        let is_full = taken.iter().any(|(at, other)| {
            other.channel() == asked.channel() && now - *at < Duration::from_secs(1)
        });
        if is_full {
            return Reply::Wait(1);
        }
        taken.push((now, asked.clone()));
        Reply::Fine
    });
    put(&process, &knowledge, &messages, at(0)).await;
    for second in 0.. {
        process.work_off(at(second)).await;
        if process.outbox().waiting() == 0 {
            println!("a storm of 500 incidents in {} messages: {second} s", messages.len());
            break;
        }
        assert!(second < 600, "{} wait", process.outbox().waiting());
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::time::resume();
    }
    assert!(world.stored().await.iter().all(Outgoing::is_delivered), "nothing is lost");
    let taken = taken.lock().expect("no panic");
    let taken: Vec<&Asked> = taken.iter().map(|(_, asked)| asked).collect();
    assert_eq!(taken.len(), messages.len(), "each once");
    for asked in &taken {
        // As many incidents as can be shown, and how many more there are.
        let shown = asked.shown();
        let count = shown.matches("INC-").count();
        println!("{} of {count} shown", shown.lines().next().unwrap_or_default());
        let is_whole = shown.lines().next().is_some_and(|title| {
            title.split(' ').nth(1).and_then(|all| all.parse().ok()) == Some(count)
        });
        assert!(is_whole || shown.contains("more: `mape-k status`"), "{shown}");
    }
    for channel in ["#critical-alerts", "#infrastructure-alerts"] {
        let own = taken.iter().filter(|asked| asked.channel() == channel);
        let titles: Vec<String> = own.map(|asked| asked.shown()).collect();
        let levels: Vec<&str> = titles.iter().filter_map(|title| title.get(..5)).collect();
        println!("{channel}: {levels:?}");
        assert!(levels.is_sorted(), "the worst go first: {levels:?}");
    }
}

fn id(number: u32) -> String {
    format!("INC-20261122_025012-{number:03}")
}

fn open(numbers: &[u32]) -> Known {
    let incidents = numbers.iter().map(|number| (id(*number), Some(id(*number))));
    Known { incidents: incidents.collect(), ..Known::default() }
}

/// A new SEV-1 does not wait for one that failed and shares an incident with it; that one follows without what was told.
#[tokio::test]
async fn i16_a_sev_1_does_not_wait_for_a_failed_sev_1_that_shares_an_incident_with_it() {
    let world = World::new().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    let first = about(Sev::Sev1, &[(1, "payments"), (2, "search")]);
    world.slack.always(Reply::Status(500, "away"));
    put(&process, &knowledge, &[with_news(first, "scale_up was applied")], at(0)).await;
    for second in [0, 31, 92, 213] {
        process.work_off(at(second)).await;
    }
    assert!(world.stored().await[0].next_at > Some(at(400)), "it is in back-off");
    world.slack.asked();
    world.slack.always(Reply::Fine);
    let second = Message { at: at(220), ..about(Sev::Sev1, &[(1, "payments"), (3, "login")]) };
    put(&process, &knowledge, &[second], at(220)).await;
    process.work_off(at(220)).await;
    let told = shown(&world.slack);
    assert_eq!(told.len(), 2, "the lane is open again: {told:#?}");
    assert!(told[0].contains("login") && told[0].contains("scale_up was applied"), "{told:#?}");
    assert!(told[1].contains("SEV-1: search") && !told[1].contains("payments"), "{told:#?}");
    assert!(world.stored().await.iter().all(Outgoing::is_delivered));
}

/// What a later and worse alert has told is not told again as something milder, whether it had failed or was under way.
#[tokio::test]
async fn i16_what_a_worse_alert_overtook_is_not_told_after_it() {
    for reply in [Reply::Status(500, "away"), Reply::Never] {
        let world = World::new().await;
        let (knowledge, process) = (world.knowledge(), world.process().await);
        let is_mild = |asked: &Asked| asked.shown().contains("SEV-2");
        let with = reply.clone();
        world.slack.answers(move |asked| if is_mild(asked) { with.clone() } else { Reply::Fine });
        let milder = about(Sev::Sev2, &[(1, "payments"), (2, "search")]);
        put(&process, &knowledge, &[milder, alert_at(Sev::Sev2, "login", 0, 3)], at(0)).await;
        let comes = async {
            while world.slack.count() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let worse = [alert_at(Sev::Sev1, "payments", 1, 1), alert_at(Sev::Sev1, "login", 1, 3)];
            put(&process, &knowledge, &worse, at(1)).await;
        };
        tokio::join!(process.work_off(at(1)), comes);
        process.work_off(at(1)).await;
        world.slack.asked();
        world.slack.always(Reply::Fine);
        process.work_off(at(1_200)).await;
        let told = shown(&world.slack);
        assert!(told.len() <= 1, "{told:#?}");
        assert!(!told.iter().any(|text| text.contains("payments") || text.contains("login")));
        assert!(world.stored().await.iter().all(Outgoing::is_delivered), "nothing is lost");
        let all = world.stored().await;
        let rest: Vec<&str> = all[0].incidents().collect();
        assert_eq!(rest, [id(2)], "what it did not overtake was told");
    }
}

/// The end of an incident that is being sent does not land after the alert that it is back.
#[tokio::test]
async fn i16_an_alert_waits_for_an_end_that_is_being_sent() {
    let world = World::new().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    world.slack.answers(|asked| {
        if asked.shown().contains("Resolved") { Reply::Never } else { Reply::Fine }
    });
    let ended = with_form(alert_at(Sev::Sev2, "payments", 0, 1), Form::Ended(None));
    let ended = Message { title: "Resolved: payments is down".to_owned(), ..ended };
    put(&process, &knowledge, &[ended], at(0)).await;
    let comes = async {
        while world.slack.count() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        put(&process, &knowledge, &[alert_at(Sev::Sev1, "payments", 1, 1)], at(1)).await;
        process.outbox().know(open(&[1]));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let told = shown(&world.slack);
        assert!(!told.iter().any(|text| text.contains("SEV-1")), "beside its end: {told:#?}");
    };
    tokio::join!(process.work_off(at(1)), comes);
    let told = shown(&world.slack);
    assert!(told.len() == 1 && told[0].contains("SEV-1"), "{told:#?}");
    assert!(told[0].contains("It was resolved at"), "it takes the end along: {told:#?}");
    process.work_off(at(1_200)).await;
    assert!(world.told().is_empty(), "and the end is not told afterwards");
}

/// What is open again is not called resolved.
#[tokio::test]
async fn i16_the_end_of_what_is_open_again_is_not_sent() {
    let world = World::new().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    let both = with_form(about(Sev::Sev2, &[(1, "payments"), (2, "search")]), Form::Ended(None));
    let both = Message { title: "Resolved: payments is down, search is down".to_owned(), ..both };
    process.outbox().know(open(&[1, 3]));
    let back = with_form(alert_at(Sev::Sev2, "login", 0, 3), Form::Ended(None));
    put(&process, &knowledge, &[both, back], at(0)).await;
    process.work_off(at(0)).await;
    let told = shown(&world.slack);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("Resolved: search") && !told[0].contains("payments"), "{told:#?}");
    assert_eq!(process.outbox().waiting(), 0);
}

/// With a store in memory the files are what the next start sends: the one of a covered message is done with.
#[tokio::test]
async fn i16_the_files_of_what_an_alert_covers_do_not_wait() {
    let world = World::new().await;
    let (knowledge, process) = (world.knowledge(), world.process().await);
    world.slack.always(Reply::Status(500, "away"));
    put(&process, &knowledge, &[alert(Sev::Sev2, "payments")], at(0)).await;
    process.work_off(at(0)).await;
    let waiting = || {
        let done = [".sent.json", ".dropped.json"];
        let files = super::files(world.folder.path()).into_iter();
        files.filter(|file| !done.iter().any(|done| file.ends_with(done))).count()
    };
    assert_eq!(waiting(), 1);
    world.slack.always(Reply::Fine);
    put(&process, &knowledge, &[alert_at(Sev::Sev1, "payments", 1, 1)], at(1)).await;
    process.work_off(at(1)).await;
    assert_eq!(waiting(), 0, "{:?}", super::files(world.folder.path()));
}
