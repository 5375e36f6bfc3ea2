//! Records that this version cannot read: another version wrote them, or they are damaged.

use super::store::StoreError;
use super::{Document, Knowledge, Page};
use crate::domain::time::Time;

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub collection: &'static str,
    pub key: String,
    pub cause: String,
    /// As the store has it, which bodies do not matter for.
    pub at: Time,
}

impl Knowledge {
    /// The newest so many, and beside them what cannot be read.
    pub async fn survey<T: Document>(
        &self,
        tag: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<T>, Vec<Unread>), StoreError> {
        let (page, unread) = self.survey_page(tag, None, limit).await?;
        Ok((page.items, unread))
    }

    /// One page of them; `after` is the `next` of the page before.
    pub async fn survey_page<T: Document>(
        &self,
        tag: Option<&str>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<(Page<T>, Vec<Unread>), StoreError> {
        let (mut items, mut unread) = (Vec::new(), Vec::new());
        let (records, next) = self.records::<T>(tag, after, limit).await?;
        for record in records {
            match serde_json::from_str(&record.body) {
                Ok(item) => items.push(item),
                Err(error) => unread.push(Unread {
                    collection: T::COLLECTION.as_str(),
                    key: record.key,
                    cause: error.to_string(),
                    at: record.at,
                }),
            }
        }
        Ok((Page { items, next }, unread))
    }

    /// The newest so many of a collection that holds history too. What cannot be read is an error if it is newer than
    /// `history`, and left out if it is older: a damaged record of last month must not stop the loop.
    pub async fn lately<T: Document>(
        &self,
        tag: Option<&str>,
        limit: usize,
        history: Time,
    ) -> Result<Vec<T>, StoreError> {
        let (items, unread) = self.survey(tag, limit).await?;
        match unread.into_iter().find(|one| one.at >= history) {
            None => Ok(items),
            Some(Unread { collection, key, cause, .. }) => {
                Err(StoreError::Corrupt { store: self.name.to_string(), collection, key, cause })
            }
        }
    }

    /// The error that refuses a start for them.
    #[must_use]
    pub fn unreadable(&self, unread: &[Unread]) -> StoreError {
        let shown = unread.iter().take(SHOWN);
        let mut lines: Vec<String> =
            shown.map(|u| format!("{} {}: {}", u.collection, u.key, u.cause)).collect();
        if let Some(more) = unread.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            lines.push(format!("and {more} more"));
        }
        let list = format!("\n  {}", lines.join("\n  "));
        let count = match unread.len() {
            1 => "1 record".to_owned(),
            n => format!("{n} records"),
        };
        StoreError::Unreadable { store: self.name.to_string(), count, list }
    }
}

/// Lines of the list: enough to see what they have in common.
const SHOWN: usize = 20;
