//! Errors in the Web API's shape: `{"error":{"code":"0x80040217","message":"…"}}`.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use crate::net;

/// A refused request.
#[derive(Debug)]
pub(super) struct Fail {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

pub(super) type Result<T> = std::result::Result<T, Fail>;

impl Fail {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Fail {
        Fail { status, code: code.to_owned(), message: message.into() }
    }

    /// A query the service does not understand. [D: either code is seen]
    pub(super) fn query(message: impl Into<String>) -> Fail {
        Fail::new(400, "0x80060888", message)
    }

    /// ODataClientPayloadError. [D]
    pub(super) fn payload(set: &str, inner: impl std::fmt::Display) -> Fail {
        Fail::new(
            400,
            "0x80048d19",
            format!(
                "Error identified in Payload provided by the user for Entity :'{set}', For more information on this error please follow this help link \
                 https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : Microsoft.OData.ODataException: {inner}"
            ),
        )
    }

    pub(super) fn no_property(property: &str, entity: &str) -> Fail {
        Fail::query(format!("Could not find a property named '{property}' on type '{entity}'."))
    }

    /// ObjectDoesNotExist. [D]
    pub(super) fn not_found(table: &str, id: uuid::Uuid) -> Fail {
        Fail::new(404, "0x80040217", format!("{table} With Id = {id} Does Not Exist"))
    }

    /// RecordNotFoundByEntityKey. [D code, C status]
    pub(super) fn no_key(table: &str) -> Fail {
        Fail::new(404, "0x80060891", format!("A record with the specified key values does not exist in {table} entity"))
    }

    pub(super) fn no_segment(segment: &str) -> Fail {
        Fail::new(404, "0x8006088a", format!("Resource not found for the segment '{segment}'."))
    }

    pub(super) fn method(method: &str) -> Fail {
        Fail::new(405, "0x80040315", format!("The requested resource does not support http method '{method}'."))
    }

    /// What the emulator does not play; a plain word is better than a wrong answer.
    pub(super) fn not_emulated(what: &str) -> Fail {
        Fail::new(501, "0x80060888", format!("The emulator does not support {what}."))
    }

    pub(super) fn response(&self) -> Response<Body> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = json!({"error": {"code": self.code, "message": self.message}}).to_string();
        net::body(status, "application/json; odata.metadata=minimal", text)
    }
}
