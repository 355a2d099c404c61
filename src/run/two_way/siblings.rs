//! Other records of the same deal: a shared deal is one referral of ours and one of Microsoft.
//!
//! Microsoft's part starts nothing, wherever the notice comes from. If the mapping reads it, a change of it causes a check of our part.

use super::Shared;
use crate::connect::ConnectError;
use crate::run::RunError;
use crate::store::PairNotice;

/// The other referrals of a deal. If the service does not show the one that is named, there are none.
pub(super) async fn of_the_same_deal(shared: &Shared, id: &str) -> Result<Vec<String>, RunError> {
    match shared.left.source.related(id).await {
        Ok(ids) => Ok(ids),
        Err(error @ (ConnectError::NotFound { .. } | ConnectError::Forbidden { .. } | ConnectError::Rejected { .. })) => {
            tracing::warn!(flow = shared.name(), id, %error, "the other referrals of the deal cannot be read");
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// Looks at ours for each part of somebody else that was read, if the mapping reads what such a part says. One that was read before and
/// has not changed since is read again only by a full load.
pub(super) async fn looks(shared: &Shared, parts: &[String]) -> Result<Vec<PairNotice>, RunError> {
    let mut notices = Vec::new();
    if !shared.fields.reads_siblings {
        return Ok(notices);
    }
    for part in parts {
        for id in of_the_same_deal(shared, part).await? {
            notices.push(PairNotice { id: id.to_ascii_lowercase(), version: None, begins: false });
        }
    }
    Ok(notices)
}
