//! One session with the server, used by one call at a time and replaced when it is lost, and the texts of the
//! server's failures. The statements are elsewhere.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::domain::secret::Secret;
use crate::knowledge::store::StoreError;

/// Every call has ended by then, connecting and waiting for its turn included: below the 10 s that the webhook and the
/// API give the store, so that people read the store's reason and not just that it is late.
pub(super) const CALL: Duration = Duration::from_secs(8);

/// Ours, raised by `hold` in migrations/postgres.
const SUPERSEDED: &str = "MK001";

/// Of every session. The server ends what hangs before [`CALL`] has passed, and finds out within half a minute that a
/// machine has vanished.
const SESSION: [(&str, &str); 12] = [
    ("application_name", "mape-k"),
    ("search_path", "mape_k"),
    ("client_min_messages", "warning"),
    ("default_transaction_isolation", "read committed"),
    ("statement_timeout", "5s"),
    // Writers take turns. In a storm of alerts each of them has some tenths of a second; the lease and the journal wait
    // for theirs, and hear of the lock and not just that it is late.
    ("lock_timeout", "4s"),
    // Everything here has its index; a plan made while the store was empty would read all of it for hours.
    ("enable_seqscan", "off"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "25000"),
];

const UNAVAILABLE: &str = "Check that the server runs, takes connections and writes, and has free space, and that user and database are right (knowledge.postgres_url)";

/// Where the server is, and how it is spoken of.
pub(super) struct Server {
    /// The address without user and password, for messages.
    pub name: String,
    /// What no message may repeat.
    password: Option<Secret>,
    pub options: PgConnectOptions,
}

impl Server {
    pub fn new(
        name: String,
        password: Option<Secret>,
        options: Result<PgConnectOptions, sqlx::Error>,
    ) -> Result<Self, StoreError> {
        let options_of = PgConnectOptions::new_without_pgpass();
        let mut server = Self { name, password, options: options_of };
        server.options = options.map_err(|error| server.failed("opened", &error))?.options(SESSION);
        Ok(server)
    }

    pub async fn connect(&self) -> Result<PgConnection, StoreError> {
        let opened = |error: sqlx::Error| self.failed("opened", &error);
        let mut session = self.options.connect().await.map_err(opened)?;
        // Acknowledged is on disk, whatever the server's default.
        sqlx::query(
            "SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') = 'off'",
        )
        .execute(&mut session)
        .await
        .map_err(opened)?;
        Ok(session)
    }

    pub async fn bounded<T>(
        &self,
        limit: Duration,
        what: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(limit, work).await.unwrap_or_else(|_| {
            Err(self.unavailable(what, format!("no answer within {} s", limit.as_secs())))
        })
    }

    pub fn failed(&self, what: &'static str, error: &sqlx::Error) -> StoreError {
        let cause = match error {
            sqlx::Error::Database(error) => format!(
                "{} (PostgreSQL code {})",
                error.message(),
                error.code().unwrap_or_default()
            ),
            sqlx::Error::PoolTimedOut => format!("no connection within {} s", CALL.as_secs()),
            error => error.to_string(),
        };
        self.unavailable(what, cause)
    }

    pub fn unavailable(&self, what: &'static str, cause: String) -> StoreError {
        let cause = match &self.password {
            Some(password) => password.hidden_in(cause),
            None => cause,
        };
        StoreError::Unavailable { store: self.name.clone(), what, cause, advice: UNAVAILABLE }
    }
}

pub(super) struct Session {
    server: Arc<Server>,
    slot: Mutex<Slot>,
}

/// The connection is taken out for the time of a call and put back after a whole one: what was cut in the middle is never
/// used again, and the server rolls back what it was about.
enum Slot {
    Ready(PgConnection),
    Lost,
    Closed,
}

impl Session {
    pub fn of(server: &Arc<Server>) -> Self {
        Self { server: server.clone(), slot: Mutex::new(Slot::Lost) }
    }

    /// One statement, which is one transaction. A statement that failed takes its connection with it.
    pub async fn run(
        &self,
        statement: Query<'_, Postgres, PgArguments>,
        fence: Option<u64>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let all = async {
            let mut slot = self.slot.lock().await;
            let mut connection = self.connection(&mut slot).await?;
            let rows = statement.fetch_all(&mut connection).await.map_err(|error| match error {
                sqlx::Error::Database(error) if error.code().is_some_and(|c| c == SUPERSEDED) => {
                    let (store, epoch) = (self.server.name.clone(), fence.unwrap_or_default());
                    StoreError::Superseded { store, epoch }
                }
                error => self.server.failed("written", &error),
            })?;
            *slot = Slot::Ready(connection);
            Ok(rows)
        };
        self.server.bounded(CALL, "written", all).await
    }

    /// In working order: nothing has been sent yet when a dead one is replaced.
    async fn connection(&self, slot: &mut Slot) -> Result<PgConnection, StoreError> {
        match mem::replace(slot, Slot::Lost) {
            Slot::Ready(mut connection) => {
                if connection.ping().await.is_ok() {
                    return Ok(connection);
                }
            }
            Slot::Lost => {}
            Slot::Closed => {
                *slot = Slot::Closed;
                return Err(self.server.unavailable("written", "it is closed".to_owned()));
            }
        }
        self.server.connect().await
    }

    pub async fn close(&self) {
        let slot = mem::replace(&mut *self.slot.lock().await, Slot::Closed);
        if let Slot::Ready(connection) = slot {
            connection.close().await.ok();
        }
    }
}
