//! The settings of the emulators.

use std::path::PathBuf;
use std::time::Duration;

use super::campaign::LinkForms;
use super::partner_center::PartnerCenterConfig;

/// How the emulators are set up. Start from [`Config::default`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Sample contacts to generate; the same ones for the same `random_seed`.
    pub contacts: usize,
    /// The text of a seed file (JSON), of at most [`MAX_SEED_BYTES`](crate::MAX_SEED_BYTES).
    pub seed_text: Option<String>,
    /// What errors in the seed are reported under: the path of its file.
    pub seed_name: String,
    /// A folder in which rows, definitions and history are kept over restarts; what it holds goes before seeds and samples.
    pub data: Option<PathBuf>,
    /// Added to every answer.
    pub latency: Duration,
    /// The share of requests that fail at random, 0.0 to 1.0: 500, 503, a reset connection, or a lost answer in equal parts.
    pub fail_rate: f64,
    /// Requests per second, user and API; above it 429.
    pub throttle: Option<u32>,
    /// Service protection by its documented form: requests in a window. Taken when `throttle` is absent.
    pub service_protection: Option<(u32, Duration)>,
    /// Requests at one time to Dataverse, per user and server; above it 429.
    pub max_concurrency: Option<u32>,
    /// The execution time of all requests to Dataverse in a window (total, window), per user and server; above it 429.
    pub max_execution: Option<(Duration, Duration)>,
    /// Web servers of Dataverse, each with its own limits; requests without the affinity cookie meet them in turn.
    pub servers: u32,
    /// The address under which clients reach Dataverse, when it is not the port's own: behind a proxy that ends TLS.
    pub dataverse_public_url: Option<String>,
    /// A certificate (PEM) registered for the integration's application in Dataverse.
    pub certificate: Option<String>,
    /// Seed of everything random.
    pub random_seed: u64,
    /// How long access tokens live.
    pub token_lifetime: Duration,
    /// The largest page Dataverse gives (5000 in the service).
    pub page_cap: usize,
    /// How long delta tokens live (7 days by the documents).
    pub delta_retention: Duration,
    /// The HTTP status of an expired delta token. Not documented; 400 by default.
    pub expired_delta_status: u16,
    /// Where the one answer of a failed change set is: in the response of that change set, or directly in the batch's. Seen with
    /// clients only; nested by default.
    pub nested_change_set_error: bool,
    /// Whether every expanded collection of Dataverse comes with a link to itself, as the documents' examples show.
    pub expand_links: bool,
    /// Whether Dataverse refuses `null` in `@odata.bind`. The documents let it clear a lookup, some clients met a refusal.
    pub refuse_null_bind: bool,
    /// Whether rows of Dataverse that are not active are read-only until they are made active, as activities are that are closed.
    pub inactive_read_only: bool,
    /// The HTTP status of a create in Campaign whose key is taken. Not documented; 409 by default.
    pub duplicate_status: u16,
    /// The HTTP status of a body or a parameter that Campaign refuses. Not documented; 400 by default, 500 is seen in its comments.
    pub refusal_status: u16,
    /// The HTTP status of Campaign for a record that is not there. Not documented; 404 by default.
    pub missing_status: u16,
    /// The forms in which Campaign takes links. Documented is the PKey; all by default.
    pub link_forms: LinkForms,
    /// Whether Campaign's 429 carries `Retry-After`. Not documented; by default it does.
    pub campaign_retry_after: bool,
    /// Certificates or public keys (PEM) of the deprecated service account, beside those of the admin interface.
    pub jwt_keys: Vec<String>,
    /// Rows beyond which Campaign's lists give no `next` without `_forcePagination` (100,000 by the documents).
    pub big_table_threshold: usize,
    /// Whether the `email` data policy lower-cases. Assumed: it does.
    pub lower_email: bool,
    /// Whether the `smartCase` data policy changes the case. Assumed: it does not.
    pub smart_case: bool,
    /// Whether the `phone` data policy takes out all but digits and `+`. Assumed: it does not.
    pub strip_phone: bool,
    /// Whether Campaign cuts a text that is too long, in place of refusing it. Not documented; by default it refuses. The vendor's own
    /// tests of its client write 34 characters into a first name of 30, and are answered 200.
    pub cut_overlong: bool,
    /// Whether Campaign refuses bodies that are not called `application/json` with 415. It does not: the vendor's own client sends `text/plain`.
    pub strict_content_type: bool,
    /// Fixed ports for use by hand; 0 takes a free one.
    pub dataverse_port: u16,
    /// See `dataverse_port`.
    pub campaign_port: u16,
    /// See `dataverse_port`.
    pub journal_port: u16,
    /// See `dataverse_port`.
    pub admin_port: u16,
    /// Starts the Partner Center emulator too, with these settings.
    pub partner_center: Option<PartnerCenterConfig>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            contacts: 0,
            seed_text: None,
            seed_name: "seed".to_owned(),
            data: None,
            latency: Duration::ZERO,
            fail_rate: 0.0,
            throttle: None,
            service_protection: None,
            max_concurrency: None,
            max_execution: None,
            servers: 1,
            dataverse_public_url: None,
            certificate: None,
            random_seed: 1,
            token_lifetime: Duration::from_secs(3599),
            page_cap: 5000,
            delta_retention: Duration::from_secs(7 * 24 * 3600),
            expired_delta_status: 400,
            nested_change_set_error: true,
            expand_links: true,
            refuse_null_bind: false,
            inactive_read_only: false,
            duplicate_status: 409,
            refusal_status: 400,
            missing_status: 404,
            link_forms: LinkForms::default(),
            campaign_retry_after: true,
            jwt_keys: Vec::new(),
            big_table_threshold: 100_000,
            lower_email: true,
            smart_case: false,
            strip_phone: false,
            cut_overlong: false,
            strict_content_type: false,
            dataverse_port: 0,
            campaign_port: 0,
            journal_port: 0,
            admin_port: 0,
            partner_center: None,
        }
    }
}
