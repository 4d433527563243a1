//! How a request is refused: with a status and the specification's words for why (1.1, "Error Codes").

use hyper::StatusCode;
use serde_json::json;

use crate::error::{Error, ErrorKind};
use crate::oci::to_json;

/// Why a request gets nothing.
#[derive(Debug)]
pub(super) struct RequestRefusal {
    pub status: StatusCode,
    code: RefusalCode,
    message: String,
    /// What went wrong here, which is nothing for who asks.
    pub fault: Option<String>,
}

/// The codes of the specification, and docker's for what it has none for.
#[derive(Debug, Clone, Copy)]
pub(super) enum RefusalCode {
    BlobUnknown,
    DigestInvalid,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    TooManyRequests,
    Unknown,
    Unsupported,
}

impl RequestRefusal {
    /// Returns the refusal of what makes no sense.
    pub fn bad(code: RefusalCode, message: impl Into<String>) -> RequestRefusal {
        RequestRefusal::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Returns the refusal of what is not here.
    pub fn not_found(code: RefusalCode, message: impl Into<String>) -> RequestRefusal {
        RequestRefusal::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Returns the refusal of what would write.
    pub fn read_only() -> RequestRefusal {
        let message = "this registry is read-only: images are pulled from it, and none are pushed";
        RequestRefusal::new(StatusCode::METHOD_NOT_ALLOWED, RefusalCode::Unsupported, message)
    }

    /// Returns the refusal of one request too many.
    pub fn busy() -> RequestRefusal {
        let message = "too much is asked for at once: ask again";
        RequestRefusal::new(StatusCode::SERVICE_UNAVAILABLE, RefusalCode::TooManyRequests, message)
    }

    /// Returns the refusal of what is here and cannot be read because of `fault`, which may name paths: who asks is not told.
    pub fn failed(fault: String) -> RequestRefusal {
        let message = "it cannot be read where it is kept";
        let refusal = RequestRefusal::new(StatusCode::INTERNAL_SERVER_ERROR, RefusalCode::Unknown, message);
        RequestRefusal { fault: Some(fault), ..refusal }
    }

    /// Returns the refusal for what could not be read because of `error`: as unknown, if it is not there.
    pub fn unread(error: &Error, unknown: RefusalCode) -> RequestRefusal {
        match error.kind {
            ErrorKind::NotFound => RequestRefusal {
                fault: Some(error.with_causes()),
                ..RequestRefusal::not_found(unknown, "it is not here")
            },
            _ => RequestRefusal::failed(error.with_causes()),
        }
    }

    /// Returns the document that says so.
    pub fn document(&self) -> Vec<u8> {
        to_json(&json!({"errors": [{"code": self.code.name(), "message": self.message}]}))
    }

    fn new(status: StatusCode, code: RefusalCode, message: impl Into<String>) -> RequestRefusal {
        RequestRefusal { status, code, message: message.into(), fault: None }
    }
}

impl RefusalCode {
    fn name(self) -> &'static str {
        match self {
            RefusalCode::BlobUnknown => "BLOB_UNKNOWN",
            RefusalCode::DigestInvalid => "DIGEST_INVALID",
            RefusalCode::ManifestInvalid => "MANIFEST_INVALID",
            RefusalCode::ManifestUnknown => "MANIFEST_UNKNOWN",
            RefusalCode::NameInvalid => "NAME_INVALID",
            RefusalCode::NameUnknown => "NAME_UNKNOWN",
            RefusalCode::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            RefusalCode::TooManyRequests => "TOOMANYREQUESTS",
            RefusalCode::Unknown => "UNKNOWN",
            RefusalCode::Unsupported => "UNSUPPORTED",
        }
    }
}
