//! What a token service's refusal means, and how to fix it.
//!
//! Sources: Microsoft Entra, *error codes*; RFC 6749, 5.2; Adobe, *OAuth server-to-server*. Which code IMS gives for what is
//! assumed.

use super::Bench;
use crate::connect::ConnectError;

/// Whose token service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// Microsoft Entra ID.
    Entra,
    /// Adobe's IMS.
    Ims,
}

/// Asks for a token, and says what came of it; whether there is one.
pub async fn sign_in(
    bench: &mut Bench,
    id: &'static str,
    issuer: Issuer,
    client_id: &str,
    asked: impl Future<Output = Result<(), ConnectError>>,
) -> bool {
    match bench.step(asked).await {
        Ok(Ok(())) => bench.ok(id, "token", format!("issued to {client_id}")),
        Ok(Err(error)) => {
            let (cause, mend) = explain(&error, issuer, client_id);
            bench.fail(id, "token", cause, mend);
            return false;
        }
        Err(_) => {
            bench.over(id, "token");
            return false;
        }
    }
    true
}

/// The cause and the remedy of a failure to get a token.
pub fn explain(error: &ConnectError, issuer: Issuer, client_id: &str) -> (String, String) {
    let ConnectError::Token { call, remedy } = error else { return plain(error) };
    let code = call.code.as_deref().unwrap_or_default();
    let said = call.message.as_deref().map(first).unwrap_or_default();
    let status = call.status.map_or(String::new(), |s| format!(" with {s}"));
    let known = match issuer {
        Issuer::Entra => entra(code, client_id),
        Issuer::Ims => ims(code, said, client_id),
    };
    let (cause, mend) = known.unwrap_or_else(|| ("the token service refuses the client".to_owned(), remedy.clone()));
    let shown = if code.is_empty() || said.starts_with(code) { said.to_owned() } else { format!("{code}: {said}") };
    let shown = if shown.is_empty() { format!("it answered{status} without a message") } else { shown };
    (format!("{cause} ({shown})"), mend)
}

/// Any other error of a call, as it explains itself: the call and what it means.
pub fn plain(error: &ConnectError) -> (String, String) {
    let text = error.to_string();
    // Each error's text ends with its remedy, behind the last semicolon.
    match text.rsplit_once("; ") {
        Some((cause, mend)) => (cause.to_owned(), mend.to_owned()),
        None => (text, "run with -vv for the requests".to_owned()),
    }
}

/// The first sentence or line; what follows are ids and times.
fn first(message: &str) -> &str {
    let end = message.find(" Trace ID:").or_else(|| message.find(['\r', '\n'])).unwrap_or(message.len());
    message[..end].trim().trim_end_matches('.')
}

fn entra(code: &str, client_id: &str) -> Option<(String, String)> {
    let (cause, mend) = match code {
        "AADSTS7000215" => (
            "the client secret is wrong".to_owned(),
            "give the secret's value, not its id: in the app registration under Certificates & secrets make a new one, and copy the column Value".to_owned(),
        ),
        "AADSTS7000222" => (
            "the client secret has expired".to_owned(),
            "make a new one in the app registration under Certificates & secrets, put it where the project file points, and note when it ends".to_owned(),
        ),
        "AADSTS7000216" => (
            "the token service received no credential".to_owned(),
            "check that the secret's reference in the project file leads to a secret".to_owned(),
        ),
        "AADSTS700016" => (
            format!("the application {client_id} is not known in this tenant"),
            "check `client-id` (the registration's Application (client) ID, not its object ID) and `tenant` (the directory of the registration)".to_owned(),
        ),
        "AADSTS90002" | "AADSTS900023" => (
            "there is no such tenant".to_owned(),
            "check `tenant`: the Directory (tenant) ID of the app registration, or one of the directory's domains".to_owned(),
        ),
        "AADSTS500011" => (
            "the token service does not know this environment".to_owned(),
            format!("the environment's address is wrong, or it is in another tenant: {}", super::address::WHERE),
        ),
        "AADSTS1002012" | "AADSTS70011" => (
            "the scope is not accepted".to_owned(),
            "the scope is made of the connection's `url`: give the environment's address without a path".to_owned(),
        ),
        "AADSTS7000112" => (
            format!("the application {client_id} is disabled in this tenant"),
            "let an administrator enable it under Enterprise applications".to_owned(),
        ),
        "AADSTS700027" => (
            "the certificate is not accepted".to_owned(),
            "check that this certificate is uploaded in the app registration under Certificates & secrets, and has not expired".to_owned(),
        ),
        "AADSTS700024" => (
            "the signed assertion is outside its time".to_owned(),
            "check this machine's clock".to_owned(),
        ),
        "AADSTS53003" => (
            "a conditional access policy blocks the application".to_owned(),
            "let an administrator exempt the workload identity, or allow this machine's network".to_owned(),
        ),
        _ => return None,
    };
    Some((cause, mend))
}

fn ims(code: &str, said: &str, client_id: &str) -> Option<(String, String)> {
    let (cause, mend) = match code {
        "invalid_client" if said.contains("client_id") => (
            format!("the credential {client_id} is not known"),
            "take the client id from the project's OAuth server-to-server credential in the Adobe developer console".to_owned(),
        ),
        "invalid_client" | "unauthorized_client" => (
            "the client secret is wrong, or the credential is not active".to_owned(),
            "take the secret from the project's OAuth server-to-server credential in the Adobe developer console; a rotated secret replaces the old one".to_owned(),
        ),
        "invalid_scope" => (
            "a scope is not granted to the credential".to_owned(),
            "write the scopes that the developer console shows for the credential into `scope`; if Campaign's are not among them, add the Campaign Standard API to the project".to_owned(),
        ),
        "invalid_request" => (
            "the token service found something missing in the request".to_owned(),
            "check `scope` and `token-url` of the connection".to_owned(),
        ),
        _ => return None,
    };
    Some((cause, mend))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Call;

    #[test]
    fn an_entra_message_is_cut_before_its_ids_and_keeps_its_code() {
        let message = "AADSTS7000222: The provided client secret keys are expired. Trace ID: a Correlation ID: b Timestamp: c";
        let call = Call { status: Some(401), code: Some("AADSTS7000222".into()), message: Some(message.into()), ..Call::default() };
        let (cause, mend) = explain(&ConnectError::Token { call: Box::new(call), remedy: "r".into() }, Issuer::Entra, "id");
        assert_eq!(cause, "the client secret has expired (AADSTS7000222: The provided client secret keys are expired)");
        assert!(mend.contains("Certificates & secrets"));
    }

    #[test]
    fn an_unknown_refusal_keeps_the_connectors_remedy() {
        let call = Call { status: Some(400), code: Some("odd".into()), message: Some("why".into()), ..Call::default() };
        let (cause, mend) = explain(&ConnectError::Token { call: Box::new(call), remedy: "check it".into() }, Issuer::Ims, "id");
        assert_eq!((cause.as_str(), mend.as_str()), ("the token service refuses the client (odd: why)", "check it"));
    }
}
