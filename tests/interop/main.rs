//! Our connectors against servers that are not ours. `tests/interop/run.sh` starts them and says where they are; `cargo test` leaves this out.

mod odata;
mod sign_in;
mod tokens;

use secrecy::SecretString;
use url::Url;

use d365map::connect::{Http, HttpConfig};

/// The address of a server that the script has started.
fn server(variable: &str) -> Url {
    let text =
        std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: call tests/interop/run.sh, which starts the servers"));
    text.parse().unwrap_or_else(|e| panic!("{variable} is not an address: {e}"))
}

fn http() -> Http {
    Http::new(HttpConfig { attempts: 2, ..HttpConfig::default() }).expect("a client")
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}
