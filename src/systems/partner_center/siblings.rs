//! The other referrals of a deal. A shared deal is one referral of the partner and one of Microsoft, with the same engagement.
//!
//! Sources: Partner Center REST, *Create a referral* (Microsoft's referral has the target `msft`) and *Referral resources*
//! (`trackingInfo.microsoftMsxId`). Inferred: that this id is what Dynamics 365 calls the Microsoft CRM Identifier.

use indexmap::IndexMap;

use super::PartnerCenter;
use super::referral::Referral;
use super::tree::Node;
use crate::connect::ConnectError;

/// The property that the connector adds to a referral: what Microsoft's referral of the deal says.
pub(super) const MICROSOFT: &str = "microsoft";

/// Whether a referral is Microsoft's part of a deal.
pub(super) fn is_of_microsoft(referral: &Node) -> bool {
    referral.items(&["target"]).iter().any(|target| target.text(&["id"]).is_some_and(|id| id.eq_ignore_ascii_case("msft")))
}

/// Whether a query asks for what Microsoft's referral says.
pub(super) fn is_asked(select: &[String]) -> bool {
    select.iter().any(|name| name.split('.').next() == Some(MICROSOFT))
}

fn said(sibling: &Node) -> Node {
    let text = |path: &[&str]| sibling.text(path).map_or(Node::Null, Node::from);
    let said = [("crmId", text(&["trackingInfo", "microsoftMsxId"])), ("status", text(&["status"])), ("substatus", text(&["substatus"]))];
    Node::Object(said.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<IndexMap<_, _>>())
}

impl PartnerCenter {
    /// The referral with what Microsoft's referral of the deal says. A deal that is not shared has none, which costs no call.
    pub(super) async fn with_microsoft(&self, referral: Referral) -> Result<Referral, ConnectError> {
        let shared = referral.body().text(&["type"]).is_some_and(|kind| kind.eq_ignore_ascii_case("Shared"));
        let (true, Some(engagement)) = (shared && !is_of_microsoft(referral.body()), referral.engagement_id()) else { return Ok(referral) };
        let siblings = self.engagement(engagement).await?;
        let Some(sibling) = siblings.iter().map(Referral::body).find(|other| is_of_microsoft(other)) else { return Ok(referral) };
        let said = said(sibling);
        let mut body = referral.clone().into_body();
        if let Node::Object(properties) = &mut body {
            properties.insert(MICROSOFT.to_owned(), said);
        }
        Ok(Referral::of(body).unwrap_or(referral))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        Node::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_referral_with_microsoft_as_its_target_is_microsofts() {
        assert!(is_of_microsoft(&node(r#"{"target":[{"type":"BusinessProfileLocation","id":"MSFT"}]}"#)));
        assert!(!is_of_microsoft(&node(r#"{"target":[{"type":"SolutionProfile","id":"SOL-1-A"}]}"#)));
        assert!(!is_of_microsoft(&node(r#"{"target":null}"#)));
    }

    #[test]
    fn microsofts_referral_is_read_only_if_a_field_of_it_is_asked_for() {
        let select = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(is_asked(&select(&["name", "microsoft.crmId"])));
        assert!(!is_asked(&select(&["name", "microsofts"])));
        assert!(!is_asked(&[]));
    }

    #[test]
    fn what_is_empty_stays_empty() {
        let said = said(&node(r#"{"status":"New","substatus":"Pending","trackingInfo":{"microsoftMsxId":null}}"#));
        assert_eq!(said, node(r#"{"crmId":null,"status":"New","substatus":"Pending"}"#));
    }
}
