//! What people do with deals in both systems, drawn from a seed, and whether both systems show the same at the end.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};

use super::Result;
use super::place::Place;

const IDENTIFIER: &str = "msft_microsoftpartnercenterreferralidentifier";
const SYNC: &str = "msft_microsoftpartnercenterreferralsync";
/// Requests of people at the same time.
const AT_ONCE: usize = 16;
/// Customers; several deals are with the same one.
const CUSTOMERS: usize = 500;

pub struct People {
    random: u64,
    /// Both ids of each open deal.
    open: Vec<(String, String)>,
    /// The referrals that were closed, as they were then.
    closed: BTreeMap<String, Value>,
}

impl People {
    pub fn new(seed: u64) -> People {
        People { random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, open: Vec::new(), closed: BTreeMap::new() }
    }

    /// A number below `end` (xorshift64*).
    fn below(&mut self, end: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }

    /// Creates deals, every second one in Partner Center.
    pub async fn create(&mut self, place: &Place, deals: usize) -> Result<()> {
        let accounts: Vec<String> = stream::iter(0..CUSTOMERS)
            .map(|n| async move {
                let id = format!("00000000-0000-4000-8000-{n:012}");
                let body =
                    json!({"accountid": id, "name": customer(n), "address1_postalcode": format!("{n:05}"), "address1_country": "US"});
                place.dynamics(Method::POST, "accounts", Some(body)).await.map(|_| id)
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let accounts = &accounts;
        stream::iter(0..deals)
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, |n| async move {
                if n % 2 == 0 {
                    place.admin(Method::POST, "partner/referrals", referral(n)).await?;
                } else {
                    let account = format!("/accounts({})", accounts[n % CUSTOMERS]);
                    let body = json!({"name": format!("Deal {n}"), "estimatedvalue": n, SYNC: true, "parentaccountid@odata.bind": account});
                    place.dynamics(Method::POST, "opportunities", Some(body)).await?;
                }
                Ok::<(), Box<dyn std::error::Error>>(())
            })
            .await
    }

    /// Makes changes on both sides; returns how many records have changed.
    pub async fn change(&mut self, place: &Place, changes: usize) -> Result<usize> {
        if self.open.is_empty() {
            let rows = place.rows(&format!("opportunities?$select=opportunityid,{IDENTIFIER}")).await?;
            let pair = |row: &Value| Some((row[IDENTIFIER].as_str()?.to_owned(), row["opportunityid"].as_str()?.to_owned()));
            self.open = rows.iter().filter_map(pair).collect();
            self.open.sort();
        }
        let mut acts = Vec::with_capacity(changes);
        let mut changed = BTreeSet::new();
        for _ in 0..changes {
            let place = self.below(self.open.len());
            let (referral, opportunity) = self.open[place].clone();
            let (left, field, value) = (self.below(2) == 0, self.below(4), self.below(1_000_000));
            changed.insert((left, referral.clone()));
            let day = format!("2027-{:02}-{:02}", 1 + value % 12, 1 + value % 28);
            let body = match (left, field) {
                (true, 0) => json!({"name": format!("Deal {value}")}),
                (true, 1) => json!({"details": {"dealValue": value}}),
                (true, 2) => json!({"details": {"notes": format!("Note {value}")}}),
                (true, _) => json!({"details": {"closingDateTime": format!("{day}T00:00:00Z")}}),
                (false, 0) => json!({"name": format!("Deal {value}")}),
                (false, 1) => json!({"estimatedvalue": value}),
                (false, 2) => json!({"description": format!("Note {value}")}),
                (false, _) => json!({"estimatedclosedate": day}),
            };
            acts.push((left, referral, opportunity, body));
        }
        // One in a thousand deals is closed in Partner Center.
        for _ in 0..changes / 1000 {
            if self.open.len() > 1 {
                let place = self.below(self.open.len());
                let (referral, opportunity) = self.open.swap_remove(place);
                acts.retain(|(_, other, ..)| *other != referral);
                changed.retain(|(_, other)| *other != referral);
                changed.insert((true, referral.clone()));
                acts.push((true, referral, opportunity, json!({"status": "Closed", "substatus": "Lost"})));
            }
        }
        stream::iter(acts.iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |(left, referral, opportunity, body)| async move {
                if *left {
                    place.admin(Method::PATCH, &format!("partner/referrals/{referral}"), body.clone()).await?;
                } else {
                    place.dynamics(Method::PATCH, &format!("opportunities({opportunity})"), Some(body.clone())).await?;
                }
                Ok::<(), Box<dyn std::error::Error>>(())
            })
            .await?;
        for referral in place.referrals().await?.into_iter().filter(|referral| referral["status"] == "Closed") {
            let id = referral["id"].as_str().unwrap_or_default().to_owned();
            self.closed.entry(id).or_insert(referral);
        }
        Ok(changed.len())
    }

    /// Compares both sides: pairs, closed ones, and differences.
    pub async fn compare(&self, place: &Place) -> Result<(usize, usize, usize)> {
        let select = format!("opportunityid,name,estimatedvalue,estimatedclosedate,description,statecode,{IDENTIFIER}");
        let rows = place.rows(&format!("opportunities?$select={select}")).await?;
        let referrals: BTreeMap<String, Value> =
            place.referrals().await?.into_iter().map(|one| (one["id"].as_str().unwrap_or_default().to_owned(), one)).collect();
        let (mut seen, mut differences, mut closed) = (BTreeSet::new(), 0, 0);
        for row in &rows {
            let Some(referral) = row[IDENTIFIER].as_str().and_then(|id| referrals.get(id)) else {
                differences += 1;
                continue;
            };
            let id = referral["id"].as_str().unwrap_or_default();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let amount = |value: &Value| value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
            let day = |value: &Value| value.as_str().map(|text| text[..10].to_owned());
            let details = &referral["details"];
            let same = seen.insert(id.to_owned())
                && referral["externalReferenceId"] == row["opportunityid"]
                && text(&referral["name"]).replace("&amp;", "&") == text(&row["name"])
                && amount(&details["dealValue"]) == amount(&row["estimatedvalue"])
                && text(&details["notes"]) == text(&row["description"])
                && day(&details["closingDateTime"]) == day(&row["estimatedclosedate"]);
            let ended = self.closed.get(id);
            closed += usize::from(ended.is_some());
            // A closed deal has not changed since.
            let frozen = ended.is_none_or(|ended| ended == referral);
            if !same || !frozen {
                differences += 1;
                eprintln!("differs: {row} {referral}");
            }
        }
        differences += referrals.len().abs_diff(rows.len());
        Ok((seen.len(), closed, differences))
    }
}

fn customer(n: usize) -> String {
    format!("Customer {n}")
}

fn referral(n: usize) -> Value {
    let customer_number = n % CUSTOMERS;
    json!({
        "name": format!("Deal {n}"), "type": "Independent", "qualification": "SalesQualified", "status": "Active", "substatus": "Accepted",
        "consent": {"consentToShareReferralWithMicrosoftSellers": false},
        "customerProfile": {"name": customer(customer_number), "address": {"country": "US", "postalCode": format!("{customer_number:05}")}},
        "details": {"dealValue": n, "currency": "USD"},
    })
}
