//! What a referral looks like: the names of its fields, the values they may have, and how it is written in answers.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::{Map, Value as Json, json};

use super::error::{Problem, Result};

/// A referral with all fields that live data have, most of them null. [O]
static TEMPLATE: &str = include_str!("template.json");

/// Fields of list elements, which the template does not show.
const OF_ELEMENTS: &[&str] = &[
    "firstName",
    "lastName",
    "phoneNumber",
    "email",
    "title",
    "contactPreference",
    "locale",
    "disableNotifications",
    "profileType",
    "price",
    "quantity",
    "publisherName",
    "solutionType",
    "registrationDateTime",
    "contract",
    "value",
    "startDateTime",
    "endDateTime",
    "signDateTime",
    "term",
    "solutionDetails",
    "isDeployedOnAzure",
    "primaryDeploymentOn",
    "pricingModel",
    "marketplaceTransactionDetails",
    "isMarketplaceTransacted",
    "marketplaceTransactionDateTime",
    "statusHistory",
    "reviewPendingDateTime",
    "actionRequiredDateTime",
    "passedDateTime",
    "failedDateTime",
    "approvedDateTime",
];

/// Fields that only the service writes. [K]
pub(super) const READ_ONLY: &[&str] = &[
    "id",
    "engagementId",
    "organizationId",
    "organizationName",
    "createdDateTime",
    "updatedDateTime",
    "expirationDateTime",
    "acceptedDateTime",
    "closedDateTime",
    "direction",
    "registrationStatus",
    "eTag",
    "links",
    "trackingInfo",
    "createdVia",
    "lastModifiedVia",
    "lastRunId",
];

pub(super) fn template() -> &'static Json {
    static PARSED: OnceLock<Json> = OnceLock::new();
    PARSED.get_or_init(|| serde_json::from_str(TEMPLATE).unwrap_or(Json::Null))
}

/// The known names by their lower-case form.
fn names() -> &'static HashMap<String, String> {
    static NAMES: OnceLock<HashMap<String, String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        fn collect(value: &Json, names: &mut HashMap<String, String>) {
            for (name, inner) in value.as_object().into_iter().flatten() {
                names.insert(name.to_ascii_lowercase(), name.clone());
                collect(inner, names);
            }
        }
        let mut names = HashMap::new();
        collect(template(), &mut names);
        names.extend(OF_ELEMENTS.iter().map(|name| (name.to_ascii_lowercase(), (*name).to_owned())));
        names
    })
}

/// The name of a field as the service writes it; what it does not know stays as it is.
pub(super) fn canonical_name(name: &str) -> &str {
    names().get(&name.to_ascii_lowercase()).map_or(name, String::as_str)
}

/// A body with the names of its fields as the service writes them: the case of names is free on input. [I]
pub(super) fn canonical(value: &Json) -> Result<Json> {
    Ok(match value {
        Json::Object(fields) => {
            let mut out = Map::new();
            for (name, inner) in fields {
                if out.insert(canonical_name(name).to_owned(), canonical(inner)?).is_some() {
                    return Err(Problem::invalid(format!("The field `{name}` is repeated.")));
                }
            }
            Json::Object(out)
        }
        Json::Array(items) => Json::Array(items.iter().map(canonical).collect::<Result<_>>()?),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value.clone(),
    })
}

/// Adds the fields that a body does not have.
pub(super) fn fill(body: &mut Json, template: &Json) {
    let Json::Object(wanted) = template else { return };
    if body.is_null() {
        *body = json!({});
    }
    let Json::Object(fields) = body else { return };
    for (name, inner) in wanted {
        let field = fields.entry(name.clone()).or_insert(Json::Null);
        // An object is there with all its fields, and a list is empty rather than null.
        if inner.is_object() {
            fill(field, inner);
        } else if field.is_null() {
            field.clone_from(inner);
        }
    }
}

/// Text at a path of object fields.
pub(super) fn text<'a>(body: &'a Json, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(body, |value, name| value.get(name))?.as_str()
}

fn one_of(body: &Json, path: &[&str], values: &[&str]) -> Result<()> {
    let Some(value) = path.iter().try_fold(body, |value, name| value.get(name)).filter(|value| !value.is_null()) else { return Ok(()) };
    if value.as_str().is_some_and(|value| values.contains(&value)) {
        return Ok(());
    }
    Err(Problem::invalid(format!("{value} is not a value of {}. Its values are: {}.", path.join("/"), values.join(", "))))
}

