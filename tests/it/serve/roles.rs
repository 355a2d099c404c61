//! Every route of the table asks for its right: this test is generated from the table, so that a new route is in it.

use std::sync::Arc;

use d365map::run::Clock;
use d365map::serve::access::{Access, AccessConfig, ApiClient, Door, Right, Role};
use d365map::serve::{Route, Served, Site, answer_requests, table};
use reqwest::{Client, Method, StatusCode};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

/// A service with one project, and nothing that runs.
struct Service {
    access: Access,
    origin: String,
    client: Client,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Stranger,
    Person(Role),
    Client(Role),
}

fn token(role: Role) -> String {
    format!("{}-0123456789abcdef0123456789abcdef", role.name())
}

impl Service {
    async fn start() -> Service {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("crm");
        std::fs::create_dir_all(&root).expect("a folder");
        std::fs::write(root.join("d365map.yaml"), "version: 1\n").expect("a file");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let clients =
            Role::ALL.map(|role| ApiClient { name: role.name().to_owned(), token: SecretString::from(token(role)), role }).to_vec();
        let config = AccessConfig { clients, ..AccessConfig::local(address, Clock::default()) };
        let access = Access::new(config).expect("a safe configuration");
        let projects = Served::load(&[root]).expect("a project");
        let stop = CancellationToken::new();
        let site = Arc::new(Site { projects, access: access.clone(), metrics: Arc::default(), stop: stop.clone() });
        tokio::spawn(answer_requests(listener, site));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("a client");
        Service { access, origin: format!("http://{address}"), client, stop, _folder: folder }
    }

    /// Sends a request that has everything that a page of the service would send, and returns the status and the address of a redirect.
    async fn ask(&self, route: &Route, who: Who) -> (StatusCode, String) {
        let path = route.path.replace("{project}", "crm").replace(['{', '}'], "");
        let mut request = self.client.request(route.method.clone(), format!("{}{path}", self.origin));
        match who {
            Who::Stranger => {}
            Who::Person(role) => {
                let (cookie, csrf) = self.access.session("ada", role);
                request = request.header("cookie", cookie).header("x-csrf-token", csrf);
            }
            Who::Client(role) => request = request.bearer_auth(token(role)),
        }
        let answer = request.send().await.expect("an answer");
        let to = answer.headers().get("location").map_or("", |to| to.to_str().expect("text")).to_owned();
        (answer.status(), to)
    }
}

#[tokio::test]
async fn no_route_can_be_used_without_its_right() {
    let service = Service::start().await;
    let people = Role::ALL.map(Who::Person);
    let clients = Role::ALL.map(Who::Client);
    for route in table() {
        for who in [&[Who::Stranger][..], &people, &clients].concat() {
            let (status, to) = service.ask(&route, who).await;
            let place = format!("{} {} by {who:?}: {status} {to}", route.method, route.path);
            let has = |role: Role| role >= route.right.least();
            match (who, route.door) {
                (_, Door::Open) => assert!(!matches!(status.as_u16(), 401 | 403), "{place}"),
                (Who::Stranger, Door::Page) => assert!(status == StatusCode::SEE_OTHER && to.starts_with("/sign-in"), "{place}"),
                (Who::Stranger, _) => assert_eq!(status, StatusCode::UNAUTHORIZED, "{place}"),
                (Who::Client(_), Door::Page | Door::Action) => assert_eq!(status, StatusCode::FORBIDDEN, "{place}"),
                (Who::Person(role) | Who::Client(role), _) if !has(role) => assert_eq!(status, StatusCode::FORBIDDEN, "{place}"),
                _ => assert!(!matches!(status.as_u16(), 401 | 403) && !to.starts_with("/sign-in"), "{place}"),
            }
        }
    }
    service.stop.cancel();
}

#[tokio::test]
async fn no_action_can_be_sent_by_another_site() {
    let service = Service::start().await;
    let (cookie, csrf) = service.access.session("ada", Role::Admin);
    for route in table().into_iter().filter(|route| route.method != Method::GET && route.door != Door::Open) {
        let path = route.path.replace("{project}", "crm").replace(['{', '}'], "");
        let request = || service.client.request(route.method.clone(), format!("{}{path}", service.origin)).header("cookie", &cookie);
        for request in [
            request(),
            request().header("x-csrf-token", "x"),
            request().header("x-csrf-token", &csrf).header("sec-fetch-site", "cross-site"),
            request().header("x-csrf-token", &csrf).header("origin", "https://evil.example"),
        ] {
            assert_eq!(request.send().await.expect("an answer").status(), StatusCode::FORBIDDEN, "{} {}", route.method, route.path);
        }
    }
    service.stop.cancel();
}

#[test]
fn what_changes_something_is_an_action_or_in_the_api_and_asks_for_more_than_to_view() {
    for route in table() {
        let place = format!("{} {}", route.method, route.path);
        match route.door {
            Door::Page | Door::Live => assert_eq!(route.method, Method::GET, "{place}"),
            Door::Action => assert!(route.method == Method::POST && route.right != Right::View, "{place}"),
            Door::Api if route.method != Method::GET => assert!(route.right != Right::View, "{place}"),
            Door::Open => assert_eq!(route.method, Method::GET, "{place}"),
            Door::Api => {}
        }
    }
}
