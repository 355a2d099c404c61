//! A browser with its driver.

use std::process::Stdio;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::given;

/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The tabulator key, as WebDriver writes it.
pub const TAB: &str = "\u{e004}";
/// The return key.
pub const ENTER: &str = "\u{e007}";
/// The most presses of the tabulator that lead to something.
const FAR: usize = 300;
/// The rules of WCAG 2.2, levels A and AA.
const RULES: [&str; 5] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/// A browser, and the driver that it is reached by. Both end with it.
pub struct Browser {
    pub client: Client,
    driver: Child,
    axe: String,
}

/// A command of the DevTools protocol, for what WebDriver has no command for.
#[derive(Debug)]
struct DevTools(&'static str, Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"cmd": self.0, "params": self.1}).to_string()))
    }
}

impl Browser {
    /// Starts a browser in which pages may run scripts.
    pub async fn start() -> Browser {
        Browser::with(&json!({})).await
    }

    /// Starts a browser in which pages run no scripts.
    pub async fn without_scripts() -> Browser {
        Browser::with(&json!({"profile.managed_default_content_settings.javascript": 2})).await
    }

    async fn with(preferences: &Value) -> Browser {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        // A group, so that the browser ends with its driver even if a test fails.
        #[cfg(unix)]
        command.process_group(0);
        let mut driver = command.spawn().expect("chromedriver starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = loop {
            let line = lines.next_line().await.expect("the driver's output").expect("the driver says its port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // Its output is read to the end, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let options = json!({
            "binary": given("D365MAP_BROWSER"),
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"],
            "prefs": preferences
        });
        let mut wanted = Capabilities::new();
        wanted.insert("browserName".to_owned(), json!("chrome"));
        wanted.insert("goog:chromeOptions".to_owned(), options);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(wanted).connect(&format!("http://127.0.0.1:{port}")).await.expect("a browser");
        let axe = std::fs::read_to_string(given("D365MAP_BROWSER_AXE")).expect("axe-core");
        Browser { client, driver, axe }
    }

    /// Ends the browser.
    pub async fn end(self) {
        self.client.clone().close().await.expect("the browser ends");
    }

    /// Makes the window as large as that, light or dark.
    pub async fn look(&self, width: u32, height: u32, dark: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" }}]});
        for command in [DevTools("Emulation.setDeviceMetricsOverride", size), DevTools("Emulation.setEmulatedMedia", scheme)] {
            self.client.issue_cmd(command).await.expect("the browser changes its view");
        }
    }

    pub async fn open(&self, address: &str) {
        self.client.goto(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        self.client.execute(&format!("return {expression}"), Vec::new()).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The text of the page.
    pub async fn text(&self) -> String {
        let body = self.client.find(Locator::Css("body")).await.expect("a page");
        body.text().await.unwrap_or_default()
    }

    /// The first element that a selector finds, as soon as there is one.
    pub async fn find(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{css}: {error}; the page: {}", self.text().await),
        }
    }

    /// Presses what a selector finds. A part of the page that is replaced just then is looked for again.
    pub async fn press(&self, css: &str) {
        let began = tokio::time::Instant::now();
        loop {
            match self.find(css).await.click().await {
                Ok(()) => return,
                Err(error) => assert!(is_gone(&error) && began.elapsed() < PATIENCE, "{css}: {error}"),
            }
        }
    }

    /// Waits until the page shows a text. Does not load it again.
    pub async fn shows(&self, css: &str, text: &str) {
        let began = tokio::time::Instant::now();
        loop {
            let shown = match self.client.find(Locator::Css(css)).await {
                Ok(element) => element.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            if shown.contains(text) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{css} never shows {text:?}, but {shown:?}; the page: {}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Loads the page again until it shows a text.
    pub async fn shows_after_reload(&self, css: &str, text: &str) {
        let began = tokio::time::Instant::now();
        loop {
            let shown = self.find(css).await.text().await.unwrap_or_default();
            if shown.contains(text) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{css} never shows {text:?}, but {shown:?}");
            self.client.refresh().await.expect("the page loads");
        }
    }

    /// Presses a key in the element that has the focus.
    pub async fn key(&self, key: &str) {
        let element = self.client.active_element().await.expect("an element with the focus");
        element.send_keys(key).await.expect("the key is pressed");
    }

    /// Presses the tabulator until what a selector finds has the focus.
    pub async fn reach(&self, css: &str) {
        let reached = format!("document.activeElement.matches({})", Value::from(css));
        for _ in 0..FAR {
            if self.value(&reached).await == true {
                return;
            }
            self.key(TAB).await;
        }
        panic!("the keyboard never reaches {css}; the page: {}", self.text().await);
    }

    /// Types a text where the focus is, at the cursor or in place of what is selected.
    pub async fn write(&self, text: &str) {
        self.client.issue_cmd(DevTools("Input.insertText", json!({"text": text}))).await.expect("the text is typed");
    }

    /// Selects the first place of a text in the text area of the page.
    pub async fn select(&self, text: &str) {
        let script = "const area = document.querySelector('textarea'); const at = area.value.indexOf(arguments[0]); \
                      area.focus(); area.setSelectionRange(at, at + arguments[0].length); return at;";
        let at = self.client.execute(script, vec![json!(text)]).await.expect("a text area");
        assert_ne!(at, -1, "the text area does not have {text:?}");
    }

    /// The violations of WCAG 2.2 AA on the page, as axe-core finds them.
    pub async fn violations(&self) -> Vec<String> {
        self.client.execute(&self.axe, Vec::new()).await.expect("axe-core is loaded");
        let script = "const [rules, done] = arguments; \
                      axe.run(document, { runOnly: { type: 'tag', values: rules }, resultTypes: ['violations'] }) \
                         .then((found) => done(found.violations), (error) => done(String(error)));";
        let found = self.client.execute_async(script, vec![json!(RULES)]).await.expect("axe-core answers");
        let Value::Array(found) = found else { panic!("axe-core: {found}") };
        found
            .iter()
            .map(|violation| {
                let nodes: Vec<&str> =
                    violation["nodes"].as_array().into_iter().flatten().filter_map(|node| node["html"].as_str()).collect();
                format!("{}: {} in {nodes:?}", violation["id"], violation["help"])
            })
            .collect()
    }
}

/// Waits until something is so.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = tokio::time::Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn is_gone(error: &CmdError) -> bool {
    error.is_stale_element_reference()
        || error.is_no_such_element()
        || matches!(error, CmdError::Standard(e) if e.error() == "element click intercepted")
}

impl Drop for Browser {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.driver.id().and_then(|id| rustix::process::Pid::from_raw(id as i32)) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}
