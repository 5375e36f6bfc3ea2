//! A batch: everything that one step wants to record, committed in one durable transaction.

use super::documents::Document;
use super::store::{StoreError, When, Write};

/// Collects writes in order. What cannot be written down at all fails the whole batch at its commit.
#[derive(Debug, Default)]
#[must_use = "nothing is written before Knowledge::commit"]
pub struct Batch {
    writes: Vec<Write>,
    failed: Option<StoreError>,
}

impl Batch {
    /// Inserts or replaces.
    pub fn put<T: Document>(&mut self, document: &T) {
        self.put_if(document, When::Always);
    }

    pub fn put_if<T: Document>(&mut self, document: &T, when: When) {
        match serde_json::to_string(document) {
            Ok(body) => self.writes.push(Write::Put {
                collection: T::COLLECTION,
                key: document.key(),
                tag: document.tag().to_owned(),
                at: document.at(),
                body,
                when,
            }),
            Err(error) => {
                self.failed.get_or_insert(StoreError::Unwritable {
                    collection: T::COLLECTION.as_str(),
                    key: document.key(),
                    cause: error.to_string(),
                });
            }
        }
    }

    pub fn delete<T: Document>(&mut self, key: impl Into<String>) {
        self.writes.push(Write::Delete { collection: T::COLLECTION, key: key.into() });
    }

    /// Says of a document that it was heard of again, if it is there with this tag.
    pub(super) fn touch<T: Document>(&mut self, document: &T, tag: &str) {
        self.writes.push(Write::Touch {
            collection: T::COLLECTION,
            key: document.key(),
            tag: tag.to_owned(),
            at: document.at(),
        });
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.failed.is_none()
    }

    pub(super) fn into_writes(self) -> Result<Vec<Write>, StoreError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.writes),
        }
    }
}