const CODES: &[&str] = &[
    "Unknown",
    "GeneralOrOther",
    "CustomerTechnicalArchitecture",
    "ProofOfConceptOrDemo",
    "QuotesOrLicensing",
    "PostSalesCustomerSuccess",
    "WorkloadSpecificValueProposition",
];

/// Sizes of a customer, of the old and of the new list. [D]
const SIZES: &[&str] = &[
    "",
    "1to50employees",
    "51to500employees",
    "Morethan500employees",
    "1to9employees",
    "10to50employees",
    "51to250employees",
    "251to1000employees",
    "1001to5000employees",
    "5001to10000employees",
    "10001to20000employees",
    "Morethan20000employees",
];

/// Whether somebody asks Microsoft for help.
pub(super) fn asks_for_help(body: &Json) -> bool {
    text(body, &["inviteContext", "assistanceRequestCode"]).is_some_and(|code| code != "Unknown")
}

/// Whether the referral is Microsoft's part of an engagement.
pub(super) fn targets_microsoft(body: &Json) -> bool {
    let targets = body["target"].as_array().map_or(&[][..], Vec::as_slice);
    targets.iter().any(|target| target["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case("msft")))
}

/// Checks the values of a filled referral.
pub(super) fn validate(body: &mut Json, check_co_sell: bool) -> Result<()> {
    for part in ["customerProfile", "consent", "details", "inviteContext"] {
        if !body[part].is_object() {
            return Err(Problem::invalid(format!("{part} must be an object.")));
        }
    }
    one_of(body, &["type"], &["Shared", "Independent"])?;
    if body["type"].is_null() {
        return Err(Problem::invalid("type is missing."));
    }
    one_of(body, &["qualification"], &["None", "Direct", "MarketingQualified", "SalesQualified"])?;
    one_of(body, &["status"], &["None", "New", "Active", "Closed"])?;
    one_of(body, &["substatus"], &["None", "Pending", "Received", "Accepted", "Won", "Lost", "Declined", "Expired"])?;
    one_of(body, &["inviteContext", "assistanceRequestCode"], CODES)?;
    one_of(body, &["customerProfile", "size"], SIZES)?;
    for target in body["target"].as_array().into_iter().flatten() {
        one_of(target, &["type"], &["None", "BusinessProfileLocation", "SolutionProfile"])?;
    }
    let requirements = &body["details"]["requirements"];
    for solution in requirements["solutions"].as_array().into_iter().flatten() {
        one_of(solution, &["type"], &["None", "Category", "Name"])?;
    }
    if requirements["solutions"].as_array().is_some_and(|list| list.len() > 50)
        || body["team"].as_array().is_some_and(|list| list.len() > 50)
    {
        return Err(Problem::invalid("A deal can have at most 50 solutions and 50 team members."));
    }
    if text(body, &["customerProfile", "name"]).is_none_or(|name| name.trim().is_empty()) {
        return Err(Problem::invalid("customerProfile/name is missing."));
    }
    let country = text(body, &["customerProfile", "address", "country"]);
    if !country.is_some_and(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic())) {
        return Err(Problem::invalid("customerProfile/address/country must be an ISO 3166-1 code of two letters."));
    }
    if !body["details"]["currency"].is_null()
        && !text(body, &["details", "currency"]).is_some_and(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic()))
    {
        return Err(Problem::invalid("details/currency must be an ISO 4217 code of three letters."));
    }
    deal_value(body)?;
    let closing = &body["details"]["closingDateTime"];
    if !closing.is_null() && !closing.as_str().is_some_and(is_date) {
        return Err(Problem::invalid(format!("{closing} is not a date: details/closingDateTime.")));
    }
    for (name, flag) in body["consent"].as_object().into_iter().flatten() {
        if !flag.is_boolean() && !flag.is_null() {
            return Err(Problem::invalid(format!("consent/{name} must be true or false.")));
        }
    }
    if check_co_sell { co_sell(body) } else { Ok(()) }
}

fn is_date(text: &str) -> bool {
    crate::time::parse_instant(text).is_some() || crate::time::parse_date(text).is_some()
}

