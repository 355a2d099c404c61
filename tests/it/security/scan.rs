//! Looks for what must not be there, in every possible form.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Things to look for.
#[derive(Default)]
pub struct Scan {
    /// What it is, and a form of it in lower case.
    needles: Vec<(String, String)>,
}

impl Scan {
    /// Adds a text with its forms: as it is, in JSON, in addresses and forms, in base64 at any offset, in hexadecimal, in UTF-16.
    /// Letters' cases are not told apart.
    pub fn add(&mut self, what: &str, text: &str) {
        assert!(text.len() >= 6, "{what}: {text} would be found by chance");
        let json = serde_json::to_string(text).expect("JSON");
        let json = json.trim_matches('"').to_owned();
        let ascii: String =
            text.encode_utf16().map(|u| if u < 128 { char::from(u as u8).to_string() } else { format!("\\u{u:04x}") }).collect();
        let mut forms: Vec<Vec<u8>> = vec![
            text.into(),
            json.replace('/', "\\/").into(),
            json.into(),
            ascii.into(),
            utf8_percent_encode(text, NON_ALPHANUMERIC).to_string().into(),
            text.bytes()
                .map(|b| if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
                .collect::<String>()
                .into(),
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().into(),
            text.bytes().map(|b| format!("{b:02x}")).collect::<String>().into(),
            text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        ];
        for before in 0..3_usize {
            let mut bytes = vec![0; before];
            bytes.extend_from_slice(text.as_bytes());
            // The characters that depend on the text alone: those of the bytes before and after it are cut off.
            let (from, to) = ([0, 2, 3][before], bytes.len() * 8 / 6);
            for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                forms.push(encoded.as_bytes()[from..to].to_vec());
            }
        }
        for form in forms {
            // Of UTF-16 just the forms that are text when read byte by byte, which those of other alphabets are not.
            let Ok(form) = String::from_utf8(form) else { continue };
            let form = form.to_ascii_lowercase();
            if !self.needles.iter().any(|(_, n)| *n == form) {
                self.needles.push((what.to_owned(), form));
            }
        }
    }

    /// What is found in some bytes, with a little of what is before it.
    pub fn find(&self, bytes: &[u8]) -> Vec<String> {
        // Bytes that are not text become marks; what is looked for is text and stays as it is.
        let text = String::from_utf8_lossy(bytes);
        let lower = text.to_ascii_lowercase();
        let mut found = Vec::new();
        for (what, needle) in &self.needles {
            if let Some(at) = lower.find(needle.as_str()) {
                let before: String = text[..at].chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
                found.push(format!("{what} at byte {at}, after {before:?}"));
            }
        }
        found
    }

    /// What is found in the files of a folder, however deep; but not in those whose names end so.
    pub fn folder(&self, folder: &Path, but: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                found.extend(self.folder(&path, but));
            } else if !but.iter().any(|b| path.ends_with(b)) {
                let bytes = std::fs::read(&path).expect("a file");
                found.extend(self.find(&bytes).into_iter().map(|f| format!("{}: {f}", path.display())));
            }
        }
        found
    }
}

#[test]
fn the_scan_finds_a_planted_secret_in_every_form() {
    const SECRET: &str = "s3cr3t~+/%&=\"ü value";
    let mut scan = Scan::default();
    scan.add("the secret", SECRET);
    let folder = tempfile::tempdir().expect("a folder");
    let base64 = base64::engine::general_purpose::STANDARD;
    for (n, planted) in [
        SECRET.to_owned(),
        SECRET.to_uppercase().replace('Ü', "ü"),
        serde_json::json!({ "a": SECRET }).to_string(),
        format!("https://h/?a={}", utf8_percent_encode(SECRET, NON_ALPHANUMERIC)),
        url::form_urlencoded::Serializer::new(String::new()).append_pair("client_secret", SECRET).finish(),
        base64.encode(format!("id:{SECRET}")),
        base64.encode(format!("id2:{SECRET}:more")),
        base64.encode(format!("id23:{SECRET}")),
        URL_SAFE_NO_PAD.encode(SECRET),
        SECRET.bytes().map(|b| format!("{b:02X}")).collect(),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(!scan.find(planted.as_bytes()).is_empty(), "{planted}");
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).expect("a folder");
        std::fs::write(deep.join(format!("file{n}")), format!("{}{planted}{}", "x".repeat(5000), "y".repeat(5000))).expect("a file");
    }
    assert_eq!(
        scan.folder(folder.path(), &[])
            .iter()
            .map(|f| f.split(':').next().map(str::to_owned))
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        10
    );
    assert!(scan.find(b"s3cr3t without the rest, and what else there is").is_empty());
    // A real file of another kind: a database, where a value lies among pages.
    let path = folder.path().join("c.db");
    let db = rusqlite::Connection::open(&path).expect("a database");
    db.execute_batch("CREATE TABLE t (a TEXT)").expect("a table");
    db.execute("INSERT INTO t VALUES (?1)", [SECRET]).expect("a row");
    drop(db);
    assert!(scan.folder(folder.path(), &[]).iter().any(|f| f.contains("c.db")));
}
