use std::collections::HashSet;

use async_trait::async_trait;

use super::blocking;
use crate::state::Store;
use crate::store::{Forgotten, Privacy, StateError, Traces};

#[async_trait]
impl Privacy for Store {
    async fn forgotten_among(&self, ids: Vec<String>) -> Result<HashSet<String>, StateError> {
        blocking(self, move |store| store.forgotten_among(ids)).await
    }

    async fn trace(&self, key: &str) -> Result<Traces, StateError> {
        let key = key.to_owned();
        blocking(self, move |store| store.trace(&key)).await
    }

    async fn forget(&self, key: &str) -> Result<Forgotten, StateError> {
        let key = key.to_owned();
        blocking(self, move |store| store.forget(&key)).await
    }

    async fn lift_tombstone(&self, id: &str) -> Result<bool, StateError> {
        let id = id.to_owned();
        blocking(self, move |store| store.lift_tombstone(&id)).await
    }
}
