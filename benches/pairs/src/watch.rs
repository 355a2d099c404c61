//! How long a change takes to reach the other system in a watch, with webhooks and without.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::Result;
use super::place::Place;

const IDENTIFIER: &str = "msft_microsoftpartnercenterreferralidentifier";
/// The pause between two rounds of the watch without webhooks.
const EVERY: u64 = 10;
/// Until a change is given up.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn measure(place: &Place, changes: usize) -> Result<()> {
    if changes == 0 {
        return Ok(());
    }
    let port = {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        free.local_addr()?.port()
    };
    let host =
        place.addresses["partner"]["certificates_url"].as_str().and_then(|url| url.split("//").nth(1)).unwrap_or("127.0.0.1").to_owned();
    place.add_to_project(
        "limits:\n",
        &format!(
            "    webhook:\n      url: http://127.0.0.1:{port}/partner\n      listen: 127.0.0.1:{port}\n      certificate-hosts: [\"{}\"]\n      trusted-certificates: root.pem\n",
            host.trim_end_matches('/')
        ),
    )?;
    for (title, webhooks) in [("without webhooks", false), ("with webhooks", true)] {
        if webhooks {
            place.output(&["webhook", "register", "--take-over"]).await?;
        }
        let interval = EVERY.to_string();
        let mut watch = place.command(&["run", "--watch", "--quiet", "--ignore-drift", "--interval", &interval]).spawn()?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let row = place.rows(&format!("opportunities?$select=opportunityid,{IDENTIFIER}&$filter=statecode eq 0")).await?;
        let pair = row.iter().find(|row| row[IDENTIFIER].is_string()).ok_or("no deal")?.clone();
        let (opportunity, referral) = (pair["opportunityid"].as_str().unwrap_or_default(), pair[IDENTIFIER].as_str().unwrap_or_default());
        let (mut to_dynamics, mut to_partner) = (Vec::new(), Vec::new());
        for n in 0..changes {
            let value = 1_000_000 + n;
            let began = Instant::now();
            place.admin(Method::PATCH, &format!("partner/referrals/{referral}"), json!({"details": {"dealValue": value}})).await?;
            until(began, || async {
                let row = place.dynamics(Method::GET, &format!("opportunities({opportunity})?$select=estimatedvalue"), None).await?;
                Ok(row["estimatedvalue"].as_f64() == Some(value as f64))
            })
            .await?;
            to_dynamics.push(began.elapsed());
            let value = 2_000_000 + n;
            let began = Instant::now();
            place.dynamics(Method::PATCH, &format!("opportunities({opportunity})"), Some(json!({"estimatedvalue": value}))).await?;
            until(began, || async {
                let one = place.admin(Method::GET, &format!("partner/referrals/{referral}"), json!({})).await?;
                Ok(one["details"]["dealValue"].as_f64() == Some(value as f64))
            })
            .await?;
            to_partner.push(began.elapsed());
        }
        watch.kill().await?;
        println!(
            "watch {title}, a round every {EVERY} s, seconds (median, longest): Partner Center to Dynamics 365 {}, back {}",
            shown(&mut to_dynamics),
            shown(&mut to_partner)
        );
    }
    Ok(())
}

async fn until<F: Future<Output = Result<bool>>>(began: Instant, holds: impl Fn() -> F) -> Result<()> {
    while !holds().await? {
        if began.elapsed() > PATIENCE {
            return Err("a change did not reach the other system".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn shown(times: &mut [Duration]) -> String {
    times.sort();
    let seconds = |time: Option<&Duration>| time.map(Duration::as_secs_f64).unwrap_or_default();
    format!("{:.1}, {:.1}", seconds(times.get(times.len() / 2)), seconds(times.last()))
}
