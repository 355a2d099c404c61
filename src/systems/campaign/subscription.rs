//! Subscriptions of a profile to services: read, begun and ended by the service's name.
//!
//! Source: Campaign Standard API, *Performing subscriptions*, *Retrieving subscriptions*, *Deleting subscriptions*: a profile's answer has the
//! address of its subscriptions, a POST of `{"service": {"PKey": "…"}}` there begins one, and the list has an entry for each with its service.
//! The page on deleting says that a DELETE goes to "the desired service URL". A DELETE of the service would end the service for everybody,
//! so a subscription is ended at the address of its entry in the profile's list, and at no other. That this is meant is assumed. [K]
//! A service is found by its name in the list of all services: no filter by the exact name is documented.

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::link::LASTS;
use super::record::Key;
use super::{Campaign, Pages, Query, STANDARD, href, is_refusal, scrub, without_pkeys};
use crate::connect::ConnectError;
use crate::system::SystemId;
use crate::systems::profiles::{SubscribedProfile, no_service};
use crate::systems::target::Written;

/// The list of services.
const SERVICES: &str = "service";
/// The attribute of a profile that leads to its subscriptions, and a part of the address of each of them.
const SUBSCRIPTIONS: &str = "subscriptions";

impl Campaign {
    /// Returns a profile with its subscriptions; `None` if there is no such profile. Two calls, and one more for each further page.
    ///
    /// # Errors
    /// [`ConnectError::Rejected`] if the answers do not say to which services the profile is subscribed, or if a subscription has an
    /// address that is not one of a subscription. Others as they come.
    pub async fn subscriptions<'k>(&self, resource: &str, key: impl Into<Key<'k>>) -> Result<Option<SubscribedProfile>, ConnectError> {
        let place = self.place(resource).await?;
        let key = key.into();
        let Some(record) = self.raw(&place, key).await? else { return Ok(None) };
        let Some(link) = href(record.get(SUBSCRIPTIONS)) else {
            return Err(self.refused("a profile came without the address of its subscriptions".to_owned()));
        };
        let list = self.own(link)?;
        let mut pages = Pages::of(self, list.clone(), None);
        let (mut services, mut entries) = (BTreeSet::new(), Vec::new());
        loop {
            let page = match pages.raw().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                // The profile is gone since it was read, or its address has expired.
                Err(ConnectError::NotFound { call }) if call.status == Some(404) => {
                    return match self.raw(&place, key).await? {
                        None => Ok(None),
                        Some(_) => Err(ConnectError::Unavailable { call }),
                    };
                }
                Err(error) => return Err(error),
            };
            for entry in &page {
                let Some(name) = service_of(entry) else {
                    return Err(self.refused("a subscription came without the name of its service".to_owned()));
                };
                entries.push((name.to_owned(), self.subscription_at(place.resource, href(Some(entry)))?));
                services.insert(name.to_owned());
            }
        }
        let mut profile = Value::Object(record);
        scrub(&mut profile);
        Ok(Some(SubscribedProfile { profile, services, list, entries }))
    }

    /// The address of a subscription of a profile: `…/profile/<PKEY>/subscriptions/<PKEY>`. A service's own address must not be taken for one.
    fn subscription_at(&self, resource: &str, link: Option<&str>) -> Result<Url, ConnectError> {
        let refused = || self.refused("a subscription came with an address that is not one of a profile's subscription".to_owned());
        let url = self.own(link.ok_or_else(refused)?)?;
        let path = url.path().strip_prefix(self.0.root.path()).unwrap_or_default().trim_end_matches('/');
        match path.split('/').collect::<Vec<_>>().as_slice() {
            [_, profile, owner, SUBSCRIPTIONS, own] if *profile == resource && !owner.is_empty() && !own.is_empty() => Ok(url),
            _ => Err(refused()),
        }
    }

    /// Subscribes a profile to a service, by its name. [`Written::Missing`]: the profile is gone, or its addresses have expired.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if there is no such service. [`ConnectError::OutcomeUnknown`] if the answer was not seen or is not the
    /// documented one: the request is not repeated. Others as they come.
    pub async fn subscribe(&self, profile: &SubscribedProfile, service: &str) -> Result<Written, ConnectError> {
        let mut remembered = true;
        loop {
            let (pkey, is_remembered) = self.service(service, remembered).await?;
            let body = Bytes::from(json!({ "service": { "PKey": pkey } }).to_string());
            let request = self.request(Method::POST, profile.list.clone(), Some(body));
            return match self.send(&request).await {
                Ok(answer) if begins(&answer, service) => Ok(Written::Done),
                Ok(_) => {
                    self.0.http.leave_connections();
                    Err(without_pkeys(request.unknown("the answer is not a subscription to the service")))
                }
                Err(ConnectError::NotFound { call }) if call.status == Some(404) => Ok(Written::Missing),
                // The service may have another PKey now.
                Err(ConnectError::Rejected { .. }) if is_remembered => {
                    remembered = false;
                    continue;
                }
                // The service itself answered, and carried nothing out: that may pass.
                Err(ConnectError::Rejected { call }) if call.status == Some(500) && !is_refusal(&call) => {
                    Err(ConnectError::Unavailable { call })
                }
                Err(error) => Err(error),
            };
        }
    }

    /// Ends the subscription of a profile to a service. [`Written::Missing`] if it has none, or none any more.
    ///
    /// # Errors
    /// [`ConnectError::OutcomeUnknown`] if the answer was not seen. Others as they come.
    pub async fn unsubscribe(&self, profile: &SubscribedProfile, service: &str) -> Result<Written, ConnectError> {
        let mut ended = Written::Missing;
        for (_, address) in profile.entries.iter().filter(|(name, _)| name == service) {
            let request = self.request(Method::DELETE, address.clone(), None);
            match self.exchange(&request).await {
                // Documented: 204 No Content.
                Ok(reply) if reply.status == 204 && reply.body.trim_ascii().is_empty() => ended = Written::Done,
                Ok(_) => return Err(without_pkeys(request.unknown("the answer is not the documented one to a delete"))),
                Err(ConnectError::NotFound { call }) if matches!(call.status, Some(404 | 410)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ended)
    }

    /// The names of all services.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn services(&self) -> Result<BTreeSet<String>, ConnectError> {
        let mut names = BTreeSet::new();
        let mut pages = self.all_services().await?;
        while let Some(page) = pages.raw().await? {
            names.extend(page.iter().filter_map(|service| service.get("name")?.as_str()).map(str::to_owned));
        }
        Ok(names)
    }

    async fn all_services(&self) -> Result<Pages, ConnectError> {
        self.list(&format!("{STANDARD}/{SERVICES}"), &Query::new()).await
    }

    /// The PKey of a service, and whether it is a remembered one. It goes into a request and nowhere else.
    async fn service(&self, name: &str, remembered: bool) -> Result<(Value, bool), ConnectError> {
        let place = [SERVICES, "name", name].map(str::to_owned);
        if remembered
            && let Some((at, Some(pkey))) = self.lasting().get(&place)
            && at.elapsed() < LASTS
        {
            return Ok((pkey.clone(), true));
        }
        let mut pages = self.all_services().await?;
        while let Some(page) = pages.raw().await? {
            let found = page.into_iter().find(|service| service.get("name").and_then(Value::as_str) == Some(name));
            if let Some(pkey) = found.and_then(|service| service.get("PKey").cloned()) {
                self.lasting().insert(place, (Instant::now(), Some(pkey.clone())));
                return Ok((pkey, false));
            }
        }
        Err(no_service(SystemId::Campaign, name, None))
    }
}

/// The service of a subscription, by its name.
fn service_of(entry: &Value) -> Option<&str> {
    let names = [entry.get("service").and_then(|service| service.get("name")), entry.get("serviceName")];
    names.into_iter().flatten().filter_map(Value::as_str).find(|name| !name.is_empty())
}

/// Whether an answer is a subscription to this service: an object with a service that has a PKey. A name that it gives must be this one.
fn begins(answer: &[u8], service: &str) -> bool {
    let Ok(entry) = serde_json::from_slice::<Value>(answer.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(answer)) else { return false };
    let has_pkey = entry.get("service").and_then(|service| service.get("PKey")).is_some_and(Value::is_string);
    has_pkey && service_of(&entry).is_none_or(|name| name == service)
}
