//! Live updates.

use std::time::Duration;

use super::support::{NAME, Serving};
use crate::flow::support::{World, small_text};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_open_does_not_make_the_end_of_the_server_wait() {
    let serving = Serving::start(World::empty().await, &[("contacts.d365map", &small_text(""))]).await;
    let cookie = serving.sign_in().await;
    let mut stream = serving.stream(&format!("/live/{NAME}/workflows"), &cookie).await;
    assert!(stream.chunk().await.expect("an event").is_some());
    serving.end().await;
    let rest = async { while stream.chunk().await.expect("a stream that ends as it should").is_some() {} };
    // Requests that are not answered at the end have five seconds.
    tokio::time::timeout(Duration::from_secs(4), rest).await.expect("the stream ends with the server");
}
