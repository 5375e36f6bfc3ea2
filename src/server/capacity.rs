//! How many connections a listener may hold, by the limit of open files that is in force.
//!
//! Every connection is an open file. A daemon whose listeners take all of them can open neither its store nor a connection to
//! Charter, so the listeners have what is left of the limit beside all else.

use super::connection_limiter::MOST;

/// Files that everything but the listeners' connections and the watches of Kubernetes may have open at once:
///
/// | what | files |
/// |---|---|
/// | standard streams 3, event queue, timers and signals 7, log and its rotation 2, listeners 2, a connection that is accepted and not admitted 2 | 16 |
/// | SQLite: 3 connections with file and write-ahead log each, shared memory, lock, temporary files; PostgreSQL: 5 sessions | 16 |
/// | Prometheus: 16 queries in flight | 16 |
/// | Charter, Alertmanager's list, alerts to Alertmanager, GitHub: 4 each | 16 |
/// | Slack, a report, backups, catalogue, certificates | 16 |
/// | API server: lists, leader, 5 logs | 16 |
/// | names that are being resolved, 2 files each | 32 |
const RESERVE: u64 = 128;

/// So that each listener answers at all, however low the limit: one address may then hold 4 of them, 4 are this machine's.
const LEAST: u64 = 16;

/// Where the limit cannot be read: the soft one that most systems begin with.
const UNREAD: u64 = 1024;

/// What the limit of open files leaves for the listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Connections open at once on each listener.
    pub connections: usize,
    /// The limit that would do for all that a listener takes at most.
    enough_files: u64,
}

impl Capacity {
    /// Raises the soft limit to the hard one; what that leaves for so many listeners beside so many watches of Kubernetes.
    #[must_use]
    pub fn in_force(listeners: usize, watches: usize) -> Self {
        let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
            tracing::warn!(%error, assumed = UNREAD, "the limit of open files can be neither read nor raised");
            UNREAD
        });
        let capacity = Self::new(files, listeners as u64, watches as u64);
        let Self { connections, enough_files } = capacity;
        if files < enough_files {
            tracing::warn!(
                files,
                connections,
                enough_files,
                "the hard limit of open files is low: each listener takes only so many connections at once, so that store, Charter and sources keep theirs. Raise it to enough_files (ulimit -Hn, LimitNOFILE= of systemd, ulimits of the container)"
            );
        }
        capacity
    }

    fn new(files: u64, listeners: u64, watches: u64) -> Self {
        let reserve = RESERVE.saturating_add(watches);
        let most = MOST as u64;
        let each = files.saturating_sub(reserve) / listeners.max(1);
        let connections = usize::try_from(each.clamp(LEAST, most)).unwrap_or(MOST);
        let enough_files = reserve.saturating_add(most.saturating_mul(listeners));
        Self { connections, enough_files }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S14: listeners that are full leave the reserve free, down to a limit at which nothing could.
    #[test]
    fn s14_full_listeners_leave_the_reserve_free() {
        for (files, listeners, watches) in
            [(256, 2, 0), (1024, 2, 0), (1024, 1, 80), (20_000, 2, 8)]
        {
            let Capacity { connections, .. } = Capacity::new(files, listeners, watches);
            let taken = u64::try_from(connections).expect("a small number") * listeners;
            assert!(files - taken >= RESERVE + watches, "{files}: {connections}");
        }
        assert_eq!(Capacity::new(256, 2, 0).connections, 64);
        assert_eq!(Capacity::new(1024, 2, 0).connections, 448);
        assert_eq!(Capacity::new(1_048_576, 2, 0).connections, MOST);
        assert_eq!(Capacity::new(64, 2, 0).connections, 16, "it answers all the same");
        let enough = Capacity::new(64, 2, 0).enough_files;
        assert_eq!(Capacity::new(enough, 2, 0).connections, MOST);
        assert!(Capacity::new(enough - 2, 2, 0).connections < MOST);
    }
}
