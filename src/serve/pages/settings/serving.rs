//! Where pages and API are, and who may use them.

use super::connections::secret;
use super::{Section, row};
use crate::project::ServeSettings;

pub(super) fn section(settings: &ServeSettings) -> Section {
    let key = |name: &str| format!("serve.{name}");
    let yes = |answer: bool| if answer { "true" } else { "false" };
    let mut rows = vec![row(key("listen"), settings.listen.to_string())];
    rows.extend(settings.public_url.as_ref().map(|url| row(key("public-url"), url.as_str())));
    if let Some(tls) = &settings.tls {
        rows.push(row(key("tls.certificate"), tls.certificate.display().to_string()));
        rows.push(secret(key("tls.key"), &tls.key));
    }
    rows.push(row(key("behind-proxy"), yes(settings.behind_proxy)));
    rows.push(row(key("edit"), yes(settings.edit)));
    if let Some(sign_in) = &settings.sign_in {
        rows.push(row(key("sign-in.issuer"), sign_in.issuer.as_str()));
        rows.push(row(key("sign-in.client-id"), &sign_in.client_id));
        rows.extend(sign_in.client_secret.as_ref().map(|place| secret(key("sign-in.client-secret"), place)));
        rows.push(row(key("sign-in.scopes"), sign_in.scopes.join(", ")));
        rows.push(row(key("sign-in.roles-claim"), &sign_in.roles_claim));
        rows.push(row(key("sign-in.name-claim"), &sign_in.name_claim));
        let roles = sign_in.roles.iter().filter(|(_, values)| !values.is_empty());
        rows.extend(roles.map(|(role, values)| row(key(&format!("sign-in.{}", role.name())), values.join(", "))));
    }
    for client in &settings.clients {
        let mut shown = secret(key("clients"), &client.token);
        shown.value = format!("{}: {}, token {}", client.name, client.role.name(), shown.value);
        rows.push(shown);
    }
    let note = "Address, encryption and sign-in are those of the first project that the server was started with.";
    Section { title: "Pages and API", note: Some(note), rows }
}
