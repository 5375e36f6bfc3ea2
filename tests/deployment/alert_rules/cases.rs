//! For each shipped alert what makes it fire, and what comes close and must not. Every sample stands for 15 s, the shipped
//! scrape_interval. Leaves out how promtool is asked.

mod tells;

/// Series of one target, `name{labels}` and the samples in promtool's notation; `job` and `instance` are added.
type Series = &'static [(&'static str, &'static str)];

pub struct Case {
    pub alert: &'static str,
    pub fires: &'static [Series],
    pub quiet: &'static [Series],
}

/// A counter that each cycle of a loop of 300 s moves, for half an hour.
const EVERY_300_S: &str = "0x19 1x19 2x19 3x19 4x19 5x19";
const LEADS: (&str, &str) = ("mape_k_leader", "1x120");
const FOLLOWS: (&str, &str) = ("mape_k_leader", "0x120");

/// A gauge of one cycle in a loop of 300 s.
const ONE_CYCLE_OF_300_S: &str = "0x20 1x19 0x80";

/// Of every rule.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(tells::CASES)
}

const CASES: &[Case] = &[
    Case {
        alert: "MapeKDown",
        fires: &[
            // The only one; what it said last is stale with the scrape that fails.
            &[("up{job=\"mape-k\"}", "1x8 0x20"), ("mape_k_leader", "1x8 stale _x19")],
            &[("up{job=\"charter\"}", "1x28")],
            // The leader, and the other one does not take over.
            &[
                ("up{job=\"mape-k\"}", "1x8 0x20"),
                ("up{job=\"mape-k\",instance=\"b\"}", "1x28"),
                ("mape_k_leader", "1x8 stale _x19"),
                ("mape_k_leader{instance=\"b\"}", "0x28"),
            ],
        ],
        quiet: &[
            // A restart.
            &[("up{job=\"mape-k\"}", "1x8 0x6 1x40"), ("mape_k_leader", "1x8 stale _x5 1x40")],
            // The follower.
            &[
                ("up{job=\"mape-k\"}", "1x60"),
                ("up{job=\"mape-k\",instance=\"b\"}", "1x8 0x51"),
                ("mape_k_leader", "1x60"),
                ("mape_k_leader{instance=\"b\"}", "0x8 stale _x50"),
            ],
            // The leader, and the other one takes over.
            &[
                ("up{job=\"mape-k\"}", "1x8 0x51"),
                ("up{job=\"mape-k\",instance=\"b\"}", "1x60"),
                ("mape_k_leader", "1x8 stale _x50"),
                ("mape_k_leader{instance=\"b\"}", "0x10 1x49"),
            ],
        ],
    },
    Case {
        alert: "MapeKRestarting",
        fires: &[
            // Every four minutes.
            &[("process_start_time_seconds", "0x16 240x16 480x16 720x16 960x16 1200x16")],
            // It is up for a scrape or two each time.
            &[(
                "process_start_time_seconds",
                "1x40 900x1 stale _x10 1200x1 stale _x10 1500x1 stale _x10 1800x1 stale _x10",
            )],
        ],
        quiet: &[
            // An upgrade, its way back, and a third try.
            &[("process_start_time_seconds", "0x20 300x20 600x20 900x100")],
            // Once an hour: somebody's cron.
            &[("process_start_time_seconds", "0x239 3600x239 7200x239 10800x239 14400x239")],
            // A neighbour.
            &[("process_start_time_seconds{job=\"node\"}", "0x8 1x8 2x8 3x8 4x8 5x8")],
        ],
    },
    Case {
        alert: "MAFEKLoopFailure",
        fires: &[
            &[
                LEADS,
                ("mape_k_loop_duration_seconds_count", "5x80"),
                ("mape_k_cycles_failed_in_a_row", "0x80"),
            ],
            &[
                LEADS,
                ("mape_k_loop_duration_seconds_count", EVERY_300_S),
                ("mape_k_cycles_failed_in_a_row", "0x19 1x19 2x19 3x19 4x19"),
            ],
        ],
        quiet: &[
            // A replica that follows runs no cycle.
            &[
                FOLLOWS,
                ("mape_k_loop_duration_seconds_count", "5x120"),
                ("mape_k_cycles_failed_in_a_row", "0x120"),
            ],
            &[
                LEADS,
                ("mape_k_loop_duration_seconds_count", EVERY_300_S),
                ("mape_k_cycles_failed_in_a_row", ONE_CYCLE_OF_300_S),
            ],
            // Two bad cycles at 30 s, after a start with one cycle behind it.
            &[
                LEADS,
                ("mape_k_loop_duration_seconds_count", "1x19 2x2 3x2 4x2 5x2 6x2 7x2 8x2"),
                ("mape_k_cycles_failed_in_a_row", "0x19 1x2 2x2 0x20"),
            ],
        ],
    },
    Case {
        alert: "MapeKNoLeader",
        fires: &[&[
            ("mape_k_leader{instance=\"a\"}", "1x4 0x40"),
            ("mape_k_leader{instance=\"b\"}", "0x44"),
        ]],
        // Handed over within three scrapes.
        quiet: &[&[
            ("mape_k_leader{instance=\"a\"}", "1x20 0x60"),
            ("mape_k_leader{instance=\"b\"}", "0x23 1x57"),
        ]],
    },
    Case {
        alert: "MapeKJournalFailing",
        fires: &[
            &[("mape_k_store_errors_total{operation=\"write\"}", EVERY_300_S)],
            &[("mape_k_store_errors_total{operation=\"read\"}", "0x20 1+1x60")],
        ],
        quiet: &[&[("mape_k_store_errors_total{operation=\"write\"}", "0x20 1x1 3x1 4x80")]],
    },
    Case {
        alert: "MapeKCatalogueReloadFailed",
        fires: &[&[LEADS, ("mape_k_catalogue_last_reload_successful", "1x10 0x60")]],
        quiet: &[
            // Half a file was read; the next cycle found it whole.
            &[LEADS, ("mape_k_catalogue_last_reload_successful", "1x20 0x19 1x60")],
            &[FOLLOWS, ("mape_k_catalogue_last_reload_successful", "0x100")],
        ],
    },
    Case {
        alert: "MapeKConfigReloadFailed",
        fires: &[
            &[("mape_k_config_last_reload_successful", "1x10 0x60")],
            // One that follows goes by its own file.
            &[FOLLOWS, ("mape_k_config_last_reload_successful", "1x10 0x60")],
        ],
        // Refused, corrected and reloaded.
        quiet: &[&[("mape_k_config_last_reload_successful", "1x20 0x19 1x60")]],
    },
    Case {
        alert: "PrometheusScrapeFailure",
        fires: &[
            &[("up{job=\"alertmanager\"}", "1x20 0x40")],
            // One scrape in six fails, again and again.
            &[(
                "up{job=\"charter\"}",
                "1x4 0x0 1x4 0x0 1x4 0x0 1x4 0x0 1x4 0x0 1x4 0x0 1x4 0x0 1x4 0x0",
            )],
        ],
        quiet: &[
            &[("up{job=\"mape-k\"}", "1x20 0x6 1x60")],
            // The stack starts; Prometheus is first.
            &[("up{job=\"charter\"}", "0x6 1x60")],
            // A target of somebody else's in the same Prometheus.
            &[("up{job=\"node\"}", "0x60")],
        ],
    },
    Case {
        alert: "MapeKSourceStale",
        fires: &[
            // Never read.
            &[
                LEADS,
                ("mape_k_source_last_success_timestamp_seconds{source=\"kubernetes\"}", "0x120"),
                ("mape_k_source_errors_total{source=\"kubernetes\",kind=\"server\"}", EVERY_300_S),
            ],
            &[
                LEADS,
                (
                    "mape_k_source_last_success_timestamp_seconds{source=\"alertmanager\"}",
                    "300x119",
                ),
                (
                    "mape_k_source_errors_total{source=\"alertmanager\",kind=\"timeout\"}",
                    "0x20 1+1x99",
                ),
            ],
        ],
        quiet: &[
            // Not configured.
            &[
                LEADS,
                ("mape_k_source_last_success_timestamp_seconds{source=\"scrape\"}", "0x120"),
                ("mape_k_source_errors_total{source=\"scrape\",kind=\"timeout\"}", "0x120"),
            ],
            // One reading of a loop of 300 s fails.
            &[
                LEADS,
                (
                    "mape_k_source_last_success_timestamp_seconds{source=\"prometheus\"}",
                    "0x40 600x19 900x19 1200x19 1500x19",
                ),
                ("mape_k_source_errors_total{source=\"prometheus\",kind=\"timeout\"}", "0x20 1x99"),
            ],
            // The first reading after a start fails, at 300 s: nothing was ever read until the second.
            &[
                LEADS,
                (
                    "mape_k_source_last_success_timestamp_seconds{source=\"prometheus\"}",
                    "0x60 1215x19 1515x19 1815x19",
                ),
                ("mape_k_source_errors_total{source=\"prometheus\",kind=\"timeout\"}", "0x40 1x79"),
            ],
            // It led, could not read, and another one leads now.
            &[
                FOLLOWS,
                ("mape_k_source_last_success_timestamp_seconds{source=\"prometheus\"}", "0x120"),
                ("mape_k_source_errors_total{source=\"prometheus\",kind=\"timeout\"}", "0+1x119"),
            ],
        ],
    },
    Case {
        alert: "MapeKIntakeRejecting",
        // Alertmanager tries again every 5 minutes.
        fires: &[&[("mape_k_intake_rejections_total{reason=\"unauthorized\"}", EVERY_300_S)]],
        // Somebody's scanner.
        quiet: &[&[("mape_k_intake_rejections_total{reason=\"malformed\"}", "0x20 3x4 7x80")]],
    },
    Case {
        alert: "MapeKPolicyExecutionFailed",
        fires: &[
            &[("mape_k_escalations_open{reason=\"action_failed\"}", "0x20 1x20")],
            // The process that failed is gone; the next one finds the record.
            &[("mape_k_escalations_open{reason=\"action_failed\"}", "1x20")],
        ],
        quiet: &[
            // It went well with the next try.
            &[("mape_k_escalations_open{reason=\"action_failed\"}", "0x20 1x2 0x40")],
            // Failures of last week.
            &[
                ("mape_k_policy_executions_total{status=\"failed\"}", "3x80"),
                ("mape_k_escalations_open{reason=\"action_failed\"}", "0x80"),
            ],
        ],
    },
    Case {
        alert: "MapeKRemediationIneffective",
        fires: &[
            &[("mape_k_escalations_open{reason=\"ineffective\"}", "0x20 1x40")],
            &[("mape_k_escalations_open{reason=\"degradation\"}", "0x20 1x40")],
        ],
        // The next remedy helped.
        quiet: &[&[("mape_k_escalations_open{reason=\"ineffective\"}", "0x20 1x16 0x60")]],
    },
    Case {
        alert: "MapeKBudgetExhausted",
        fires: &[&[("mape_k_escalations_open{reason=\"budget\"}", "0x20 1x20")]],
        quiet: &[&[
            ("mape_k_escalations_open{reason=\"budget\"}", "0x20 1x1 0x40"),
            ("mape_k_escalations_open{reason=\"flapping\"}", "1x60"),
        ]],
    },
    Case {
        alert: "MapeKBreakerOpen",
        fires: &[&[("mape_k_escalations_open{reason=\"breaker\"}", "0x20 1x20")]],
        quiet: &[&[
            ("mape_k_escalations_open{reason=\"breaker\"}", "0x60"),
            ("mape_k_escalations_open{reason=\"storm\"}", "1x60"),
        ]],
    },
    Case {
        alert: "MapeKStorm",
        fires: &[&[("mape_k_escalations_open{reason=\"storm\"}", "0x20 1x20")]],
        quiet: &[&[
            ("mape_k_escalations_open{reason=\"storm\"}", "0x60"),
            ("mape_k_escalations_open{reason=\"breaker\"}", "1x60"),
        ]],
    },
    Case {
        alert: "MapeKApprovalPending",
        fires: &[&[("mape_k_escalations_open{reason=\"approval_needed\"}", "0x20 2x20")]],
        // Approved within a minute and a half.
        quiet: &[&[("mape_k_escalations_open{reason=\"approval_needed\"}", "0x20 1x6 0x40")]],
    },
    Case {
        alert: "MapeKApprovalOverdue",
        fires: &[&[("mape_k_escalations_open{reason=\"approval_needed\"}", "0x20 2x60")]],
        // Approved after nine minutes.
        quiet: &[&[("mape_k_escalations_open{reason=\"approval_needed\"}", "0x20 1x36 0x40")]],
    },
    Case {
        alert: "MapeKCannotHeal",
        fires: &[
            &[("mape_k_escalations_open{reason=\"remedies_exhausted\"}", "0x20 1x30")],
            &[("mape_k_escalations_open{reason=\"hands_tied\"}", "0x20 1x30")],
            &[("mape_k_escalations_open{reason=\"capacity_exhausted\"}", "0x20 1x30")],
            &[("mape_k_escalations_open{reason=\"outcome_unknown\"}", "1x30")],
        ],
        quiet: &[
            // A lost call is found at Charter by the next cycle of 300 s.
            &[("mape_k_escalations_open{reason=\"outcome_unknown\"}", ONE_CYCLE_OF_300_S)],
            &[("mape_k_escalations_open{reason=\"unknown_cause\"}", "1x60")],
        ],
    },
    Case {
        alert: "MapeKEscalated",
        fires: &[
            &[("mape_k_escalations_open{reason=\"unknown_cause\"}", "0x20 1x30")],
            // Three bad cycles and a good one, for ever: three readings in a row would end it.
            &[
                LEADS,
                ("mape_k_loop_duration_seconds_count", "0+0.5x80"),
                (
                    "mape_k_cycles_failed_in_a_row",
                    "0x1 1x1 2x1 3x1 0x1 1x1 2x1 3x1 0x1 1x1 2x1 3x1 0x1 1x1 2x1 3x1 0x1 1x1 2x1 3x1",
                ),
                ("mape_k_escalations_open{reason=\"blind\"}", "0x5 1x34"),
            ],
        ],
        quiet: &[
            // One cycle of 300 s.
            &[("mape_k_escalations_open{reason=\"unknown_cause\"}", ONE_CYCLE_OF_300_S)],
            // They have alerts of their own.
            &[("mape_k_escalations_open{reason=\"storm\"}", "1x60")],
            &[("mape_k_escalations_open{reason=\"hands_tied\"}", "1x60")],
        ],
    },
    Case {
        alert: "CharterValidationLatencyHigh",
        fires: &[&[(
            "westworld_charter_validation_latency_seconds{quantile=\"0.95\",validation_type=\"schema\"}",
            "0.2x4 1.4x20",
        )]],
        quiet: &[
            &[(
                "westworld_charter_validation_latency_seconds{quantile=\"0.95\",validation_type=\"schema\"}",
                "0.2x4 1.4x2 0.9x40",
            )],
            &[(
                "westworld_charter_validation_latency_seconds{quantile=\"0.99\",validation_type=\"schema\"}",
                "1.4x40",
            )],
        ],
    },
    Case {
        alert: "CharterFailureRateHigh",
        fires: &[&[("westworld_charter_failure_rate{component=\"auditor\"}", "0.02x4 0.2x20")]],
        quiet: &[&[("westworld_charter_failure_rate{component=\"auditor\"}", "0.2x3 0.1x40")]],
    },
    Case {
        alert: "CharterThroughputLow",
        fires: &[&[("westworld_charter_throughput_ops_per_sec{component=\"auditor\"}", "20x40")]],
        quiet: &[&[(
            "westworld_charter_throughput_ops_per_sec{component=\"auditor\"}",
            "20x19 100x40",
        )]],
    },
    Case {
        alert: "CharterCriticalPolicyViolations",
        fires: &[&[(
            "westworld_charter_policy_violations_total{policy_id=\"p\",severity=\"critical\"}",
            "0x10 1x10",
        )]],
        quiet: &[&[
            (
                "westworld_charter_policy_violations_total{policy_id=\"p\",severity=\"critical\"}",
                "7x40",
            ),
            (
                "westworld_charter_policy_violations_total{policy_id=\"p\",severity=\"minor\"}",
                "0+1x40",
            ),
        ]],
    },
    Case {
        alert: "CharterAPIDown",
        fires: &[&[("up{job=\"charter\"}", "1x8 0x8")], &[("up{job=\"mape-k\"}", "1x20")]],
        quiet: &[&[("up{job=\"charter\"}", "1x8 0x3 1x40")]],
    },
    Case {
        alert: "CharterEmergencyOverrideStaysActive",
        fires: &[&[("westworld_charter_emergency_override_active_count", "0x4 1x100")]],
        // One of the daemon's own, 15 minutes.
        quiet: &[&[("westworld_charter_emergency_override_active_count", "0x4 1x61 0x60")]],
    },
];
