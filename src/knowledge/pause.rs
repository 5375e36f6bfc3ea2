//! A person's pause in the store: the kill switch that outlives the process and ends by itself.

use super::Knowledge;
use super::batch::Batch;
use super::documents::Fact;
use super::store::{StoreError, When, Written};
use crate::domain::pause::{Pause, PauseRecord};
use crate::domain::time::Time;

/// Of people who pause in the same few milliseconds.
const TRIES: usize = 5;

impl Knowledge {
    /// The pause that holds now. One that cannot be read is an error: nothing may be done while nobody knows.
    pub async fn paused(&self, now: Time) -> Result<Option<Pause>, StoreError> {
        Ok(self.stored_pause().await?.map(|(pause, _)| pause).filter(|pause| pause.holds(now)))
    }

    /// Takes the place of any other pause, a damaged one too; returns what holds now and what held until now.
    ///
    /// One that ends later keeps its end unless it is to be replaced: who pauses for an hour need not know that somebody
    /// else has for two.
    pub async fn pause(
        &self,
        pause: Pause,
        replace: bool,
    ) -> Result<(Pause, Option<Pause>), StoreError> {
        // As often as others may come between; then it stands as it was asked for, for pausing must not fail.
        for _ in 0..TRIES {
            let present = self.get::<Fact>(Fact::PAUSE).await?;
            let (fact_now, when) = match present {
                Some((fact, version)) => (Some(fact.value), When::Version(version)),
                None => (None, When::Absent),
            };
            // A damaged one says nothing of its end.
            let before = fact_now
                .and_then(|value| serde_json::from_value::<Option<Pause>>(value).ok().flatten())
                .filter(|before| before.holds(pause.since));
            let kept =
                before.as_ref().filter(|_| !replace).map_or(pause.until, |before| before.until);
            let now = Pause { until: kept.max(pause.until), ..pause.clone() };
            let mut batch = self.batch();
            batch.put_if(&fact(Some(&now), now.since)?, when);
            self.remember(&mut batch, Some(&now), now.since, &now.by).await?;
            if self.commit(batch).await?.first() == Some(&Written::Done) {
                return Ok((now, before));
            }
        }
        let before = self.replace(Some(&pause), pause.since, &pause.by).await?;
        Ok((pause, before))
    }

    /// Ends any pause, a damaged one too; returns the one that held until now.
    pub async fn resume(&self, now: Time, by: &str) -> Result<Option<Pause>, StoreError> {
        self.replace(None, now, by).await
    }

    /// Removes a pause whose end has passed and returns it, once.
    pub async fn end_pause(&self, now: Time) -> Result<Option<Pause>, StoreError> {
        let Some((pause, version)) = self.stored_pause().await? else { return Ok(None) };
        if pause.holds(now) {
            return Ok(None);
        }
        let mut batch = self.batch();
        // A new one that somebody has set meanwhile stands.
        batch.put_if(&fact(None, now)?, When::Version(version));
        Ok((self.commit(batch).await? == [Written::Done]).then_some(pause))
    }

    async fn replace(
        &self,
        pause: Option<&Pause>,
        now: Time,
        by: &str,
    ) -> Result<Option<Pause>, StoreError> {
        let before = match self.paused(now).await {
            Err(StoreError::Corrupt { .. }) => None,
            other => other?,
        };
        let mut batch = self.batch();
        batch.put(&fact(pause, now)?);
        self.remember(&mut batch, pause, now, by).await?;
        self.commit(batch).await?;
        Ok(before)
    }

    /// Records the pause, and of each that held until now when it ended and by whom.
    async fn remember(
        &self,
        batch: &mut Batch,
        pause: Option<&Pause>,
        now: Time,
        by: &str,
    ) -> Result<(), StoreError> {
        let (records, _) = self.survey::<PauseRecord>(None, TRIES).await?;
        let is_other = |own: &Pause| pause.is_none_or(|pause| pause.since != own.since);
        for record in records {
            if record.ended_at.is_none() && record.pause.holds(now) && is_other(&record.pause) {
                let (ended_at, ended_by) = (Some(now), Some(by.to_owned()));
                batch.put(&PauseRecord { ended_at, ended_by, ..record });
            }
        }
        if let Some(pause) = pause {
            let pause = pause.clone();
            batch.put(&PauseRecord { pause, ended_at: None, ended_by: None });
        }
        Ok(())
    }

    async fn stored_pause(&self) -> Result<Option<(Pause, i64)>, StoreError> {
        let Some((fact, version)) = self.get::<Fact>(Fact::PAUSE).await? else { return Ok(None) };
        if fact.value.is_null() {
            return Ok(None);
        }
        match serde_json::from_value(fact.value) {
            Ok(pause) => Ok(Some((pause, version))),
            Err(error) => Err(self.damaged::<Fact>(Fact::PAUSE, &error)),
        }
    }
}

/// `None` is written as null: the record stays, and its version shows every change.
fn fact(pause: Option<&Pause>, at: Time) -> Result<Fact, StoreError> {
    let value = serde_json::to_value(pause).map_err(|error| StoreError::Unwritable {
        collection: "facts",
        key: Fact::PAUSE.to_owned(),
        cause: error.to_string(),
    })?;
    Ok(Fact { name: Fact::PAUSE.to_owned(), value, at })
}
