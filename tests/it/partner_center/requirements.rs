//! What Partner Center requires of a deal is checked before anything is sent.

use reqwest::Method;
use serde_json::{Value, json};

use super::deal::Deal;

#[tokio::test(flavor = "multi_thread")]
async fn an_opportunity_without_what_partner_center_requires_becomes_a_dead_letter_and_no_call_is_sent() {
    let deal = Deal::new().await;
    let body = json!({"name": "From Dynamics", "estimatedvalue": 100, "msft_microsoftpartnercenterreferralsync": true});
    deal.dynamics(Method::POST, "opportunities", body).await;
    deal.writes().await;
    let letters = deal.run_with_dead_letters().await;
    assert_eq!(deal.writes().await.1, 0);
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(letter["code"], "requirements");
    let message = letter["message"].as_str().unwrap();
    for part in ["the customer's name (`customerProfile.name`)", "(`customerProfile.address.country`)"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("`details`") && !message.contains("`type`"), "{message}");
    assert_eq!(deal.referrals().await, Vec::<Value>::new());
}
