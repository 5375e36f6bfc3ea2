//! docs/scorecard.svg: the scores by class, and the regret by quarter.

use std::fmt::Write as _;

use super::controller::Controller;
use super::long::Long;
use super::table::Card;
use super::tally::u_net;

/// Worse than this is drawn at the edge, with its number.
const WORST: f64 = -1.0;

const LEFT: f64 = 170.0;
const WIDTH: f64 = 600.0;
const ROW: f64 = 44.0;
const PANEL: f64 = 200.0;

fn colour(controller: Controller) -> &'static str {
    match controller {
        Controller::Noop => "#888888",
        Controller::ThresholdRestart => "#d55e00",
        Controller::ThresholdMapped => "#e69f00",
        Controller::Runbook => "#0072b2",
        Controller::Loop { learning: false, free: false } => "#66c2a5",
        Controller::Loop { learning: true, free: false } => "#007a55",
        Controller::Loop { learning: false, free: true } => "#dda0dd",
        Controller::Loop { learning: true, free: true } => "#882288",
        Controller::Oracle => "#000000",
    }
}

fn label(svg: &mut String, x: f64, y: f64, anchor: &str, fill: &str, text: &str) {
    writeln!(
        svg,
        r#"<text x="{x:.0}" y="{y:.0}" text-anchor="{anchor}" fill="{fill}">{text}</text>"#
    )
    .expect("a String takes all");
}

fn stroke(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
    writeln!(
        svg,
        r#"<line x1="{:.0}" y1="{:.0}" x2="{:.0}" y2="{:.0}" stroke="{colour}" stroke-width="{width}"/>"#,
        from.0, from.1, to.0, to.1
    )
    .expect("a String takes all");
}

fn dot(svg: &mut String, x: f64, y: f64, colour: &str) {
    writeln!(svg, r#"<circle cx="{x:.0}" cy="{y:.0}" r="5" fill="{colour}"/>"#)
        .expect("a String takes all");
}

pub fn svg(cards: &[Card], long: &[Long]) -> String {
    let scored: Vec<&Card> =
        cards.iter().filter(|card| u_net(&card.trios(Controller::Oracle)).is_some()).collect();
    let scores_end = 70.0 + scored.len() as f64 * ROW;
    let height = scores_end + 110.0 + PANEL;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"{height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    scores(&mut svg, &scored, scores_end);
    let panel = (900.0 - 60.0) / long.len() as f64;
    for (place, run) in long.iter().enumerate() {
        regret(&mut svg, run, 50.0 + place as f64 * panel, panel - 40.0, scores_end + 60.0);
    }
    svg.push_str("</svg>\n");
    svg
}

fn scores(svg: &mut String, cards: &[&Card], end: f64) {
    let x = |score: f64| LEFT + (score.clamp(WORST, 1.0) - WORST) / (1.0 - WORST) * WIDTH;
    label(
        svg,
        LEFT,
        18.0,
        "start",
        "black",
        "U_net by fault class: 0 is doing nothing, 1 is the oracle",
    );
    let compared = Controller::COMPARED;
    for (place, controller) in compared.into_iter().enumerate() {
        let at = 10.0 + place as f64 * 125.0;
        dot(svg, at + 5.0, 36.0, colour(controller));
        label(svg, at + 14.0, 40.0, "start", "black", controller.name());
    }
    for tick in [-1.0, -0.5, 0.0, 0.5, 1.0] {
        stroke(svg, (x(tick), 55.0), (x(tick), end), "#cccccc", 1.0);
        label(svg, x(tick), end + 14.0, "middle", "black", &format!("{tick}"));
    }
    for (place, card) in cards.iter().enumerate() {
        let middle = 55.0 + (place as f64 + 0.5) * ROW;
        label(svg, LEFT - 50.0, middle + 4.0, "end", "black", card.fault.name());
        for (lane, controller) in compared.into_iter().enumerate() {
            let Some(score) = u_net(&card.trios(controller)) else { continue };
            let y = middle + (lane as f64 - 3.0) * 5.0;
            dot(svg, x(score), y, colour(controller));
            if score < WORST {
                let text = format!("{score:.1}");
                label(svg, x(score) - 8.0, y + 4.0, "end", colour(controller), &text);
            }
        }
    }
}

fn regret(svg: &mut String, run: &Long, left: f64, width: f64, top: f64) {
    let title = format!("{}: regret by quarter", run.fault.name());
    label(svg, left, top - 8.0, "start", "black", &title);
    let highest = run.regret.iter().flat_map(|(_, regret)| *regret).fold(1.0, f64::max);
    let x = |quarter: usize| left + (quarter as f64 + 0.5) / 4.0 * width;
    let y = |regret: f64| top + PANEL - 30.0 - regret.max(0.0) / highest * (PANEL - 40.0);
    for share in [0.0, 0.5, 1.0] {
        stroke(svg, (left, y(share * highest)), (left + width, y(share * highest)), "#cccccc", 1.0);
        label(
            svg,
            left - 4.0,
            y(share * highest) + 4.0,
            "end",
            "black",
            &format!("{:.0}", share * highest),
        );
    }
    for (controller, regret) in &run.regret {
        for (quarter, pair) in regret.windows(2).enumerate() {
            let (from, to) = ((x(quarter), y(pair[0])), (x(quarter + 1), y(pair[1])));
            stroke(svg, from, to, colour(*controller), 2.0);
        }
        for (quarter, number) in regret.iter().enumerate() {
            dot(svg, x(quarter), y(*number), colour(*controller));
        }
    }
    for (place, (controller, _)) in run.regret.iter().enumerate() {
        let (column, line) = (place % 2, place / 2);
        let at = (left + column as f64 * width / 2.0, top + PANEL - 8.0 + line as f64 * 15.0);
        dot(svg, at.0, at.1 - 4.0, colour(*controller));
        label(svg, at.0 + 8.0, at.1, "start", "black", controller.name());
    }
}
