//! `d365map login` and `d365map logout`: a person signs in to a connection that accepts no app alone.

use std::io::IsTerminal as _;
use std::time::Duration;

use super::output::print;
use super::{Exit, Global};
use crate::app::{CommandError, ErrorKind, files, runtime, sign_in};
use crate::connect::{ConnectError, Delegated, LoginError, SignInMethod, SignedIn};
use crate::project::Project;
use crate::systems::partner_center::Account;

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
pub struct LoginArgs {
    /// The connection to sign in to.
    #[arg(value_enum)]
    connection: Name,
    /// Show a code that you enter on any device.
    #[arg(long, conflicts_with = "browser")]
    device_code: bool,
    /// Sign in with the browser of this machine.
    #[arg(long)]
    browser: bool,
    /// Seconds to wait for the browser.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// Arguments of `logout`.
#[derive(Debug, clap::Args)]
pub struct LogoutArgs {
    /// The connection to sign out of.
    #[arg(value_enum)]
    connection: Name,
}

/// The connections that a person signs in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    PartnerCenter,
}

/// Signs a person in.
pub fn login(args: &LoginArgs, global: &Global) -> Result<Exit, CommandError> {
    let Name::PartnerCenter = args.connection;
    let project = files::need_project(global.project.as_deref())?;
    let account = sign_in::account(&project)?;
    runtime()?.block_on(async {
        let signed_in = signed_in(args, &project, &account).await.map_err(failed)?;
        // The first use of the refresh token shows that the sign-in serves the other audience as well.
        let webhooks = account.access().refresh(account.webhooks_audience()).await;
        print(&report(&signed_in, account.access(), webhooks.err().as_ref()));
        Ok(Exit::Clean)
    })
}

async fn signed_in(args: &LoginArgs, project: &Project, account: &Account) -> Result<SignedIn, LoginError> {
    let configured = project.connections.partner_center.as_ref().map(|c| c.config.sign_in.method).unwrap_or_default();
    let method = match (args.device_code, args.browser) {
        (true, _) => SignInMethod::DeviceCode,
        (_, true) => SignInMethod::AuthorizationCode,
        (false, false) => configured,
    };
    let (access, audience) = (account.access(), account.referrals_audience());
    match method {
        SignInMethod::DeviceCode => {
            let begun = access.begin_device(audience).await?;
            say!("To sign in, open {} on any device and enter the code {}", begun.address, begun.user_code);
            say!("Waiting for the sign-in; the code is valid for {} minutes", begun.expires_in.as_secs().div_ceil(60));
            access.finish_device(begun).await
        }
        SignInMethod::AuthorizationCode => {
            let begun = access.begin_browser(audience).await?;
            say!("To sign in, open this address in a browser on this machine:\n{}", begun.address);
            if std::io::stderr().is_terminal() && open::that_detached(begun.address.as_str()).is_err() {
                say!("The browser could not be started. Open the address yourself, or use `--device-code`");
            }
            access.finish_browser(begun, Duration::from_secs(args.timeout)).await
        }
    }
}

fn report(signed_in: &SignedIn, access: &Delegated, webhooks: Option<&ConnectError>) -> String {
    let account = signed_in.account.as_deref().unwrap_or("an account without a name");
    let mfa = if signed_in.mfa { "with" } else { "without" };
    let mut text = format!("signed in to Partner Center as {account}, {mfa} multifactor authentication\n");
    if let Some(file) = access.file() {
        text.push_str(&format!("the sign-in is kept in {}\n", file.display()));
    }
    match webhooks {
        None => text.push_str("it is valid for the referrals API and the webhooks API\n"),
        Some(error) => text.push_str(&format!("it is valid for the referrals API, but not for the webhooks API: {error}\n")),
    }
    text
}

/// Signs out.
pub fn logout(args: &LogoutArgs, global: &Global) -> Result<Exit, CommandError> {
    let Name::PartnerCenter = args.connection;
    let project = files::need_project(global.project.as_deref())?;
    let account = sign_in::account(&project)?;
    let removed = runtime()?.block_on(account.access().sign_out()).map_err(failed)?;
    print(if removed {
        "signed out of Partner Center: the token file was removed. To end the sign-in in Entra ID as well, revoke the sessions of the account there\n"
    } else {
        "no account was signed in to Partner Center\n"
    });
    Ok(Exit::Clean)
}

fn failed(error: LoginError) -> CommandError {
    CommandError::new(ErrorKind::Service, error)
}
