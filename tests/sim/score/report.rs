//! The measured part of docs/SCORECARD.md, as Markdown.

use std::fmt::Write as _;
use std::time::Instant;

use mape_k::domain::outcome::OutcomeType;

use super::controller::Controller;
use super::course::IncidentHistory;
use super::lies::Lies;
use super::long::Long;
use super::measured::measure;
use super::table::Card;
use super::tally::{Figures, interval, median, u_net};

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

pub fn between_markers(page: &str, text: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("the page has its first marker");
    let (_, after) = rest.split_once(END).expect("the page has its second marker");
    format!("{before}{BEGIN}\n{text}{END}{after}")
}

pub fn classes(seeds: &[u64], cards: &[Card]) -> String {
    let mut text = String::new();
    let (first, last) = (seeds[0], seeds[seeds.len() - 1]);
    let episodes = cards.len() * seeds.len() * Controller::COMPARED.len();
    line(&mut text, &format!("\nSeeds {first} to {last}, {episodes} episodes."));
    overview(&mut text, cards);
    for card in cards {
        class(&mut text, card);
    }
    text
}

/// What the loop costs: two quiet days, one with it and one without, the difference is its own. Alone, so that nobody
/// shares a core with it.
pub fn cost(began: Instant) -> String {
    let measured = began.elapsed();
    let quiet = IncidentHistory::quiet(1, 24.0);
    let took = |controller| {
        let began = Instant::now();
        let record = measure(&quiet, controller);
        (began.elapsed(), record.cycles)
    };
    let (without, _) = took(Controller::Noop);
    let (with, cycles) = took(Controller::Loop { learning: true, free: false });
    let per_cycle = with.saturating_sub(without).as_secs_f64() * 1e3 / cycles as f64;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok());
    let mut text = String::new();
    line(&mut text, "\n### Cost\n");
    line(
        &mut text,
        &format!(
            "The loop: {per_cycle:.2} ms of CPU a cycle ({cycles} cycles of a quiet day, memory store). The scorecard: \
             {} s, peak RSS {:.0} MB, simulated world and all.\n",
            measured.as_secs(),
            peak.unwrap_or(f64::NAN) / 1024.0
        ),
    );
    text
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes all");
}

fn row(text: &mut String, cells: &[String]) {
    line(text, &format!("| {} |", cells.join(" | ")));
}

