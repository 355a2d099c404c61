//! Campaign as a system with profiles, subscriptions and a history of what was sent.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::Value;

use super::{Campaign, Filter, Pages, Query};
use crate::connect::ConnectError;
use crate::systems::history::{History, HistoryEntry, MirrorPage};
use crate::systems::profiles::{ChangedSince, ProfilePages, Profiles, SubscribedProfile, Subscriptions};
use crate::systems::target::{RecordKey, Written};

#[async_trait]
impl ProfilePages for Pages {
    async fn next(&mut self) -> Result<Option<Vec<Value>>, ConnectError> {
        Pages::next(self).await
    }
}

#[async_trait]
impl Profiles for Campaign {
    async fn list(
        &self,
        collection: &str,
        changed: Option<ChangedSince<'_>>,
        page_size: u32,
    ) -> Result<Box<dyn ProfilePages>, ConnectError> {
        let mut query = Query::new().lines(page_size);
        if let Some(ChangedSince { filter, parameter, since }) = changed {
            query = query.filter(Filter::new(filter).since(parameter, since));
        }
        Ok(Box::new(Campaign::list(self, collection, &query).await?))
    }

    async fn has_filter(&self, collection: &str, filter: &str, parameter: &str, again: bool) -> bool {
        Campaign::has_filter(self, collection, filter, parameter, again).await
    }
}

#[async_trait]
impl Subscriptions for Campaign {
    async fn services(&self) -> Result<BTreeSet<String>, ConnectError> {
        Campaign::services(self).await
    }

    async fn subscriptions(&self, profile: RecordKey<'_>) -> Result<Option<SubscribedProfile>, ConnectError> {
        Campaign::subscriptions(self, profile.table.collection, profile).await
    }

    async fn subscribe(&self, profile: &SubscribedProfile, service: &str) -> Result<Written, ConnectError> {
        Campaign::subscribe(self, profile, service).await
    }

    async fn unsubscribe(&self, profile: &SubscribedProfile, service: &str) -> Result<Written, ConnectError> {
        Campaign::unsubscribe(self, profile, service).await
    }
}

#[async_trait]
impl History for Campaign {
    async fn history(&self, person: &str, lines: u32) -> Result<Option<Vec<HistoryEntry>>, ConnectError> {
        let Some(mut pages) = Campaign::history(self, person, Some(lines)).await? else { return Ok(None) };
        let mut entries = Vec::new();
        while let Some(page) = pages.next().await? {
            let entry = |event: super::Event| {
                let super::Event { category, label, date, mirror_page, .. } = event;
                HistoryEntry { category, label, date, mirror_page }
            };
            entries.extend(page.into_iter().map(entry));
        }
        Ok(Some(entries))
    }

    async fn mirror_page(&self, page: &MirrorPage) -> Result<Option<String>, ConnectError> {
        Ok(Campaign::mirror_page(self, page).await?.map(|url| url.to_string()))
    }
}
