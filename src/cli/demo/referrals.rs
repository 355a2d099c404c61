//! Referrals in the demonstration: a deal of Partner Center becomes an opportunity, an opportunity becomes a referral, and winning it
//! closes the deal.

use std::path::Path;
use std::sync::Arc;

use d365map_emulator::Running;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{DemoError, DemoRun, Sales, admin, shipped_plan, show, write};
use crate::app::{options, services, sign_in, state};
use crate::cli::emulated;
use crate::plan::TwoWayFlow;
use crate::project::{FILE_NAME, Project, template};
use crate::run::{Pace, Publisher, run as execute};
use crate::store::Access;

/// The runs of this part.
const RUNS: [&str; 2] = ["First run", "After the opportunity was won"];

/// What happens before the first run, and between the two.
const CHANGES: &str =
    "Before the first run, a deal is made in Partner Center, and an opportunity is set to \"Sync with Partner Center\" in Dynamics.
Between the runs, that opportunity is won.
";

/// What this part shows.
pub struct Referrals {
    pub runs: Vec<DemoRun>,
    opportunity: Vec<show::Pair>,
    referral: Vec<show::Pair>,
}

impl Referrals {
    /// The text for people.
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{CHANGES}\n{}",
            show::side_by_side(["A deal in Partner Center", "Its opportunity in Dynamics 365"], &self.opportunity),
            show::side_by_side(["An opportunity in Dynamics 365", "Its referral in Partner Center"], &self.referral),
            show::numbers(&self.runs, &[]),
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({"runs": super::runs_json(&self.runs), "opportunity": self.opportunity, "referral": self.referral})
    }
}

/// Lets the deals travel. Everything is kept in `folder`, the sign-in too.
pub async fn demo(emulators: &Running, folder: &Path, say: impl Fn(&str)) -> Result<Referrals, DemoError> {
    let project = project(emulators, folder)?;
    let plan = Arc::new(shipped_plan(&[template::REFERRALS])?);
    let flow = plan.two_way.first().ok_or("the shipped mapping of referrals is missing")?;
    sign_in(&project).await?;
    say("Signed in to Partner Center, which runs on this machine too.");
    let sales = Sales::log_in(emulators).await?;
    let deal = make_deal(emulators).await?;
    let opportunity = make_opportunity(&sales).await?;

    let stores = state::open(&project, Access::Run).await?;
    let mut runs = Vec::new();
    for title in RUNS {
        if runs.len() == 1 {
            admin(emulators, Method::PATCH, &format!("rows/opportunity/{opportunity}"), json!({"statecode": 1})).await?;
        }
        let (http, services) = services::of_plan(&project, &plan, None, Some(&services::spent_today(&stores).await?))?;
        let options = options::of_project(&project, Pace::Once, Vec::new());
        let token = CancellationToken::new();
        let summary = execute(plan.clone(), services, stores.clone(), options, Publisher::default(), token).await?;
        runs.push(DemoRun { title, summary, calls: http.stats() });
    }
    let referrals = admin(emulators, Method::GET, "partner/referrals", Value::Null).await?;
    let opportunities = opportunities(&sales, flow).await?;
    let of = |list: &Value, key: &str, id: &str| list.as_array().into_iter().flatten().find(|one| one[key] == *id).cloned();
    let theirs = of(&referrals, "id", &deal).zip(of(&opportunities, &flow.right.key, &deal));
    let ours = of(&opportunities, "opportunityid", &opportunity).zip(of(&referrals, "externalReferenceId", &opportunity));
    Ok(Referrals {
        opportunity: theirs.map(|(referral, opportunity)| show::to_opportunity(flow, &referral, &opportunity)).unwrap_or_default(),
        referral: ours.map(|(opportunity, referral)| show::to_referral(flow, &opportunity, &referral)).unwrap_or_default(),
        runs,
    })
}