fn head(text: &mut String, names: &[&str]) {
    line(text, "");
    row(text, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    line(text, &format!("|{}", "---|".repeat(names.len())));
}

fn score(card: &Card, controller: Controller) -> String {
    u_net(&card.trios(controller)).map_or("–".to_owned(), |u| format!("{u:.2}"))
}

fn overview(text: &mut String, cards: &[Card]) {
    line(text, "\n### U_net by class\n");
    line(text, "0 is doing nothing, 1 the oracle; – where the oracle has nothing to gain.");
    let names = Controller::COMPARED.map(Controller::name);
    head(text, &[&["class"], names.as_slice()].concat());
    for card in cards {
        let scores = Controller::COMPARED.map(|controller| score(card, controller));
        row(text, &[&[card.fault.name().to_owned()], scores.as_slice()].concat());
    }
}

fn class(text: &mut String, card: &Card) {
    line(text, &format!("\n### {}", card.fault.name()));
    head(
        text,
        &[
            "controller",
            "U_net (5–95 %)",
            "B",
            "A",
            "actions",
            "precision",
            "harmful /100",
            "noise /100",
            "detect s",
            "mitigate s",
            "resolved",
            "attributed",
            "pages",
        ],
    );
    for (controller, figures) in &card.rows {
        let n = figures.len() as f64;
        let sum = |of: fn(&Figures) -> usize| figures.iter().map(of).sum::<usize>();
        let mean = |of: fn(&Figures) -> f64| figures.iter().map(of).sum::<f64>() / n;
        let each = |of: fn(&Figures) -> Option<f64>| {
            let known: Vec<f64> = figures.iter().filter_map(of).collect();
            let share = known.len();
            let most = median(known).map_or("–".to_owned(), |median| format!("{median:.0}"));
            if share == figures.len() || share == 0 {
                most
            } else {
                format!("{most} ({share}/{n})")
            }
        };
        let (actions, harmful) = (sum(|f| f.actions), sum(|f| f.harmful));
        let noise = sum(|f| f.noise);
        let percent = |part: usize, of: usize| match of {
            0 => "–".to_owned(),
            _ => format!("{:.0} %", part as f64 * 100.0 / of as f64),
        };
        let between = interval(&card.trios(*controller))
            .map_or(String::new(), |(low, high)| format!(" ({low:.2}…{high:.2})"));
        let asked = figures.iter().filter(|f| f.attributed.is_some()).count();
        let blind = matches!(controller, Controller::Noop | Controller::Oracle);
        let right = percent(sum(|f| usize::from(f.attributed == Some(true))), asked);
        let attributed = if blind { "–".to_owned() } else { right };
        row(
            text,
            &[
                controller.name().to_owned(),
                format!("{}{between}", score(card, *controller)),
                format!("{:.1}", mean(|f| f.bad)),
                format!("{:.1}", mean(|f| f.price)),
                format!("{:.1}", actions as f64 / n),
                percent(actions - harmful - noise, actions),
                format!("{:.0}", harmful as f64 * 100.0 / n),
                format!("{:.0}", noise as f64 * 100.0 / n),
                if blind { "–".to_owned() } else { each(|f| f.detected) },
                each(|f| f.mitigated),
                percent(sum(|f| usize::from(f.resolved)), figures.len()),
                attributed,
                format!("{:.1}", sum(|f| f.pages) as f64 / n),
            ],
        );
    }
    let bad = card.of(Controller::Noop).iter().filter(|f| f.was_bad).count();
    line(text, &format!("\nBad at all without any action: {bad} of {}.", card.rows[0].1.len()));
}

pub fn quarters(long: &[Long]) -> String {
    let mut text = String::new();
    let out = &mut text;
    line(
        out,
        &format!("\n### Regret by quarter: the same fault {} times, 6 h apart\n", long[0].times),
    );
    line(out, "Bad-minutes and price above the oracle's, per incident.");
    head(out, &["class", "controller", "first", "second", "third", "fourth"]);
    for run in long {
        for (controller, regret) in &run.regret {
            let cells = regret.map(|number| format!("{number:.1}"));
            let names = [run.fault.name().to_owned(), controller.name().to_owned()];
            row(out, &[names.as_slice(), cells.as_slice()].concat());
        }
    }
    text
}

pub fn lied(lies: &[Lies]) -> String {
    let mut text = String::new();
    let out = &mut text;
    line(out, "\n### P(success | the action did nothing)\n");
    line(out, "Charter says yes to every change and makes none; what the loop then calls it.");
    let kinds = OutcomeType::ALL.map(OutcomeType::as_str);
    head(out, &[&["class", "the fault"], kinds.as_slice(), &["P(success)"]].concat());
    for (passing, called) in [(false, "stays"), (true, "passes in 4 to 10 min")] {
        let mut all = [0; 5];
        for lie in lies.iter().filter(|lie| lie.passing == passing) {
            for (sum, count) in all.iter_mut().zip(lie.verdicts) {
                *sum += count;
            }
            lied_row(out, lie.fault.name(), called, lie.verdicts);
        }
        lied_row(out, "all", called, all);
    }
    text
}

fn lied_row(text: &mut String, class: &str, called: &str, verdicts: [usize; 5]) {
    let judged: usize = verdicts[..4].iter().sum();
    let share = match judged {
        0 => "–".to_owned(),
        _ => format!("{:.2}", verdicts[0] as f64 / judged as f64),
    };
    let mut cells = vec![class.to_owned(), called.to_owned()];
    cells.extend(verdicts.map(|count| count.to_string()));
    cells.push(share);
    row(text, &cells);
}