/// A deal value is a number; text with a number in it is taken too.
fn deal_value(body: &mut Json) -> Result<()> {
    let value = &mut body["details"]["dealValue"];
    let number = match &*value {
        Json::Null => return Ok(()),
        Json::Number(_) => return Ok(()),
        Json::String(text) => serde_json::from_str::<serde_json::Number>(text.trim()).ok(),
        Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    };
    let Some(number) = number else { return Err(Problem::invalid(format!("{value} is not a number: details/dealValue."))) };
    *value = Json::Number(number);
    Ok(())
}

/// What a co-sell request needs. [D]
fn co_sell(body: &Json) -> Result<()> {
    if !asks_for_help(body) && !targets_microsoft(body) {
        return Ok(());
    }
    let full = |member: &Json| {
        ["firstName", "lastName", "phoneNumber", "email"].iter().all(|name| member[name].as_str().is_some_and(|text| !text.is_empty()))
    };
    let any_full = |list: &Json| list.as_array().is_some_and(|list| list.iter().any(full));
    if body["consent"]["consentToShareReferralWithMicrosoftSellers"] != true {
        return Err(Problem::invalid("A co-sell opportunity needs consent/consentToShareReferralWithMicrosoftSellers."));
    }
    if body["details"]["requirements"]["solutions"].as_array().is_none_or(Vec::is_empty) {
        return Err(Problem::invalid("Solution ID is required: details/requirements/solutions."));
    }
    if !any_full(&body["customerProfile"]["team"]) {
        let text = "A customer contact with first name, last name, phone number and e-mail address is required: customerProfile/team.";
        return Err(Problem::invalid(text));
    }
    if !any_full(&body["team"]) {
        return Err(Problem::invalid("A team member with first name, last name, phone number and e-mail address is required: team."));
    }
    Ok(())
}

/// Escapes text as HTML, as live data have their names. [O]
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// Takes the escapes out of a text that was read before and is written back. [K]
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

/// Changes the names that are escaped in answers.
fn change_names(body: &mut Json, change: impl Fn(&str) -> String) {
    let apply = |value: &mut Json| {
        if let Json::String(text) = value {
            *text = change(text);
        }
    };
    apply(&mut body["name"]);
    apply(&mut body["organizationName"]);
    if body["customerProfile"].is_object() {
        apply(&mut body["customerProfile"]["name"]);
    }
}

/// Stores names as people typed them, whether or not a client sends back what it has read.
pub(super) fn unescape_names(body: &mut Json) {
    change_names(body, unescape);
}

/// A referral as an answer has it.
pub(super) fn render(body: &Json, root: &str, escape_names: bool) -> Json {
    let mut out = body.clone();
    let (id, engagement) = (text(body, &["id"]).unwrap_or_default(), text(body, &["engagementId"]).unwrap_or_default());
    out["links"] = json!({
        "relatedReferrals": {"uri": format!("{root}?$filter=engagementId eq {engagement}"), "method": "GET"},
        "self": {"uri": format!("{root}/{id}"), "method": "GET"},
    });
    if escape_names {
        change_names(&mut out, escape);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_names_is_free_and_unknown_names_stay() {
        let body = json!({"CustomerProfile": {"Name": "x"}, "Consent": {"ConsentToToShareInfoWithOthers": true}, "NewField": 1});
        let wanted = json!({"customerProfile": {"name": "x"}, "consent": {"consentToToShareInfoWithOthers": true}, "NewField": 1});
        assert_eq!(canonical(&body).unwrap(), wanted);
        assert!(canonical(&json!({"Name": 1, "name": 2})).is_err());
    }

    #[test]
    fn a_body_is_filled_with_nulls_and_keeps_what_it_has() {
        let mut body = json!({"name": "x", "details": {"dealValue": 5}, "team": null});
        fill(&mut body, template());
        assert_eq!((&body["details"]["dealValue"], &body["team"]), (&json!(5), &json!([])));
        assert!(body["details"].as_object().unwrap().contains_key("notes"));
    }

    #[test]
    fn names_are_escaped_in_answers_and_kept_plain() {
        let mut body = json!({"name": "A & B", "organizationName": null, "customerProfile": {"name": "<C>"}});
        let shown = render(&body, "r", true);
        assert_eq!((&shown["name"], &shown["customerProfile"]["name"]), (&json!("A &amp; B"), &json!("&lt;C&gt;")));
        body["name"] = json!("A &amp; B");
        unescape_names(&mut body);
        assert_eq!(body["name"], "A & B");
    }
}