/// A project with the mapping of referrals. Its token file is in the same folder, and not in that of the user.
fn project(emulators: &Running, folder: &Path) -> Result<Project, DemoError> {
    let (path, text) = template::REFERRALS;
    write(folder, path, text)?;
    emulated::write_secrets(folder).map_err(|(path, error)| format!("{}: {error}", path.display()))?;
    let connections = emulated::connections(emulators, emulated::IN_FILES);
    let partner = emulated::partner_center(emulators).ok_or("Partner Center was not started")?;
    write(folder, FILE_NAME, &format!("version: 1\n{connections}{partner}    token-file: partner-center.json\n"))?;
    Ok(Project::load(&folder.join(FILE_NAME))?)
}

/// Signs in with a device code, which the emulator confirms.
async fn sign_in(project: &Project) -> Result<(), DemoError> {
    let account = sign_in::account(project)?;
    let begun = account.access().begin_device(account.referrals_audience()).await?;
    account.access().finish_device(begun).await?;
    Ok(())
}

/// Makes a co-sell deal in Partner Center with a customer that Dynamics does not know. Returns its id.
async fn make_deal(emulators: &Running) -> Result<String, DemoError> {
    let deal = json!({
        "name": "Contoso: move to the cloud", "type": "Shared", "qualification": "SalesQualified", "status": "Active",
        "substatus": "Accepted", "direction": "Outgoing",
        "customerProfile": {
            "name": "Contoso", "address": {"addressLine1": "1 Way", "city": "Redmond", "state": "WA", "postalCode": "98052", "country": "US"},
            "team": [{"firstName": "Ann", "lastName": "Lee", "phoneNumber": "+1 425 555 0100", "email": "ann@contoso.example"}],
        },
        "team": [{"firstName": "Sam", "lastName": "Seller", "phoneNumber": "+1 206 555 0100", "email": "seller@partner.example"}],
        "consent": {"consentToContact": true, "consentToToShareInfoWithOthers": true, "consentToShareReferralWithMicrosoftSellers": true},
        "inviteContext": {"assistanceRequestCode": "GeneralOrOther"},
        "details": {
            "dealValue": 50000, "currency": "USD", "closingDateTime": "2027-03-31T00:00:00Z", "notes": "Asks for a first talk",
            "requirements": {"solutions": [{"id": "SOL-12345-ABC", "name": "Migration kit", "type": "Name"}]},
        },
    });
    let made = admin(emulators, Method::POST, "partner/referrals", deal).await?;
    Ok(made["id"].as_str().ok_or("the emulator gave the deal no id")?.to_owned())
}

/// Makes an opportunity with an account in Dynamics, and lets it take part. Returns its id.
async fn make_opportunity(sales: &Sales) -> Result<String, DemoError> {
    let (account, opportunity) = (uuid::Uuid::new_v4().to_string(), uuid::Uuid::new_v4().to_string());
    let body = json!({
        "accountid": account, "name": "Fabrikam", "address1_line1": "Marktplatz 1", "address1_city": "Berlin",
        "address1_postalcode": "10115", "address1_country": "de",
    });
    sales.send(Method::POST, "accounts", Some(body)).await?;
    let body = json!({
        "opportunityid": opportunity, "name": "Fabrikam: data platform", "estimatedvalue": 20000, "estimatedclosedate": "2027-06-30",
        "description": "Wants an offer this month", "parentaccountid@odata.bind": format!("/accounts({account})"),
        "msft_microsoftpartnercenterreferralsync": true,
    });
    sales.send(Method::POST, "opportunities", Some(body)).await?;
    Ok(opportunity)
}

/// All opportunities, with the records that their lookups lead to.
async fn opportunities(sales: &Sales, flow: &TwoWayFlow) -> Result<Value, DemoError> {
    let expand: Vec<&str> = flow.links.iter().map(|link| link.navigation.as_str()).collect();
    let listed = sales.send(Method::GET, &format!("opportunities?$expand={}", expand.join(",")), None).await?;
    Ok(listed["value"].clone())
}
