//! The cases of the rules about telling people (the group mape_k_tells).

use super::{Case, EVERY_300_S, FOLLOWS, LEADS, ONE_CYCLE_OF_300_S};

pub const CASES: &[Case] = &[
    Case {
        alert: "MapeKNotificationFailing",
        fires: &[
            &[LEADS, ("mape_k_notifications_backed_up", "0x20 2x60")],
            // Nothing can be kept in a file; every cycle tries again.
            &[
                LEADS,
                ("mape_k_notifications_total{notifier=\"slack\",result=\"timeout\"}", EVERY_300_S),
            ],
        ],
        quiet: &[
            // The next cycle of 300 s delivers what waited.
            &[
                LEADS,
                ("mape_k_notifications_backed_up", ONE_CYCLE_OF_300_S),
                ("mape_k_notifications_total{notifier=\"slack\",result=\"timeout\"}", "0x20 1x99"),
                ("mape_k_notifications_total{notifier=\"slack\",result=\"delivered\"}", "0+1x119"),
            ],
            // Files that a replica had when it led.
            &[FOLLOWS, ("mape_k_notifications_backed_up", "2x120")],
            // Slack takes one message a second and channel.
            &[
                LEADS,
                (
                    "mape_k_notifications_total{notifier=\"slack\",result=\"rate_limited\"}",
                    "0+1x119",
                ),
                ("mape_k_notifications_backed_up", "0x119"),
            ],
        ],
    },
    Case {
        alert: "MapeKPeopleNotTold",
        fires: &[
            // R08: no notifier is configured.
            &[LEADS, ("mape_k_notifiers_configured", "0x120")],
            // Slack alone; it was well until then.
            &[
                LEADS,
                ("mape_k_notifications_backed_up", "0x20 2x99"),
                (
                    "mape_k_notifications_total{notifier=\"slack\",result=\"timeout\"}",
                    "0x20 1+1x99",
                ),
                (
                    "mape_k_notifications_total{notifier=\"slack\",result=\"delivered\"}",
                    "0+1x20 20x99",
                ),
                (
                    "mape_k_notifications_total{notifier=\"alertmanager\",result=\"delivered\"}",
                    "0x120",
                ),
            ],
            // Both, at 300 s, and nothing can be kept in a file.
            &[
                LEADS,
                ("mape_k_notifications_total{notifier=\"slack\",result=\"refused\"}", EVERY_300_S),
                (
                    "mape_k_notifications_total{notifier=\"alertmanager\",result=\"unreachable\"}",
                    EVERY_300_S,
                ),
            ],
        ],
        quiet: &[
            // One is configured and has nothing to say; a replica that follows has not heard how many there are.
            &[LEADS, ("mape_k_notifiers_configured", "1x120")],
            &[FOLLOWS, ("mape_k_notifiers_configured", "0x120")],
            // The other one delivers, at 300 s.
            &[
                LEADS,
                ("mape_k_notifications_backed_up", "0x20 2x99"),
                (
                    "mape_k_notifications_total{notifier=\"slack\",result=\"timeout\"}",
                    "0x20 1+1x99",
                ),
                (
                    "mape_k_notifications_total{notifier=\"alertmanager\",result=\"delivered\"}",
                    EVERY_300_S,
                ),
            ],
            // The other one has nothing to tell any more.
            &[
                LEADS,
                ("mape_k_notifications_backed_up", "0x20 2x99"),
                (
                    "mape_k_notifications_total{notifier=\"slack\",result=\"timeout\"}",
                    "0x20 1+1x99",
                ),
                (
                    "mape_k_notifications_total{notifier=\"alertmanager\",result=\"delivered\"}",
                    "7x120",
                ),
            ],
            // One that was turned off left files behind.
            &[LEADS, ("mape_k_notifications_backed_up", "2x120")],
            // The next cycle of 300 s delivers what waited.
            &[
                LEADS,
                ("mape_k_notifications_backed_up", ONE_CYCLE_OF_300_S),
                ("mape_k_notifications_total{notifier=\"slack\",result=\"timeout\"}", "0x20 1x99"),
                (
                    "mape_k_notifications_total{notifier=\"slack\",result=\"delivered\"}",
                    "3x40 4x78",
                ),
            ],
            &[
                FOLLOWS,
                ("mape_k_notifications_backed_up", "0x20 2x99"),
                (
                    "mape_k_notifications_total{notifier=\"slack\",result=\"timeout\"}",
                    "0x20 1+1x99",
                ),
            ],
        ],
    },
    Case {
        alert: "MapeKIncidentOpenTooLong",
        fires: &[
            &[("mape_k_incidents_open{severity=\"SEV-2\"}", "0x20 1x500")],
            // It got worse meanwhile.
            &[
                ("mape_k_incidents_open{severity=\"SEV-2\"}", "0x20 1x240 0x260"),
                ("mape_k_incidents_open{severity=\"SEV-1\"}", "0x261 1x259"),
            ],
            // Restarts: not scraped for a while, 0 until the first cycle, and another replica takes over.
            &[
                (
                    "mape_k_incidents_open{severity=\"SEV-1\"}",
                    "0x20 1x120 stale _x10 0x2 1x120 0x279",
                ),
                ("mape_k_incidents_open{severity=\"SEV-1\",instance=\"b\"}", "0x290 1x265"),
            ],
        ],
        quiet: &[
            &[("mape_k_incidents_open{severity=\"SEV-1\"}", "0x20 1x240 0x300")],
            // Ended; an hour later there is another.
            &[("mape_k_incidents_open{severity=\"SEV-1\"}", "0x20 1x300 0x240 1x300")],
            &[("mape_k_incidents_open{severity=\"SEV-3\"}", "1x560")],
        ],
    },
];
