//! The connection to Partner Center: who has signed in and how long ago, multifactor authentication, and both APIs apart.

use super::token::{Issuer, explain, plain};
use super::{Bench, Unusable};
use crate::connect::ConnectError;
use crate::count::counted;
use crate::systems::partner_center::Account;
use crate::time;

/// A watch refreshes the sign-in daily. After this many days without it, something is wrong, while there is still time.
const IDLE_DAYS: i64 = 7;

/// The checks after the sign-in, in their order.
const STEPS: [(&str, &str); 4] = [
    ("partner-center.mfa", "MFA"),
    ("partner-center.referrals", "referrals API"),
    ("partner-center.webhooks", "webhooks API"),
    ("partner-center.mfa-figures", "MFA figures"),
];

/// Examines the connection. `client_id` is the app's.
pub async fn examine(bench: &mut Bench, account: Result<&Account, &Unusable>, client_id: &str) {
    let account = match account {
        Ok(account) => account,
        Err(Unusable(reason)) => {
            bench.skip("partner-center.sign-in", "sign-in", reason);
            bench.skip_all(&STEPS, reason);
            return;
        }
    };
    if !signed_in(bench, account) {
        bench.skip_all(&STEPS, "no account is signed in");
        return;
    }
    if !mfa(bench, account, client_id).await {
        bench.skip_all(&STEPS[1..], "there is no token");
        return;
    }
    let (id, subject) = STEPS[1];
    match bench.step(account.try_referrals()).await {
        Ok(Ok(())) => bench.ok(id, subject, "the account may read referrals"),
        Ok(Err(error)) => {
            let (cause, fix) = explained(&error, client_id, "give the account the role Referrals admin in Partner Center");
            bench.fail(id, subject, cause, fix);
        }
        Err(_) => bench.over(id, subject),
    }
    let (id, subject) = STEPS[2];
    match bench.step(account.try_webhooks()).await {
        Ok(Ok(())) => bench.ok(id, subject, "the account may read the list of events"),
        // Without webhooks, changes are found by polling.
        Ok(Err(error)) => {
            let role = "give the account one of the roles admin agent, sales agent, helpdesk agent or billing admin in Partner Center";
            let (cause, fix) = explained(&error, client_id, role);
            bench.warn(id, subject, cause, fix);
        }
        Err(_) => bench.over(id, subject),
    }
    figures(bench, account).await;
}

/// Says who has signed in and how old that is; whether there is a refresh token to try.
fn signed_in(bench: &mut Bench, account: &Account) -> bool {
    let (id, subject) = ("partner-center.sign-in", "sign-in");
    if account.access().file().is_none() {
        bench.warn(
            id,
            subject,
            "the refresh token comes from a reference, which d365map cannot keep up to date",
            "replace it before it expires, or remove `refresh-token` and run `d365map login partner-center`",
        );
        return true;
    }
    let kept = match account.access().signed_in() {
        Ok(Some(kept)) => kept,
        Ok(None) => {
            bench.fail(id, subject, "no account is signed in", "run `d365map login partner-center`");
            return false;
        }
        Err(error) => {
            let (cause, fix) = plain(&error);
            bench.fail(id, subject, cause, fix);
            return false;
        }
    };
    let now = time::now();
    let (idle, left) = (kept.idle_days(now), kept.days_left(now));
    let who = kept.account.as_deref().unwrap_or("an account without a name");
    let since = counted((now - kept.obtained).num_days().max(0), "day");
    if idle < IDLE_DAYS {
        bench.ok(id, subject, format!("{who} by {}, {since} ago; refreshed {} ago", kept.method, counted(idle, "day")));
    } else {
        bench.warn(
            id,
            subject,
            format!(
                "the sign-in of {who} was not refreshed for {}; it expires after 90 days, in {}",
                counted(idle, "day"),
                counted(left.max(0), "day")
            ),
            "keep `d365map run --watch` running, which refreshes it daily, or run `d365map doctor` daily",
        );
    }
    true
}

/// Uses the refresh token, and says whether the access token has the claim; whether there is an access token that may be used.
async fn mfa(bench: &mut Bench, account: &Account, client_id: &str) -> bool {
    let (id, subject) = STEPS[0];
    match bench.step(account.access().refresh(account.referrals_audience())).await {
        Ok(Ok(refreshed)) if refreshed.claims.mfa => {
            bench.ok(id, subject, "the access token has the claim");
            true
        }
        Ok(Ok(_)) => {
            bench.warn(
                id,
                subject,
                "the access token does not have the claim `mfa`, and Partner Center refuses every call without it",
                "set up multifactor authentication for the account, and run `d365map login partner-center`",
            );
            true
        }
        Ok(Err(error)) => {
            let (cause, fix) = explained(&error, client_id, "");
            bench.fail(id, subject, cause, fix);
            false
        }
        Err(_) => {
            bench.over(id, subject);
            false
        }
    }
}

/// Partner Center's own count of calls with multifactor authentication.
async fn figures(bench: &mut Bench, account: &Account) {
    let (id, subject) = STEPS[3];
    match bench.step(account.mfa_adoption()).await {
        Ok(Ok(Some(found))) if found.compliant < found.total => bench.warn(
            id,
            subject,
            format!("{} of {} had multifactor authentication, by Partner Center's count", found.compliant, counted(found.total, "call")),
            "see which app makes the others: the report in Partner Center lists the calls of each app",
        ),
        Ok(Ok(Some(found))) => bench.ok(id, subject, format!("all of {} had it, by Partner Center's count", counted(found.total, "call"))),
        Ok(Ok(None)) => bench.skip(id, subject, "Partner Center has no figures"),
        Ok(Err(ConnectError::Forbidden { .. } | ConnectError::NotFound { .. } | ConnectError::Unauthorized { .. })) => {
            bench.skip(id, subject, "the role of the account does not permit them");
        }
        Ok(Err(error)) => bench.skip(id, subject, plain(&error).0),
        Err(_) => bench.skip(id, subject, "the time was over"),
    }
}

/// The cause and the fix of a failed call. `role` is the fix of a missing right.
fn explained(error: &ConnectError, client_id: &str, role: &str) -> (String, String) {
    match error {
        ConnectError::Forbidden { call } => (format!("{call}; the account lacks a role"), role.to_owned()),
        ConnectError::Unauthorized { call } => (
            format!("{call}; a fresh token was refused too"),
            "check the permissions of the app (docs/partner-center.md), and the audiences of the connection".to_owned(),
        ),
        other => explain(other, Issuer::Entra, client_id),
    }
}
