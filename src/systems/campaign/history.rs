//! Marketing history: what was sent to a profile.
//!
//! Source: Campaign Standard API, *Interacting with marketing history*: the profile by its PKey under `history`, then the address of
//! its `events`. The PKey is looked up by our key for that one call. Assumed: that events come in pages as lists do, in no order
//! that could be relied upon, and what is behind a mirror page's address. [K] For many profiles at once, the event journal or the
//! exports by SFTP are made: this costs three calls for each profile.

use serde_json::{Map, Value};
use url::Url;

use super::list::Pages;
use super::record::Key;
use super::{Campaign, EXTENDED, Place, STANDARD, href};
use crate::connect::ConnectError;
use crate::systems::history::MirrorPage;
use crate::time::{Instant, parse_instant};

/// Something that happened to a profile. The service names it by a PKey alone, so that it is known again by its values.
#[derive(Debug, Clone)]
pub struct Event {
    /// The channel: `email`.
    pub category: String,
    /// The direction: `outbound`.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "read by tests"))]
    pub kind: String,
    /// What people read: `Send via email`.
    pub label: String,
    /// When it happened; empty if the service's text is not an instant.
    pub date: Option<Instant>,
    /// The message as it was sent, where the service has it.
    pub mirror_page: Option<MirrorPage>,
}

/// The events of a profile, page by page.
#[derive(Debug)]
pub struct Events {
    campaign: Campaign,
    pages: Pages,
}

impl Events {
    /// The events of the next page; none after the last one.
    ///
    /// # Errors
    /// As [`Pages::next`].
    pub async fn next(&mut self) -> Result<Option<Vec<Event>>, ConnectError> {
        let Some(page) = self.pages.raw().await? else { return Ok(None) };
        page.iter().map(|event| self.campaign.event(event)).collect::<Result<_, _>>().map(Some)
    }
}

impl Campaign {
    /// The marketing history of a profile; none when there is no such profile.
    ///
    /// # Errors
    /// [`ConnectError::ForeignLink`] when an answer leads elsewhere. Others as they come.
    pub async fn history<'k>(&self, key: impl Into<Key<'k>>, lines: Option<u32>) -> Result<Option<Events>, ConnectError> {
        // Identification keys belong to the extended resource, whatever endpoint is configured.
        let place = Place { api: EXTENDED.into(), resource: "profile" };
        let Some(profile) = self.raw(&place, key.into()).await? else { return Ok(None) };
        let pkey = profile.get("PKey").and_then(Value::as_str).filter(|pkey| pkey.starts_with('@'));
        let pkey = pkey.ok_or_else(|| self.refused("a profile came without its PKey: its history cannot be found".to_owned()))?;
        let answer: Map<String, Value> = match self.read(self.address([STANDARD, "history", pkey], [])?).await {
            Ok(answer) => answer,
            // Deleted since.
            Err(ConnectError::NotFound { call }) if call.status == Some(404) => return Ok(None),
            Err(error) => return Err(error),
        };
        let pages = match href(answer.get("events")) {
            Some(link) => Pages::of(self, self.own(link)?, lines),
            None => Pages::none(self),
        };
        Ok(Some(Events { campaign: self.clone(), pages }))
    }

    /// The address under which people can see a message as it was sent; none where the service gives none. That the answer is a JSON
    /// object with an address in it is assumed. [K]
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn mirror_page(&self, page: &MirrorPage) -> Result<Option<Url>, ConnectError> {
        let answer: Value = self.read(page.0.clone()).await?;
        let texts = [Some(&answer), answer.get("url"), answer.get("mirrorPageUrl"), answer.get("mirrorPage"), answer.get("href")];
        let urls = texts.into_iter().flatten().filter_map(Value::as_str).filter_map(|text| Url::parse(text).ok());
        // An address of the API is for this client alone, and holds PKeys.
        Ok(urls.into_iter().find(|url| matches!(url.scheme(), "https" | "http") && url.origin() != self.0.root.origin()))
    }

    fn event(&self, event: &Value) -> Result<Event, ConnectError> {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mirror_page = href(event.get("mirrorPage")).map(|link| self.own(link)).transpose()?.map(MirrorPage);
        Ok(Event { category: text("category"), kind: text("type"), label: text("label"), date: parse_instant(&text("date")), mirror_page })
    }
}
