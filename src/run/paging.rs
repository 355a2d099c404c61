//! What all readings of pages have in common: a page is waited for until the flow is to stop, and must lead to an end.

use tokio_util::sync::CancellationToken;

use crate::connect::{ConnectError, Trail};
use crate::systems::{Page, PageRequest, Source};

/// Reads a page, and takes it into what the reading has followed; `None` if the flow is to stop before the page is there.
pub(super) async fn next_page(
    source: &dyn Source,
    request: &PageRequest,
    trail: &mut Trail,
    stop: &CancellationToken,
) -> Option<Result<Page, ConnectError>> {
    let fetched = tokio::select! {
        fetched = source.page(request) => fetched,
        () = stop.cancelled() => return None,
    };
    Some(fetched.and_then(|page| page.follow(source.system(), request, trail).map(|()| page)))
}
