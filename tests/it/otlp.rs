//! Traces by OTLP: the command is run as a process, and a small receiver decodes what it sends.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;

/// A field of a protobuf message: its number, and its bytes if it has a length.
type Field<'a> = (u64, &'a [u8]);

/// The fields of a protobuf message (Protocol Buffers: *Encoding*). Numbers are given as their bytes.
fn fields(mut bytes: &[u8]) -> Vec<Field<'_>> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let length = bytes.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1;
        let (number, rest) = bytes.split_at(length);
        *bytes = rest;
        number.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f))
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => bytes.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1,
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).unwrap(),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        bytes = rest;
        found.push((tag >> 3, value));
    }
    found
}

fn children(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).into_iter().filter(move |field| field.0 == number).map(|field| field.1)
}

fn text(message: &[u8], number: u64) -> String {
    children(message, number).next().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).unwrap_or_default()
}

#[derive(Debug)]
struct Span {
    name: String,
    id: Vec<u8>,
    parent: Vec<u8>,
    attributes: BTreeMap<String, String>,
}

/// The spans of a request to the collector: resource_spans, scope_spans, spans.
fn spans(request: &[u8]) -> Vec<Span> {
    let spans = children(request, 1).flat_map(|resource| children(resource, 2)).flat_map(|scope| children(scope, 2));
    let bytes = |span, number| children(span, number).next().unwrap_or_default().to_vec();
    let attributes = |span| {
        let pairs = children(span, 9).map(|pair| (text(pair, 1), children(pair, 2).next().map(text_of).unwrap_or_default()));
        pairs.collect()
    };
    spans.map(|span| Span { name: text(span, 5), id: bytes(span, 2), parent: bytes(span, 4), attributes: attributes(span) }).collect()
}

/// A value: its text, or a number that is smaller than 128 or of several bytes.
fn text_of(value: &[u8]) -> String {
    match fields(value).first() {
        Some((1, text)) => String::from_utf8(text.to_vec()).unwrap(),
        Some((3, number)) => number.iter().rev().fold(0_u64, |sum, byte| sum << 7 | u64::from(byte & 0x7f)).to_string(),
        _ => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_and_its_calls_are_sent_to_a_collector_before_the_process_ends_and_without_personal_data() {
    let received: Arc<Mutex<Vec<(HeaderMap, Bytes)>>> = Arc::default();
    let kept = received.clone();
    let handler = post(move |headers: HeaderMap, body: Bytes| async move { kept.lock().unwrap().push((headers, body)) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", handler)).await.unwrap() });
    let folder = tempfile::tempdir().unwrap();
    let (path, to) = (folder.path().to_owned(), endpoint.clone());
    let demo = tokio::task::spawn_blocking(move || {
        let command = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_d365map"));
            command.args(["demo", "--quiet", "--contacts", "20"]).current_dir(&path);
            command
        };
        command().env("OTEL_EXPORTER_OTLP_ENDPOINT", to).output().unwrap()
    });
    let output = demo.await.unwrap();
    server.abort();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let received = received.lock().unwrap();
    assert_eq!(received[0].0["content-type"], "application/x-protobuf");
    let spans: Vec<Span> = received.iter().flat_map(|(_, body)| spans(body)).collect();
    let rounds: Vec<&Span> = spans.iter().filter(|span| span.name == "round").collect();
    assert!(rounds.iter().any(|round| round.attributes["workflow"] == "contacts" && round.attributes["outcome"] == "ok"), "{rounds:?}");
    let calls: Vec<&Span> = spans.iter().filter(|span| span.name == "call").collect();
    for api in ["dataverse", "campaign"] {
        let of: Vec<_> = calls.iter().filter(|call| call.attributes["api"] == api).collect();
        assert!(
            of.iter().any(|call| call.attributes["outcome"] == "ok" && call.attributes["http.response.status_code"].starts_with('2')),
            "{of:?}"
        );
        // The emulator of Campaign gives none.
        assert!(api == "campaign" || of.iter().any(|call| call.attributes.contains_key("correlation_id")), "{of:?}");
        assert!(of.iter().any(|call| rounds.iter().any(|round| round.id == call.parent)), "a call belongs to its round");
    }
    // Persons of the demo have addresses with an `@`.
    assert!(spans.iter().all(|span| span.attributes.values().all(|value| !value.contains('@'))), "{spans:?}");
    assert!(received.iter().all(|(_, body)| !String::from_utf8_lossy(body).contains("@example.")));
    assert!(spans.iter().all(|span| ["round", "call"].contains(&span.name.as_str())), "{spans:?}");
}
