//! Payloads of several alerts, which of them were acknowledged, and what a store must hold of them.

use std::collections::BTreeMap;
use std::path::Path;

use mape_k::knowledge::{Knowledge, Settings};
use serde_json::{Value, json};

/// Alerts in every so many payloads, as a storm brings them; the others are small.
const LARGE: usize = 100;
const LARGE_EVERY: usize = 5;

/// Every so many payloads are critical and wake the loop, so that cycles write beside the intake.
const CRITICAL_EVERY: usize = 3;

#[derive(Default)]
pub struct Ledger {
    sent: Vec<Sent>,
}

struct Sent {
    alerts: usize,
    acknowledged: bool,
}

impl Ledger {
    /// One more payload, of alerts that nobody has sent before, and its number.
    pub fn payload(&mut self) -> (usize, Vec<u8>) {
        let number = self.sent.len();
        let count = if number.is_multiple_of(LARGE_EVERY) { LARGE } else { 1 + number % 9 };
        self.sent.push(Sent { alerts: count, acknowledged: false });
        let severity = if number.is_multiple_of(CRITICAL_EVERY) { "critical" } else { "warning" };
        let alert = |place: usize| {
            let labels = json!({
                "alertname": "Kept", "severity": severity,
                "payload": number.to_string(), "place": place.to_string(),
            });
            json!({ "status": "firing", "labels": labels, "startsAt": "2026-01-01T00:00:00Z" })
        };
        let alerts: Vec<Value> = (0..count).map(alert).collect();
        let payload = json!({ "version": "4", "receiver": "mape-k", "alerts": alerts });
        (number, payload.to_string().into_bytes())
    }

    /// It was answered with 200.
    pub fn acknowledged(&mut self, number: usize) {
        self.sent[number].acknowledged = true;
    }

    /// The same of a store that nobody has open.
    pub async fn check_file(&self, store: &Path) {
        let settings = Settings { sqlite_path: store.to_owned(), ..Settings::default() };
        let knowledge = Knowledge::open(&settings).await.expect("the store opens");
        self.check(&knowledge).await;
        knowledge.close().await;
    }

    /// The store holds every acknowledged payload, and of the others each whole or not at all.
    pub async fn check(&self, knowledge: &Knowledge) {
        let mut found: BTreeMap<usize, usize> = BTreeMap::new();
        for alert in knowledge.inbox().await.expect("the inbox") {
            let number = alert.labels["payload"].parse().expect("a number of ours");
            *found.entry(number).or_default() += 1;
        }
        let (mut lost, mut half, mut more) = (Vec::new(), Vec::new(), 0);
        for (number, sent) in self.sent.iter().enumerate() {
            match found.get(&number) {
                Some(found) if *found == sent.alerts => more += usize::from(!sent.acknowledged),
                Some(found) => half.push((number, *found, sent.alerts)),
                None if sent.acknowledged => lost.push(number),
                None => {}
            }
        }
        let acknowledged = self.sent.iter().filter(|sent| sent.acknowledged).count();
        println!(
            "{acknowledged} of {} payloads were acknowledged; {more} more are stored",
            self.sent.len()
        );
        assert!(acknowledged > 0, "nothing was acknowledged");
        assert_eq!(lost, Vec::<usize>::new(), "payloads that were acknowledged and are not there");
        assert_eq!(half, vec![], "payloads stored in part: (payload, stored, sent)");
    }
}
