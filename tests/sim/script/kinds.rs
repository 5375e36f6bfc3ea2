//! The kinds of events there are, by name: for the account of what was reached.

use super::{
    Act, AlertmanagerTrouble, Change, CharterTrouble, DaemonTrouble, MetricsTrouble, StoreTrouble,
    WebhookTrouble, What,
};

impl What {
    /// Its kind, for the account of what was reached.
    pub fn kind(&self) -> String {
        let value = serde_json::to_value(self).expect("an event");
        let part = |name: &str| value[name].as_str().map(|text| format!(" {text}"));
        let kind = [part("fault"), part("trouble"), part("act"), part("change")];
        let inner = value["trouble"]["kind"].as_str().map(|text| format!(" {text}"));
        let kind: String = kind.into_iter().flatten().chain(inner).collect();
        format!("event {}{kind}", value["do"].as_str().unwrap_or_default())
    }
}

/// Every kind of trouble there is.
pub fn kinds() -> Vec<String> {
    let seconds = 0.0;
    let daemon = [
        DaemonTrouble::Crash,
        DaemonTrouble::CrashAtCall { calls: 0, after: false },
        DaemonTrouble::Restart,
        DaemonTrouble::Freeze { seconds },
        DaemonTrouble::CutOff { seconds },
        DaemonTrouble::ClockJump { seconds },
    ];
    let of = |trouble| What::Daemon { replica: 0, trouble };
    let mut all: Vec<What> = daemon.into_iter().map(of).collect();
    all.extend(MetricsTrouble::ALL.map(|trouble| What::Metrics { trouble, seconds }));
    all.extend(WebhookTrouble::ALL.map(|trouble| What::Webhook { trouble, seconds }));
    all.extend(AlertmanagerTrouble::ALL.map(|trouble| What::Alertmanager { trouble, seconds }));
    all.extend(CharterTrouble::ALL.map(|trouble| What::Charter { trouble, seconds }));
    all.extend(StoreTrouble::ALL.map(|trouble| What::Store { trouble, seconds }));
    all.extend(Act::ALL.map(|act| What::Person { act }));
    all.extend(Change::ALL.map(|change| What::Foreign { change }));
    all.push(What::Mend);
    all.iter().map(What::kind).collect()
}
